//! Renyi differential privacy: divergences at a list of orders, which add up over releases.
//!
//! A second opinion beside the loss distributions, which are tighter, and the only bound here for sampling without
//! replacement. Conversion after Canonne, Kamath and Steinke (2020, proposition 12).

use super::distributed::{self, Sensitivity};
use crate::math;
use std::f64::consts::{LN_2, PI, SQRT_2};

/// Orders that bounds are looked for at: fine where noise is small, sparse where it is large.
pub fn orders() -> Vec<f64> {
    let fine = (1..=100).map(|i| 1.0 + f64::from(i) / 10.0);
    fine.chain((12..=64).map(f64::from)).chain([80.0, 96.0, 128.0, 256.0, 512.0, 1024.0]).collect()
}

/// A mechanism by its Renyi divergence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mechanism {
    /// Gaussian or discrete Gaussian noise, or any other release, that costs `rho` in zCDP.
    Concentrated {
        /// The cost.
        rho: f64,
    },
    /// Poisson-subsampled Gaussian, add-or-remove-one (Mironov, Talwar and Zhang 2019).
    PoissonGaussian {
        /// Probability of taking part.
        rate: f64,
        /// Deviation over sensitivity.
        noise_multiplier: f64,
    },
    /// Gaussian on a cohort of fixed size drawn without replacement, replace-one (Wang, Balle and Kasiviswanathan 2019,
    /// theorem 9). The noise multiplier is over the sensitivity under replacement.
    WithoutReplacementGaussian {
        /// Cohort over population.
        rate: f64,
        /// Deviation over sensitivity.
        noise_multiplier: f64,
    },
    /// Laplace noise (Mironov 2017, table II).
    Laplace {
        /// Scale over sensitivity.
        scale: f64,
    },
    /// Randomised response over some choices, replace-one.
    RandomisedResponse {
        /// Probability of a uniform answer.
        noise: f64,
        /// Number of choices.
        choices: u32,
    },
    /// A sum of discrete Gaussians.
    GaussianSum {
        /// Sensitivity in grid units.
        sensitivity: Sensitivity,
        /// Variance of one share.
        local_variance: f64,
        /// Shares.
        devices: usize,
        /// Values.
        length: usize,
    },
    /// Skellam noise on a vector; integer orders only.
    Skellam {
        /// Sensitivity in grid units.
        sensitivity: Sensitivity,
        /// Variance of the sum.
        variance: f64,
    },
}

impl Mechanism {
    /// The divergence at this order; infinite where nothing is known.
    pub fn divergence(&self, order: f64) -> f64 {
        match *self {
            Self::Concentrated { rho } => rho * order,
            Self::PoissonGaussian { rate, noise_multiplier } => poisson_gaussian(rate, noise_multiplier, order),
            Self::WithoutReplacementGaussian { rate, noise_multiplier } => {
                without_replacement(rate, noise_multiplier, order)
            }
            Self::Laplace { scale } => {
                let (up, down) = ((order - 1.0) / scale, -order / scale);
                let a = math::ln(order / (2.0 * order - 1.0)) + up;
                let b = math::ln((order - 1.0) / (2.0 * order - 1.0)) + down;
                log_add(a, b) / (order - 1.0)
            }
            Self::RandomisedResponse { noise, choices } => {
                let lie = noise / f64::from(choices);
                let truth = 1.0 - noise + lie;
                let moved = log_add(
                    order * math::ln(truth) + (1.0 - order) * math::ln(lie),
                    order * math::ln(lie) + (1.0 - order) * math::ln(truth),
                );
                let rest = f64::from(choices.saturating_sub(2)) * lie;
                log_add(moved, math::ln(rest)) / (order - 1.0)
            }
            Self::GaussianSum { sensitivity, local_variance, devices, length } => {
                distributed::gaussian_renyi(order, sensitivity, local_variance, devices, length)
            }
            Self::Skellam { sensitivity, variance } => {
                if order.fract() == 0.0 && order >= 2.0 {
                    distributed::skellam_renyi(order, sensitivity, variance)
                } else {
                    f64::INFINITY
                }
            }
        }
    }
}

/// Epsilon of a history at this delta: the least over [`orders`].
pub fn epsilon(history: &[(Mechanism, u64)], delta: f64) -> f64 {
    epsilon_at(history, delta, &orders())
}

/// Epsilon of a history at this delta: the least over the given orders, all above 1.
pub fn epsilon_at(history: &[(Mechanism, u64)], delta: f64, orders: &[f64]) -> f64 {
    if history.iter().all(|(_, count)| *count == 0) {
        return 0.0;
    }
    let at = |order: f64| {
        let divergence: f64 = history.iter().map(|(m, count)| *count as f64 * m.divergence(order)).sum();
        convert(divergence, order, delta)
    };
    orders.iter().map(|&order| at(order)).filter(|e| !e.is_nan()).fold(f64::INFINITY, f64::min).max(0.0)
}

