//! What devices are told.

use super::{Live, State};
use crate::store::Phase;
use sordino_shared::control::{Code, Done, Reject, Step};
use sordino_shared::secagg::Hash;

/// What a device that waits for a step's outcome is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The outcome, as a frame.
    Frame(Vec<u8>),
    /// Not yet.
    Wait,
    /// There is none for this device.
    Reject(Reject),
}

impl Live {
    /// The outcome of a step for the device with this identity.
    pub fn outcome(&self, device: &Hash, step: Step) -> Outcome {
        match &self.state {
            State::Abandoned(reason) => {
                return Outcome::Reject(Reject::new(Code::Abandoned, format!("the round was given up: {reason}")));
            }
            State::Done => return Self::after_the_end(step, self.context()),
            State::Advertising(state) if step == Step::Roster => {
                return if state.has(device) { Outcome::Wait } else { send_again() };
            }
            State::Drawing(_) if step == Step::Roster => return Outcome::Wait,
            State::Advertising(_) | State::Drawing(_) => return too_early(),
            _ => {}
        }
        let cohort = self.cohort().expect("the roster is settled");
        let Some(position) = cohort.position(device) else { return too_late() };
        match (step, &self.state) {
            (Step::Roster, State::Sharing(_)) => Outcome::Frame(cohort.roster_for(position).to_frame()),
            (Step::Delivery, State::Sharing(state)) if state.has(position) => Outcome::Wait,
            (Step::Delivery, State::Sharing(_)) => send_again(),
            (Step::Delivery, State::Collecting(state)) => {
                state.delivery_for(position).map_or_else(too_late, |delivery| Outcome::Frame(delivery.to_frame()))
            }
            (Step::Survivors, State::Collecting(_)) => Outcome::Wait,
            (Step::Survivors, State::Frozen(state)) => told_if(state.survivors(), position),
            (Step::Survivors, State::Unmasking(state)) => told_if(state.survivors(), position),
            (Step::Quorum, State::Frozen(state)) if state.has(position) => Outcome::Wait,
            (Step::Quorum, State::Frozen(_)) => send_again(),
            (Step::Quorum, State::Unmasking(state)) => {
                state.quorum_for(position).map_or_else(too_late, |quorum| Outcome::Frame(quorum.to_frame()))
            }
            (Step::Done, State::Unmasking(state)) if state.has(position) => Outcome::Wait,
            (Step::Done, State::Unmasking(_)) => send_again(),
            _ if self.phase() > phase_of(step) => too_late(),
            _ => too_early(),
        }
    }

    /// What is told of a round that is done, from its context alone.
    pub fn after_the_end(step: Step, context: Hash) -> Outcome {
        match step {
            Step::Done => Outcome::Frame(Done { context }.to_frame()),
            _ => too_late(),
        }
    }
}

fn told_if(survivors: sordino_shared::secagg::messages::Survivors, position: u32) -> Outcome {
    if survivors.devices.contains(position) { Outcome::Frame(survivors.to_frame()) } else { too_late() }
}

/// The phase in which a step's outcome is told.
fn phase_of(step: Step) -> Phase {
    match step {
        Step::Roster => Phase::Sharing,
        Step::Delivery => Phase::Collecting,
        Step::Survivors | Step::Quorum => Phase::Unmasking,
        Step::Done => Phase::Done,
    }
}

fn send_again() -> Outcome {
    Outcome::Reject(Reject::new(Code::SendAgain, "the step's message has not been heard: send it again"))
}

fn too_late() -> Outcome {
    Outcome::Reject(Reject::new(Code::TooLate, "the round has gone on without this device"))
}

fn too_early() -> Outcome {
    Outcome::Reject(Reject::new(Code::Invalid, "the round has not come to this step"))
}
