//! What a play is worth as a label: how likely a listener who says anything about the track says yes, given how much of it was
//! played and how long it is.
//!
//! Log-odds are a sum of steps, one at each edge of the bands of the played fraction and of the length (an additive logistic
//! regression), fitted to private counts of bands by Newton's method. Few listeners ever say anything, so single bands cannot
//! be trusted; steps share their strength, and where little is known they are what one expects: whoever plays more of a track, and
//! longer, likes it more.

use super::logistic;
use crate::linalg::cholesky_solve;
use crate::math;
use crate::workload::RateEstimate;
use serde::{Deserialize, Serialize};

/// Bands of the played fraction and of a track's length, by their inner edges, ascending.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayBands {
    /// Edges of the played fraction; 1 is the whole track once.
    pub fractions: Vec<f32>,
    /// Edges of the length in seconds.
    pub seconds: Vec<f32>,
}

impl Default for PlayBands {
    fn default() -> Self {
        Self { fractions: vec![0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.05, 1.5], seconds: vec![15.0, 30.0, 70.0] }
    }
}

impl PlayBands {
    /// The number of cells: each band of the fraction by each band of the length.
    pub fn cells(&self) -> usize {
        (self.fractions.len() + 1) * (self.seconds.len() + 1)
    }

    /// The cell of a play.
    pub fn cell(&self, fraction: f32, seconds: f32) -> usize {
        let (fraction, seconds) = (band(&self.fractions, fraction), band(&self.seconds, seconds));
        fraction * (self.seconds.len() + 1) + seconds
    }

    // What a cell's log-odds are the sum of: 1, then the edges that it is above.
    fn steps(&self, cell: usize) -> Vec<f64> {
        let (fraction, seconds) = (cell / (self.seconds.len() + 1), cell % (self.seconds.len() + 1));
        let above = |edges: &[f32], band: usize| (0..edges.len()).map(move |edge| f64::from(u8::from(edge < band)));
        std::iter::once(1.0).chain(above(&self.fractions, fraction)).chain(above(&self.seconds, seconds)).collect()
    }
}

fn band(edges: &[f32], value: f32) -> usize {
    edges.partition_point(|&edge| edge <= value)
}

/// The fitted steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    bands: PlayBands,
    weights: Vec<f64>,
}

impl Approval {
    /// From counts by cell. Noise in the counts makes steps smaller: the ridge grows with its variance.
    ///
    /// # Panics
    /// Where the counts are of other cells.
    pub fn fit(bands: PlayBands, counts: &RateEstimate) -> Self {
        assert_eq!(counts.cells.len(), bands.cells(), "one count a cell");
        let mean = counts.shrinkage.mean;
        // (steps, yes, all). Noise may put counts below zero; cutting it off there would add what nobody said.
        let cells: Vec<(Vec<f64>, f64, f64)> = counts
            .cells
            .iter()
            .enumerate()
            .map(|(cell, counted)| (bands.steps(cell), counted.surplus + mean * counted.shown, counted.shown))
            .collect();
        let noise = counts.cells.first().map_or(0.0, |counted| counted.variance);
        let ridge = RIDGE * (1.0 + noise);
        let count = bands.fractions.len() + bands.seconds.len() + 1;
        let expected = |at: usize| if at <= bands.fractions.len() { FRACTION_STEP } else { SECONDS_STEP };
        let mut weights: Vec<f64> = (0..count).map(expected).collect();
        weights[0] = math::ln(mean / (1.0 - mean));
        for _ in 0..NEWTON_STEPS {
            let (mut hessian, mut gradient) = (vec![0.0; count * count], vec![0.0; count]);
            for (at, weight) in weights.iter().enumerate() {
                // The first is the level, which nothing pulls on but for what keeps the system regular.
                let pull = if at == 0 { LEAST_RIDGE } else { ridge };
                hessian[at * count + at] = pull;
                gradient[at] = if at == 0 { 0.0 } else { pull * (expected(at) - weight) };
            }
            for (steps, yes, all) in &cells {
                let odds: f64 = steps.iter().zip(&weights).map(|(s, w)| s * w).sum();
                let probability = 1.0 / (1.0 + math::exp(-odds));
                let (slope, bend) = (yes - all * probability, all.max(0.0) * probability * (1.0 - probability));
                for (i, a) in steps.iter().enumerate().filter(|(_, step)| **step > 0.0) {
                    gradient[i] += slope * a;
                    for (j, b) in steps.iter().enumerate() {
                        hessian[i * count + j] += bend * a * b;
                    }
                }
            }
            if !cholesky_solve(&mut hessian, &mut gradient) {
                break;
            }
            // A long step is a sign of a flat place: go part of the way.
            let longest = gradient.iter().fold(0.0f64, |most, step| most.max(step.abs()));
            let scale = if longest > 2.0 { 2.0 / longest } else { 1.0 };
            weights.iter_mut().zip(&gradient).for_each(|(weight, step)| *weight += scale * step);
        }
        Self { bands, weights }
    }

