//! Federated evaluation: each device measures a model on what it holds out itself, and its own listener's habits, and adds what it
//! found to the cell of its group. The coordinator learns means by group, with the deviation that the noise gives them.
//!
//! For each metric a device adds `(1, value - 1/2)` to its cell, or nothing where it cannot tell; values lie in [0, 1], so its
//! vector is at most `sqrt(9 (1 + 1/4))` long by construction. A group follows from the device's own number of examples by public bounds.

use super::{Block, Device, DeviceHalf, Statistics, Workload};
use crate::evaluate::{Gain, HABITS, Habits, Judged};
use crate::ids::TrackId;
use crate::model::{Example, Model, Solver};
use crate::plan::BlockLayout;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// The metrics in their order, the last [`HABITS`] of them habits.
pub const METRICS: [&str; 9] = [
    "hr@10",
    "ndcg@10",
    "mrr",
    "recall@20",
    "return within 1 day",
    "return within 3 days",
    "return within 7 days",
    "session tracks",
    "early skips",
];

/// The metrics workload.
#[derive(Clone, Debug)]
pub struct Metrics {
    measures: Measures,
    estimate: Option<MetricEstimate>,
}

/// The device's half of [`Metrics`].
#[derive(Clone, Debug)]
pub struct Measures {
    model: Model,
    bounds: Vec<usize>,
}

/// What the sum says: for each group, a figure a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricEstimate {
    groups: Vec<[Noisy; METRICS.len()]>,
}

// Sums of one metric in one group, noise and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Noisy {
    // Devices that could tell.
    devices: f64,
    // The sum of what they added.
    surplus: f64,
    // The variance of the noise in each of both.
    variance: f64,
}

impl Metrics {
    /// Of a model; `bounds` are the numbers of examples from which a device belongs to the next group, ascending.
    pub fn new(model: Model, bounds: Vec<usize>) -> Self {
        Self { measures: Measures { model, bounds }, estimate: None }
    }

    /// What devices need of it.
    pub fn device(&self) -> &Measures {
        &self.measures
    }

    /// A device's values in the units of reports: sessions in tracks, everything else from 0 to 1.
    pub fn in_units(values: [Option<f32>; METRICS.len()]) -> [Option<f64>; METRICS.len()] {
        std::array::from_fn(|metric| values[metric].map(|value| f64::from(value) * unit(metric)))
    }

    /// What the sum says, once it is in.
    pub fn estimate(&self) -> Option<&MetricEstimate> {
        self.estimate.as_ref()
    }
}

impl Measures {
    /// The group of a device with so many examples.
    pub fn group(&self, examples: usize) -> usize {
        self.bounds.iter().filter(|&&bound| examples >= bound).count()
    }

    /// One device's metrics; `None` where it cannot tell.
    pub fn measure(
        &self,
        (examples, held_out, aside): (&[Example], &[TrackId], &[TrackId]),
        habits: &Habits,
        solver: &mut Solver,
    ) -> [Option<f32>; METRICS.len()] {
        let mut values = [None; METRICS.len()];
        if !held_out.is_empty() {
            let mut scores = Vec::new();
            self.model.score(examples, solver, &mut scores);
            let mut known = vec![false; scores.len()];
            let all = examples.iter().map(|e| e.track).chain(held_out.iter().chain(aside).copied());
            all.for_each(|track| known[track.row()] = true);
            let relevant: Vec<f32> = held_out.iter().map(|t| scores[t.row()]).collect();
            let others = scores.iter().zip(&known).filter(|(_, known)| !**known).map(|(&s, _)| s);
            let judged = Judged::from_scores(&relevant, others);
            let ranked =
                [judged.hit(10), judged.ndcg(Some(10), Gain::Binary), judged.reciprocal_rank(None), judged.recall(20)];
            values.iter_mut().zip(ranked).for_each(|(to, value)| *to = Some(value as f32));
        }
        values[METRICS.len() - HABITS..].copy_from_slice(&habits.values());
        values[SESSION_TRACKS] = habits.session_tracks.map(|tracks| (tracks / LONGEST_SESSION).min(1.0));
        values
    }
}

impl MetricEstimate {
    /// Groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The mean of a metric over one group, or over all, with the deviation of its noise; `None` where noise drowns the number of
    /// devices.
    pub fn mean(&self, metric: usize, group: Option<usize>) -> Option<(f64, f64)> {
        let of = |group: usize| self.groups[group][metric];
        let all = || (0..self.groups.len()).map(of).reduce(Noisy::and).unwrap_or_default();
        group.map_or_else(all, of).mean().map(|(mean, deviation)| (mean * unit(metric), deviation * unit(metric)))
    }
}

impl Noisy {
    fn and(self, other: Self) -> Self {
        Self {
            devices: self.devices + other.devices,
            surplus: self.surplus + other.surplus,
            variance: self.variance + other.variance,
        }
    }

    // A ratio of noised sums; its deviation to the first order, which holds while the noise is small beside the devices.
    fn mean(self) -> Option<(f64, f64)> {
        if self.devices < LEAST_DEVIATIONS * self.variance.sqrt() || self.devices <= 0.0 {
            return None;
        }
        let surplus = self.surplus / self.devices;
        Some((CENTRE + surplus, (self.variance * (1.0 + surplus * surplus)).sqrt() / self.devices))
    }
}

