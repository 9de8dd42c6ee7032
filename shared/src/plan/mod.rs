//! The round plan: all public parameters of one round, fixed before any device takes part.
//!
//! An invalid plan cannot be built. A device checks nothing twice: what it holds is valid.

mod blocks;
mod range;

pub use blocks::Blocks;

use range::Range;
pub use range::WRAP_PROBABILITY;

use crate::privacy::accountant::correlated::{self, Strategy};
use crate::privacy::accountant::distributed::{self, Sensitivity};
use crate::privacy::{Law, Mechanism, Mode, largest_exact_variance};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Whether a block is rotated before it is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rotation {
    /// Values go as they are; rows of zeros cost nothing until their noise.
    #[default]
    None,
    /// Randomised Hadamard rotation, padded to a power of two: spreads each vector over all values, which saves bits
    /// where single values can be large.
    Hadamard,
}

/// Names one block of the flat vector that a device sends, and how the round's privacy is shared out to it.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockLayout {
    /// The block's name, for reports.
    pub name: &'static str,
    /// Rows of the block.
    pub rows: usize,
    /// Values a row.
    pub width: usize,
    /// The L2 norm that one device's block may have.
    pub clip: f64,
    /// The L2 norm that one of its rows may have: what one device can say of one track. It bounds nobody's privacy, which `clip` does,
    /// but what a made-up history can do.
    pub row_clip: f64,
    /// The block's share of the round's rho, relative to the other blocks' shares.
    pub share: f64,
    /// Whether the block is rotated.
    pub rotation: Rotation,
}

impl BlockLayout {
    /// A block with the whole of its round's share, not rotated, whose rows may be as long as itself; fields are set from there.
    pub fn new(name: &'static str, rows: usize, width: usize, clip: f64) -> Self {
        Self { name, rows, width, clip, row_clip: clip, share: 1.0, rotation: Rotation::None }
    }

    /// The same with each row held to [`ROW_SHARE`] of the clip: for blocks of one row a track.
    pub fn by_track(self) -> Self {
        Self { row_clip: ROW_SHARE * self.clip, ..self }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.rows * self.width
    }

    /// Whether the block has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One block of a valid plan.
#[derive(Clone, Debug)]
pub struct BlockPlan {
    /// What is sent.
    pub layout: BlockLayout,
    /// d: values on the grid; those of the layout, or the next power of two where the block is rotated.
    pub length: usize,
    /// Seed of the rotation's signs. Public.
    pub rotation_seed: u64,
    /// gamma: the width of the integer grid, in value units.
    pub grid: f64,
    /// floor(B^2): the largest squared integer norm that may leave rounding, in grid units squared.
    pub bound_squared: u64,
    /// Variance of each device's noise in grid units squared, a whole number; 0 where the plan asks for no noise.
    pub local_variance: u64,
    /// The block's share of rho, what one device spends on it in one round; infinite where there is no noise.
    pub rho: f64,
}

impl BlockPlan {
    /// Standard deviation of the noise on a sum with `devices` noise shares in it, in value units.
    pub fn sum_deviation(&self, devices: usize) -> f64 {
        (self.local_variance as f64 * devices as f64).sqrt() * self.grid
    }
}

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Who adds the noise.
    pub mode: Mode,
    /// The noise's law.
    pub mechanism: Mechanism,
    /// Seed of the rotations' signs: public, and fresh in each round.
    pub rotation_seed: u64,
    /// In mode `central-mf`, and there alone, how the noise is correlated; rho then is the cost of all rounds.
    pub strategy: Option<Strategy>,
    /// Devices in one sum: the cohort.
    pub cohort: usize,
    /// The share of the cohort, in (0, 1], that is sure to be honest and to survive: only its noise counts.
    pub honest_fraction: f64,
    /// zCDP budget of the round; `None` for a round without noise, which promises nothing.
    pub rho: Option<f64>,
    /// The blocks.
    pub blocks: Vec<BlockLayout>,
    /// Scales the noise of the sum, for a simulation in which few devices stand for many. Devices refuse all but 1.
    pub simulated_noise_scale: f64,
}

impl PlanRequest {
    /// A `secure` round of the discrete Gaussian without noise, everybody being honest; fields are set from there.
    pub fn new(cohort: usize, blocks: Vec<BlockLayout>) -> Self {
        Self {
            mode: Mode::Secure,
            mechanism: Mechanism::DiscreteGaussian,
            rotation_seed: 0,
            strategy: None,
            cohort,
            honest_fraction: 1.0,
            rho: None,
            blocks,
            simulated_noise_scale: 1.0,
        }
    }
}

