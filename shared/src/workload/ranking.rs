//! Federated averaging of a ranker (McMahan et al. 2017) under the private sum: a device moves the ranker by its own lists and sends
//! the move, clipped; the coordinator follows the mean with Adam.
//!
//! The loss is the log-loss of every track shown, for calibration, and a pairwise logistic loss within each list, for order.
//! The clip follows a quantile of the devices' moves ([`super::Adaptive`]).

use super::adam::Adam;
use super::{Block, Device, DeviceHalf, Reclip, Statistics, Workload};
use crate::model::{Network, NetworkBlock, Ranker, Shown, logistic};
use crate::plan::BlockLayout;
use crate::privacy::AdaptiveClip;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Settings of the averaging.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankingSettings {
    /// Widths of the hidden layers; none for logistic regression.
    pub hidden: Vec<usize>,
    /// Passes of a device over its lists.
    pub passes: usize,
    /// The device's step, from the second pass on.
    pub device_rate: f32,
    /// The coordinator's step.
    pub rate: f64,
    /// How much the pairwise loss counts beside the log-loss.
    pub pairwise: f32,
    /// The share of the last rounds whose rankers are averaged for the result.
    pub averaged: f64,
    /// The clip, and how it moves.
    pub clip: AdaptiveClip,
}

impl Default for RankingSettings {
    fn default() -> Self {
        let clip = AdaptiveClip { clip: 2.0, quantile: 0.9, ..AdaptiveClip::default() };
        Self { hidden: vec![16], passes: 1, device_rate: 0.05, rate: 0.05, pairwise: 0.2, averaged: 0.3, clip }
    }
}

/// The ranking workload.
#[derive(Clone, Debug)]
pub struct Ranking {
    ranker: Ranker,
    // The same, laid out for many tracks at once.
    network: Network,
    settings: RankingSettings,
    clip: f64,
    adam: Adam,
    rounds: usize,
    averaged: Vec<f64>,
    summands: f64,
}

impl Ranking {
    /// Starts from a ranker; `rounds` is how many there will be.
    pub fn new(ranker: Ranker, settings: RankingSettings, rounds: usize) -> Self {
        let adam = Adam::new(ranker.parameters().len(), settings.rate, rounds);
        let (clip, averaged) = (settings.clip.clip, vec![0.0; ranker.parameters().len()]);
        let network = Network::new(&ranker);
        Self { ranker, network, settings, clip, adam, rounds, averaged, summands: 0.0 }
    }

    /// The ranker as it stands.
    pub fn current(&self) -> &Ranker {
        &self.ranker
    }

    /// The ranker as it stands, laid out for many tracks at once.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The ranker: the mean of the last rounds' once those have begun.
    pub fn ranker(&self) -> Ranker {
        let mut ranker = self.ranker.clone();
        if self.summands > 0.0 {
            let parameters = ranker.parameters_mut().iter_mut();
            parameters.zip(&self.averaged).for_each(|(to, sum)| *to = (sum / self.summands) as f32);
        }
        ranker
    }
}

/// The gradient of a device's loss: the sum over its lists, in their order.
pub fn loss_gradient(
    network: &Network,
    shown: &[Shown],
    pairwise: f32,
    block: &mut NetworkBlock,
    gradient: &mut [f32],
) {
    let scores = network.scores(shown.iter().map(|s| &s.features), block).to_vec();
    let mut slopes: Vec<f32> = shown
        .iter()
        .zip(&scores)
        .map(|(s, &score)| s.weight * (logistic(score) - f32::from(u8::from(s.pleased))))
        .collect();
    let mut at = 0;
    for list in shown.chunk_by(|a, b| a.list == b.list) {
        let own = at..at + list.len();
        at = own.end;
        add_pairs(list, &scores[own.clone()], pairwise, &mut slopes[own]);
    }
    network.add_gradient(&slopes, block, gradient);
}

// Slopes of the pairwise loss within one list.
fn add_pairs(list: &[Shown], scores: &[f32], pairwise: f32, slopes: &mut [f32]) {
    let worse: Vec<usize> = (0..list.len()).filter(|&i| !list[i].pleased).collect();
    let pairs = worse.len() * (list.len() - worse.len());
    if pairs == 0 || pairwise == 0.0 {
        return;
    }
    // Every track takes part in as many pairs as there are others of the other kind; the mean keeps long lists from
    // counting by the square of their length.
    let share = pairwise * list.len() as f32 / pairs as f32;
    let weights: Vec<f32> = worse.iter().map(|&j| list[j].weight).collect();
    let worse_scores: Vec<f32> = worse.iter().map(|&j| scores[j]).collect();
    let (mut chances, mut sums) = (vec![0.0f32; worse.len()], vec![0.0f32; worse.len()]);
    for (i, better) in list.iter().enumerate().filter(|(_, s)| s.pleased) {
        let (own, scale) = (scores[i], share * better.weight);
        chances.iter_mut().zip(&worse_scores).for_each(|(to, score)| *to = logistic(score - own));
        chances.iter_mut().zip(&weights).for_each(|(to, weight)| *to *= scale * weight);
        sums.iter_mut().zip(&chances).for_each(|(sum, slope)| *sum += slope);
        slopes[i] -= chances.iter().sum::<f32>();
    }
    worse.iter().zip(&sums).for_each(|(&j, sum)| slopes[j] += sum);
}

