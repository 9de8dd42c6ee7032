//! Federated descent of the content tower: a device tells from half of its tracks, by features alone, which other tracks are in
//! the other half.
//!
//! The loss is the log-loss of picking a held-back track among tracks drawn evenly from the catalogue (sampled softmax, Bengio
//! and Senécal 2008; evenly drawn tracks count by catalogue over sample). They may be any but the listener's own: a device cannot
//! know what it will hear next. The vector has one row a bucket of features, whatever the size of the catalogue; the clip
//! follows a quantile of the devices' gradients ([`super::Adaptive`]).

use super::adam::Adam;
use super::{Block, Device, DeviceHalf, Reclip, Statistics, Workload};
use crate::math;
use crate::model::{Example, Features, Tally, Tower};
use crate::plan::BlockLayout;
use crate::privacy::AdaptiveClip;
use crate::random::below;
use ndarray::Array2;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings of the descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TowerSettings {
    /// Tracks that held-back ones are picked among.
    pub negatives: usize,
    /// The coordinator's step.
    pub rate: f64,
    /// The clip, and how it moves.
    pub clip: AdaptiveClip,
}

impl Default for TowerSettings {
    fn default() -> Self {
        let clip = AdaptiveClip { clip: 2.0, quantile: 0.9, ..AdaptiveClip::default() };
        Self { negatives: 256, rate: 0.02, clip }
    }
}

/// The tower workload.
#[derive(Clone, Debug)]
pub struct TowerDescent {
    tower: Tower,
    features: Arc<Features>,
    // Tracks that may be drawn.
    catalogue: Arc<Vec<u32>>,
    // Every track's row by the tower as it stands, which each device works out for itself.
    rows: Array2<f32>,
    settings: TowerSettings,
    clip: f64,
    adam: Adam,
}

impl TowerDescent {
    /// Starts from a tower; `catalogue` are the tracks that are there to be heard, `rounds` is how many there will be.
    ///
    /// # Panics
    /// Where the features are hashed for another number of buckets.
    pub fn new(
        tower: Tower,
        features: Arc<Features>,
        catalogue: Arc<Vec<u32>>,
        settings: TowerSettings,
        rounds: usize,
    ) -> Self {
        let adam = Adam::new(tower.parameters().len(), settings.rate, rounds);
        let (rows, clip) = (tower.rows(&features), settings.clip.clip);
        Self { tower, features, catalogue, rows, settings, clip, adam }
    }

    /// The tower as it stands.
    pub fn tower(&self) -> &Tower {
        &self.tower
    }

    // Half of the examples, each drawn by a coin, and the others; neither is empty where there are two.
    fn halves(examples: &[Example], rng: &mut impl Rng) -> (Vec<Example>, Vec<Example>) {
        let (mut known, mut held): (Vec<Example>, Vec<Example>) =
            examples.iter().partition(|_| rng.next_u64() >> 63 == 0);
        if known.is_empty() {
            known.extend(held.pop());
        } else if held.is_empty() {
            held.extend(known.pop());
        }
        (known, held)
    }

    // Tracks drawn evenly from the catalogue, without those that are the listener's own.
    fn negatives(&self, examples: &[Example], rng: &mut impl Rng) -> Vec<u32> {
        let heard = |track: u32| examples.binary_search_by_key(&track, |example| example.track.0).is_ok();
        (0..self.settings.negatives)
            .map(|_| self.catalogue[below(rng, self.catalogue.len() as u64) as usize])
            .filter(|&track| !heard(track))
            .collect()
    }

