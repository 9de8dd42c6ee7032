//! Figures of a scorer on what was shown.

use crate::progress;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::ranking::{Group, WIDTH, group_of};
use sordino_shared::evaluate::{
    Gain, Interval, Judged, Reliability, auc, average_accuracy, bootstrap_mean, calibration_error, log_loss,
    reliability,
};
use sordino_shared::model::{Calibration, Inputs, Network, NetworkBlock, Ranker, Shown, logistic};
use sordino_shared::random::{below, mix};
use std::collections::BTreeMap;

/// A scorer's figures on later days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Over all outcomes.
    pub auc: f64,
    /// Mean over lists with both outcomes, each counting the same, and the 95 % interval over listeners.
    pub auc_within: Interval,
    /// The same lists' NDCG at 5.
    pub ndcg_at_5: f64,
    /// Of probabilities, where the scorer gives them.
    pub log_loss: Option<f64>,
    /// Expected calibration error in 15 bins of equal mass.
    pub calibration_error: Option<f64>,
    /// Lists with both outcomes.
    pub lists: usize,
}

/// A scorer's figures for skips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkipMeasured {
    /// Over all outcomes, track by track.
    pub auc: f64,
    /// The share foretold, with the scorer's threshold.
    pub accuracy: f64,
    /// Mean average accuracy of second halves of sittings.
    pub mean_average_accuracy: f64,
    /// Sittings in it.
    pub sittings: usize,
}

/// Scores, device by device and in order.
pub(super) fn scores_of<L: AsRef<[Shown]> + Sync>(test: &[L], ranker: &Ranker) -> Vec<f32> {
    let network = Network::new(ranker);
    let of_chunk = |block: &mut NetworkBlock, devices: &[L]| -> Vec<f32> {
        let tracks = devices.iter().flat_map(AsRef::as_ref).map(|shown| &shown.features);
        network.scores(tracks, block).to_vec()
    };
    // Each track's score is its own, whatever it is computed beside.
    let chunks: Vec<Vec<f32>> = test.par_chunks(64).map_init(NetworkBlock::default, of_chunk).collect();
    chunks.concat()
}

pub(super) fn log_loss_of(test: &[&[Shown]], ranker: &Ranker) -> f64 {
    let probabilities = scores_of(test, ranker).into_iter().map(logistic);
    let outcomes = test.iter().copied().flatten().map(|shown| shown.pleased);
    log_loss(&probabilities.zip(outcomes).collect::<Vec<_>>())
}

fn with_outcomes(test: &[Vec<Shown>], scores: &[f32]) -> Vec<(f32, bool)> {
    scores.iter().copied().zip(test.iter().flatten().map(|shown| shown.pleased)).collect()
}

pub(super) fn measure(test: &[Vec<Shown>], scores: &[f32], probabilities: Option<&[f32]>, seed: u64) -> Measured {
    let Lists { by_listener, lists, ndcg } = Lists::new(test, scores);
    let all = with_outcomes(test, scores);
    let probable = probabilities.map(|probabilities| with_outcomes(test, probabilities));
    Measured {
        auc: auc(&all).unwrap_or(0.5),
        auc_within: over_listeners(&by_listener, seed),
        ndcg_at_5: ndcg / lists.max(1) as f64,
        log_loss: probable.as_ref().map(|probable| log_loss(probable)),
        calibration_error: probable.as_ref().map(|probable| calibration_error(&reliability(probable, BINS))),
        lists,
    }
}

// AUC of every list with both outcomes, by listener, and the sum of NDCG at 5.
struct Lists {
    by_listener: Vec<Vec<f64>>,
    lists: usize,
    ndcg: f64,
}

