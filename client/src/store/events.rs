//! Events in the store: each is kept once, as long as the bounds allow.

use super::earliest::{Earliest, Place};
use super::schema::day_of;
use super::seal::{EVENT, randomness};
use super::today::today;
use super::{Error, Recorded, Refused, Store};
use crate::event::{PlaybackEvent, Timestamp};
use crate::quality::{Checks, fault};
use rusqlite::{TransactionBehavior, params};
use std::collections::BTreeMap;

/// What to do with the good events where others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Keep them.
    Good,
    /// Keep none.
    AllOrNone,
}

impl Store {
    /// Keeps events, durably and in one transaction, and lets go of what is beyond the bounds. An
    /// event that is here already is not kept again, whatever came between.
    ///
    /// # Errors
    /// [`enum@Error`]; then nothing was kept.
    pub fn record(&mut self, events: &[PlaybackEvent], now: Timestamp, keep: Keep) -> Result<Recorded, Error> {
        let mut randomness = randomness()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let today = today(&transaction, &self.seals, day_of(now.0))?;
        let oldest = today.saturating_sub(i64::from(self.bounds.days));
        // The catalogue is the model's, and another model has another.
        let checks = Checks { tracks: usize::MAX, now, dated: true };
        let mut recorded = Recorded::default();
        let mut rows = BTreeMap::new();
        // Of those that come now, where else they stand: what becomes of the first becomes of all.
        let mut fresh = BTreeMap::<_, Vec<usize>>::new();
        let mut earliest = Earliest::load(&transaction, &self.seals)?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT INTO event (identity, sealed) VALUES (?1, ?2) ON CONFLICT (identity) DO NOTHING",
            )?;
            let mut earlier = transaction.prepare_cached("SELECT sealed FROM event WHERE identity = ?1")?;
            for (place, event) in events.iter().enumerate() {
                let day = day_of(event.time.0);
                let refused = fault(event, &checks).map(Refused::Quality);
                if let Some(why) = refused.or_else(|| (day < oldest).then_some(Refused::TooOld)) {
                    recorded.refused.push((place, why));
                    continue;
                }
                let identity = self.identities.of(event);
                let sealed = self.seals.seal(&mut randomness, EVENT, &to_text(event))?;
                if put.execute(params![identity, sealed])? == 1 {
                    let row = transaction.last_insert_rowid();
                    rows.insert(row, place);
                    fresh.insert(identity, Vec::new());
                    earliest.put(Place { day, identity, row });
                    continue;
                }
                let first: Vec<u8> = earlier.query_row([identity], |row| row.get(0))?;
                if event.event_id == 0 || self.seals.event(&first)? == from_text(&to_text(event))? {
                    match fresh.get_mut(&identity) {
                        Some(again) => again.push(place),
                        None => recorded.known += 1,
                    }
                } else {
                    recorded.refused.push((place, Refused::IdTaken));
                }
            }
        }
        if keep == Keep::AllOrNone && !recorded.is_whole() {
            return Ok(recorded);
        }
        let (old, beyond) = earliest.take_beyond(&transaction, &self.seals, oldest, self.bounds.events)?;
        {
            let mut delete = transaction.prepare_cached("DELETE FROM event WHERE id = ?1")?;
            for place in old.iter().chain(&beyond) {
                delete.execute([place.row])?;
            }
        }
        recorded.let_go = old.iter().filter(|place| !rows.contains_key(&place.row)).count();
        for place in &beyond {
            match rows.remove(&place.row) {
                Some(first) => {
                    let again = fresh.remove(&place.identity).unwrap_or_default();
                    recorded.refused.extend([first].into_iter().chain(again).map(|place| (place, Refused::NoRoom)));
                }
                None => recorded.let_go += 1,
            }
        }
        recorded.refused.sort_unstable();
        if keep == Keep::AllOrNone && !recorded.is_whole() {
            return Ok(Recorded { let_go: 0, ..recorded });
        }
        recorded.known += fresh.values().map(Vec::len).sum::<usize>();
        recorded.kept = rows.len();
        earliest.store(&transaction, &self.seals)?;
        transaction.commit()?;
        Ok(recorded)
    }

    /// All events, in the order in which they were recorded.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn events(&self) -> Result<Vec<PlaybackEvent>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT sealed FROM event ORDER BY id")?;
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| self.seals.event(&row?)).collect()
    }
}

