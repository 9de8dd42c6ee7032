//! The round plan: all public parameters of one round, fixed before any device takes part.
//!
//! An invalid plan cannot be built. A device checks nothing twice: what it holds is valid.

mod blocks;
mod error;
mod layout;
mod range;
#[cfg(test)]
mod tests;

pub use blocks::CatalogueBlocks;
pub use error::Error;
pub use layout::{BlockLayout, ROW_SHARE, Rotation};

use crate::math;
use range::Range;
pub use range::WRAP_PROBABILITY;

use crate::privacy::accountant::correlated::Strategy;
use crate::privacy::accountant::distributed::{self, Sensitivity};
use crate::privacy::{Law, Mechanism, Mode, largest_exact_variance};

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
    let local_variance = (central * math::powi(request.simulated_noise_scale, 2) / noise_shares).ceil() as u64;
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
    distributed::rounded_norm_squared(scaled_clip, length, math::exp(-0.5f64)).floor() as u64
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
