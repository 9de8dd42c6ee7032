//! Noise for simulations, from seeded generators. None of this is in a device's build.

use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::Sum;
use sordino_shared::random::mix;

/// Adds to a sum, at once, noise of the variance that its devices' shares would have had together.
///
/// A rounded continuous Gaussian: at the deviations that plans allow (16 grid units a device and more) it cannot be told
/// from the sum of discrete ones by any test of this size, which a test shows. It serves simulations alone: the claim
/// is about the noise that devices draw.
pub(super) fn add_to_sum(sum: &mut Sum, plan: &RoundPlan, seed: u64) {
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
