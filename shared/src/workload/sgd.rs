//! Plain federated matrix factorisation by stochastic gradient descent, as the literature has it (FedMF, Chai et al.
//! 2020; in the form that FedRec comparisons use), for comparison.
//!
//! A device keeps its own vector, runs one epoch of gradient steps on a logistic loss with sampled negatives, and sends
//! the gradient of the track table. The negative sampler may exclude the device's training tracks and nothing else: a
//! device cannot know what it will hear next.

use super::{Block, Device, DeviceHalf, Reclip, Statistics, Workload};
use crate::ids::TrackId;
use crate::linalg::dot_f32;
use crate::math;
use crate::model::{EmbeddingModel, Example, Hyperparameters};
use crate::plan::BlockLayout;
use crate::privacy::AdaptiveClip;
use crate::random::{below, unit_f64};
use ndarray::Array2;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Settings of the descent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GradientSettings {
    /// Step of the device on its own vector.
    pub listener_rate: f32,
    /// Step of the coordinator on the table, on the sum of gradients over the square root of a track's popularity.
    pub table_rate: f64,
    /// Negatives drawn for each positive.
    pub negatives: usize,
    /// L2 norm to which a device's gradient is clipped.
    pub clip: f64,
    /// 0: a device keeps its vector from round to round (FedMF). Otherwise it forgets it, finds it anew by so many passes over a half
    /// of its pairs with the table held still, and sends the gradient of the other half (FedRecon, Singhal et al. 2021).
    pub reconstruction_passes: usize,
    /// Whether negatives avoid the tracks that are held out, as published federated tables do: it tells the method which tracks it
    /// will be tested on. Here to reproduce those tables and for nothing else; no device can do it, since none knows its next track.
    pub leaky_negatives: bool,
    /// Where given, the clip follows a quantile of the devices' norms instead.
    pub adaptive_clip: Option<AdaptiveClip>,
}

impl Default for GradientSettings {
    fn default() -> Self {
        Self {
            listener_rate: 0.1,
            table_rate: 0.05,
            negatives: 4,
            clip: 1.0,
            reconstruction_passes: 0,
            leaky_negatives: false,
            adaptive_clip: None,
        }
    }
}

/// The gradient workload.
#[derive(Clone, Debug)]
pub struct GradientDescent {
    table: Array2<f32>,
    // Running mean squares of the table's gradient (FedAdagrad, Reddi et al. 2021).
    squares: Array2<f32>,
    settings: GradientSettings,
}

impl GradientDescent {
    /// Starts from small random embeddings.
    pub fn new(tracks: usize, d: usize, settings: GradientSettings, rng: &mut impl Rng) -> Self {
        let table = Array2::from_shape_fn((tracks, d), |_| (unit_f64(rng) as f32 - 0.5) * 0.2);
        Self { squares: Array2::zeros(table.dim()), table, settings }
    }

    /// The table as a model whose listeners are solved for; popularity is unknown to this method.
    pub fn model(&self, hyperparameters: Hyperparameters) -> EmbeddingModel {
        EmbeddingModel::new(self.table.clone(), vec![0.0; self.table.nrows()], hyperparameters)
    }