    /// Log-odds of a yes.
    pub fn log_odds(&self, fraction: f32, seconds: f32) -> f32 {
        let steps = self.bands.steps(self.bands.cell(fraction, seconds));
        steps.iter().zip(&self.weights).map(|(s, w)| s * w).sum::<f64>() as f32
    }

    /// The probability of a yes, in (0, 1).
    pub fn probability(&self, fraction: f32, seconds: f32) -> f32 {
        logistic(self.log_odds(fraction, seconds))
    }
}

// Steps are of order a half; between .3 and 10 it made no difference beyond chance on KuaiRand.
const RIDGE: f64 = 3.0;
// What steps are drawn towards: whoever plays more of a track, and longer, likes it more.
const FRACTION_STEP: f64 = 0.4;
const SECONDS_STEP: f64 = 0.2;
const LEAST_RIDGE: f64 = 1e-6;
const NEWTON_STEPS: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Counted, Shrinkage};

    fn estimate(bands: &PlayBands, each: f64, variance: f64, rate: impl Fn(usize) -> f64) -> RateEstimate {
        let cells =
            (0..bands.cells()).map(|cell| Counted { shown: each, surplus: each * (rate(cell) - 0.8), variance });
        RateEstimate { shrinkage: Shrinkage { mean: 0.8, spread: 0.01 }, cells: cells.collect() }
    }

    #[test]
    fn cells_are_bands_by_bands() {
        let bands = PlayBands { fractions: vec![0.5, 1.0], seconds: vec![30.0] };
        assert_eq!(bands.cells(), 6);
        assert_eq!([bands.cell(0.0, 10.0), bands.cell(0.5, 30.0), bands.cell(7.0, 29.9)], [0, 3, 4]);
        assert_eq!(bands.steps(3), [1.0, 1.0, 0.0, 1.0]);
        assert_eq!(bands.cell(f32::NAN, 10.0), 0);
    }

    // Rates that are additive in log-odds come back, the closer the more was counted.
    #[test]
    fn additive_rates_come_back() {
        let bands = PlayBands { fractions: vec![0.5, 1.0], seconds: vec![30.0] };
        let truth = |cell: usize| {
            let steps = bands.steps(cell);
            1.0 / (1.0 + math::exp(-(0.5 + 1.0 * steps[1] - 0.7 * steps[2] + 0.4 * steps[3])))
        };
        let furthest = |each: f64, variance: f64| {
            let approval = Approval::fit(bands.clone(), &estimate(&bands, each, variance, truth));
            let plays = [(0.1, 10.0), (0.7, 10.0), (2.0, 10.0), (0.1, 40.0), (0.7, 40.0), (2.0, 40.0)];
            plays.iter().fold(0.0f64, |most, &(fraction, seconds)| {
                let off = f64::from(approval.probability(fraction, seconds)) - truth(bands.cell(fraction, seconds));
                most.max(off.abs())
            })
        };
        assert!(furthest(1e6, 0.0) < 1e-4, "{}", furthest(1e6, 0.0));
        assert!(furthest(50.0, 0.0) < 0.06 && furthest(50.0, 20.0) > furthest(50.0, 0.0));
    }

    #[test]
    fn nothing_counted_leaves_what_is_expected_and_odd_counts_do_no_harm() {
        let bands = PlayBands::default();
        let none = Approval::fit(bands.clone(), &estimate(&bands, 0.0, 1.0, |_| 0.5));
        let rising: Vec<f32> = (0..20).map(|i| none.log_odds(i as f32 * 0.1, 60.0)).collect();
        assert!(rising.is_sorted() && rising[19] > rising[0] + 3.0, "{rising:?}");
        assert!(none.log_odds(0.5, 100.0) > none.log_odds(0.5, 10.0));
        // Noise may leave a cell more yeses than plays, or fewer than none, or fewer plays than none.
        let rate = |cell: usize| if cell.is_multiple_of(2) { 3.0 } else { -1.0 };
        for each in [5.0, -2.0] {
            let odd = Approval::fit(bands.clone(), &estimate(&bands, each, 1.0, rate));
            assert!((0..20).all(|i| odd.log_odds(i as f32 * 0.1, 60.0).is_finite()), "{each}");
        }
    }
}
