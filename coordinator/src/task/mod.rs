//! Tasks: what rounds are opened for. A training learns a model; a rollout is measured.

mod file;
mod price;
mod rollout;
mod training;

pub use file::{Catalogue, CohortSettings, Price, TaskFile, TrainingSettings, WorkloadKind};
pub use price::{TooDear, check_price, owed};
pub use rollout::{RolloutTask, stage_of};
pub use training::{MOST_FEATURES, TrainingTask};

use crate::rollout::book::{ORDER, Order};
use crate::store::{Aggregate, TaskRow};
use sordino_shared::model::Content;
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
    /// Reads a stored task.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let table: toml::Table = toml::from_str(text)?;
        match table.get("workload").and_then(toml::Value::as_str) {
            Some(ORDER) => {
                let order = Order::parse(text).map_err(|error| Error::Value(error.to_string()))?;
                Ok(Self::Rollout(Box::new(order)))
            }
            _ => Ok(Self::Training(Box::new(TaskFile::parse(text)?))),
        }
    }
}

impl Task {
    /// The task as it stands.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn new(row: &TaskRow, content: &Content, aggregates: &[Aggregate]) -> Result<Self, Error> {
        match Kind::parse(&row.text)? {
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
