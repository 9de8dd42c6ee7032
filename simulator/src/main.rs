//! `sordino-simulator`: federations on one machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    sordino_simulator::cli::main()
}
