//! Stage: noise. In: [`Rounded`]. Out: [`Noised`], the only vector that a device may mask and send.
//!
//! Three samplers, one law. [`Sampler`] picks the table where it fits and the exact machine-word sampler elsewhere;
//! OpenDP's exact sampler is what both are tested against, and what the coordinator's small central releases use
//! ([`central_release`]).

mod exact;
mod generator;
mod table;

pub use generator::DeviceGenerator;
pub(super) use table::DISTANCE as DRAW_DISTANCE;

use super::Rounded;
use crate::math;
use crate::plan::RoundPlan;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::metrics::L2Distance;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// Which law the devices' noise follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// N_Z(0, variance): mass proportional to exp(-k^2 / (2 variance)) (Kairouz, Liu and Steinke 2021 for its sums).
    #[default]
    DiscreteGaussian,
    /// The difference of two Poisson variables of mean variance / 2 each (Agarwal, Kairouz and Liu 2021). Sums of
    /// Skellam variables are Skellam again, so any set of survivors has the law exactly.
    Skellam,
}

impl Mechanism {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DiscreteGaussian, Self::Skellam];

    /// The mechanism's name in files and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::DiscreteGaussian => "discrete-gaussian",
            Self::Skellam => "skellam",
        }
    }
}

impl std::fmt::Display for Mechanism {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::DiscreteGaussian => "discrete Gaussian",
            Self::Skellam => "Skellam",
        })
    }
}

/// A symmetric law on the integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Law {
    /// Its family.
    pub mechanism: Mechanism,
    /// Its variance, in grid units squared; for the discrete Gaussian the parameter that carries this name.
    pub variance: u64,
}

impl std::fmt::Display for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of variance {}", self.mechanism, self.variance)
    }
}

/// No noise could be drawn; nothing may be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NoiseError {
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes, so nothing is sent: {0}")]
    NoRandomness(String),
    /// A law with variance 0, which would be no noise.
    #[error("a variance of 0 is no noise: give a positive variance")]
    NoVariance,
    /// A law wider than the samplers reach.
    #[error("{0} is wider than the samplers reach: use a coarser grid, or the discrete Gaussian below 2^44")]
    TooWide(Law),
    /// OpenDP refused.
    #[error("OpenDP drew no noise: {0}")]
    OpenDp(String),
}

/// Which of the two samplers to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SamplerKind {
    /// Cumulative probabilities to 127 bits.
    Table,
    /// Exact rejection in machine words; discrete Gaussian only.
    Exact,
}

/// Draws from one law, from any generator. Cheap to clone; tables are shared.
#[derive(Clone, Debug)]
pub struct Sampler {
    law: Law,
    table: Option<Arc<table::Table>>,
}

impl Sampler {
    /// The table sampler where the law's table is small enough, else the exact one.
    ///
    /// Building a table takes a millisecond to a tenth of a second: make samplers once a round.
    ///
    /// # Errors
    /// [`NoiseError::NoVariance`] and [`NoiseError::TooWide`].
    pub fn new(law: Law) -> Result<Self, NoiseError> {
        match Self::of_kind(law, SamplerKind::Table) {
            Err(NoiseError::TooWide(_)) => Self::of_kind(law, SamplerKind::Exact),
            other => other,
        }
    }

    /// The sampler of this kind.
    ///
    /// # Errors
    /// [`NoiseError::NoVariance`], and [`NoiseError::TooWide`] where this kind cannot draw from the law.
    pub fn of_kind(law: Law, kind: SamplerKind) -> Result<Self, NoiseError> {
        if law.variance == 0 {
            return Err(NoiseError::NoVariance);
        }
        let table = match kind {
            SamplerKind::Table => Some(Arc::new(table::Table::new(law)?)),
            SamplerKind::Exact
                if law.mechanism == Mechanism::DiscreteGaussian && law.variance < exact::MOST_VARIANCE =>
            {
                None
            }
            SamplerKind::Exact => return Err(NoiseError::TooWide(law)),
        };
        Ok(Self { law, table })
    }

    /// Adds one independent draw to each value.
    pub fn add(&self, values: &mut [i64], rng: &mut impl Rng) {
        match &self.table {
            Some(table) => table.add(values, rng),
            None => values.iter_mut().for_each(|v| *v = v.wrapping_add(exact::draw(self.law.variance, rng))),
        }
    }

    /// Which kind it is.
    pub fn kind(&self) -> SamplerKind {
        if self.table.is_some() { SamplerKind::Table } else { SamplerKind::Exact }
    }

    /// Upper bound on the distance in total variation of one draw from the law: 2^-110 for a table, 0 for exact draws.
    pub fn distance(&self) -> f64 {
        if self.table.is_some() { table::DISTANCE } else { 0.0 }
    }
}

