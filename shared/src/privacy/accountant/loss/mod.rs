//! Privacy loss distributions: tight epsilons for compositions of anything, as upper bounds.
//!
//! A pair (P, Q) of output laws has the loss `L = ln(dP/dQ)` under P. Losses of independent releases add up, so their
//! laws are convolved, by FFT; then `delta(eps) = P(L = inf) + E[max(0, 1 - e^(eps - L))]`.
//!
//! *Discretisation* connects the dots (Doroshenko, Ghazi, Kamath, Kumar and Manurangsi 2022): each cell's mass goes to
//! the cell's two ends so that its masses under both P and Q are kept. Between the grid's points the hockey-stick curve
//! then is the chord of a convex curve, so never below it. The cells' masses come from distribution functions, not from
//! differences of deltas, which would cancel.
//!
//! *Both directions* are composed on their own and the larger epsilon counts: under composition a direction that
//! dominates in one step need not dominate in all (Lebeda, Regehr, Kamath and Steinke 2024).
//!
//! *Small deltas*: where rounding would count beside delta, all is composed once more with losses tilted by an order of
//! Chernoff's bound, so that the transforms are exact where the losses are that delta is about.
//!
//! *What is added on top*: the tail beyond the window by Chernoff's bound, what each step leaves out, and a bound on the
//! rounding errors of the transforms. All go to infinite loss.

mod compose;
mod mechanism;
mod tilt;
mod window;

pub use mechanism::Mechanism;

use compose::Composed;

/// Releases of one history, in both directions.
#[derive(Clone, Debug)]
pub struct PrivacyLoss {
    directions: [Composed; 2],
}

impl PrivacyLoss {
    /// Composes each mechanism as often as said. `delta` is the delta of interest: the window is cut where what it leaves
    /// out is far below it.
    pub fn compose(history: &[(Mechanism, u64)], delta: f64) -> Self {
        Self { directions: compose::compose(history, delta) }
    }

    /// The least epsilon with this delta; infinite where no finite one has it.
    pub fn epsilon(&self, delta: f64) -> f64 {
        self.directions.iter().map(|composed| composed.epsilon(delta)).fold(0.0, f64::max)
    }

    /// The least delta with this epsilon; a loose bound far below the epsilon that has the delta of interest.
    pub fn delta(&self, epsilon: f64) -> f64 {
        self.directions.iter().map(|composed| composed.delta(epsilon)).fold(0.0, f64::max)
    }
}

/// Epsilon of a history at this delta; never below the true one.
pub fn epsilon(history: &[(Mechanism, u64)], delta: f64) -> f64 {
    PrivacyLoss::compose(history, delta).epsilon(delta)
}

#[cfg(test)]
mod tests {
    use super::super::gaussian;
    use super::*;
    use crate::math;

    fn poisson(rate: f64, noise_multiplier: f64) -> Mechanism {
        Mechanism::PoissonGaussian { rate, noise_multiplier }
    }

    // At rate 1 the exact curve of Balle and Wang is known.
    #[test]
    fn without_sampling_it_is_the_analytic_gaussian() {
        for (z, steps, delta) in [(1.0, 1, 1e-6), (5.0, 100, 1e-5), (20.0, 1000, 1e-8), (0.5, 1, 1e-5)] {
            let exact = gaussian::epsilon(&vec![z; steps as usize], delta);
            let got = epsilon(&[(poisson(1.0, z), steps)], delta);
            assert!(got >= exact * (1.0 - 1e-9) && got <= exact * 1.001, "z {z}, {steps} steps: {got} {exact}");
        }
    }

    #[test]
    fn pure_mechanisms_stay_within_their_pure_epsilon() {
        // A loss that lies on the grid's own points is no special case.
        let one = epsilon(&[(Mechanism::Laplace { scale: 1.0 }, 1)], 1e-6);
        assert!(one <= 1.0001 && one > 0.9999, "{one}");
        for steps in [1u64, 10] {
            let laplace = epsilon(&[(Mechanism::Laplace { scale: 2.0 }, steps)], 1e-6);
            assert!(laplace <= 0.5 * steps as f64 * 1.0001 && laplace > 0.45 * steps as f64, "{laplace}");
            let response = epsilon(&[(Mechanism::RandomisedResponse { noise: 0.5, choices: 2 }, steps)], 1e-6);
            assert!((response / (math::ln(3f64) * steps as f64) - 1.0).abs() < 1e-3, "{response}");
        }
    }

