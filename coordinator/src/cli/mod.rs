//! `sordino-coordinator`: setting up, serving, and whatever an operator asks or orders. Everything but `serve` works on the
//! folder's files, whether a server runs or not; a running one sees changes within seconds.

mod audit;
mod budget;
mod enrol;
mod init;
mod model;
mod rollout;
mod serve;
mod settings;
mod status;
mod task;
mod words;

use crate::config::FILE;
use crate::server::Folder;
use crate::store::SqliteStore;
use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, Subcommand};
use sordino_shared::causes::sentence;
use std::path::PathBuf;
use std::process::ExitCode;
use words::{print, quoted, time};

/// Runs federated learning among phones: plans rounds, adds up what devices send under masks, and serves the models that come of
/// it. It sees sums and nothing of any device.
#[derive(Debug, Parser)]
#[command(name = "sordino-coordinator", version, after_help = FIRST_STEPS)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "\
First steps, on one machine:
  sordino-coordinator init my-federation --example   a coordinator to try, with a task and tokens
  sordino-coordinator serve my-federation            devices on UDP 4433, a page on http://127.0.0.1:9464/
  sordino-coordinator status my-federation           from another shell

For real devices:
  sordino-coordinator init music --public music.example:4433
  sordino-coordinator task add task.toml music
  sordino-coordinator enrol token --count 1000 music

FOLDER is sordino-federation wherever it is left out.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a coordinator's folder: keys, settings, database, the budget of its devices.
    #[command(after_help = init::EXAMPLES)]
    Init(init::Init),
    /// Serves devices until it is told to stop (Ctrl-C or SIGTERM); what is under way goes on when it starts again.
    Serve(serve::Serve),
    /// Shows tasks with their rounds, why a task is paused, and how many models there are.
    Status(status::Status),
    /// Adds, lists, pauses, resumes or cancels tasks: what is learnt, from how many devices, at what price in privacy.
    #[command(subcommand)]
    Task(task::Command),
    /// Shows or changes what a device may spend of its privacy over all tasks.
    #[command(subcommand)]
    Budget(budget::Command),
    /// Lets devices in by one-time tokens, shuts them out, lists them.
    #[command(subcommand)]
    Enrol(enrol::Command),
    /// Lists, shows, exports or imports versions of models.
    #[command(subcommand)]
    Model(model::Command),
    /// Brings a new version to devices in stages that are watched and can be taken back.
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Shows and checks the log of everything that was done.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Prints a settings file, a task or a rollout's policy with every key explained.
    Settings(settings::Settings),
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

    /// The folder as a command that is printed names it.
    fn quoted(&self) -> String {
        quoted(&self.folder)
    }

    /// Refuses a folder that holds no coordinator, or not all of one.
    fn check(&self) -> anyhow::Result<()> {
        let folder = self.quoted();
        let (settings, store) = (self.folder.join(FILE), self.folder().store());
        match (settings.exists(), store.exists()) {
            (true, true) => Ok(()),
            (false, false) => {
                bail!("there is no coordinator in {folder}: `sordino-coordinator init {folder}` makes one")
            }
            (true, false) => bail!(
                "{} is missing, and with it all tasks, rounds and versions of the coordinator in {folder}: put its last copy back",
                store.display()
            ),
            (false, true) => bail!(
                "{0} is missing: put it back, or write one anew from `sordino-coordinator settings > {1}` with the listen, privacy \
                 and population that the coordinator had",
                settings.display(),
                quoted(&settings)
            ),
        }
    }

    fn store(&self) -> anyhow::Result<SqliteStore> {
        self.check()?;
        let path = self.folder().store();
        SqliteStore::open(&path).with_context(|| path.display().to_string())
    }
}

/// The whole tree of commands.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the program's arguments.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Init(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Task(command) => command.run(),
        Command::Budget(command) => command.run(),
        Command::Enrol(command) => command.run(),
        Command::Model(command) => command.run(),
        Command::Rollout(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Settings(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
