//! The device's half: one type a step, each of which consumes the one before it (docs/protocol.md, section 2).
//!
//! ```text
//! advertise -> Advertised -share-> Shared -receive-> Ready -mask-> Uploaded -agree-> Agreed -unmask-> Answered
//! ```
//!
//! A step that refuses consumes its state as well, and a state that goes away wipes its secrets: whatever a coordinator
//! does, a device ends in one of these states or in none. From the upload on, a message comes out only after the state
//! that forbids contradicting it has been written ([`Unsaved`]), and [`resume`] reads it back after a restart.

mod advertise;
mod record;
mod refusal;
mod roster;
mod share;
mod unmask;
mod upload;

#[cfg(test)]
pub(in crate::secagg) use advertise::Secrets;
pub use advertise::{Advertised, Joining, Member, Policy, advertise};
pub use record::{RecordError, Resumed, Unsaved, resume};
pub use refusal::Refusal;
pub use share::Shared;
pub use unmask::{Agreed, Answered};
pub use upload::{Ready, Uploaded};

use super::finder::Degree;
use super::graph::Graph;
use super::identity::PublicIdentity;
use super::keys::Scope;
use super::lanes::Shape;
use super::messages::Bits;
use super::transcript::Hash;
use crate::wire::{Decode, Encode};
use zeroize::Zeroizing;

/// A device's place in the round and its neighbours, once it has accepted the roster. None of it is secret.
#[derive(Clone, Debug)]
struct Neighbourhood {
    place: Place,
    neighbours: Vec<Neighbour>,
}

/// What of it is not about single neighbours; written into records as it is.
#[derive(Clone, Debug, Encode, Decode)]
struct Place {
    context: Hash,
    roster: Hash,
    devices: u32,
    position: u32,
    threshold: u32,
    min_survivors: u32,
    values: u32,
    bits: u32,
    // From which the ring follows, where there is one, and how many survivors each k/2 places of it must have.
    seed: Option<Hash>,
    least_in_window: u32,
}

/// A neighbour, by slot.
#[derive(Clone, Debug)]
struct Neighbour {
    position: u32,
    identity: Hash,
}

/// A neighbour's keys of the round, by slot. Not needed once the vector is masked.
#[cfg_attr(test, derive(Clone))]
struct Peer {
    // The slot at which the neighbour has this device: the number of the shares that it deals to this device.
    reverse_slot: u32,
    sealing_key: Hash,
    masking_key: Hash,
}

/// A device's shares of a neighbour's two secrets; wiped on drop.
#[derive(Clone)]
pub(in crate::secagg) struct Held {
    masking: Zeroizing<Hash>,
    own: Zeroizing<Hash>,
}

#[cfg(test)]
impl Held {
    pub(in crate::secagg) fn inspect_secrets<T>(&self, see: impl FnOnce(&Zeroizing<Hash>, &Zeroizing<Hash>) -> T) {
        let Self { masking, own } = self;
        see(masking, own);
    }
}

impl Neighbourhood {
    fn scope(&self) -> Scope {
        Scope { context: self.place.context, roster: self.place.roster }
    }

    fn shape(&self) -> Shape {
        Shape { values: self.place.values, bits: self.place.bits }
    }

    fn of_round(&self, context: &Hash) -> Result<(), Refusal> {
        if *context == self.place.context { Ok(()) } else { Err(Refusal::OtherRound) }
    }

    /// Section 2.7: what a device asks of the set of survivors before it signs it.
    fn check_survivors(&self, survivors: &Bits, alive: &Bits) -> Result<(), Refusal> {
        if survivors.places() != self.place.devices {
            return Err(Refusal::SurvivorSet("its length is not the roster's"));
        }
        if survivors.count() < self.place.min_survivors {
            return Err(Refusal::TooFewSurvivors { survivors: survivors.count(), least: self.place.min_survivors });
        }
        if !survivors.contains(self.place.position) {
            return Err(Refusal::LeftOut);
        }
        let appeared = |(slot, neighbour): (usize, &Neighbour)| {
            survivors.contains(neighbour.position) && !alive.contains(slot as u32)
        };
        if self.neighbours.iter().enumerate().any(appeared) {
            return Err(Refusal::SurvivorSet("a neighbour is in it that had dealt no shares"));
        }
        let degree = Degree { neighbours: self.neighbours.len() as u32, threshold: self.place.threshold };
        let graph = Graph::new(self.place.devices, degree, self.place.seed.as_ref());
        if graph.is_cut(survivors, self.place.least_in_window) {
            return Err(Refusal::Cut);
        }
        Ok(())
    }

    fn identity(&self, slot: usize) -> Result<PublicIdentity, Refusal> {
        PublicIdentity::new(&self.neighbours[slot].identity).ok_or(Refusal::Certificate { slot })
    }
}