impl Lists {
    fn new(test: &[Vec<Shown>], scores: &[f32]) -> Self {
        let (mut at, mut lists, mut ndcg) = (0, 0, 0.0);
        let mut by_listener = Vec::new();
        for device in test {
            let mut own = Vec::new();
            for list in device.chunk_by(|a, b| a.list == b.list) {
                let scored: Vec<(f32, bool)> =
                    list.iter().zip(&scores[at..]).map(|(shown, &score)| (score, shown.pleased)).collect();
                at += list.len();
                let Some(value) = auc(&scored) else { continue };
                own.push(value);
                let of = |wanted: bool| scored.iter().filter(move |s| s.1 == wanted).map(|s| s.0);
                ndcg += Judged::from_scores(&of(true).collect::<Vec<_>>(), of(false)).ndcg(Some(5), Gain::Binary);
            }
            lists += own.len();
            by_listener.push(own);
        }
        Self { by_listener, lists, ndcg }
    }

    /// The mean over lists.
    fn mean(&self) -> f64 {
        self.by_listener.iter().flatten().sum::<f64>() / self.lists.max(1) as f64
    }
}

// The mean over lists; listeners are what is drawn anew, so each brings its lists' sum and count.
fn over_listeners(by_listener: &[Vec<f64>], seed: u64) -> Interval {
    let with: Vec<(f64, f64)> = by_listener
        .iter()
        .filter(|lists| !lists.is_empty())
        .map(|lists| (lists.iter().sum(), lists.len() as f64))
        .collect();
    let (sum, count) = with.iter().fold((0.0, 0.0), |(s, c), (sum, count)| (s + sum, c + count));
    let mean = sum / f64::max(count, 1.0);
    // To first order the quotient moves as the mean of (sum - mean x count) / mean count.
    let per = count / with.len().max(1) as f64;
    let moves: Vec<f64> = with.iter().map(|(sum, count)| mean + (sum - mean * count) / per.max(1.0)).collect();
    Interval { mean, ..bootstrap_mean(&moves, &mut ChaCha8Rng::seed_from_u64(mix(seed, BOOTSTRAP_STREAM, 0))) }
}

pub(super) fn reliability_of(test: &[Vec<Shown>], ranker: &Ranker, calibration: &Calibration) -> Vec<Reliability> {
    let scores = scores_of(test, ranker);
    let probabilities: Vec<f32> = scores.into_iter().map(|score| calibration.apply(logistic(score))).collect();
    reliability(&with_outcomes(test, &probabilities), BINS)
}

/// What AUC and AUC within lists lose where a group of features is shuffled among all outcomes (permutation importance,
/// Breiman 2001).
pub(super) fn shares_of_groups(test: &[Vec<Shown>], ranker: &Ranker, seed: u64) -> BTreeMap<Group, (f64, f64)> {
    let figures = |test: &[Vec<Shown>]| {
        let scores = scores_of(test, ranker);
        (auc(&with_outcomes(test, &scores)).unwrap_or(0.5), Lists::new(test, &scores).mean())
    };
    let whole = figures(test);
    let features: Vec<&Inputs> = test.iter().flatten().map(|shown| &shown.features).collect();
    let bar = progress::steps(Group::ALL.len() as u64, "groups of features");
    let of = |group: Group| {
        let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, SHUFFLE_STREAM, group as u64));
        let mut order: Vec<usize> = (0..features.len()).collect();
        (1..order.len()).rev().for_each(|i| order.swap(i, below(&mut rng, i as u64 + 1) as usize));
        let mut shuffled = test.to_vec();
        for (shown, &from) in shuffled.iter_mut().flatten().zip(&order) {
            let mut mixed = shown.features.to_vec();
            let others = (0..WIDTH).filter(|&input| group_of(input) == group);
            others.for_each(|input| mixed[input] = features[from].get(input));
            shown.features = Inputs::new(&mixed, shown.features.dense());
        }
        let without = figures(&shuffled);
        bar.inc(1);
        (whole.0 - without.0, whole.1 - without.1)
    };
    let shares = Group::ALL.into_iter().map(|group| (group, of(group))).collect();
    bar.finish_and_clear();
    shares
}

