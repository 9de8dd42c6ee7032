//! How unequally a metric falls on groups of listeners.

use super::bootstrap::{MANY, RESAMPLES, ends, mean_and_deviation};
use super::{Interval, bootstrap_mean};
use crate::random::{below, unit_f64};
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// A metric by group, and how far the groups are apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// The metric in each group.
    pub parts: Vec<Interval>,
    /// The best group's mean less the worst's; its interval is that of resampled groups, or where a group has many listeners, of its
    /// mean's normal law. Sampling alone puts it above 0: read it beside the groups' own intervals.
    pub gap: Interval,
}

impl Groups {
    /// Of one value a listener and each listener's group.
    pub fn new(values: &[f64], group_of: &[usize], groups: usize, rng: &mut impl Rng) -> Self {
        let mut members: Vec<Vec<f64>> = vec![Vec::new(); groups];
        values.iter().zip(group_of).for_each(|(&value, &group)| members[group].push(value));
        let parts: Vec<Interval> = members.iter().map(|values| bootstrap_mean(values, rng)).collect();
        members.retain(|values| !values.is_empty());
        let laws: Vec<(f64, f64)> = members.iter().map(|values| mean_and_deviation(values)).collect();
        let mut gaps: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                spread(members.iter().zip(&laws).map(|(values, &(mean, deviation))| match values.len() {
                    MANY.. => mean + deviation * standard_normal(rng),
                    n => (0..n).map(|_| values[below(rng, n as u64) as usize]).sum::<f64>() / n as f64,
                }))
            })
            .collect();
        let (low, high) = ends(&mut gaps);
        let mean = spread(members.iter().map(|values| values.iter().sum::<f64>() / values.len() as f64));
        Self { parts, gap: Interval { mean, low, high, listeners: values.len() } }
    }

    /// The worst group's mean over the best's; 1 where nothing is apart.
    pub fn worst_to_best(&self) -> f64 {
        let means = || self.parts.iter().filter(|part| part.listeners > 0).map(|part| part.mean);
        let best = means().fold(0.0, f64::max);
        if best > 0.0 { means().fold(f64::INFINITY, f64::min) / best } else { 1.0 }
    }
}

/// Thirds by a value, the least first; equal values in the order of listeners.
pub fn thirds(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    let mut group = vec![0; values.len()];
    order.iter().enumerate().for_each(|(place, &at)| group[at] = place * 3 / values.len());
    group
}

fn spread(means: impl Iterator<Item = f64>) -> f64 {
    let (least, most) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
    if most >= least { most - least } else { 0.0 }
}

// Box and Muller 1958.
fn standard_normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle) = (1.0 - unit_f64(rng), unit_f64(rng));
    (-2.0 * libm::log(radius)).sqrt() * libm::cos(std::f64::consts::TAU * angle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn groups_by_hand() {
        let group_of = thirds(&[5.0, 1.0, 3.0, 9.0, 2.0, 7.0]);
        assert_eq!(group_of, [1, 0, 1, 2, 0, 2]);
        let values = [0.5, 0.2, 0.5, 0.8, 0.2, 0.8];
        let groups = Groups::new(&values, &group_of, 3, &mut ChaCha8Rng::seed_from_u64(1));
        assert!((groups.gap.mean - 0.6).abs() < 1e-12 && (groups.gap.low - 0.6).abs() < 1e-12);
        assert!((groups.worst_to_best() - 0.25).abs() < 1e-12);
        assert_eq!(groups.parts.iter().map(|part| part.listeners).collect::<Vec<_>>(), [2, 2, 2]);
        let alone = Groups::new(&[0.5], &[2], 3, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!((alone.gap.mean, alone.worst_to_best()), (0.0, 1.0));
    }
    // Two groups far apart: their gap is a difference of two means, whose law is known.
    #[test]
    fn the_gap_of_large_groups_is_as_wide_as_that_of_small_ones_says() {
        for size in [MANY / 2, MANY] {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let group_of: Vec<usize> = (0..2 * size).map(|listener| listener % 2).collect();
            let hit = |chance: f64, rng: &mut ChaCha8Rng| f64::from(u8::from(unit_f64(rng) < chance));
            let values: Vec<f64> = group_of.iter().map(|&g| hit([0.05, 0.3][g], &mut rng)).collect();
            let gap = Groups::new(&values, &group_of, 2, &mut rng).gap;
            let width = 2.0 * 1.96 * ((0.05 * 0.95 + 0.3 * 0.7) / size as f64).sqrt();
            assert!(((gap.high - gap.low) / width - 1.0).abs() < 0.1, "{size}: {gap:?}, {width} by theory");
        }
    }
}
