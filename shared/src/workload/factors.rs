//! Stage B of the embeddings: federated alternating least squares by sufficient statistics.
//!
//! Each device solves for its own vector x (see [`crate::model::EmbeddingModel`]) and sends, weighted by its device
//! weight w, two blocks: rows `w c_i (x.y_i - 1) x` for its tracks, and the packed lower triangle of `w x x'`. From the
//! sums R and H the coordinator takes one preconditioned step for every track at once,
//!
//! ```text
//! y_i -= ((a0 + f_i / W) H + lambda_i I)^-1 (R_i + a0 H y_i + lambda_i y_i),   lambda_i = ridge (f_i + a0 W) tr(H)/W
//! ```
//!
//! where f_i and W (popularity and total weight) come from the popularity release. The bracket replaces the sum of x x'
//! over a track's own listeners by its share of H; it is exact for the gradient, so repeated steps end where alternating
//! least squares with device weights does.
//!
//! *Sensitivity.* |rows| <= |x| max|e| by the choice of w, for a history of any length. What is clipped is |x|, to a
//! norm that the coordinator sets from the previous H, which costs nothing.

use super::{Block, Device, DeviceHalf, PopularityEstimate, Statistics, Workload};
use crate::linalg::{matmul, symmetric_eigen};
use crate::math;
use crate::model::{EmbeddingModel, Hyperparameters, Prior, shrink_rows};
use crate::plan::BlockLayout;
use ndarray::{Array1, Array2, Axis};
use rand_core::Rng;
use rayon::prelude::*;

/// The factors workload.
#[derive(Clone, Debug)]
pub struct Factors {
    regression: Regression,
    popularity: PopularityEstimate,
    prior: Prior,
}

/// The device's half of [`Factors`].
#[derive(Clone, Debug)]
pub struct Regression {
    pub(super) model: EmbeddingModel,
    pub(super) listener_clip: f64,
}

impl Factors {
    /// Starts from a table (tracks x d) of any scale.
    pub fn new(
        table: Array2<f64>,
        popularity: PopularityEstimate,
        prior: Prior,
        hyperparameters: Hyperparameters,
    ) -> Self {
        let model = normalised(table, &popularity, hyperparameters);
        Self { regression: Regression { model, listener_clip: FIRST_LISTENER_CLIP }, popularity, prior }
    }

    /// The model as it stands.
    pub fn model(&self) -> &EmbeddingModel {
        &self.regression.model
    }

    /// What devices need of it.
    pub fn device(&self) -> &Regression {
        &self.regression
    }
}

impl DeviceHalf for Factors {
    fn layout(&self) -> Vec<BlockLayout> {
        self.regression.layout()
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        self.regression.contribute(device, rng)
    }
}

impl DeviceHalf for Regression {
    fn layout(&self) -> Vec<BlockLayout> {
        let d = self.model.dimensions();
        let largest_weight = 1.0 / self.model.hyperparameters().full_weight_tracks.sqrt();
        let rows_clip = ROWS_FILL * self.listener_clip;
        let moments_clip = math::powi(self.listener_clip, 2) * largest_weight;
        vec![
            BlockLayout { share: 0.95, ..BlockLayout::new("rows", self.model.tracks(), d, rows_clip).by_track() },
            BlockLayout { share: 0.05, ..BlockLayout::new("moments", 1, d * (d + 1) / 2, moments_clip) },
        ]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let d = self.model.dimensions();
        let hyperparameters = self.model.hyperparameters();
        let mut x = device.solver.solve(&self.model, device.examples).to_vec();
        let norm = x.iter().map(|&v| math::powi(f64::from(v), 2)).sum::<f64>().sqrt();
        if norm > self.listener_clip {
            let scale = (self.listener_clip / norm) as f32;
            x.iter_mut().for_each(|v| *v *= scale);
        }
        let weight = hyperparameters.device_weight(device.examples) as f32;
        let mut rows = Vec::with_capacity(device.examples.len());
        let mut values = Vec::with_capacity(device.examples.len() * d);
        for example in device.examples {
            let score: f32 = crate::linalg::dot_f32(self.model.row(example.track.row()), &x);
            let factor = weight * example.confidence * (score - 1.0).clamp(-1.0, 1.0);
            rows.push(example.track.0);
            values.extend(x.iter().map(|v| v * factor));
        }
        Statistics { blocks: vec![Block::Rows { rows, values }, Block::Dense(pack(&x, weight))] }
    }
}

