//! Why a plan cannot be built.

use super::MAX_BITS;
use crate::privacy::accountant::correlated;
use crate::privacy::{Law, Mode};
use thiserror::Error;

/// Why a plan cannot be built.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A cohort of none.
    #[error("a cohort needs at least one device")]
    EmptyCohort,
    /// A block without values, or with a clip that bounds nothing.
    #[error("block '{0}' needs at least one value, a positive finite clip and a positive share")]
    Block(&'static str),
    /// The budget is not a positive number.
    #[error("rho must be positive and finite, not {0}")]
    Budget(f64),
    /// A share outside (0, 1], or a noise scale that is not positive.
    #[error("{name} must be in (0, {most}], not {value}")]
    Fraction {
        /// Which parameter.
        name: &'static str,
        /// Its upper end.
        most: f64,
        /// What was given.
        value: f64,
    },
    /// So few honest devices that none is sure to be there: nobody's noise would count.
    #[error("an honest share of {fraction} of {cohort} devices is less than one device: nobody's noise would count")]
    NobodyHonest {
        /// Devices in one sum.
        cohort: usize,
        /// The share.
        fraction: f64,
    },
    /// Correlated noise in a mode that has none, or none where the mode is about it.
    #[error("mode {} {}", .0.name(), if *.0 == Mode::CentralMf { "needs a strategy" } else { "takes no strategy: that is for central-mf" })]
    StrategyMode(Mode),
    /// A strategy that makes no sense.
    #[error(transparent)]
    Strategy(#[from] correlated::Error),
    /// There is so little noise that the grid would be finer than a device's integers.
    #[error(
        "block '{0}' has too little noise for whole numbers: lower epsilon or the population, or use no noise at all"
    )]
    Grid(&'static str),
    /// The noise would be wider than the samplers draw.
    #[error(
        "block '{block}' needs noise of the law {law}, beyond the samplers: use a larger epsilon or a coarser grid"
    )]
    Noise {
        /// The block.
        block: &'static str,
        /// The law that it needs.
        law: Law,
    },
    /// The sum would not fit the integers used.
    #[error("the sum of block '{block}' needs {bits} bits, more than {MAX_BITS}: use a smaller cohort")]
    Range {
        /// The block that asks for most.
        block: &'static str,
        /// Bits that it needs.
        bits: u32,
    },
}
