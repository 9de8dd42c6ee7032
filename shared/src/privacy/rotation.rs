//! Randomised Hadamard rotation of one block, and its inverse.
//!
//! `y = H D x / sqrt(d)`: random signs D from a public seed, then the Walsh-Hadamard transform. An isometry, so clips,
//! sensitivities and noise are what they were; each value of y is near `|x| / sqrt(d)` whatever x was.

use crate::random::mix;
use core::ops::{Add, Mul, Sub};

/// Numbers that can be rotated: f32 on devices, f64 for decoded sums.
pub(super) trait Value: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// The nearest number of this kind.
    fn nearest(value: f64) -> Self;
}

impl Value for f32 {
    fn nearest(value: f64) -> Self {
        value as f32
    }
}

impl Value for f64 {
    fn nearest(value: f64) -> Self {
        value
    }
}

/// Rotates in place. The length must be a power of two.
pub(super) fn rotate<T: Value>(values: &mut [T], seed: u64) {
    flip_signs(values, seed);
    transform(values);
}

/// Undoes [`rotate`].
pub(super) fn rotate_back<T: Value>(values: &mut [T], seed: u64) {
    transform(values);
    flip_signs(values, seed);
}

fn flip_signs<T: Value>(values: &mut [T], seed: u64) {
    for (number, chunk) in values.chunks_mut(64).enumerate() {
        let bits = mix(seed, SIGN_STREAM, number as u64);
        for (i, value) in chunk.iter_mut().enumerate() {
            *value = *value * T::nearest(if bits >> i & 1 == 1 { -1.0 } else { 1.0 });
        }
    }
}

// The normalised fast Walsh-Hadamard transform: log2 d passes, two steps a pass over memory.
fn transform<T: Value>(values: &mut [T]) {
    let length = values.len();
    assert!(length.is_power_of_two(), "rotated blocks are padded to a power of two");
    // Passes inside a piece that fits the first cache run together, piece by piece.
    for piece in values.chunks_mut(PIECE) {
        passes(piece, 1);
    }
    passes(values, PIECE);
    let scale = T::nearest(1.0 / (length as f64).sqrt());
    values.iter_mut().for_each(|v| *v = *v * scale);
}

// All butterflies of width `first`, 2 `first`, ... below the slice's length.
fn passes<T: Value>(values: &mut [T], first: usize) {
    let mut width = first;
    while 2 * width < values.len() {
        for quad in values.chunks_exact_mut(4 * width) {
            let (ab, cd) = quad.split_at_mut(2 * width);
            let (a, b) = ab.split_at_mut(width);
            let (c, d) = cd.split_at_mut(width);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (ab, a_b) = (*a + *b, *a - *b);
                let (cd, c_d) = (*c + *d, *c - *d);
                (*a, *b, *c, *d) = (ab + cd, a_b + c_d, ab - cd, a_b - c_d);
            }
        }
        width *= 4;
    }
    if width < values.len() {
        for pair in values.chunks_exact_mut(2 * width) {
            let (a, b) = pair.split_at_mut(width);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
    }
}

const SIGN_STREAM: u64 = 77;
const PIECE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_isometry_that_can_be_undone_and_flattens() {
        for log_length in [0usize, 1, 2, 5, 10, 12, 13, 14, 17] {
            let length = 1 << log_length;
            let mut values = vec![0.0f64; length];
            values[length / 3] = 3.0;
            values[length - 1] += 1.0;
            let before: f64 = values.iter().map(|v| v * v).sum();
            let original = values.clone();
            rotate(&mut values, 9);
            let after: f64 = values.iter().map(|v| v * v).sum();
            assert!((after / before - 1.0).abs() < 1e-6, "{length}: {before} {after}");
            let largest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            assert!(largest <= 4.0 / (length as f64).sqrt() * 1.001, "{length}: {largest}");
            rotate_back(&mut values, 9);
            assert!(values.iter().zip(&original).all(|(a, b)| (a - b).abs() < 1e-6), "{length}");
        }
    }

    // By the definition: H[i][j] = (-1)^popcount(i & j).
    #[test]
    fn it_is_the_walsh_hadamard_transform() {
        let input: Vec<f32> = (0..32).map(|i| (i * i % 7) as f32 - 2.0).collect();
        let mut got = input.clone();
        transform(&mut got);
        for (i, value) in got.iter().enumerate() {
            let expected: f32 =
                input.iter().enumerate().map(|(j, x)| if (i & j).count_ones() % 2 == 1 { -x } else { *x }).sum();
            assert!((value - expected / 32f32.sqrt()).abs() < 1e-5);
        }
    }

    #[test]
    fn seeds_differ() {
        let mut one = vec![1.0f32; 256];
        let mut other = one.clone();
        rotate(&mut one, 1);
        rotate(&mut other, 2);
        assert_ne!(one, other);
    }
}
