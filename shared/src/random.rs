//! Small draws from a generator that the caller owns.
//!
//! The generator is always a parameter. Devices pass one that the operating system keys; the simulator and the tests
//! pass seeded ones.

use rand_core::Rng;

/// A number in [0, 1) with 53 random bits.
pub fn unit_f64(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A whole number below `bound`, without bias (Lemire 2019). `bound` must be positive.
pub fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    assert!(bound > 0, "an empty range has no member to draw");
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

/// Draws `count` distinct numbers below `bound`, in the order drawn (a partial Fisher-Yates shuffle kept in a map).
pub fn distinct_below(rng: &mut impl Rng, bound: usize, count: usize) -> Vec<usize> {
    let count = count.min(bound);
    let mut moved = std::collections::BTreeMap::new();
    (0..count)
        .map(|i| {
            let j = i + below(rng, (bound - i) as u64) as usize;
            let chosen = moved.get(&j).copied().unwrap_or(j);
            let displaced = moved.get(&i).copied().unwrap_or(i);
            moved.insert(j, displaced);
            chosen
        })
        .collect()
}

/// A well-mixed 64-bit hash of `(seed, stream, index)`: SplitMix64's finaliser over the parts (Steele et al. 2014).
///
/// For bucketing and for seeds of simulated streams; not a cryptographic hash.
pub fn mix(seed: u64, stream: u64, index: u64) -> u64 {
    let mut z = seed;
    for part in [stream, index] {
        z = finalise(z ^ finalise(part.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    }
    z
}

fn finalise(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn distinct_draws_are_distinct_and_cover() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for bound in [1usize, 2, 7, 50] {
            let mut all = distinct_below(&mut rng, bound, bound);
            all.sort_unstable();
            assert_eq!(all, (0..bound).collect::<Vec<_>>());
        }
        assert_eq!(distinct_below(&mut rng, 1000, 99).len(), 99);
    }

    #[test]
    fn below_is_even() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut counts = [0u32; 6];
        for _ in 0..60_000 {
            counts[below(&mut rng, 6) as usize] += 1;
        }
        let chi_square: f64 = counts.iter().map(|&c| math::powi(f64::from(c) - 10_000.0, 2) / 10_000.0).sum();
        assert!(chi_square < 30.0, "5 degrees of freedom, p = 1e-5: {chi_square}");
    }

    #[test]
    fn mix_separates_streams() {
        let values: std::collections::BTreeSet<u64> =
            (0..100).flat_map(|s| (0..100).map(move |i| mix(7, s, i))).collect();
        assert_eq!(values.len(), 10_000);
    }
}
