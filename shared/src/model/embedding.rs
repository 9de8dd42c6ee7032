//! Track embeddings, and the listener's embedding solved on the device.
//!
//! The listener's vector x minimises the implicit-feedback ridge problem of Hu, Koren and Volinsky (2008) with the
//! regularisation of Rendle et al. (2022):
//!
//! ```text
//! sum over own tracks c_i (1 - x.y_i)^2  +  a0 sum over all tracks (x.y_i)^2  +  ridge (sum c_i + a0 max(m, 4000)) |x|^2
//! ```
//!
//! It needs the device's own tracks and the shared Gram matrix Y'Y only, and never leaves the device.

use super::Example;
use crate::bytes;
use crate::linalg::{cholesky_solve, dot_f32, gram};
use crate::math;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use serde::{Deserialize, Serialize};

/// The weights of the factorisation's terms. docs/decisions.md says how the defaults were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hyperparameters {
    /// a0: how much a track that was never heard counts against one that was.
    pub background: f64,
    /// The listener's ridge, relative to a table whose popularity-weighted mean square row length is 1.
    pub listener_ridge: f64,
    /// The tracks' ridge, relative to the mean square length of the listeners' vectors.
    pub track_ridge: f64,
    /// n0: a device with fewer confident tracks than this does not fill its part of the sum.
    pub full_weight_tracks: f64,
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Self { background: 0.2, listener_ridge: 0.004, track_ridge: 0.04, full_weight_tracks: 16.0 }
    }
}

impl Hyperparameters {
    pub(crate) fn to_array(self) -> [f64; 4] {
        [self.background, self.listener_ridge, self.track_ridge, self.full_weight_tracks]
    }

    /// Four positive numbers, as a listener's ridge problem needs them.
    pub(crate) fn from_slice(values: &[f64]) -> Result<Self, bytes::Error> {
        match *values {
            [background, listener_ridge, track_ridge, full_weight_tracks] if values.iter().all(|&v| v > 0.0) => {
                Ok(Self { background, listener_ridge, track_ridge, full_weight_tracks })
            }
            _ => Err(bytes::Error::Number),
        }
    }

    /// The device's weight in every sum: `1 / sqrt(max(n0, sum c_i^2))`.
    ///
    /// With it the device's row block has length at most |x| max|e| and its count block at most 1 *by construction*,
    /// so nothing needs to be clipped away from listeners with a long history.
    pub fn device_weight(&self, examples: &[Example]) -> f64 {
        let energy: f64 = examples.iter().map(|e| math::powi(f64::from(e.confidence), 2)).sum();
        1.0 / energy.max(self.full_weight_tracks).sqrt()
    }
}

/// A table of track embeddings (tracks x dimensions) with the tracks' popularity.
#[derive(Clone, Debug)]
pub struct EmbeddingModel {
    table: Array2<f32>,
    popularity: Vec<f32>,
    hyperparameters: Hyperparameters,
    // a0 Y'Y + ridge a0 max(m, 4000) I, the part of every listener's system that is the same for all.
    shared_system: Array2<f64>,
}

impl EmbeddingModel {
    /// A model from its table, one popularity a track, and the weights that listeners solve with.
    pub fn new(table: Array2<f32>, popularity: Vec<f32>, hyperparameters: Hyperparameters) -> Self {
        assert_eq!(table.nrows(), popularity.len(), "one popularity for each row of the table");
        let mut shared_system = gram(table.mapv(f64::from).view()) * hyperparameters.background;
        let ridge = hyperparameters.listener_ridge * hyperparameters.background * ridge_tracks(table.nrows());
        shared_system.diag_mut().mapv_inplace(|v| v + ridge);
        Self { table, popularity, hyperparameters, shared_system }
    }

    /// A device's own view of a large catalogue: some rows alone (rows x d), whose listener solves as one of the whole would.
    /// Popularity is not in it.
    pub fn excerpt(&self, rows: Array2<f32>) -> Self {
        assert_eq!(rows.ncols(), self.dimensions(), "rows are of the same dimensions");
        let (hyperparameters, shared_system) = (self.hyperparameters, self.shared_system.clone());
        Self { popularity: vec![0.0; rows.nrows()], table: rows, hyperparameters, shared_system }
    }

    /// The number of tracks m.
    pub fn tracks(&self) -> usize {
        self.table.nrows()
    }

    /// The number of dimensions d.
    pub fn dimensions(&self) -> usize {
        self.table.ncols()
    }

    /// The table, tracks x dimensions.
    pub fn table(&self) -> &Array2<f32> {
        &self.table
    }

    /// One popularity a track, in units of device weights.
    pub fn popularity(&self) -> &[f32] {
        &self.popularity
    }

    /// The weights of the terms.
    pub fn hyperparameters(&self) -> &Hyperparameters {
        &self.hyperparameters
    }

    /// One track's embedding.
    pub fn row(&self, track: usize) -> &[f32] {
        let d = self.dimensions();
        let values = self.table.as_slice().expect("tables are built in row order");
        &values[track * d..(track + 1) * d]
    }

