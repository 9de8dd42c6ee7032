//! Stage A of the embeddings: federated subspace iteration.
//!
//! With a the device's unit-length preference vector over the catalogue and Q orthonormal, a device sends `a (a' Q)`,
//! whose norm is |a| |Q'a| <= 1 *exactly*: nothing is clipped and no clip norm is to be tuned. The sum is the
//! power-iteration step `(sum a a') Q` of orthogonal iteration (Golub and Van Loan, section 8.2.4).
//!
//! The first Q comes from content: the leading left singular vectors of popularity times features. Content is public,
//! so the first round starts near the answer without a release.

use super::{Block, Device, DeviceHalf, PopularityEstimate, Statistics, Workload};
use crate::linalg::{matmul, thin_svd};
use crate::math;
use crate::model::{Example, Prior, shrink_rows};
use crate::plan::BlockLayout;
use crate::random::unit_f64;
use ndarray::{Array1, Array2, Axis, Slice};
use rand_core::Rng;

/// The subspace workload.
#[derive(Clone, Debug)]
pub struct Subspace {
    projection: Projection,
    popularity: Array1<f64>,
    prior: Prior,
    components: Vec<f64>,
}

/// The device's half of [`Subspace`].
#[derive(Clone, Debug)]
pub struct Projection {
    // Orthonormal columns, tracks x d; some may be zero where the catalogue has no more directions.
    pub(super) basis: Array2<f32>,
    // w_i = max(plays_i, 1)^-beta: damps the head of the catalogue.
    pub(super) damping: Vec<f32>,
}

impl Subspace {
    /// Starts from content (tracks x features) and, where that has fewer than `d` directions, from random columns.
    pub fn new(
        popularity: &PopularityEstimate,
        content: &Array2<f64>,
        prior: Prior,
        d: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let counts: Array1<f64> = popularity.tracks.iter().copied().collect();
        let damping = counts.mapv(|f| math::powf((f * PLAYS_PER_WEIGHT).max(1.0), -DAMPING));
        let weighted = &counts * &damping;
        let column = weighted.view().insert_axis(Axis(1));
        let known = ndarray::concatenate(Axis(1), &[column, (content * &column).view()]).expect("one row a track");
        let (directions, _, _) = thin_svd(&known);
        let mut start = Array2::from_shape_fn((counts.len(), d), |(i, _)| (unit_f64(rng) - 0.5) * weighted[i]);
        let from_content = d.min(directions.ncols());
        let columns = Slice::from(..from_content);
        start.slice_axis_mut(Axis(1), columns).assign(&directions.slice_axis(Axis(1), columns));
        let projection = Projection {
            basis: orthonormal(&start).mapv(|v| v as f32),
            damping: damping.iter().map(|&w| w as f32).collect(),
        };
        Self { projection, popularity: weighted, prior, components: Vec::new() }
    }

    /// Singular values of the last sum after shrinkage, per device, largest first; empty before the first sum.
    pub fn components(&self) -> &[f64] {
        &self.components
    }

    /// Track embeddings (tracks x d): the basis with the damping undone, scaled as [`super::Factors`] wants its table.
    pub fn table(&self) -> Array2<f64> {
        let damping: Array1<f64> = self.projection.damping.iter().map(|&w| f64::from(w)).collect();
        self.projection.basis.mapv(f64::from) / &damping.insert_axis(Axis(1))
    }

    /// What devices need of it.
    pub fn device(&self) -> &Projection {
        &self.projection
    }
}

impl Projection {
    // The unit-length preference vector, one value an example.
    fn preferences(&self, examples: &[Example]) -> Vec<f32> {
        let mut values: Vec<f32> = examples.iter().map(|e| self.damping[e.track.row()] * e.confidence).collect();
        let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
        if norm > 0.0 {
            values.iter_mut().for_each(|v| *v /= norm);
        }
        values
    }
}

impl DeviceHalf for Subspace {
    fn layout(&self) -> Vec<BlockLayout> {
        self.projection.layout()
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        self.projection.contribute(device, rng)
    }
}

impl DeviceHalf for Projection {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("projections", self.basis.nrows(), self.basis.ncols(), 1.0).by_track()]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let preferences = self.preferences(device.examples);
        let d = self.basis.ncols();
        let mut projection = vec![0.0f32; d];
        for (example, &preference) in device.examples.iter().zip(&preferences) {
            for (sum, &q) in projection.iter_mut().zip(self.basis.row(example.track.row())) {
                *sum += preference * q;
            }
        }
        let rows = device.examples.iter().map(|e| e.track.0).collect();
        let mut values = Vec::with_capacity(preferences.len() * d);
        for preference in preferences {
            values.extend(projection.iter().map(|p| p * preference));
        }
        Statistics { blocks: vec![Block::Rows { rows, values }] }
    }
}

