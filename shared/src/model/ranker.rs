//! The ranker: a small network from a track's named features to the log-odds that it will please, now.
//!
//! Fully connected layers with tanh between them and one output; without hidden layers it is logistic regression.
//! Gradients are written out by hand and checked against finite differences.

use super::Inputs;
use crate::bytes::{self, Reader, put_f32s};
use crate::ids::TrackId;
use crate::math;
use crate::random::unit_f64;
use rand_core::Rng;

/// A track that was put before a listener, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The track.
    pub track: TrackId,
    /// What was known when it was shown; as many as the ranker has inputs.
    pub features: Inputs,
    /// Whether it pleased.
    pub pleased: bool,
    /// How much it counts: 1, or the inverse of the chance with which its place is looked at.
    pub weight: f32,
    /// The list that it stood in; tracks of one list are compared with each other. Lists follow each other in order.
    pub list: u32,
}

/// A network over features.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranker {
    // Widths from the inputs to the one output.
    widths: Vec<usize>,
    // Layer by layer: weights (outputs x inputs), then biases.
    parameters: Vec<f32>,
}

/// Room for one forward and backward pass.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    // Each layer's outputs, the inputs first.
    values: Vec<Vec<f32>>,
    slopes: Vec<f32>,
    below: Vec<f32>,
}

impl Ranker {
    /// A network with these hidden widths. Weights are drawn evenly from +-sqrt(6 / (inputs + outputs)) of their layer
    /// (Glorot and Bengio 2010), the last layer's and all biases are 0: it starts out indifferent.
    ///
    /// # Panics
    /// For a width of 0.
    pub fn new(inputs: usize, hidden: &[usize], rng: &mut impl Rng) -> Self {
        let widths: Vec<usize> = [inputs].iter().chain(hidden).chain(&[1]).copied().collect();
        assert!(widths.iter().all(|&width| width > 0), "every layer has at least one unit");
        let mut parameters = Vec::with_capacity(count(&widths));
        for (layer, pair) in widths.windows(2).enumerate() {
            let (ins, outs) = (pair[0], pair[1]);
            let bound = (6.0 / (ins + outs) as f64).sqrt();
            let last = layer + 2 == widths.len();
            parameters
                .extend((0..ins * outs).map(|_| if last { 0.0 } else { ((unit_f64(rng) * 2.0 - 1.0) * bound) as f32 }));
            parameters.extend(std::iter::repeat_n(0.0, outs));
        }
        Self { widths, parameters }
    }

    /// The number of features.
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    /// Widths from the inputs to the one output.
    pub(super) fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// All weights and biases.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// All weights and biases, to be moved.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.parameters
    }

    /// The log-odds that a track with these features pleases.
    pub fn score(&self, features: &[f32], pass: &mut Pass) -> f32 {
        assert_eq!(features.len(), self.inputs(), "one value for each input");
        pass.values.resize(self.widths.len(), Vec::new());
        pass.values[0].clear();
        pass.values[0].extend_from_slice(features);
        let mut at = 0;
        for (layer, pair) in self.widths.windows(2).enumerate() {
            let (ins, outs) = (pair[0], pair[1]);
            let (weights, biases) = self.parameters[at..at + (ins + 1) * outs].split_at(ins * outs);
            let (before, after) = pass.values.split_at_mut(layer + 1);
            let (input, output) = (&before[layer], &mut after[0]);
            output.clear();
            output.extend(weights.chunks_exact(ins).zip(biases).map(|(row, bias)| {
                let sum = bias + row.iter().zip(input).map(|(w, v)| w * v).sum::<f32>();
                if layer + 2 == self.widths.len() { sum } else { math::tanh_f32(sum) }
            }));
            at += (ins + 1) * outs;
        }
        pass.values[self.widths.len() - 1][0]
    }

    /// Adds `slope` times the gradient of the score last computed in `pass` to `gradient` (one value a parameter).
    pub fn add_gradient(&self, slope: f32, pass: &mut Pass, gradient: &mut [f32]) {
        let Pass { values, slopes, below } = pass;
        slopes.clear();
        slopes.push(slope);
        let mut end = self.parameters.len();
        for (layer, pair) in self.widths.windows(2).enumerate().rev() {
            let (ins, outs) = (pair[0], pair[1]);
            let start = end - (ins + 1) * outs;
            let weights = &self.parameters[start..start + ins * outs];
            let (to_weights, to_biases) = gradient[start..end].split_at_mut(ins * outs);
            below.clear();
            below.resize(ins, 0.0);
            for (unit, &slope) in slopes.iter().enumerate() {
                to_biases[unit] += slope;
                let row = unit * ins..(unit + 1) * ins;
                for ((to, back), (value, weight)) in to_weights[row.clone()]
                    .iter_mut()
                    .zip(below.iter_mut())
                    .zip(values[layer].iter().zip(&weights[row]))
                {
                    *to += slope * value;
                    *back += slope * weight;
                }
            }
            if layer > 0 {
                // tanh' = 1 - tanh^2.
                below.iter_mut().zip(&values[layer]).for_each(|(back, value)| *back *= 1.0 - value * value);
            }
            std::mem::swap(slopes, below);
            end = start;
        }
    }

    /// The ranker's bytes: its name, layers and their widths as u64, then the parameters as f32, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = NAME.to_vec();
        bytes.extend_from_slice(&(self.widths.len() as u64).to_le_bytes());
        self.widths.iter().for_each(|&width| bytes.extend_from_slice(&(width as u64).to_le_bytes()));
        put_f32s(&mut bytes, &self.parameters);
        bytes
    }

    /// From [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`bytes::Error`] where the bytes are cut, too many, no finite numbers, or of a network beyond all use.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::new(bytes, NAME)?;
        let layers = reader.number()?;
        if !(2..=MOST_LAYERS).contains(&layers) {
            return Err(bytes::Error::Number);
        }
        let widths = (0..layers).map(|_| reader.number()).collect::<Result<Vec<usize>, _>>()?;
        if widths[layers - 1] != 1 || widths.iter().any(|width| !(1..=MOST_WIDTH).contains(width)) {
            return Err(bytes::Error::Number);
        }
        let parameters = reader.f32s(count(&widths))?;
        reader.end()?;
        Ok(Self { widths, parameters })
    }
}

