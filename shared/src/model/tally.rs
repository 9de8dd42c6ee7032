//! Sums by bucket, of which most stay empty.

/// A value a bucket, and which of them were added to.
pub(crate) struct Tally {
    sums: Vec<f32>,
    // One bit a bucket.
    touched: Vec<u64>,
}

impl Tally {
    /// Nothing in any bucket.
    pub(crate) fn new(buckets: usize) -> Self {
        Self { sums: vec![0.0; buckets], touched: vec![0; buckets.div_ceil(64)] }
    }

    /// Adds to a bucket.
    pub(crate) fn add(&mut self, bucket: u32, value: f32) {
        self.sums[bucket as usize] += value;
        self.touched[bucket as usize / 64] |= 1 << (bucket % 64);
    }

    /// The buckets that were added to, ascending, with their sums.
    pub(crate) fn entries(&self) -> Vec<(u32, f32)> {
        let mut entries = Vec::with_capacity(self.touched.iter().map(|word| word.count_ones() as usize).sum());
        for (at, &word) in self.touched.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let bucket = at as u32 * 64 + left.trailing_zeros();
                entries.push((bucket, self.sums[bucket as usize]));
                left &= left - 1;
            }
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_ascend_and_zeros_are_kept() {
        let mut tally = Tally::new(130);
        for (bucket, value) in [(129, 1.0), (0, 2.0), (64, 0.5), (129, 0.25), (63, 1.0), (63, -1.0)] {
            tally.add(bucket, value);
        }
        assert_eq!(tally.entries(), [(0, 2.0), (63, 0.0), (64, 0.5), (129, 1.25)]);
    }
}