    // The loss for a listener with this profile and its gradient: buckets, ascending, and their rows one after the other.
    fn loss(&self, profile: &[(u32, f32)], held: &[Example], drawn: &[u32]) -> (f64, Vec<u32>, Vec<f32>) {
        let d = self.tower.dimensions();
        let mut listener = self.tower.embed(profile);
        listener.truncate(d);
        let row = |track: u32| self.rows.row(track as usize).to_slice().expect("rows are in order");
        // Those drawn stand for the whole catalogue.
        let stand_for = math::ln_f32(self.catalogue.len() as f32 / drawn.len().max(1) as f32);
        let tracks: Vec<u32> = held.iter().map(|example| example.track.0).chain(drawn.iter().copied()).collect();
        let scores: Vec<f32> = tracks
            .iter()
            .enumerate()
            .map(|(at, &track)| Tower::score(&listener, row(track)) + if at < held.len() { 0.0 } else { stand_for })
            .collect();
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut slopes: Vec<f32> = scores.iter().map(|score| score - most).collect();
        math::exp_slice(&mut slopes);
        let sum: f32 = slopes.iter().sum();
        slopes.iter_mut().for_each(|slope| *slope /= sum);
        let wanted: f32 = held.iter().map(|example| example.confidence).sum();
        let mut loss = 0.0;
        for ((example, slope), score) in held.iter().zip(&mut slopes).zip(&scores) {
            *slope -= example.confidence / wanted;
            loss -= f64::from(example.confidence / wanted) * f64::from(score - most - math::ln_f32(sum));
        }
        // A bucket's row is along the listener's place, by as much as its tracks are, and along the tracks' own, by the
        // profile's value: sums of single values first, rows once.
        let (mut along, mut towards) = (Tally::new(self.tower.buckets()), vec![0.0; d]);
        for (&track, &slope) in tracks.iter().zip(&slopes) {
            towards.iter_mut().zip(row(track)).for_each(|(to, y)| *to += slope * y);
            self.features.row(track as usize).iter().for_each(|&(bucket, value)| along.add(bucket, slope * value));
        }
        profile.iter().for_each(|&(bucket, _)| along.add(bucket, 0.0));
        let entries = along.entries();
        let (mut buckets, mut rows) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len() * (d + 1)));
        let mut left = profile;
        for (bucket, along) in entries {
            buckets.push(bucket);
            let start = rows.len();
            rows.extend(listener.iter().map(|x| along * x));
            rows.push(along);
            if let [(next, value), rest @ ..] = left
                && *next == bucket
            {
                rows[start..].iter_mut().zip(&towards).for_each(|(to, t)| *to += value * t);
                left = rest;
            }
        }
        (loss, buckets, rows)
    }
}

impl DeviceHalf for TowerDescent {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("tower", self.tower.buckets(), self.tower.dimensions() + 1, self.clip)]
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        // One track says nothing of another.
        if device.examples.len() > 1 {
            let (known, held) = Self::halves(device.examples, rng);
            let drawn = self.negatives(device.examples, rng);
            (_, rows, values) = self.loss(&self.features.profile(known.into_iter()), &held, &drawn);
        }
        Statistics { blocks: vec![Block::Rows { rows, values }] }
    }
}

impl Workload for TowerDescent {
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        self.adam.step(self.tower.parameters_mut().iter_mut(), &sum[0], deviations[0], devices);
        self.rows = self.tower.rows(&self.features);
    }
}

