//! Beyond accuracy: what a set of lists does to the catalogue.

use crate::math;

/// How often each track was put into a list of k, over all listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    counts: Vec<u32>,
    listed: u64,
}

impl Exposure {
    /// None yet, for this many tracks.
    pub fn new(tracks: usize) -> Self {
        Self { counts: vec![0; tracks], listed: 0 }
    }

    /// Adds one listener's list.
    pub fn add(&mut self, list: &[usize]) {
        for &track in list {
            self.counts[track] += 1;
            self.listed += 1;
        }
    }

    /// Times each track was listed.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Share of the catalogue that is in at least one list.
    pub fn coverage(&self) -> f64 {
        self.counts.iter().filter(|&&c| c > 0).count() as f64 / (self.counts.len() as f64).max(1.0)
    }

    /// Gini coefficient of the exposure over *all* tracks, those never listed too: 0 is even, near 1 is one track.
    ///
    /// `sum_i (2i - n - 1) c_(i) / (n sum c)` with c ascending and i from 1 (Gini 1912, in Sen's form).
    pub fn gini(&self) -> f64 {
        if self.listed == 0 {
            return 0.0;
        }
        let mut sorted = self.counts.clone();
        sorted.sort_unstable();
        let n = sorted.len() as f64;
        let weighted: f64 =
            sorted.iter().enumerate().map(|(i, &c)| (2.0 * (i as f64 + 1.0) - n - 1.0) * f64::from(c)).sum();
        weighted / (n * self.listed as f64)
    }

    /// Mean popularity of what was listed (average recommendation popularity), `popularity` being one value a track.
    pub fn mean_popularity(&self, popularity: &[f64]) -> f64 {
        let sum: f64 = self.counts.iter().zip(popularity).map(|(&c, p)| f64::from(c) * p).sum();
        sum / (self.listed as f64).max(1.0)
    }

    /// Mean surprise of what was listed, in bits: `-log2` of a track's share of all plays, one that was never played counting half
    /// a play (Zhou et al. 2010).
    pub fn novelty(&self, popularity: &[f64]) -> f64 {
        let plays = popularity.iter().sum::<f64>().max(1.0);
        let surprise = |p: f64| -math::log2(p.max(0.5) / plays);
        let sum: f64 = self.counts.iter().zip(popularity).map(|(&c, &p)| f64::from(c) * surprise(p)).sum();
        sum / (self.listed as f64).max(1.0)
    }

    /// Share of the listed tracks that are outside the most popular fifth of the catalogue.
    pub fn tail_share(&self, popularity: &[f64]) -> f64 {
        let mut order: Vec<usize> = (0..popularity.len()).collect();
        order.sort_by(|&a, &b| popularity[b].total_cmp(&popularity[a]).then(a.cmp(&b)));
        let head: u64 = order.iter().take(popularity.len().div_ceil(5)).map(|&t| u64::from(self.counts[t])).sum();
        if self.listed == 0 { 0.0 } else { 1.0 - head as f64 / self.listed as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_uneven_exposure() {
        let mut even = Exposure::new(4);
        even.add(&[0, 1]);
        even.add(&[2, 3]);
        assert_eq!((even.gini(), even.coverage()), (0.0, 1.0));
        let mut one = Exposure::new(4);
        one.add(&[2]);
        one.add(&[2]);
        assert_eq!((one.gini(), one.coverage()), (0.75, 0.25));
        assert_eq!(one.mean_popularity(&[0.0, 0.0, 5.0, 1.0]), 5.0);
        assert_eq!(one.novelty(&[0.0, 6.0, 2.0, 0.0]), 2.0);
        assert_eq!(one.novelty(&[7.0, 1.0, 0.0, 0.0]), 4.0);
        assert_eq!(one.tail_share(&[0.0, 0.0, 5.0, 1.0]), 0.0);
        assert_eq!(one.tail_share(&[9.0, 0.0, 5.0, 1.0]), 1.0);
        assert_eq!(Exposure::new(3).gini(), 0.0);
    }
}
