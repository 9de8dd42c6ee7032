//! Gaussian mechanisms composed, exactly: Balle and Wang (2018), theorem 8.
//!
//! Composing Gaussians with noise multipliers z_1, z_2, ... is one Gaussian with mu^2 = sum 1/z_i^2, whose privacy curve
//! is `delta(eps) = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu)`.

use crate::math;
use std::f64::consts::{LN_2, PI, SQRT_2};

/// delta at this epsilon for the composition with parameter `mu`.
pub fn delta(epsilon: f64, mu: f64) -> f64 {
    if mu <= 0.0 {
        return 0.0;
    }
    let first = log_normal_cdf(mu / 2.0 - epsilon / mu);
    let second = epsilon + log_normal_cdf(-mu / 2.0 - epsilon / mu);
    // First >= second mathematically; expm1 keeps the difference when the two are close.
    (-math::exp_m1(second - first)).max(0.0) * math::exp(first)
}

/// The smallest epsilon, rounded up by less than 1e-9 relative, of releases with these noise multipliers
/// (noise standard deviation over sensitivity, one a release).
pub fn epsilon(noise_multipliers: &[f64], target_delta: f64) -> f64 {
    let mu = noise_multipliers.iter().map(|z| math::powi(*z, -2)).sum::<f64>().sqrt();
    if !mu.is_finite() {
        return f64::INFINITY;
    }
    if delta(0.0, mu) <= target_delta {
        return 0.0;
    }
    let mut high = 1.0;
    while delta(high, mu) > target_delta {
        high *= 2.0;
    }
    let mut low = 0.0;
    while high - low > 1e-10 * high {
        let middle = 0.5 * (low + high);
        if delta(middle, mu) > target_delta {
            low = middle;
        } else {
            high = middle;
        }
    }
    // Lifts the result above the rounding error of the two logarithms.
    high * (1.0 + 4e-10)
}

/// The smallest noise multiplier of `releases` equal releases that keeps (epsilon, delta); never past the target.
pub fn noise_multiplier(target_epsilon: f64, target_delta: f64, releases: u32) -> f64 {
    let cost = |z: f64| epsilon(&[z / f64::from(releases).sqrt()], target_delta);
    let (mut low, mut high) = (0.0, 1.0);
    while cost(high) > target_epsilon {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-9 * high {
        let middle = 0.5 * (low + high);
        if cost(middle) > target_epsilon {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

// ln Phi(x). Below -35 the asymptotic series of Mills' ratio takes over before erfc underflows.
fn log_normal_cdf(x: f64) -> f64 {
    if x > -35.0 {
        return math::ln(math::erfc(-x / SQRT_2)) - LN_2;
    }
    let inverse_square = 1.0 / (x * x);
    let series = 1.0 - inverse_square * (1.0 - 3.0 * inverse_square * (1.0 - 5.0 * inverse_square));
    -0.5 * x * x - math::ln(-x) - 0.5 * math::ln(2.0 * PI) + math::ln(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Published values: docs/privacy.md names their source.
    #[test]
    fn known_values() {
        for (multipliers, delta, expected) in
            [(vec![1.0], 1e-5, 4.377_178_1), (vec![1.0], 1e-6, 4.886_554_1), (vec![5.0; 100], 1e-5, 9.997_256_1)]
        {
            let got = epsilon(&multipliers, delta);
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }

    #[test]
    fn it_is_monotone_and_additive() {
        assert!(epsilon(&[1.0], 1e-6) > epsilon(&[1.1], 1e-6));
        assert!(epsilon(&[1.0], 1e-6) > epsilon(&[1.0], 1e-5));
        let split = epsilon(&[2.0, 2.0, 2.0, 2.0], 1e-6);
        assert!((split / epsilon(&[1.0], 1e-6) - 1.0).abs() < 1e-8);
        assert!(epsilon(&[0.01], 1e-6).is_finite());
        assert_eq!(epsilon(&[1e9], 1e-6), 0.0);
        assert_eq!(epsilon(&[0.0], 1e-6), f64::INFINITY);
    }

    #[test]
    fn calibration_never_passes_the_target() {
        for target in [0.1, 1.0, 8.0] {
            for releases in [1u32, 5, 100] {
                let z = noise_multiplier(target, 1e-6, releases);
                let spent = epsilon(&vec![z; releases as usize], 1e-6);
                assert!(spent <= target * (1.0 + 1e-9) && spent > target * 0.999, "{spent} {target}");
            }
        }
    }

    #[test]
    fn the_two_branches_of_the_tail_meet() {
        let (inside, outside) = (log_normal_cdf(-34.999_999), log_normal_cdf(-35.000_001));
        assert!((inside - outside).abs() < 1e-4 && inside > outside);
    }
}
