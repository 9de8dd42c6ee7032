//! The device's command line.

use clap::{Parser, Subcommand};
use sordino_device::{single, swarm::Swarm};
use std::process::ExitCode;

/// A Sordino device, or many.
#[derive(Debug, Parser)]
#[command(name = "sordino-device", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays many devices in one process over real connections.
    Swarm(Swarm),
    #[command(flatten)]
    Single(single::Command),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Swarm(swarm) => swarm.run(),
        Command::Single(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sordino_shared::causes::sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