fn count(widths: &[usize]) -> usize {
    widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
}

/// `1 / (1 + exp(-z))`.
pub fn logistic(z: f32) -> f32 {
    math::logistic_f32(z)
}

const NAME: &[u8; 8] = b"SORDRAN1";
const MOST_LAYERS: usize = 8;
const MOST_WIDTH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn random(hidden: &[usize], seed: u64) -> (Ranker, Vec<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut ranker = Ranker::new(5, hidden, &mut rng);
        ranker.parameters_mut().iter_mut().for_each(|p| *p = unit_f64(&mut rng) as f32 - 0.5);
        let features = (0..5).map(|_| unit_f64(&mut rng) as f32 * 2.0 - 1.0).collect();
        (ranker, features)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for hidden in [&[][..], &[7], &[6, 4]] {
            let (ranker, features) = random(hidden, 3);
            let mut pass = Pass::default();
            ranker.score(&features, &mut pass);
            let mut gradient = vec![0.0; ranker.parameters().len()];
            ranker.add_gradient(2.0, &mut pass, &mut gradient);
            for (at, &found) in gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut other = ranker.clone();
                    other.parameters_mut()[at] += by;
                    f64::from(other.score(&features, &mut Pass::default()))
                };
                let expected = 2.0 * (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((f64::from(found) - expected).abs() < 1e-3, "{hidden:?} {at}: {found} and {expected}");
            }
        }
    }

    #[test]
    fn gradients_add_up_and_a_new_ranker_is_indifferent() {
        let (ranker, features) = random(&[3], 4);
        let mut pass = Pass::default();
        let (mut once, mut twice) = (vec![0.0; 22], vec![0.0; 22]);
        ranker.score(&features, &mut pass);
        ranker.add_gradient(3.0, &mut pass, &mut once);
        for slope in [1.0, 2.0] {
            ranker.score(&features, &mut pass);
            ranker.add_gradient(slope, &mut pass, &mut twice);
        }
        assert!(once.iter().zip(&twice).all(|(a, b)| (a - b).abs() < 1e-5));
        let fresh = Ranker::new(5, &[3], &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(fresh.score(&features, &mut pass), 0.0);
        assert_eq!(logistic(0.0), 0.5);
    }

    #[test]
    fn bytes_come_back_whole_or_not_at_all() {
        let (ranker, _) = random(&[6, 4], 5);
        let bytes = ranker.to_bytes();
        assert_eq!(Ranker::from_bytes(&bytes).expect("its own"), ranker);
        for end in 0..bytes.len() {
            assert!(Ranker::from_bytes(&bytes[..end]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Ranker::from_bytes(&longer).is_err());
        let mut endless = bytes;
        endless[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Ranker::from_bytes(&endless).is_err());
    }
}
