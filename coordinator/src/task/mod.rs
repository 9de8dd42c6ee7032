//! Tasks: what rounds are opened for. A training learns a model; a rollout is measured.

mod file;
mod price;
mod rollout;
mod training;

pub use file::{Catalogue, CohortSettings, Price, TaskFile, TrainingSettings, WorkloadKind};
pub use price::{Owed, TooDear, check_price, owed};
pub use rollout::{RolloutTask, stage_of};
pub use training::{MOST_FEATURES, TrainingTask};

use crate::rollout::book::{ORDER, Order};
use crate::store::{Aggregate, TaskRow};
use sordino_shared::model::Content;
use sordino_shared::rollout::rollout_of;
use thiserror::Error;

/// Why a task cannot be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no TOML, or has keys that are not known.
    #[error("the task cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value that cannot be.
    #[error("{0}")]
    Value(String),
}

/// A task under way.
pub enum Task {
    /// A model is learnt.
    Training(Box<TrainingTask>),
    /// A rollout is measured.
    Rollout(Box<RolloutTask>),
}

/// What a task's text says.
pub enum Kind {
    /// A model is learnt.
    Training(Box<TaskFile>),
    /// A rollout is measured.
    Rollout(Box<Order>),
}

impl Kind {
    /// Reads a stored task. Its name belongs to its kind, since it is what ledgers, rounds and offers know it by.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn of(row: &TaskRow) -> Result<Self, Error> {
        let table: toml::Table = toml::from_str(&row.text)?;
        let (kind, name) = if workload(&table) == Some(ORDER) {
            let order = Order::parse(&row.text).map_err(|error| Error::Value(error.to_string()))?;
            let name = order.task();
            (Self::Rollout(Box::new(order)), name)
        } else if rollout_of(&row.name).is_some() {
            return Err(Error::Value(format!(
                "it learns something, and is called as only rollouts' tasks are: its rounds would be paid for under a rollout's name. \
                 `sordino-coordinator task remove {name}` takes it away, or `sordino-coordinator task cancel {name}` ends it where it has \
                 opened a round; add it again under another name",
                name = row.name
            )));
        } else {
            let file = TaskFile::parse(&row.text)?;
            let name = file.name.clone();
            (Self::Training(Box::new(file)), name)
        };
        if name != row.name {
            return Err(Error::Value(format!("it is stored as '{}', and what is stored is of '{name}'", row.name)));
        }
        Ok(kind)
    }
}

/// Whether a stored task is a rollout's, also where it cannot be read.
pub fn is_of_rollout(row: &TaskRow) -> bool {
    match toml::from_str::<toml::Table>(&row.text) {
        Ok(table) => workload(&table) == Some(ORDER),
        Err(_) => rollout_of(&row.name).is_some(),
    }
}

fn workload(table: &toml::Table) -> Option<&str> {
    table.get("workload").and_then(toml::Value::as_str)
}

impl Task {
    /// The task as it stands.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn new(row: &TaskRow, content: &Content, aggregates: &[Aggregate]) -> Result<Self, Error> {
        match Kind::of(row)? {
            Kind::Training(_) => Ok(Self::Training(Box::new(TrainingTask::new(row, content, aggregates)?))),
            Kind::Rollout(order) => Ok(Self::Rollout(Box::new(RolloutTask { order: *order }))),
        }
    }

    /// Seconds from the end of one round to the opening of the next.
    pub fn pause_seconds(&self) -> u32 {
        match self {
            Self::Training(task) => task.file.schedule.pause_seconds,
            Self::Rollout(task) => task.order.policy.schedule.pause_seconds,
        }
    }

    /// Devices that a round wants.
    pub fn wanted(&self) -> u64 {
        match self {
            Self::Training(task) => u64::from(task.file.cohort.devices),
            Self::Rollout(task) => {
                let Order { policy, devices, .. } = &task.order;
                let cohorts = (0..policy.stages.len()).map(|stage| policy.cohort_devices(stage, *devices));
                u64::from(cohorts.max().unwrap_or(0))
            }
        }
    }
}
