//! Why a device ends its part in a round. Each is the coordinator's fault, or that of somebody it speaks for.

use crate::secagg::finder;
use crate::secagg::terms::TermsError;
use thiserror::Error;

/// Why a device refuses. Its part in the round is over and its secrets are wiped.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The terms cannot be.
    #[error("the round's terms cannot be accepted: {0}")]
    Terms(#[from] TermsError),
    /// The terms name another plan than the device holds.
    #[error("the offer is for another plan than the one that came with it")]
    OtherPlan,
    /// The terms name another model than the device holds.
    #[error("the offer is for another model than the one that came with it")]
    OtherModel,
    /// The operator did not sign these terms.
    #[error("the terms are not signed by the operator that this device trusts")]
    Unsigned,
    /// The device asks for more than the terms give.
    #[error("this device asks for {name} of at least {least}, the terms give {found}")]
    Policy {
        /// Of what.
        name: &'static str,
        /// What the device asks for.
        least: f64,
        /// What the terms give.
        found: f64,
    },
    /// The device's own certificate is over, or not of the authority that it trusts.
    #[error("this device's certificate does not hold: enrol it again")]
    OwnCertificate,
    /// A message of another round.
    #[error("the message belongs to another round")]
    OtherRound,
    /// The roster is smaller or larger than the terms allow.
    #[error("a roster of {found} devices is outside {least} to {most}")]
    RosterSize {
        /// Devices in the roster.
        found: u32,
        /// The fewest.
        least: u32,
        /// The most.
        most: u32,
    },
    /// No graph for the roster.
    #[error(transparent)]
    Graph(#[from] finder::Error),
    /// The authority did not draw this graph.
    #[error("the authority has not signed this roster, so its graph may have been chosen")]
    Undrawn,
    /// Not the neighbours that the graph gives, or not those of the roster.
    #[error("the neighbours shown are not those that the graph gives: {0}")]
    Neighbours(&'static str),
    /// The device's own entry is missing or changed.
    #[error("this device's own keys are not in the roster as it sent them")]
    OwnEntry,
    /// A neighbour's certificate does not hold.
    #[error("the neighbour at slot {slot} is not enrolled")]
    Certificate {
        /// Its slot.
        slot: usize,
    },
    /// A neighbour's keys are not signed for this round.
    #[error("the keys of the neighbour at slot {slot} are not signed for this round")]
    AdvertisedKeys {
        /// Its slot.
        slot: usize,
    },
    /// Two devices have a key in common, or stand out of order.
    #[error("two devices of the roster have a key in common, or one identity stands twice")]
    CommonKeys,
    /// A key of low order.
    #[error("a key of the neighbour at slot {slot} is of low order: everybody would know what is agreed with it")]
    LowOrder {
        /// Its slot.
        slot: usize,
    },
    /// Too few neighbours dealt shares that can be opened.
    #[error("{found} neighbours dealt shares that hold, fewer than the {least} that can open a sum")]
    TooFewAlive {
        /// Neighbours whose shares hold.
        found: u32,
        /// The threshold.
        least: u32,
    },
    /// A message whose parts do not fit together.
    #[error("the message's parts do not fit the round: {0}")]
    Malformed(&'static str),
    /// The vector is not of the round's plan.
    #[error("the vector has {found} values, the round's plan {expected}")]
    OtherShape {
        /// By the terms.
        expected: usize,
        /// In the vector.
        found: usize,
    },
    /// Too few survivors: their sum would tell too much.
    #[error("a sum of {survivors} devices is fewer than the {least} of the terms")]
    TooFewSurvivors {
        /// How many.
        survivors: u32,
        /// The least.
        least: u32,
    },
    /// The device's own vector is not in the sum.
    #[error("this device is not among the survivors")]
    LeftOut,
    /// A set of survivors that cannot be.
    #[error("the set of survivors cannot be: {0}")]
    SurvivorSet(&'static str),
    /// The survivors may be cut into parts whose sums could be told apart.
    #[error(
        "so many neighbours of one another are missing that the survivors may fall into parts, each with less noise"
    )]
    Cut,
    /// Other survivors than before.
    #[error("other survivors were shown before: one round has one set")]
    OtherSurvivors,
    /// Too few neighbours signed the same survivors.
    #[error("{found} neighbours have signed the same survivors, fewer than {least}")]
    NoQuorum {
        /// Valid signatures.
        found: u32,
        /// The threshold.
        least: u32,
    },
    /// A neighbour's signature is not over the survivors that this device was shown.
    #[error("the neighbour at slot {slot} did not sign the survivors that this device was shown")]
    Disagreement {
        /// Its slot.
        slot: usize,
    },
}
