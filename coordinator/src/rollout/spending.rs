//! Bounds of a group-sequential test: how high Z must be at each look, so that looking often does not raise the error.
//!
//! The error is spent as Lan and DeMets (1983) have it in the manner of O'Brien and Fleming (1979),
//! `alpha(t) = 2 - 2 Phi(z_(1 - alpha/2) / sqrt t)`, t being the share of the planned information: little early, most at the end.
//! Bounds follow by numerical integration of the score's density (Armitage, McPherson and Rowe 1969).

use super::normal::{bisect, density, upper_quantile, upper_tail};
use std::collections::BTreeMap;

/// The error spent by a share of the information, one-sided.
pub fn spent(alpha: f64, share: f64) -> f64 {
    if share <= 0.0 {
        return 0.0;
    }
    (2.0 * upper_tail(upper_quantile(alpha / 2.0) / share.min(1.0).sqrt())).min(alpha)
}

/// The bound of Z at each look, whose shares of the planned information ascend.
///
/// # Panics
/// Where the shares do not ascend from above 0 to at most 1.
pub fn bounds(alpha: f64, shares: &[f64]) -> Vec<f64> {
    assert!(shares.windows(2).all(|pair| pair[0] < pair[1]), "information only grows");
    assert!(shares.first().is_none_or(|s| *s > 0.0) && shares.last().is_none_or(|s| *s <= 1.0 + 1e-12), "shares of 1");
    let mut density_before: Option<Density> = None;
    let (mut before, mut spent_before) = (0.0, 0.0);
    let mut bounds = Vec::with_capacity(shares.len());
    for &share in shares {
        let now = spent(alpha, share);
        let fresh = now - spent_before;
        let bound = match &density_before {
            None => upper_quantile(fresh) * share.sqrt(),
            Some(density) => density.solve(fresh, share - before),
        };
        density_before = Some(match density_before {
            None => Density::first(share, bound),
            Some(density) => density.next(share, share - before, bound),
        });
        bounds.push(bound / share.sqrt());
        (before, spent_before) = (share, now);
    }
    bounds
}

/// Bounds that were solved for before, since each is a few milliseconds of integration and plans are kept to mostly.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<(u64, Vec<u64>), f64>);

impl Known {
    /// The bound of Z at the last of these looks, as [`bounds`] has it.
    pub fn last_bound(&mut self, alpha: f64, shares: &[f64]) -> f64 {
        let key = (alpha.to_bits(), shares.iter().map(|share| share.to_bits()).collect());
        let last = || bounds(alpha, shares).last().copied().unwrap_or(f64::INFINITY);
        *self.0.entry(key).or_insert_with(last)
    }
}

/// The density of the score Z sqrt t, cut where the test has ended, at even points with Simpson's weights.
struct Density {
    points: Vec<f64>,
    values: Vec<f64>,
}

impl Density {
    fn points(share: f64, bound: f64) -> Vec<f64> {
        let low = -REACH * share.sqrt();
        (0..POINTS).map(|at| low + (bound - low) * at as f64 / (POINTS - 1) as f64).collect()
    }

    fn first(share: f64, bound: f64) -> Self {
        let points = Self::points(share, bound);
        let root = share.sqrt();
        let values = points.iter().map(|s| density(s / root) / root).collect();
        Self { points, values }
    }

    fn next(&self, share: f64, step: f64, bound: f64) -> Self {
        let points = Self::points(share, bound);
        let root = step.sqrt();
        let values = points.iter().map(|s| self.integrate(|u| density((s - u) / root) / root)).collect();
        Self { points, values }
    }

    // Where the chance to be above after one more step is what there is to spend.
    fn solve(&self, fresh: f64, step: f64) -> f64 {
        let root = step.sqrt();
        bisect((-REACH, REACH), |bound| self.integrate(|u| upper_tail((bound - u) / root)) > fresh)
    }

    fn integrate(&self, of: impl Fn(f64) -> f64) -> f64 {
        let last = self.points.len() - 1;
        let width = (self.points[last] - self.points[0]) / last as f64;
        let weight = |at: usize| match at {
            0 => 1.0,
            at if at == last => 1.0,
            at if at % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let terms = self.points.iter().zip(&self.values).enumerate();
        terms.map(|(at, (u, value))| weight(at) * value * of(*u)).sum::<f64>() * width / 3.0
    }
}

const POINTS: usize = 401;
const REACH: f64 = 8.5;

#[cfg(test)]
mod tests {
    use super::*;

    // Jennison and Turnbull (2000), table 7.1 has the second row to three places; the first is from an independent program.
    #[test]
    fn bounds_are_the_textbooks() {
        let shares = [0.2, 0.4, 0.6, 0.8, 1.0];
        for (alpha, expected) in
            [(0.05, [4.229, 2.888, 2.298, 1.962, 1.740]), (0.025, [4.877, 3.357, 2.680, 2.290, 2.031])]
        {
            let bounds = bounds(alpha, &shares);
            assert!(bounds.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-3), "{bounds:?}");
        }
        let spent_: Vec<f64> = shares.iter().map(|&share| spent(0.05, share)).collect();
        assert!(
            (spent_[0] - 1.17e-5).abs() < 1e-7 && (spent_[3] - 0.0284).abs() < 1e-4 && (spent_[4] - 0.05).abs() < 1e-12
        );
    }

    #[test]
    fn one_look_is_the_plain_test_and_uneven_looks_spend_as_much() {
        assert!((bounds(0.05, &[1.0])[0] - 1.644_854).abs() < 1e-5);
        // Two looks at nearly the same time: the second has next to nothing more to spend.
        let close = bounds(0.05, &[0.5, 0.500_1]);
        assert!(close[1] > close[0] - 1e-3, "{close:?}");
    }
}
