//! Who is whose neighbour: a ring on which everybody is joined to the nearest k (docs/protocol.md, section 3).

use super::finder::Degree;
use super::keys::expand;
use super::mask::KeyStream;
use super::messages::Bits;
use super::transcript::{Hash, Transcript};
use crate::random::below;
use serde::{Deserialize, Serialize};

/// A k-regular graph over the positions of a roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    degree: Degree,
    // The roster's positions in ring order, and the place of each on the ring.
    ring: Vec<u32>,
    place: Vec<u32>,
}

impl Graph {
    /// The graph over `devices` positions: complete where the degree is `devices - 1`, else a Harary graph over the
    /// roster in the order that the seed gives.
    ///
    /// # Panics
    /// If there are not more devices than neighbours, or a degree below n - 1 is odd.
    pub fn new(devices: u32, degree: Degree, seed: Option<&Hash>) -> Self {
        let k = degree.neighbours;
        assert!(k < devices && (k + 1 == devices || k.is_multiple_of(2)), "the finder gives no such degree");
        let mut ring: Vec<u32> = (0..devices).collect();
        if let Some(seed) = seed.filter(|_| k + 1 < devices) {
            shuffle(&mut ring, seed);
        }
        let mut place = vec![0; ring.len()];
        for (at, &position) in ring.iter().enumerate() {
            place[position as usize] = at as u32;
        }
        Self { degree, ring, place }
    }

    /// n: positions of the roster.
    pub fn devices(&self) -> u32 {
        self.ring.len() as u32
    }

    /// k and t.
    pub fn degree(&self) -> Degree {
        self.degree
    }

    /// The neighbour of `position` at each slot: k/2 along the ring, then k/2 against it, nearest last.
    pub fn neighbours(&self, position: u32) -> impl Iterator<Item = u32> + '_ {
        let (n, at) = (self.devices(), self.place[position as usize]);
        (0..self.degree.neighbours).map(move |slot| self.ring[((at + self.offset(slot)) % n) as usize])
    }

    /// The slot at which `position` has `neighbour`; `None` where they are not joined.
    pub fn slot(&self, position: u32, neighbour: u32) -> Option<usize> {
        let n = self.devices();
        let offset = (self.place[neighbour as usize] + n - self.place[position as usize]) % n;
        let k = self.degree.neighbours;
        let along = (1..=k / 2).contains(&offset).then(|| offset - 1);
        let against = (offset > 0 && offset + k >= n + k / 2).then(|| offset + k - n);
        along.or(against).map(|slot| slot as usize)
    }

    /// Whether a coordinator that chooses the survivors may have cut the ring: two stretches of k/2 consecutive places apart
    /// from each other, each with fewer than `least` survivors.
    ///
    /// Where there are no two, honest survivors hang together: leaving out one stretch at most, every k/2 consecutive
    /// places have more survivors than colluding devices, so the next honest one is a neighbour, all around.
    pub fn is_cut(&self, survivors: &Bits, least: u32) -> bool {
        let (n, width) = (self.devices(), self.degree.neighbours / 2);
        if self.degree.neighbours + 1 == n {
            return false;
        }
        let there = |at: u32| u32::from(survivors.contains(self.ring[(at % n) as usize]));
        let mut count: u32 = (0..width).map(there).sum();
        // Stretches that begin at these places have too few.
        let mut bare = Vec::new();
        for start in 0..n {
            if count < least {
                bare.push(start);
            }
            count = count + there(start + width) - there(start);
        }
        let Some(&first) = bare.first() else { return false };
        // All of them must overlap: seen from the first, they begin less than a stretch to either side and from each other.
        let offsets = bare.iter().map(|&start| match start - first {
            along if along <= n / 2 => i64::from(along),
            along => i64::from(along) - i64::from(n),
        });
        let (low, high) = offsets.fold((0, 0), |(low, high), offset| (offset.min(low), offset.max(high)));
        high - low >= i64::from(width)
    }

    fn offset(&self, slot: u32) -> u32 {
        let k = self.degree.neighbours;
        if slot < k / 2 { slot + 1 } else { self.devices() - k + slot }
    }
}

