//! Bootstrap intervals over listeners (Efron 1979): the listener is what is drawn, as it is the unit of privacy.

use crate::random::below;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// A mean with its 95 % percentile interval.
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

/// The mean of one value a listener, with its interval from 1,000 resamples.
pub fn bootstrap_mean(values: &[f64], rng: &mut impl Rng) -> Interval {
    let n = values.len();
    if n == 0 {
        return Interval { mean: 0.0, low: 0.0, high: 0.0, listeners: 0 };
    }
    // An empty sum is -0, and so is one of zeros alone; nobody wants to read that.
    let mean = values.iter().sum::<f64>() / n as f64 + 0.0;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..n).map(|_| values[below(rng, n as u64) as usize]).sum::<f64>() / n as f64 + 0.0)
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Interval { mean, low: at(0.025), high: at(0.975), listeners: n }
}

const RESAMPLES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn the_interval_has_the_width_of_theory() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
        let interval = bootstrap_mean(&values, &mut ChaCha8Rng::seed_from_u64(1));
        // 1.96 standard errors each way: 2 * 1.96 * .5 / sqrt(1000) = .062.
        assert!((interval.high - interval.low - 0.062).abs() < 0.008, "{interval:?}");
        assert_eq!(bootstrap_mean(&[], &mut ChaCha8Rng::seed_from_u64(1)).listeners, 0);
    }
}
