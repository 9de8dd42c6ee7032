//! Rates by private counts: how often tracks please, how often rules are right, how often a score comes true.
//!
//! For each track that was shown, a device adds `(1, outcome - centre)` to the cell that it belongs to; outcomes are counted
//! from a public centre because that is all that noise has to be held against. The estimate knows the noise: it is the
//! posterior mean of a normal prior over the cells' rates, whose width is itself read off the noised sum (empirical Bayes,
//! Efron and Morris 1973).

use super::{Block, Device, DeviceHalf, Statistics, Workload};
use crate::model::{Pass, Ranker, Shown, logistic};
use crate::plan::BlockLayout;
use rand_core::Rng;
use std::collections::BTreeMap;

/// What a shown track is counted under.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Its own number, a track's or that of a cell which stands for one; as many cells as given.
    Numbered(usize),
    /// The ranker's probability for it, in equal steps; as many cells as given.
    Scores(Ranker, usize),
}

/// The counting of rates.
#[derive(Clone, Debug)]
pub struct Rates {
    cells: Cells,
    centre: f64,
    clip: f64,
    estimate: Option<RateEstimate>,
}

/// What the counts say.
#[derive(Clone, Debug, PartialEq)]
pub struct RateEstimate {
    /// How counts become rates.
    pub shrinkage: Shrinkage,
    /// What was counted, cell by cell.
    pub cells: Vec<Counted>,
}

/// Noised counts of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// How often it was shown; noise may put it below zero. Not cut off there: sums over cells stay without bias.
    pub shown: f64,
    /// How much more often it pleased than the mean rate has it.
    pub surplus: f64,
    /// The variance of the noise in `surplus`.
    pub variance: f64,
}

/// The prior that counts are held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shrinkage {
    /// The rate over all cells.
    pub mean: f64,
    /// The variance of the cells' rates around it.
    pub spread: f64,
}

impl Shrinkage {
    /// The posterior mean of a cell's rate, in (0, 1). With `own`, as it would be had that one outcome not been counted: for
    /// whoever learns from an outcome that is among the counts.
    pub fn rate(&self, counted: &Counted, own: Option<bool>) -> f64 {
        let (mut shown, mut surplus) = (counted.shown, counted.surplus);
        if let Some(pleased) = own {
            shown -= 1.0;
            surplus -= f64::from(u8::from(pleased)) - self.mean;
        }
        let shown = shown.max(0.0);
        let doubt = self.spread * shown * shown + shown * self.mean * (1.0 - self.mean) + counted.variance;
        let gain = if doubt > 0.0 { self.spread * shown / doubt } else { 0.0 };
        (self.mean + gain * surplus).clamp(LEAST_RATE, 1.0 - LEAST_RATE)
    }
}

impl RateEstimate {
    /// The rate of a cell.
    pub fn rate(&self, cell: usize) -> f64 {
        self.shrinkage.rate(&self.cells[cell], None)
    }
}

impl Counted {
    /// With another cell's counts.
    pub fn and(self, other: &Self) -> Self {
        Self {
            shown: self.shown + other.shown,
            surplus: self.surplus + other.surplus,
            variance: self.variance + other.variance,
        }
    }
}

impl Rates {
    /// Counts in cells. `centre` is a public guess of the overall rate, `clip` the L2 norm of a device's counts.
    pub fn new(cells: Cells, centre: f64, clip: f64) -> Self {
        Self { cells, centre, clip, estimate: None }
    }

    /// What was counted, once the sum is in.
    pub fn estimate(&self) -> Option<&RateEstimate> {
        self.estimate.as_ref()
    }
}

impl Cells {
    fn count(&self) -> usize {
        match self {
            Self::Numbered(count) | Self::Scores(_, count) => *count,
        }
    }

    fn of(&self, shown: &Shown, pass: &mut Pass) -> usize {
        match self {
            Self::Numbered(_) => shown.track.row(),
            Self::Scores(ranker, count) => {
                let probability = logistic(ranker.score(&shown.features.to_vec(), pass));
                ((probability * *count as f32) as usize).min(count - 1)
            }
        }
    }
}

impl DeviceHalf for Rates {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("rates", self.cells.count(), 2, self.clip)]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let mut pass = Pass::default();
        let mut counts = BTreeMap::<u32, [f32; 2]>::new();
        for shown in device.shown {
            let cell = counts.entry(self.cells.of(shown, &mut pass) as u32).or_default();
            cell[0] += 1.0;
            cell[1] += f32::from(u8::from(shown.pleased)) - self.centre as f32;
        }
        let rows = counts.keys().copied().collect();
        Statistics { blocks: vec![Block::Rows { rows, values: counts.into_values().flatten().collect() }] }
    }
}

