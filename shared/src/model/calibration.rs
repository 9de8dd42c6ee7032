//! From a ranker's probabilities to such as come true: isotonic regression on private counts.

use crate::workload::RateEstimate;

/// A rising curve from probabilities to probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    // Corners, both coordinates rising.
    corners: Vec<(f32, f32)>,
}

impl Calibration {
    /// From counts in equal steps of probability: neighbouring steps are pooled until rates rise (Ayer et al. 1955), each
    /// weighted by how often it was shown; steps that were hardly shown are pooled all the same.
    pub fn new(counts: &RateEstimate) -> Self {
        let steps = counts.cells.len() as f64;
        // Each pool: sums of shown, of shown x middle of the step, of what pleased.
        let mut pools: Vec<[f64; 3]> = Vec::new();
        for (step, cell) in counts.cells.iter().enumerate() {
            let shown = cell.shown.max(0.0);
            let pleased = cell.surplus + counts.shrinkage.mean * cell.shown;
            pools.push([shown, shown * (step as f64 + 0.5) / steps, pleased.clamp(0.0, shown)]);
            while let [.., before, last] = pools[..]
                && (last[0] < LEAST_SHOWN || before[0] < LEAST_SHOWN || before[2] / before[0] >= last[2] / last[0])
            {
                pools.pop();
                let pool = pools.last_mut().expect("there were two");
                pool.iter_mut().zip(last).for_each(|(sum, more)| *sum += more);
            }
        }
        let corners = pools
            .into_iter()
            .filter(|pool| pool[0] > 0.0)
            .map(|[shown, at, pleased]| ((at / shown) as f32, (pleased / shown) as f32))
            .collect();
        Self { corners }
    }

    /// The calibrated probability: straight lines between the corners, the ends held; without counts what came in.
    pub fn apply(&self, probability: f32) -> f32 {
        let after = self.corners.partition_point(|corner| corner.0 < probability);
        match (after.checked_sub(1).and_then(|at| self.corners.get(at)), self.corners.get(after)) {
            (Some(&(x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (probability - x0) / (x1 - x0),
            (Some(&(_, end)), None) | (None, Some(&(_, end))) => end,
            (None, None) => probability,
        }
    }
}

const LEAST_SHOWN: f64 = 30.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Counted, Shrinkage};

    fn counts(cells: &[(f64, f64)]) -> RateEstimate {
        let cells = cells.iter().map(|&(shown, rate)| Counted { shown, surplus: shown * (rate - 0.5), variance: 0.0 });
        RateEstimate { shrinkage: Shrinkage { mean: 0.5, spread: 0.01 }, cells: cells.collect() }
    }

    #[test]
    fn steps_that_fall_are_pooled() {
        let calibration = Calibration::new(&counts(&[(100.0, 0.1), (100.0, 0.5), (100.0, 0.3), (100.0, 0.8)]));
        // Middles .125, (.375 + .625) / 2, .875.
        assert_eq!(calibration.corners.len(), 3);
        for (probability, expected) in [(0.0, 0.1), (0.125, 0.1), (0.5, 0.4), (0.6875, 0.6), (0.99, 0.8)] {
            assert!((calibration.apply(probability) - expected).abs() < 1e-6, "{probability}");
        }
        let rising = (0..100).map(|i| calibration.apply(i as f32 / 100.0)).collect::<Vec<_>>();
        assert!(rising.is_sorted());
    }

    #[test]
    fn hardly_shown_steps_decide_nothing() {
        let calibration =
            Calibration::new(&counts(&[(1.0, 1.0), (1000.0, 0.2), (0.0, 0.5), (1000.0, 0.6), (2.0, 0.0)]));
        assert_eq!(calibration.corners.len(), 2);
        assert_eq!(Calibration::new(&counts(&[(0.0, 0.0); 4])).apply(0.7), 0.7);
    }
}
