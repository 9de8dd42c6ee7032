//! Central implicit-feedback alternating least squares (Hu et al. 2008; regularised as in Rendle et al. 2022): the
//! baseline that sees everybody's data. It shares no code with the federated factors but the linear solver.

use super::scoring::Wide;
use crate::error::Result;
use crate::population::Population;
use crate::progress;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::linalg::{cholesky_solve, gram};
use sordino_shared::model::{Example, Solver};
use sordino_shared::random::mix;
use std::time::Instant;

/// Settings of the factorisation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IalsSettings {
    /// a0: weight of tracks never heard.
    pub background: f64,
    /// Ridge, times (count + a0 n) for a row of the other side's n rows.
    pub ridge: f64,
    /// Times each side is solved for.
    pub iterations: usize,
}

impl Default for IalsSettings {
    fn default() -> Self {
        Self { background: 0.3, ridge: 0.01, iterations: 10 }
    }
}

impl IalsSettings {
    /// What is tried when the baseline is tuned on validation tracks.
    pub fn grid() -> Vec<Self> {
        let mut grid = Vec::new();
        for background in [0.1, 0.3, 1.0] {
            for ridge in [0.001, 0.003, 0.01, 0.03] {
                grid.push(Self { background, ridge, ..Self::default() });
            }
        }
        grid
    }
}

/// The factors of both sides.
pub struct Ials {
    listeners: Array2<f64>,
    tracks: Wide,
}

impl super::Scorer for Ials {
    fn score(&self, listener: usize, _history: &[Example], _solver: &mut Solver, scores: &mut Vec<f32>) {
        let x = self.listeners.row(listener);
        self.tracks.score(x.as_slice().expect("row order"), scores, |score| score as f32);
    }
}

/// What tuning found.
pub struct Tuned {
    /// The setting.
    pub settings: IalsSettings,
    /// Its factors.
    pub factors: Ials,
    /// Seconds of its own training.
    pub seconds: f64,
}

/// Factorises the population's training examples in `d` dimensions.
pub fn train(population: &Population, d: usize, settings: IalsSettings, seed: u64) -> Ials {
    let examples = Examples::of(population);
    let bar = progress::steps(settings.iterations as u64, "central factorisation");
    let mut fit = Fit::new(&examples, d, settings, seed);
    for _ in 0..settings.iterations {
        fit.iterate(&examples);
        bar.inc(1);
    }
    bar.finish_and_clear();
    fit.into_ials(&examples)
}

/// Tries every setting of the grid, takes the one that `quality` finds best, and gives its factors too. Of equals the first
/// in the grid wins.
///
/// Half of the settings are dropped after two iterations and half of the rest after four, by the same quality; those that
/// are left go on from where they stand, so that the winner's factors are those of a training of its own.
pub fn tune(population: &Population, d: usize, seed: u64, quality: impl Fn(&Ials) -> Result<f64>) -> Result<Tuned> {
    let examples = Examples::of(population);
    let mut fits: Vec<Fit> =
        IalsSettings::grid().into_iter().map(|settings| Fit::new(&examples, d, settings, seed)).collect();
    let whole = IalsSettings::default().iterations;
    let mut stages: Vec<(usize, usize)> = HALVINGS.into_iter().filter(|(until, _)| *until < whole).collect();
    stages.push((whole, 1));
    let steps = |left: usize, from: usize, (until, _): (usize, usize)| left * (until - from);
    let mut total = 0;
    let (mut left, mut from) = (fits.len(), 0);
    for &stage in &stages {
        total += steps(left, from, stage);
        (left, from) = (stage.1, stage.0);
    }
    let bar = progress::steps(total as u64, "tuning the central factorisation");
    for (until, keep) in stages {
        let mut judged = Vec::with_capacity(fits.len());
        for (place, mut fit) in fits.into_iter().enumerate() {
            while fit.iterations < until {
                fit.iterate(&examples);
                bar.inc(1);
            }
            let value = quality(&fit.ials(&examples))?;
            judged.push((value, place, fit));
        }
        judged.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        judged.truncate(keep);
        // In the grid's order again, by which equals are told apart.
        judged.sort_by_key(|(_, place, _)| *place);
        fits = judged.into_iter().map(|(_, _, fit)| fit).collect();
    }
    bar.finish_and_clear();
    let best = fits.pop().expect("a grid has settings, and one is kept");
    Ok(Tuned { settings: best.settings, seconds: best.seconds, factors: best.into_ials(&examples) })
}

