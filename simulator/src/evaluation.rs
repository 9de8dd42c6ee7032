//! Evaluation of a scorer over a population, by the protocol that split it.

use crate::error::{Error, Result};
use crate::methods::Scorer;
use crate::population::{Population, Protocol};
use crate::progress;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::evaluate::{Exposure, Gain, Interval, Judged, mean_interval, mean_intervals};
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
    let listeners = listeners(population, settings);
    if listeners.is_empty() {
        return Err(Error::input("no listener has a held-out track: bring more data or choose another --protocol"));
    }
    if population.protocol == Protocol::Loo99 && population.fixed_negatives.is_none() {
        check_candidates(population, &listeners)?;
    }
    let prepared = scorer.prepared();
    let scorer = prepared.as_deref().unwrap_or(scorer);
    let bar = progress::steps(listeners.len() as u64, "evaluating listeners");
    let rows: Vec<Row> = listeners
        .par_iter()
        .map_init(
            || (Solver::default(), Vec::new(), Vec::new()),
            |(solver, scores, open), &listener| {
                scorer.score(listener, population.train.of(listener), solver, scores);
                bar.inc(1);
                row(population, listener, scores, open, settings)
            },
        )
        .collect();
    bar.finish_and_clear();
    let mut rng = ChaCha8Rng::seed_from_u64(mix(settings.seed, BOOTSTRAP_STREAM, 0));
    let column = |k: usize| rows.iter().map(|r| r.values[k]).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..NAMES.len()).map(column).collect();
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let intervals = mean_intervals(&columns, &mut rng);
    let metrics = NAMES.iter().zip(intervals).map(|(&name, interval)| (name.to_owned(), interval)).collect();
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
        by_activity: by_activity(population, &listeners, &column(FULL_NDCG), &mut rng),
        ndcg_by_listener: column(1),
        ndcg_full_by_listener: column(FULL_NDCG),
        exposure: full.counts().to_vec(),
        without_test: population.devices()
            - (0..population.devices()).filter(|&d| !held_out(population, d, settings.part).is_empty()).count(),
    })
}

fn held_out(population: &Population, device: usize, part: Part) -> &[TrackId] {
    match part {
        Part::Validation => population.validation.of(device),
        Part::Test => population.test.of(device),
    }
}

/// Tracks that a listener knows or that are held out elsewhere, so that they are never listed.
fn known(population: &Population, listener: usize, part: Part) -> impl Iterator<Item = TrackId> + '_ {
    let other = match part {
        Part::Validation => population.test.of(listener),
        Part::Test => population.validation.of(listener),
    };
    population.train.of(listener).iter().map(|e| e.track).chain(other.iter().copied())
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
    let mut role = vec![Role::Candidate; population.tracks];
    known(population, listener, part).for_each(|t| role[t.row()] = Role::Known);
    held_out(population, listener, part).iter().for_each(|t| role[t.row()] = Role::Sought);
    role
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

fn row(population: &Population, listener: usize, scores: &mut [f32], open: &mut Vec<f32>, settings: &Settings) -> Row {
    scores.iter_mut().filter(|score| score.is_nan()).for_each(|score| *score = f32::NEG_INFINITY);
    let held = held_out(population, listener, settings.part);
    let relevant: Vec<f32> = held.iter().map(|t| scores[t.row()]).collect();
    // What is no candidate is marked by NaN, which no comparison is ever true of.
    open.clear();
    open.extend_from_slice(scores);
    known(population, listener, settings.part).for_each(|t| open[t.row()] = f32::NAN);
    let list_full = top(open, 0..population.tracks, 10);
    held.iter().for_each(|t| open[t.row()] = f32::NAN);
    let full = Judged::among(&relevant, open);
    let (judged, list) = match population.protocol {
        Protocol::Loo99 => {
            let negatives = negatives(population, listener, open, settings);
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
fn negatives(population: &Population, listener: usize, open: &[f32], settings: &Settings) -> Vec<usize> {
    if let (Some(fixed), Part::Test) = (&population.fixed_negatives, settings.part) {
        return fixed.of(listener).iter().map(|t| t.row()).collect();
    }
    let stream = NEGATIVE_STREAM + u64::from(settings.part == Part::Validation);
    let device = u64::from(population.origin[listener]);
    let mut rng = ChaCha8Rng::seed_from_u64(mix(settings.seed, stream, device));
    let free = open.iter().filter(|score| !score.is_nan()).count();
    let wanted = NEGATIVES.min(free);
    if free < 2 * NEGATIVES {
        let all: Vec<usize> = (0..open.len()).filter(|&t| !open[t].is_nan()).collect();
        return distinct_below(&mut rng, free, wanted).into_iter().map(|i| all[i]).collect();
    }
    let mut drawn = std::collections::BTreeSet::new();
    while drawn.len() < wanted {
        let track = below(&mut rng, open.len() as u64) as usize;
        if !open[track].is_nan() {
            drawn.insert(track);
        }
    }
    drawn.into_iter().collect()
}

// The best k by score, ties by the lower number; a score that is no number is not listed.
pub(crate) fn top(scores: &[f32], candidates: impl Iterator<Item = usize>, k: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(k + 1);
    let mut least = f32::NEG_INFINITY;
    for track in candidates {
        let score = scores[track];
        if score.is_nan() || (best.len() == k && score <= least) {
            continue;
        }
        let place = best.partition_point(|&b| scores[b] >= score);
        best.insert(place, track);
        best.truncate(k);
        least = scores[best[best.len() - 1]];
    }
    best
}

fn by_activity(population: &Population, listeners: &[usize], ndcg: &[f64], rng: &mut ChaCha8Rng) -> Vec<Interval> {
    let mut order: Vec<usize> = (0..listeners.len()).collect();
    order.sort_by_key(|&i| (population.train.of(listeners[i]).len(), i));
    (0..3)
        .map(|third| {
            let range = order.len() * third / 3..order.len() * (third + 1) / 3;
            let values: Vec<f64> = order[range].iter().map(|&i| ndcg[i]).collect();
            mean_interval(&values, rng)
        })
        .collect()
}

const NEGATIVES: usize = 99;
const FULL_NDCG: usize = 8;
const NEGATIVE_STREAM: u64 = 401;
const LISTENER_STREAM: u64 = 403;
const BOOTSTRAP_STREAM: u64 = 404;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_lists_are_ordered_and_ties_go_to_the_lower_number() {
        let scores = [1.0, 3.0, f32::NAN, 3.0, 2.0, 0.5];
        assert_eq!(top(&scores, 0..6, 3), vec![1, 3, 4]);
        assert_eq!(top(&scores, 0..6, 10), vec![1, 3, 4, 0, 5]);
    }
}
