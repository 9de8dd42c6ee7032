//! Evaluation of a scorer over a population, by the protocol that split it.

use crate::error::{Error, Result};
use crate::methods::Scorer;
use crate::population::{Population, Protocol};
use crate::progress;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::evaluate::{Exposure, Gain, Interval, Judged, bootstrap_mean, bootstrap_means};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Solver;
use sordino_shared::random::{below, distinct_below, mix};
use std::collections::BTreeMap;

/// Which held-out tracks are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To choose settings by.
    Validation,
    /// To report.
    Test,
}

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which part.
    pub part: Part,
    /// Listeners at most, drawn by seed where there are more.
    pub most_listeners: usize,
    /// Seed of candidates, of the drawn listeners and of the bootstrap.
    pub seed: u64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Means over listeners, by name: `@k` over the protocol's candidates, `_full` over the catalogue.
    pub metrics: BTreeMap<String, Interval>,
    /// Figures about all lists together.
    pub lists: BTreeMap<String, f64>,
    /// NDCG@10 over the catalogue by thirds of listeners' activity, least active first.
    pub by_activity: Vec<Interval>,
    /// NDCG@10 of each listener over the candidates, in the order of the population.
    #[serde(skip)]
    pub ndcg_by_listener: Vec<f64>,
    /// The same over the catalogue.
    #[serde(skip)]
    pub ndcg_full_by_listener: Vec<f64>,
    /// For each track how often it was in a list of 10 over the catalogue.
    #[serde(default)]
    pub exposure: Vec<u32>,
    /// Listeners without a held-out track.
    pub without_test: usize,
}

/// The metrics of one listener.
struct Row {
    values: [f64; NAMES.len()],
    list: Vec<usize>,
    list_full: Vec<usize>,
}

const NAMES: [&str; 13] = [
    "hr@10",
    "ndcg@10",
    "map@10",
    "mrr",
    "recall@20",
    "precision@10",
    "recall@10",
    "hr@10_full",
    "ndcg@10_full",
    "map@10_full",
    "mrr_full",
    "recall@20_full",
    "precision@10_full",
];

/// Evaluates a scorer.
pub fn evaluate(population: &Population, scorer: &dyn Scorer, settings: &Settings) -> Result<Measured> {
    let listeners = checked_listeners(population, settings)?;
    let rows = rows(population, scorer, &listeners, settings);
    let mut rng = ChaCha8Rng::seed_from_u64(mix(settings.seed, BOOTSTRAP_STREAM, 0));
    let column = |k: usize| rows.iter().map(|r| r.values[k]).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..NAMES.len()).map(column).collect();
    let intervals = bootstrap_means(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut rng);
    let metrics = NAMES.iter().map(|&name| name.to_owned()).zip(intervals).collect();
    let (mut candidates, mut full) = (Exposure::new(population.tracks), Exposure::new(population.tracks));
    for row in &rows {
        candidates.add(&row.list);
        full.add(&row.list_full);
    }
    let popularity = population.popularity();
    let lists = BTreeMap::from([
        ("coverage@10", candidates.coverage()),
        ("gini@10", candidates.gini()),
        ("coverage@10_full", full.coverage()),
        ("gini@10_full", full.gini()),
        ("mean_popularity@10_full", full.mean_popularity(&popularity)),
        ("tail_share@10_full", full.tail_share(&popularity)),
        ("novelty@10_full", full.novelty(&popularity)),
    ])
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    Ok(Measured {
        metrics,
        lists,
        by_activity: by_activity(population, &listeners, &columns[FULL_NDCG], &mut rng),
        ndcg_by_listener: columns[NDCG].clone(),
        ndcg_full_by_listener: columns[FULL_NDCG].clone(),
        exposure: full.counts().to_vec(),
        without_test: population.devices()
            - (0..population.devices()).filter(|&d| !held_out(population, d, settings.part).is_empty()).count(),
    })
}

/// NDCG@10 over the protocol's candidates, and nothing else: what settings are chosen by.
pub fn mean_ndcg(population: &Population, scorer: &dyn Scorer, settings: &Settings) -> Result<f64> {
    let listeners = checked_listeners(population, settings)?;
    let rows = rows(population, scorer, &listeners, settings);
    Ok(rows.iter().map(|row| row.values[NDCG]).sum::<f64>() / rows.len() as f64 + 0.0)
}

// One row a listener, in their order.
fn rows(population: &Population, scorer: &dyn Scorer, listeners: &[usize], settings: &Settings) -> Vec<Row> {
    let quick = scorer.for_many();
    let scorer = quick.as_deref().unwrap_or(scorer);
    let bar = progress::steps(listeners.len() as u64, "measuring listeners");
    let parts: Vec<Vec<Row>> = listeners
        .par_chunks(CHUNK)
        .map_init(
            || (Solver::default(), Vec::new()),
            |(solver, scores), chunk| {
                let one = |&listener: &usize| {
                    scorer.score(listener, population.train.of(listener), solver, scores);
                    row(population, listener, scores, settings)
                };
                let part = chunk.iter().map(one).collect();
                bar.inc(chunk.len() as u64);
                part
            },
        )
        .collect();
    bar.finish_and_clear();
    parts.into_iter().flatten().collect()
}