/// An event's text in the store. Texts are of one length, so that a row's length does not say what
/// kind of event it is.
pub(super) fn to_text(event: &PlaybackEvent) -> Vec<u8> {
    // Taken apart by name, so that a field which is new does not build until it is here.
    let &PlaybackEvent {
        event_id,
        track,
        time,
        kind,
        seconds_listened,
        track_seconds,
        context,
        reason_start,
        reason_end,
        shuffle,
        offline,
        position,
    } = event;
    let what = (event_id, track, time, kind, seconds_listened, track_seconds);
    let how = (context, reason_start, reason_end, shuffle, offline, position);
    let mut text = serde_json::to_vec(&(VERSION, what, how)).expect("an event is plain numbers");
    // JSON may end in blanks.
    text.resize(text.len().next_multiple_of(TEXT), b' ');
    text
}

/// An event from its text in the store, of this program or an earlier one.
pub(super) fn from_text(text: &[u8]) -> Result<PlaybackEvent, Error> {
    if let Ok((VERSION, what, how)) = serde_json::from_slice(text) {
        let (event_id, track, time, kind, seconds_listened, track_seconds) = what;
        let (context, reason_start, reason_end, shuffle, offline, position) = how;
        return Ok(PlaybackEvent {
            event_id,
            track,
            time,
            kind,
            seconds_listened,
            track_seconds,
            context,
            reason_start,
            reason_end,
            shuffle,
            offline,
            position,
        });
    }
    let parts: Vec<serde_json::Value> = serde_json::from_slice(text).map_err(|_| Error::Sealed)?;
    let version = parts.first().and_then(serde_json::Value::as_u64).ok_or(Error::Sealed)?;
    if version > u64::from(VERSION) {
        return Err(Error::Newer);
    }
    // The first layout had an object with all names.
    let event = parts.into_iter().nth(1).ok_or(Error::Sealed)?;
    serde_json::from_value(event).map_err(|_| Error::Sealed)
}

// Of an event's text: 1 was an object with names, 2 is two lists.
const VERSION: u16 = 2;
// The longest event there can be is a little shorter.
const TEXT: usize = 176;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Context, EventKind, Reason, TrackId};

    #[test]
    fn the_longest_event_and_the_shortest_are_of_one_length() {
        let short = PlaybackEvent::new(TrackId(0), Timestamp(0), EventKind::Play);
        let long = PlaybackEvent {
            event_id: u64::MAX,
            track: TrackId(u32::MAX),
            time: Timestamp(i64::MIN),
            kind: EventKind::AddToPlaylist,
            seconds_listened: Some(1.234_567_9e-30),
            track_seconds: Some(1.234_567_9e-30),
            context: Context::Place(255),
            reason_start: Reason::Application,
            reason_end: Reason::Application,
            shuffle: false,
            offline: false,
            position: Some(u16::MAX),
        };
        for event in [short, long] {
            let text = to_text(&event);
            assert_eq!((text.len(), from_text(&text).expect("an event")), (TEXT, event));
        }
        let blanks = to_text(&long).iter().rev().take_while(|&&byte| byte == b' ').count();
        assert!(blanks < 16, "no row is longer than it needs to be: {blanks}");
        let named = serde_json::to_vec(&(1, long)).expect("numbers");
        assert_eq!(from_text(&named).expect("an event"), long, "an earlier program's");
        assert!(matches!(from_text(b"[3,[]]"), Err(Error::Newer)));
    }
}
