//! `sordino-coordinator`: setting up, serving, and whatever an operator asks or orders. Everything but `serve` works on the
//! folder's files, whether a server runs or not; a running one sees changes within seconds.

mod audit;
mod enrol;
mod init;
mod model;
mod rollout;
mod serve;
mod status;
mod task;

use crate::server::Folder;
use crate::store::SqliteStore;
use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs federated learning rounds among phones, and sees nothing but sums.
#[derive(Debug, Parser)]
#[command(name = "sordino-coordinator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a coordinator's folder: keys, enrolment authority, settings, database.
    Init(init::Init),
    /// Serves devices until it is told to stop.
    Serve(serve::Serve),
    /// Shows tasks, rounds and versions.
    Status(status::Status),
    /// Adds, lists, pauses, resumes or cancels tasks.
    #[command(subcommand)]
    Task(task::Command),
    /// Gives out tokens, revokes and lists devices.
    #[command(subcommand)]
    Enrol(enrol::Command),
    /// Lists, shows, exports or imports versions of models.
    #[command(subcommand)]
    Model(model::Command),
    /// Plans rollouts, and makes their verdicts again.
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Checks the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Where the coordinator keeps its files.
#[derive(Clone, Debug, clap::Args)]
struct At {
    /// The coordinator's folder.
    #[arg(default_value = "sordino-federation")]
    folder: PathBuf,
}

impl At {
    fn folder(&self) -> Folder {
        Folder(self.folder.clone())
    }

    fn store(&self) -> anyhow::Result<SqliteStore> {
        let path = self.folder().store();
        anyhow::ensure!(path.exists(), "there is no coordinator in {}: `init` makes one", self.folder.display());
        SqliteStore::open(&path).with_context(|| path.display().to_string())
    }
}

/// Runs the program's arguments.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Init(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Task(command) => command.run(),
        Command::Enrol(command) => command.run(),
        Command::Model(command) => command.run(),
        Command::Rollout(command) => command.run(),
        Command::Audit(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes lines to standard output; a reader that has gone away is no fault.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A time as people in the operator's office write it, in UTC.
fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| "-".into(), |t| t.format("%Y-%m-%d %H:%M:%S").to_string())
}
