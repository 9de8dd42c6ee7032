//! What is known of both arms: sums of releases so far, and the estimates that follow.

use serde::{Deserialize, Serialize};
use sordino_shared::math;
use sordino_shared::rollout::CellSums;

/// What a candidate must not spoil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// The share of tracks that are skipped.
    SkipRate,
    /// NDCG@10 of what is played in the list that was served.
    Ndcg,
    /// A return within 24 hours.
    Return,
    /// A day with a crash.
    Crash,
    /// The share of inferences over 50 ms.
    Slow,
    /// A model that does not load.
    LoadFailure,
    /// The skip rate of the listeners that are served worst, a tenth of them.
    WorstSkipRate,
}

impl Guardrail {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::SkipRate, Self::Ndcg, Self::Return, Self::Crash, Self::Slow, Self::LoadFailure, Self::WorstSkipRate];

    /// Its name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipRate => "skip rate",
            Self::Ndcg => "NDCG@10",
            Self::Return => "return within a day",
            Self::Crash => "crash in a day",
            Self::Slow => "slow inferences",
            Self::LoadFailure => "load failure",
            Self::WorstSkipRate => "skip rate of the worst served",
        }
    }

    /// Whether more of it is harm.
    pub fn is_harm(self) -> bool {
        !matches!(self, Self::Ndcg | Self::Return)
    }

    /// The margin by which it may be worse where nothing else is said.
    pub fn margin(self) -> f64 {
        match self {
            Self::SkipRate | Self::Ndcg => 0.01,
            Self::Return => 0.015,
            Self::Crash | Self::LoadFailure => 0.001,
            Self::Slow => 0.005,
            Self::WorstSkipRate => 0.02,
        }
    }

    fn value(self) -> usize {
        match self {
            Self::SkipRate | Self::WorstSkipRate => 0,
            Self::Ndcg => 1,
            Self::Return => 2,
            Self::Crash => 3,
            Self::Slow => 4,
            Self::LoadFailure => 5,
        }
    }
}

/// Both arms so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Treatment and control, each by listeners who are served worst and the rest.
    pub arms: [[CellSums; 2]; 2],
    /// Releases that are added up.
    pub releases: u32,
    /// The variance of the noise in each value, over all releases.
    pub noise_variance: f64,
}

/// One guardrail's estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// In the treatment arm.
    pub treatment: f64,
    /// In the control arm.
    pub control: f64,
    /// How much better the treatment is, whatever direction that is.
    pub good: f64,
    /// The standard error of `good`: sampling and the sums' noise.
    pub error: f64,
}

// Mean and variance over devices of one value.
fn moments(cell: &CellSums, value: usize) -> (f64, f64) {
    let n = cell.count.max(1.0);
    let mean = cell.values[value] / n;
    let variance = match cell.squares.get(value) {
        Some(squares) => squares / n - mean * mean,
        // A rate of a few in a thousand may well be seen as none: half a device keeps its variance above 0.
        None => {
            let rate = (cell.values[value].clamp(0.0, n) + 0.5) / (n + 1.0);
            rate * (1.0 - rate)
        }
    };
    (mean, variance.clamp(0.0, 0.25))
}

impl Observed {
    /// With one more release, whose values have noise of variance `noise_variance` each.
    pub fn and(&self, release: &[[CellSums; 2]; 2], noise_variance: f64) -> Self {
        Self {
            arms: std::array::from_fn(|arm| {
                std::array::from_fn(|group| self.arms[arm][group].and(&release[arm][group]))
            }),
            releases: self.releases + 1,
            noise_variance: self.noise_variance + noise_variance,
        }
    }

    /// Devices in the smaller arm, by noised count.
    pub fn devices(&self) -> f64 {
        let count = |arm: usize| self.arms[arm].iter().map(|cell| cell.count).sum::<f64>();
        count(0).min(count(1))
    }

    /// The squared distance of the arms' sizes in its own deviations: chi-squared with one degree where devices fall into arms alike.
    pub fn imbalance(&self) -> f64 {
        let count = |arm: usize| self.arms[arm].iter().map(|cell| cell.count).sum::<f64>();
        let (treatment, control) = (count(0), count(1));
        // Each count is two cells' noise.
        let variance = (treatment + control).max(1.0) + 4.0 * self.noise_variance;
        math::powi(treatment - control, 2) / variance
    }

