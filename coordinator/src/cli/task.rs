//! `task add|list|pause|resume|cancel|remove`.

use super::words::Table;
use super::{At, print};
use crate::budget::{self, Words};
use crate::config::Config;
use crate::server::{Models, now};
use crate::store::{Store, TaskRow, TaskState};
use crate::task::{Kind, TaskFile, check_price, is_of_rollout, owed};
use anyhow::Context;
use sordino_shared::control::hexadecimal;
use sordino_shared::model::Content;
use sordino_shared::plain::reason;
use sordino_shared::privacy::ledger::History;
use sordino_shared::privacy::rounded;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Adds a task from a file and says what it can hope for; refuses one that the population's budget can never pay.
    #[command(after_help = "`sordino-coordinator settings task` prints a file with every key explained.")]
    Add {
        /// The task's file (TOML).
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Lists tasks, what they are doing, and why they are paused.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Opens no new rounds; one under way goes on to its end.
    Pause(Stopped),
    /// Opens rounds again.
    Resume(Named),
    /// Ends a task for good; what it has learnt stays.
    Cancel(Stopped),
    /// Takes a task away that has opened no round, so that its name is free again.
    #[command(
        after_help = "A task that has opened a round stays, with what it spent: `sordino-coordinator task cancel NAME` ends it. Not while \
                      a server runs, which holds the ledger."
    )]
    Remove(Named),
}

#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// The task's name, as `task list` shows it.
    name: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct Stopped {
    /// Why: shown with the task, and kept in the audit log.
    #[arg(long, value_name = "REASON")]
    why: Option<String>,
    #[command(flatten)]
    named: Named,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Add { file, at } => {
                let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                let told = add(&at, &text, file.parent().unwrap_or(Path::new(".")))
                    .with_context(|| file.display().to_string())?;
                print(&told);
                Ok(())
            }
            Self::List { at } => {
                print(&list(&at.store()?.tasks()?, &at));
                Ok(())
            }
            Self::Pause(stopped) => stopped.set(TaskState::Paused),
            Self::Resume(named) => named.set(TaskState::Running, None),
            Self::Cancel(stopped) => stopped.set(TaskState::Cancelled),
            Self::Remove(named) => named.remove(),
        }
    }
}

fn list(tasks: &[TaskRow], at: &At) -> String {
    let mut table = Table::new(&["task", "state", "why"]);
    for task in tasks {
        let why = match Kind::of(task) {
            Ok(_) => task.why.clone().unwrap_or_default(),
            Err(error) => format!("it cannot be read: {}", error.to_string().trim()),
        };
        table.row(vec![task.name.clone(), task.state.name().into(), why]);
    }
    if table.is_empty() { none(at) } else { table.to_string() }
}

/// What is said where there is no task.
pub(super) fn none(at: &At) -> String {
    format!("no task yet: `sordino-coordinator task add FILE {}` adds one\n", at.quoted())
}

impl Stopped {
    fn set(self, state: TaskState) -> anyhow::Result<()> {
        let by = "by the operator";
        let why = self.why.as_deref().and_then(reason).map_or_else(|| by.to_owned(), |why| format!("{by}: {why}"));
        self.named.set(state, Some(&why))
    }
}

impl Named {
    fn set(self, state: TaskState, why: Option<&str>) -> anyhow::Result<()> {
        let Self { name, at } = self;
        let mut store = at.store()?;
        store.set_task(&name, state, why, now())?;
        let row = store.tasks()?.into_iter().find(|row| row.name == name);
        let row = row.with_context(|| format!("there is no task '{name}'"))?;
        anyhow::ensure!(row.state == state, "task '{name}' is {} already, and stays so", row.state.name());
        let folder = at.quoted();
        print(&match state {
            TaskState::Paused => format!(
                "task '{name}' is paused: a round under way goes on to its end. `sordino-coordinator task resume {name} {folder}` \
                 goes on\n"
            ),
            TaskState::Running => format!(
                "task '{name}' is running; `sordino-coordinator status {folder}` says why, if it is paused again\n"
            ),
            _ => format!("task '{name}' is {}\n", state.name()),
        });
        Ok(())
    }
}

