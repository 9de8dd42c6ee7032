//! A ranker laid out for many tracks at once: forward and backward over blocks of rows.
//!
//! Sums go over inputs in their order, then over rows in theirs, four rows and eight units at a time, so that compilers
//! turn them into vector instructions and weights are read once for four rows. A choice of one among many inputs costs
//! one row of weights, not a product with zeros.

use super::{Inputs, Ranker};
use crate::linalg::dot_f32;
use crate::math::tanh_slice;

/// A ranker's weights, input by input.
#[derive(Clone, Debug)]
pub struct Network {
    hidden: Vec<Layer>,
    // The one output's weights, and its bias.
    last: Vec<f32>,
    bias: f32,
}

// Hidden units are padded to whole tiles by units that are always 0.
#[derive(Clone, Debug)]
struct Layer {
    ins: usize,
    outs: usize,
    padded: usize,
    // ins x padded.
    weights: Vec<f32>,
    biases: Vec<f32>,
}

/// Room for a block of tracks.
#[derive(Clone, Debug, Default)]
pub struct Block {
    rows: usize,
    dense: usize,
    // Dense inputs, and the input of the choice that is 1.
    inputs: Vec<f32>,
    marks: Vec<Option<usize>>,
    // Each hidden layer's outputs, rows x padded.
    values: Vec<Vec<f32>>,
    scores: Vec<f32>,
    slopes: Vec<f32>,
    below: Vec<f32>,
    // The gradient of a layer's weights, ins x padded.
    gradient: Vec<f32>,
}

impl Network {
    /// Of a ranker.
    pub fn new(ranker: &Ranker) -> Self {
        let (widths, parameters) = (ranker.widths(), ranker.parameters());
        let (mut at, mut hidden) = (0, Vec::new());
        for pair in widths[..widths.len() - 1].windows(2) {
            let (ins, outs) = (pair[0], pair[1]);
            let padded = outs.next_multiple_of(TILE);
            let mut layer = Layer { ins, outs, padded, weights: vec![0.0; ins * padded], biases: vec![0.0; padded] };
            for (unit, row) in parameters[at..at + ins * outs].chunks_exact(ins).enumerate() {
                row.iter().enumerate().for_each(|(input, &w)| layer.weights[input * padded + unit] = w);
            }
            layer.biases[..outs].copy_from_slice(&parameters[at + ins * outs..][..outs]);
            at += (ins + 1) * outs;
            hidden.push(layer);
        }
        let ins = widths[widths.len() - 2];
        Self { hidden, last: parameters[at..at + ins].to_vec(), bias: parameters[at + ins] }
    }

    /// The log-odds that tracks please, in their order.
    ///
    /// # Panics
    /// Where tracks have another number of inputs than the ranker, or differ in how many are dense.
    pub fn scores<'a>(&self, tracks: impl Iterator<Item = &'a Inputs>, block: &'a mut Block) -> &'a [f32] {
        block.read(tracks, self.inputs());
        let rows = block.rows;
        block.values.resize(self.hidden.len(), Vec::new());
        for (at, layer) in self.hidden.iter().enumerate() {
            let (before, after) = block.values.split_at_mut(at);
            let output = &mut after[0];
            output.clear();
            output.resize(rows * layer.padded, 0.0);
            match before.last() {
                None => {
                    layer.forward(&block.inputs, block.dense, output);
                    for (row, mark) in output.chunks_exact_mut(layer.padded).zip(&block.marks) {
                        if let Some(mark) = mark {
                            let weights = &layer.weights[mark * layer.padded..][..layer.padded];
                            row.iter_mut().zip(weights).for_each(|(sum, w)| *sum += w);
                        }
                    }
                }
                Some(input) => layer.forward(input, self.hidden[at - 1].padded, output),
            }
            tanh_slice(output);
        }
        block.scores.clear();
        match block.values.last() {
            Some(values) => {
                let padded = self.hidden[self.hidden.len() - 1].padded;
                let scores =
                    values.chunks_exact(padded).map(|row| self.bias + dot_f32(&self.last, &row[..self.last.len()]));
                block.scores.extend(scores);
            }
            None => {
                let dense = &self.last[..block.dense];
                let marked = |mark: &Option<usize>| mark.map_or(0.0, |mark| self.last[mark]);
                for (row, mark) in (0..rows).zip(&block.marks) {
                    let input = &block.inputs[row * block.dense..][..block.dense];
                    block.scores.push(self.bias + dot_f32(dense, input) + marked(mark));
                }
            }
        }
        &block.scores
    }