impl Workload for Rates {
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], _devices: f64) {
        let variance = deviations[0] * deviations[0];
        let total: f64 = sum[0].iter().step_by(2).sum();
        let surplus: f64 = sum[0].iter().skip(1).step_by(2).sum();
        let mean = (self.centre + surplus / total.max(1.0)).clamp(LEAST_RATE, 1.0 - LEAST_RATE);
        // From here on, a cell's surplus over the mean.
        let shift = mean - self.centre;
        let cells: Vec<Counted> = sum[0]
            .chunks_exact(2)
            .map(|cell| {
                let shown = cell[0];
                Counted { shown, surplus: cell[1] - shift * shown, variance: variance * (1.0 + shift * shift) }
            })
            .collect();
        // E[surplus^2] = spread shown^2 + shown mean (1 - mean) + variance, solved for the spread over all cells.
        let excess = |c: &Counted| c.surplus * c.surplus - c.variance - c.shown * mean * (1.0 - mean);
        let squares: f64 = cells.iter().map(|c| c.shown * c.shown - variance).sum();
        let spread = (cells.iter().map(excess).sum::<f64>() / squares.max(1.0)).max(LEAST_SPREAD);
        self.estimate = Some(RateEstimate { shrinkage: Shrinkage { mean, spread }, cells });
    }
}

// The variance of rates that is believed in at least.
const LEAST_SPREAD: f64 = 1e-5;
const LEAST_RATE: f64 = 1e-3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::math;
    use crate::random::unit_f64;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn shown(track: u32, pleased: bool) -> Shown {
        Shown { track: TrackId(track), features: vec![0.0].into(), pleased, weight: 1.0, list: 0 }
    }

    fn noise(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| unit_f64(rng)).sum::<f64>() - 6.0
    }

    #[test]
    fn a_device_counts_what_it_was_shown() {
        let rates = Rates::new(Cells::Numbered(4), 0.25, 4.0);
        let seen = [shown(2, true), shown(0, false), shown(2, false)];
        let mut workspace = Workspace::default();
        let device = Device { shown: &seen, ..workspace.device() };
        let statistics = rates.contribute(device, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(statistics.blocks[0].rows(), Some(&[0, 2][..]));
        assert_eq!(statistics.blocks[0].values(), &[1.0, -0.25, 2.0, 0.5]);
    }

    // With noise, the estimate must be nearer to the true rates than the raw quotient and than the mean alone.
    #[test]
    fn the_estimate_beats_the_quotient_and_the_mean() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let truth: Vec<f64> = (0..2000).map(|_| 0.1 + 0.5 * unit_f64(&mut rng)).collect();
        let deviation = 6.0;
        let (mut sum, mut weights) = (Vec::new(), Vec::new());
        for rate in &truth {
            let times = (10.0 / (0.004 + unit_f64(&mut rng))) as usize + 5;
            let pleased = (0..times).filter(|_| unit_f64(&mut rng) < *rate).count() as f64;
            weights.push(times as f64);
            sum.push(times as f64 + deviation * noise(&mut rng));
            sum.push(pleased - 0.3 * times as f64 + deviation * noise(&mut rng));
        }
        let mut rates = Rates::new(Cells::Numbered(truth.len()), 0.3, 4.0);
        rates.apply(vec![sum.clone()], &[deviation], 1000.0);
        let estimate = rates.estimate().expect("a sum was applied");
        let error = |guess: &dyn Fn(usize) -> f64| {
            // As listeners meet them: by how often a track is shown.
            truth.iter().zip(&weights).enumerate().map(|(i, (rate, w))| w * math::powi(guess(i) - rate, 2)).sum::<f64>()
        };
        let ours = error(&|i| estimate.rate(i));
        let quotient = error(&|i| (0.3 + sum[2 * i + 1] / sum[2 * i].max(1.0)).clamp(0.0, 1.0));
        let mean = error(&|_| estimate.shrinkage.mean);
        assert!(ours < 0.6 * mean && ours < 0.6 * quotient, "{ours} {mean} {quotient}");
        assert!((estimate.shrinkage.mean - 0.35).abs() < 0.02, "{}", estimate.shrinkage.mean);
    }

    // Who learns from a counted outcome must not find it in the rate: without it, both outcomes leave the same rate.
    #[test]
    fn an_outcome_can_be_taken_back() {
        let shrinkage = Shrinkage { mean: 0.3, spread: 0.02 };
        let others = Counted { shown: 9.0, surplus: 1.3, variance: 2.0 };
        for pleased in [false, true] {
            let one = Counted { shown: 1.0, surplus: f64::from(u8::from(pleased)) - 0.3, variance: 0.0 };
            let (with, without) = (others.and(&one), shrinkage.rate(&others, None));
            assert!((shrinkage.rate(&with, Some(pleased)) - without).abs() < 1e-12);
            assert_eq!(shrinkage.rate(&with, None) > without, pleased);
        }
        assert_eq!(shrinkage.rate(&Counted::default(), None), 0.3);
    }

    #[test]
    fn scores_fall_into_equal_steps() {
        let mut ranker = Ranker::new(1, &[], &mut ChaCha8Rng::seed_from_u64(1));
        ranker.parameters_mut().copy_from_slice(&[1.0, 0.0]);
        let cells = Cells::Scores(ranker, 10);
        let of = |z: f32| cells.of(&Shown { features: vec![z].into(), ..shown(0, true) }, &mut Pass::default());
        assert_eq!((of(-50.0), of(-0.1), of(0.1), of(50.0)), (0, 4, 5, 9));
    }
}
