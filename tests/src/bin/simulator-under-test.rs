//! The simulator's program, built beside the tests so that they can run it as a user would.

fn main() -> std::process::ExitCode {
    sordino_simulator::cli::main()
}
