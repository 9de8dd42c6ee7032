//! How many bits a sum needs, and how likely it is to wrap around nevertheless.
//!
//! All bounds are theorems on the very laws that are drawn, no normal approximation:
//!
//! - *Signal.* A value of a block that is not rotated is at most `n B` in a sum of n devices. In a rotated block it is a
//!   signed sum of the d values of one fixed vector of norm at most `n C`, with random signs: by Hoeffding's inequality
//!   it is above `n C sqrt(2 ln(2 / p) / d)` with probability at most p. This assumes that devices' data do not depend on
//!   the round's signs. Rounding moves each device's value by less than 1.
//! - *Noise.* A discrete Gaussian is sub-Gaussian with its variance parameter (Canonne, Kamath and Steinke 2020,
//!   proposition 25), so the sum of n has a tail below `2 exp(-t^2 / (2 n s^2))`; a Skellam sum has Chernoff's. Noise that is
//!   correlated over rounds is a Gaussian of the strategy's larger variance, rounded.
//! - *Union* over values and blocks.
//!
//! A sum that wraps spoils the result. It costs no privacy: taking residues is post-processing.

use super::{BlockPlan, Rotation};
use crate::math;
use crate::privacy::{Mechanism, skellam_tail};
use core::f64::consts::LN_2;

/// The promise: the whole sum wraps with at most this probability, 2^-20.
pub const WRAP_PROBABILITY: f64 = 1.0 / (1u64 << 20) as f64;

/// What the sums of a plan are made of, beside its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) mechanism: Mechanism,
    pub(super) cohort: usize,
    // Variance of a round's noise over that of its devices' shares; above 1 where noise is correlated over rounds.
    pub(super) growth: f64,
}

impl Range {
    /// The least b for which the block's sum wraps with probability at most `probability`.
    pub(super) fn bits_needed(&self, block: &BlockPlan, probability: f64) -> u32 {
        let largest = self.largest_value(block, math::ln(probability));
        // Residues are lifted to [-2^(b-1), 2^(b-1)).
        1 + math::log2(largest + 1.0).ceil().max(0.0) as u32
    }

    /// Upper bound on the probability that the block's sum wraps at b bits; not below 1e-300.
    pub(super) fn wrap_bound(&self, block: &BlockPlan, bits: u32) -> f64 {
        let room = math::exp2((bits - 1) as f64) - 1.0;
        let fits = |log_probability: f64| self.largest_value(block, log_probability) <= room;
        let (mut low, mut high) = (-690.0, 0.0);
        if fits(low) {
            return 1e-300;
        }
        if !fits(high) {
            return 1.0;
        }
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if fits(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        math::exp(high)
    }

    // No value of the sum is larger, but for this probability: half of it for the signal, half for the noise.
    fn largest_value(&self, block: &BlockPlan, log_probability: f64) -> f64 {
        let (n, d) = (self.cohort as f64, block.length as f64);
        let log_share = log_probability - math::ln(2.0 * d);
        let certain = n * (block.bound_squared as f64).sqrt();
        let signal = match block.layout.rotation {
            Rotation::None => certain,
            Rotation::Hadamard => {
                let scaled_clip = block.layout.clip / block.grid;
                let likely = n * scaled_clip * (2.0 * (LN_2 - log_share) / d).sqrt() + n;
                certain.min(likely)
            }
        };
        let variance = block.local_variance as f64 * n * self.growth;
        let noise = match self.mechanism {
            _ if block.local_variance == 0 => 0.0,
            Mechanism::DiscreteGaussian => (2.0 * variance * (LN_2 - log_share)).sqrt(),
            Mechanism::Skellam => skellam_tail(variance, log_share),
        };
        signal + noise
    }
}