/// A valid plan of one round.
#[derive(Clone, Debug)]
pub struct RoundPlan {
    mode: Mode,
    mechanism: Mechanism,
    cohort: usize,
    honest: usize,
    strategy: Option<Strategy>,
    // How far one device moves what is released, in clips.
    factor: f64,
    range: Range,
    blocks: Vec<BlockPlan>,
    bits: u32,
    rho: Option<f64>,
}

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
        "block '{block}' needs noise of the law {law}, beyond the samplers: use a smaller epsilon or a coarser grid"
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

impl RoundPlan {
    /// Checks the request and computes grid, bound, noise and modulus of each block (docs/privacy.md, section 1).
    pub fn new(request: PlanRequest) -> Result<Self, Error> {
        if request.cohort == 0 {
            return Err(Error::EmptyCohort);
        }
        let fraction = request.honest_fraction;
        if !(fraction > 0.0 && fraction <= 1.0) {
            return Err(Error::Fraction { name: "honest_fraction", most: 1.0, value: fraction });
        }
        let honest = noise_shares(&request);
        if honest == 0 {
            return Err(Error::NobodyHonest { cohort: request.cohort, fraction });
        }
        if request.strategy.is_some() != (request.mode == Mode::CentralMf) {
            return Err(Error::StrategyMode(request.mode));
        }
        let moved = request.strategy.map_or(Ok(1.0), |strategy| strategy.sensitivity())?;
        let factor = request.mode.adjacency().factor() * moved;
        let growth = request.strategy.map_or(1.0, |strategy| strategy.noise_growth());
        let scale = request.simulated_noise_scale;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::Fraction { name: "simulated_noise_scale", most: f64::MAX, value: scale });
        }
        if let Some(rho) = request.rho.filter(|rho| !(*rho > 0.0 && rho.is_finite())) {
            return Err(Error::Budget(rho));
        }
        let shares: f64 = request.blocks.iter().map(|b| b.share).sum();
        let mut blocks = Vec::with_capacity(request.blocks.len());
        for layout in &request.blocks {
            let valid = !layout.is_empty()
                && layout.clip > 0.0
                && layout.clip.is_finite()
                && layout.row_clip > 0.0
                && layout.row_clip <= layout.clip
                && layout.share > 0.0;
            if !valid {
                return Err(Error::Block(layout.name));
            }
            let block = plan_block(layout.clone(), layout.share / shares, &request, factor);
            if layout.clip / block.grid > FINEST_GRID {
                return Err(Error::Grid(layout.name));
            }
            let law = Law { mechanism: request.mechanism, variance: block.local_variance };
            if !request.mode.trusts_coordinator() && law.variance > largest_exact_variance(request.mechanism) {
                return Err(Error::Noise { block: layout.name, law });
            }
            blocks.push(block);
        }
        let share = WRAP_PROBABILITY / blocks.len().max(1) as f64;
        let range = Range { mechanism: request.mechanism, cohort: request.cohort, growth };
        let needs = |block: &BlockPlan| range.bits_needed(block, share);
        let (bits, block) = blocks.iter().map(|b| (needs(b), b.layout.name)).max().unwrap_or((1, "none"));
        if bits > MAX_BITS {
            return Err(Error::Range { block, bits });
        }
        Ok(Self {
            mode: request.mode,
            mechanism: request.mechanism,
            cohort: request.cohort,
            honest,
            strategy: request.strategy,
            factor,
            range,
            blocks,
            bits,
            rho: request.rho,
        })
    }

    /// Who adds the noise.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The noise's law.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Devices whose noise is sure to be in the sum; 1 where each device's own noise suffices.
    pub fn honest(&self) -> usize {
        self.honest
    }

    /// How the noise is correlated over rounds, in mode `central-mf`.
    pub fn strategy(&self) -> Option<Strategy> {
        self.strategy
    }

    /// Devices in one sum.
    pub fn cohort(&self) -> usize {
        self.cohort
    }

    /// The blocks of a device's vector, in order.
    pub fn blocks(&self) -> &[BlockPlan] {
        &self.blocks
    }

    /// b: sums are integers modulo 2^b.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Upper bound on the probability that any value of the sum wraps around; at most [`WRAP_PROBABILITY`].
    pub fn wrap_probability(&self) -> f64 {
        self.blocks.iter().map(|block| self.range.wrap_bound(block, self.bits)).sum()
    }

    /// What the round costs one device if only `honest` devices' noise is in the sum: rho, from the plan's integers alone.
    /// Infinite where a block has no noise or nobody is honest.
    pub fn rho_with(&self, honest: usize) -> f64 {
        self.blocks.iter().map(|block| self.block_rho(block, honest)).sum()
    }

    fn block_rho(&self, block: &BlockPlan, honest: usize) -> f64 {
        if honest == 0 || block.local_variance == 0 {
            return f64::INFINITY;
        }
        let sensitivity = Sensitivity::of_rounded(block.bound_squared, block.length).scaled(self.factor);
        let variance = block.local_variance as f64;
        match self.mechanism {
            Mechanism::DiscreteGaussian => distributed::gaussian_rho(sensitivity, variance, honest, block.length),
            Mechanism::Skellam => distributed::skellam_rho(sensitivity, variance * honest as f64),
        }
    }

    /// The zCDP budget that one device spends in this round.
    pub fn rho(&self) -> Option<f64> {
        self.rho
    }

    /// The same plan as it binds a device whose code does not hold rows down: for simulations of such devices. Nothing else differs, so
    /// what they send adds up with what others send.
    pub fn with_long_rows(&self) -> Self {
        let mut plan = self.clone();
        plan.blocks.iter_mut().for_each(|block| block.layout.row_clip = block.layout.clip);
        plan
    }

    /// Values in a device's vector.
    pub fn values(&self) -> usize {
        self.blocks.iter().map(|b| b.length).sum()
    }
}