fn held_out(population: &Population, device: usize, part: Part) -> &[TrackId] {
    match part {
        Part::Validation => population.validation.of(device),
        Part::Test => population.test.of(device),
    }
}

/// What each track is to a listener: a candidate; known or held out elsewhere, so never listed; looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Candidate,
    Known,
    Sought,
}

/// The roles of all tracks.
pub(crate) fn roles(population: &Population, listener: usize, part: Part) -> Vec<Role> {
    let other = match part {
        Part::Validation => population.test.of(listener),
        Part::Test => population.validation.of(listener),
    };
    let mut role = vec![Role::Candidate; population.tracks];
    population.train.of(listener).iter().for_each(|e| role[e.track.row()] = Role::Known);
    other.iter().for_each(|t| role[t.row()] = Role::Known);
    held_out(population, listener, part).iter().for_each(|t| role[t.row()] = Role::Sought);
    role
}

// Tracks of role `Known`, ascending.
fn known(population: &Population, listener: usize, part: Part) -> Vec<usize> {
    let (other, held) = match part {
        Part::Validation => (population.test.of(listener), population.validation.of(listener)),
        Part::Test => (population.validation.of(listener), population.test.of(listener)),
    };
    let all = population.train.of(listener).iter().map(|e| e.track).chain(other.iter().copied());
    let mut known: Vec<usize> = all.filter(|track| !held.contains(track)).map(|track| track.row()).collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// The listeners that are evaluated.
pub(crate) fn listeners(population: &Population, settings: &Settings) -> Vec<usize> {
    let mut all: Vec<usize> =
        (0..population.devices()).filter(|&d| !held_out(population, d, settings.part).is_empty()).collect();
    if all.len() > settings.most_listeners {
        let mut rng = ChaCha8Rng::seed_from_u64(mix(settings.seed, LISTENER_STREAM, 0));
        let mut chosen = distinct_below(&mut rng, all.len(), settings.most_listeners);
        chosen.sort_unstable();
        all = chosen.into_iter().map(|i| all[i]).collect();
    }
    all
}

// The same, where there is somebody and enough to rank.
fn checked_listeners(population: &Population, settings: &Settings) -> Result<Vec<usize>> {
    let listeners = listeners(population, settings);
    if listeners.is_empty() {
        return Err(Error::input("no listener has a held-out track: bring more data or choose another --protocol"));
    }
    if population.protocol == Protocol::Loo99 && population.fixed_negatives.is_none() {
        check_candidates(population, &listeners)?;
    }
    Ok(listeners)
}

fn check_candidates(population: &Population, listeners: &[usize]) -> Result<()> {
    let free = |d: usize| {
        let used = population.train.of(d).len() + population.validation.of(d).len() + population.test.of(d).len();
        population.tracks - used.min(population.tracks)
    };
    match listeners.iter().map(|&d| free(d)).min() {
        Some(least) if least < NEGATIVES => Err(Error::input(format!(
            "loo99 needs {NEGATIVES} tracks that a listener does not know, but one listener has {least} only: use \
             --protocol loo"
        ))),
        _ => Ok(()),
    }
}

fn row(population: &Population, listener: usize, scores: &[f32], settings: &Settings) -> Row {
    let held = held_out(population, listener, settings.part);
    let relevant: Vec<f32> = held.iter().map(|t| scores[t.row()]).collect();
    let known = known(population, listener, settings.part);
    let mut left_out: Vec<usize> = known.iter().copied().chain(held.iter().map(|t| t.row())).collect();
    left_out.sort_unstable();
    left_out.dedup();
    let full = Judged::among(&relevant, scores, &left_out);
    let list_full = top_without(scores, &known, 10);
    let (judged, list) = match population.protocol {
        Protocol::Loo99 => {
            let role = roles(population, listener, settings.part);
            let negatives = negatives(population, listener, &role, settings);
            let judged = Judged::from_scores(&relevant, negatives.iter().map(|&t| scores[t]));
            let held = held.iter().map(|t| t.row());
            (judged, top(scores, negatives.iter().copied().chain(held), 10))
        }
        Protocol::Loo | Protocol::Time | Protocol::Hash => (full.clone(), list_full.clone()),
    };
    let values = [
        judged.hit(10),
        judged.ndcg(Some(10), Gain::Linear),
        judged.average_precision(Some(10)),
        judged.reciprocal_rank(None),
        judged.recall(20),
        judged.precision(10),
        judged.recall(10),
        full.hit(10),
        full.ndcg(Some(10), Gain::Linear),
        full.average_precision(Some(10)),
        full.reciprocal_rank(None),
        full.recall(20),
        full.precision(10),
    ];
    Row { values, list, list_full }
}

// The candidates that a held-out track is ranked among: the data set's own, or 99 outside everything the listener knows.
fn negatives(population: &Population, listener: usize, role: &[Role], settings: &Settings) -> Vec<usize> {
    if let (Some(fixed), Part::Test) = (&population.fixed_negatives, settings.part) {
        return fixed.of(listener).iter().map(|t| t.row()).collect();
    }
    let stream = NEGATIVE_STREAM + u64::from(settings.part == Part::Validation);
    let device = u64::from(population.origin[listener]);
    let mut rng = ChaCha8Rng::seed_from_u64(mix(settings.seed, stream, device));
    let free = role.iter().filter(|&&r| r == Role::Candidate).count();
    let wanted = NEGATIVES.min(free);
    if free < 2 * NEGATIVES {
        let all: Vec<usize> = (0..role.len()).filter(|&t| role[t] == Role::Candidate).collect();
        return distinct_below(&mut rng, free, wanted).into_iter().map(|i| all[i]).collect();
    }
    let mut drawn = std::collections::BTreeSet::new();
    while drawn.len() < wanted {
        let track = below(&mut rng, role.len() as u64) as usize;
        if role[track] == Role::Candidate {
            drawn.insert(track);
        }
    }
    drawn.into_iter().collect()
}

// The best k by score, ties by the lower number.
pub(crate) fn top(scores: &[f32], candidates: impl Iterator<Item = usize>, k: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(k + 1);
    candidates.for_each(|track| offer(scores, &mut best, track, k));
    best
}

// The same of the whole catalogue without some tracks, which ascend. Most of a catalogue is passed over in strides: a stride
// whose best is no better than the list's last has nothing for it.
fn top_without(scores: &[f32], without: &[usize], k: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(k + 1);
    for (stride, part) in scores.chunks(STRIDE).enumerate() {
        // A score that is no number raises no maximum, and gets into no full list.
        let most = part.iter().fold(f32::NEG_INFINITY, |most, &score| if score > most { score } else { most });
        if best.len() == k && key(scores[best[k - 1]]) >= most {
            continue;
        }
        let tracks = stride * STRIDE..stride * STRIDE + part.len();
        tracks.filter(|t| without.binary_search(t).is_err()).for_each(|track| offer(scores, &mut best, track, k));
    }
    best
}

fn offer(scores: &[f32], best: &mut Vec<usize>, track: usize, k: usize) {
    if best.len() == k && key(scores[best[k - 1]]) >= key(scores[track]) {
        return;
    }
    let place = best.partition_point(|&b| key(scores[b]) >= key(scores[track]));
    best.insert(place, track);
    best.truncate(k);
}

fn key(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score }
}

