//! Private popularity: the first release, and the fallback where nothing else can be learnt.
//!
//! A device sends its weight times the confidence at each of its tracks; by the choice of the weight
//! ([`Hyperparameters::device_weight`]) the norm of that is at most 1. A second block of one value holds the weight
//! itself, from which the coordinator learns the total weight that later steps divide by.

use super::{Block, Device, DeviceHalf, Statistics, Workload};
use crate::math;
use crate::model::{Example, Hyperparameters};
use crate::plan::BlockLayout;
use rand_core::Rng;
use rayon::prelude::*;

/// The popularity workload.
#[derive(Clone, Debug)]
pub struct Popularity {
    plays: Plays,
    estimate: Option<PopularityEstimate>,
}

/// The device's half of [`Popularity`].
#[derive(Clone, Debug)]
pub struct Plays {
    pub(super) tracks: usize,
    pub(super) hyperparameters: Hyperparameters,
}

/// What the release says, cleaned of noise as far as that goes.
#[derive(Clone, Debug)]
pub struct PopularityEstimate {
    /// f: for each track the sum of weight times confidence, positive.
    pub tracks: Vec<f64>,
    /// The sum of all devices' weights, positive.
    pub total_weight: f64,
    /// Devices in the release.
    pub devices: f64,
}

impl Popularity {
    /// For a catalogue of this many tracks.
    pub fn new(tracks: usize, hyperparameters: Hyperparameters) -> Self {
        Self { plays: Plays { tracks, hyperparameters }, estimate: None }
    }

    /// What devices need of it.
    pub fn device(&self) -> &Plays {
        &self.plays
    }

    /// The estimate, once the sum is in.
    pub fn estimate(&self) -> Option<&PopularityEstimate> {
        self.estimate.as_ref()
    }
}

impl DeviceHalf for Popularity {
    fn layout(&self) -> Vec<BlockLayout> {
        self.plays.layout()
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        self.plays.contribute(device, rng)
    }
}

impl DeviceHalf for Plays {
    fn layout(&self) -> Vec<BlockLayout> {
        let largest_weight = 1.0 / self.hyperparameters.full_weight_tracks.sqrt();
        vec![
            BlockLayout { share: 0.98, ..BlockLayout::new("plays", self.tracks, 1, 1.0).by_track() },
            BlockLayout { share: 0.02, ..BlockLayout::new("weight", 1, 1, largest_weight) },
        ]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let weight = weight_of(device.examples, &self.hyperparameters);
        let rows = device.examples.iter().map(|e| e.track.0).collect();
        let values = device.examples.iter().map(|e| (weight * f64::from(e.confidence)) as f32).collect();
        Statistics { blocks: vec![Block::Rows { rows, values }, Block::Dense(vec![weight as f32])] }
    }
}

impl Workload for Popularity {
    fn apply(&mut self, mut sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        let total = sum.pop().and_then(|block| block.first().copied()).unwrap_or(0.0);
        let tracks = positive_means(&sum.swap_remove(0), deviations[0]);
        // With hardly any device left standing the total may drown: then every device counts as a light one.
        let least = 1e-3 * devices / self.plays.hyperparameters.full_weight_tracks.sqrt();
        let total_weight = total.max(least).max(f64::MIN_POSITIVE);
        self.estimate = Some(PopularityEstimate { tracks, total_weight, devices });
    }
}

fn weight_of(examples: &[Example], hyperparameters: &Hyperparameters) -> f64 {
    if examples.is_empty() { 0.0 } else { hyperparameters.device_weight(examples) }
}

