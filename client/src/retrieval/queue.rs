//! From ranked tracks to what is played: filters during the scan, spacing and a floor for the tail after it.

use serde::{Deserialize, Serialize};
use sordino_shared::ids::TrackId;
use std::collections::BTreeSet;

/// What a listener is not to be given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Tracks that were heard lately.
    pub recent: BTreeSet<TrackId>,
    /// Artists that the listener blocked.
    pub blocked: BTreeSet<u32>,
    /// Whether explicit tracks are left out.
    pub no_explicit: bool,
}

impl Filters {
    /// Whether a track by this artist may be recommended; `artist` is 0 where not known.
    pub fn allow(&self, track: TrackId, artist: u32, explicit: bool) -> bool {
        !(self.recent.contains(&track) || self.blocked.contains(&artist) || self.no_explicit && explicit)
    }
}

/// A track that may come next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The track.
    pub track: TrackId,
    /// Its artist; 0 where not known, and then it is spaced from nobody.
    pub artist: u32,
    /// Whether it belongs to the tail, by the catalogue's own measure.
    pub tail: bool,
}

/// How a queue is laid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueRules {
    /// Tracks in the queue.
    pub length: usize,
    /// Tracks of other artists between two of the same.
    pub artist_gap: usize,
    /// The share of the tail in every beginning of the queue, rounded down.
    pub tail_share: f64,
}

impl Default for QueueRules {
    fn default() -> Self {
        Self { length: 20, artist_gap: 2, tail_share: 0.0 }
    }
}

/// Lays a queue from candidates, best first: at each place the best that the rules admit. Where none is admitted the floor gives
/// way first, then the spacing, so that a queue is never shorter than it could be.
pub fn queue(ranked: &[Candidate], rules: &QueueRules) -> Vec<TrackId> {
    let mut left: Vec<Candidate> = ranked.to_vec();
    let mut laid: Vec<Candidate> = Vec::with_capacity(rules.length.min(left.len()));
    let mut tail = 0;
    while laid.len() < rules.length && !left.is_empty() {
        let wanted = (rules.tail_share * (laid.len() + 1) as f64 + 1e-9).floor() as usize;
        let lately = &laid[laid.len().saturating_sub(rules.artist_gap)..];
        let spaced = |c: &Candidate| c.artist == 0 || lately.iter().all(|before| before.artist != c.artist);
        let fills = |c: &Candidate| tail >= wanted || c.tail;
        let next = left
            .iter()
            .position(|c| spaced(c) && fills(c))
            .or_else(|| left.iter().position(spaced))
            .unwrap_or_default();
        let next = left.remove(next);
        tail += usize::from(next.tail);
        laid.push(next);
    }
    laid.into_iter().map(|candidate| candidate.track).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(of: &[(u32, bool)]) -> Vec<Candidate> {
        let numbered = of.iter().enumerate();
        numbered.map(|(track, &(artist, tail))| Candidate { track: TrackId(track as u32), artist, tail }).collect()
    }

    fn laid(of: &[(u32, bool)], artist_gap: usize, tail_share: f64) -> Vec<u32> {
        let rules = QueueRules { length: 10, artist_gap, tail_share };
        queue(&candidates(of), &rules).into_iter().map(|track| track.0).collect()
    }

    #[test]
    fn queues_by_hand() {
        let artists = [(1, false), (1, false), (2, false), (1, false), (3, true)];
        assert_eq!(laid(&artists, 0, 0.0), [0, 1, 2, 3, 4]);
        assert_eq!(laid(&artists, 1, 0.0), [0, 2, 1, 4, 3]);
        // With two between them the last two of the first artist find no place: spacing gives way.
        assert_eq!(laid(&artists, 2, 0.0), [0, 2, 4, 1, 3]);
        // A half of the tail: the second place is the tail's, then there is none left.
        assert_eq!(laid(&artists, 0, 0.5), [0, 4, 1, 2, 3]);
        // Unknown artists are spaced from nobody.
        assert_eq!(laid(&[(0, false), (0, false)], 5, 0.0), [0, 1]);
        assert!(laid(&[], 2, 0.5).is_empty());
    }

    #[test]
    fn filters_by_hand() {
        let filters = Filters { recent: [TrackId(1)].into(), blocked: [7].into(), no_explicit: true };
        assert!(filters.allow(TrackId(2), 1, false) && Filters::default().allow(TrackId(1), 7, true));
        assert!(!filters.allow(TrackId(1), 1, false) && !filters.allow(TrackId(2), 7, false));
        assert!(!filters.allow(TrackId(2), 1, true));
    }

    proptest! {
        // Every candidate at most once, as many as asked, and both rules hold wherever candidates for them are left.
        #[test]
        fn queues_keep_their_rules(
            of in prop::collection::vec((0u32..6, any::<bool>()), 0..40),
            length in 0usize..30,
            artist_gap in 0usize..4,
            tail_share in 0.0f64..1.0,
        ) {
            let all = candidates(&of);
            let rules = QueueRules { length, artist_gap, tail_share };
            let laid = queue(&all, &rules);
            prop_assert_eq!(laid.len(), length.min(all.len()));
            let mut seen = BTreeSet::new();
            prop_assert!(laid.iter().all(|track| seen.insert(*track)));
            let mut tail = 0;
            for (place, track) in laid.iter().enumerate() {
                let lately: Vec<u32> = laid[place.saturating_sub(artist_gap)..place].iter().map(|t| of[t.row()].0).collect();
                let spaced = |c: &Candidate| c.artist == 0 || !lately.contains(&c.artist);
                let left: Vec<&Candidate> = all.iter().filter(|c| !laid[..place].contains(&c.track)).collect();
                let own = all[track.row()];
                if left.iter().any(|c| spaced(c)) {
                    prop_assert!(spaced(&own));
                }
                let wanted = (tail_share * (place + 1) as f64 + 1e-9).floor() as usize;
                if tail < wanted && left.iter().any(|c| spaced(c) && c.tail) {
                    prop_assert!(own.tail);
                }
                tail += usize::from(own.tail);
            }
        }
    }
}