/// (track, confidence) by listener and (listener, confidence) by track.
struct Examples {
    rows: Vec<Vec<(usize, f64)>>,
    columns: Vec<Vec<(usize, f64)>>,
}

impl Examples {
    fn of(population: &Population) -> Self {
        let devices = population.devices();
        let rows: Vec<Vec<(usize, f64)>> = (0..devices)
            .map(|u| population.train.of(u).iter().map(|e| (e.track.row(), f64::from(e.confidence))).collect())
            .collect();
        let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); population.tracks];
        for (listener, row) in rows.iter().enumerate() {
            row.iter().for_each(|&(track, c)| columns[track].push((listener, c)));
        }
        Self { rows, columns }
    }
}

/// A factorisation on its way.
struct Fit {
    settings: IalsSettings,
    listeners: Array2<f64>,
    tracks: Array2<f64>,
    iterations: usize,
    // Whether the listeners are solved for the tracks as they are.
    is_settled: bool,
    seconds: f64,
}

impl Fit {
    fn new(examples: &Examples, d: usize, settings: IalsSettings, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, START_STREAM, 0));
        let scale = 0.1 / (d as f64).sqrt();
        let tracks = Array2::from_shape_fn((examples.columns.len(), d), |_| {
            let z: f64 = StandardNormal.sample(&mut rng);
            z * scale
        });
        let listeners = Array2::zeros((examples.rows.len(), d));
        Self { settings, listeners, tracks, iterations: 0, is_settled: false, seconds: 0.0 }
    }

    // Solves for each side once.
    fn iterate(&mut self, examples: &Examples) {
        self.settle(examples);
        let start = Instant::now();
        half(&mut self.tracks, &self.listeners, &examples.columns, self.settings);
        self.seconds += start.elapsed().as_secs_f64();
        self.iterations += 1;
        self.is_settled = false;
    }

    fn settle(&mut self, examples: &Examples) {
        if !self.is_settled {
            let start = Instant::now();
            half(&mut self.listeners, &self.tracks, &examples.rows, self.settings);
            self.seconds += start.elapsed().as_secs_f64();
            self.is_settled = true;
        }
    }

    // As it stands.
    fn ials(&mut self, examples: &Examples) -> Ials {
        self.settle(examples);
        Ials { listeners: self.listeners.clone(), tracks: Wide::new(self.tracks.view()) }
    }

    fn into_ials(mut self, examples: &Examples) -> Ials {
        self.settle(examples);
        Ials { tracks: Wide::new(self.tracks.view()), listeners: self.listeners }
    }
}

// Solves one side given the other.
fn half(target: &mut Array2<f64>, other: &Array2<f64>, rows: &[Vec<(usize, f64)>], settings: IalsSettings) {
    let d = other.ncols();
    let shared = gram(other.view()) * settings.background;
    target.outer_iter_mut().into_par_iter().zip(rows).for_each_init(
        || Room { plain: Vec::new(), weighed: Vec::new(), system: shared.clone(), right: vec![0.0; d] },
        |room, (mut out, row)| {
            room.system.assign(&shared);
            let count = room.gather(other, row);
            let ridge = settings.ridge * (count + settings.background * other.nrows() as f64);
            room.system.diag_mut().iter_mut().for_each(|value| *value += ridge);
            if cholesky_solve(room.system.as_slice_mut().expect("row order"), &mut room.right) {
                out.iter_mut().zip(&room.right).for_each(|(o, v)| *o = *v);
            }
        },
    );
}

/// Room for one row's system, to be used again and again.
struct Room {
    plain: Vec<f64>,
    weighed: Vec<f64>,
    system: Array2<f64>,
    right: Vec<f64>,
}

