//! Stage: rank. In: [`ValidEvent`] and what is public of the tracks. Out: [`Shown`], what a ranker learns from.
//!
//! Features say what was known when a list was put before the listener: [`state::State`] is read first and told of the
//! list's events afterwards, so that no outcome finds its way into the features of its own list.

mod features;
mod state;

pub use features::{FEATURES, Group, WIDTH, group_of, input_of};
pub use state::State;

use crate::event::{EventKind, PlaybackEvent, Timestamp};
use crate::quality::ValidEvent;
use crate::session::sessions;
use serde::{Deserialize, Serialize};
use sordino_shared::model::{EmbeddingModel, Inputs, Shown, Solver};
use sordino_shared::workload::{Counted, Shrinkage};

/// What is public of a track and bears on its rank.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrackFacts {
    /// How often it was shown and pleased, from private counts.
    pub counted: Counted,
    /// Its artist, numbered from 1; 0 where not known.
    pub artist: u32,
    /// Its length in seconds; 0 where not known.
    pub seconds: f32,
}

/// What a device ranks with.
pub struct Knowledge<'a> {
    /// One entry a track.
    pub tracks: &'a [TrackFacts],
    /// The same counts by artist, at the artists' numbers.
    pub artists: &'a [Counted],
    /// How counts become rates.
    pub shrinkage: Shrinkage,
    /// The outcome that was counted.
    pub counted: Outcome,
    /// When the counting ended: what was shown before is among the counts.
    pub counted_until: Timestamp,
    /// The embeddings; `None` where none could be learnt.
    pub embeddings: Option<&'a EmbeddingModel>,
}

/// What is asked of a track that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was heard for so many seconds, or to its end where it is shorter.
    Heard {
        /// Seconds.
        seconds: f32,
    },
    /// It was not skipped.
    Kept,
}

/// What counts as one list: its tracks are ranked by what was known before the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listing {
    /// Each track by itself, after all that came before it: what plays next.
    Each,
    /// All of a day.
    Day,
    /// The first half of a session track by track, the second half as one list: the skip challenge.
    HalfSession,
}

impl Outcome {
    /// The outcome of an event; `None` where it is no listening or its length is not known.
    pub fn of(self, event: &PlaybackEvent) -> Option<bool> {
        if !event.kind.is_listening() {
            return None;
        }
        let (heard, length) = (event.seconds_listened?, event.track_seconds?);
        Some(match self {
            Self::Heard { seconds } => heard >= seconds.min(TO_THE_END * length),
            Self::Kept => event.kind != EventKind::Skip,
        })
    }

    /// The outcome of an event, supposed from its kind where its length is not known: a skip did not please, a play did. Good
    /// enough to count and to remember by, too little to learn from.
    pub fn supposed(self, event: &PlaybackEvent) -> Option<bool> {
        self.of(event).or_else(|| event.kind.is_listening().then_some(event.kind != EventKind::Skip))
    }
}

impl Listing {
    /// Cuts a device's events, in order of time, into lists.
    fn lists(self, events: &[ValidEvent]) -> Vec<&[ValidEvent]> {
        match self {
            Self::Each => events.chunks(1).collect(),
            Self::Day => events.chunk_by(|a, b| day(a.event().time) == day(b.event().time)).collect(),
            Self::HalfSession => {
                let mut lists = Vec::new();
                for session in sessions(events) {
                    let (first, second) = session.events.split_at(session.events.len() / 2);
                    lists.extend(first.chunks(1));
                    lists.push(second);
                }
                lists
            }
        }
    }
}

/// A shown track with when it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Dated {
    /// The track.
    pub shown: Shown,
    /// When.
    pub time: Timestamp,
}

/// All that a device was shown, list by list, with the features that were known then.
pub fn shown(
    events: &[ValidEvent],
    knowledge: &Knowledge<'_>,
    outcome: Outcome,
    listing: Listing,
    solver: &mut Solver,
) -> Vec<Dated> {
    let mut state = State::default();
    let mut all = Vec::new();
    for (number, list) in listing.lists(events).into_iter().enumerate() {
        // A device that was shown nothing by then need not solve for its listener.
        if list.iter().any(|valid| outcome.of(valid.event()).is_some()) {
            state.solve(knowledge, solver);
        }
        let start = list.first().map_or(Timestamp(0), |valid| valid.event().time);
        for event in list.iter().map(ValidEvent::event) {
            let Some(pleased) = outcome.of(event) else { continue };
            let features = Inputs::new(&state.features(event, start, knowledge), FEATURES.len());
            let shown = Shown { track: event.track, features, pleased, weight: 1.0, list: number as u32 };
            all.push(Dated { shown, time: event.time });
        }
        list.iter().for_each(|valid| state.take(valid.event(), outcome, knowledge));
    }
    all
}

fn day(time: Timestamp) -> i64 {
    time.0.div_euclid(DAY_MS)
}

