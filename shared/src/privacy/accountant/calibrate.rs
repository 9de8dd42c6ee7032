//! Calibration: from a wanted epsilon back to the noise that keeps it.

use crate::math;

/// Which way a cost goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// More noise costs less.
    Falls,
    /// The number is itself a cost, such as a rho: more of it costs more.
    Rises,
}

/// The least noise whose cost is at most `target` (or the largest number, where it is a cost itself), to one part in a
/// million and rounded to six significant places in the direction that holds. The cost of the very number returned has been
/// computed and is at most the target. Searched between `range.0` and `range.1`; `None` where nothing there holds.
pub fn calibrate(target: f64, cost: impl Fn(f64) -> f64, direction: Cost, range: (f64, f64)) -> Option<f64> {
    let holds = |noise: f64| cost(noise) <= target;
    let inside = |noise: f64| noise > range.0 && noise < range.1;
    let factor = match direction {
        Cost::Falls => 2.0,
        Cost::Rises => 0.5,
    };
    // From the middle (1, where the range has no upper end near it) in steps of two until one side holds and one does not.
    let mut good = if range.1 <= 1.0 { 0.5 * range.1 } else { 1.0 };
    while !holds(good) {
        good *= factor;
        if !inside(good) {
            // The end itself, from within, is the last hope of a range that is not open.
            good = if direction == Cost::Falls { range.1 * (1.0 - 1e-9) } else { range.0 * (1.0 + 1e-9) };
            if !holds(good) {
                return None;
            }
            break;
        }
    }
    let mut bad = good / factor;
    while inside(bad) && holds(bad) {
        good = bad;
        bad /= factor;
    }
    while (good / bad - 1.0).abs() > 1e-6 {
        let middle = 0.5 * (good + bad);
        if holds(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    let places = 1e6f64.max(math::powf(10f64, 6.0 - math::log10(good).floor()));
    let rounded = match direction {
        Cost::Falls => (good * places).ceil() / places,
        Cost::Rises => (good * places).floor() / places,
    };
    (inside(rounded) && holds(rounded)).then_some(rounded)
}

#[cfg(test)]
mod tests {
    use super::super::{gaussian, loss, zcdp};
    use super::*;

    const WIDE: (f64, f64) = (1e-9, 1e9);

    #[test]
    fn what_it_returns_holds_and_a_little_less_noise_does_not() {
        for target in [0.01, 0.5, 2.0, 30.0] {
            let costs: [&dyn Fn(f64) -> f64; 3] = [
                &|z| gaussian::epsilon(&[z], 1e-6),
                &|z| {
                    let mechanism = loss::Mechanism::PoissonGaussian { rate: 0.02, noise_multiplier: z };
                    loss::epsilon(&[(mechanism, 200)], 1e-6)
                },
                &|scale| loss::epsilon(&[(loss::Mechanism::Laplace { scale }, 3)], 1e-6),
            ];
            for cost in costs {
                let noise = calibrate(target, cost, Cost::Falls, WIDE).expect("some noise");
                assert!(cost(noise) <= target && cost(noise * 0.9999) > target * 0.9995, "{target} {noise}");
            }
            let rho = calibrate(target, |rho| zcdp::epsilon(rho, 1e-6), Cost::Rises, WIDE).expect("some budget");
            assert!(zcdp::epsilon(rho, 1e-6) <= target && (rho / zcdp::rho(target, 1e-6) - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn closed_ranges_and_impossible_targets() {
        let response = |noise| loss::epsilon(&[(loss::Mechanism::RandomisedResponse { noise, choices: 2 }, 1)], 1e-6);
        for target in [0.01, 1.0, 5.0] {
            let noise = calibrate(target, response, Cost::Falls, (0.0, 1.0)).expect("some noise");
            assert!(noise < 1.0 && response(noise) <= target && response(noise) > 0.99 * target, "{target} {noise}");
        }
        assert_eq!(calibrate(1.0, |_| f64::INFINITY, Cost::Falls, WIDE), None);
        assert_eq!(calibrate(1.0, |_| f64::NAN, Cost::Falls, WIDE), None);
    }
}