    /// Writes a score for each track: x.y_i for a listener with history, else the popularity.
    pub fn score(&self, history: &[Example], solver: &mut Solver, scores: &mut Vec<f32>) {
        scores.clear();
        let x = solver.solve(self, history);
        if x.iter().all(|&v| v == 0.0) {
            scores.extend_from_slice(&self.popularity);
        } else {
            scores.extend((0..self.tracks()).map(|track| dot_f32(self.row(track), x)));
        }
    }
}

// A small catalogue is no reason to trust a short history: below this the ridge shrinks no further.
fn ridge_tracks(tracks: usize) -> f64 {
    tracks.max(4000) as f64
}

/// Room for one listener's ridge problem, to be used again and again.
#[derive(Debug, Default)]
pub struct Solver {
    rows: Vec<f32>,
    products: Vec<f32>,
    system: Vec<f64>,
    right: Vec<f64>,
    listener: Vec<f32>,
}

impl Solver {
    /// Solves for the listener's vector (length d). No history, or a history without confidence, gives the zero vector.
    ///
    /// Cost: n d^2 multiplications in single precision for n tracks, then one Cholesky factorisation in double.
    pub fn solve(&mut self, model: &EmbeddingModel, examples: &[Example]) -> &[f32] {
        let d = model.dimensions();
        let total: f64 = examples.iter().map(|e| f64::from(e.confidence)).sum();
        self.listener.clear();
        if examples.is_empty() || total <= 0.0 {
            self.listener.resize(d, 0.0);
            return &self.listener;
        }
        self.gather(model, examples);
        self.system.clear();
        self.system.extend(model.shared_system.iter().zip(&self.products).map(|(&a, &b)| a + f64::from(b)));
        let ridge = model.hyperparameters.listener_ridge * total;
        for k in 0..d {
            self.system[k * d + k] += ridge;
        }
        // A positive ridge keeps the system definite; a zero table gives a zero right side and so a zero listener.
        if cholesky_solve(&mut self.system, &mut self.right) {
            self.listener.extend(self.right.iter().map(|&v| v as f32));
        } else {
            self.listener.resize(d, 0.0);
        }
        &self.listener
    }

    // Fills `products` with sum c y y' and `right` with sum c y.
    fn gather(&mut self, model: &EmbeddingModel, examples: &[Example]) {
        let d = model.dimensions();
        self.rows.clear();
        self.right.clear();
        self.right.resize(d, 0.0);
        for example in examples {
            let scale = example.confidence.sqrt();
            let row = model.row(example.track.row());
            self.rows.extend(row.iter().map(|v| v * scale));
            for (sum, &value) in self.right.iter_mut().zip(row) {
                *sum += f64::from(value * example.confidence);
            }
        }
        self.products.clear();
        self.products.resize(d * d, 0.0);
        let rows = ArrayView2::from_shape((examples.len(), d), &self.rows).expect("n rows of d values");
        let mut products = ArrayViewMut2::from_shape((d, d), &mut self.products).expect("d rows of d values");
        general_mat_mul(1.0, &rows.t(), &rows, 0.0, &mut products);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn model(tracks: usize, d: usize) -> EmbeddingModel {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let table = Array2::from_shape_fn((tracks, d), |_| (unit_f64(&mut rng) - 0.5) as f32);
        EmbeddingModel::new(table, vec![1.0; tracks], Hyperparameters::default())
    }

    #[test]
    fn the_listener_is_where_the_gradient_vanishes() {
        let model = model(60, 5);
        let examples: Vec<Example> =
            [3, 17, 40].map(|t| Example { track: TrackId(t), confidence: 1.0 + t as f32 / 20.0 }).to_vec();
        let mut solver = Solver::default();
        let x: Vec<f64> = solver.solve(&model, &examples).iter().map(|&v| f64::from(v)).collect();
        let y = |t: usize, k: usize| f64::from(model.row(t)[k]);
        let score = |t: usize| (0..5).map(|k| x[k] * y(t, k)).sum::<f64>();
        let h = Hyperparameters::default();
        let total: f64 = examples.iter().map(|e| f64::from(e.confidence)).sum();
        for (k, &xk) in x.iter().enumerate() {
            let own: f64 = examples
                .iter()
                .map(|e| f64::from(e.confidence) * (score(e.track.row()) - 1.0) * y(e.track.row(), k))
                .sum();
            let all: f64 = (0..60).map(|t| h.background * score(t) * y(t, k)).sum();
            let ridge = h.listener_ridge * (total + h.background * 4000.0) * xk;
            assert!((own + all + ridge).abs() < 1e-4, "{k}: {}", own + all + ridge);
        }
    }

    #[test]
    fn no_history_falls_back_to_popularity() {
        let mut model = model(4, 2);
        model.popularity = vec![1.0, 4.0, 2.0, 3.0];
        let mut scores = Vec::new();
        model.score(&[], &mut Solver::default(), &mut scores);
        assert_eq!(scores, vec![1.0, 4.0, 2.0, 3.0]);
    }
}
