//! A device's part in one masked round, from the assignment to the end: what it sends next, and what it makes of the
//! answer (docs/protocol.md, sections 2 and 11).
//!
//! Sans-IO: [`Part::request`] is the frame to send, as often as connections break; [`Part::take`] takes the frame that came
//! back. Whoever drives it owns sockets and clocks. What differs between devices (who they are, how a vector comes about,
//! where records are kept) is a [`Participant`].

use crate::masks;
use crate::participation::{self, Invitation};
use crate::train::Randomness;
use sordino_shared::bytes;
use sordino_shared::control::{Ask, Assigned, Code, Receipt, Reject, Step};
use sordino_shared::plan::{self, RoundPlan};
use sordino_shared::secagg::Hash;
use sordino_shared::secagg::device::{
    Advertised, Agreed, Joining, Member, Policy, Ready, RecordError, Refusal, Resumed, Shared, Unsaved, Uploaded,
    resume,
};
use sordino_shared::secagg::messages::{Delivery, Quorum, Roster, Survivors, Upload};
use sordino_shared::wire::{self, Kind};
use sordino_shared::workload::Broadcast;
use thiserror::Error;

/// A device as a round sees it.
pub trait Participant {
    /// Who it is.
    fn member(&self) -> Member<'_>;

    /// What it asks of a round.
    fn policy(&self) -> &Policy;

    /// The time, in milliseconds since 1970.
    fn now(&self) -> i64;

    /// Whether it would pay for the round, asked before it makes itself known there: nobody waits for a device that cannot.
    ///
    /// # Errors
    /// [`Error::Participation`] with the reason why not.
    fn would_pay(&self, round: &Round) -> Result<(), Error> {
        let _ = round;
        Ok(())
    }

    /// How long it takes, in milliseconds, from the delivery of shares to the vector: so long at least, and in whole steps of
    /// that, so that nobody sees from outside how much there was to reckon with. 0: as long as it takes.
    fn steady_ms(&self) -> u64 {
        0
    }

    /// Pays for the round and makes its vector, masked.
    ///
    /// # Errors
    /// [`enum@Error`]; then the device's part is over.
    fn upload(&mut self, round: &Round, ready: Ready) -> Result<Unsaved<Uploaded, Upload>, Error>;

    /// Puts the round's record durably in the place of an earlier one.
    ///
    /// # Errors
    /// [`Error::Store`]; then the message of which it is does not leave.
    fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), Error>;

    /// The round is over: its record is not needed any more.
    ///
    /// # Errors
    /// [`Error::Store`].
    fn forget(&mut self, context: &Hash) -> Result<(), Error>;
}

/// What a device holds of a round that it was assigned to.
#[derive(Debug)]
pub struct Round {
    /// The task.
    pub task: String,
    /// The round within it.
    pub number: u64,
    /// The plan, made by the device itself.
    pub plan: RoundPlan,
    /// The workload's device half.
    pub broadcast: Broadcast,
}