impl DeviceHalf for Ranking {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("ranker", 1, self.ranker.parameters().len(), self.clip)]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let mut room = NetworkBlock::default();
        let mut total = vec![0.0; self.ranker.parameters().len()];
        loss_gradient(&self.network, device.shown, self.settings.pairwise, &mut room, &mut total);
        if self.settings.passes > 1 {
            let (mut own, mut last, rate) = (self.ranker.clone(), total.clone(), self.settings.device_rate);
            for _ in 1..self.settings.passes {
                own.parameters_mut().iter_mut().zip(&last).for_each(|(parameter, g)| *parameter -= rate * g);
                last.fill(0.0);
                let network = Network::new(&own);
                loss_gradient(&network, device.shown, self.settings.pairwise, &mut room, &mut last);
                total.iter_mut().zip(&last).for_each(|(sum, g)| *sum += g);
            }
        }
        Statistics { blocks: vec![Block::Dense(total)] }
    }
}

impl Workload for Ranking {
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        self.adam.step(self.ranker.parameters_mut().iter_mut(), &sum[0], deviations[0], devices);
        self.network = Network::new(&self.ranker);
        if self.adam.steps() as f64 > self.rounds as f64 * (1.0 - self.settings.averaged) {
            self.summands += 1.0;
            self.averaged.iter_mut().zip(self.ranker.parameters()).for_each(|(sum, &p)| *sum += f64::from(p));
        }
    }
}

impl Reclip for Ranking {
    fn set_clip(&mut self, clip: f64) {
        self.clip = clip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::math;
    use crate::model::Pass;
    use crate::random::unit_f64;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn world(seed: u64, devices: usize) -> Vec<Vec<Shown>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let one = |rng: &mut ChaCha8Rng, list: u32| {
            let features: Vec<f32> = (0..3).map(|_| unit_f64(rng) as f32 * 2.0 - 1.0).collect();
            let chance = logistic(2.0 * features[0] - features[1] - 0.5);
            Shown {
                track: TrackId(0),
                features: features.into(),
                pleased: unit_f64(rng) < f64::from(chance),
                weight: 1.0,
                list,
            }
        };
        (0..devices).map(|_| (0..6).map(|i| one(&mut rng, i / 3)).collect()).collect()
    }

    fn loss(ranker: &Ranker, shown: &[Shown], pairwise: f32) -> f64 {
        let mut pass = Pass::default();
        let softplus = |z: f64| math::ln_1p(math::exp(z));
        let mut total = 0.0;
        for list in shown.chunk_by(|a, b| a.list == b.list) {
            let scores: Vec<f64> =
                list.iter().map(|s| f64::from(ranker.score(&s.features.to_vec(), &mut pass))).collect();
            total += list.iter().zip(&scores).map(|(s, &z)| softplus(if s.pleased { -z } else { z })).sum::<f64>();
            let yes = list.iter().filter(|s| s.pleased).count();
            let pairs = (yes * (list.len() - yes)).max(1) as f64;
            for (better, high) in list.iter().zip(&scores).filter(|(s, _)| s.pleased) {
                for (worse, low) in list.iter().zip(&scores).filter(|(s, _)| !s.pleased) {
                    let weights = f64::from(better.weight * worse.weight);
                    total += weights * f64::from(pairwise) * list.len() as f64 / pairs * softplus(low - high);
                }
            }
        }
        total
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut ranker = Ranker::new(3, &[4], &mut rng);
        ranker.parameters_mut().iter_mut().for_each(|p| *p = unit_f64(&mut rng) as f32 - 0.5);
        let shown = &world(2, 1)[0];
        let mut gradient = vec![0.0; ranker.parameters().len()];
        loss_gradient(&Network::new(&ranker), shown, 0.7, &mut NetworkBlock::default(), &mut gradient);
        for (at, &found) in gradient.iter().enumerate() {
            let moved = |by: f32| {
                let mut other = ranker.clone();
                other.parameters_mut()[at] += by;
                loss(&other, shown, 0.7)
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(found) - expected).abs() < 3e-3, "{at}: {found} and {expected}");
        }
    }

    #[test]
    fn rounds_of_averaging_learn_what_pleases() {
        let devices = world(1, 2000);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let settings = RankingSettings { hidden: vec![], pairwise: 0.0, rate: 0.1, ..RankingSettings::default() };
        let mut ranking = Ranking::new(Ranker::new(3, &[], &mut rng), settings, 120);
        for _ in 0..120 {
            let mut sum = vec![0.0; 4];
            for shown in &devices {
                let mut workspace = Workspace::default();
                let device = Device { shown, ..workspace.device() };
                let statistics = ranking.contribute(device, &mut rng);
                sum.iter_mut().zip(statistics.blocks[0].values()).for_each(|(s, &v)| *s += f64::from(v));
            }
            ranking.apply(vec![sum], &[0.0], devices.len() as f64);
        }
        let found = ranking.ranker();
        for (found, truth) in found.parameters().iter().zip([2.0, -1.0, 0.0, -0.5]) {
            assert!((found - truth).abs() < 0.15, "{:?}", ranking.ranker());
        }
    }
}
