//! Events in the store: each is kept once, as long as the bounds allow.

use super::schema::day_of;
use super::{Error, Recorded, Refused, Store};
use crate::event::{PlaybackEvent, SCHEMA_VERSION, Timestamp};
use crate::quality::{Checks, fault};
use rusqlite::{Transaction, TransactionBehavior, params};
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
        let mut randomness = super::randomness()?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let oldest = day_of(now.0).saturating_sub(i64::from(self.bounds.days));
        // The catalogue is the model's, and another model has another.
        let checks = Checks { tracks: usize::MAX, now, dated: true };
        let mut recorded = Recorded::default();
        let mut rows = BTreeMap::new();
        {
            let mut put = transaction.prepare_cached(
                "INSERT INTO event (day, identity, sealed) VALUES (?1, ?2, ?3) ON CONFLICT (identity) DO NOTHING",
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
                let sealed = self.seals.seal(&mut randomness, b"event", &to_text(event))?;
                if put.execute(params![day, identity, sealed])? == 1 {
                    rows.insert(transaction.last_insert_rowid(), place);
                    continue;
                }
                let first: Vec<u8> = earlier.query_row([identity], |row| row.get(0))?;
                if event.event_id == 0 || self.seals.event(&first)? == from_text(&to_text(event))? {
                    recorded.known += 1;
                } else {
                    recorded.refused.push((place, Refused::IdTaken));
                }
            }
        }
        if keep == Keep::AllOrNone && !recorded.is_whole() {
            return Ok(recorded);
        }
        transaction.execute("DELETE FROM event WHERE day < ?1", [oldest])?;
        for row in beyond(&transaction, self.bounds.events)? {
            match rows.remove(&row) {
                Some(place) => recorded.refused.push((place, Refused::NoRoom)),
                None => recorded.let_go += 1,
            }
        }
        recorded.refused.sort_unstable();
        if keep == Keep::AllOrNone && !recorded.is_whole() {
            return Ok(Recorded { let_go: 0, ..recorded });
        }
        recorded.kept = rows.len();
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

/// Lets go of what is beyond the most events, and says which rows went: those of the earliest days,
/// and of one day those that the identity says, so that the same events stay in whatever order they
/// came.
fn beyond(transaction: &Transaction<'_>, most: u32) -> Result<Vec<i64>, Error> {
    // Nearly always this suffices, and it reads two rows, not all of them.
    let span: Option<i64> =
        transaction
            .query_row("SELECT (SELECT max(id) FROM event) - (SELECT min(id) FROM event) + 1", [], |row| row.get(0))?;
    if span.is_none_or(|span| span <= i64::from(most)) {
        return Ok(Vec::new());
    }
    let count: i64 = transaction.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
    let mut statement = transaction.prepare_cached(
        "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY day, identity LIMIT ?1) RETURNING id",
    )?;
    let gone = statement.query_map([count.saturating_sub(i64::from(most)).max(0)], |row| row.get(0))?;
    Ok(gone.collect::<Result<_, _>>()?)
}

fn to_text(event: &PlaybackEvent) -> Vec<u8> {
    serde_json::to_vec(&(SCHEMA_VERSION, event)).expect("an event is plain numbers")
}

/// An event from its text in the store.
pub(super) fn from_text(text: &[u8]) -> Result<PlaybackEvent, Error> {
    let (version, event): (u16, serde_json::Value) = serde_json::from_slice(text).map_err(|_| Error::Sealed)?;
    if version > SCHEMA_VERSION {
        return Err(Error::Newer);
    }
    serde_json::from_value(event).map_err(|_| Error::Sealed)
}
