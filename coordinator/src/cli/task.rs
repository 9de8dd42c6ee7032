//! `task add|list|pause|resume|cancel`.

use super::{At, print};
use crate::server::{Models, now};
use crate::store::{Store, TaskRow, TaskState};
use crate::task::TaskFile;
use anyhow::Context;
use sordino_shared::control::hexadecimal;
use sordino_shared::model::Content;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Adds a task from a file and says what it can hope for.
    Add {
        /// The task's file (TOML).
        file: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Lists tasks.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Opens no new rounds; one under way goes on to its end.
    Pause(Named),
    /// Opens rounds again.
    Resume(Named),
    /// Ends a task for good.
    Cancel(Named),
}

#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// The task's name.
    name: String,
    #[command(flatten)]
    at: At,
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
                for task in at.store()?.tasks()? {
                    print(&format!("{:<20} {}\n", task.name, task.state.name()));
                }
                Ok(())
            }
            Self::Pause(named) => named.set(TaskState::Paused),
            Self::Resume(named) => named.set(TaskState::Running),
            Self::Cancel(named) => named.set(TaskState::Cancelled),
        }
    }
}

impl Named {
    fn set(self, state: TaskState) -> anyhow::Result<()> {
        Ok(self.at.store()?.set_task(&self.name, state, now())?)
    }
}

/// Adds a task; a content file is found from `beside` and kept with the models, by its hash.
pub(super) fn add(at: &At, text: &str, beside: &Path) -> anyhow::Result<String> {
    let mut task = TaskFile::parse(text)?;
    let mut has_content = false;
    if let Some(name) = &task.catalogue.content {
        let path = beside.join(name);
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let content: Content = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
        anyhow::ensure!(
            content.rows.len() == task.catalogue.tracks
                && content
                    .rows
                    .iter()
                    .flatten()
                    .all(|(column, value)| (*column as usize) < content.names.len() && value.is_finite()),
            "{}: there must be one row for each of the {} tracks, of features that have names",
            path.display(),
            task.catalogue.tracks
        );
        has_content = true;
        let kept = Models::open(&at.folder().models())?.put(bytes)?;
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
    let row = TaskRow { name: task.name.clone(), text: toml::to_string(&task)?, seed, state: TaskState::Running };
    at.store()?.add_task(&row, now())?;
    let plan = task.plan(has_content);
    let mut told = format!("task '{}' added\n", task.name);
    plan.reasons.iter().for_each(|reason| told += &format!("  {reason}\n"));
    Ok(told)
}
