//! Mode `central-mf`: noise that is correlated over the rounds of a task, added by a coordinator that is trusted with the
//! exact sums (Choquette-Choo et al. 2023; banded square root).
//!
//! The noise of round t is `w_t = z_t - sum_(0 < i < bands) c_i w_(t-i)` with fresh Gaussian z_t, so that later rounds
//! cancel part of earlier noise in the running sum that a model is.
//!
//! All of it is in grid units, of which a device's vector has the same number at most in each round: a clip that moves
//! with what was released keeps the claim, since Gaussian strategies hold for rounds that are chosen as they go (Denisov
//! et al. 2022), and merely cancels a little less noise.
//!
//! *Claim*: all rounds together are one Gaussian mechanism, `C G + Z`, whose sensitivity the strategy gives; against
//! readers of the models only. *Assumptions*: devices keep to the limits on participation, as their ledgers do; z_t is
//! drawn in double precision, and what is released is rounded to the integer grid, so that none of its low bits show.

use ndarray::Zip;
use rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::Sum;
use sordino_shared::privacy::accountant::correlated::{Strategy, square_root};
use std::collections::VecDeque;

/// The noise of a task, from round to round. What it remembers is secret: with it the sums could be read.
pub struct CorrelatedNoise {
    coefficients: Vec<f64>,
    // w of earlier rounds in grid units, the latest first, each flat over the blocks.
    past: VecDeque<Vec<f64>>,
}

impl CorrelatedNoise {
    /// Before the first round.
    pub fn new(strategy: &Strategy) -> Self {
        Self { coefficients: square_root(strategy.bands), past: VecDeque::new() }
    }

    /// Adds the next round's noise to the exact sum. Each plan of a task must have the same blocks.
    pub fn add(&mut self, sum: &mut Sum, plan: &RoundPlan, rng: &mut impl Rng) {
        let devices = plan.cohort() as f64;
        let mut noise = Vec::with_capacity(plan.values());
        for block in plan.blocks() {
            let deviation = (block.local_variance as f64 * devices).sqrt();
            noise.extend((0..block.length).map(|_| {
                let z: f64 = StandardNormal.sample(rng);
                z * deviation
            }));
        }
        for (earlier, c) in self.past.iter().zip(&self.coefficients[1..]) {
            assert_eq!(earlier.len(), noise.len(), "a task's rounds have the same blocks");
            Zip::from(ndarray::aview_mut1(&mut noise)).and(ndarray::aview1(earlier)).for_each(|w, &e| *w -= c * e);
        }
        let mut rest = noise.as_slice();
        for block in sum.blocks_mut() {
            let (here, after) = rest.split_at(block.len());
            block.iter_mut().zip(here).for_each(|(v, w)| *v = v.wrapping_add(w.round_ties_even() as i64));
            rest = after;
        }
        self.past.push_front(noise);
        self.past.truncate(self.coefficients.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use sordino_shared::math;
    use sordino_shared::plan::{BlockLayout, PlanRequest};
    use sordino_shared::privacy::Mode;

    fn plan(strategy: &Strategy, rho: f64) -> RoundPlan {
        RoundPlan::new(PlanRequest {
            mode: Mode::CentralMf,
            strategy: Some(*strategy),
            rho: Some(rho),
            ..PlanRequest::new(10, vec![BlockLayout::new("values", 2000, 1, 1.0)])
        })
        .expect("a valid plan")
    }

    // Running C over the noises gives back fresh, independent noise of the promised deviation: nothing less is in them.
    #[test]
    fn the_strategy_turns_the_noise_back_into_fresh_noise() {
        let strategy = Strategy::new(12, 4);
        let plan = plan(&strategy, 0.5);
        let mut source = CorrelatedNoise::new(&strategy);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let rounds: Vec<Vec<f64>> = (0..12)
            .map(|_| {
                let mut sum = Sum::new(&plan);
                source.add(&mut sum, &plan, &mut rng);
                sum.blocks()[0].iter().map(|&v| v as f64).collect()
            })
            .collect();
        let c = square_root(4);
        let fresh: Vec<Vec<f64>> = (0..12)
            .map(|t| (0..2000).map(|i| (0..=t.min(3)).map(|lag| c[lag] * rounds[t - lag][i]).sum()).collect())
            .collect();
        let promised = (plan.blocks()[0].local_variance as f64 * 10.0).sqrt();
        for (t, z) in fresh.iter().enumerate() {
            let deviation = (z.iter().map(|v| v * v).sum::<f64>() / 2000.0).sqrt();
            // Six standard errors of a deviation from 2,000 draws are 9.5 %.
            assert!((deviation / promised - 1.0).abs() < 0.095, "round {t}: {deviation} {promised}");
            if t > 0 {
                let product: f64 = z.iter().zip(&fresh[t - 1]).map(|(a, b)| a * b).sum::<f64>() / 2000.0;
                assert!(
                    (product / math::powi(promised, 2)).abs() < 6.0 / 2000f64.sqrt(),
                    "rounds {t} and before correlate"
                );
            }
        }
        assert!((plan.rho_with(plan.honest()) - 0.5).abs() < 0.002);
    }

    // Published: 9.0 against 32.1 for 256 rounds, 8 participations 32 apart (root mean square over prefixes).
    #[test]
    fn running_sums_carry_far_less_noise_than_with_independent_noise() {
        let strategy = Strategy::new(64, 16);
        let plan = plan(&strategy, 0.5);
        let mut source = CorrelatedNoise::new(&strategy);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut prefix = vec![0.0; 2000];
        let mut squares = 0.0;
        for _ in 0..64 {
            let mut sum = Sum::new(&plan);
            source.add(&mut sum, &plan, &mut rng);
            prefix.iter_mut().zip(&sum.blocks()[0]).for_each(|(p, &v)| *p += v as f64);
            squares += prefix.iter().map(|v| v * v).sum::<f64>() / 2000.0;
        }
        let ours = (squares / 64.0).sqrt();
        // Independent noise for four participations: sensitivity 2, and variances that add up to t.
        let sensitivity = strategy.sensitivity().expect("limits");
        let fresh = (plan.blocks()[0].local_variance as f64 * 10.0).sqrt() / sensitivity;
        let independent = fresh * 2.0 * (65.0f64 / 2.0).sqrt();
        assert!(ours < 0.5 * independent, "{ours} {independent}");
    }
}