/// A sampler for each block of a plan; none where the plan asks for no noise.
#[derive(Clone, Debug)]
pub struct Samplers {
    blocks: Vec<Option<Sampler>>,
}

impl Samplers {
    /// Builds them from the plan, once a round.
    ///
    /// # Errors
    /// As [`Sampler::new`].
    pub fn new(plan: &RoundPlan) -> Result<Self, NoiseError> {
        let mut blocks: Vec<Option<Sampler>> = Vec::with_capacity(plan.blocks().len());
        for block in plan.blocks() {
            let law = Law { mechanism: plan.mechanism(), variance: block.local_variance };
            let known = blocks.iter().flatten().find(|sampler| sampler.law == law).cloned();
            blocks.push(match (law.variance, known) {
                (0, _) => None,
                (_, Some(known)) => Some(known),
                (_, None) => Some(Sampler::new(law)?),
            });
        }
        Ok(Self { blocks })
    }

    /// The block's sampler.
    pub fn block(&self, number: usize) -> Option<&Sampler> {
        self.blocks[number].as_ref()
    }

    /// Upper bound on the distance in total variation of all noise in a sum of `devices` devices from its law: each draw
    /// adds its own.
    pub fn distance(&self, plan: &RoundPlan, devices: usize) -> f64 {
        let one: f64 = self
            .blocks
            .iter()
            .zip(plan.blocks())
            .filter_map(|(sampler, block)| Some(sampler.as_ref()?.distance() * block.length as f64))
            .sum();
        one * devices as f64
    }
}

/// A device's whole vector on the integer grid with its share of noise on every value, touched or not.
///
/// Only this type can be added to a [`super::Sum`] as a device's contribution: the order of steps is held by types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noised {
    blocks: Vec<Vec<i64>>,
}

impl Noised {
    /// Adds the plan's noise to every value of every block.
    pub fn new(rounded: &Rounded, samplers: &Samplers, rng: &mut impl Rng) -> Self {
        let blocks = rounded
            .blocks()
            .iter()
            .zip(&samplers.blocks)
            .map(|(block, sampler)| {
                let mut dense = block.to_dense();
                if let Some(sampler) = sampler {
                    sampler.add(&mut dense, rng);
                }
                dense
            })
            .collect();
        Self { blocks }
    }

    #[cfg(test)]
    pub(crate) fn of_blocks(blocks: Vec<Vec<i64>>) -> Self {
        Self { blocks }
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Vec<i64>] {
        &self.blocks
    }
}

/// The largest whole variance that some sampler draws: 2^44 - 1, or for Skellam what a table of 65,536 magnitudes holds.
pub fn largest_exact_variance(mechanism: Mechanism) -> u64 {
    match mechanism {
        Mechanism::DiscreteGaussian => exact::MOST_VARIANCE - 1,
        Mechanism::Skellam => table::MOST_SKELLAM_VARIANCE,
    }
}

/// Adds discrete Gaussian noise to a small vector by OpenDP's exact sampler (about 6 microseconds a value): for counts
/// and other small releases of a trusted coordinator.
///
/// # Errors
/// [`NoiseError::NoVariance`] and [`NoiseError::OpenDp`].
pub fn central_release(variance: u64, values: &mut [i64]) -> Result<(), NoiseError> {
    if variance == 0 {
        return Err(NoiseError::NoVariance);
    }
    // The square root is rounded up to the next float: never less noise than the plan says.
    let scale = (variance as f64).sqrt().next_up();
    let domain = VectorDomain::new(AtomDomain::<i64>::default()).with_size(values.len());
    let failed = |error: opendp::error::Error| NoiseError::OpenDp(error.to_string());
    let measurement: opendp::core::Measurement<_, _, opendp::measures::ZeroConcentratedDivergence, Vec<i64>> =
        make_gaussian(domain, L2Distance::<f64>::default(), scale, None).map_err(failed)?;
    let noised = measurement.invoke(&values.to_vec()).map_err(failed)?;
    values.copy_from_slice(&noised);
    Ok(())
}

/// The least t with `P(|X| >= t) <= exp(log_probability)` by Chernoff's bound for a Skellam law of this variance:
/// `P(|X| >= t) <= 2 exp(-(t asinh(t / variance) - sqrt(t^2 + variance^2) + variance))`.
pub fn skellam_tail(variance: f64, log_probability: f64) -> f64 {
    let log_bound = |t: f64| {
        // sqrt(t^2 + v^2) - v without cancellation.
        let excess = t * t / ((t * t + variance * variance).sqrt() + variance);
        core::f64::consts::LN_2 - (t * math::asinh(t / variance) - excess)
    };
    let (mut low, mut high) = (0.0, 1.0);
    while log_bound(high) > log_probability {
        low = high;
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if log_bound(middle) > log_probability { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests;