fn by_activity(population: &Population, listeners: &[usize], ndcg: &[f64], rng: &mut ChaCha8Rng) -> Vec<Interval> {
    let mut order: Vec<usize> = (0..listeners.len()).collect();
    order.sort_by_key(|&i| (population.train.of(listeners[i]).len(), i));
    (0..3)
        .map(|third| {
            let range = order.len() * third / 3..order.len() * (third + 1) / 3;
            let values: Vec<f64> = order[range].iter().map(|&i| ndcg[i]).collect();
            bootstrap_mean(&values, rng)
        })
        .collect()
}

const NEGATIVES: usize = 99;
const NDCG: usize = 1;
const FULL_NDCG: usize = 8;
const NEGATIVE_STREAM: u64 = 401;
const LISTENER_STREAM: u64 = 403;
const BOOTSTRAP_STREAM: u64 = 404;
const CHUNK: usize = 64;
const STRIDE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_lists_are_ordered_and_ties_go_to_the_lower_number() {
        let scores = [1.0, 3.0, f32::NAN, 3.0, 2.0, 0.5];
        assert_eq!(top(&scores, 0..6, 3), vec![1, 3, 4]);
        assert_eq!(top(&scores, 0..6, 10), vec![1, 3, 4, 0, 5, 2]);
    }
    #[test]
    fn strides_find_what_looking_at_each_track_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for tracks in [5usize, 32, 33, 500] {
            for of in [3, 1000] {
                // Many ties where there are few values, and some that are no number.
                let value = |rng: &mut ChaCha8Rng| match below(rng, of + 1) {
                    0 => f32::NAN,
                    v => v as f32 - 2.0,
                };
                let scores: Vec<f32> = (0..tracks).map(|_| value(&mut rng)).collect();
                let mut without = distinct_below(&mut rng, tracks, tracks / 3);
                without.sort_unstable();
                let each = top(&scores, (0..tracks).filter(|t| !without.contains(t)), 10);
                assert_eq!(top_without(&scores, &without, 10), each, "{tracks} tracks, {of} values");
            }
        }
        assert_eq!(top_without(&[f32::NAN; 40], &[], 3), [0, 1, 2]);
    }
}