    // Randomised response has three losses, -l, 0 and l, so the composition is a lattice walk that can be added up exactly.
    #[test]
    fn many_releases_of_few_outcomes_are_exact() {
        let cases = [(0.787_755_455_370_036_4, 2u32, 50usize), (0.621_625_357_403_308, 10, 1000)];
        for ((noise, choices, steps), (target, close)) in
            cases.into_iter().flat_map(|case| [(case, (1e-6, 0.9999)), (case, (1e-13, 0.999))])
        {
            let lie = noise / f64::from(choices);
            let (truth, rest) = (1.0 - noise + lie, f64::from(choices - 2) * lie);
            let mut walk = vec![1.0];
            for _ in 0..steps {
                let mut next = vec![0.0; walk.len() + 2];
                for (i, mass) in walk.iter().enumerate() {
                    next[i] += mass * lie;
                    next[i + 1] += mass * rest;
                    next[i + 2] += mass * truth;
                }
                walk = next;
            }
            let loss = |i: usize| (i as f64 - steps as f64) * math::ln(truth / lie);
            let delta = |e: f64| -> f64 {
                walk.iter().enumerate().filter(|(i, _)| loss(*i) > e).map(|(i, m)| m * -math::exp_m1(e - loss(i))).sum()
            };
            let got = epsilon(&[(Mechanism::RandomisedResponse { noise, choices }, steps as u64)], target);
            assert!(delta(got) <= target && delta(got * close) > target, "{steps}: {got}, {}", delta(got));
        }
    }