impl Room {
    // Adds `c y y'` to the system and puts the sum of `c y` to the right; returns the sum of `c`.
    fn gather(&mut self, other: &Array2<f64>, row: &[(usize, f64)]) -> f64 {
        let d = other.ncols();
        self.plain.clear();
        self.weighed.clear();
        self.right.fill(0.0);
        let mut count = 0.0;
        for &(index, confidence) in row {
            let y = other.row(index);
            let y = y.as_slice().expect("row order");
            count += confidence;
            self.plain.extend_from_slice(y);
            self.weighed.extend(y.iter().map(|v| confidence * v));
            self.right.iter_mut().zip(y).for_each(|(sum, v)| *sum += confidence * v);
        }
        let shaped = |values| ArrayView2::from_shape((row.len(), d), values).expect("a row of d for each example");
        let (plain, weighed): (ArrayView2<'_, f64>, _) = (shaped(&self.plain), shaped(&self.weighed));
        general_mat_mul(1.0, &weighed.t(), &plain, 1.0, &mut self.system);
        count
    }
}

// After so many iterations, so many settings are left.
const HALVINGS: [(usize, usize); 2] = [(2, 6), (4, 3)];
const START_STREAM: u64 = 521;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Part, mean_ndcg};
    use crate::experiment::dataset;
    use crate::methods::Scorer;
    use crate::scenario::Scenario;
    use crate::world::WorldSettings;
    use sordino_shared::linalg::dot;

    const D: usize = 6;

    fn scenario() -> Scenario {
        let world = WorldSettings { listeners: 600, tracks: 150, artists: 30, ..WorldSettings::default() };
        Scenario { world, ..Scenario::default() }
    }

    fn population(scenario: &Scenario) -> Population {
        let data = dataset(scenario).expect("a world");
        Population::build(&data, &scenario.policy().expect("a policy"), scenario.protocol, scenario.seed)
            .expect("devices")
    }

    fn scores(ials: &Ials, listener: usize) -> Vec<f32> {
        let mut scores = Vec::new();
        ials.score(listener, &[], &mut Solver::default(), &mut scores);
        scores
    }

    #[test]
    fn a_side_is_solved_where_its_gradient_vanishes() {
        let population = population(&scenario());
        let (examples, settings) = (Examples::of(&population), IalsSettings::default());
        let mut fit = Fit::new(&examples, D, settings, 1);
        fit.iterate(&examples);
        fit.settle(&examples);
        let all = gram(fit.tracks.view()) * settings.background;
        for (row, x) in examples.rows.iter().zip(fit.listeners.outer_iter()).take(50) {
            let count: f64 = row.iter().map(|(_, c)| c).sum();
            let ridge = settings.ridge * (count + settings.background * population.tracks as f64);
            let mut gradient = all.dot(&x) + &x * ridge;
            for &(track, confidence) in row {
                let y = fit.tracks.row(track);
                let error = dot(y.as_slice().expect("row order"), x.as_slice().expect("row order")) - 1.0;
                gradient.scaled_add(confidence * error, &y);
            }
            assert!(gradient.iter().all(|v| v.abs() < 1e-9), "{gradient}");
        }
    }

    // A rival that was tuned worse would be a lie.
    #[test]
    fn tuning_by_halves_finds_what_trying_everything_finds() {
        let scenario = scenario();
        let population = population(&scenario);
        let evaluation = scenario.evaluation(Part::Validation);
        let quality = |factors: &Ials| mean_ndcg(&population, factors, &evaluation);
        let tuned = tune(&population, D, 1, quality).expect("tuned");
        let whole = train(&population, D, tuned.settings, 1);
        assert_eq!(scores(&whole, 17), scores(&tuned.factors, 17), "the winner is trained to the end");
        let reached = quality(&tuned.factors).expect("measured");
        let best = IalsSettings::grid()
            .into_iter()
            .map(|settings| quality(&train(&population, D, settings, 1)).expect("measured"))
            .fold(0.0, f64::max);
        assert!(reached > best - 0.002, "{reached} of {best}");
    }
}
