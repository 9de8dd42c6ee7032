//! What the coordinator must not forget, and the only place where two processes of it meet.
//!
//! A [`Store`] is durable: each method that changes something returns after the change is on disk, or fails and has changed
//! nothing. Each change leaves a row in the audit log, in the same transaction. Round state moves by compare-and-set on its
//! phase, so a caller that was overtaken learns of it.
//!
//! *Exactly once*: [`Store::flush`] writes the receipts of a batch of contributions and the sum of those that are new in one
//! transaction, while the round collects. [`Store::freeze`] ends the collecting; from then on receipts cannot change, so the
//! survivors are the receipts that it returns, after any crash the same.

mod audit;
mod change;
#[cfg(any(test, feature = "server"))]
pub mod conformance;
mod memory;
#[cfg(feature = "server")]
mod sqlite;
mod words;

pub use audit::{AuditRow, BrokenChain, verify};
pub use change::{Change, NewEvents};
pub use memory::MemoryStore;
#[cfg(feature = "server")]
pub use sqlite::SqliteStore;

use serde::{Deserialize, Serialize};
use sordino_shared::secagg::Hash;
use thiserror::Error;

/// Why a store did not do what it was asked. The world's fault: to be tried again, or shown to the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk or the database failed.
    #[error("the store (coordinator.sqlite) failed: {0}")]
    Failed(String),
    /// It holds something that this program did not write.
    #[error("the store (coordinator.sqlite) cannot be read: {0}")]
    Damaged(String),
    /// There is something of this name already.
    #[error("there is already {0}")]
    Exists(String),
    /// A task that has opened rounds: what they spent is kept under its name.
    #[error("task '{0}' has opened a round, and what is known of that stays under its name: `task cancel` ends it")]
    HasRounds(String),
    /// There is nothing of this name.
    #[error("there is no {0}")]
    Missing(String),
    /// What a change was made upon has changed since.
    #[error("somebody else was faster: look again, and decide again")]
    Overtaken,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Rounds are opened when they are due.
    Running,
    /// No new round is opened.
    Paused,
    /// Nothing more will happen.
    Cancelled,
    /// All its rounds are done.
    Finished,
}

impl TaskState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Cancelled, Self::Finished];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
        }
    }
}

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    /// Its name.
    pub name: String,
    /// Its file, as the operator wrote it.
    pub text: String,
    /// The seed of its public randomness.
    pub seed: u64,
    /// What it is doing.
    pub state: TaskState,
    /// Why it is not running: who or what has paused or cancelled it.
    pub why: Option<String>,
}

/// Where a round stands. Phases are passed in this order; a round ends in one of the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Keys come in.
    Advertising,
    /// The roster is closed.
    Drawing,
    /// Shares come in.
    Sharing,
    /// Vectors come in: receipts and partial sums may be written.
    Collecting,
    /// The survivors are fixed; they are told, and sign.
    Frozen,
    /// Shares that open the sum come in.
    Unmasking,
    /// The sum is opened.
    Done,
    /// Given up; nothing was opened.
    Abandoned,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Advertising,
        Self::Drawing,
        Self::Sharing,
        Self::Collecting,
        Self::Frozen,
        Self::Unmasking,
        Self::Done,
        Self::Abandoned,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Advertising => "advertising",
            Self::Drawing => "drawing",
            Self::Sharing => "sharing",
            Self::Collecting => "collecting",
            Self::Frozen => "frozen",
            Self::Unmasking => "unmasking",
            Self::Done => "done",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether the round has ended.
    pub fn is_over(self) -> bool {
        self >= Self::Done
    }
}

/// A round as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundRow {
    /// The context of its terms.
    pub context: Hash,
    /// The task.
    pub task: String,
    /// The round's number within the task, from 1; each attempt has its own.
    pub number: u64,
    /// The step of the training that it is an attempt at, from 0.
    pub step: u64,
    /// What every process can make the round's terms and messages from again.
    pub setting: Vec<u8>,
    /// Where it stands.
    pub phase: Phase,
    /// The state at the last change of phase.
    pub state: Vec<u8>,
    /// When it was opened, in milliseconds since 1970.
    pub opened: i64,
    /// When its phase last changed.
    pub changed: i64,
    /// Why it was given up, or what came out of it, for people.
    pub note: String,
}

/// A contribution on its way into the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The device's position in the roster; it stands for the identity that the connection was authenticated with.
    pub position: u32,
    /// SHA-256 of the packed vector.
    pub digest: Hash,
}

/// What became of a contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the sum now.
    Counted,
    /// It had been before.
    Known,
    /// Another vector of this device is in the sum.
    Contradiction,
    /// The round does not collect any more, and this device is not in the sum.
    TooLate,
}

/// The opened sum of a round, and what the task learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The step of the training.
    pub step: u64,
    /// Devices in the sum.
    pub devices: u64,
    /// The decoded sum, block by block.
    pub sum: Vec<Vec<f64>>,
    /// The deviation of the noise, by block.
    pub deviations: Vec<f64>,
    /// rho that each device spent.
    pub rho: f64,
}

/// A version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// Its number, from 1, over all tasks.
    pub number: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// How many bytes it has.
    pub length: u64,
    /// The task, or where it was imported from.
    pub task: String,
    /// The round that it came from; none for an import.
    pub round: Option<u64>,
    /// The version that it follows.
    pub parent: Option<u64>,
    /// What is known of it, as JSON.
    pub about: String,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
}

