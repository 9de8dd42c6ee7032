//! What keeps a ledger from being used, and a release from happening.

use super::super::Mode;
use super::super::accountant::{self, correlated::Strategy};
use super::super::rounded;
use crate::plain::shown;
use thiserror::Error;

/// What can go wrong with the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no ledger.
    #[error("there is no ledger at {0}: if there was one, put its latest copy back and take part in nothing before")]
    Missing(String),
    /// There is one already.
    #[error("there is a ledger at {0} already: open it, what it says stays spent")]
    Exists(String),
    /// Another process holds it.
    #[error("the ledger at {0} is in use by another process: wait for it")]
    InUse(String),
    /// The content is not what was written.
    #[error("the ledger at {path} is damaged ({reason}): take part in no round until it is restored")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer version wrote it.
    #[error("the ledger at {path} has version {found}, this program knows {known}: update the program")]
    Newer {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The policy is another than the ledger's.
    #[error("the ledger allows {ledger}, and the settings say {given}: `Ledger::rebase` changes it, with a reason")]
    PolicyChanged {
        /// The ledger's.
        ledger: String,
        /// What the caller has.
        given: String,
    },
    /// A policy that makes no sense.
    #[error("the policy makes no sense: {0}")]
    Policy(#[from] accountant::Error),
    /// A budget that the samplers cannot keep: nothing would ever be paid from it.
    #[error("{}", inexact(*epsilon, *delta, *most))]
    Inexact {
        /// Its epsilon, or what is spent already.
        epsilon: f64,
        /// Its delta.
        delta: f64,
        /// The largest epsilon that can be kept at this delta; below 0, or no number, where none can.
        most: f64,
    },
    /// The release must not happen.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk did not do what it was asked.
    #[error("the ledger at {path} could not be {action}: {source}")]
    Disk {
        /// The file.
        path: String,
        /// Read, written, ...
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

/// Why a device does not take part, in words for the listener and the operator.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// No noise at all.
    #[error("round {round} of '{}' has no noise: it promises nothing", shown(task))]
    NoNoise {
        /// The task.
        task: String,
        /// The round.
        round: u64,
    },
    /// A mode that the policy does not accept.
    #[error("round {round} of '{}' is in mode {}, which the policy does not accept", shown(task), mode.name())]
    Mode {
        /// The task.
        task: String,
        /// The round.
        round: u64,
        /// The mode.
        mode: Mode,
    },
    /// The round was paid for already: send the stored bytes again, or nothing.
    #[error(
        "round {round} of '{}' was spent already: send the same bytes again or nothing, never new noise",
        shown(task)
    )]
    Twice {
        /// The task.
        task: String,
        /// The round.
        round: u64,
    },
    /// The budget does not suffice.
    #[error(
        "round {round} of '{}' costs rho {}, and of {} ({}) {} is spent: it does not fit",
        shown(task),
        rounded::up(*cost, 6),
        rounded::down(*limit, 6),
        shown(whose),
        rounded::up(*spent, 6)
    )]
    Overspent {
        /// The task.
        task: String,
        /// The round.
        round: u64,
        /// rho of the round.
        cost: f64,
        /// rho spent before.
        spent: f64,
        /// rho allowed.
        limit: f64,
        /// Whose budget: of all tasks, or of one.
        whose: String,
    },
    /// More, closer or later participations than the task's noise was made for, or another strategy than before.
    #[error(
        "round {round} of '{}' breaks its limits: at most {} participations, {} rounds apart, in rounds 0 to {}, all \
         under one plan",
        shown(task),
        strategy.limits.most,
        strategy.limits.separation,
        strategy.rounds.saturating_sub(1)
    )]
    Participation {
        /// The task.
        task: String,
        /// The round.
        round: u64,
        /// What the noise was made for.
        strategy: Strategy,
    },
    /// The samplers' distance from their law would no longer vanish in delta.
    #[error("the noise of round {round} of '{}' is not exact enough for delta {delta:e}", shown(task))]
    Distance {
        /// The task.
        task: String,
        /// The round.
        round: u64,
        /// The policy's delta.
        delta: f64,
    },
}

fn inexact(epsilon: f64, delta: f64, most: f64) -> String {
    let why =
        format!("epsilon {epsilon} at delta {delta:e} cannot be kept: noise is drawn to within 2^-110 of its law");
    if most < 0.1 || most.is_nan() {
        return format!("{why}, and that is too coarse for so small a delta: take 1e-6");
    }
    let most = (10.0 * most).floor() / 10.0;
    format!("{why}, which is exact enough up to epsilon {most} there: choose one up to that")
}
