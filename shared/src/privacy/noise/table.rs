//! A symmetric law on the integers drawn from a table of its cumulative probabilities, to 127 bits.
//!
//! The table holds `T_i = floor(2^127 P(|X| <= i))` for i = 0..K, the last one lifted to the top. One 32-bit word gives
//! the sign (low bit) and the high 31 bits of a uniform number x below 2^127; only where these do not decide which
//! threshold is the first above x are 96 further bits drawn, so the comparison always is with all 127 bits.
//!
//! *Distance from the law.* Each of at most 2^16 thresholds is off by at most 2^-127 for its floor and less than 2^-180
//! for the 256-bit arithmetic, and the tail that was cut weighs less than 2^-120. Two neighbouring thresholds bound one
//! probability, so the distance in total variation is at most 2^16 2^-127 + 2^-120 < 2^-110.
//!
//! Not constant-time: which branch is taken depends on the draw. Noise is drawn before the upload begins.

use super::{Law, Mechanism, NoiseError};
use dashu_float::{FBig, round::mode::Zero};
use rand_core::Rng;

type Big = FBig<Zero, 2>;

/// Upper bound on the distance in total variation between one draw and the law.
pub(in crate::privacy) const DISTANCE: f64 = 1.0 / (1u128 << 110) as f64;

/// A law's table.
#[derive(Debug)]
pub(super) struct Table {
    // For each value of the top GUIDE_BITS bits: the first magnitude whose threshold is above the lowest such x, and in
    // the low bit whether that is the answer for all of them.
    guide: Vec<u32>,
    // The high 31 bits of each threshold.
    high: Vec<u32>,
    // All 127 bits.
    thresholds: Vec<u128>,
}

impl Table {
    /// The table of a law, or what keeps it from having one.
    pub(super) fn new(law: Law) -> Result<Self, NoiseError> {
        let weights = match law.mechanism {
            Mechanism::DiscreteGaussian => gaussian_weights(law.variance, magnitudes(law)?),
            Mechanism::Skellam => skellam_weights(law.variance, magnitudes(law)?),
        };
        let total = weights.iter().fold(big(0), |sum, weight| sum + weight);
        let unit = big(1) << 127;
        let mut running = big(0);
        let mut thresholds: Vec<u128> = Vec::with_capacity(weights.len());
        for weight in &weights {
            running += weight;
            let scaled = &unit * &running / &total;
            thresholds.push(u128::try_from(scaled.to_int().value()).unwrap_or(TOP).min(TOP));
        }
        if let Some(last) = thresholds.last_mut() {
            *last = TOP;
        }
        let high: Vec<u32> = thresholds.iter().map(|t| (t >> 96) as u32).collect();
        let guide = (0..1u128 << GUIDE_BITS)
            .map(|bucket| {
                let first = bucket << (127 - GUIDE_BITS);
                let last = first + ((1u128 << (127 - GUIDE_BITS)) - 1);
                let index = thresholds.partition_point(|&t| t <= first).min(thresholds.len() - 1);
                (index as u32) << 1 | u32::from(thresholds[index] > last)
            })
            .collect();
        Ok(Self { guide, high, thresholds })
    }

    /// Adds one independent draw to each value.
    pub(super) fn add(&self, values: &mut [i64], rng: &mut impl Rng) {
        let mut bytes = [0u8; 4 * CHUNK];
        for chunk in values.chunks_mut(CHUNK) {
            let bytes = &mut bytes[..4 * chunk.len()];
            rng.fill_bytes(bytes);
            for (value, word) in chunk.iter_mut().zip(bytes.chunks_exact(4)) {
                let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                let guide = self.guide[(word >> (32 - GUIDE_BITS)) as usize];
                let magnitude = if guide & 1 == 1 { guide >> 1 } else { self.search(word >> 1, guide >> 1, rng) };
                // All ones where negative: (m ^ -1) + 1 = -m without a branch.
                let negative = -i64::from(word & 1);
                *value = value.wrapping_add((i64::from(magnitude) ^ negative) - negative);
            }
        }
    }

    /// P(|X| <= i) as the table has it.
    #[cfg(test)]
    pub(super) fn probabilities(&self) -> impl Iterator<Item = f64> {
        self.thresholds.iter().map(|&t| t as f64 / (1u128 << 127) as f64)
    }

    // The first magnitude from `start` whose threshold is above the uniform number that begins with these 31 bits.
    fn search(&self, bits: u32, start: u32, rng: &mut impl Rng) -> u32 {
        let start = start as usize;
        let index = start + self.high[start..].partition_point(|&high| high < bits);
        if self.high.get(index).is_some_and(|&high| high > bits) {
            return index as u32;
        }
        let low = u128::from(rng.next_u64()) << 32 | u128::from(rng.next_u32());
        let uniform = u128::from(bits) << 96 | low;
        // 2^127 - 1 itself is above no threshold: it belongs to the last magnitude, which the distance allows for.
        (index + self.thresholds[index..].partition_point(|&t| t <= uniform)).min(self.thresholds.len() - 1) as u32
    }
}

// How many magnitudes the table needs for a cut tail below 2^-120.
fn magnitudes(law: Law) -> Result<usize, NoiseError> {
    let variance = law.variance as f64;
    let needed = match law.mechanism {
        // 2 exp(-13^2 / 2) < 2^-120 (Canonne, Kamath and Steinke 2020, proposition 25: sub-Gaussian).
        Mechanism::DiscreteGaussian => 13.0 * variance.sqrt() + 10.0,
        Mechanism::Skellam => super::skellam_tail(variance, -121.0 * core::f64::consts::LN_2) + 2.0,
    };
    if needed > MOST_MAGNITUDES {
        return Err(NoiseError::TooWide(law));
    }
    Ok(needed.ceil() as usize)
}

// w_0 = 1 and w_i = 2 exp(-i^2 / (2 variance)), by the recurrence of the ratios of neighbours.
fn gaussian_weights(variance: u64, count: usize) -> Vec<Big> {
    let half = (-(big(1) / big(2 * variance))).exp();
    let step = &half * &half;
    let (mut weight, mut ratio) = (big(1), half);
    let mut weights = vec![big(1)];
    for _ in 1..count {
        weight = &weight * &ratio;
        ratio = &ratio * &step;
        weights.push(&weight + &weight);
    }
    weights
}

// I_0 and 2 I_i of a symmetric Skellam law's Bessel weights, up to a factor: Miller's recurrence from far above, where
// the start's arbitrariness has died out (all terms are positive, so nothing cancels).
fn skellam_weights(variance: u64, count: usize) -> Vec<Big> {
    let start = 2 * count + 100;
    let (mut above, mut here) = (big(0), big(1));
    let mut weights = Vec::with_capacity(count);
    for k in (1..=start as u64).rev() {
        let below = above + &here * big(2 * k) / big(variance);
        above = here;
        here = below;
        if k as usize <= count {
            weights.push(if k == 1 { here.clone() } else { &here + &here });
        }
    }
    weights.reverse();
    weights
}

fn big(value: u64) -> Big {
    Big::from(value).with_precision(256).value()
}

/// A Skellam law of this variance needs 13 of its deviations of 5,000: the table still holds it.
pub(super) const MOST_SKELLAM_VARIANCE: u64 = 5_000 * 5_000;
const TOP: u128 = (1 << 127) - 1;
const GUIDE_BITS: u32 = 14;
const CHUNK: usize = 512;
const MOST_MAGNITUDES: f64 = 65_536.0;
