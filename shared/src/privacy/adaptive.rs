//! Adaptive clipping: the clip follows a quantile of the devices' norms (Andrew, Thakkar, McMahan and Ramaswamy 2021).
//!
//! Each device adds one more number, `1/2` where it was not clipped and `-1/2` where it was, with noise of its own. The
//! clip of a round is fixed by its plan beforehand; what a round learns goes into the next plan.

use crate::math;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A clip that follows a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveClip {
    /// The clip of the next round.
    pub clip: f64,
    /// The share of devices that should not be clipped.
    pub quantile: f64,
    /// eta: how fast the clip moves, in e-foldings a round at most.
    pub rate: f64,
    /// The count's share of a round's rho.
    pub share: f64,
}

impl Default for AdaptiveClip {
    /// The authors' values; the share is what their count costs at 100 devices and noise multiplier 1.
    fn default() -> Self {
        Self { clip: 0.1, quantile: 0.5, rate: 0.2, share: 0.01 }
    }
}

/// The noise of the count leaves none for the vector.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error(
    "a noise multiplier of {noise_multiplier} is not below twice the count's deviation {count_deviation}: give the count more noise"
)]
pub struct CountTooExact {
    /// z of both together.
    pub noise_multiplier: f64,
    /// sigma_b.
    pub count_deviation: f64,
}

impl AdaptiveClip {
    /// Moves the clip by a noisy share of devices that were not clipped: `C exp(-eta (b - q))`. A share that is not finite
    /// moves nothing; noise can take it outside [0, 1], where it moves the clip no further than the ends do.
    pub fn update(&mut self, unclipped: f64) {
        if unclipped.is_finite() {
            let step = -self.rate * (unclipped.clamp(0.0, 1.0) - self.quantile);
            self.clip = (self.clip * math::exp(step)).clamp(LEAST_CLIP, MOST_CLIP);
        }
    }
}

/// The vector's noise multiplier where vector and count together cost what one Gaussian of `noise_multiplier` costs, the
/// count's noise having deviation `count_deviation`: `(z^-2 - (2 sigma_b)^-2)^(-1/2)` (theorem 1 of the same paper).
///
/// # Errors
/// [`CountTooExact`] where the count alone costs as much.
pub fn vector_noise_multiplier(noise_multiplier: f64, count_deviation: f64) -> Result<f64, CountTooExact> {
    let left = math::powi(noise_multiplier, -2) - math::powi(2.0 * count_deviation, -2);
    if !(left > 0.0 && left.is_finite() && noise_multiplier > 0.0 && count_deviation > 0.0) {
        return Err(CountTooExact { noise_multiplier, count_deviation });
    }
    Ok(math::powf(left, -0.5))
}

const LEAST_CLIP: f64 = 1e-6;
const MOST_CLIP: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_median_of_norms() {
        let norms: Vec<f64> = (1..=1001).map(|i| f64::from(i) / 100.0).collect();
        let mut adaptive = AdaptiveClip::default();
        for _ in 0..400 {
            let unclipped = norms.iter().filter(|&&n| n <= adaptive.clip).count() as f64 / norms.len() as f64;
            adaptive.update(unclipped);
        }
        assert!((adaptive.clip - 5.0).abs() < 0.1, "{}", adaptive.clip);
    }

    #[test]
    fn it_stays_finite() {
        let mut adaptive = AdaptiveClip::default();
        for unclipped in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            adaptive.update(unclipped);
            assert_eq!(adaptive.clip, 0.1);
        }
        (0..10_000).for_each(|_| adaptive.update(-1e9));
        assert_eq!(adaptive.clip, MOST_CLIP);
    }

    #[test]
    fn the_count_has_its_price() {
        // Published: 1.005 at 100 devices, z = 1, sigma_b = n / 20.
        assert!((vector_noise_multiplier(1.0, 5.0).expect("enough noise") - 1.005).abs() < 1e-3);
        for (z, sigma) in [(10.0, 5.0), (11.0, 5.0), (0.0, 5.0), (1.0, 0.0), (f64::NAN, 5.0)] {
            assert!(vector_noise_multiplier(z, sigma).is_err(), "{z} {sigma}");
        }
    }
}
