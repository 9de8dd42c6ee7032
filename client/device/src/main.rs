//! The device's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sordino_device::cli::main()
}