    /// Adds the gradient of the scores last computed in `block`, each times its slope, to `gradient` (one value a parameter
    /// of the ranker, in its order).
    pub fn add_gradient(&self, slopes: &[f32], block: &mut Block, gradient: &mut [f32]) {
        assert_eq!(slopes.len(), block.rows, "one slope for each track");
        let (rest, of_last) = gradient.split_at_mut(gradient.len() - self.last.len() - 1);
        let (to_last, to_bias) = of_last.split_at_mut(self.last.len());
        to_bias[0] += slopes.iter().sum::<f32>();
        let Some(values) = block.values.last().filter(|_| !self.hidden.is_empty()) else {
            for (row, slope) in slopes.iter().enumerate() {
                let input = &block.inputs[row * block.dense..][..block.dense];
                to_last.iter_mut().zip(input).for_each(|(to, value)| *to += slope * value);
                if let Some(mark) = block.marks[row] {
                    to_last[mark] += slope;
                }
            }
            return;
        };
        let padded = self.hidden[self.hidden.len() - 1].padded;
        // Slopes of the last hidden layer's sums; tanh' = 1 - tanh^2.
        block.slopes.clear();
        for (row, &slope) in values.chunks_exact(padded).zip(slopes) {
            to_last.iter_mut().zip(row).for_each(|(to, value)| *to += slope * value);
            block.slopes.extend(self.last.iter().zip(row).map(|(w, value)| slope * w * (1.0 - value * value)));
            block.slopes.resize(block.slopes.len() + padded - self.last.len(), 0.0);
        }
        let mut end = rest.len();
        for (at, layer) in self.hidden.iter().enumerate().rev() {
            let start = end - (layer.ins + 1) * layer.outs;
            block.gradient.clear();
            block.gradient.resize(layer.ins * layer.padded, 0.0);
            if at == 0 {
                layer.backward(&block.inputs, block.dense, &block.slopes, &mut block.gradient);
                for (slopes, mark) in block.slopes.chunks_exact(layer.padded).zip(&block.marks) {
                    if let Some(mark) = mark {
                        let to = &mut block.gradient[mark * layer.padded..][..layer.padded];
                        to.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope);
                    }
                }
            } else {
                layer.backward(&block.values[at - 1], self.hidden[at - 1].padded, &block.slopes, &mut block.gradient);
            }
            layer.add_to(&block.gradient, &block.slopes, &mut rest[start..end]);
            if at > 0 {
                let (stride, values) = (self.hidden[at - 1].padded, &block.values[at - 1]);
                block.below.clear();
                for (slopes, row) in block.slopes.chunks_exact(layer.padded).zip(values.chunks_exact(stride)) {
                    let back = |(input, value): (usize, &f32)| {
                        let weights = layer.weights.get(input * layer.padded..(input + 1) * layer.padded);
                        weights.map_or(0.0, |weights| dot_f32(weights, slopes) * (1.0 - value * value))
                    };
                    block.below.extend(row.iter().enumerate().map(back));
                }
                std::mem::swap(&mut block.slopes, &mut block.below);
            }
            end = start;
        }
    }

    fn inputs(&self) -> usize {
        self.hidden.first().map_or(self.last.len(), |layer| layer.ins)
    }
}