/// A score above `threshold` foretells that a track is kept; `each` and `halves` say whether it was.
pub(super) fn skips(
    (each, scores): (&[Vec<Shown>], &[f32]),
    (halves, half_scores): (&[Vec<Shown>], &[f32]),
    threshold: f32,
) -> SkipMeasured {
    let all = with_outcomes(each, scores);
    let right = all.iter().filter(|(score, kept)| (*score > threshold) == *kept).count();
    let (mut at, mut sum, mut sittings) = (0, 0.0, 0);
    for device in halves {
        for list in device.chunk_by(|a, b| a.list == b.list) {
            let right: Vec<bool> = list
                .iter()
                .zip(&half_scores[at..])
                .map(|(shown, &score)| (score > threshold) == shown.pleased)
                .collect();
            at += list.len();
            // Lists of one are first halves' tracks.
            if list.len() > 1 {
                sum += average_accuracy(&right);
                sittings += 1;
            }
        }
    }
    SkipMeasured {
        auc: auc(&all).unwrap_or(0.5),
        accuracy: right as f64 / all.len().max(1) as f64,
        mean_average_accuracy: sum / f64::max(f64::from(sittings), 1.0),
        sittings: sittings as usize,
    }
}

/// The threshold above which a score foretells a yes most often rightly, on outcomes that may be learnt from.
pub(super) fn best_threshold(train: &[Shown], scores: &[f32]) -> f32 {
    let outcomes = train.iter().map(|shown| shown.pleased);
    let mut order: Vec<(f32, bool)> = scores.iter().copied().zip(outcomes).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Below all scores, every yes is right.
    let mut right = order.iter().filter(|s| s.1).count() as i64;
    let mut best = (right, f32::NEG_INFINITY);
    for tie in order.chunk_by(|a, b| a.0 == b.0) {
        right += tie.iter().map(|s| if s.1 { -1 } else { 1 }).sum::<i64>();
        best = if right > best.0 { (right, tie[0].0) } else { best };
    }
    best.1
}

const BINS: usize = 15;
const BOOTSTRAP_STREAM: u64 = 611;
const SHUFFLE_STREAM: u64 = 612;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::ids::TrackId;

    fn shown(list: u32, pleased: bool) -> Shown {
        Shown { track: TrackId(0), features: vec![0.0; WIDTH].into(), pleased, weight: 1.0, list }
    }

    #[test]
    fn lists_are_measured_one_by_one() {
        let test = vec![vec![shown(0, true), shown(0, false), shown(1, true)], vec![shown(0, false), shown(0, true)]];
        let measured = measure(&test, &[0.9, 0.1, 0.0, 0.8, 0.7], None, 1);
        assert_eq!(measured.lists, 2);
        assert!((measured.auc_within.mean - 0.5).abs() < 1e-12);
        // Pairs over all: .9 beats both, 0 loses to both, .7 beats .1 only.
        assert!((measured.auc - 0.5).abs() < 1e-12);
        assert!(measured.log_loss.is_none());
    }

    #[test]
    fn thresholds_are_learnt_and_ties_are_not_split() {
        let train = [shown(0, true), shown(1, false), shown(2, true), shown(3, true), shown(4, false)];
        assert_eq!(best_threshold(&train, &[1.0, 0.0, 1.0, 1.0, 0.0]), 0.0);
        assert_eq!(best_threshold(&train, &[0.5; 5]), f32::NEG_INFINITY);
        assert_eq!(best_threshold(&[shown(0, false)], &[0.5]), 0.5);
    }

    #[test]
    fn skips_by_hand() {
        let each = vec![vec![shown(0, true), shown(1, false), shown(2, true), shown(3, true)]];
        let halves = vec![vec![shown(0, true), shown(1, false), shown(2, true), shown(2, true)]];
        let measured = skips((&each, &[3.0, 1.0, 2.0, 4.0]), (&halves, &[3.0, 2.0, 1.0, 4.0]), 1.5);
        assert_eq!((measured.auc, measured.accuracy), (1.0, 1.0));
        assert_eq!(measured.sittings, 1);
        // Of the half (no, yes): wrong, then right at accuracy 1/2.
        assert!((measured.mean_average_accuracy - 0.25).abs() < 1e-12);
    }
}
