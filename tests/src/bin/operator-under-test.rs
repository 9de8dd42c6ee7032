//! The coordinator's program, built beside the tests so that they can run it as an operator would.

fn main() -> std::process::ExitCode {
    sordino_coordinator::cli::main()
}
