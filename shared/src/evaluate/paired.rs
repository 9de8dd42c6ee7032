//! Paired comparison of two methods over the same listeners.

use super::{Interval, bootstrap_mean};
use rand_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How much better one method is than another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// The mean difference over listeners with its interval.
    pub difference: Interval,
    /// The two-sided p of "no difference": how often as large a mean comes about where each listener's sign is thrown.
    pub p: f64,
}

/// Compares one value a listener of two methods, listener by listener, by a randomisation of signs (Fisher 1935).
///
/// # Panics
/// Where the methods were measured over different numbers of listeners.
pub fn paired(ours: &[f64], theirs: &[f64], rng: &mut impl Rng) -> Paired {
    assert_eq!(ours.len(), theirs.len(), "pairs need the same listeners");
    let differences: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
    let seen = differences.iter().sum::<f64>().abs();
    // What does not differ has no sign to throw.
    let different: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let words = different.len().div_ceil(64);
    let mut as_large = 0u32;
    let mut signs = vec![0u64; words * THROWS_AT_ONCE.min(THROWS as usize)];
    for first in (0..THROWS as usize).step_by(THROWS_AT_ONCE) {
        let throws = THROWS_AT_ONCE.min(THROWS as usize - first);
        // Drawn before any sum and in the order of throws, so threads change nothing.
        let drawn = &mut signs[..throws * words];
        drawn.iter_mut().for_each(|word| *word = rng.next_u64());
        as_large += (0..throws)
            .into_par_iter()
            .map(|throw| {
                let sum = signed_sum(&different, &drawn[throw * words..(throw + 1) * words]);
                u32::from(sum.abs() >= seen * (1.0 - 1e-12))
            })
            .sum::<u32>();
    }
    // The sign that came is one of those that could have come, so p is never 0.
    let p = f64::from(as_large + 1) / f64::from(THROWS + 1);
    Paired { difference: bootstrap_mean(&differences, rng), p }
}

// Each value with the sign that its bit gives it.
fn signed_sum(values: &[f64], signs: &[u64]) -> f64 {
    let mut sum = 0.0;
    for (chunk, &word) in values.chunks(64).zip(signs) {
        let mut word = word;
        for value in chunk {
            sum += if word & 1 == 1 { *value } else { -value };
            word >>= 1;
        }
    }
    sum
}

/// p of several comparisons made together (Holm 1979): the chance that any of them is called different where none is stays
/// below what each is held against.
pub fn holm(ps: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ps.len()).collect();
    order.sort_by(|&a, &b| ps[a].total_cmp(&ps[b]));
    let mut adjusted = vec![0.0; ps.len()];
    let mut least = 0.0f64;
    for (place, &at) in order.iter().enumerate() {
        least = least.max(((ps.len() - place) as f64 * ps[at]).min(1.0));
        adjusted[at] = least;
    }
    adjusted
}

const THROWS: u32 = 4999;
// What bounds the memory of signs: 64 throws of a million listeners are a megabyte.
const THROWS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn p_is_uniform_without_a_difference_and_small_with_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut below = 0;
        for _ in 0..200 {
            let a: Vec<f64> = (0..40).map(|_| unit_f64(&mut rng)).collect();
            let b: Vec<f64> = (0..40).map(|_| unit_f64(&mut rng)).collect();
            below += u32::from(paired(&a, &b, &mut rng).p < 0.1);
        }
        // 20 expected, deviation 4.2.
        assert!((6..=34).contains(&below), "{below}");
        let a: Vec<f64> = (0..40).map(|_| unit_f64(&mut rng)).collect();
        let better: Vec<f64> = a.iter().map(|v| v + 0.1).collect();
        let paired_ = paired(&better, &a, &mut rng);
        assert!(paired_.p < 0.001 && (paired_.difference.mean - 0.1).abs() < 1e-9);
        assert_eq!(paired(&a, &a, &mut rng).p, 1.0);
    }

    #[test]
    fn threads_change_no_p() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let a: Vec<f64> = (0..300).map(|_| unit_f64(&mut rng)).collect();
        let b: Vec<f64> = (0..300).map(|_| unit_f64(&mut rng)).collect();
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| paired(&a, &b, &mut ChaCha8Rng::seed_from_u64(7)))
        };
        assert_eq!(on(1), on(7));
    }

    #[test]
    fn three_listeners_cannot_prove_anything() {
        let p = paired(&[1.0, 1.0, 1.0], &[0.0; 3], &mut ChaCha8Rng::seed_from_u64(1)).p;
        // Two of eight throws are as large.
        assert!((p - 0.25).abs() < 0.03, "{p}");
    }

    // The textbook example: .01, .02, .03 times 3, 2, 1.
    #[test]
    fn holm_by_hand() {
        let adjusted = holm(&[0.02, 0.01, 0.03, 0.9]);
        let expected = [0.06, 0.04, 0.06, 0.9];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{adjusted:?}");
    }
}
