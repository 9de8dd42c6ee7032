//! Sums of devices' noise: the distributed discrete Gaussian and Skellam mechanisms, in grid units.
//!
//! | | source | holds for |
//! |---|---|---|
//! | [`gaussian_renyi`] | Kairouz, Liu and Steinke 2021, theorem 1 | every order above 1 |
//! | [`skellam_renyi`] | Agarwal, Kairouz and Liu 2021, theorem 3.5 | integer orders from 2 |

use crate::math;
use core::f64::consts::PI;

/// How far one device can move an integer sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensitivity {
    /// In L2 norm, squared.
    pub l2_squared: f64,
    /// In L1 norm.
    pub l1: f64,
}

impl Sensitivity {
    /// Of an integer vector of `length` values whose squared norm is at most `bound_squared`:
    /// `|q|_1 <= min(sqrt(length) B, B^2)`, since whole numbers are not above their squares.
    pub fn of_rounded(bound_squared: u64, length: usize) -> Self {
        let squared = bound_squared as f64;
        Self { l2_squared: squared, l1: (length as f64 * squared).sqrt().min(squared) }
    }

    /// The same for a vector `factor` times as long.
    pub fn scaled(self, factor: f64) -> Self {
        Self { l2_squared: self.l2_squared * factor * factor, l1: self.l1 * factor }
    }
}

/// Largest squared norm after conditional randomised rounding of a vector of norm `scaled_clip` in `length` values, with
/// both in grid units (Kairouz, Liu and Steinke 2021, proposition 22): a try is shorter with probability `1 - beta`.
pub fn rounded_norm_squared(scaled_clip: f64, length: f64, beta: f64) -> f64 {
    let everywhere = math::powi(scaled_clip + length.sqrt(), 2);
    let deviation = (2.0 * math::ln(1.0 / beta)).sqrt();
    let likely = math::powi(scaled_clip, 2) + length / 4.0 + deviation * (scaled_clip + length.sqrt() / 2.0);
    everywhere.min(likely)
}

/// tau: how far a sum of `devices` discrete Gaussians of this deviation is from one, in max divergence a value:
/// `10 sum_{k=1}^{n-1} exp(-2 pi^2 s^2 k / (k + 1))`. Above 10,000 devices the largest term stands for each.
pub fn tau(local_deviation: f64, devices: usize) -> f64 {
    let term = |k: f64| math::exp(-2.0 * math::powi(PI * local_deviation, 2) * k / (k + 1.0));
    if devices > 10_000 {
        return 10.0 * devices as f64 * term(1.0);
    }
    10.0 * (1..devices.max(1)).map(|k| term(k as f64)).sum::<f64>()
}

/// Renyi divergence at this order of a sum of `devices` discrete Gaussians of `local_variance` each, on `length` values.
pub fn gaussian_renyi(order: f64, sensitivity: Sensitivity, local_variance: f64, devices: usize, length: usize) -> f64 {
    let central = local_variance * devices as f64;
    let (l2_squared, d) = (sensitivity.l2_squared / central, length as f64);
    let l1 = sensitivity.l1 / central.sqrt();
    let tau = tau(local_variance.sqrt(), devices);
    let half = order / 2.0;
    (half * l2_squared + tau * d)
        .min(half * (l2_squared + 2.0 * l1 * tau + tau * tau * d))
        .min(half * math::powi(l2_squared.sqrt() + d.sqrt() * tau, 2))
}

/// rho of the same sum. The theorem's last bound is linear in the order, so it is a zCDP bound, tau and all.
pub fn gaussian_rho(sensitivity: Sensitivity, local_variance: f64, devices: usize, length: usize) -> f64 {
    let central = local_variance * devices as f64;
    let tau = tau(local_variance.sqrt(), devices);
    let by_l1 =
        sensitivity.l2_squared / central + 2.0 * sensitivity.l1 / central.sqrt() * tau + tau * tau * length as f64;
    let by_l2 = math::powi((sensitivity.l2_squared / central).sqrt() + (length as f64).sqrt() * tau, 2);
    0.5 * by_l1.min(by_l2)
}

/// The variance of the sum that costs `rho`, tau aside: plans allow only deviations at which tau is nothing.
pub fn gaussian_variance(sensitivity: Sensitivity, rho: f64) -> f64 {
    sensitivity.l2_squared / (2.0 * rho)
}

/// Renyi divergence at an integer order of at least 2 of Skellam noise of this variance on the sum.
pub fn skellam_renyi(order: f64, sensitivity: Sensitivity, variance: f64) -> f64 {
    let Sensitivity { l2_squared, l1 } = sensitivity;
    let gaussian = order * l2_squared / (2.0 * variance);
    let by_square = ((2.0 * order - 1.0) * l2_squared + 6.0 * l1) / (4.0 * variance * variance);
    gaussian + by_square.min(3.0 * l1 / (2.0 * variance))
}

/// The least rho with `skellam_renyi(order) <= rho order` at every integer order from 2: the divergence over the order
/// falls with the order, so order 2 decides. Below order 2 nothing is said, so it is not zCDP: convert it with
/// [`super::zcdp::epsilon_at_integer_orders`] only.
pub fn skellam_rho(sensitivity: Sensitivity, variance: f64) -> f64 {
    skellam_renyi(2.0, sensitivity, variance) / 2.0
}

/// The least variance, to one part in 10^12 and rounded up, of Skellam noise that costs at most `rho` as in [`skellam_rho`].
pub fn skellam_variance(sensitivity: Sensitivity, rho: f64) -> f64 {
    let mut low = gaussian_variance(sensitivity, rho);
    let mut high = 2.0 * low + 1.0;
    while skellam_rho(sensitivity, high) > rho {
        high *= 2.0;
    }
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        if skellam_rho(sensitivity, middle) > rho { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSITIVITY: Sensitivity = Sensitivity { l2_squared: 10_000.0, l1: 2_000.0 };

    #[test]
    fn many_devices_cost_what_one_gaussian_costs() {
        for order in [1.5, 2.0, 10.0, 64.0] {
            let got = gaussian_renyi(order, SENSITIVITY, 100.0, 50, 1024);
            assert!((got / (order * 10_000.0 / (2.0 * 5_000.0)) - 1.0).abs() < 1e-12);
            let rho = gaussian_rho(SENSITIVITY, 100.0, 50, 1024);
            assert!(got <= rho * order * (1.0 + 1e-12));
        }
    }

    // Narrow shares add up to something visibly different from a discrete Gaussian.
    #[test]
    fn tau_counts_where_shares_are_narrow() {
        assert!(tau(0.5, 10) > 0.05 && tau(3.0, 1000) < 1e-35 && tau(16.0, 100_000_000) == 0.0);
        assert!(tau(0.7, 10_001) >= tau(0.7, 10_000));
        let narrow = gaussian_rho(SENSITIVITY, 0.25, 2000, 1024);
        assert!(narrow > 1.01 * SENSITIVITY.l2_squared / (2.0 * 0.25 * 2000.0));
    }

    #[test]
    fn skellam_budgets_hold_at_every_order() {
        for rho in [0.001, 0.1, 2.0] {
            let variance = skellam_variance(SENSITIVITY, rho);
            for order in 2..200 {
                let order = f64::from(order);
                assert!(skellam_renyi(order, SENSITIVITY, variance) <= rho * order * (1.0 + 1e-9), "{rho} {order}");
            }
            assert!(skellam_rho(SENSITIVITY, variance) > rho * (1.0 - 1e-9));
        }
    }
}
