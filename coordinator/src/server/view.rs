//! What the operator sees: counts of the whole, never of a device.

use super::rollout_view::RolloutView;
use super::version_view::{SignedView, VersionView};
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
    /// What it waits for to be mended, trying again and again: a disk that is full, say.
    pub trouble: Option<String>,
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
    /// When the next one opens, where that is known and none is under way.
    pub opens: Option<i64>,
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
    /// Devices after each step that is over, in the order of steps: keys, shares, vectors, signatures, and answers that sufficed to open
    /// the sum, which are not waited for any longer then. Empty for rounds of an earlier process.
    pub funnel: Vec<u32>,
    /// When the present step's time is over.
    pub deadline: Option<i64>,
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
    /// The coordinator's folder, for commands.
    pub folder: String,
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
    /// Check-ins since the start, by the program that the device says it has. A device checks in many times.
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
    /// The last versions, and those that serve somebody, the newest first.
    pub versions: Vec<VersionView>,
    /// What people have signed and may be begun.
    pub signed: SignedView,
}