impl Workload for Factors {
    fn apply(&mut self, mut sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        let (tracks, d) = (self.regression.model.tracks(), self.regression.model.dimensions());
        // A round of some of the devices is scaled to all that the popularity speaks of.
        let scale = self.popularity.devices / devices.max(1.0);
        if scale != 1.0 {
            sum.iter_mut().for_each(|block| block.par_iter_mut().with_min_len(4096).for_each(|v| *v *= scale));
        }
        let deviations = [deviations[0] * scale, deviations[1] * scale];
        let moments = unpack(&sum.swap_remove(1), d);
        let rows = Array2::from_shape_vec((tracks, d), sum.swap_remove(0)).expect("the layout's shape");
        let (mut eigenvalues, axes) = symmetric_eigen(&moments);
        // H is positive semidefinite but its noisy sum need not be; below the noise an eigenvalue says nothing.
        let floor = (eigenvalues[0] * 1e-3).max(deviations[1]).max(f64::MIN_POSITIVE);
        eigenvalues.mapv_inplace(|v| v.max(floor));
        let energy = eigenvalues.sum() / self.popularity.total_weight;
        let table = matmul(self.regression.model.table().mapv(f64::from).view(), axes.view());
        let rows = matmul(rows.view(), axes.view());
        let (mut table, variance) = self.step(table, &rows, &eigenvalues, energy, deviations[0]);
        if deviations[0] > 0.0 {
            shrink_rows(&mut table, &variance, &self.prior);
        }
        let table = matmul(table.view(), axes.t());
        self.regression.listener_clip = CLIP_OVER_RMS * energy.sqrt();
        self.regression.model = normalised(table, &self.popularity, *self.regression.model.hyperparameters());
    }
}

impl Factors {
    // One preconditioned step in the axes of H, where the systems are diagonal; and the variance of its noise.
    fn step(
        &self,
        mut table: Array2<f64>,
        rows: &Array2<f64>,
        eigenvalues: &Array1<f64>,
        energy: f64,
        deviation: f64,
    ) -> (Array2<f64>, Array2<f64>) {
        let h = self.regression.model.hyperparameters();
        let total = self.popularity.total_weight;
        let mut variance = Array2::zeros(table.dim());
        table
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(rows.axis_iter(Axis(0)).into_par_iter())
            .zip(variance.axis_iter_mut(Axis(0)).into_par_iter())
            .with_min_len(512)
            .enumerate()
            .for_each(|(i, ((mut y, r), mut v))| {
                let f = self.popularity.tracks[i];
                let ridge = h.track_ridge * (f + h.background * total) * energy;
                for (((y, &r), v), &eigenvalue) in y.iter_mut().zip(r).zip(v.iter_mut()).zip(eigenvalues) {
                    let background = h.background * eigenvalue;
                    let curvature = background + f / total * eigenvalue + ridge;
                    *y -= (r + (background + ridge) * *y) / curvature;
                    *v = math::powi(deviation / curvature, 2);
                }
            });
        (table, variance)
    }
}

// Scales the table so that its popularity-weighted mean square row length is 1: clips and ridges then mean the same on
// every catalogue.
fn normalised(table: Array2<f64>, popularity: &PopularityEstimate, h: Hyperparameters) -> EmbeddingModel {
    let (mut weighted, mut total) = (0.0, 0.0);
    for (row, &f) in table.axis_iter(Axis(0)).zip(&popularity.tracks) {
        weighted += f * row.dot(&row);
        total += f;
    }
    let scale = if weighted > 0.0 { (total / weighted).sqrt() } else { 1.0 };
    let table = table.mapv(|v| (v * scale) as f32);
    EmbeddingModel::new(table, popularity.tracks.iter().map(|&f| f as f32).collect(), h)
}