/// Epsilon from one divergence at one order (Canonne, Kamath and Steinke 2020, proposition 12).
pub fn convert(divergence: f64, order: f64, delta: f64) -> f64 {
    divergence + math::ln_1p(-1.0 / order) - (math::ln(delta) + math::ln(order)) / (order - 1.0)
}

fn poisson_gaussian(rate: f64, z: f64, order: f64) -> f64 {
    if rate <= 0.0 {
        return 0.0;
    }
    if z <= 0.0 {
        return f64::INFINITY;
    }
    if rate >= 1.0 {
        return order / (2.0 * z * z);
    }
    let log_moment =
        if order.fract() == 0.0 { integer_moment(rate, z, order as u32) } else { fractional_moment(rate, z, order) };
    (log_moment / (order - 1.0)).max(0.0)
}

// ln sum_k C(alpha, k) (1-q)^(alpha-k) q^k exp((k^2 - k) / (2 z^2)).
fn integer_moment(rate: f64, z: f64, order: u32) -> f64 {
    let alpha = f64::from(order);
    (0..=order)
        .map(|k| {
            let k = f64::from(k);
            log_binomial(alpha, k) + k * math::ln(rate) + (alpha - k) * math::ln_1p(-rate) + (k * k - k) / (2.0 * z * z)
        })
        .fold(f64::NEG_INFINITY, log_add)
}

// Mironov, Talwar and Zhang 2019, section 3.3: two series, meeting where the mixture's parts are equal.
fn fractional_moment(rate: f64, z: f64, order: f64) -> f64 {
    let meeting = z * z * math::ln((1.0 / rate) - 1.0) + 0.5;
    let (mut positive, mut negative) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let mut coefficient = 1.0f64;
    let mut log_coefficient = 0.0f64;
    let half_tail = |x: f64| log_erfc(x / (SQRT_2 * z)) - LN_2;
    for i in 0..10_000u32 {
        let i = f64::from(i);
        let j = order - i;
        let low = log_coefficient
            + i * math::ln(rate)
            + j * math::ln_1p(-rate)
            + (i * i - i) / (2.0 * z * z)
            + half_tail(i - meeting);
        let high = log_coefficient
            + j * math::ln(rate)
            + i * math::ln_1p(-rate)
            + (j * j - j) / (2.0 * z * z)
            + half_tail(meeting - j);
        let sum = log_add(low, high);
        if coefficient > 0.0 {
            positive = log_add(positive, sum)
        } else {
            negative = log_add(negative, sum)
        }
        if i > order && sum < positive - 35.0 {
            break;
        }
        let next = (order - i) / (i + 1.0);
        coefficient *= next.signum();
        log_coefficient += math::ln(next.abs());
    }
    // What the alternating series leaves out is smaller than its last term.
    positive + math::ln_1p(-math::exp(negative - positive)) + 1e-14
}

// Wang, Balle and Kasiviswanathan 2019, theorem 9, at integer orders; between them the moment is log-convex in the order.
fn without_replacement(rate: f64, z: f64, order: f64) -> f64 {
    if rate <= 0.0 {
        return 0.0;
    }
    let log_moment = |alpha: u32| if alpha < 2 { 0.0 } else { without_replacement_moment(rate, z, alpha) };
    let floor = order.floor();
    let low = log_moment(floor as u32);
    let weight = order - floor;
    let value = if weight == 0.0 { low } else { (1.0 - weight) * low + weight * log_moment(floor as u32 + 1) };
    // Sampling never costs more than not sampling.
    (value / (order - 1.0)).min(order / (2.0 * z * z))
}

fn without_replacement_moment(rate: f64, z: f64, order: u32) -> f64 {
    let alpha = f64::from(order);
    let divergence = |l: f64| l / (2.0 * z * z);
    let moment = |l: f64| l * (l - 1.0) / (2.0 * z * z);
    let mut sum = 0.0f64;
    for l in 2..=order {
        let x = f64::from(l);
        let term = if l == 2 {
            let chi = math::ln(math::exp_m1(divergence(2.0)));
            (math::ln(4f64) + chi).min(LN_2 + divergence(2.0))
        } else {
            let simple = LN_2 + moment(x);
            if order > 256 {
                simple
            } else {
                let (even_below, even_above) = (l / 2 * 2, l.div_ceil(2) * 2);
                let ternary = 0.5 * (absolute_moment(z, even_below) + absolute_moment(z, even_above));
                simple.min(math::ln(4f64) + ternary)
            }
        };
        sum = log_add(sum, log_binomial(alpha, x) + x * math::ln(rate) + term);
    }
    sum
}