const DAY_MS: i64 = 86_400_000;
// The last seconds of a track are often cut off by the player.
const TO_THE_END: f32 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Checks, check};
    use sordino_shared::ids::TrackId;

    pub(super) fn play(track: u32, second: i64, heard: f32) -> PlaybackEvent {
        let mut event =
            PlaybackEvent::new(TrackId(track), Timestamp::from_seconds(1_600_000_000 + second), EventKind::Play);
        event.seconds_listened = Some(heard);
        event.track_seconds = Some(100.0);
        event
    }

    pub(super) fn facts() -> Vec<TrackFacts> {
        vec![TrackFacts { artist: 1, seconds: 100.0, counted: Counted { shown: 10.0, ..Counted::default() } }; 8]
    }

    pub(super) fn knowledge(tracks: &[TrackFacts]) -> Knowledge<'_> {
        Knowledge {
            tracks,
            artists: &[Counted { shown: 80.0, surplus: 0.0, variance: 0.0 }; 2],
            shrinkage: Shrinkage { mean: 0.3, spread: 0.01 },
            counted: Outcome::Heard { seconds: 18.0 },
            counted_until: Timestamp(0),
            embeddings: None,
        }
    }

    fn valid(events: Vec<PlaybackEvent>) -> Vec<ValidEvent> {
        check(events, &Checks { tracks: 8, now: Timestamp::from_seconds(1_700_000_000), dated: true }).0
    }

    #[test]
    fn outcomes_are_exact() {
        let heard = Outcome::Heard { seconds: 18.0 };
        assert_eq!(heard.of(&play(0, 0, 17.9)), Some(false));
        assert_eq!(heard.of(&play(0, 0, 18.0)), Some(true));
        let short = PlaybackEvent { track_seconds: Some(10.0), ..play(0, 0, 9.6) };
        assert_eq!(heard.of(&short), Some(true));
        assert_eq!(heard.of(&PlaybackEvent { seconds_listened: Some(9.4), ..short }), Some(false));
        assert_eq!(heard.of(&PlaybackEvent { track_seconds: None, ..short }), None);
        assert_eq!(heard.of(&PlaybackEvent { kind: EventKind::Like, ..short }), None);
        for (kind, supposed) in [(EventKind::Play, Some(true)), (EventKind::Skip, Some(false)), (EventKind::Like, None)]
        {
            assert_eq!(heard.supposed(&PlaybackEvent { track_seconds: None, kind, ..short }), supposed);
        }
        assert_eq!(heard.supposed(&PlaybackEvent { kind: EventKind::Skip, ..short }), Some(true));
        assert_eq!(Outcome::Kept.of(&PlaybackEvent { kind: EventKind::Skip, ..short }), Some(false));
    }

    // The trap: a state that is told of a list's events while the list is being described leaks its outcomes.
    #[test]
    fn no_outcome_is_in_the_features_of_its_own_list() {
        let tracks = facts();
        let knowledge = knowledge(&tracks);
        let outcome = Outcome::Heard { seconds: 18.0 };
        for listing in [Listing::Each, Listing::Day, Listing::HalfSession] {
            let base: Vec<PlaybackEvent> = (0..6).map(|i| play(i, i64::from(i) * 200, 90.0)).collect();
            let of = |events: &[PlaybackEvent]| {
                shown(&valid(events.to_vec()), &knowledge, outcome, listing, &mut Solver::default())
            };
            let before = of(&base);
            for changed in 0..6 {
                let mut other = base.clone();
                other[changed].seconds_listened = Some(1.0);
                let after = of(&other);
                let list = before[changed].shown.list;
                for (a, b) in before.iter().zip(&after) {
                    let same = a.shown.features == b.shown.features;
                    assert!(same || a.shown.list > list, "{listing:?}: {changed} is known in list {}", a.shown.list);
                }
                let later = before.iter().zip(&after).filter(|(a, _)| a.shown.list > list);
                assert!(later.clone().all(|(a, b)| a.shown.features != b.shown.features), "{listing:?} forgets");
            }
        }
    }

    // A track's counts hold what this device was shown, so its own outcome must come back out of them: of the outcome that
    // was counted, whatever the ranker learns.
    #[test]
    fn counted_outcomes_are_taken_back_out() {
        let features = |heard: f32, learnt: Outcome| {
            let event = play(3, 0, heard);
            let counted = Outcome::Heard { seconds: 18.0 };
            let surplus = f64::from(u8::from(counted.of(&event) == Some(true))) - 0.3;
            let mut tracks = facts();
            tracks[3].counted = tracks[3].counted.and(&Counted { shown: 1.0, surplus, variance: 0.0 });
            let artists = [Counted::default(), Counted { shown: 80.0, surplus, variance: 0.0 }];
            let counted_until = Timestamp::from_seconds(1_700_000_000);
            let knowledge = Knowledge { artists: &artists, counted_until, ..knowledge(&tracks) };
            shown(&valid(vec![event]), &knowledge, learnt, Listing::Day, &mut Solver::default())[0]
                .shown
                .features
                .to_vec()
        };
        for learnt in [Outcome::Heard { seconds: 18.0 }, Outcome::Kept] {
            for (a, b) in features(90.0, learnt).iter().zip(features(2.0, learnt)) {
                assert!((a - b).abs() < 1e-6, "{learnt:?}: {a} and {b}");
            }
        }
    }

    #[test]
    fn lists_are_cut_as_named() {
        let events = valid((0..5).map(|i| play(i, i64::from(i) * 200, 90.0)).collect());
        let lengths = |listing: Listing| listing.lists(&events).iter().map(|list| list.len()).collect::<Vec<_>>();
        assert_eq!(lengths(Listing::Each), [1; 5]);
        assert_eq!(lengths(Listing::HalfSession), [1, 1, 3]);
        assert_eq!(lengths(Listing::Day), [5]);
    }
}
