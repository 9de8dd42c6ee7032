//! Zero-concentrated differential privacy: rho adds up over releases, and converts to (epsilon, delta) at the end.
//!
//! A discrete Gaussian of variance s^2 on a sum whose integer sensitivity is B costs rho = B^2 / (2 s^2) (Canonne,
//! Kamath and Steinke 2020, theorem 4). A *sum* of discrete Gaussians, as under secure aggregation, costs the same up to
//! a term tau (Kairouz, Liu and Steinke 2021, theorem 1) that is far below one part in 10^35 at the least deviation
//! which plans allow.

use crate::math;

/// The smallest epsilon over all orders alpha > 1 of
/// `rho alpha + ln(1 - 1/alpha) - (ln delta + ln alpha) / (alpha - 1)` (Canonne, Kamath and Steinke 2020, prop. 12).
///
/// Every order gives a valid bound, so the search's precision can make the result larger but never too small.
pub fn epsilon(rho: f64, delta: f64) -> f64 {
    if rho <= 0.0 {
        return 0.0;
    }
    if !rho.is_finite() {
        return f64::INFINITY;
    }
    let at = |log_excess: f64| {
        let excess = math::exp(log_excess);
        let order = 1.0 + excess;
        rho * order + math::ln(excess / order) - (math::ln(delta) + math::ln(order)) / excess
    };
    let step = (LOG_EXCESS.1 - LOG_EXCESS.0) / f64::from(GRID);
    let best =
        (0..=GRID).map(|i| LOG_EXCESS.0 + step * f64::from(i)).min_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(0.0);
    let (mut low, mut high) = (best - step, best + step);
    for _ in 0..60 {
        let third = (high - low) / 3.0;
        if at(low + third) < at(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    at(0.5 * (low + high)).min(at(best)).max(0.0)
}

/// The same over integer orders from 2 only, for costs that are known at no others ([`super::distributed::skellam_rho`]).
pub fn epsilon_at_integer_orders(rho: f64, delta: f64) -> f64 {
    if rho <= 0.0 {
        return 0.0;
    }
    if !rho.is_finite() {
        return f64::INFINITY;
    }
    let at = |order: f64| super::renyi::convert(rho * order, order, delta);
    // Near the best order sqrt(ln(1/delta) / rho) + 1 every integer, further out a sparse few.
    let best = (-math::ln(delta) / rho).sqrt() + 1.0;
    let centre = best.clamp(2.0, 1e9).floor();
    let near = (0..200).map(|i| (centre * (0.5 + f64::from(i) / 100.0)).round());
    let close = (-20..=20).map(|i| centre + f64::from(i));
    near.chain(close).filter(|&order| order >= 2.0).map(at).fold(f64::INFINITY, f64::min).max(0.0)
}

/// The largest rho with `epsilon(rho, delta) <= target`; never past the target.
pub fn rho(target_epsilon: f64, delta: f64) -> f64 {
    largest(|rho| epsilon(rho, delta) <= target_epsilon)
}

/// The largest rho with `epsilon_at_integer_orders(rho, delta) <= target`; never past the target.
pub fn rho_at_integer_orders(target_epsilon: f64, delta: f64) -> f64 {
    largest(|rho| epsilon_at_integer_orders(rho, delta) <= target_epsilon)
}

// The largest number that fits, to one part in 10^12, where all smaller ones fit too.
fn largest(fits: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while fits(high) {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

// Orders from 1 + 1e-4 to 1 + 1e7: beyond them lie targets outside epsilon 1e-4 to 1e6.
const LOG_EXCESS: (f64, f64) = (-9.2, 16.1);
const GRID: u32 = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (rho, delta, expected) in [(0.1, 1e-6, 2.141_938_9), (0.81, 1e-5, 6.253_305_0), (0.5, 1e-6, 5.221_534_4)] {
            let got = epsilon(rho, delta);
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }

    #[test]
    fn it_is_above_the_continuous_curve_and_monotone() {
        use crate::privacy::accountant::gaussian;
        for rho in [0.001, 0.1, 0.5, 3.0] {
            assert!(epsilon(rho, 1e-6) > gaussian::epsilon(&[(0.5f64 / rho).sqrt()], 1e-6));
            assert!(epsilon(rho * 1.01, 1e-6) > epsilon(rho, 1e-6));
        }
    }

    #[test]
    fn calibration_never_passes_the_target() {
        for target in [0.05, 1.0, 3.0, 20.0] {
            let spent = epsilon(rho(target, 1e-6), 1e-6);
            assert!(spent <= target && spent > target * 0.999_999, "{spent}");
        }
    }

    // The noise deviation that T releases need at epsilon 1 and 3, delta 1e-7, worked out beforehand.
    #[test]
    fn the_planners_table() {
        for (target, row) in [(1.0, [4.977, 8.620, 11.129, 13.167]), (3.0, [1.783, 3.088, 3.987, 4.718])] {
            for (releases, expected) in [1.0f64, 3.0, 5.0, 7.0].iter().zip(row) {
                let sigma = (releases / (2.0 * rho(target, 1e-7))).sqrt();
                assert!((sigma / expected - 1.0).abs() < 2e-4, "{sigma} {expected}");
            }
        }
    }
}