/// Why a device's part in a round is over before its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device refuses: the coordinator's fault, or that of somebody it speaks for.
    #[error("this device leaves the round: {0}")]
    Refused(#[from] Refusal),
    /// The coordinator refuses.
    #[error("the coordinator refuses: {0}")]
    Rejected(Reject),
    /// What was loaded is not what the terms name.
    #[error("what was loaded for the round is not what the offer names")]
    OtherBroadcast,
    /// What was loaded is another task's: a rollout's measuring under another name, or a training under a rollout's.
    #[error("what was loaded for the round does not belong to a task called '{0}'")]
    OtherTask(String),
    /// What was loaded cannot be read.
    #[error("what was loaded for the round cannot be read: {0}")]
    Broadcast(#[from] bytes::Error),
    /// The plan cannot be made.
    #[error("the round's plan cannot be: {0}")]
    Plan(#[from] plan::Error),
    /// A frame that cannot be read, or does not answer the request.
    #[error("the coordinator's answer cannot be read: {0}")]
    Frame(#[from] wire::Error),
    /// The receipt is for another vector.
    #[error("the receipt names another vector than the one that was sent")]
    OtherReceipt,
    /// The ledger refused, or no noise could be drawn.
    #[error(transparent)]
    Participation(#[from] participation::Error),
    /// The host does not let the device go on.
    #[error("the device leaves the round: {0}")]
    Interrupted(&'static str),
    /// The record could not be written or read.
    #[error("the device's store failed: {0}")]
    Store(String),
    /// A record of an earlier run cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Round {
    /// What a device is asked to pay for and take part in.
    pub fn invitation(&self) -> Invitation<'_> {
        let Self { task, number, plan, broadcast } = self;
        Invitation { task, round: *number, paid_as: broadcast.paid_as(*number), plan }
    }
}

/// How far a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Send [`Part::request`].
    Send,
    /// The step is not over: send [`Part::request`] after so many milliseconds.
    Wait(u64),
    /// The part is done.
    Over,
}

/// A device's part in a round.
pub struct Part {
    round: Option<Round>,
    context: Hash,
    state: State,
    // What the step sends, and whether the coordinator is known to have it: then its outcome is asked for.
    message: Vec<u8>,
    heard: bool,
}

enum State {
    Advertised(Box<Advertised>),
    Shared(Box<Shared>),
    Sent(Uploaded, Hash),
    Uploaded(Uploaded),
    Agreed(Agreed),
    Answered,
    // A step is being taken; seen only if it failed.
    Nothing,
}

impl Part {
    /// Checks an assignment and makes the round's keys.
    ///
    /// # Errors
    /// [`enum@Error`]; then nothing was made.
    pub fn join(assigned: &Assigned, broadcast: &[u8], device: &impl Participant) -> Result<Self, Error> {
        if assigned.broadcast.digest != assigned.offer.model {
            return Err(Error::OtherBroadcast);
        }
        let broadcast = Broadcast::from_bytes(broadcast)?;
        if !broadcast.is_of(&assigned.offer.task) {
            return Err(Error::OtherTask(assigned.offer.task.clone()));
        }
        let plan = assigned.plan.plan(&broadcast)?;
        let round = Round { task: assigned.offer.task.clone(), number: assigned.offer.round, plan, broadcast };
        device.would_pay(&round)?;
        let joining = Joining {
            offer: &assigned.offer,
            plan: &round.plan,
            model: assigned.broadcast.digest,
            policy: device.policy(),
            member: device.member(),
        };
        let (state, keys) = masks::advertise(joining, device.now(), &mut randomness()?)?;
        let context = state.context();
        let state = State::Advertised(Box::new(state));
        Ok(Self { round: Some(round), context, state, message: keys.to_frame(&context), heard: false })
    }

    /// Goes on after a restart, from the record of the round with this context.
    ///
    /// # Errors
    /// [`Error::Record`]: the device sits the round out.
    pub fn resume(context: Hash, record: &[u8]) -> Result<Self, Error> {
        let (state, message, heard) = match resume(record)? {
            Resumed::Uploaded(state, frame) => {
                let digest = digest_of(&frame);
                (State::Sent(state, digest), frame, false)
            }
            Resumed::Agreed(state) => {
                let frame = state.agreement().to_frame();
                (State::Agreed(state), frame, false)
            }
            Resumed::Answered(state) => (State::Answered, state.again().to_frame(), false),
        };
        Ok(Self { round: None, context, state, message, heard })
    }

    /// The round.
    pub fn context(&self) -> Hash {
        self.context
    }

    /// The step whose outcome is wanted.
    pub fn step(&self) -> Step {
        match self.state {
            State::Advertised(_) => Step::Roster,
            State::Shared(_) => Step::Delivery,
            State::Sent(..) | State::Uploaded(_) => Step::Survivors,
            State::Agreed(_) => Step::Quorum,
            State::Answered | State::Nothing => Step::Done,
        }
    }

    /// The frame to send, again and again until an answer comes.
    pub fn request(&self) -> Vec<u8> {
        if self.heard { Ask { context: self.context, step: self.step() }.to_frame() } else { self.message.clone() }
    }

    /// The most bytes of payload that an answer of this kind can have; `None` for one that answers nothing asked here.
    pub fn most_payload(kind: Kind) -> Option<usize> {
        match kind {
            Kind::Roster | Kind::Delivery | Kind::Survivors | Kind::Quorum => Some(MOST_STEP),
            Kind::Wait | Kind::Receipt | Kind::Done | Kind::Reject => Some(0),
            _ => None,
        }
    }

    /// Takes the answer.
    ///
    /// # Errors
    /// [`enum@Error`]; the part is over, and its secrets are wiped.
    pub fn take(&mut self, frame: &[u8], device: &mut impl Participant) -> Result<Progress, Error> {
        match wire::kind_of(frame)? {
            Kind::Wait => {
                self.heard = true;
                Ok(Progress::Wait(sordino_shared::control::Wait::from_frame(frame)?.after_ms))
            }
            Kind::Reject => {
                let reject = Reject::from_frame(frame)?;
                match reject.code {
                    // The coordinator was restarted, or the message was lost on the way.
                    Code::SendAgain if self.heard && !self.message.is_empty() => {
                        self.heard = false;
                        Ok(Progress::Send)
                    }
                    Code::Busy => Ok(Progress::Wait(BUSY_MS)),
                    _ => self.leave(Error::Rejected(reject), device),
                }
            }
            _ => match self.advance(frame, device) {
                Ok(Progress::Over) => {
                    device.forget(&self.context)?;
                    Ok(Progress::Over)
                }
                Ok(progress) => Ok(progress),
                Err(error) => self.leave(error, device),
            },
        }
    }

    /// The part is over; a record that nobody will ask for goes with it.
    fn leave(&mut self, error: Error, device: &mut impl Participant) -> Result<Progress, Error> {
        self.state = State::Nothing;
        device.forget(&self.context)?;
        Err(error)
    }

    fn advance(&mut self, frame: &[u8], device: &mut impl Participant) -> Result<Progress, Error> {
        let (state, message, heard) = match std::mem::replace(&mut self.state, State::Nothing) {
            State::Advertised(state) => {
                let roster = Roster::from_frame(frame, self.cohort())?;
                let identity = device.member().identity;
                let (state, shares) = masks::share(*state, &roster, identity, device.now(), &mut randomness()?)?;
                (State::Shared(Box::new(state)), shares.to_frame(), false)
            }
            State::Shared(state) => {
                let start = device.now();
                let ready = state.receive(&Delivery::from_frame(frame, self.cohort())?)?;
                let round = self.round.take().expect("a part has its round until the upload");
                let unsaved = device.upload(&round, ready)?;
                let (state, upload) = saved(unsaved, &self.context, device)?;
                let frame = upload.to_frame();
                let digest = digest_of(&frame);
                (self.state, self.message, self.heard) = (State::Sent(state, digest), frame, false);
                return Ok(match rest_of_step(device.now().saturating_sub(start), device.steady_ms()) {
                    0 => Progress::Send,
                    rest => Progress::Wait(rest),
                });
            }
            State::Sent(state, digest) => {
                let receipt = Receipt::from_frame(frame)?;
                if receipt != (Receipt { context: self.context, digest }) {
                    return Err(Error::OtherReceipt);
                }
                // Counted for good: the vector need not be kept in memory.
                (State::Uploaded(state), Vec::new(), true)
            }
            State::Uploaded(state) => {
                let survivors = Survivors::from_frame(frame, state.devices())?;
                let identity = device.member().identity;
                let (state, agreement) = saved(state.agree(&survivors, identity)?, &self.context, device)?;
                (State::Agreed(state), agreement.to_frame(), false)
            }
            State::Agreed(state) => {
                let quorum = Quorum::from_frame(frame, state.neighbours())?;
                let identity = device.member().identity;
                let (_, answer) = saved(state.unmask(&quorum, identity)?, &self.context, device)?;
                (State::Answered, answer.to_frame(), false)
            }
            State::Answered => {
                sordino_shared::control::Done::from_frame(frame)?;
                return Ok(Progress::Over);
            }
            State::Nothing => unreachable!("a part that is over takes nothing"),
        };
        (self.state, self.message, self.heard) = (state, message, heard);
        Ok(Progress::Send)
    }

    fn cohort(&self) -> u32 {
        self.round.as_ref().map_or(0, |round| u32::try_from(round.plan.cohort()).unwrap_or(u32::MAX))
    }
}

/// How long is left of a step of `steady` milliseconds, or of the last of several, after `spent` of them. A clock that was set
/// back says nothing: then it is a whole step.
pub(crate) fn rest_of_step(spent: i64, steady: u64) -> u64 {
    let spent = u64::try_from(spent).unwrap_or(0);
    spent.div_ceil(steady.max(1)).max(1).saturating_mul(steady).saturating_sub(spent)
}

fn saved<S, M>(unsaved: Unsaved<S, M>, context: &Hash, device: &mut impl Participant) -> Result<(S, M), Error> {
    unsaved.save(|record| device.save(context, record))
}

fn randomness() -> Result<Randomness, Error> {
    Randomness::from_operating_system().map_err(|error| Error::Participation(error.into()))
}

/// What a receipt names: the hash of the packed vector, which is an upload's payload.
fn digest_of(upload: &[u8]) -> Hash {
    sordino_shared::secagg::messages::upload_digest(upload).expect("an upload's own frame")
}

// Rosters of the largest cohorts have some hundred neighbours of 208 bytes and their proofs.
const MOST_STEP: usize = 1 << 20;
const BUSY_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::rest_of_step;

    #[test]
    fn a_step_ends_on_a_whole_multiple() {
        for (spent, rest) in [(0, 1000), (1, 999), (999, 1), (1000, 0), (1001, 999), (2500, 500), (-5, 1000)] {
            assert_eq!(rest_of_step(spent, 1000), rest, "{spent}");
        }
        assert_eq!((rest_of_step(0, 0), rest_of_step(77, 0)), (0, 0));
        assert!(rest_of_step(i64::MAX, 1000) < 1000);
    }
}