    // So are those of discrete Laplace noise, -a s, -a (s - 2) ... a s: its epsilon by adding up, and by bisection.
    fn exact_discrete_laplace(scale: f64, sensitivity: usize, steps: usize, target: f64) -> f64 {
        let a = 1.0 / scale;
        let centre = math::tanh(0.5 * a);
        let mut one = vec![0.0; sensitivity + 1];
        one[sensitivity] = (1.0 + centre) / 2.0;
        one[0] = math::exp(-a * sensitivity as f64) * one[sensitivity];
        (1..sensitivity).for_each(|k| one[sensitivity - k] = centre * math::exp(-a * k as f64));
        let mut walk = vec![1.0];
        for _ in 0..steps {
            let mut next = vec![0.0; walk.len() + sensitivity];
            for (i, mass) in walk.iter().enumerate() {
                one.iter().enumerate().for_each(|(j, p)| next[i + j] += mass * p);
            }
            walk = next;
        }
        let loss = |i: usize| a * (2.0 * i as f64 - (steps * sensitivity) as f64);
        let delta = |e: f64| -> f64 {
            walk.iter().enumerate().filter(|(i, _)| loss(*i) > e).map(|(i, m)| m * -math::exp_m1(e - loss(i))).sum()
        };
        let (mut low, mut high) = (0.0, loss(walk.len() - 1));
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if delta(middle) > target { low = middle } else { high = middle }
        }
        high
    }

    // The outermost losses of many releases lie far out of a window that was found with wider cells, unless it has room for
    // them.
    #[test]
    fn discrete_laplace_is_exact() {
        // By mpmath with 50 digits.
        let known = exact_discrete_laplace(4.159, 4, 23, 1.04e-4);
        assert!((known - 19.556_208_778_559_7).abs() < 1e-9, "{known}");
        for scale in [0.7, 1.0, 4.159, 13.3] {
            for (sensitivity, steps) in [(1, 1), (1, 40), (2, 7), (3, 100), (4, 23), (5, 2), (7, 60)] {
                for target in [1e-2, 1.04e-4, 1e-6, 1e-12] {
                    let exact = exact_discrete_laplace(scale, sensitivity, steps, target);
                    let mechanism =
                        Mechanism::DiscreteLaplace { inverse_scale: 1.0 / scale, sensitivity: sensitivity as u32 };
                    let got = epsilon(&[(mechanism, steps as u64)], target);
                    assert!(
                        got >= exact * (1.0 - 1e-9) && got <= exact * 1.001 + 1e-6,
                        "scale {scale}, sensitivity {sensitivity}, {steps} steps, delta {target}: {got}, not {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn small_deltas_over_many_releases_are_tight() {
        // The known ones are of the larger direction, by FFT without a tilt in 80-bit floating point, on 2^20 cells of 7.2e-5:
        // rounding is below 1e-14, and half the cells change the seventh digit. In the last two a tilt of the order of Chernoff's
        // bound would lift what wraps around above delta.
        for (rate, z, steps, delta, known) in [
            (0.020_796, 0.714_49, 1835, 1.917e-10, 18.702_770),
            (0.004_355_952_875_525_228, 0.688_583_488_439_163_3, 2470, 9.119_290_809_811_67e-11, 6.446_757),
            (0.124_873_131_960_009_13, 1.207_824_952_070_242_2, 15, 5.433_147_911_056_97e-11, 5.340_977),
        ] {
            let got = epsilon(&[(poisson(rate, z), steps)], delta);
            assert!(
                got > known * (1.0 - 1e-6) && got < known * 1.001,
                "rate {rate}, {steps} steps: {got}, not {known}"
            );
        }
        for (z, steps, delta) in [(50.0, 5000, 1e-12), (20.0, 1000, 1e-14), (100.0, 100_000, 1e-11), (0.9, 3, 1e-13)] {
            let exact = gaussian::epsilon(&[z / (steps as f64).sqrt()], delta);
            let got = epsilon(&[(poisson(1.0, z), steps)], delta);
            assert!(got >= exact * (1.0 - 1e-9) && got <= exact * 1.001, "z {z}, {steps} steps: {got}, not {exact}");
        }
    }

    #[test]
    fn it_is_monotone() {
        let at = |rate, z, steps| epsilon(&[(poisson(rate, z), steps)], 1e-6);
        let base = at(0.01, 1.0, 100);
        assert!(at(0.02, 1.0, 100) > base && at(0.01, 1.1, 100) < base && at(0.01, 1.0, 110) > base);
        let loss = PrivacyLoss::compose(&[(poisson(0.01, 1.0), 100)], 1e-6);
        assert!(loss.epsilon(1e-5) < loss.epsilon(1e-6));
        assert!(loss.delta(base * 1.0001) <= 1e-6 && loss.delta(base * 0.9) > 1e-6);
    }

    #[test]
    fn mixed_histories_cost_more_than_their_parts_and_less_than_the_sum() {
        let (a, b) = (poisson(0.01, 1.0), Mechanism::Laplace { scale: 3.0 });
        let mixed = epsilon(&[(a, 200), (b, 5)], 1e-6);
        let (alone_a, alone_b) = (epsilon(&[(a, 200)], 1e-6), epsilon(&[(b, 5)], 1e-6));
        assert!(mixed > alone_a.max(alone_b) && mixed < alone_a + alone_b, "{mixed} {alone_a} {alone_b}");
        let split = epsilon(&[(a, 150), (a, 50)], 1e-6);
        assert!((split / alone_a - 1.0).abs() < 1e-6);
    }

    #[test]
    fn nothing_costs_nothing_and_no_noise_costs_everything() {
        assert_eq!(epsilon(&[], 1e-6), 0.0);
        assert_eq!(epsilon(&[(poisson(0.5, 1.0), 0)], 1e-6), 0.0);
        assert_eq!(epsilon(&[(poisson(0.5, 0.0), 1)], 1e-6), f64::INFINITY);
        assert_eq!(epsilon(&[(poisson(0.0, 1.0), 50)], 1e-6), 0.0);
    }
}
