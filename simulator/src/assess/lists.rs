//! What lists are like, and what it costs to make them otherwise.

use crate::evaluation::{Part, Role, roles, top};
use crate::experiment::Experiment;
use crate::methods::Scorer;
use crate::population::Population;
use crate::progress;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::retrieval::{Candidate, QueueRules, queue};
use sordino_shared::evaluate::{Interval, bootstrap_mean, calibrated, kind_shares, miscalibration, place_weight};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Content, Solver};

/// What a method's lists of ten are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lists {
    /// Mean distance of two tracks of a list by what is public of them, from 0 to 1; `None` where nothing is.
    pub diversity: Option<Interval>,
    /// How far lists' kinds are from those of the listener's history; `None` where nothing is public of the tracks.
    pub kinds: Option<KindFit>,
    /// What constraints cost.
    pub constrained: Vec<Constrained>,
}

/// Kinds of lists against kinds of histories.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindFit {
    /// The divergence of the lists as they are.
    pub plain: Interval,
    /// The divergence of lists that weigh kinds and scores alike.
    pub calibrated: Interval,
}

/// Lists under one more rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constrained {
    /// The rule, in words.
    pub rule: String,
    /// NDCG@10 over the catalogue under the rule.
    pub ndcg: Interval,
    /// NDCG@10 without it less NDCG@10 with it, listener by listener.
    pub cost: Interval,
    /// The tail's share of list places under the rule.
    pub tail_share: f64,
}

/// What lists need of the catalogue, once for all methods.
pub(super) struct Lister<'a> {
    population: &'a Population,
    listeners: &'a [usize],
    artists: Vec<u32>,
    tail: Vec<bool>,
    // For each track its kinds with their shares.
    kinds: Vec<Vec<(u32, f32)>>,
    kind_count: usize,
}

// One listener's lists.
struct Row {
    // NDCG of the list as it is laid, and under each rule with the tail's share.
    laid: f64,
    ruled: Vec<(f64, f64)>,
    diversity: Option<f64>,
    divergence: Option<(f64, f64)>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(experiment: &'a Experiment<'_>, listeners: &'a [usize]) -> Self {
        let (population, dataset) = (&experiment.population, &experiment.dataset);
        let popularity = population.popularity();
        let mut order: Vec<usize> = (0..popularity.len()).collect();
        order.sort_by(|&a, &b| popularity[b].total_cmp(&popularity[a]).then(a.cmp(&b)));
        let mut tail = vec![true; popularity.len()];
        order.iter().take(popularity.len().div_ceil(5)).for_each(|&track| tail[track] = false);
        let (kinds, kind_count) = kinds(&dataset.content, population.tracks);
        Self { population, listeners, artists: artists(&dataset.content, population.tracks), tail, kinds, kind_count }
    }

    /// What a scorer's lists are like.
    pub(super) fn lists(&self, scorer: &dyn Scorer, rng: &mut ChaCha8Rng) -> Lists {
        let rules = self.rules();
        let quick = scorer.for_many();
        let scorer = quick.as_deref().unwrap_or(scorer);
        let bar = progress::steps(self.listeners.len() as u64, "laying lists under rules");
        let rows: Vec<Row> = self
            .listeners
            .par_iter()
            .map_init(
                || (Solver::default(), Vec::new()),
                |(solver, scores), &listener| {
                    scorer.score(listener, self.population.train.of(listener), solver, scores);
                    let row = self.row(listener, scores, &rules);
                    bar.inc(1);
                    row
                },
            )
            .collect();
        bar.finish_and_clear();
        let mut mean = |values: Vec<f64>| bootstrap_mean(&values, rng);
        let diversity: Vec<f64> = rows.iter().filter_map(|row| row.diversity).collect();
        let divergence: Vec<(f64, f64)> = rows.iter().filter_map(|row| row.divergence).collect();
        let constrained = rules
            .iter()
            .enumerate()
            .map(|(place, (rule, _))| Constrained {
                rule: rule.clone(),
                ndcg: mean(rows.iter().map(|row| row.ruled[place].0).collect()),
                cost: mean(rows.iter().map(|row| row.laid - row.ruled[place].0).collect()),
                tail_share: rows.iter().map(|row| row.ruled[place].1).sum::<f64>() / rows.len().max(1) as f64,
            })
            .collect();
        Lists {
            diversity: (!diversity.is_empty()).then(|| mean(diversity)),
            kinds: (!divergence.is_empty()).then(|| KindFit {
                plain: mean(divergence.iter().map(|pair| pair.0).collect()),
                calibrated: mean(divergence.iter().map(|pair| pair.1).collect()),
            }),
            constrained,
        }
    }

