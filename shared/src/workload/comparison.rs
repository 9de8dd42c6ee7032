//! A private comparison of the new model with popularity, on tracks that devices held out themselves.
//!
//! One value a device: how much better the model ranks its held-out tracks than popularity does, as the difference of
//! the mean discounted gain `1/log2(1 + rank)` over the catalogue, which lies in [-1, 1] by itself. With it the
//! coordinator never ships a model that is worse than popularity for the sake of a formula: it asks.

use super::{Block, Device, DeviceHalf, Statistics, Workload};
use crate::evaluate::{Gain, Judged};
use crate::model::Model;
use crate::plan::BlockLayout;
use rand_core::Rng;

/// The comparison workload.
#[derive(Clone, Debug)]
pub struct Comparison {
    advantage: Advantage,
    // Mean difference over devices and the deviation of its noise.
    verdict: Option<(f64, f64)>,
}

/// The device's half of [`Comparison`].
#[derive(Clone, Debug)]
pub struct Advantage {
    pub(super) model: Model,
    pub(super) baseline: Model,
}

impl Comparison {
    /// Compares a model with a baseline over the same tracks.
    pub fn new(model: Model, baseline: Model) -> Self {
        assert_eq!(model.tracks(), baseline.tracks(), "both rank the same catalogue");
        Self { advantage: Advantage { model, baseline }, verdict: None }
    }

    /// The model to ship: the new one if it is ahead by more than two deviations of the noise, else the baseline.
    pub fn winner(&self) -> &Model {
        match self.verdict {
            Some((difference, deviation)) if difference > MARGIN_IN_DEVIATIONS * deviation => &self.advantage.model,
            _ => &self.advantage.baseline,
        }
    }

    /// The model that was put to the test.
    pub fn candidate(&self) -> &Model {
        &self.advantage.model
    }

    /// What devices need of it.
    pub fn device(&self) -> &Advantage {
        &self.advantage
    }

    /// The mean difference over devices and the deviation of its noise, once the sum is in.
    pub fn verdict(&self) -> Option<(f64, f64)> {
        self.verdict
    }
}

impl DeviceHalf for Comparison {
    fn layout(&self) -> Vec<BlockLayout> {
        self.advantage.layout()
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        self.advantage.contribute(device, rng)
    }
}

impl DeviceHalf for Advantage {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("advantage", 1, 1, 1.0)]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        if device.held_out.is_empty() {
            return Statistics { blocks: vec![Block::Dense(vec![0.0])] };
        }
        let tracks = device.examples.iter().map(|e| e.track).chain(device.held_out.iter().copied());
        let mut known: Vec<usize> = tracks.map(|track| track.row()).collect();
        known.sort_unstable();
        known.dedup();
        let mut scores = Vec::new();
        let mut gain = |model: &Model| {
            model.score(device.examples, device.solver, &mut scores);
            let relevant: Vec<f32> = device.held_out.iter().map(|t| scores[t.row()]).collect();
            Judged::among(&relevant, &scores, &known).ndcg(None, Gain::Binary)
        };
        let advantage = gain(&self.model) - gain(&self.baseline);
        Statistics { blocks: vec![Block::Dense(vec![advantage as f32])] }
    }
}

impl Workload for Comparison {
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        self.verdict = Some((sum[0][0] / devices.max(1.0), deviations[0] / devices.max(1.0)));
    }
}

// A model that wins by less may be worse; popularity is known to be harmless.
const MARGIN_IN_DEVIATIONS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::math;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn the_better_model_wins_and_noise_is_no_win() {
        let good = Model::Popularity(vec![0.0, 1.0, 2.0, 9.0]);
        let bad = Model::Popularity(vec![9.0, 2.0, 1.0, 0.0]);
        let mut comparison = Comparison::new(good.clone(), bad);
        let mut workspace = Workspace::default();
        let device = Device { held_out: &[TrackId(3)], ..workspace.device() };
        let statistics = comparison.contribute(device, &mut ChaCha8Rng::seed_from_u64(1));
        let advantage = f64::from(statistics.blocks[0].values()[0]);
        assert!((advantage - (1.0 - 1.0 / math::log2(5f64))).abs() < 1e-6, "{advantage}");
        comparison.apply(vec![vec![advantage * 10.0]], &[0.0], 10.0);
        assert_eq!(comparison.winner().to_bytes(), good.to_bytes());
        comparison.apply(vec![vec![advantage * 10.0]], &[5.0], 10.0);
        assert_ne!(comparison.winner().to_bytes(), good.to_bytes());
    }
}
