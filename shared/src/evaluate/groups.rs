//! How unequally a metric falls on groups of listeners.

use super::interval::{NORMAL_FROM, moments};
use super::{Interval, mean_interval};
use crate::random::{below, unit_f64};
use rand_core::Rng;
use serde::{Deserialize, Serialize};

/// A metric by group, and how far the groups are apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// The metric in each group.
    pub parts: Vec<Interval>,
    /// The best group's mean less the worst's; its interval is that of means drawn anew within their groups. Sampling
    /// alone puts it above 0: read it beside the groups' own intervals.
    pub gap: Interval,
}

impl Groups {
    /// Of one value a listener and each listener's group.
    pub fn new(values: &[f64], group_of: &[usize], groups: usize, rng: &mut impl Rng) -> Self {
        let mut members: Vec<Vec<f64>> = vec![Vec::new(); groups];
        values.iter().zip(group_of).for_each(|(&value, &group)| members[group].push(value));
        let parts: Vec<Interval> = members.iter().map(|values| mean_interval(values, rng)).collect();
        members.retain(|values| !values.is_empty());
        let known: Vec<(f64, f64)> = members.iter().map(|values| moments(values)).collect();
        let mut gaps: Vec<f64> = (0..RESAMPLES)
            .map(|_| spread(members.iter().zip(&known).map(|(values, &known)| resampled(values, known, rng))))
            .collect();
        gaps.sort_by(f64::total_cmp);
        let at = |share: f64| gaps[((RESAMPLES - 1) as f64 * share).round() as usize];
        let mean = spread(known.iter().map(|&(mean, _)| mean));
        Self { parts, gap: Interval { mean, low: at(0.025), high: at(0.975), listeners: values.len() } }
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

// A group's mean as another draw of its listeners would have it: resampled, or from the normal distribution where the
// group is large (`interval`). Twelve uniforms less six stand for a normal value: their 97.5th percentile is 1.957.
fn resampled(values: &[f64], (mean, error): (f64, f64), rng: &mut impl Rng) -> f64 {
    let n = values.len();
    if n >= NORMAL_FROM {
        return mean + error * ((0..12).map(|_| unit_f64(rng)).sum::<f64>() - 6.0);
    }
    (0..n).map(|_| values[below(rng, n as u64) as usize]).sum::<f64>() / n as f64
}

fn spread(means: impl Iterator<Item = f64>) -> f64 {
    let (least, most) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
    if most >= least { most - least } else { 0.0 }
}

const RESAMPLES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_gap_of_large_groups_is_as_wide_as_theory_says() {
        // Two groups of half ones, a tenth apart: the gap's standard error is sqrt(2 x .25 / n).
        let values: Vec<f64> =
            (0..8000).map(|i| f64::from(u8::from(i % 4 < 2)) + if i < 4000 { 0.1 } else { 0.0 }).collect();
        let group_of: Vec<usize> = (0..8000).map(|i| i / 4000).collect();
        let gap = Groups::new(&values, &group_of, 2, &mut ChaCha8Rng::seed_from_u64(1)).gap;
        let error = (2.0 * 0.25 / 4000f64).sqrt();
        assert!((gap.high - gap.low - 2.0 * 1.96 * error).abs() < 0.15 * error * 3.92, "{gap:?}");
        assert!((gap.mean - 0.1).abs() < 1e-9, "{gap:?}");
    }

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
}
