//! One masked round at the coordinator: who is heard, what they are told, and when it goes on.
//!
//! Sans-IO. A device's message is checked by [`Live::check`], which reads only and may run on any core, and taken by
//! [`Live::record`]. [`Live::outcome`] is what a device is told, again and again the same. [`Live::decide`] says what is due
//! at a time; whoever drives the round makes that durable and then hands it to [`Live::apply`], which alone changes the
//! phase. So after a crash the round stands where its store says, and devices that were told something were told what is
//! written there.

mod check;
mod decide;
mod outcome;
#[cfg(test)]
mod tests;
mod timing;

pub use check::Heard;
pub use decide::{Decision, Next, Opening};
pub use outcome::Outcome;
pub use timing::{Timing, Trust};

use crate::store::{Entry, Phase, RoundRow};
use serde::{Deserialize, Serialize};
use sordino_shared::control::{Assigned, Download, PlanTerms};
use sordino_shared::plan::RoundPlan;
use sordino_shared::secagg::coordinator::{
    Abandoned, Advertising, Agreeing, Cohort, Drawing, Sharing, Unmasking, Uploading,
};
use sordino_shared::secagg::messages::Offer;
use sordino_shared::secagg::{Assumptions, Hash, Identity, PublicIdentity, Terms, TermsError};
use sordino_shared::wire;
use sordino_shared::workload::Broadcast;
use thiserror::Error;

/// How long each step may take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Keys.
    pub advertise_ms: i64,
    /// Shares.
    pub share_ms: i64,
    /// Vectors.
    pub upload_ms: i64,
    /// Signatures over the survivors.
    pub agree_ms: i64,
    /// Shares that open the sum.
    pub unmask_ms: i64,
}

/// Everything that a round is made from again after a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The task.
    pub task: String,
    /// The round within it.
    pub number: u64,
    /// The step of the training.
    pub step: u64,
    /// What the plan is made from.
    pub plan: PlanTerms,
    /// What is assumed of the devices.
    pub assumptions: Assumptions,
    /// The most devices that the round is offered to.
    pub offered: u32,
    /// How long its steps may take.
    pub deadlines: Deadlines,
}

