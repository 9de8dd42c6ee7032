//! Shamir's secret sharing over the scalar field of Curve25519 (docs/protocol.md, section 5).
//!
//! Coefficients are uniform, zero included: leaving a value out would make fewer than t shares tell something
//! (RUSTSEC-2024-0398). The point of a share is its slot plus one, which follows from the graph and never from a message.

use curve25519_dalek::Scalar;
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret's polynomial; wiped on drop, prints nothing.
pub(crate) struct Polynomial {
    // The secret first.
    coefficients: Vec<Scalar>,
}

/// Shares were too few, on equal points or no field elements.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("shares must be field elements at distinct points")]
pub(crate) struct BadShares;

impl Polynomial {
    /// A polynomial of degree `threshold - 1` through the secret, its other coefficients uniform.
    pub(crate) fn new(secret: &Scalar, threshold: u32, rng: &mut impl CryptoRng) -> Self {
        // In one allocation: a vector that grows would leave copies behind.
        let mut coefficients = Vec::with_capacity(threshold as usize);
        coefficients.push(*secret);
        coefficients.extend((1..threshold).map(|_| uniform(rng)));
        Self { coefficients }
    }

    /// The share of `slot`, at the point slot + 1.
    pub(crate) fn share(&self, slot: usize) -> Zeroizing<[u8; 32]> {
        let x = Scalar::from(slot as u64 + 1);
        let mut value = self.coefficients.iter().rev().fold(Scalar::ZERO, |sum, c| sum * x + c);
        let bytes = Zeroizing::new(value.to_bytes());
        value.zeroize();
        bytes
    }
}

impl Drop for Polynomial {
    fn drop(&mut self) {
        self.coefficients.zeroize();
    }
}

impl ZeroizeOnDrop for Polynomial {}

/// A uniform scalar from 64 random bytes.
pub(crate) fn uniform(rng: &mut impl CryptoRng) -> Scalar {
    let mut bytes = Zeroizing::new([0u8; 64]);
    rng.fill_bytes(bytes.as_mut_slice());
    Scalar::from_bytes_mod_order_wide(&bytes)
}

/// The secret through shares at the points slot + 1: Lagrange's formula at 0.
///
/// Points are small whole numbers, so products of their differences are gathered in machine words before they are
/// multiplied in the field: t^2 / 6 multiplications in place of t^2.
pub(crate) fn combine<'a>(
    shares: impl Iterator<Item = (usize, &'a [u8; 32])>,
) -> Result<Zeroizing<[u8; 32]>, BadShares> {
    let mut points = Vec::new();
    let mut values = Vec::new();
    for (slot, bytes) in shares {
        points.push(slot as i64 + 1);
        values.push(Option::<Scalar>::from(Scalar::from_canonical_bytes(*bytes)).ok_or(BadShares)?);
    }
    if values.is_empty() || points.iter().any(|&point| point > MOST_POINTS) {
        return Err(BadShares);
    }
    // weight_j = P / (x_j prod (x_m - x_j)), P the product of all points.
    let mut denominators: Vec<Scalar> = Vec::with_capacity(points.len());
    for (j, &own) in points.iter().enumerate() {
        let others = points.iter().enumerate().filter(|&(m, _)| m != j).map(|(_, &other)| other - own);
        denominators.push(product(std::iter::once(own).chain(others)).ok_or(BadShares)?);
    }
    let all = product(points.iter().copied()).ok_or(BadShares)?;
    Scalar::invert_batch_alloc(&mut denominators);
    let mut secret = all * values.iter().zip(&denominators).map(|(value, weight)| value * weight).sum::<Scalar>();
    let bytes = Zeroizing::new(secret.to_bytes());
    secret.zeroize();
    values.zeroize();
    Ok(bytes)
}

/// The product of small whole numbers; `None` if one is zero.
fn product(factors: impl Iterator<Item = i64>) -> Option<Scalar> {
    let (mut result, mut word, mut negative, mut held) = (Scalar::ONE, 1u128, false, 0);
    for factor in factors {
        if factor == 0 {
            return None;
        }
        negative ^= factor < 0;
        word *= u128::from(factor.unsigned_abs());
        held += 1;
        if held == WORD_FACTORS {
            result *= Scalar::from(word);
            (word, held) = (1, 0);
        }
    }
    result *= Scalar::from(word);
    Some(if negative { -result } else { result })
}

// 2^21 points are more than any cohort has neighbours; six of them fit 126 bits.
const MOST_POINTS: i64 = 1 << 21;
const WORD_FACTORS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    fn shares(secret: &Scalar, k: usize, t: u32, rng: &mut ChaCha20Rng) -> Vec<[u8; 32]> {
        let polynomial = Polynomial::new(secret, t, rng);
        (0..k).map(|slot| *polynomial.share(slot)).collect()
    }

    proptest! {
        #[test]
        fn any_t_shares_give_the_secret(k in 1usize..160, seed in any::<u64>()) {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let t = 1 + (rng.next_u64() as usize % k);
            let secret = uniform(&mut rng);
            let all = shares(&secret, k, t as u32, &mut rng);
            let chosen = crate::random::distinct_below(&mut rng, k, t);
            let got = combine(chosen.iter().map(|&slot| (slot, &all[slot]))).expect("good shares");
            prop_assert_eq!(*got, secret.to_bytes());
            let fewer = combine(chosen[1..].iter().map(|&slot| (slot, &all[slot])));
            prop_assert!(fewer.is_err() || *fewer.expect("a value") != secret.to_bytes());
        }
    }

    // Whatever the secret: t - 1 shares and any candidate for the secret have exactly one polynomial through them, and
    // what is drawn is that polynomial's coefficients, uniformly. Seen from outside: the bytes of t - 1 shares are even.
    #[test]
    fn fewer_than_t_shares_are_uniform() {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        for secret in [Scalar::ZERO, Scalar::ONE, -Scalar::ONE] {
            let mut counts = [[0u32; 256]; 4];
            for _ in 0..8192 {
                let all = shares(&secret, 5, 4, &mut rng);
                // The low byte of three shares, and of a combination of them that would show a missing value.
                let sum: u8 = all[..3].iter().fold(0, |sum, share| sum ^ share[0]);
                for (count, byte) in counts.iter_mut().zip([all[0][0], all[1][7], all[2][15], sum]) {
                    count[byte as usize] += 1;
                }
            }
            for count in counts {
                let chi: f64 = count.iter().map(|&c| math::powi(f64::from(c) - 32.0, 2) / 32.0).sum();
                // 255 degrees of freedom: 400 is beyond 1e-7.
                assert!(chi < 400.0, "{chi}");
            }
        }
    }

    // In a field of 2^252 no test could see zero left out; that coefficients come from `uniform` alone can be seen.
    #[test]
    fn a_coefficient_may_be_zero() {
        struct Zeros;
        impl rand_core::TryRng for Zeros {
            type Error = core::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(0)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(0)
            }
            fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
                bytes.fill(0);
                Ok(())
            }
        }
        impl rand_core::TryCryptoRng for Zeros {}
        let polynomial = Polynomial::new(&Scalar::from(7u64), 4, &mut Zeros);
        assert_eq!(*polynomial.share(2), Scalar::from(7u64).to_bytes());
    }

    #[test]
    fn bad_shares_are_refused() {
        let share = Scalar::from(9u64).to_bytes();
        assert_eq!(combine([(1, &share), (1, &share)].into_iter()).err(), Some(BadShares));
        assert_eq!(combine([(0, &[0xff; 32])].into_iter()).err(), Some(BadShares));
        assert_eq!(combine(std::iter::empty()).err(), Some(BadShares));
    }
}