    /// Scores of all tracks for a device with this memory.
    pub fn score(&self, memory: &[f32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.extend(self.table.outer_iter().map(|row| row.iter().zip(memory).map(|(a, b)| a * b).sum::<f32>()));
    }

    /// Tracks outside `examples` drawn as negatives: any other track, the held-out ones included; those `avoided` are not.
    pub fn negatives(&self, examples: &[Example], avoided: &[TrackId], rng: &mut impl Rng) -> Vec<TrackId> {
        let tracks = self.table.nrows() as u64;
        if (examples.len() + avoided.len()) as u64 >= tracks {
            return Vec::new();
        }
        let wanted = examples.len() * self.settings.negatives;
        std::iter::repeat_with(|| TrackId(below(rng, tracks) as u32))
            .filter(|track| examples.binary_search_by_key(track, |e| e.track).is_err() && !avoided.contains(track))
            .take(wanted)
            .collect()
    }

    /// A listener's vector found anew from its history, the table held still.
    pub fn reconstruct(&self, examples: &[Example], rng: &mut impl Rng) -> Vec<f32> {
        let pairs = self.pairs(examples, &[], rng);
        self.found(&pairs, rng)
    }

    // Positives and negatives with their targets, in an order of chance.
    fn pairs(&self, examples: &[Example], avoided: &[TrackId], rng: &mut impl Rng) -> Vec<(TrackId, f32)> {
        let mut pairs: Vec<(TrackId, f32)> = examples.iter().map(|e| (e.track, 1.0)).collect();
        pairs.extend(self.negatives(examples, avoided, rng).into_iter().map(|track| (track, 0.0)));
        for i in (1..pairs.len()).rev() {
            pairs.swap(i, below(rng, i as u64 + 1) as usize);
        }
        pairs
    }

    fn found(&self, pairs: &[(TrackId, f32)], rng: &mut impl Rng) -> Vec<f32> {
        let mut x = self.fresh(rng);
        for _ in 0..self.settings.reconstruction_passes {
            for &(track, target) in pairs {
                let error = self.error(track, target, &x);
                let step = self.settings.listener_rate * error;
                x.iter_mut().zip(self.table.row(track.row())).for_each(|(x, y)| *x -= step * y);
            }
        }
        x
    }

    fn fresh(&self, rng: &mut impl Rng) -> Vec<f32> {
        (0..self.table.ncols()).map(|_| (unit_f64(rng) as f32 - 0.5) * 0.2).collect()
    }

    fn error(&self, track: TrackId, target: f32, x: &[f32]) -> f32 {
        let row = self.table.row(track.row());
        let row = row.as_slice().expect("tables are built in row order");
        math::logistic_f32(dot_f32(row, x)) - target
    }
}

impl DeviceHalf for GradientDescent {
    fn layout(&self) -> Vec<BlockLayout> {
        let (rows, width) = self.table.dim();
        vec![BlockLayout::new("gradient", rows, width, self.settings.clip)]
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        let d = self.table.ncols();
        if device.memory.is_empty() {
            *device.memory = self.fresh(rng);
        }
        let avoided = match self.settings.leaky_negatives {
            true => [device.held_out, device.aside].concat(),
            false => Vec::new(),
        };
        let mut pairs = self.pairs(device.examples, &avoided, rng);
        let mut rate = self.settings.listener_rate;
        if self.settings.reconstruction_passes > 0 {
            let support = pairs.split_off(pairs.len() / 2);
            *device.memory = self.found(&support, rng);
            rate = 0.0;
        }
        let mut gradient = std::collections::BTreeMap::<u32, Vec<f32>>::new();
        for (track, target) in pairs {
            let error = self.error(track, target, device.memory);
            let row = self.table.row(track.row());
            let sum = gradient.entry(track.0).or_insert_with(|| vec![0.0; d]);
            for ((g, x), &y) in sum.iter_mut().zip(device.memory.iter_mut()).zip(&row) {
                *g += error * *x;
                *x -= rate * error * y;
            }
        }
        let rows = gradient.keys().copied().collect();
        let values = gradient.into_values().flatten().collect();
        Statistics { blocks: vec![Block::Rows { rows, values }] }
    }
}

impl Workload for GradientDescent {
    fn apply(&mut self, mut sum: Vec<Vec<f64>>, _deviations: &[f64], devices: f64) {
        let gradient = sum.swap_remove(0);
        for ((value, square), g) in self.table.iter_mut().zip(self.squares.iter_mut()).zip(gradient) {
            let g = (g / devices.max(1.0)) as f32;
            *square += g * g;
            *value -= self.settings.table_rate as f32 * g / (square.sqrt() + 1e-7);
        }
    }
}

impl Reclip for GradientDescent {
    fn set_clip(&mut self, clip: f64) {
        self.settings.clip = clip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    // Published protocols leak: their negatives avoid the test item, so "drawn fewest times" finds it.
    #[test]
    fn counting_negatives_does_not_find_the_held_out_track() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let workload = GradientDescent::new(500, 2, GradientSettings::default(), &mut rng);
        let mut hits = 0u32;
        let listeners = 300u32;
        for _ in 0..listeners {
            let own = crate::random::distinct_below(&mut rng, 500, 121);
            let (test, train) = (own[0], &own[1..]);
            let mut examples: Vec<Example> =
                train.iter().map(|&t| Example { track: TrackId(t as u32), confidence: 1.0 }).collect();
            examples.sort_by_key(|e| e.track);
            let mut counts = vec![0u32; 500];
            for _ in 0..20 {
                workload.negatives(&examples, &[], &mut rng).iter().for_each(|t| counts[t.row()] += 1);
            }
            let candidates: Vec<usize> = (0..500).filter(|t| !own.contains(t)).take(99).collect();
            let rank = 1 + candidates.iter().filter(|&&c| counts[c] <= counts[test]).count();
            hits += u32::from(rank <= 10);
        }
        let rate = f64::from(hits) / f64::from(listeners);
        let standard_error = (0.1f64 * 0.9 / f64::from(listeners)).sqrt();
        assert!(rate < 0.1 + 3.0 * standard_error, "{rate}");
    }
}
