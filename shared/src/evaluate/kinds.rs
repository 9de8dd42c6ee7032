//! Whether lists have the kinds of music that a listener's history has (Steck 2018, "Calibrated recommendations").

use crate::math;

/// The share of each kind among weighted tracks. `rows` holds for each track its kinds with their shares, which sum to one.
pub fn kind_shares<'a>(kinds: usize, tracks: impl Iterator<Item = (&'a [(u32, f32)], f64)>) -> Vec<f64> {
    let mut shares = vec![0.0; kinds];
    for (row, weight) in tracks {
        row.iter().for_each(|&(kind, share)| shares[kind as usize] += weight * f64::from(share));
    }
    let total: f64 = shares.iter().sum();
    if total > 0.0 {
        shares.iter_mut().for_each(|share| *share /= total);
    }
    shares
}

/// The weight of a place in a list, from 0: that of NDCG.
pub fn place_weight(place: usize) -> f64 {
    1.0 / math::log2(place as f64 + 2.0)
}

/// The divergence of a list's kinds from a history's, `sum p ln(p / q~)` with `q~ = .99 q + .01 p` (Steck 2018, equations 6 and
/// 7): 0 where they agree, at most ln 100.
pub fn miscalibration(history: &[f64], list: &[f64]) -> f64 {
    let part = |(&p, &q): (&f64, &f64)| {
        if p > 0.0 { p * math::ln(p / ((1.0 - SMOOTHING) * q + SMOOTHING * p)) } else { 0.0 }
    };
    history.iter().zip(list).map(part).sum()
}

/// Lays a list of `length` from candidates, best first, weighing their scores (from 0 to 1) against the kinds: at each place the
/// candidate that makes `(1 - weight) sum of scores - weight miscalibration` largest (Steck 2018, section 3.3, greedy).
pub fn calibrated(
    candidates: &[(usize, f64)],
    rows: &[Vec<(u32, f32)>],
    history: &[f64],
    length: usize,
    weight: f64,
) -> Vec<usize> {
    let mut left: Vec<(usize, f64)> = candidates.to_vec();
    let mut counts = vec![0.0; history.len()];
    let (mut total, mut laid, mut trial) = (0.0, Vec::with_capacity(length), vec![0.0; history.len()]);
    while laid.len() < length && !left.is_empty() {
        let place = place_weight(laid.len());
        let value = |&(track, score): &(usize, f64), trial: &mut Vec<f64>| {
            trial.clone_from(&counts);
            let row = &rows[track];
            row.iter().for_each(|&(kind, share)| trial[kind as usize] += place * f64::from(share));
            let all: f64 = total + if row.is_empty() { 0.0 } else { place };
            if all > 0.0 {
                trial.iter_mut().for_each(|v| *v /= all);
            }
            (1.0 - weight) * score - weight * miscalibration(history, trial)
        };
        let mut best = (f64::NEG_INFINITY, 0);
        for (at, candidate) in left.iter().enumerate() {
            let value = value(candidate, &mut trial);
            if value > best.0 {
                best = (value, at);
            }
        }
        let (track, _) = left.remove(best.1);
        for &(kind, share) in &rows[track] {
            counts[kind as usize] += place * f64::from(share);
        }
        total += if rows[track].is_empty() { 0.0 } else { place };
        laid.push(track);
    }
    laid
}

const SMOOTHING: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_by_hand() {
        assert_eq!(miscalibration(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
        let one_sided = miscalibration(&[0.5, 0.5], &[1.0, 0.0]);
        let expected = 0.5 * math::ln(0.5 / (0.99 + 0.005f64)) + 0.5 * math::ln(0.5 / 0.005f64);
        assert!((one_sided - expected).abs() < 1e-12, "{one_sided} {expected}");
        assert!((miscalibration(&[1.0, 0.0], &[0.0, 1.0]) - math::ln(100f64)).abs() < 1e-12);
    }

    #[test]
    fn shares_are_weighted() {
        let rows: Vec<Vec<(u32, f32)>> = vec![vec![(0, 1.0)], vec![(0, 0.5), (1, 0.5)], vec![]];
        let shares = kind_shares(2, rows.iter().map(Vec::as_slice).zip([1.0, 2.0, 9.0]));
        assert!((shares[0] - 2.0 / 3.0).abs() < 1e-12 && (shares[1] - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(kind_shares(2, std::iter::empty()), [0.0, 0.0]);
    }

    // A listener of both kinds and four tracks, the better two of the first kind.
    #[test]
    fn lists_are_calibrated_as_far_as_they_are_asked_to_be() {
        let rows: Vec<Vec<(u32, f32)>> = [0, 0, 1, 1].iter().map(|&kind| vec![(kind, 1.0)]).collect();
        let candidates = [(0, 1.0), (1, 0.9), (2, 0.2), (3, 0.1)];
        assert_eq!(calibrated(&candidates, &rows, &[0.5, 0.5], 2, 0.0), [0, 1]);
        assert_eq!(calibrated(&candidates, &rows, &[0.5, 0.5], 2, 0.9), [0, 2]);
        assert_eq!(calibrated(&candidates, &rows, &[0.0, 1.0], 2, 1.0), [2, 3]);
        assert_eq!(calibrated(&candidates, &rows, &[0.5, 0.5], 9, 0.5).len(), 4);
    }
}
