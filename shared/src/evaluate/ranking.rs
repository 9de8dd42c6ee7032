//! Ranking metrics of one listener's list, after trec_eval (NIST), ranx (Bassani 2022) and Järvelin and Kekäläinen (2002).

use crate::math;

/// How equal scores are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Against us: a relevant track ranks behind every other track of its score. A constant scorer gets nothing.
    Against,
    /// By name, descending, as trec_eval does.
    Trec,
}

/// What a relevant track of some grade is worth in a discounted cumulative gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gain {
    /// The grade itself.
    Linear,
    /// `2^grade - 1` (Burges et al. 2005).
    Exponential,
    /// One for any relevant track.
    Binary,
}

impl Gain {
    fn of(self, grade: u32) -> f64 {
        match self {
            Self::Linear => f64::from(grade),
            Self::Exponential => math::exp2(f64::from(grade)) - 1.0,
            Self::Binary => f64::from(u8::from(grade > 0)),
        }
    }
}

/// A list judged: at which ranks its relevant tracks stand, and the grades of all that are relevant.
///
/// Every metric is 0 where nothing is relevant; whoever averages must leave such listeners out, and count them.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    // (rank from 1, grade) of the relevant tracks in the list, ascending by rank.
    found: Vec<(usize, u32)>,
    // Grades of all relevant tracks, in the list or not, descending.
    grades: Vec<u32>,
}

impl Judged {
    /// Judges a scored list. `list` holds (name, score, grade), grade 0 for what is not relevant; `missed` holds the
    /// grades of relevant tracks that the list leaves out. A score that is not a number ranks last.
    pub fn new<N: Ord>(list: &[(N, f64, u32)], missed: &[u32], ties: Ties) -> Self {
        let mut order: Vec<&(N, f64, u32)> = list.iter().collect();
        let key = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
        order.sort_by(|a, b| {
            let by_score = key(b.1).total_cmp(&key(a.1));
            by_score.then_with(|| match ties {
                Ties::Against => a.2.cmp(&b.2).then(a.0.cmp(&b.0)),
                Ties::Trec => b.0.cmp(&a.0),
            })
        });
        let found: Vec<(usize, u32)> =
            order.iter().enumerate().filter(|(_, item)| item.2 > 0).map(|(i, item)| (i + 1, item.2)).collect();
        let mut grades: Vec<u32> = found.iter().map(|&(_, grade)| grade).collect();
        grades.extend(missed.iter().copied().filter(|&grade| grade > 0));
        grades.sort_unstable_by(|a, b| b.cmp(a));
        Self { found, grades }
    }

    /// Judges a binary list from the scores of its relevant tracks and the scores of all others, ties against us.
    /// Costs one pass over the others, no sorting.
    pub fn from_scores(relevant: &[f32], others: impl Iterator<Item = f32> + Clone) -> Self {
        let key = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
        let mut scores: Vec<f32> = relevant.iter().map(|&s| key(s)).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let mut ahead = vec![0usize; scores.len()];
        for other in others.map(key) {
            // Scores descend: all from the first one that the other reaches are behind it.
            let first = scores.partition_point(|&s| s > other);
            if let Some(count) = ahead.get_mut(first) {
                *count += 1;
            }
        }
        let mut total = 0;
        let found = ahead
            .into_iter()
            .enumerate()
            .map(|(place, count)| {
                total += count;
                (total + place + 1, 1)
            })
            .collect();
        Self { found, grades: vec![1; scores.len()] }
    }

    /// The same where the others are a whole catalogue without some tracks, those that are relevant among them: `left_out`,
    /// each once. Counts in vectors of scores, so it is the cheapest way for few relevant tracks.
    pub fn among(relevant: &[f32], catalogue: &[f32], left_out: &[usize]) -> Self {
        let key = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
        let mut scores: Vec<f32> = relevant.iter().map(|&s| key(s)).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        // No comparison holds of what is no number, but everything reaches the lowest score that there is.
        let reach = |score: f32| match score == f32::NEG_INFINITY {
            true => catalogue.len() - left_out.len(),
            false => {
                let all: u32 = catalogue.iter().map(|&other| u32::from(other >= score)).sum();
                all as usize - left_out.iter().filter(|&&track| catalogue[track] >= score).count()
            }
        };
        let found = scores.iter().enumerate().map(|(place, &score)| (reach(score) + place + 1, 1)).collect();
        Self { found, grades: vec![1; scores.len()] }
    }

    /// Whether anything is relevant at all.
    pub fn has_relevant(&self) -> bool {
        !self.grades.is_empty()
    }

    /// Normalised discounted cumulative gain, discount `1/log2(rank + 1)`, the ideal being the best list of the same
    /// length (`k`; all, where `None`).
    pub fn ndcg(&self, k: Option<usize>, gain: Gain) -> f64 {
        let cut = k.unwrap_or(usize::MAX);
        let discounted = |rank: usize, grade: u32| gain.of(grade) / math::log2(rank as f64 + 1.0);
        let ideal: f64 = self.grades.iter().take(cut).enumerate().map(|(i, &g)| discounted(i + 1, g)).sum();
        if ideal == 0.0 {
            return 0.0;
        }
        self.within(cut).map(|&(rank, grade)| discounted(rank, grade)).sum::<f64>() / ideal
    }