/// How much of a device's vector one track may have. A quarter costs no accuracy on any set at hand, and holds the exposure that
/// one liar in a hundred can buy for a track to a tenth and less (docs/benchmarks.md, "Devices that lie").
pub const ROW_SHARE: f64 = 0.25;

fn plan_block(layout: BlockLayout, share: f64, request: &PlanRequest, factor: f64) -> BlockPlan {
    let length = match layout.rotation {
        Rotation::None => layout.len(),
        Rotation::Hadamard => layout.len().next_power_of_two(),
    };
    let d = length as f64;
    let rotation_seed = request.rotation_seed;
    let widest = 2.0 * layout.clip * (GRID_INFLATION / d).sqrt();
    let Some(rho) = request.rho else {
        // Without noise the grid alone sets the error of rounding: make it fine.
        let grid = widest / NOISELESS_REFINEMENT;
        let bound_squared = rounding_bound(layout.clip / grid, d);
        return BlockPlan { layout, length, rotation_seed, grid, bound_squared, local_variance: 0, rho: f64::INFINITY };
    };
    let rho = rho * share;
    // A first bound at the widest grid only chooses the grid; the noise then follows from the bound of that grid.
    let noise_shares = noise_shares(request) as f64;
    let local = factor * layout.clip / (2.0 * rho).sqrt() * request.simulated_noise_scale / noise_shares.sqrt();
    let grid = widest.min(local / LEAST_DEVIATION);
    let bound_squared = rounding_bound(layout.clip / grid, d);
    let sensitivity = Sensitivity::of_rounded(bound_squared, length).scaled(factor);
    let central = match request.mechanism {
        Mechanism::DiscreteGaussian => distributed::gaussian_variance(sensitivity, rho),
        Mechanism::Skellam => distributed::skellam_variance(sensitivity, rho),
    };
    // Rounded up: the noise is never less than the budget asks for.
    let local_variance = (central * request.simulated_noise_scale.powi(2) / noise_shares).ceil() as u64;
    BlockPlan { layout, length, rotation_seed, grid, bound_squared, local_variance, rho }
}

// How many devices' noise is sure to be in the sum.
fn noise_shares(request: &PlanRequest) -> usize {
    match request.mode {
        Mode::Local => 1,
        Mode::Secure | Mode::Central | Mode::CentralMf => {
            (request.cohort as f64 * request.honest_fraction).floor() as usize
        }
    }
}

/// floor(B^2) after conditional randomised rounding of a vector of norm `scaled_clip` in `length` values
/// (Kairouz, Liu and Steinke 2021, with beta = e^(-1/2)).
pub fn rounding_bound(scaled_clip: f64, length: f64) -> u64 {
    distributed::rounded_norm_squared(scaled_clip, length, (-0.5f64).exp()).floor() as u64
}

