//! What a controller is told, and what it says.

use super::super::gate::Decision;
use serde::{Deserialize, Serialize};
use sordino_shared::rollout::CellSums;
use thiserror::Error;

/// Where a rollout stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not begun.
    Draft,
    /// Sums of a stage are coming in.
    Observing(usize),
    /// The stage has passed, and lasts until its time is over.
    Passed(usize),
    /// The stage has passed and its time is over: somebody has to say yes.
    Waiting(usize),
    /// All devices have the candidate.
    Full,
    /// Nothing goes on until somebody says so.
    Held(Box<Phase>),
    /// Taken back, for good.
    Aborted,
}

/// Somebody, and what they may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub name: String,
    /// May let a candidate go on, hold it and resume.
    pub may_promote: bool,
    /// May take it back.
    pub may_abort: bool,
    /// May, together with somebody else who may, go on past a gate that has not passed.
    pub may_skip: bool,
}

/// One release of a stage's sums.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Treatment and control, each by the worst served and the rest.
    pub sums: [[CellSums; 2]; 2],
    /// The variance of the noise in each value.
    pub noise_variance: f64,
}

/// What comes from outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin.
    Start(Actor),
    /// A release of a stage's sums.
    Release(Box<Release>),
    /// Time has passed.
    Tick,
    /// Go on to the next stage, where that waits for somebody; why, if they say so.
    Promote(Actor, Option<String>),
    /// Go on although the gate has not passed: takes two persons.
    Skip(Actor, Actor, String),
    /// Stay where one is.
    Hold(Actor, String),
    /// Go on from where it was held.
    Resume(Actor),
    /// Take it back.
    Abort(Actor, String),
}

/// What has happened: what the audit log holds. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// It began.
    Started {
        /// When.
        at: i64,
        /// By whom.
        who: String,
    },
    /// A look was decided, from these sums of one more release.
    Looked {
        /// When.
        at: i64,
        /// The stage.
        stage: usize,
        /// The release.
        release: Box<Release>,
        /// What was decided.
        decision: Box<Decision>,
    },
    /// The stage's time is over, and it waits for somebody.
    Waits {
        /// When.
        at: i64,
        /// The stage.
        stage: usize,
    },
    /// It went on; by itself where nobody is named.
    Advanced {
        /// When.
        at: i64,
        /// To this stage; all devices where it is beyond the last.
        to: usize,
        /// By whom.
        who: Vec<String>,
        /// Why: always where a gate was skipped, by two; where one has promoted it, if they said so.
        why: Option<String>,
    },
    /// It was held; by itself where nobody is named.
    Held {
        /// When.
        at: i64,
        /// By whom.
        who: Option<String>,
        /// Why.
        why: String,
    },
    /// It goes on from where it was held.
    Resumed {
        /// When.
        at: i64,
        /// By whom.
        who: String,
    },
    /// It was taken back; by itself where nobody is named.
    Aborted {
        /// When.
        at: i64,
        /// By whom.
        who: Option<String>,
        /// Why.
        why: String,
    },
}

impl Event {
    /// When it happened.
    pub fn at(&self) -> i64 {
        match self {
            Self::Started { at, .. }
            | Self::Looked { at, .. }
            | Self::Waits { at, .. }
            | Self::Advanced { at, .. }
            | Self::Held { at, .. }
            | Self::Resumed { at, .. }
            | Self::Aborted { at, .. } => *at,
        }
    }
}

/// Why an input comes to nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Not from here.
    #[error("a rollout that is {0} cannot do that")]
    Phase(String),
    /// Not by them.
    #[error("{0} has no right to do that")]
    Right(String),
    /// Two are needed.
    #[error("a gate is skipped by two persons: {0} cannot be both")]
    SamePerson(String),
    /// Sums that are no numbers.
    #[error("the sums of the release are no finite numbers")]
    NotFinite,
}

/// A stored course that does not follow from itself.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("event {0} does not follow from those before it: it was changed, or some are missing")]
pub struct Broken(pub usize);

impl Actor {
    pub(super) fn promotes(&self) -> Result<(), Refused> {
        self.allowed(self.may_promote)
    }

    pub(super) fn allowed(&self, right: bool) -> Result<(), Refused> {
        if right { Ok(()) } else { Err(Refused::Right(self.name.clone())) }
    }
}