impl Layer {
    // output = biases + input weights, of rows that are `stride` apart and may have fewer inputs than there are, or padding.
    fn forward(&self, input: &[f32], stride: usize, output: &mut [f32]) {
        let dense = stride.min(self.ins);
        let blocks = input.chunks_exact(stride.max(1) * ROWS);
        for (input, output) in blocks.zip(output.chunks_exact_mut(self.padded * ROWS)) {
            let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &input[row * stride..][..dense]);
            self.forward_rows(rows, output);
        }
        // Nothing dense: rows of no length cannot be counted in the input.
        let done = if stride == 0 { 0 } else { input.len() / (stride * ROWS) * ROWS };
        for (row, output) in output[done * self.padded..].chunks_exact_mut(self.padded).enumerate() {
            self.forward_rows([&input[(done + row) * stride..][..dense]], output);
        }
    }

    fn forward_rows<const N: usize>(&self, rows: [&[f32]; N], output: &mut [f32]) {
        for tile in (0..self.padded).step_by(TILE) {
            let mut sums = [[0.0f32; TILE]; N];
            sums.iter_mut().for_each(|sum| sum.copy_from_slice(&self.biases[tile..tile + TILE]));
            for (input, weights) in self.weights.chunks_exact(self.padded).take(rows[0].len()).enumerate() {
                let weights = &weights[tile..tile + TILE];
                for (sum, row) in sums.iter_mut().zip(&rows) {
                    let value = row[input];
                    sum.iter_mut().zip(weights).for_each(|(sum, w)| *sum += value * w);
                }
            }
            for (row, sum) in sums.iter().enumerate() {
                output[row * self.padded + tile..][..TILE].copy_from_slice(sum);
            }
        }
    }

    // gradient += input' slopes.
    fn backward(&self, input: &[f32], stride: usize, slopes: &[f32], gradient: &mut [f32]) {
        let (dense, rows) = (stride.min(self.ins), slopes.len() / self.padded);
        let mut row = 0;
        while row + ROWS <= rows {
            let inputs: [&[f32]; ROWS] = std::array::from_fn(|k| &input[(row + k) * stride..][..dense]);
            let slopes: [&[f32]; ROWS] = std::array::from_fn(|k| &slopes[(row + k) * self.padded..][..self.padded]);
            self.backward_rows(inputs, slopes, gradient);
            row += ROWS;
        }
        while row < rows {
            let slopes = &slopes[row * self.padded..][..self.padded];
            self.backward_rows([&input[row * stride..][..dense]], [slopes], gradient);
            row += 1;
        }
    }

    fn backward_rows<const N: usize>(&self, inputs: [&[f32]; N], slopes: [&[f32]; N], gradient: &mut [f32]) {
        for tile in (0..self.padded).step_by(TILE) {
            let mut own = [[0.0f32; TILE]; N];
            own.iter_mut().zip(&slopes).for_each(|(own, slopes)| own.copy_from_slice(&slopes[tile..tile + TILE]));
            for (input, to) in gradient.chunks_exact_mut(self.padded).take(inputs[0].len()).enumerate() {
                let mut sum = [0.0f32; TILE];
                for (slopes, row) in own.iter().zip(&inputs) {
                    let value = row[input];
                    sum.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += value * slope);
                }
                to[tile..tile + TILE].iter_mut().zip(&sum).for_each(|(to, sum)| *to += sum);
            }
        }
    }

    // To the ranker's own order: weights unit by unit, then biases.
    fn add_to(&self, gradient: &[f32], slopes: &[f32], to: &mut [f32]) {
        let (to_weights, to_biases) = to.split_at_mut(self.ins * self.outs);
        for (unit, row) in to_weights.chunks_exact_mut(self.ins).enumerate() {
            row.iter_mut().enumerate().for_each(|(input, to)| *to += gradient[input * self.padded + unit]);
        }
        for slopes in slopes.chunks_exact(self.padded) {
            to_biases.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope);
        }
    }
}

impl Block {
    fn read<'a>(&mut self, tracks: impl Iterator<Item = &'a Inputs>, width: usize) {
        (self.rows, self.dense) = (0, 0);
        self.inputs.clear();
        self.marks.clear();
        for track in tracks {
            assert_eq!(track.len(), width, "one value for each input");
            assert!(self.rows == 0 || self.dense == track.dense(), "rows of one block are alike");
            self.dense = track.dense();
            let start = self.inputs.len();
            self.inputs.resize(start + self.dense, 0.0);
            track.write(&mut self.inputs[start..]);
            self.marks.push(track.mark());
            self.rows += 1;
        }
    }
}

// Units that are summed together: two registers of four floats, which every target of 64 bits has.
const TILE: usize = 8;
// Rows that are summed together.
const ROWS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pass;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    // Against one track at a time, with and without a choice, for every remainder of rows and units.
    #[test]
    fn blocks_are_what_single_tracks_are() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for (hidden, dense) in [(vec![], 6), (vec![5], 6), (vec![16], 11), (vec![9, 8], 6), (vec![7, 3, 2], 0)] {
            let mut ranker = Ranker::new(11, &hidden, &mut rng);
            ranker.parameters_mut().iter_mut().for_each(|p| *p = unit_f64(&mut rng) as f32 - 0.5);
            let network = Network::new(&ranker);
            let mut block = Block::default();
            for rows in 0..11 {
                let tracks: Vec<Inputs> = (0..rows)
                    .map(|row| {
                        let mut values: Vec<f32> = (0..11).map(|_| unit_f64(&mut rng) as f32 * 4.0 - 2.0).collect();
                        values[dense..].fill(0.0);
                        if dense < 11 && row % 3 > 0 {
                            values[dense + row % (11 - dense)] = 1.0;
                        }
                        Inputs::new(&values, dense)
                    })
                    .collect();
                let slopes: Vec<f32> = (0..rows).map(|row| row as f32 - 3.5).collect();
                let mut pass = Pass::default();
                let mut expected = vec![0.0; ranker.parameters().len()];
                let mut gradient = expected.clone();
                let scores = network.scores(tracks.iter(), &mut block).to_vec();
                assert_eq!(scores.len(), rows);
                network.add_gradient(&slopes, &mut block, &mut gradient);
                for (track, (score, &slope)) in tracks.iter().zip(scores.iter().zip(&slopes)) {
                    let alone = ranker.score(&track.to_vec(), &mut pass);
                    assert!((alone - score).abs() < 1e-5, "{hidden:?}: {alone} and {score}");
                    ranker.add_gradient(slope, &mut pass, &mut expected);
                }
                for (a, b) in gradient.iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-4, "{hidden:?}, {rows} rows: {a} and {b}");
                }
            }
        }
    }
}
