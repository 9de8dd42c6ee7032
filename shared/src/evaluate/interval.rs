//! Intervals of means over listeners: the listener is what is drawn, as it is the unit of privacy.
//!
//! Over few listeners the interval is the bootstrap's (Efron 1979, percentiles of 1,000 resampled means). From
//! [`NORMAL_FROM`] listeners on it is the normal one, mean ± 1.96 standard errors: by then the two agree to a few
//! hundredths of their width even for a metric that is 0 for 98 listeners of 100, and resampling costs a thousand
//! passes over the listeners.

use crate::random::below;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// From so many listeners on, intervals are normal ones.
pub const NORMAL_FROM: usize = 2000;

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

/// The mean of one value a listener, with its interval.
pub fn mean_interval(values: &[f64], rng: &mut impl Rng) -> Interval {
    mean_intervals(&[values], rng)[0]
}

/// Several metrics of the same listeners, each with its interval, from one set of resamples.
///
/// # Panics
/// Where the metrics are of different numbers of listeners.
pub fn mean_intervals(columns: &[&[f64]], rng: &mut impl Rng) -> Vec<Interval> {
    let n = columns.first().map_or(0, |column| column.len());
    assert!(columns.iter().all(|column| column.len() == n), "metrics are of the same listeners");
    match n {
        0 => vec![Interval { mean: 0.0, low: 0.0, high: 0.0, listeners: 0 }; columns.len()],
        NORMAL_FROM.. => columns.iter().map(|column| normal(column)).collect(),
        _ => bootstrap(columns, n, rng),
    }
}

/// The mean and its standard error.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    // An empty sum is -0, and so is one of zeros alone; nobody wants to read that.
    let mean = values.iter().sum::<f64>() / n + 0.0;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (n * (n - 1.0).max(1.0))).sqrt())
}

fn normal(values: &[f64]) -> Interval {
    let (mean, error) = moments(values);
    Interval { mean, low: mean - Z * error, high: mean + Z * error, listeners: values.len() }
}

// One set of draws serves all metrics; below NORMAL_FROM listeners that is milliseconds, so threads would gain nothing.
fn bootstrap(columns: &[&[f64]], n: usize, rng: &mut impl Rng) -> Vec<Interval> {
    let mut means: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLES); columns.len()];
    let mut drawn = vec![0usize; n];
    for _ in 0..RESAMPLES {
        drawn.iter_mut().for_each(|place| *place = below(rng, n as u64) as usize);
        for (column, means) in columns.iter().zip(&mut means) {
            means.push(drawn.iter().map(|&place| column[place]).sum::<f64>() / n as f64 + 0.0);
        }
    }
    let summed = columns.iter().zip(&mut means);
    summed
        .map(|(column, means)| {
            means.sort_by(f64::total_cmp);
            let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
            Interval { mean: moments(column).0, low: at(0.025), high: at(0.975), listeners: n }
        })
        .collect()
}

const RESAMPLES: usize = 1000;
// The normal distribution's 97.5th percentile.
const Z: f64 = 1.959_963_984_540_054;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    #[test]
    fn the_interval_has_the_width_of_theory() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
        let interval = mean_interval(&values, &mut rng());
        // 1.96 standard errors each way: 2 * 1.96 * .5 / sqrt(1000) = .062.
        assert!((interval.high - interval.low - 0.062).abs() < 0.008, "{interval:?}");
        assert_eq!(mean_interval(&[], &mut rng()).listeners, 0);
        let one = mean_interval(&[0.5], &mut rng());
        assert_eq!((one.low, one.mean, one.high), (0.5, 0.5, 0.5));
    }

    // NDCG@10 of a weak model: 0 for most listeners, and one of ten values for the others.
    #[test]
    fn both_intervals_agree_on_a_skewed_metric_where_one_takes_over() {
        let mut draw = rng();
        for share in [0.02, 0.1, 0.5] {
            let mut value = || if unit_f64(&mut draw) < share { 1.0 / (1.0 + 9.0 * unit_f64(&mut draw)) } else { 0.0 };
            let values: Vec<f64> = (0..NORMAL_FROM).map(|_| value()).collect();
            let (normal, resampled) = (normal(&values), bootstrap(&[&values], values.len(), &mut rng())[0]);
            let width = normal.high - normal.low;
            assert_eq!(normal.mean, resampled.mean);
            for (a, b) in [(normal.low, resampled.low), (normal.high, resampled.high)] {
                assert!((a - b).abs() < 0.06 * width, "{share}: {normal:?} {resampled:?}");
            }
        }
    }

    #[test]
    fn metrics_that_are_drawn_together_are_as_if_drawn_alone() {
        let (a, b): (Vec<f64>, Vec<f64>) = (0..50).map(|i| (f64::from(i % 7), f64::from(i % 3))).unzip();
        let together = mean_intervals(&[&a, &b], &mut rng());
        assert_eq!(together, [mean_interval(&a, &mut rng()), mean_interval(&b, &mut rng())]);
    }
}
