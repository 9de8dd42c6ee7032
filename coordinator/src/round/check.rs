//! What devices say: read, held against who they are, and taken.

use super::{Live, State};
use crate::store::Phase;
use sordino_shared::control::{Code, Reject, Step};
use sordino_shared::secagg::Hash;
use sordino_shared::secagg::coordinator::{
    Checked, CheckedAdvertisement, CheckedAgreement, CheckedAnswer, CheckedShares, Error,
};
use sordino_shared::secagg::messages::{Advertisement, Agreement, Answer, ReceivedUpload, Shares};
use sordino_shared::wire::{self, Kind};
use std::mem;

/// A message that holds by itself.
pub enum Heard {
    /// Keys.
    Advertisement(CheckedAdvertisement),
    /// Shares.
    Shares(CheckedShares),
    /// A vector; the store decides whether it counts.
    Upload(Checked<'static>),
    /// A signature over the survivors.
    Agreement(CheckedAgreement),
    /// Shares that open the sum.
    Answer(CheckedAnswer),
    /// A message of a step that is over: its outcome is told again.
    Earlier,
}

impl Live {
    /// Reads a step's message from the device with this identity and checks whatever can be checked without changing
    /// anything. What a message says of its sender must be what the connection was authenticated with. An upload's frame
    /// is taken, since the vector in it waits for the store.
    ///
    /// # Errors
    /// [`Reject`], for the sender.
    pub fn check(&self, device: &Hash, frame: &mut Vec<u8>, now: i64) -> Result<Heard, Reject> {
        let kind = wire::kind_of(frame).map_err(malformed)?;
        let step = Step::of(kind).ok_or_else(|| Reject::new(Code::Malformed, "this is no step's message"))?;
        if let State::Abandoned(reason) = &self.state {
            return Err(Reject::new(Code::Abandoned, format!("the round was given up: {reason}")));
        }
        if self.phase() > last_phase(step) {
            return Ok(Heard::Earlier);
        }
        let neighbours = self.cohort().map_or(0, |cohort| cohort.graph().degree().neighbours);
        match (&self.state, kind) {
            (State::Advertising(state), Kind::Advertisement) => {
                let (context, keys) = Advertisement::from_frame(frame).map_err(malformed)?;
                if keys.certificate.key != *device {
                    return Err(not_the_senders());
                }
                Ok(Heard::Advertisement(state.check(&context, keys, now).map_err(refused)?))
            }
            (State::Sharing(state), Kind::Shares) => {
                let shares = Shares::from_frame(frame, neighbours).map_err(malformed)?;
                self.sent_by(device, shares.position)?;
                Ok(Heard::Shares(state.check(shares).map_err(refused)?))
            }
            (State::Collecting(state), Kind::Upload) => {
                let upload = ReceivedUpload::from_frame(mem::take(frame), self.terms.shape()).map_err(malformed)?;
                self.sent_by(device, upload.position)?;
                Ok(Heard::Upload(state.check(upload).map_err(refused)?))
            }
            (State::Frozen(state), Kind::Agreement) => {
                let agreement = Agreement::from_frame(frame).map_err(malformed)?;
                self.sent_by(device, agreement.position)?;
                Ok(Heard::Agreement(state.check(&agreement).map_err(refused)?))
            }
            (State::Unmasking(state), Kind::Answer) => {
                let answer = Answer::from_frame(frame, neighbours).map_err(malformed)?;
                self.sent_by(device, answer.position)?;
                Ok(Heard::Answer(state.check(answer).map_err(refused)?))
            }
            _ => Err(Reject::new(Code::Invalid, "the round has not come to this step")),
        }
    }

    /// Takes a message that was checked; an upload is the store's to take. Where the round has gone on since the check,
    /// nothing is taken.
    ///
    /// # Errors
    /// [`Reject`], for the sender.
    pub fn record(&mut self, heard: Heard) -> Result<(), Reject> {
        match (&mut self.state, heard) {
            (State::Advertising(state), Heard::Advertisement(checked)) => state.record(checked).map_err(refused),
            (State::Sharing(state), Heard::Shares(checked)) => state.record(checked).map_err(refused),
            (State::Frozen(state), Heard::Agreement(checked)) => {
                state.record(&checked);
                Ok(())
            }
            (State::Unmasking(state), Heard::Answer(checked)) => {
                state.record(checked);
                Ok(())
            }
            // The round has gone on since the check: its outcome says whether this device is in it.
            _ => Ok(()),
        }
    }

    fn sent_by(&self, device: &Hash, position: u32) -> Result<(), Reject> {
        match self.cohort().and_then(|cohort| cohort.position(device)) {
            Some(own) if own == position => Ok(()),
            Some(_) => Err(not_the_senders()),
            None => Err(Reject::new(Code::TooLate, "this device is not in the round's roster")),
        }
    }
}

/// The last phase in which a step's message is new.
fn last_phase(step: Step) -> Phase {
    match step {
        Step::Roster => Phase::Advertising,
        Step::Delivery => Phase::Sharing,
        Step::Survivors => Phase::Collecting,
        Step::Quorum => Phase::Frozen,
        Step::Done => Phase::Unmasking,
    }
}

fn malformed(error: wire::Error) -> Reject {
    let code = if matches!(error, wire::Error::Version(_)) { Code::Version } else { Code::Malformed };
    Reject::new(code, error)
}

fn refused(error: Error) -> Reject {
    let code = match error {
        Error::OtherRound => Code::UnknownRound,
        Error::Certificate => Code::NotEnrolled,
        Error::Full(_) => Code::Full,
        Error::Contradiction(_) => Code::Contradiction,
        Error::NoPart(_) => Code::TooLate,
        _ => Code::Invalid,
    };
    Reject::new(code, error)
}

fn not_the_senders() -> Reject {
    Reject::new(Code::Invalid, "the message speaks for another device than the one that sent it")
}
