//! Noise for simulations, from seeded generators. None of this is in a device's build.

use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use sordino_coordinator::correlated::CorrelatedNoise;
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::Sum;
use sordino_shared::random::mix;

/// The noise on a sum, where devices do not draw their own shares.
pub enum SumNoise {
    /// Drawn anew for each round.
    Independent,
    /// Correlated over the rounds of a task.
    Correlated(CorrelatedNoise),
}

impl SumNoise {
    /// Adds a round's noise; nothing where the plan asks for none.
    pub(super) fn add(&mut self, sum: &mut Sum, plan: &RoundPlan, seed: u64) {
        match self {
            Self::Independent => add_to_sum(sum, plan, seed),
            Self::Correlated(noise) if plan.rho().is_some() => {
                noise.add(sum, plan, &mut Xoshiro256PlusPlus::seed_from_u64(seed));
            }
            Self::Correlated(_) => {}
        }
    }
}

/// Adds to a sum, at once, noise of the variance that its devices' shares would have had together.
///
/// A rounded continuous Gaussian: at the deviations that plans allow (16 grid units a device and more) it cannot be told
/// from the sum of discrete ones by any test of this size, which a test shows. It serves simulations alone: the claim
/// is about the noise that devices draw.
fn add_to_sum(sum: &mut Sum, plan: &RoundPlan, seed: u64) {
    let devices = sum.devices();
    for (number, (block, block_plan)) in sum.blocks_mut().iter_mut().zip(plan.blocks()).enumerate() {
        if block_plan.local_variance == 0 {
            continue;
        }
        let deviation = (block_plan.local_variance as f64 * devices as f64).sqrt();
        let stream = mix(seed, number as u64, 0);
        block.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(mix(stream, 1, chunk as u64));
            for value in values {
                let z: f64 = StandardNormal.sample(&mut rng);
                // Adding and taking away 1.5 x 2^52 rounds to the nearest whole number, ties to even.
                *value = value.wrapping_add(((z * deviation + ROUNDER) - ROUNDER) as i64);
            }
        });
    }
}

const CHUNK: usize = 4096;
const ROUNDER: f64 = 6_755_399_441_055_744.0;
