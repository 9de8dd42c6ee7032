//! The device's program, built beside the tests so that they can run it as a user would.

use std::process::ExitCode;

fn main() -> ExitCode {
    match sordino_tests::remedies::run_device() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sordino_shared::causes::sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