/// What came of a round that ended well.
#[derive(Clone, Copy, Debug)]
pub enum Finished<'a> {
    /// A version of a model.
    Version(&'a VersionRow),
    /// A look at a rollout.
    Look(&'a Change),
    /// Nothing.
    Nothing,
}

/// The store of one coordinator, or of several.
pub trait Store: Send {
    /// Adds a task.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Failed`].
    fn add_task(&mut self, task: &TaskRow, at: i64) -> Result<(), Error>;

    /// Takes a task away that has opened no round: its name may be given again.
    ///
    /// # Errors
    /// [`Error::HasRounds`], [`Error::Missing`], [`Error::Failed`].
    fn remove_task(&mut self, name: &str, at: i64) -> Result<(), Error>;

    /// All tasks, in the order in which they were added. One whose state this program does not know is paused, and says so.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn tasks(&self) -> Result<Vec<TaskRow>, Error>;

    /// Changes what a task is doing, and why: the reason stays with the task until its next change, and is in the audit log.
    /// A task that is over stays over, and one that is told nothing new stays as it is.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Failed`].
    fn set_task(&mut self, name: &str, state: TaskState, why: Option<&str>, at: i64) -> Result<(), Error>;

    /// Opens a round.
    ///
    /// # Errors
    /// [`Error::Exists`] where the task has a round of this number, [`Error::Failed`].
    fn open_round(&mut self, round: &RoundRow) -> Result<(), Error>;

    /// The round with this context.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn round(&self, context: &Hash) -> Result<Option<RoundRow>, Error>;

    /// A task's latest rounds, the newest first, without their states.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn rounds(&self, task: &str, most: usize) -> Result<Vec<RoundRow>, Error>;

    /// Moves a round from one phase to the next, with its state: `false`, and nothing changes, if it is in another phase.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn advance(&mut self, context: &Hash, from: Phase, to: Phase, state: &[u8], at: i64) -> Result<bool, Error>;

    /// Writes the receipts of those contributions that are new, and their sum, in one transaction; the verdicts are in the
    /// order of the entries, whose positions differ. `sum` is told which of them are new and gives the packed sum of those.
    ///
    /// # Errors
    /// [`Error::Failed`]: whether it was written is then unknown, and the devices must send again.
    fn flush(
        &mut self,
        context: &Hash,
        entries: &[Entry],
        sum: &mut dyn FnMut(&[bool]) -> Vec<u8>,
    ) -> Result<Vec<Verdict>, Error>;

    /// Ends the collecting: `false` if the round does not collect. Durable before it returns, and final.
    ///
    /// # Errors
    /// [`Error::Failed`]: try again until it is known.
    fn freeze(&mut self, context: &Hash, at: i64) -> Result<bool, Error>;

    /// The receipts of a round, by position.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn receipts(&self, context: &Hash) -> Result<Vec<Entry>, Error>;

    /// The partial sums of a round, packed.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn partials(&self, context: &Hash) -> Result<Vec<Vec<u8>>, Error>;

    /// Ends a round well, from phase [`Phase::Unmasking`]: the aggregate, what came of it and the end are one transaction, and
    /// states and partial sums are gone with it. `false`, and nothing changes, if it is in another phase.
    ///
    /// # Errors
    /// [`Error::Overtaken`], [`Error::Failed`]; nothing has changed.
    fn finish(
        &mut self,
        context: &Hash,
        aggregate: &Aggregate,
        outcome: Finished<'_>,
        note: &str,
        at: i64,
    ) -> Result<bool, Error>;

    /// Makes a change of a rollout, or of what serves: all of it with its rows of the audit log, or nothing.
    ///
    /// # Errors
    /// [`Error::Overtaken`], [`Error::Exists`], [`Error::Failed`]; nothing has changed.
    fn change(&mut self, change: &Change, at: i64) -> Result<(), Error>;

    /// The events of a rollout, the oldest first.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn events(&self, rollout: &str) -> Result<Vec<String>, Error>;

    /// What serves, and how often that was changed; 0 and nothing before the first time.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn serving(&self) -> Result<(u64, Option<String>), Error>;

    /// Gives a round up, from any phase that is no end: partial sums go unread. `false` if it is over.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn abandon(&mut self, context: &Hash, note: &str, at: i64) -> Result<bool, Error>;

    /// Lets go of the receipts of rounds that ended before this time; how many rounds.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn forget(&mut self, before: i64) -> Result<usize, Error>;

    /// What a task has learnt, in the order of steps.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn aggregates(&self, task: &str) -> Result<Vec<Aggregate>, Error>;

    /// Adds a version from elsewhere; its number is chosen by the store.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn import(&mut self, version: &VersionRow, at: i64) -> Result<u64, Error>;

    /// All versions, the oldest first.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn versions(&self) -> Result<Vec<VersionRow>, Error>;

    /// The audit log from its start.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn audit(&self) -> Result<Vec<AuditRow>, Error>;
}

/// Whether a task that is in this state for this reason is told something new.
fn is_news(before: TaskState, reason: Option<&str>, state: TaskState, why: Option<&str>) -> bool {
    let over = matches!(before, TaskState::Cancelled | TaskState::Finished);
    !over && (before != state || why.is_some() && why != reason)
}

/// What a contribution is, beside what is written of its device.
fn judge(written: Option<&Hash>, digest: &Hash, collects: bool) -> Verdict {
    match written {
        Some(known) if known == digest => Verdict::Known,
        Some(_) => Verdict::Contradiction,
        None if collects => Verdict::Counted,
        None => Verdict::TooLate,
    }
}
