//! The standard normal distribution.

use libm::erfc;
use std::f64::consts::SQRT_2;

/// P(Z > z).
pub(super) fn upper_tail(z: f64) -> f64 {
    0.5 * erfc(z / SQRT_2)
}

/// The density.
pub(super) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// z with P(Z > z) = `tail`, for tails from 1e-300 to 1 - 1e-16, by bisection.
pub(super) fn upper_quantile(tail: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 38.0);
    for _ in 0..90 {
        let middle = 0.5 * (low + high);
        if upper_tail(middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_tables() {
        for (tail, z) in [(0.025, 1.959_964), (0.05, 1.644_854), (0.5, 0.0), (1e-5, 4.264_891)] {
            assert!((upper_quantile(tail) - z).abs() < 1e-6, "{tail}");
        }
    }
}