    // The rules whose cost is measured; the last is that of kinds, which has no queue.
    fn rules(&self) -> Vec<(String, Option<QueueRules>)> {
        let plain = QueueRules { length: LENGTH, artist_gap: 0, tail_share: 0.0 };
        let mut rules = Vec::new();
        if self.artists.iter().any(|&artist| artist > 0) {
            let rule = QueueRules { artist_gap: 2, ..plain };
            rules.push(("two others between tracks of one artist".to_owned(), Some(rule)));
        }
        for share in [0.2, 0.5] {
            let name = format!("{:.0} % of the tail in every list", 100.0 * share);
            rules.push((name, Some(QueueRules { tail_share: share, ..plain })));
        }
        if self.kind_count > 0 {
            rules.push(("kinds as in the listener's history".to_owned(), None));
        }
        rules
    }

    fn row(&self, listener: usize, scores: &[f32], rules: &[(String, Option<QueueRules>)]) -> Row {
        let role = roles(self.population, listener, Part::Test);
        let sought = role.iter().filter(|r| **r == Role::Sought).count();
        let ranked = top(scores, (0..scores.len()).filter(|&t| role[t] != Role::Known), CANDIDATES);
        let history = self.population.train.of(listener);
        let profile = kind_shares(
            self.kind_count,
            history.iter().map(|e| (self.kinds[e.track.row()].as_slice(), f64::from(e.confidence))),
        );
        let has_kinds = profile.iter().any(|share| *share > 0.0);
        let weighed =
            has_kinds.then(|| calibrated(&scaled(&ranked, scores), &self.kinds, &profile, LENGTH, KINDS_WEIGHT));
        let list = &ranked[..ranked.len().min(LENGTH)];
        let divergence = |list: &[usize]| {
            let weighted = list.iter().enumerate().map(|(place, &t)| (self.kinds[t].as_slice(), place_weight(place)));
            miscalibration(&profile, &kind_shares(self.kind_count, weighted))
        };
        // A floor for the tail needs some of it to choose from.
        let tail = top(scores, (0..scores.len()).filter(|&t| role[t] != Role::Known && self.tail[t]), LENGTH);
        let further = tail.into_iter().filter(|track| !ranked.contains(track));
        let candidates: Vec<Candidate> = ranked
            .iter()
            .copied()
            .chain(further)
            .map(|t| Candidate { track: TrackId(t as u32), artist: self.artists[t], tail: self.tail[t] })
            .collect();
        let ruled = |list: &[usize]| {
            let tail = list.iter().filter(|&&t| self.tail[t]).count() as f64 / list.len().max(1) as f64;
            (list_ndcg(list, &role, sought), tail)
        };
        Row {
            laid: list_ndcg(list, &role, sought),
            ruled: rules
                .iter()
                .map(|(_, rule)| match rule {
                    Some(rule) => ruled(&queue(&candidates, rule).iter().map(|t| t.row()).collect::<Vec<_>>()),
                    None => ruled(weighed.as_deref().unwrap_or(list)),
                })
                .collect(),
            diversity: self.diversity(list),
            divergence: weighed.as_ref().map(|weighed| (divergence(list), divergence(weighed))),
        }
    }

    // Mean of 1 - cosine over pairs of tracks that something is public of.
    fn diversity(&self, list: &[usize]) -> Option<f64> {
        let rows: Vec<&[(u32, f32)]> =
            list.iter().map(|&t| self.kinds[t].as_slice()).filter(|r| !r.is_empty()).collect();
        let norm = |row: &[(u32, f32)]| row.iter().map(|(_, v)| v * v).sum::<f32>().sqrt();
        let (mut sum, mut pairs) = (0.0, 0u32);
        for (place, a) in rows.iter().enumerate() {
            for b in &rows[place + 1..] {
                let dot: f32 = a.iter().filter_map(|(k, v)| Some(v * b.iter().find(|(other, _)| other == k)?.1)).sum();
                sum += f64::from(1.0 - dot / (norm(a) * norm(b)));
                pairs += 1;
            }
        }
        (pairs > 0).then(|| sum / f64::from(pairs))
    }
}

