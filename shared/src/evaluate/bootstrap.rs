//! Intervals of means over listeners: the listener is what is drawn, as it is the unit of privacy.
//!
//! Few listeners are resampled (Efron 1979). From [`MANY`] on the mean's own normal law says the same, at no cost.

use crate::random::below;
use rand_core::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean; 0 over nobody.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Listeners in the mean.
    pub listeners: usize,
}

impl Interval {
    const OF_NOBODY: Self = Self { mean: 0.0, low: 0.0, high: 0.0, listeners: 0 };

    // An interval of a mean does not leave the range of what the mean is of.
    fn normal(values: &[f64]) -> Self {
        let (mean, deviation) = mean_and_deviation(values);
        let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), &v| (l.min(v), m.max(v)));
        let half = NORMAL_975 * deviation;
        let (low, high) = ((mean - half).max(least) + 0.0, (mean + half).min(most) + 0.0);
        Self { mean, low: low.min(mean), high: high.max(mean), listeners: values.len() }
    }
}

/// The mean of one value a listener, with its interval.
pub fn bootstrap_mean(values: &[f64], rng: &mut impl Rng) -> Interval {
    bootstrap_means(&[values], rng)[0]
}

/// The means of several figures of the same listeners, with their intervals: 1,000 resamples, drawn once for all figures,
/// where there are fewer listeners than [`MANY`]; normal intervals from there on.
///
/// # Panics
/// Where one figure is of fewer listeners than another.
pub fn bootstrap_means(figures: &[&[f64]], rng: &mut impl Rng) -> Vec<Interval> {
    let n = figures.first().map_or(0, |values| values.len());
    assert!(figures.iter().all(|values| values.len() == n), "figures of the same listeners");
    match n {
        0 => vec![Interval::OF_NOBODY; figures.len()],
        1..MANY => resampled(figures, n, rng),
        _ => figures.par_iter().map(|values| Interval::normal(values)).collect(),
    }
}

/// The mean of values, and the deviation of that mean from sample to sample.
pub(super) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    // An empty sum is -0, and so is one of zeros alone; nobody wants to read that.
    let mean = values.iter().sum::<f64>() / n + 0.0;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / n).sqrt() / n.sqrt())
}

// All draws come from the caller's generator before any sum, so threads change nothing.
fn resampled(figures: &[&[f64]], n: usize, rng: &mut impl Rng) -> Vec<Interval> {
    let mut counts = vec![0u16; RESAMPLES * n];
    for resample in counts.chunks_exact_mut(n) {
        (0..n).for_each(|_| resample[below(rng, n as u64) as usize] += 1);
    }
    let of = |values: &&[f64]| {
        let mut means: Vec<f64> = counts
            .chunks_exact(n)
            .map(|resample| {
                let sum: f64 = resample.iter().zip(*values).map(|(&count, value)| f64::from(count) * value).sum();
                sum / n as f64 + 0.0
            })
            .collect();
        let (low, high) = ends(&mut means);
        Interval { mean: values.iter().sum::<f64>() / n as f64 + 0.0, low, high, listeners: n }
    };
    figures.par_iter().map(of).collect()
}

/// The 95 % percentile interval of resamples.
pub(super) fn ends(resamples: &mut [f64]) -> (f64, f64) {
    resamples.sort_by(f64::total_cmp);
    let at = |share: f64| resamples[((resamples.len() - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

pub(super) const RESAMPLES: usize = 1000;

/// Listeners from which a mean's interval is normal.
///
/// Skewness g moves the ends of a percentile interval by g (1.96^2 - 1) / (6 sqrt n) deviations of the mean: .06 at 2,000
/// listeners of whom one in twenty has a hit (g = 4.1), .11 where one in a hundred has (g = 9.8). Chance alone moves the
/// ends of 1,000 resamples by a deviation of .085.
pub const MANY: usize = 2000;

// Below it 97.5 % of a normal law lie.
const NORMAL_975: f64 = 1.959_963_984_540_054;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn the_interval_has_the_width_of_theory() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
        let interval = bootstrap_mean(&values, &mut rng(1));
        // 1.96 standard errors each way: 2 * 1.96 * .5 / sqrt(1000) = .062.
        assert!((interval.high - interval.low - 0.062).abs() < 0.008, "{interval:?}");
        assert_eq!(bootstrap_mean(&[], &mut rng(1)).listeners, 0);
        assert!(bootstrap_means(&[], &mut rng(1)).is_empty());
    }

    // NDCG@10 of one held-out track: nothing for most listeners, 1/log2(rank + 1) for the rest.
    fn ndcg(listeners: usize, hits: f64, seed: u64) -> Vec<f64> {
        let mut rng = rng(seed);
        let one = |rng: &mut ChaCha8Rng| match unit_f64(rng) < hits {
            true => 1.0 / crate::math::log2(below(rng, 10) as f64 + 2.0),
            false => 0.0,
        };
        (0..listeners).map(|_| one(&mut rng)).collect()
    }

    #[test]
    fn over_many_listeners_the_normal_interval_is_the_bootstraps() {
        for (seed, hits) in [(1, 0.2), (2, 0.05), (3, 0.02)] {
            let values = ndcg(MANY, hits, seed);
            let (_, deviation) = mean_and_deviation(&values);
            let normal = bootstrap_mean(&values, &mut rng(seed));
            // The chance in one bootstrap's ends is as large as what is looked for, so that twenty are averaged.
            let all: Vec<Interval> = (0..20).map(|s| resampled(&[&values], MANY, &mut rng(100 + s))[0]).collect();
            let mean = |of: fn(&Interval) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
            let (low, high) = (mean(|i| i.low), mean(|i| i.high));
            for (ours, theirs) in [(normal.low, low), (normal.high, high)] {
                assert!((ours - theirs).abs() < 0.15 * deviation, "{hits}: {normal:?}, {low} to {high}");
            }
            let (ours, theirs) = (normal.high - normal.low, high - low);
            assert!((ours / theirs - 1.0).abs() < 0.02, "{hits}: {ours} and {theirs} wide");
        }
    }

    #[test]
    fn a_normal_interval_stays_among_the_values() {
        let mut values = vec![0.0; MANY];
        values[7] = 1.0;
        let interval = bootstrap_mean(&values, &mut rng(1));
        assert!(interval.low == 0.0 && interval.high > interval.mean, "{interval:?}");
        let constant = bootstrap_mean(&vec![0.25; MANY], &mut rng(1));
        assert_eq!((constant.low, constant.mean, constant.high), (0.25, 0.25, 0.25));
    }

    #[test]
    fn figures_share_their_resamples_and_threads_change_nothing() {
        let (some, more) = (ndcg(300, 0.2, 4), ndcg(300, 0.4, 5));
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| bootstrap_means(&[&some, &more, &some], &mut rng(9)))
        };
        let alone = on(1);
        assert_eq!(alone[0], alone[2], "the same listeners are drawn for every figure");
        assert_eq!(alone[0], bootstrap_mean(&some, &mut rng(9)));
        assert_eq!(alone, on(7));
    }
}
