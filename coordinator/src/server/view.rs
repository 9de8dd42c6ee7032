//! What the operator sees: counts of the whole, never of a device.

use super::rollout_view::RolloutView;
use serde::Serialize;
use sordino_shared::registry::Serving;
use std::collections::BTreeMap;

/// What the operator sees of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskView {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: String,
    /// Why it is paused or cancelled.
    pub why: Option<String>,
    /// Steps of the training done.
    pub steps: u64,
    /// The next step's kind.
    pub next: Option<String>,
    /// Epsilon that a device has spent on it, and may spend.
    pub epsilon: f64,
    /// Epsilon that a device may spend on it.
    pub epsilon_limit: f64,
    /// The round under way.
    pub round: Option<RoundView>,
    /// Rounds before it, the newest first.
    pub past: Vec<RoundView>,
}

/// What the operator sees of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoundView {
    /// Its number.
    pub number: u64,
    /// The step of the training.
    pub step: u64,
    /// Its phase.
    pub phase: String,
    /// Devices that have done the step.
    pub done: u32,
    /// Devices that may.
    pub of: u32,
    /// Devices after each step that is over, in the order of steps.
    pub funnel: Vec<u32>,
    /// When it was opened.
    pub opened: i64,
    /// When its phase changed.
    pub changed: i64,
    /// What came of it.
    pub note: String,
}

/// What the operator sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// The present time, in milliseconds since 1970.
    pub now: i64,
    /// The program's version.
    pub program: String,
    /// The population.
    pub population: String,
    /// Devices that may take part.
    pub eligible: u64,
    /// Connections held.
    pub connections: i64,
    /// Contributions counted since the start.
    pub contributions: u64,
    /// Bytes received in contributions since the start.
    pub bytes: u64,
    /// Requests refused since the start, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Versions of devices' programs seen since the start, with check-ins.
    pub clients: BTreeMap<String, u64>,
    /// Epsilon that the population has spent, and may.
    pub epsilon: f64,
    /// Epsilon that the population may spend.
    pub epsilon_limit: f64,
    /// Its delta.
    pub delta: f64,
    /// Tasks.
    pub tasks: Vec<TaskView>,
    /// Rollouts, those that this process has seen under way.
    pub rollouts: Vec<RolloutView>,
    /// What serves.
    pub serving: Option<Serving>,
}