impl Reclip for TowerDescent {
    fn set_clip(&mut self, clip: f64) {
        self.clip = clip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::model::Content;
    use crate::random::{mix, unit_f64};
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    // Two kinds of music with two tags each; the first half of the catalogue is of the one, the second of the other.
    fn catalogue(tracks: usize) -> Arc<Features> {
        let of = |track: usize| 2 * u32::from(2 * track >= tracks) + (mix(5, 0, track as u64) % 2) as u32;
        let content = Content {
            names: (0..4).map(|kind| format!("tag {kind}")).collect(),
            rows: (0..tracks).map(|track| vec![(of(track), 1.0)]).collect(),
        };
        let titles: Vec<String> = (0..tracks).map(|track| format!("title {}", track % 7)).collect();
        Arc::new(Features::hashed(&content, &titles, 32))
    }

    fn descent(tracks: usize, rounds: usize) -> TowerDescent {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let features = catalogue(tracks);
        let start = Array2::from_shape_fn((32, 4), |_| unit_f64(&mut rng) - 0.5);
        let all = Arc::new((0..tracks as u32).collect());
        TowerDescent::new(
            Tower::new(&start),
            features,
            all,
            TowerSettings { rate: 0.1, ..TowerSettings::default() },
            rounds,
        )
    }

    fn likes(tracks: impl IntoIterator<Item = u32>) -> Vec<Example> {
        tracks
            .into_iter()
            .map(|track| Example { track: TrackId(track), confidence: 1.0 + (track % 3) as f32 })
            .collect()
    }

    #[test]
    fn gradients_match_finite_differences() {
        let descent = descent(30, 1);
        let profile = descent.features.profile(likes([1, 4, 20]).into_iter());
        let (held, drawn) = (likes([3, 25]), [7, 8, 9, 26, 27]);
        let (_, buckets, rows) = descent.loss(&profile, &held, &drawn);
        let loss_at = |bucket: u32, k: usize, step: f32| {
            let mut moved = descent.clone();
            moved.tower.parameters_mut()[bucket as usize * 5 + k] += step;
            moved.rows = moved.tower.rows(&moved.features);
            moved.loss(&profile, &held, &drawn).0
        };
        assert!(buckets.len() > 5 && buckets.is_sorted());
        for (&bucket, slopes) in buckets.iter().zip(rows.chunks_exact(5)) {
            for (k, &slope) in slopes.iter().enumerate() {
                let step = 1e-2;
                let difference = (loss_at(bucket, k, step) - loss_at(bucket, k, -step)) / (2.0 * f64::from(step));
                assert!((difference - f64::from(slope)).abs() < 1e-3, "bucket {bucket}, {k}: {difference} and {slope}");
            }
        }
    }

    #[test]
    fn a_tower_learns_kinds_and_places_tracks_that_nobody_heard() {
        let (tracks, rounds) = (60, 40);
        let mut descent = descent(tracks, rounds);
        // Every fourth track is heard by nobody.
        let listener = |device: u64| {
            let side = (device % 2) as u32 * 30;
            likes((side..side + 30).filter(move |t| t % 4 != 0 && mix(9, device, u64::from(*t)).is_multiple_of(3)))
        };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..rounds {
            let mut sum = vec![0.0; 32 * 5];
            for device in 0..40 {
                let (examples, mut workspace) = (listener(device), Workspace::default());
                let statistics = descent.contribute(Device { examples: &examples, ..workspace.device() }, &mut rng);
                let mut dense = vec![0.0; 32 * 5];
                statistics.blocks[0].copy_to(5, &mut dense);
                sum.iter_mut().zip(dense).for_each(|(s, v): (&mut f64, f32)| *s += f64::from(v));
            }
            descent.apply(vec![sum], &[0.0], 40.0);
        }
        let place = descent.tower.listener(&descent.features, &listener(1));
        let mean = |side: u32| {
            let unheard = (side..side + 30).filter(|t| t % 4 == 0);
            let scores: Vec<f32> = unheard
                .map(|t| Tower::score(&place, descent.rows.row(t as usize).as_slice().expect("a row")))
                .collect();
            scores.iter().sum::<f32>() / scores.len() as f32
        };
        assert!(mean(30) > mean(0) + 1.0, "{} {}", mean(30), mean(0));
    }

    #[test]
    fn devices_with_little_send_zeros_and_halves_are_halves() {
        let descent = descent(30, 1);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for examples in [likes([]), likes([3])] {
            let mut workspace = Workspace::default();
            let statistics = descent.contribute(Device { examples: &examples, ..workspace.device() }, &mut rng);
            assert!(statistics.blocks[0].values().is_empty(), "{examples:?}");
        }
        for _ in 0..50 {
            let (known, held) = TowerDescent::halves(&likes([1, 2]), &mut rng);
            assert_eq!((known.len(), held.len()), (1, 1));
        }
    }

    // What is drawn against may be anything that the listener has not heard: a track that it will hear next as well.
    #[test]
    fn draws_leave_out_the_listeners_own_and_nothing_else() {
        let descent = descent(10, 1);
        let drawn = descent.negatives(&likes([1, 2, 3, 4]), &mut ChaCha8Rng::seed_from_u64(6));
        let tracks: std::collections::BTreeSet<u32> = drawn.into_iter().collect();
        assert_eq!(Vec::from_iter(tracks), [0, 5, 6, 7, 8, 9]);
    }
}