/// Why a round cannot be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No plan.
    #[error("the round cannot be planned: {0}")]
    Plan(#[from] sordino_shared::plan::Error),
    /// No masks.
    #[error("the round cannot be masked: {0}")]
    Terms(#[from] TermsError),
    /// What was stored is not what this program writes.
    #[error("the stored round cannot be read: {0}")]
    Stored(#[from] wire::Error),
    /// The stored round is another one than its setting gives.
    #[error("the stored round's terms are not those of its setting: was the model or the program changed?")]
    OtherTerms,
}

/// A round that is under way, or over.
pub struct Live {
    setting: Setting,
    terms: Terms,
    plan: RoundPlan,
    assigned: Assigned,
    state: State,
    // When the present phase began.
    entered: i64,
    // Devices whose vectors are counted, as the store says.
    counted: u32,
}

/// Where the round stands.
#[derive(Clone, Debug)]
enum State {
    Advertising(Advertising),
    Drawing(Drawing),
    Sharing(Sharing),
    Collecting(Uploading),
    // The freeze is durable; what follows from the receipts is computed from them.
    Frozen(Agreeing),
    Unmasking(Unmasking),
    Done,
    Abandoned(String),
}

impl State {
    fn phase(&self) -> Phase {
        match self {
            Self::Advertising(_) => Phase::Advertising,
            Self::Drawing(_) => Phase::Drawing,
            Self::Sharing(_) => Phase::Sharing,
            Self::Collecting(_) => Phase::Collecting,
            Self::Frozen(_) => Phase::Frozen,
            Self::Unmasking(_) => Phase::Unmasking,
            Self::Done => Phase::Done,
            Self::Abandoned(_) => Phase::Abandoned,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Advertising(state) => wire::snapshot(state),
            Self::Drawing(state) => wire::snapshot(state),
            Self::Sharing(state) => wire::snapshot(state),
            Self::Collecting(state) => wire::snapshot(state),
            Self::Frozen(_) | Self::Done | Self::Abandoned(_) => Vec::new(),
            Self::Unmasking(state) => wire::snapshot(state),
        }
    }
}

impl Live {
    /// Makes a round's terms and opens it.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn open(
        setting: Setting,
        broadcast: (&Broadcast, Download),
        operator: &Identity,
        authority: &PublicIdentity,
        now: i64,
    ) -> Result<Self, Error> {
        let (broadcast, download) = broadcast;
        let plan = setting.plan.plan(broadcast)?;
        let terms = Terms::new(&setting.task, setting.number, &plan, download.digest, setting.assumptions)?;
        let offer: Offer = terms.offer(operator);
        let assigned = Assigned { plan: setting.plan.clone(), broadcast: download, offer, registry: None };
        let state = State::Advertising(Advertising::new(&terms, authority));
        Ok(Self { setting, terms, plan, assigned, state, entered: now, counted: 0 })
    }

    /// The same round after a restart, from its row and receipts. Steps begin anew in time; nothing else does.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn restore(mut self, row: &RoundRow, receipts: &[Entry]) -> Result<Self, Error> {
        if row.context != self.context() {
            return Err(Error::OtherTerms);
        }
        self.counted = receipts.len() as u32;
        self.state = match row.phase {
            // Keys that had come in were in memory alone: nobody was told that they are in a roster.
            Phase::Advertising => self.state,
            Phase::Drawing => State::Drawing(wire::restore(&row.state)?),
            Phase::Sharing => State::Sharing(wire::restore(&row.state)?),
            Phase::Collecting => State::Collecting(wire::restore(&row.state)?),
            Phase::Frozen => Self::frozen(wire::restore(&row.state)?, receipts),
            Phase::Unmasking => State::Unmasking(wire::restore(&row.state)?),
            Phase::Done => State::Done,
            Phase::Abandoned => State::Abandoned(row.note.clone()),
        };
        Ok(self)
    }

    /// What follows from a durable freeze: the same from the same receipts, however often it is computed.
    fn frozen(mut uploading: Uploading, receipts: &[Entry]) -> State {
        uploading.restore(receipts.iter().map(|entry| (entry.position, entry.digest)));
        match uploading.close() {
            Ok(agreeing) => State::Frozen(agreeing),
            Err(abandoned) => Self::given_up(&abandoned),
        }
    }

    fn given_up(abandoned: &Abandoned) -> State {
        State::Abandoned(abandoned.to_string())
    }

    /// ctx.
    pub fn context(&self) -> Hash {
        self.terms.context()
    }

    /// What it was made from.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Its plan.
    pub fn plan(&self) -> &RoundPlan {
        &self.plan
    }

    /// Its terms.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What a device that is taken on is told, beside how the registry stands.
    pub fn assigned(&self) -> &Assigned {
        &self.assigned
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// When the present phase began.
    pub fn entered(&self) -> i64 {
        self.entered
    }

    /// Why it was given up, if it was.
    pub fn given_up_for(&self) -> Option<&str> {
        match &self.state {
            State::Abandoned(reason) => Some(reason),
            _ => None,
        }
    }

    /// Devices that have done the present step, and those that may.
    pub fn progress(&self) -> (u32, u32) {
        match &self.state {
            State::Advertising(state) => (state.devices(), self.setting.plan.cohort),
            State::Drawing(state) => (state.devices(), state.devices()),
            State::Sharing(state) => (state.devices(), state.cohort().devices()),
            State::Collecting(state) => (self.counted, state.alive().count()),
            State::Frozen(state) => (state.devices(), self.counted),
            State::Unmasking(state) => (state.devices(), self.counted),
            State::Done => (self.counted, self.counted),
            State::Abandoned(_) => (0, 0),
        }
    }

    /// Takes note that the store has counted so many more devices.
    pub fn count(&mut self, more: u32) {
        self.counted += more;
    }

    fn cohort(&self) -> Option<&Cohort> {
        match &self.state {
            State::Sharing(state) => Some(state.cohort()),
            State::Collecting(state) => Some(state.cohort()),
            State::Frozen(state) => Some(state.cohort()),
            State::Unmasking(state) => Some(state.cohort()),
            _ => None,
        }
    }
}