/// The posterior means of non-negative numbers seen through normal noise.
///
/// The prior is fitted to the release itself: a mixture over a geometric grid by expectation-maximisation (the
/// non-parametric maximum-likelihood estimate of Kiefer and Wolfowitz 1956, in the form of Jiang and Zhang 2009).
/// It orders the head as seen and pulls what is under the noise to a common small value.
fn positive_means(noisy: &[f64], deviation: f64) -> Vec<f64> {
    let largest = noisy.iter().copied().fold(0.0, f64::max);
    let least = (largest * 1e-6).max(f64::MIN_POSITIVE);
    if deviation <= 0.0 || largest <= 0.0 {
        return noisy.iter().map(|v| v.max(least)).collect();
    }
    let (low, high) = ((deviation * 0.05).min(largest * 0.5), largest);
    let grid: Vec<f64> = (0..ATOMS).map(|k| low * math::powf(high / low, k as f64 / (ATOMS - 1) as f64)).collect();
    // The prior is fitted on the release folded into bins of a tenth of a deviation: same answer, far less work.
    let bin = |v: f64| (v / (0.1 * deviation)).floor() as i64;
    let mut bins = std::collections::BTreeMap::<i64, f64>::new();
    for &v in noisy {
        *bins.entry(bin(v)).or_default() += 1.0;
    }
    let cells: Vec<(f64, f64)> = bins.iter().map(|(&b, &n)| ((b as f64 + 0.5) * 0.1 * deviation, n)).collect();
    let likelihoods: Vec<Vec<f64>> = cells.iter().map(|&(v, _)| likelihood(v, &grid, deviation)).collect();
    let mut prior = vec![1.0 / ATOMS as f64; ATOMS];
    for _ in 0..STEPS {
        let mut next = vec![0.0; ATOMS];
        for (row, &(_, count)) in likelihoods.iter().zip(&cells) {
            let evidence: f64 = row.iter().zip(&prior).map(|(l, p)| l * p).sum();
            if evidence > 0.0 {
                let scale = count / evidence;
                next.iter_mut().zip(row.iter().zip(&prior)).for_each(|(n, (l, p))| *n += l * p * scale);
            }
        }
        let total: f64 = next.iter().sum();
        prior = next.into_iter().map(|p| p / total).collect();
    }
    noisy
        .par_iter()
        .map(|&v| {
            let row = likelihood(v, &grid, deviation);
            let evidence: f64 = row.iter().zip(&prior).map(|(l, p)| l * p).sum();
            let mean: f64 = row.iter().zip(&prior).zip(&grid).map(|((l, p), g)| l * p * g).sum();
            if evidence > 0.0 { (mean / evidence).max(least) } else { v.max(least) }
        })
        .collect()
}

// Normal likelihood of one value at each atom, scaled so that the best atom has 1.
fn likelihood(value: f64, grid: &[f64], deviation: f64) -> Vec<f64> {
    let exponents: Vec<f64> = grid.iter().map(|g| -0.5 * math::powi((value - g) / deviation, 2)).collect();
    let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    exponents.into_iter().map(|e| math::exp(e - largest)).collect()
}

const ATOMS: usize = 48;
const STEPS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn means_are_positive_and_closer_to_the_truth() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let truth: Vec<f64> = (0..3000).map(|i| 300.0 / (1.0 + f64::from(i))).collect();
        let noisy: Vec<f64> =
            truth.iter().map(|t| t + 2.0 * ((0..12).map(|_| unit_f64(&mut rng)).sum::<f64>() - 6.0)).collect();
        let means = positive_means(&noisy, 2.0);
        let error = |v: &[f64]| v.iter().zip(&truth).map(|(a, b)| math::powi(a - b, 2)).sum::<f64>();
        assert!(means.iter().all(|&m| m > 0.0 && m.is_finite()));
        assert!(error(&means) < 0.2 * error(&noisy), "{} {}", error(&means), error(&noisy));
    }

    #[test]
    fn without_noise_it_is_the_identity_on_positive_counts() {
        assert_eq!(positive_means(&[3.0, 1.0], 0.0), vec![3.0, 1.0]);
        assert!(positive_means(&[0.0, 0.0], 0.0).iter().all(|&v| v > 0.0));
    }
}
