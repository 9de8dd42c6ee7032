//! How well scores foretell outcomes: order (AUC), calibration, and the skip challenge's mean average accuracy.

use crate::math;

/// The chance that a random yes scores above a random no, ties counting half (Mann and Whitney 1947); `None` without both.
pub fn auc(scored: &[(f32, bool)]) -> Option<f64> {
    let mut order: Vec<&(f32, bool)> = scored.iter().collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank, mut ranks, mut yes) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|a, b| a.0 == b.0) {
        let count = tie.len() as f64;
        let pleased = tie.iter().filter(|s| s.1).count() as f64;
        ranks += pleased * (rank + (count + 1.0) / 2.0);
        rank += count;
        yes += pleased;
    }
    let no = scored.len() as f64 - yes;
    (yes > 0.0 && no > 0.0).then(|| (ranks - yes * (yes + 1.0) / 2.0) / (yes * no))
}

/// Mean log-loss of probabilities, which are kept 1e-7 from 0 and 1.
pub fn log_loss(probable: &[(f32, bool)]) -> f64 {
    let loss = |(p, yes): &(f32, bool)| {
        let p = f64::from(*p).clamp(1e-7, 1.0 - 1e-7);
        -math::ln(if *yes { p } else { 1.0 - p })
    };
    probable.iter().map(loss).sum::<f64>() / probable.len().max(1) as f64
}

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Reliability {
    /// The mean probability.
    pub probability: f64,
    /// The share that came true.
    pub rate: f64,
    /// Outcomes in the bin.
    pub count: usize,
}

/// Probabilities against what came true, in `bins` bins of equal mass; fewer where there are fewer outcomes.
pub fn reliability(probable: &[(f32, bool)], bins: usize) -> Vec<Reliability> {
    let mut order: Vec<&(f32, bool)> = probable.iter().collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bins = bins.min(order.len());
    (0..bins)
        .map(|bin| {
            let part = &order[bin * order.len() / bins..(bin + 1) * order.len() / bins];
            let mean =
                |value: &dyn Fn(&(f32, bool)) -> f64| part.iter().map(|s| value(s)).sum::<f64>() / part.len() as f64;
            Reliability {
                probability: mean(&|s| f64::from(s.0)),
                rate: mean(&|s| f64::from(u8::from(s.1))),
                count: part.len(),
            }
        })
        .collect()
}

/// Expected calibration error: the mean distance between probability and rate over the bins of a reliability diagram,
/// weighted by their outcomes (Naeini, Cooper and Hauskrecht 2015).
pub fn calibration_error(bins: &[Reliability]) -> f64 {
    let total: usize = bins.iter().map(|bin| bin.count).sum();
    bins.iter().map(|bin| bin.count as f64 * (bin.probability - bin.rate).abs()).sum::<f64>() / total.max(1) as f64
}

/// Average accuracy of one session's predictions, in order: `(1/T) sum_i A(i) L(i)`, L(i) being 1 where prediction i is right
/// and A(i) the accuracy up to i (the sequential skip prediction challenge, Brost, Mehrotra and Jehan 2019).
pub fn average_accuracy(right: &[bool]) -> f64 {
    let mut so_far = 0.0;
    let sum: f64 = right
        .iter()
        .enumerate()
        .map(|(i, &right)| {
            so_far += f64::from(u8::from(right));
            if right { so_far / (i + 1) as f64 } else { 0.0 }
        })
        .sum();
    sum / right.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auc_by_hand() {
        assert_eq!(auc(&[(1.0, false), (2.0, true)]), Some(1.0));
        assert_eq!(auc(&[(2.0, false), (1.0, true)]), Some(0.0));
        assert_eq!(auc(&[(1.0, false), (1.0, true), (1.0, true)]), Some(0.5));
        // Pairs of (yes, no): (3,1) right, (3,4) wrong, (2,1) right, (2,4) wrong.
        assert_eq!(auc(&[(3.0, true), (1.0, false), (2.0, true), (4.0, false)]), Some(0.5));
        assert_eq!(auc(&[(1.0, true)]), None);
    }

    #[test]
    fn calibration_by_hand() {
        let probable = [(0.1, false), (0.3, true), (0.8, true), (0.6, true)];
        let bins = reliability(&probable, 2);
        assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [2, 2]);
        // |.2 - .5| and |.7 - 1|, half each.
        assert!((calibration_error(&bins) - 0.3).abs() < 1e-6);
        assert!(
            (log_loss(&[(0.5, true), (0.25, false)]) - (math::ln(2f64) + math::ln(4.0f64 / 3.0)) / 2.0).abs() < 1e-7
        );
        assert!(log_loss(&[(0.0, true)]).is_finite());
        assert!(reliability(&[], 15).is_empty());
    }

    #[test]
    fn average_accuracy_is_the_challenges() {
        assert!((average_accuracy(&[true, true, true, false, true]) - 0.76).abs() < 1e-12);
        assert_eq!(average_accuracy(&[]), 0.0);
    }
}
