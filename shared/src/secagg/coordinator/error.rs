//! What goes wrong at the coordinator: a device's message is refused, or the round is given up.

use crate::secagg::finder;
use crate::secagg::transcript::Hash;
use thiserror::Error;

/// Why a device's message is refused. The round goes on without it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A message of another round, or under other terms.
    #[error("the message belongs to another round")]
    OtherRound,
    /// The device is not enrolled, or its certificate is over.
    #[error("the device is not enrolled with this authority, or its certificate is over")]
    Certificate,
    /// The advertised keys are not signed for this round, of low order, or another device's.
    #[error("the advertised keys are {0}")]
    Keys(&'static str),
    /// The cohort is full.
    #[error("the cohort of {0} devices is full")]
    Full(u32),
    /// The same device has said something else before.
    #[error("the device {0} has sent something else in this step before")]
    Contradiction(Device),
    /// The sender is not one of the devices that this step takes messages from.
    #[error("the device {0} has no part in this step")]
    NoPart(Device),
    /// The signature is not that of the device at this position.
    #[error("the message is not signed by the device {0}")]
    Signature(Device),
    /// The message's parts do not fit the round.
    #[error("the message of the device {device} does not fit the round: {why}")]
    Malformed {
        /// Whose it is.
        device: Device,
        /// What does not fit.
        why: &'static str,
    },
    /// A share that is not the one that was dealt to the device.
    #[error("the device {device} gave a wrong share of the device {dealer}'s secret")]
    WrongShare {
        /// Who lied.
        device: Device,
        /// Whose secret the share is of.
        dealer: Device,
    },
}

/// A device in an error: its position and its identity, by which it can be kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its position in the roster.
    pub position: u32,
    /// Its Ed25519 key, if there is such a position.
    pub identity: Option<Hash>,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.identity {
            None => write!(f, "at position {}", self.position),
            Some([a, b, c, d, ..]) => write!(f, "at position {} ({a:02x}{b:02x}{c:02x}{d:02x}...)", self.position),
        }
    }
}

impl Error {
    /// The device at fault, where its place in the roster is known.
    pub fn culprit(&self) -> Option<Device> {
        match *self {
            Self::Contradiction(device)
            | Self::NoPart(device)
            | Self::Signature(device)
            | Self::Malformed { device, .. }
            | Self::WrongShare { device, .. } => Some(device),
            _ => None,
        }
    }
}

/// A step of the protocol, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keys.
    Advertise,
    /// Shares.
    Share,
    /// Vectors.
    Upload,
    /// Signatures.
    Agree,
    /// Opening.
    Unmask,
}

/// Why a round is given up. The sum stays masked.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Abandoned {
    /// Too few devices are left.
    #[error("{found} devices are left after the step {step:?}, fewer than the {least} that the plan counts on")]
    TooFew {
        /// After which step.
        step: Step,
        /// Devices left.
        found: u32,
        /// The least.
        least: u32,
    },
    /// Too few of a device's neighbours are left to open its secret.
    #[error(
        "{found} neighbours of the device {device} are left after the step {step:?}, fewer than the {least} that can \
         open its secret"
    )]
    Closed {
        /// After which step.
        step: Step,
        /// Whose secret stays closed.
        device: Device,
        /// Neighbours left.
        found: u32,
        /// The threshold.
        least: u32,
    },
    /// Those that dropped out leave the survivors in parts: devices would refuse.
    #[error("those that dropped out stood together on the ring: devices would refuse to open sums of parts")]
    Cut,
    /// A device dealt shares that do not give what it advertised.
    #[error("the device {0} dealt false shares: its secret cannot be opened")]
    FalseDealer(Device),
    /// No graph for the devices that came.
    #[error(transparent)]
    Graph(#[from] finder::Error),
    /// The authority's signature is missing or does not hold.
    #[error("the roster's graph needs the authority's signature over exactly this roster")]
    Undrawn,
    /// The sum is of another plan.
    #[error("the sum has another shape than the round's plan")]
    OtherShape,
}