    /// Average precision divided by R, the number of relevant tracks (trec_eval's `map_cut`; `map` where `None`).
    pub fn average_precision(&self, k: Option<usize>) -> f64 {
        self.precision_sum(k) / (self.grades.len() as f64).max(1.0)
    }

    /// Average precision divided by min(k, R), the best that a list of k can do.
    pub fn average_precision_min(&self, k: usize) -> f64 {
        self.precision_sum(Some(k)) / (self.grades.len().min(k) as f64).max(1.0)
    }

    /// One over the rank of the first relevant track, 0 if it is beyond `k`.
    pub fn reciprocal_rank(&self, k: Option<usize>) -> f64 {
        self.within(k.unwrap_or(usize::MAX)).next().map_or(0.0, |&(rank, _)| 1.0 / rank as f64)
    }

    /// Share of the relevant tracks among the first `k`.
    pub fn recall(&self, k: usize) -> f64 {
        self.within(k).count() as f64 / (self.grades.len() as f64).max(1.0)
    }

    /// Share of the first `k` that is relevant; divides by `k` for shorter lists too.
    pub fn precision(&self, k: usize) -> f64 {
        self.within(k).count() as f64 / k as f64
    }

    /// Precision at R, the number of relevant tracks.
    pub fn r_precision(&self) -> f64 {
        if self.grades.is_empty() { 0.0 } else { self.precision(self.grades.len()) }
    }

    /// Harmonic mean of precision and recall at `k`.
    pub fn f1(&self, k: usize) -> f64 {
        let (precision, recall) = (self.precision(k), self.recall(k));
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }

    /// 1 if any of the first `k` is relevant, else 0.
    pub fn hit(&self, k: usize) -> f64 {
        f64::from(u8::from(self.within(k).next().is_some()))
    }

    fn within(&self, k: usize) -> impl Iterator<Item = &(usize, u32)> {
        self.found.iter().take_while(move |(rank, _)| *rank <= k)
    }

    fn precision_sum(&self, k: Option<usize>) -> f64 {
        let cut = k.unwrap_or(usize::MAX);
        self.within(cut).enumerate().map(|(i, &(rank, _))| (i + 1) as f64 / rank as f64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_scorer_gets_nothing() {
        let judged = Judged::from_scores(&[0.5], std::iter::repeat_n(0.5, 99));
        assert_eq!(judged.hit(10), 0.0);
        assert_eq!(judged.reciprocal_rank(None), 0.01);
    }

    #[test]
    fn not_a_number_ranks_last() {
        let judged = Judged::from_scores(&[f32::NAN], [f32::NEG_INFINITY, -1e30].into_iter());
        assert_eq!(judged.reciprocal_rank(None), 1.0 / 3.0);
        let judged = Judged::new(&[(1, f64::NAN, 1), (2, -9.0, 0)], &[], Ties::Against);
        assert_eq!(judged.reciprocal_rank(None), 0.5);
    }

    #[test]
    fn the_fast_way_agrees_with_sorting() {
        let relevant = [3.0f32, 1.0, 1.0, -2.0];
        let others = [4.0f32, 3.0, 2.0, 1.0, 0.0, -2.0, -3.0];
        let list: Vec<(usize, f64, u32)> = relevant
            .iter()
            .map(|&s| (f64::from(s), 1))
            .chain(others.iter().map(|&s| (f64::from(s), 0)))
            .enumerate()
            .map(|(i, (s, g))| (i, s, g))
            .collect();
        assert_eq!(Judged::from_scores(&relevant, others.iter().copied()), Judged::new(&list, &[], Ties::Against));
    }

    #[test]
    fn counting_over_a_catalogue_agrees_with_looking_at_each() {
        let catalogue = [2.0f32, 1.0, f32::NAN, 1.0, 5.0, -3.0, 1.0, f32::NEG_INFINITY, 2.0];
        for (relevant, left_out) in [
            (vec![1], vec![1]),
            (vec![1, 2, 5], vec![0, 1, 2, 5]),
            (vec![7, 3], vec![3, 4, 7]),
            (vec![2], vec![2, 7]),
            (vec![], vec![0]),
        ] {
            let scores: Vec<f32> = relevant.iter().map(|&t: &usize| catalogue[t]).collect();
            let others = (0..catalogue.len()).filter(|t| !left_out.contains(t)).map(|t| catalogue[t]);
            let counted = Judged::among(&scores, &catalogue, &left_out);
            assert_eq!(counted, Judged::from_scores(&scores, others), "{relevant:?} without {left_out:?}");
        }
    }

    #[test]
    fn nothing_relevant_is_zero_everywhere() {
        let judged = Judged::new(&[(1, 1.0, 0)], &[], Ties::Trec);
        assert!(!judged.has_relevant());
        let all = [
            judged.ndcg(Some(5), Gain::Linear),
            judged.average_precision(None),
            judged.average_precision_min(5),
            judged.recall(5),
            judged.r_precision(),
            judged.f1(5),
            judged.hit(5),
        ];
        assert_eq!(all, [0.0; 7]);
    }
}
