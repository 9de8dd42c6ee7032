//! Central implicit-feedback alternating least squares (Hu et al. 2008; regularised as in Rendle et al. 2022): the
//! baseline that sees everybody's data. It shares no code with the federated factors but the linear solver.

mod quick;

pub use quick::QuickIals;

use crate::population::Population;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::linalg::{cholesky_solve, dot, gram};
use sordino_shared::model::{Example, Solver};
use sordino_shared::random::mix;

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
    tracks: Array2<f64>,
}

impl super::Scorer for Ials {
    fn score(&self, listener: usize, _history: &[Example], _solver: &mut Solver, scores: &mut Vec<f32>) {
        let x = self.listeners.row(listener);
        let x = x.as_slice().expect("row order");
        scores.clear();
        scores.extend(self.tracks.outer_iter().map(|y| dot(y.as_slice().expect("row order"), x) as f32));
    }
}

/// Factorises the population's training examples in `d` dimensions, exactly: each row's system by Cholesky.
pub fn train(population: &Population, d: usize, settings: IalsSettings, seed: u64) -> Ials {
    let data = Sides::new(population);
    let (mut listeners, mut tracks) = start(population, d, seed);
    for _ in 0..settings.iterations {
        half(&mut listeners, &tracks, &data.rows, settings);
        half(&mut tracks, &listeners, &data.columns, settings);
    }
    half(&mut listeners, &tracks, &data.rows, settings);
    Ials { listeners, tracks }
}

/// Both sides of the examples, each row with what it is made of.
pub(super) struct Sides {
    /// (track, confidence) by listener.
    pub(super) rows: Vec<Vec<(usize, f64)>>,
    /// (listener, confidence) by track.
    pub(super) columns: Vec<Vec<(usize, f64)>>,
}

impl Sides {
    pub(super) fn new(population: &Population) -> Self {
        let rows: Vec<Vec<(usize, f64)>> = (0..population.devices())
            .map(|u| population.train.of(u).iter().map(|e| (e.track.row(), f64::from(e.confidence))).collect())
            .collect();
        let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); population.tracks];
        for (listener, row) in rows.iter().enumerate() {
            row.iter().for_each(|&(track, c)| columns[track].push((listener, c)));
        }
        Self { rows, columns }
    }
}

/// Listeners at zero and tracks at random.
pub(super) fn start(population: &Population, d: usize, seed: u64) -> (Array2<f64>, Array2<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, START_STREAM, 0));
    let scale = 0.1 / (d as f64).sqrt();
    let tracks = Array2::from_shape_fn((population.tracks, d), |_| {
        let z: f64 = StandardNormal.sample(&mut rng);
        z * scale
    });
    (Array2::zeros((population.devices(), d)), tracks)
}

// Solves one side given the other.
fn half(target: &mut Array2<f64>, other: &Array2<f64>, rows: &[Vec<(usize, f64)>], settings: IalsSettings) {
    let d = other.ncols();
    let shared = gram(other.view()) * settings.background;
    target.outer_iter_mut().into_par_iter().zip(rows).for_each(|(mut out, row)| {
        let mut system: Vec<f64> = shared.iter().copied().collect();
        let mut right = vec![0.0; d];
        let mut count = 0.0;
        for &(index, confidence) in row {
            let y = other.row(index);
            let y = y.as_slice().expect("row order");
            count += confidence;
            for (i, &yi) in y.iter().enumerate() {
                let factor = confidence * yi;
                right[i] += factor;
                system[i * d..=i * d + i].iter_mut().zip(y).for_each(|(s, &yj)| *s += factor * yj);
            }
        }
        let ridge = settings.ridge * (count + settings.background * other.nrows() as f64);
        (0..d).for_each(|k| system[k * d + k] += ridge);
        if cholesky_solve(&mut system, &mut right) {
            out.iter_mut().zip(right).for_each(|(o, v)| *o = v);
        }
    });
}

const START_STREAM: u64 = 521;
