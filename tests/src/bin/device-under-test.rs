//! The device's program as its users run it, for tests of the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sordino_device::cli::main()
}