impl Workload for Subspace {
    fn apply(&mut self, mut sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        let mut rows =
            Array2::from_shape_vec(self.projection.basis.dim(), sum.swap_remove(0)).expect("the layout's shape");
        if deviations[0] > 0.0 {
            // In principal axes and relative to popularity, the rows of tracks in one bin look alike: shrink there.
            let (_, _, axes) = thin_svd(&rows);
            let scale = self.popularity.mapv(|p| p.max(1e-12)).insert_axis(Axis(1));
            let mut relative = matmul(rows.view(), axes.view()) / &scale;
            let variance = scale.mapv(|p| math::powi(deviations[0] / p, 2));
            let variance = variance.broadcast(relative.dim()).expect("one column to d").to_owned();
            shrink_rows(&mut relative, &variance, &self.prior);
            rows = relative * &scale;
        }
        let (basis, singular, _) = thin_svd(&rows);
        self.components = singular.iter().map(|s| s / devices.max(1.0)).collect();
        self.projection.basis = basis.mapv(|v| v as f32);
    }
}

fn orthonormal(columns: &Array2<f64>) -> Array2<f64> {
    thin_svd(columns).0
}

// The exponent: .3 beat .5 by two points of HR@10 on play counts (docs/decisions.md).
const DAMPING: f64 = 0.3;
// A typical weight is 1/12, so this turns weighted popularity back into plays, roughly; it only sets where damping starts.
const PLAYS_PER_WEIGHT: f64 = 12.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::linalg::gram;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn examples(tracks: &[u32]) -> Vec<Example> {
        tracks.iter().map(|&t| Example { track: TrackId(t), confidence: 1.0 }).collect()
    }

    fn workload(d: usize) -> Subspace {
        let popularity =
            PopularityEstimate { tracks: (1..=30).map(f64::from).collect(), total_weight: 5.0, devices: 40.0 };
        let content = Array2::zeros((30, 0));
        let prior = Prior::new(&popularity.tracks, &content);
        Subspace::new(&popularity, &content, prior, d, &mut ChaCha8Rng::seed_from_u64(3))
    }

    #[test]
    fn every_contribution_has_norm_at_most_one() {
        let workload = workload(4);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for tracks in [vec![], vec![3], (0..30).collect::<Vec<u32>>()] {
            let mut workspace = Workspace::default();
            let device = Device { examples: &examples(&tracks), ..workspace.device() };
            let statistics = workload.contribute(device, &mut rng);
            let norm: f32 = statistics.blocks[0].values().iter().map(|v| v * v).sum();
            assert!(norm <= 1.0 + 1e-5, "{norm}");
        }
    }

    #[test]
    fn without_noise_it_finds_the_leading_subspace() {
        let mut workload = workload(3);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let listeners: Vec<Vec<Example>> = (0..40u32)
            .map(|u| examples(&(0..30).filter(|t| (t + u) % 7 < 2 || t % 3 == u % 3).collect::<Vec<_>>()))
            .collect();
        let mut moments = Array2::<f64>::zeros((30, 30));
        for listener in &listeners {
            let a = workload.projection.preferences(listener);
            for (x, &ax) in listener.iter().zip(&a) {
                for (y, &ay) in listener.iter().zip(&a) {
                    moments[(x.track.row(), y.track.row())] += f64::from(ax * ay);
                }
            }
        }
        for _ in 0..200 {
            let mut sum = vec![0.0; 90];
            for listener in &listeners {
                let mut workspace = Workspace::default();
                let device = Device { examples: listener, ..workspace.device() };
                let statistics = workload.contribute(device, &mut rng);
                for (row, values) in listener.iter().zip(statistics.blocks[0].values().chunks_exact(3)) {
                    let start = row.track.row() * 3;
                    sum[start..start + 3].iter_mut().zip(values).for_each(|(s, &v)| *s += f64::from(v));
                }
            }
            workload.apply(vec![sum], &[0.0], 40.0);
        }
        let (_, truth) = crate::linalg::symmetric_eigen(&moments);
        let overlap = workload.projection.basis.mapv(f64::from).t().dot(&truth.slice_axis(Axis(1), Slice::from(..3)));
        let (cosines, _) = crate::linalg::symmetric_eigen(&gram(overlap.view()));
        assert!(cosines.iter().all(|c| (c - 1.0).abs() < 1e-4), "{cosines}");
    }
}