// The lower triangle of w x x', off-diagonal values times sqrt 2: the packed norm is then the norm of the whole matrix.
pub(super) fn pack(x: &[f32], weight: f32) -> Vec<f32> {
    let mut packed = Vec::with_capacity(x.len() * (x.len() + 1) / 2);
    for (i, &xi) in x.iter().enumerate() {
        packed.extend(x[..i].iter().map(|xj| weight * std::f32::consts::SQRT_2 * xi * xj));
        packed.push(weight * xi * xi);
    }
    packed
}

fn unpack(packed: &[f64], d: usize) -> Array2<f64> {
    let mut matrix = Array2::zeros((d, d));
    let mut values = packed.iter();
    for i in 0..d {
        for j in 0..=i {
            let value = *values.next().expect("d (d + 1) / 2 values");
            let value = if i == j { value } else { value / std::f64::consts::SQRT_2 };
            matrix[(i, j)] = value;
            matrix[(j, i)] = value;
        }
    }
    matrix
}

// With a table of unit weighted length, |x| had median .45 to .65 and 90 % below 1.3 in the first step on the sets that
// docs/benchmarks.md names.
const FIRST_LISTENER_CLIP: f64 = 0.9;
const CLIP_OVER_RMS: f64 = 1.3;
// Weighted rows fill |x| rms(e), and rms(e) is .5 to .8 once a table exists.
pub(super) const ROWS_FILL: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::model::Example;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn packing_keeps_norm_and_matrix() {
        let x = [0.5f32, -1.0, 2.0];
        let packed: Vec<f64> = pack(&x, 0.5).into_iter().map(f64::from).collect();
        let norm: f64 = packed.iter().map(|v| v * v).sum();
        let square: f64 = x.iter().map(|&v| f64::from(v * v)).sum();
        assert!((norm.sqrt() - 0.5 * square).abs() < 1e-6);
        let matrix = unpack(&packed, 3);
        for i in 0..3 {
            for j in 0..3 {
                assert!((matrix[(i, j)] - 0.5 * f64::from(x[i] * x[j])).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn repeated_steps_end_where_the_track_gradient_vanishes() {
        let tracks = 12;
        let listeners: Vec<Vec<Example>> = (0..20u32)
            .map(|u| {
                (0..tracks as u32)
                    .filter(|t| (t * 5 + u * 3) % 7 < 3)
                    .map(|t| Example { track: TrackId(t), confidence: 1.0 })
                    .collect()
            })
            .collect();
        let h = Hyperparameters { full_weight_tracks: 4.0, ..Hyperparameters::default() };
        let mut popularity = PopularityEstimate { tracks: vec![0.0; tracks], total_weight: 0.0, devices: 20.0 };
        for listener in &listeners {
            let w = h.device_weight(listener);
            popularity.total_weight += w;
            listener.iter().for_each(|e| popularity.tracks[e.track.row()] += w);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = Array2::from_shape_fn((tracks, 2), |_| crate::random::unit_f64(&mut rng) - 0.3);
        let prior = Prior::new(&popularity.tracks, &Array2::zeros((tracks, 0)));
        let mut workload = Factors::new(start, popularity, prior, h);
        workload.regression.listener_clip = 1e6;
        let mut moved = f64::INFINITY;
        for _ in 0..300 {
            let mut rows = vec![0.0; tracks * 2];
            let mut moments = vec![0.0; 3];
            for listener in &listeners {
                let mut workspace = Workspace::default();
                let device = Device { examples: listener, ..workspace.device() };
                let statistics = workload.contribute(device, &mut rng);
                for (e, v) in listener.iter().zip(statistics.blocks[0].values().chunks_exact(2)) {
                    rows[e.track.row() * 2] += f64::from(v[0]);
                    rows[e.track.row() * 2 + 1] += f64::from(v[1]);
                }
                moments.iter_mut().zip(statistics.blocks[1].values()).for_each(|(m, &v)| *m += f64::from(v));
            }
            let before = workload.regression.model.table().clone();
            workload.apply(vec![rows, moments], &[0.0, 0.0], 20.0);
            workload.regression.listener_clip = 1e6;
            moved =
                (workload.regression.model.table() - &before).iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
        }
        assert!(moved < 1e-3, "the steps have not settled: {moved}");
    }
}
