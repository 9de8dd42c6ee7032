//! Stage: check. In: [`PlaybackEvent`]. Out: [`ValidEvent`], and a counted reason for each event that is not one.

mod bot;

pub use bot::{BotRule, BotVerdict};

use crate::event::{EventKind, PlaybackEvent, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An event that passed every check, in order of time among its device's events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidEvent(PlaybackEvent);

impl ValidEvent {
    /// The event.
    pub fn event(&self) -> &PlaybackEvent {
        &self.0
    }
}

/// Why an event was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The track is not in the catalogue.
    UnknownTrack,
    /// Seconds or length are negative or not a number.
    BadNumber,
    /// A track of length zero.
    ZeroLength,
    /// Listened longer than 1.1 lengths and 5 seconds (a replay: fifty times that, more of which the loop rule calls a bot).
    LongerThanTrack,
    /// Before 1990: a clock that was never set.
    ClockTooEarly,
    /// More than a day after the device's own present.
    ClockInFuture,
    /// An event id seen before.
    DuplicateId,
    /// Same kind and track within two seconds of an event kept.
    Duplicate,
}

impl Rejection {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::UnknownTrack => "track not in the catalogue",
            Self::BadNumber => "negative or missing number",
            Self::ZeroLength => "track of length zero",
            Self::LongerThanTrack => "listened longer than the track",
            Self::ClockTooEarly => "clock before 1990",
            Self::ClockInFuture => "clock in the future",
            Self::DuplicateId => "event id seen before",
            Self::Duplicate => "same track within two seconds",
        }
    }
}

/// What became of a device's events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Events seen.
    pub seen: u64,
    /// Events turned away, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
}

impl Tally {
    /// Adds another device's tally.
    pub fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        for (&reason, &count) in &other.rejected {
            *self.rejected.entry(reason).or_default() += count;
        }
    }

    /// Events that passed.
    pub fn kept(&self) -> u64 {
        self.seen - self.rejected.values().sum::<u64>()
    }
}

/// What the checks compare with.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// Tracks in the catalogue.
    pub tracks: usize,
    /// The device's present.
    pub now: Timestamp,
    /// Whether times mean anything; without dates the clock rules and the bot rules are off.
    pub dated: bool,
}

/// Sorts a device's events by time and keeps those that pass, the first of any duplicates.
pub fn check(mut events: Vec<PlaybackEvent>, checks: &Checks) -> (Vec<ValidEvent>, Tally) {
    let mut tally = Tally { seen: events.len() as u64, ..Tally::default() };
    events.sort_by_key(|e| (e.time, e.track, e.kind, e.event_id));
    let mut valid: Vec<ValidEvent> = Vec::with_capacity(events.len());
    let mut ids = std::collections::BTreeSet::new();
    let mut last_of = BTreeMap::<(EventKind, u32), Timestamp>::new();
    for event in events {
        let verdict = fault(&event, checks).or_else(|| {
            if event.event_id != 0 && !ids.insert(event.event_id) {
                return Some(Rejection::DuplicateId);
            }
            let last = last_of.insert((event.kind, event.track.0), event.time);
            let close = |last| checks.dated && event.time.seconds_since(last) < DUPLICATE_SECONDS;
            last.filter(|&last| close(last)).map(|_| Rejection::Duplicate)
        });
        match verdict {
            None => valid.push(ValidEvent(event)),
            Some(reason) => *tally.rejected.entry(reason).or_default() += 1,
        }
    }
    (valid, tally)
}

// What is wrong with one event by itself.
pub(crate) fn fault(event: &PlaybackEvent, checks: &Checks) -> Option<Rejection> {
    let bad = |number: Option<f32>| number.is_some_and(|v| !(v >= 0.0 && v.is_finite()));
    if event.track.row() >= checks.tracks {
        Some(Rejection::UnknownTrack)
    } else if bad(event.seconds_listened) || bad(event.track_seconds) {
        Some(Rejection::BadNumber)
    } else if event.track_seconds == Some(0.0) {
        Some(Rejection::ZeroLength)
    } else if checks.dated && event.time < EARLIEST {
        Some(Rejection::ClockTooEarly)
    } else if checks.dated && event.time.seconds_since(checks.now) > DAY_SECONDS {
        Some(Rejection::ClockInFuture)
    } else if too_long(event) {
        Some(Rejection::LongerThanTrack)
    } else {
        None
    }
}

fn too_long(event: &PlaybackEvent) -> bool {
    let passes = if event.kind == EventKind::Replay { MOST_REPLAYS } else { 1.0 };
    match (event.seconds_listened, event.track_seconds) {
        (Some(listened), Some(length)) => listened > passes * (1.1 * length + 5.0),
        _ => false,
    }
}

// 1990-01-01, before any of the services that record such events.
pub(crate) const EARLIEST: Timestamp = Timestamp(631_152_000_000);
const DAY_SECONDS: f64 = 86_400.0;
// A replay counts the passes of one sitting; short tracks go round often.
const MOST_REPLAYS: f32 = 50.0;
const DUPLICATE_SECONDS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::ids::TrackId;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const CHECKS: Checks = Checks { tracks: 10, now: NOW, dated: true };

    fn event(track: u32, seconds_ago: i64) -> PlaybackEvent {
        let mut event = PlaybackEvent::new(TrackId(track), Timestamp(NOW.0 - seconds_ago * 1000), EventKind::Play);
        event.seconds_listened = Some(100.0);
        event.track_seconds = Some(200.0);
        event
    }

    #[test]
    fn each_fault_has_its_reason() {
        let broken = |change: &dyn Fn(&mut PlaybackEvent)| {
            let mut e = event(1, 1000);
            change(&mut e);
            let (valid, tally) = check(vec![e], &CHECKS);
            assert!(valid.is_empty());
            *tally.rejected.keys().next().expect("one reason")
        };
        assert_eq!(broken(&|e| e.track = TrackId(10)), Rejection::UnknownTrack);
        assert_eq!(broken(&|e| e.seconds_listened = Some(f32::NAN)), Rejection::BadNumber);
        assert_eq!(broken(&|e| e.seconds_listened = Some(-1.0)), Rejection::BadNumber);
        assert_eq!(broken(&|e| e.track_seconds = Some(0.0)), Rejection::ZeroLength);
        assert_eq!(broken(&|e| e.time = Timestamp(0)), Rejection::ClockTooEarly);
        assert_eq!(broken(&|e| e.time = Timestamp(NOW.0 * 2)), Rejection::ClockInFuture);
        assert_eq!(broken(&|e| e.seconds_listened = Some(226.0)), Rejection::LongerThanTrack);
    }

    #[test]
    fn duplicates_go_and_the_first_stays() {
        let mut twin = event(1, 500);
        twin.event_id = 7;
        let mut other = event(2, 400);
        other.event_id = 7;
        let events = vec![event(3, 100), event(3, 99), event(3, 90), twin, other];
        let (valid, tally) = check(events, &CHECKS);
        assert_eq!(valid.iter().map(|v| v.event().track.0).collect::<Vec<_>>(), vec![1, 3, 3]);
        assert_eq!(tally.rejected[&Rejection::Duplicate], 1);
        assert_eq!(tally.rejected[&Rejection::DuplicateId], 1);
        assert_eq!(tally.kept(), 3);
    }
}
