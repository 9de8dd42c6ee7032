//! Noise for simulations, from seeded generators. None of this is in a device's build.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::{NoiseError, NoiseSource, Sum};
use sordino_shared::random::{below, mix};

/// The discrete Gaussian drawn exactly, in machine words, from a seed (Canonne, Kamath and Steinke 2020, algorithms 1
/// to 3). A test holds it against OpenDP's sampler.
pub struct SeededNoise {
    rng: ChaCha8Rng,
}

impl SeededNoise {
    /// A source whose stream the seed decides.
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// One draw from N_Z(0, variance).
    pub fn draw(&mut self, variance: u64) -> i64 {
        let t = variance.isqrt() + 1;
        loop {
            let (magnitude, negative) = self.laplace(t);
            // Accept with probability exp(-(|y| t - variance)^2 / (2 variance t^2)).
            let difference = (u128::from(magnitude) * u128::from(t)).abs_diff(u128::from(variance));
            let numerator = difference * difference;
            let denominator = 2 * u128::from(variance) * u128::from(t) * u128::from(t);
            if self.bernoulli_exp(numerator, denominator) {
                return if negative { -(magnitude as i64) } else { magnitude as i64 };
            }
        }
    }

    // Discrete Laplace of scale t: magnitude and sign.
    fn laplace(&mut self, t: u64) -> (u64, bool) {
        loop {
            let remainder = below(&mut self.rng, t);
            if !self.bernoulli_exp(u128::from(remainder), u128::from(t)) {
                continue;
            }
            let mut whole = 0;
            while self.bernoulli_exp(1, 1) {
                whole += 1;
            }
            let magnitude = remainder + t * whole;
            let negative = self.rng.next_u32() & 1 == 1;
            if magnitude > 0 || !negative {
                return (magnitude, negative);
            }
        }
    }

    // Bernoulli(exp(-p/q)).
    fn bernoulli_exp(&mut self, mut p: u128, q: u128) -> bool {
        while p >= q {
            if !self.bernoulli_exp_below_one(q, q) {
                return false;
            }
            p -= q;
        }
        self.bernoulli_exp_below_one(p, q)
    }

    // Bernoulli(exp(-p/q)) for p <= q: count the run of Bernoulli(p / (q k)), k = 1, 2, ...
    fn bernoulli_exp_below_one(&mut self, p: u128, q: u128) -> bool {
        let mut k = 1u128;
        while self.bernoulli(p, q * k) {
            k += 1;
        }
        k % 2 == 1
    }

    // Bernoulli(p/q), exactly: compares p/q with a uniform number digit by digit, 32 bits at a time.
    fn bernoulli(&mut self, p: u128, q: u128) -> bool {
        let mut remainder = p;
        if remainder >= q {
            return true;
        }
        loop {
            let shifted = remainder << 32;
            let digit = (shifted / q) as u32;
            let uniform = self.rng.next_u32();
            if uniform != digit {
                return uniform < digit;
            }
            remainder = shifted % q;
            if remainder == 0 {
                return false;
            }
        }
    }
}

impl NoiseSource for SeededNoise {
    fn add_noise(&mut self, variance: u64, values: &mut [i64]) -> Result<(), NoiseError> {
        // 2 variance t^2 k 2^32 must fit 128 bits for the few k that ever come up.
        if variance >= 1 << 44 {
            return Err(NoiseError(format!("a variance of {variance} grid units is beyond the seeded sampler")));
        }
        values.iter_mut().for_each(|v| *v += self.draw(variance));
        Ok(())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::privacy::ExactNoise;

    // Two-sample chi-square over cells of a third of a deviation.
    fn chi_square(a: &[i64], b: &[i64], deviation: f64) -> f64 {
        let cell = |v: i64| ((v as f64 / deviation * 3.0).round() as i64).clamp(-9, 9);
        let count = |values: &[i64]| {
            let mut cells = [0f64; 19];
            values.iter().for_each(|&v| cells[(cell(v) + 9) as usize] += 1.0);
            cells
        };
        let ratio = (b.len() as f64 / a.len() as f64).sqrt();
        count(a)
            .iter()
            .zip(count(b))
            .filter(|(x, y)| **x + y > 0.0)
            .map(|(x, y)| (x * ratio - y / ratio).powi(2) / (x + y))
            .sum()
    }

    // 18 degrees of freedom: 60 has a probability of about 2e-6.
    const LIMIT: f64 = 60.0;

    #[test]
    fn the_seeded_sampler_agrees_with_opendp() {
        for variance in [1u64, 256, 90_000] {
            let mut source = SeededNoise::new(variance);
            let ours: Vec<i64> = (0..40_000).map(|_| source.draw(variance)).collect();
            let mut theirs = vec![0i64; 20_000];
            ExactNoise.add_noise(variance, &mut theirs).expect("noise");
            let statistic = chi_square(&ours, &theirs, (variance as f64).sqrt());
            assert!(statistic < LIMIT, "variance {variance}: {statistic}");
        }
    }

    #[test]
    fn it_follows_the_mass_function() {
        let variance = 4u64;
        let mut source = SeededNoise::new(9);
        let draws = 200_000;
        let mut counts = std::collections::BTreeMap::<i64, f64>::new();
        for _ in 0..draws {
            *counts.entry(source.draw(variance).clamp(-7, 7)).or_default() += 1.0;
        }
        let weight = |k: i64| (-(k * k) as f64 / (2.0 * variance as f64)).exp();
        let total: f64 = (-60..=60).map(weight).sum();
        let mass = |k: i64| if k.abs() < 7 { weight(k) } else { (7..=60).map(weight).sum::<f64>() };
        let statistic: f64 = (-7..=7)
            .map(|k| {
                let expected = mass(k) / total * f64::from(draws);
                (counts.get(&k).copied().unwrap_or(0.0) - expected).powi(2) / expected
            })
            .sum();
        assert!(statistic < 52.0, "14 degrees of freedom: {statistic}");
    }

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let draw = |seed| (0..50).map(|_| 0).scan(SeededNoise::new(seed), |s, _| Some(s.draw(100))).collect::<Vec<_>>();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert!(SeededNoise::new(1).add_noise(1 << 50, &mut [0]).is_err());
    }
}
