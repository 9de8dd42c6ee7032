//! The standard normal distribution.

use sordino_shared::math;
use std::f64::consts::SQRT_2;

/// P(Z > z).
pub(super) fn upper_tail(z: f64) -> f64 {
    0.5 * math::erfc(z / SQRT_2)
}

/// The density.
pub(super) fn density(z: f64) -> f64 {
    math::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()
}

/// z with P(Z > z) = `tail`, for tails from 1e-300 to 1 - 1e-16.
pub(super) fn upper_quantile(tail: f64) -> f64 {
    bisect((-9.0, 38.0), |z| upper_tail(z) > tail)
}

/// Where something stops to be true between two ends, by halving to the last bit that matters.
pub(super) fn bisect((mut low, mut high): (f64, f64), is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

const HALVINGS: usize = 60;

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