// ln E[(r - 1)^l] for even l, r the likelihood ratio of N(1, z^2) to N(0, z^2) under the latter: the l-th finite difference
// of the theorem. Its terms alternate and cancel, the integral does not; the trapezoid rule converges geometrically.
fn absolute_moment(z: f64, l: u32) -> f64 {
    let power = f64::from(l);
    let (low, high) = (-14.0 * z, power + 14.0 * z);
    let step = z / 16.0;
    let points = ((high - low) / step).ceil() as usize;
    let log_integrand = |x: f64| {
        let log_ratio = (2.0 * x - 1.0) / (2.0 * z * z);
        let log_distance = if log_ratio > 30.0 { log_ratio } else { math::ln(math::exp_m1(log_ratio).abs()) };
        power * log_distance - x * x / (2.0 * z * z) - 0.5 * math::ln(2.0 * PI * z * z)
    };
    let sum = (0..=points).map(|i| log_integrand(low + step * i as f64)).fold(f64::NEG_INFINITY, log_add);
    sum + math::ln(step)
}

fn log_binomial(n: f64, k: f64) -> f64 {
    math::lgamma(n + 1.0) - math::lgamma(k + 1.0) - math::lgamma(n - k + 1.0)
}

fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + math::ln_1p(math::exp(low - high)) }
}

fn log_erfc(x: f64) -> f64 {
    if x < 25.0 {
        return math::ln(math::erfc(x));
    }
    // Asymptotic series (Abramowitz and Stegun 1964, 7.1.23).
    let y = 1.0 / (2.0 * x * x);
    -x * x - math::ln(x) - 0.5 * math::ln(PI) + math::ln(1.0 - y + 3.0 * y * y - 15.0 * y * y * y)
}

#[cfg(test)]
mod tests {
    use super::super::loss;
    use super::*;

    #[test]
    fn loss_distributions_are_never_looser() {
        for (rate, z, steps) in [(0.01, 1.0, 100u64), (0.001, 0.8, 500), (0.1, 2.0, 50)] {
            let renyi = epsilon(&[(Mechanism::PoissonGaussian { rate, noise_multiplier: z }, steps)], 1e-6);
            let tight = loss::epsilon(&[(loss::Mechanism::PoissonGaussian { rate, noise_multiplier: z }, steps)], 1e-6);
            assert!(tight <= renyi, "{rate} {z} {steps}: {tight} {renyi}");
        }
        let renyi = epsilon(&[(Mechanism::Laplace { scale: 2.0 }, 10)], 1e-6);
        let tight = loss::epsilon(&[(loss::Mechanism::Laplace { scale: 2.0 }, 10)], 1e-6);
        assert!(tight <= renyi * 1.0001 && renyi <= 5.0001, "{tight} {renyi}");
    }

    #[test]
    fn fractional_orders_lie_between_integer_ones() {
        let m = Mechanism::PoissonGaussian { rate: 0.01, noise_multiplier: 0.9 };
        for order in 2..30 {
            let order = f64::from(order);
            let (low, middle, high) = (m.divergence(order), m.divergence(order + 0.5), m.divergence(order + 1.0));
            assert!(low < middle && middle < high, "{order}: {low} {middle} {high}");
        }
    }

    #[test]
    fn without_sampling_nothing_is_gained() {
        let whole = Mechanism::WithoutReplacementGaussian { rate: 1.0, noise_multiplier: 1.0 }.divergence(4.0);
        assert!(whole <= 2.0 + 1e-12, "{whole}");
        // The integral against the finite difference where that does not cancel: E(r-1)^2 = e^(1/z^2) - 1.
        assert!((absolute_moment(1.3, 2) - math::ln(math::exp_m1(1.0f64 / 1.69))).abs() < 1e-12);
        let fourth = |z: f64| {
            let m = |l: f64| math::exp(l * (l - 1.0) / (2.0 * z * z));
            math::ln(m(4.0) - 4.0 * m(3.0) + 6.0 * m(2.0) - 3.0)
        };
        assert!((absolute_moment(1.0, 4) - fourth(1.0)).abs() < 1e-10);
    }

    #[test]
    fn laplace_and_response_approach_their_pure_epsilon() {
        assert!((Mechanism::Laplace { scale: 1.0 }.divergence(1e4) - 1.0).abs() < 1e-3);
        let response = Mechanism::RandomisedResponse { noise: 0.5, choices: 2 };
        assert!((response.divergence(1e4) - math::ln(3f64)).abs() < 1e-3);
        assert_eq!(epsilon(&[(response, 0)], 1e-6), 0.0);
    }
}
