//! Scores of many listeners against one table: the products of [`Model::score`], to the bit, several tracks at a time.
//!
//! A device has one listener and a table as it was sent; a simulation has thousands, and can afford to lay the table out
//! otherwise. The arithmetic is the device's (`dot_f32`: sixteen running sums over the dimensions, added in order, then
//! what is left over), so the figures are those of the devices' own rankings. Here the lanes of a vector instruction are
//! tracks instead of dimensions, and nothing has to be added up across lanes.

use super::Scorer;
use ndarray::ArrayView2;
use sordino_shared::model::{EmbeddingModel, Example, Model, Solver};
use std::ops::{AddAssign, Mul};

/// A table that lies by dimension, tracks side by side. `N` tracks are scored together, and products are added in the
/// order of `N` running sums.
pub(super) struct Columns<T, const N: usize> {
    // dimensions x tracks, the tracks filled up to whole blocks.
    values: Vec<T>,
    tracks: usize,
    stride: usize,
    dimensions: usize,
}

/// Products with the bits of `dot_f32`.
pub(super) type Narrow = Columns<f32, 16>;
/// Products with the bits of `dot`.
pub(super) type Wide = Columns<f64, 8>;

impl<T: Copy + Default + AddAssign + Mul<Output = T>, const N: usize> Columns<T, N> {
    /// Of a table of tracks x dimensions.
    pub(super) fn new(table: ArrayView2<'_, T>) -> Self {
        let (tracks, dimensions) = table.dim();
        let stride = tracks.next_multiple_of(N);
        let mut values = vec![T::default(); stride * dimensions];
        for (track, row) in table.outer_iter().enumerate() {
            row.iter().enumerate().for_each(|(k, &value)| values[k * stride + track] = value);
        }
        Self { values, tracks, stride, dimensions }
    }

    /// Writes x.y for each track y, as `narrow` makes a score of it.
    pub(super) fn score(&self, x: &[T], scores: &mut Vec<f32>, narrow: impl Fn(T) -> f32 + Copy) {
        assert_eq!(x.len(), self.dimensions, "a vector of the table's dimensions");
        scores.clear();
        let whole = self.dimensions - self.dimensions % N;
        for block in 0..self.stride / N {
            let mut total = [T::default(); N];
            for first in 0..N.min(whole) {
                let mut sum = [T::default(); N];
                (first..whole).step_by(N).for_each(|k| self.add(block, k, x[k], &mut sum));
                (0..N).for_each(|lane| total[lane] += sum[lane]);
            }
            if whole < self.dimensions {
                let mut tail = [T::default(); N];
                (whole..self.dimensions).for_each(|k| self.add(block, k, x[k], &mut tail));
                (0..N).for_each(|lane| total[lane] += tail[lane]);
            }
            scores.extend(total.map(narrow));
        }
        scores.truncate(self.tracks);
    }

    #[inline(always)]
    fn add(&self, block: usize, dimension: usize, factor: T, sum: &mut [T; N]) {
        let start = dimension * self.stride + block * N;
        let column: &[T; N] = self.values[start..start + N].try_into().expect("a block of tracks");
        (0..N).for_each(|lane| sum[lane] += factor * column[lane]);
    }
}

/// A model that scores many listeners.
pub(super) struct Many<'a> {
    model: &'a EmbeddingModel,
    columns: Narrow,
}

impl<'a> Many<'a> {
    /// Of a model; `None` where popularity is all there is.
    pub(super) fn of(model: &'a Model) -> Option<Self> {
        match model {
            Model::Popularity(_) => None,
            Model::Embedding(model) => Some(Self { model, columns: Narrow::new(model.table().view()) }),
        }
    }
}

impl Scorer for Many<'_> {
    fn score(&self, _listener: usize, history: &[Example], solver: &mut Solver, scores: &mut Vec<f32>) {
        let x = solver.solve(self.model, history);
        if x.iter().all(|&v| v == 0.0) {
            scores.clear();
            scores.extend_from_slice(self.model.popularity());
        } else {
            self.columns.score(x, scores, |score| score);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use sordino_shared::ids::TrackId;
    use sordino_shared::linalg::dot;
    use sordino_shared::model::Hyperparameters;
    use sordino_shared::random::unit_f64;

    fn bits(scores: &[f32]) -> Vec<u32> {
        scores.iter().map(|score| score.to_bits()).collect()
    }

    #[test]
    fn many_listeners_are_scored_as_one_is_on_its_device() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (tracks, dimensions) in [(1, 1), (37, 5), (64, 16), (100, 20), (333, 32), (50, 47)] {
            let table = Array2::from_shape_fn((tracks, dimensions), |_| (unit_f64(&mut rng) - 0.5) as f32);
            let popularity = (0..tracks).map(|track| track as f32).collect();
            let model = Model::Embedding(EmbeddingModel::new(table, popularity, Hyperparameters::default()));
            let many = Many::of(&model).expect("embeddings");
            let history = |n: usize| -> Vec<Example> {
                (0..n.min(tracks)).map(|t| Example { track: TrackId(t as u32), confidence: 1.0 + t as f32 }).collect()
            };
            let (mut solver, mut alone, mut together) = (Solver::default(), Vec::new(), Vec::new());
            for n in [0, 1, 7] {
                model.score(&history(n), &mut solver, &mut alone);
                many.score(0, &history(n), &mut solver, &mut together);
                assert_eq!(bits(&alone), bits(&together), "{tracks} tracks, {dimensions} dimensions, {n} examples");
            }
        }
        assert!(Many::of(&Model::Popularity(vec![1.0])).is_none());
    }

    #[test]
    fn the_central_factorisation_is_scored_by_the_same_products() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (tracks, dimensions) in [(1, 1), (37, 5), (64, 16), (333, 35)] {
            let table = Array2::from_shape_fn((tracks, dimensions), |_| unit_f64(&mut rng) - 0.5);
            let x: Vec<f64> = (0..dimensions).map(|_| unit_f64(&mut rng) - 0.5).collect();
            let plain: Vec<f32> =
                table.outer_iter().map(|y| dot(y.as_slice().expect("row order"), &x) as f32).collect();
            let mut scores = Vec::new();
            Wide::new(table.view()).score(&x, &mut scores, |score| score as f32);
            assert_eq!(bits(&plain), bits(&scores), "{tracks} tracks, {dimensions} dimensions");
        }
    }
}