    /// The estimate of a guardrail.
    ///
    /// `error^2 = s_t^2/n_t + s_c^2/n_c + v ((1 + y_t^2)/n_t^2 + (1 + y_c^2)/n_c^2)`, v being the noise's variance in each sum: the mean is a
    /// ratio of noised sums, and the noise of its count counts too.
    pub fn estimate(&self, guardrail: Guardrail) -> Estimate {
        let (groups, cells) = match guardrail {
            Guardrail::WorstSkipRate => (1.0, [self.arms[0][0], self.arms[1][0]]),
            _ => (2.0, [0, 1].map(|arm| self.arms[arm][0].and(&self.arms[arm][1]))),
        };
        let noise = groups * self.noise_variance;
        let value = guardrail.value();
        let part = |cell: &CellSums| {
            let (n, (mean, variance)) = (cell.count.max(1.0), moments(cell, value));
            (mean, variance / n + noise * (1.0 + mean * mean) / (n * n))
        };
        let ((treatment, a), (control, b)) = (part(&cells[0]), part(&cells[1]));
        let sign = if guardrail.is_harm() { -1.0 } else { 1.0 };
        Estimate { treatment, control, good: sign * (treatment - control), error: (a + b).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(count: f64, skip: f64, crash: f64) -> CellSums {
        let mut values = [0.0; 6];
        (values[0], values[3]) = (count * skip, count * crash);
        // Deviation .25.
        CellSums { count, values, squares: [count * (skip * skip + 0.0625), 0.0] }
    }

    #[test]
    fn errors_by_hand() {
        let release = [[cell(200.0, 0.8, 0.0), cell(800.0, 0.4, 0.01)], [cell(200.0, 0.7, 0.0), cell(800.0, 0.4, 0.0)]];
        let observed = Observed::default().and(&release, 100.0);
        let skip = observed.estimate(Guardrail::SkipRate);
        assert!((skip.treatment - 0.48).abs() < 1e-12 && (skip.control - 0.46).abs() < 1e-12);
        assert!((skip.good + 0.02).abs() < 1e-12, "more skips are harm");
        // Within an arm the groups differ: .0625 + .8 * .2 * .4^2.
        let variance = [0.0625 + 0.16 * 0.16, 0.0625 + 0.16 * 0.09];
        let noise = 200.0 * ((1.0 + math::powi(0.48f64, 2)) + (1.0 + math::powi(0.46f64, 2))) / 1e6;
        let expected = (variance[0] / 1000.0 + variance[1] / 1000.0 + noise).sqrt();
        assert!((skip.error - expected).abs() < 1e-9, "{} {expected}", skip.error);
        let worst = observed.estimate(Guardrail::WorstSkipRate);
        assert!((worst.good + 0.1).abs() < 1e-12);
        assert!(worst.error > (2.0 * 0.0625 / 200.0 + 100.0 * 2.0 * 1.5 / 4e4f64).sqrt());
        let crash = observed.estimate(Guardrail::Crash);
        assert!((crash.good + 0.008).abs() < 1e-12 && crash.error > (2.0 * 200.0 / 1e6f64).sqrt());
    }

    #[test]
    fn arms_of_one_size_are_balanced_and_others_not() {
        let even = [[cell(10.0, 0.1, 0.0), cell(990.0, 0.1, 0.0)], [cell(10.0, 0.1, 0.0), cell(1020.0, 0.1, 0.0)]];
        assert!(Observed::default().and(&even, 0.0).imbalance() < 1.0);
        let uneven = [[cell(10.0, 0.1, 0.0), cell(990.0, 0.1, 0.0)], [cell(10.0, 0.1, 0.0), cell(1300.0, 0.1, 0.0)]];
        assert!(Observed::default().and(&uneven, 0.0).imbalance() > 11.0);
        assert!(Observed::default().and(&uneven, 1e5).imbalance() < 1.0, "noise may look like that");
    }
}
