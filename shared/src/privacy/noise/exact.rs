//! The discrete Gaussian drawn exactly, in machine words (Canonne, Kamath and Steinke 2020, algorithms 1 to 3).
//!
//! No floating point anywhere: the law is N_Z(0, variance) itself. For variances that change each round or are too wide
//! for a table.

use crate::random::below;
use rand_core::Rng;

/// Variances below this fit the 128-bit arithmetic: 2 variance t^2 k 2^32 with the few k that ever come up.
pub(super) const MOST_VARIANCE: u64 = 1 << 44;

/// One draw from N_Z(0, variance). The variance must be positive and below [`MOST_VARIANCE`].
pub(super) fn draw(variance: u64, rng: &mut impl Rng) -> i64 {
    let t = variance.isqrt() + 1;
    let denominator = 2 * u128::from(variance) * u128::from(t) * u128::from(t);
    loop {
        let (magnitude, negative) = laplace(t, rng);
        // Accept with probability exp(-(|y| t - variance)^2 / (2 variance t^2)).
        let difference = (u128::from(magnitude) * u128::from(t)).abs_diff(u128::from(variance));
        if bernoulli_exp(difference * difference, denominator, rng) {
            return if negative { -(magnitude as i64) } else { magnitude as i64 };
        }
    }
}

// Discrete Laplace of scale t: magnitude and sign.
fn laplace(t: u64, rng: &mut impl Rng) -> (u64, bool) {
    loop {
        let remainder = below(rng, t);
        if !bernoulli_exp(u128::from(remainder), u128::from(t), rng) {
            continue;
        }
        let mut whole = 0;
        while bernoulli_exp(1, 1, rng) {
            whole += 1;
        }
        let magnitude = remainder + t * whole;
        let negative = rng.next_u32() & 1 == 1;
        if magnitude > 0 || !negative {
            return (magnitude, negative);
        }
    }
}

// Bernoulli(exp(-p/q)).
fn bernoulli_exp(mut p: u128, q: u128, rng: &mut impl Rng) -> bool {
    while p >= q {
        if !bernoulli_exp_below_one(q, q, rng) {
            return false;
        }
        p -= q;
    }
    bernoulli_exp_below_one(p, q, rng)
}

// Bernoulli(exp(-p/q)) for p <= q: count the run of Bernoulli(p / (q k)), k = 1, 2, ...
fn bernoulli_exp_below_one(p: u128, q: u128, rng: &mut impl Rng) -> bool {
    let mut k = 1u128;
    while bernoulli(p, q * k, rng) {
        k += 1;
    }
    k % 2 == 1
}

// Bernoulli(p/q), exactly: compares p/q with a uniform number digit by digit, 32 bits at a time.
fn bernoulli(p: u128, q: u128, rng: &mut impl Rng) -> bool {
    let mut remainder = p;
    if remainder >= q {
        return true;
    }
    loop {
        let shifted = remainder << 32;
        // Division of 64-bit words is several times as fast, and most quotients fit it.
        let (digit, rest) = match (u64::try_from(shifted), u64::try_from(q)) {
            (Ok(shifted), Ok(q)) => ((shifted / q) as u32, u128::from(shifted % q)),
            _ => ((shifted / q) as u32, shifted % q),
        };
        let uniform = rng.next_u32();
        if uniform != digit {
            return uniform < digit;
        }
        remainder = rest;
        if remainder == 0 {
            return false;
        }
    }
}
