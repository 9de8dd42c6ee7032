//! Scores of many listeners at once, for whoever evaluates: the same bits as [`EmbeddingModel::score`], track by track in
//! vector instructions instead of one dot product after the other.

use super::EmbeddingModel;

/// An embedding's table by dimension (dimensions x tracks).
#[derive(Clone, Debug)]
pub struct TransposedTable {
    values: Vec<f32>,
    tracks: usize,
}

impl TransposedTable {
    /// Of a model.
    pub fn new(model: &EmbeddingModel) -> Self {
        let values = model.table().t().iter().copied().collect();
        Self { values, tracks: model.tracks() }
    }

    /// Writes x.y_i for each track i of the table, for a listener's vector `x` of as many dimensions.
    ///
    /// The order of additions is [`crate::linalg::dot_f32`]'s, which is what devices rank by.
    pub fn score(&self, x: &[f32], scores: &mut Vec<f32>) {
        scores.clear();
        scores.resize(self.tracks, 0.0);
        if self.tracks == 0 {
            return;
        }
        assert_eq!(x.len() * self.tracks, self.values.len(), "the vector has the table's dimensions");
        let whole = x.len() - x.len() % LANES;
        let mut lane_sums = [0.0f32; TILE];
        for (tile, out) in scores.chunks_mut(TILE).enumerate() {
            let lane_sums = &mut lane_sums[..out.len()];
            let from = tile * TILE;
            let add = |k: usize, sums: &mut [f32]| {
                let line = &self.values[k * self.tracks + from..][..sums.len()];
                sums.iter_mut().zip(line).for_each(|(sum, y)| *sum += y * x[k]);
            };
            for lane in 0..LANES.min(whole) {
                lane_sums.fill(0.0);
                (lane..whole).step_by(LANES).for_each(|k| add(k, lane_sums));
                out.iter_mut().zip(&*lane_sums).for_each(|(out, sum)| *out += sum);
            }
            lane_sums.fill(0.0);
            (whole..x.len()).for_each(|k| add(k, lane_sums));
            out.iter_mut().zip(&*lane_sums).for_each(|(out, sum)| *out += sum);
        }
    }
}

// Of `dot_f32`.
const LANES: usize = 16;
// Tracks at a time: their sums stay in the first cache.
const TILE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::dot_f32;
    use crate::model::Hyperparameters;
    use crate::random::unit_f64;
    use ndarray::Array2;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn scores_are_those_of_a_device_to_the_bit() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut value = || (unit_f64(&mut rng) - 0.5) as f32;
        for (tracks, d) in [(1, 1), (7, 15), (300, 16), (513, 17), (600, 32), (257, 50)] {
            let table = Array2::from_shape_fn((tracks, d), |_| value());
            let model = EmbeddingModel::new(table, vec![1.0; tracks], Hyperparameters::default());
            let x: Vec<f32> = (0..d).map(|_| value()).collect();
            let mut scores = Vec::new();
            TransposedTable::new(&model).score(&x, &mut scores);
            let expected: Vec<u32> = (0..tracks).map(|t| dot_f32(model.row(t), &x).to_bits()).collect();
            assert_eq!(scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>(), expected, "{tracks} x {d}");
        }
    }
}
