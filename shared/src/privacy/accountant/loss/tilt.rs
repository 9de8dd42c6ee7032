//! Losses weighted towards large ones, so that what a transform adds up is largest where a small delta is decided.

use super::mechanism::Losses;
use super::window::log_moment_of;
use crate::math;

/// One release's masses under a tilt.
pub(super) struct Tilted {
    pub(super) first: i64,
    pub(super) masses: Vec<f64>,
    /// The logarithm of what they were divided by.
    pub(super) log_sum: f64,
    /// The largest exponent that was taken.
    pub(super) exponent: f64,
}

impl Tilted {
    pub(super) fn new(losses: &Losses, step: f64, tilt: f64) -> Self {
        let first = losses.first;
        if tilt == 0.0 {
            return Self { first, masses: losses.masses.clone(), log_sum: 0.0, exponent: 0.0 };
        }
        let log_sum = log_moment_of(losses, step, tilt);
        let mut exponent = log_sum.abs();
        let masses = losses.masses.iter().zip(first..).map(|(&mass, place)| {
            if mass <= 0.0 {
                return 0.0;
            }
            let power = tilt * place as f64 * step;
            exponent = exponent.max(power.abs());
            math::exp(math::ln(mass) + (power - log_sum))
        });
        let masses = masses.collect();
        Self { first, masses, log_sum, exponent: exponent + MOST_LOGARITHM }
    }
}

// Above the logarithm of any mass.
const MOST_LOGARITHM: f64 = 746.0;