// 2 sqrt(0.01 / length): rounding then lengthens the clip by half a percent (docs/privacy.md, section 1).
const GRID_INFLATION: f64 = 0.01;
const NOISELESS_REFINEMENT: f64 = 64.0;
// At 16 grid units and more the sum of discrete Gaussians cannot be told from one (tau < 1e-1000), and rounding the
// variance up to a whole number adds less than 0.4 %.
const LEAST_DEVIATION: f64 = 16.0;
// Values in grid units must fit 32 bits with room for rounding.
const FINEST_GRID: f64 = (1u64 << 30) as f64;
/// The widest sums that the accumulators hold with room to spare.
pub const MAX_BITS: u32 = 62;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::Samplers;
    use crate::privacy::accountant::correlated::Strategy;
    use proptest::prelude::*;

    fn request() -> PlanRequest {
        PlanRequest {
            mode: Mode::Secure,
            mechanism: Mechanism::DiscreteGaussian,
            rotation_seed: 1,
            strategy: None,
            cohort: 1000,
            honest_fraction: 0.9,
            rho: Some(0.1),
            blocks: vec![BlockLayout::new("rows", 100, 8, 1.0)],
            simulated_noise_scale: 1.0,
        }
    }

    #[test]
    fn the_honest_noise_alone_keeps_the_budget() {
        let plan = RoundPlan::new(request()).expect("a valid plan");
        let block = &plan.blocks()[0];
        let honest_variance = block.local_variance as f64 * 900.0;
        let rho = block.bound_squared as f64 / (2.0 * honest_variance);
        assert!(rho <= 0.1 && rho > 0.0995, "{rho}");
        assert!(block.bound_squared as f64 * block.grid.powi(2) < 1.02);
    }

    #[test]
    fn local_plans_carry_the_whole_noise_on_each_device() {
        let plan = RoundPlan::new(PlanRequest { mode: Mode::Local, ..request() }).expect("a valid plan");
        let block = &plan.blocks()[0];
        // Replace-one: twice the bound.
        let rho = 4.0 * block.bound_squared as f64 / (2.0 * block.local_variance as f64);
        assert!(rho <= 0.1 && rho > 0.0995, "{rho}");
    }

    #[test]
    fn what_cannot_hold_is_refused() {
        assert_eq!(RoundPlan::new(PlanRequest { cohort: 0, ..request() }).err(), Some(Error::EmptyCohort));
        assert_eq!(RoundPlan::new(PlanRequest { rho: Some(0.0), ..request() }).err(), Some(Error::Budget(0.0)));
        assert!(RoundPlan::new(PlanRequest { honest_fraction: 0.0, ..request() }).is_err());
        let nobody = RoundPlan::new(PlanRequest { cohort: 10, honest_fraction: 0.05, ..request() });
        assert_eq!(nobody.err(), Some(Error::NobodyHonest { cohort: 10, fraction: 0.05 }));
        let strategy = Some(Strategy::new(8, 2));
        assert_eq!(
            RoundPlan::new(PlanRequest { strategy, ..request() }).err(),
            Some(Error::StrategyMode(Mode::Secure))
        );
        let none = RoundPlan::new(PlanRequest { mode: Mode::CentralMf, ..request() });
        assert_eq!(none.err(), Some(Error::StrategyMode(Mode::CentralMf)));
        let mut empty = request();
        assert_eq!(RoundPlan::new(PlanRequest { rho: Some(1e18), ..request() }).err(), Some(Error::Grid("rows")));
        empty.blocks[0].clip = f64::NAN;
        assert_eq!(RoundPlan::new(empty).err(), Some(Error::Block("rows")));
    }

    proptest! {
        // Whatever is asked for: a plan that can be built has noise that is wide, honest and enough, and sums that fit.
        #[test]
        fn plans_that_can_be_built_hold(
            cohort in 1usize..20_000,
            honest_fraction in 1e-4f64..=1.0,
            log_rho in -12.0f64..4.0,
            rows in 1usize..5000,
            log_clip in -6.0f64..6.0,
            mode in prop_oneof![Just(Mode::Secure), Just(Mode::Local), Just(Mode::Central)],
            mechanism in prop_oneof![Just(Mechanism::DiscreteGaussian), Just(Mechanism::Skellam)],
            rotation in prop_oneof![Just(Rotation::None), Just(Rotation::Hadamard)],
        ) {
            let block = BlockLayout { rotation, ..BlockLayout::new("b", rows, 1, log_clip.exp()) };
            let rho = log_rho.exp();
            let asked = PlanRequest {
                mode, mechanism, cohort, honest_fraction, rho: Some(rho), blocks: vec![block], ..request()
            };
            if let Ok(plan) = RoundPlan::new(asked) {
                let block = &plan.blocks()[0];
                prop_assert!(plan.honest() >= 1);
                prop_assert!(block.local_variance as f64 >= LEAST_DEVIATION.powi(2) * 0.999);
                prop_assert!(plan.rho_with(plan.honest()) <= rho * (1.0 + 1e-9), "{} {rho}", plan.rho_with(plan.honest()));
                prop_assert!(plan.rho_with(plan.honest()) >= rho * 0.99);
                prop_assert!(plan.wrap_probability() <= WRAP_PROBABILITY);
                prop_assert!(block.length >= rows && plan.bits() <= MAX_BITS);
                prop_assert!(mode.trusts_coordinator() || Samplers::new(&plan).is_ok());
            }
        }
    }
}