impl DeviceHalf for Metrics {
    fn layout(&self) -> Vec<BlockLayout> {
        self.measures.layout()
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        self.measures.contribute(device, rng)
    }
}

impl DeviceHalf for Measures {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("metrics", self.bounds.len() + 1, 2 * METRICS.len(), CLIP)]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let of = (device.examples, device.held_out, device.aside);
        let measured = self.measure(of, &device.habits, device.solver);
        let cell = |value: Option<f32>| value.map_or([0.0; 2], |value| [1.0, value.clamp(0.0, 1.0) - CENTRE as f32]);
        let rows = vec![self.group(device.examples.len()) as u32];
        Statistics { blocks: vec![Block::Rows { rows, values: measured.into_iter().flat_map(cell).collect() }] }
    }
}

impl Workload for Metrics {
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], _devices: f64) {
        let variance = deviations[0] * deviations[0];
        let groups = sum[0].chunks_exact(2 * METRICS.len());
        let noisy = |cell: &[f64]| Noisy { devices: cell[0], surplus: cell[1], variance };
        let group = |cells: &[f64]| std::array::from_fn(|metric| noisy(&cells[2 * metric..2 * metric + 2]));
        self.estimate = Some(MetricEstimate { groups: groups.map(group).collect() });
    }
}

fn unit(metric: usize) -> f64 {
    if metric == SESSION_TRACKS { f64::from(LONGEST_SESSION) } else { 1.0 }
}

// sqrt(9 (1 + 1/4)), with room for rounding.
const CLIP: f64 = 3.36;
const CENTRE: f64 = 0.5;
const SESSION_TRACKS: usize = 7;
const LONGEST_SESSION: f32 = 50.0;
// With fewer devices than four deviations a ratio is no estimate.
const LEAST_DEVIATIONS: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn workload() -> Metrics {
        Metrics::new(Model::Popularity((0..40u8).map(f32::from).collect()), vec![2, 5])
    }

    fn examples(count: u32) -> Vec<Example> {
        (0..count).map(|t| Example { track: TrackId(t), confidence: 1.0 }).collect()
    }

    #[test]
    fn devices_write_one_cell_within_the_clip() {
        let (workload, mut rng) = (workload(), ChaCha8Rng::seed_from_u64(1));
        let habits = Habits { returned: [Some(1.0); 3], session_tracks: Some(900.0), early_skips: Some(1.0) };
        for (count, group) in [(0, 0), (1, 0), (2, 1), (7, 2)] {
            let mut workspace = Workspace::default();
            let (examples, held) = (examples(count), [TrackId(39)]);
            let device = Device { examples: &examples, held_out: &held, habits, ..workspace.device() };
            let statistics = workload.contribute(device, &mut rng);
            assert_eq!(statistics.blocks[0].rows(), Some(&[group][..]));
            let norm: f32 = statistics.blocks[0].values().iter().map(|v| v * v).sum();
            assert!(f64::from(norm.sqrt()) <= CLIP && norm > 11.2, "{norm}");
        }
        let silent = workload.contribute(Workspace::default().device(), &mut rng);
        assert!(silent.blocks[0].values().iter().all(|v| *v == 0.0), "who cannot tell adds nothing");
    }

    // The best of forty is first; the one that is held out elsewhere is no competitor.
    #[test]
    fn ranks_are_over_the_catalogue_without_what_is_known_or_aside() {
        let workload = workload();
        let mut solver = Solver::default();
        let mut measure = |held: u32, aside: &[TrackId]| {
            workload.device().measure((&[], &[TrackId(held)], aside), &Habits::default(), &mut solver)
        };
        assert_eq!(measure(39, &[])[..4], [Some(1.0); 4]);
        assert_eq!(measure(38, &[])[2], Some(0.5));
        assert_eq!(measure(38, &[TrackId(39)])[2], Some(1.0));
        assert_eq!(measure(0, &[])[..4], [Some(0.0), Some(0.0), Some(1.0 / 40.0), Some(0.0)]);
        assert_eq!(measure(0, &[])[4..], [None; 5]);
    }

    #[test]
    fn means_come_back_with_their_deviation() {
        let mut workload = workload();
        let mut sum = vec![0.0; 3 * 2 * METRICS.len()];
        // 100 devices of the middle group with a mean of .8, 300 of the last with .4; skips in both.
        for (group, devices, mean) in [(1, 100.0, 0.8), (2, 300.0, 0.4)] {
            for metric in [1, 7] {
                let at = 2 * (group * METRICS.len() + metric);
                sum[at] = devices;
                sum[at + 1] = devices * (mean - 0.5);
            }
        }
        workload.apply(vec![sum], &[2.0], 400.0);
        let estimate = workload.estimate().expect("applied");
        let (mean, deviation) = estimate.mean(1, None).expect("enough devices");
        assert!((mean - 0.5).abs() < 1e-12 && (deviation - 2.0 * 3f64.sqrt() / 400.0).abs() < 1e-12);
        assert!((estimate.mean(1, Some(1)).expect("enough").0 - 0.8).abs() < 1e-12);
        assert!((estimate.mean(7, Some(2)).expect("enough").0 - 20.0).abs() < 1e-9);
        assert_eq!(estimate.mean(1, Some(0)), None);
        assert_eq!(estimate.mean(0, None), None);
    }
}
