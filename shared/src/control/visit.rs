//! A device's visit: checking in, and asking for the outcome of a step.

use super::PlanTerms;
use crate::secagg::Hash;
use crate::secagg::messages::Offer;
use crate::wire::{self, Decode, Encode, Kind};

/// A device asks for work.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CheckIn {
    /// The population that it belongs to.
    pub population: String,
    /// The program's version, as its maker counts.
    pub client: String,
    /// Whether it would take part in a training's round now.
    pub trains: bool,
    /// Whether it would take part in a round of a rollout's metrics now.
    pub measures: bool,
    /// Tasks that it takes no part in now, because it has done so already.
    pub declines: Vec<String>,
}

impl CheckIn {
    /// Of a device that would take part in whatever there is.
    pub fn new(population: &str, client: &str) -> Self {
        let (population, client) = (population.to_owned(), client.to_owned());
        Self { population, client, trains: true, measures: true, declines: Vec::new() }
    }
}

/// What is to be loaded, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Download {
    /// SHA-256 of the bytes.
    pub digest: Hash,
    /// How many there are.
    pub length: u64,
}

/// The registry as it stands. Nothing in it is believed but what is signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Announced {
    /// Its newest timestamp.
    pub timestamp: Download,
    /// Its roots, from the first on.
    pub roots: Vec<Download>,
}

/// A round to take part in.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    /// What the plan is made from.
    pub plan: PlanTerms,
    /// What devices load: the device's half of the workload.
    pub broadcast: Download,
    /// The signed terms.
    pub offer: Offer,
    /// The registry, if there is one.
    pub registry: Option<Announced>,
}

#[derive(Encode, Decode)]
struct AssignedHeader {
    plan: PlanTerms,
    broadcast: Download,
    registry: Option<Announced>,
}

/// Nothing to do now.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RetryAfter {
    /// The least time to wait, in milliseconds. The device draws evenly between both.
    pub min_ms: u64,
    /// The most.
    pub max_ms: u64,
    /// The registry, if there is one.
    pub registry: Option<Announced>,
}

/// A step whose outcome a device waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Step {
    /// Keys sent, the roster wanted.
    Roster,
    /// Shares sent, the neighbours' wanted.
    Delivery,
    /// Vector sent and counted, the survivors wanted.
    Survivors,
    /// Survivors signed, the neighbours' signatures wanted.
    Quorum,
    /// Shares given out, the end wanted.
    Done,
}

/// A device asks for the outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ask {
    /// The round.
    pub context: Hash,
    /// The step.
    pub step: Step,
}

/// The step is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Wait {
    /// How long to wait before asking again, in milliseconds; the coordinator has already held the request for a while.
    pub after_ms: u64,
}

/// A vector is counted, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The round.
    pub context: Hash,
    /// SHA-256 of the packed vector that was counted.
    pub digest: Hash,
}

/// The device's part is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Done {
    /// The round.
    pub context: Hash,
}

/// Messages that are one header and no payload.
macro_rules! header_only {
    ($($message:ident),*) => {$(
        impl $message {
            /// To a frame.
            pub fn to_frame(&self) -> Vec<u8> {
                wire::encode(Kind::$message, self, &[])
            }

            /// From a frame.
            ///
            /// # Errors
            /// As of [`wire::Error`].
            pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
                Ok(wire::decode(frame, Kind::$message, 0)?.0)
            }
        }
    )*};
}

header_only!(CheckIn, RetryAfter, Ask, Wait, Receipt, Done);

impl Assigned {
    /// To a frame; the offer is a frame within it.
    pub fn to_frame(&self) -> Vec<u8> {
        let header =
            AssignedHeader { plan: self.plan.clone(), broadcast: self.broadcast, registry: self.registry.clone() };
        wire::encode(Kind::Assigned, &header, &[&self.offer.to_frame()])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        let (header, offer): (AssignedHeader, _) = wire::decode(frame, Kind::Assigned, MOST_OFFER)?;
        let AssignedHeader { plan, broadcast, registry } = header;
        Ok(Self { plan, broadcast, registry, offer: Offer::from_frame(offer)? })
    }
}

/// The most bytes of an [`Assigned`] frame's payload.
pub(crate) const MOST_OFFER: usize = 4096 + wire::Preamble::BYTES;