/// Fisher and Yates, from the end, with numbers from AES-256 in counter mode under a key derived from the seed.
fn shuffle(ring: &mut [u32], seed: &Hash) {
    let key = expand(seed, &Transcript::new("ring"));
    let mut rng = KeyStream::new(&key);
    for last in (1..ring.len()).rev() {
        ring.swap(last, below(&mut rng, last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;
    use std::collections::BTreeSet;

    fn graph(n: u32, k: u32, seed: u8) -> Graph {
        Graph::new(n, Degree { neighbours: k, threshold: 2 }, Some(&[seed; 32]))
    }

    #[test]
    fn it_is_regular_symmetric_and_without_loops() {
        for (n, k) in [(3, 2), (4, 3), (7, 6), (8, 7), (8, 4), (9, 2), (257, 56), (1000, 112)] {
            let graph = graph(n, k, 1);
            for position in 0..n {
                let neighbours: Vec<u32> = graph.neighbours(position).collect();
                let distinct: BTreeSet<u32> = neighbours.iter().copied().collect();
                assert_eq!(distinct.len(), k as usize);
                assert!(!distinct.contains(&position));
                for (slot, &neighbour) in neighbours.iter().enumerate() {
                    assert_eq!(graph.slot(position, neighbour), Some(slot), "{n} {k}");
                    assert!(graph.slot(neighbour, position).is_some());
                }
                for other in (0..n).filter(|other| !distinct.contains(other)) {
                    assert_eq!(graph.slot(position, other), None);
                }
            }
        }
    }

    // Against the graph itself: with nobody colluding, survivors that hang together are never called cut unless a
    // stretch of k/2 is bare twice, and such as fall apart always are.
    #[test]
    fn a_ring_that_falls_apart_is_cut() {
        for (n, k) in [(9, 2), (10, 4), (12, 6)] {
            let graph = graph(n, k, 3);
            let mut cut = 0;
            for set in 1u32..1 << n {
                let mut survivors = Bits::none(n);
                (0..n).filter(|at| set >> at & 1 == 1).for_each(|at| survivors.insert(at));
                let first = survivors.iter().next().expect("one");
                let mut reached = BTreeSet::from([first]);
                let mut open = vec![first];
                while let Some(at) = open.pop() {
                    let next = graph.neighbours(at).filter(|&other| survivors.contains(other));
                    open.extend(next.filter(|&other| reached.insert(other)));
                }
                let together = reached.len() as u32 == survivors.count();
                let called = graph.is_cut(&survivors, 1);
                assert!(together || called, "{n} {k} {set:b}");
                cut += u32::from(called);
                // One device alone, or a ring without a bare stretch, is never called cut.
                if survivors.count() + k / 2 > n {
                    assert!(!called, "{n} {k} {set:b}");
                }
            }
            assert!(cut > 0);
        }
        let complete = graph(8, 7, 1);
        assert!(!complete.is_cut(&Bits::none(8), 1));
    }

    #[test]
    fn the_seed_decides_the_ring_and_every_order_can_come() {
        assert_eq!(graph(300, 4, 1), graph(300, 4, 1));
        assert_ne!(graph(300, 4, 1), graph(300, 4, 2));
        // Five on a ring of degree 2: 120 orders, each about 50 times.
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..6000u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&seed.to_le_bytes());
            let graph = Graph::new(5, Degree { neighbours: 2, threshold: 2 }, Some(&bytes));
            *counts.entry(graph.ring).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 120);
        let chi: f64 = counts.values().map(|&c| math::powi(f64::from(c) - 50.0, 2) / 50.0).sum();
        assert!(chi < 210.0, "119 degrees of freedom, p = 1e-6: {chi}");
    }
}
