//! The coordinator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sordino_coordinator::cli::main()
}