// NDCG of a list that may leave out what is sought.
fn list_ndcg(list: &[usize], role: &[Role], sought: usize) -> f64 {
    let found =
        list.iter().enumerate().filter(|(_, t)| role[**t] == Role::Sought).map(|(place, _)| place_weight(place));
    let ideal: f64 = (0..sought.min(LENGTH)).map(place_weight).sum();
    if ideal > 0.0 { found.sum::<f64>() / ideal } else { 0.0 }
}

// Scores of candidates, best first, between 0 and 1.
fn scaled(ranked: &[usize], scores: &[f32]) -> Vec<(usize, f64)> {
    let ends = ranked.first().zip(ranked.last()).map(|(&first, &last)| (scores[first], scores[last]));
    let (most, least) = ends.unwrap_or_default();
    let width = f64::from((most - least).max(f32::MIN_POSITIVE));
    ranked.iter().map(|&t| (t, f64::from(scores[t] - least) / width)).collect()
}

// The commonest public features, as shares of a track.
fn kinds(content: &Content, tracks: usize) -> (Vec<Vec<(u32, f32)>>, usize) {
    let dense = content.dense(tracks, MOST_KINDS);
    let share = |row: ndarray::ArrayView1<'_, f64>| {
        let total: f64 = row.sum();
        let present = row.iter().enumerate().filter(|(_, value)| **value > 0.0);
        present.map(|(kind, value)| (kind as u32, (value / total) as f32)).collect()
    };
    (dense.outer_iter().map(share).collect(), dense.ncols())
}

// Numbers of artists from 1; 0 where the catalogue names none.
fn artists(content: &Content, tracks: usize) -> Vec<u32> {
    let is_artist =
        |feature: u32| ["artist ", "author "].iter().any(|word| content.names[feature as usize].starts_with(word));
    let mut artists: Vec<u32> = content
        .rows
        .iter()
        .map(|row| row.iter().find(|(feature, _)| is_artist(*feature)).map_or(0, |(feature, _)| feature + 1))
        .collect();
    artists.resize(tracks, 0);
    artists
}

const LENGTH: usize = 10;
// What a rule may choose a list of ten from.
const CANDIDATES: usize = 100;
const MOST_KINDS: usize = 32;
const KINDS_WEIGHT: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_judged_by_place() {
        let mut role = vec![Role::Candidate; 30];
        role[3] = Role::Sought;
        role[7] = Role::Sought;
        assert_eq!(list_ndcg(&[3, 7, 1], &role, 2), 1.0);
        let expected = place_weight(2) / (place_weight(0) + place_weight(1));
        assert!((list_ndcg(&[1, 2, 7], &role, 2) - expected).abs() < 1e-12);
        assert_eq!(list_ndcg(&[1, 2], &role, 2), 0.0);
        // The same as the judge of whole rankings says.
        let judged = sordino_shared::evaluate::Judged::from_scores(&[0.8], [0.9, 0.7].into_iter());
        assert!(
            (judged.ndcg(Some(LENGTH), sordino_shared::evaluate::Gain::Binary) - list_ndcg(&[1, 3, 2], &role, 1)).abs()
                < 1e-12
        );
    }

    #[test]
    fn artists_and_kinds_are_read_off_what_is_public() {
        let names = ["rock", "artist 4", "pop", "artist 5"].map(str::to_owned).to_vec();
        let rows = vec![vec![(0, 1.0), (1, 1.0)], vec![(2, 1.0)], vec![(3, 1.0), (2, 1.0)]];
        let content = Content { names, rows };
        assert_eq!(artists(&content, 4), [2, 0, 4, 0]);
        let (kinds, count) = kinds(&content, 4);
        assert!(count <= 4 && kinds.len() == 4 && kinds[3].is_empty());
        assert_eq!(scaled(&[2, 0, 1], &[0.5, 0.0, 1.0]), [(2, 1.0), (0, 0.5), (1, 0.0)]);
        assert_eq!(scaled(&[], &[]), []);
    }
}