impl Named {
    fn remove(self) -> anyhow::Result<()> {
        let Self { name, at } = self;
        let config = Config::read(&at.folder)?;
        // While it is held no server opens a round.
        let ledger = budget::hold(&at.folder, &config.listen.population)?;
        let mut store = at.store()?;
        let row = store.tasks()?.into_iter().find(|row| row.name == name);
        let row = row.with_context(|| format!("there is no task '{name}'"))?;
        let folder = at.quoted();
        // What was started and what happened since is in the audit log under its name.
        anyhow::ensure!(
            !is_of_rollout(&row),
            "'{name}' is a rollout's, which stays: `sordino-coordinator rollout abort --why \"...\" {folder}` ends it, or, where it cannot be \
             read, `sordino-coordinator task cancel {name} {folder}`"
        );
        // A store that was put back from a copy may have forgotten rounds; the ledger has not.
        anyhow::ensure!(
            !ledger.by_task().contains_key(name.as_str()),
            "the population has paid for a round of task '{name}', so it stays: `sordino-coordinator task cancel {name} {folder}` ends it"
        );
        store.remove_task(&name, now())?;
        print(&format!("task '{name}' is removed: it had opened no round, and its name is free again\n"));
        Ok(())
    }
}

/// Adds a task; a content file is found from `beside` and kept with the models, by its hash.
pub(super) fn add(at: &At, text: &str, beside: &Path) -> anyhow::Result<String> {
    let mut store = at.store()?;
    let mut task = TaskFile::parse(text)?;
    let has_content = task.catalogue.content.is_some();
    let config = Config::read(&at.folder)?;
    let history = budget::history(&at.folder, &config.listen.population)?;
    check_price(&task, has_content, &history, &at.quoted())?;
    let before = store.tasks()?;
    if let Some(name) = &task.catalogue.content {
        let kept = Models::open(&at.folder().models())?.put(content(&beside.join(name), task.catalogue.tracks)?)?;
        task.catalogue.content = Some(hexadecimal(&kept.digest));
    }
    let seed = match task.training.seed {
        Some(seed) => seed,
        None => {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the operating system gives no random bytes"))?;
            u64::from_le_bytes(bytes)
        }
    };
    let row =
        TaskRow { name: task.name.clone(), text: toml::to_string(&task)?, seed, state: TaskState::Running, why: None };
    store.add_task(&row, now())?;
    let plan = task.plan(has_content);
    let mut told = format!("task '{}' added\n", task.name);
    plan.reasons.iter().for_each(|reason| told += &format!("  {reason}\n"));
    told += &warning(&task, &before, &history, at);
    Ok(told)
}

fn content(path: &Path, tracks: usize) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let content: Content = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    let fits = |(column, value): &(u32, f32)| (*column as usize) < content.names.len() && value.is_finite();
    anyhow::ensure!(
        content.rows.len() == tracks && content.rows.iter().flatten().all(fits),
        "{}: there must be one row for each of the {tracks} tracks, of features that have names",
        path.display()
    );
    Ok(bytes)
}

// A task that could be paid alone, and not beside those that are under way: whoever comes last is paused.
fn warning(task: &TaskFile, others: &[TaskRow], history: &History, at: &At) -> String {
    let owed: f64 = owed(others, history).tasks.iter().map(|(_, rho)| rho).sum();
    let balance = history.balance();
    if owed == 0.0 || balance.rho + owed + task.rho() <= balance.rho_limit {
        return String::new();
    }
    let budget = history.policy().budget;
    let needed = history.epsilon_with(owed + task.rho(), task.privacy.mechanism, budget.delta);
    format!(
        "warning: tasks under way and this one may spend epsilon {} in all, and the population has {}: one of them will be \
         paused before its end. `sordino-coordinator budget show {}` says what each may still spend\n",
        rounded::up(needed, 1),
        Words(budget.tidy()),
        at.quoted()
    )
}
