//! The device's program as its users run it, for tests of the command line.

use clap::{Args, Command, FromArgMatches, Subcommand};
use sordino_device::{single, swarm::Swarm};
use std::process::ExitCode;

fn main() -> ExitCode {
    let program = single::Command::augment_subcommands(Command::new("sordino-device"));
    let matches = program.subcommand(Swarm::augment_args(Command::new("swarm"))).get_matches();
    let result = match matches.subcommand() {
        Some(("swarm", swarm)) => Swarm::from_arg_matches(swarm).map_err(Into::into).and_then(Swarm::run),
        _ => single::Command::from_arg_matches(&matches).map_err(Into::into).and_then(single::Command::run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sordino_shared::causes::sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
