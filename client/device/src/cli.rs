//! The device's command line.

use crate::{single, swarm::Swarm, words};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A Sordino device: it keeps what was listened to in a folder of its own, takes part in private
/// rounds with its coordinator, and recommends. Or many devices at once, to try a federation.
#[derive(Debug, Parser)]
#[command(name = "sordino-device", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays many devices in one process over real connections, until there is nothing left to
    /// learn.
    Swarm(Swarm),
    #[command(flatten)]
    Single(single::Command),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Swarm(swarm) => swarm.run().map(|()| ExitCode::SUCCESS),
        Command::Single(command) => command.run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {}", words::of(&error));
        ExitCode::FAILURE
    })
}

const EXAMPLES: &str = "\
A first device, with what the operator hands out:
  sordino-device enrol --federation federation.toml --token TOKEN
  sordino-device record events.jsonl      # one event a line: docs/events.md
  sordino-device run                      # one visit; `run --daemon` goes on
  sordino-device recommend
  sordino-device ledger                   # what was sent, and what it cost

Exit status: 0 done, 1 failed, 2 a wrong command line, 3 some events were refused and the others kept.";
