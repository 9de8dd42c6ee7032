//! Catalogues larger than a vector: tracks are dealt into blocks by a public permutation, and a device sends one block a round,
//! all of it, which public chance draws for it.
//!
//! Which of its block's tracks a device has heard stays hidden, because it always fills the whole block; which block it gets does
//! not depend on what it has heard, because nothing of that goes into the draw.

use crate::ids::TrackId;
use crate::random::mix;

/// How a catalogue is dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueBlocks {
    tracks: u64,
    rows: u64,
    key: u64,
    // Bits of half a number of the permutation's domain, 4^half >= tracks.
    half: u32,
}

impl CatalogueBlocks {
    /// Deals so many tracks into blocks of at most `rows`. `key` is public.
    ///
    /// # Panics
    /// Without tracks or rows.
    pub fn new(tracks: usize, rows: usize, key: u64) -> Self {
        assert!(tracks > 0 && rows > 0, "blocks hold tracks");
        let bits = (usize::BITS - (tracks - 1).leading_zeros()).max(2);
        Self { tracks: tracks as u64, rows: rows.min(tracks) as u64, key, half: bits.div_ceil(2) }
    }

    /// The number of blocks.
    pub fn count(&self) -> usize {
        self.tracks.div_ceil(self.rows) as usize
    }

    /// Rows of a block; the last one may have fewer tracks than rows.
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// A track's block and its row in it.
    pub fn place(&self, track: TrackId) -> (usize, usize) {
        let mut number = u64::from(track.0);
        // Walking the cycle until it is back among the tracks makes a permutation of a power of four one of any number.
        loop {
            number = self.forth(number);
            if number < self.tracks {
                return ((number / self.rows) as usize, (number % self.rows) as usize);
            }
        }
    }

    /// The track at a row of a block; `None` beyond the last one.
    pub fn track(&self, block: usize, row: usize) -> Option<TrackId> {
        let mut number = block as u64 * self.rows + row as u64;
        if row as u64 >= self.rows || number >= self.tracks {
            return None;
        }
        loop {
            number = self.back(number);
            if number < self.tracks {
                return Some(TrackId(number as u32));
            }
        }
    }

    /// The block that a device sends in a round: by the round's public seed and the device's public name.
    pub fn drawn(&self, round_seed: u64, device: u64) -> usize {
        (mix(round_seed, DRAW_STREAM, device) % self.count() as u64) as usize
    }

    // A Feistel network of four rounds (Luby and Rackoff 1988): a permutation whatever its round function is. Nothing secret
    // leans on it, only that tracks are dealt evenly.
    fn forth(&self, number: u64) -> u64 {
        let (mut left, mut right) = self.halves(number);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.scrambled(round, right));
        }
        left << self.half | right
    }

    fn back(&self, number: u64) -> u64 {
        let (mut left, mut right) = self.halves(number);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.scrambled(round, left), left);
        }
        left << self.half | right
    }

    fn halves(&self, number: u64) -> (u64, u64) {
        (number >> self.half, number & ((1 << self.half) - 1))
    }

    fn scrambled(&self, round: u64, half: u64) -> u64 {
        mix(self.key, round, half) & ((1 << self.half) - 1)
    }
}

const ROUNDS: u64 = 4;
const DRAW_STREAM: u64 = 41;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        // Every track has a place of its own, and the place has the track.
        #[test]
        fn dealing_is_one_to_one(tracks in 1usize..3000, rows in 1usize..500, key in any::<u64>()) {
            let blocks = CatalogueBlocks::new(tracks, rows, key);
            let mut seen = BTreeSet::new();
            for track in (0..tracks as u32).map(TrackId) {
                let (block, row) = blocks.place(track);
                prop_assert!(block < blocks.count() && row < blocks.rows());
                prop_assert!(seen.insert((block, row)));
                prop_assert_eq!(blocks.track(block, row), Some(track));
            }
            prop_assert_eq!(blocks.track(blocks.count(), 0), None);
            prop_assert_eq!(blocks.track(0, blocks.rows()), None);
        }
    }

    #[test]
    fn neighbours_are_dealt_apart_and_devices_evenly() {
        let blocks = CatalogueBlocks::new(1_000_000, 16_384, 7);
        assert_eq!(blocks.count(), 62);
        // The first thousand tracks, which might be the best known: about 16 to a block.
        let mut of = vec![0u32; blocks.count()];
        (0..1000).for_each(|track| of[blocks.place(TrackId(track)).0] += 1);
        assert!(of.iter().take(61).all(|&count| (2..=40).contains(&count)), "{of:?}");
        let mut drawn = vec![0u32; blocks.count()];
        (0..62_000).for_each(|device| drawn[blocks.drawn(3, device)] += 1);
        assert!(drawn.iter().all(|&count| (850..=1150).contains(&count)), "{drawn:?}");
        assert!((0..100).any(|device| blocks.drawn(3, device) != blocks.drawn(4, device)), "rounds draw anew");
    }
}
