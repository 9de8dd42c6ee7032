//! A change of a rollout, or of what serves: rows that are written together or not at all, each upon what its maker has seen.

use super::{TaskRow, TaskState};

/// What is changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// A task that begins with it.
    pub task: Option<TaskRow>,
    /// What happened in a rollout.
    pub events: Option<NewEvents>,
    /// How often what serves had been changed, and what serves from now on.
    pub serving: Option<(u64, String)>,
    /// A task that does something else from now on.
    pub state: Option<(String, TaskState)>,
    /// What the audit log says of it, a row each.
    pub words: Vec<String>,
}

/// Events of one rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewEvents {
    /// Which.
    pub rollout: String,
    /// How many there were before.
    pub after: u64,
    /// The new ones, as JSON.
    pub events: Vec<String>,
}
