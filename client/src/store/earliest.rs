//! Which events go first: a sealed list of the earliest, so that no row says its day in clear.
//!
//! The list has the first of all events by day and, within a day, by identity. What is later than
//! its last it does not know, so an event that comes is put into it or is none of its business.
//! When it has run out, all rows are read and it is made anew; that is once in as many events as it
//! has places.

use super::schema::day_of;
use super::seal::{Seals, randomness};
use super::{Error, identity::Identity};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::{BTreeSet, VecDeque};

/// An event's place in the order in which they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The day of the event, in UTC.
    pub(super) day: i64,
    /// Within a day what the identity says, so that the same events stay in whatever order they
    /// came.
    pub(super) identity: Identity,
    /// Its row.
    pub(super) row: i64,
}

/// The earliest events of a store.
#[derive(Debug, Default)]
pub(super) struct Earliest {
    // Ascending; what comes is often earlier than all, or later.
    places: VecDeque<Place>,
    // Whether the list has every event that can be read.
    is_whole: bool,
    is_changed: bool,
}

impl Earliest {
    /// As it was stored. A store without a list, such as one that was taken over, knows nothing yet;
    /// but of no events it has all.
    pub(super) fn load(transaction: &Transaction<'_>, seals: &Seals) -> Result<Self, Error> {
        let sealed: Option<Vec<u8>> = transaction.prepare_cached(SELECT)?.query_row([], |row| row.get(0)).optional()?;
        let Some(sealed) = sealed else {
            let is_any: bool = transaction.query_row("SELECT EXISTS (SELECT 1 FROM event)", [], |row| row.get(0))?;
            return Ok(Self { is_whole: !is_any, ..Self::default() });
        };
        Self::from_bytes(&seals.open(NAME, &sealed)?).ok_or(Error::Sealed)
    }

    /// Takes note of an event that has come.
    pub(super) fn put(&mut self, place: Place) {
        if self.is_whole || self.places.back().is_some_and(|last| place < *last) {
            let at = self.places.partition_point(|other| *other < place);
            self.places.insert(at, place);
            self.is_changed = true;
        }
        if self.places.len() > 2 * MOST {
            self.shorten();
        }
    }

    /// Takes out of the list, earliest first, the events of days before this one, and then as many
    /// more as are beyond the most.
    pub(super) fn take_beyond(
        &mut self,
        transaction: &Transaction<'_>,
        seals: &Seals,
        day: i64,
        most: u32,
    ) -> Result<(Vec<Place>, Vec<Place>), Error> {
        let old = self.take_while(transaction, seals, |place, _| place.day < day)?;
        let count = count_beyond(transaction, most)?.saturating_sub(old.len());
        Ok((old, self.take_while(transaction, seals, |_, taken| taken < count)?))
    }

    /// Stores it, if it has changed.
    pub(super) fn store(mut self, transaction: &Transaction<'_>, seals: &Seals) -> Result<(), Error> {
        if self.is_changed {
            self.shorten();
            let sealed = seals.seal(&mut randomness()?, NAME, &self.to_bytes())?;
            transaction.prepare_cached(PUT)?.execute(params![sealed])?;
        }
        Ok(())
    }

    fn take_while(
        &mut self,
        transaction: &Transaction<'_>,
        seals: &Seals,
        takes: impl Fn(&Place, usize) -> bool,
    ) -> Result<Vec<Place>, Error> {
        let mut taken = Vec::new();
        loop {
            let from = taken.len();
            let count = self.places.iter().enumerate().take_while(|(n, place)| takes(place, from + n)).count();
            self.is_changed |= count > 0;
            taken.extend(self.places.drain(..count));
            if self.is_whole || !self.places.is_empty() {
                return Ok(taken);
            }
            *self = Self::all(transaction, seals)?;
            // Those that were taken are rows still.
            let rows: BTreeSet<i64> = taken.iter().map(|place| place.row).collect();
            self.places.retain(|place| !rows.contains(&place.row));
        }
    }

    // Rows that no key opens have no day, and are nobody's to throw away.
    fn all(transaction: &Transaction<'_>, seals: &Seals) -> Result<Self, Error> {
        let mut statement = transaction.prepare_cached("SELECT id, identity, sealed FROM event")?;
        let mut rows = statement.query([])?;
        let mut places = Vec::new();
        while let Some(row) = rows.next()? {
            let sealed = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            if let Ok(event) = seals.event(sealed) {
                let identity = row.get::<_, Option<Identity>>(1)?.unwrap_or_default();
                places.push(Place { day: day_of(event.time.0), identity, row: row.get(0)? });
            }
        }
        places.sort_unstable();
        Ok(Self { places: places.into(), is_whole: true, is_changed: true })
    }

    fn shorten(&mut self) {
        self.is_whole &= self.places.len() <= MOST;
        self.places.truncate(MOST);
    }

    // Of one length, whatever is in it.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.is_whole), self.places.len() as u8];
        for place in &self.places {
            bytes.extend_from_slice(&place.day.to_le_bytes());
            bytes.extend_from_slice(&place.identity);
            bytes.extend_from_slice(&place.row.to_le_bytes());
        }
        bytes.resize(2 + MOST * PLACE, 0);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[is_whole, count], places) = bytes.split_first_chunk::<2>()?;
        let places = places.chunks_exact(PLACE).take(usize::from(count)).map(|place| {
            let (day, rest) = place.split_first_chunk::<8>()?;
            let (identity, row) = rest.split_first_chunk::<16>()?;
            Some(Place {
                day: i64::from_le_bytes(*day),
                identity: *identity,
                row: i64::from_le_bytes(row.try_into().ok()?),
            })
        });
        Some(Self { places: places.collect::<Option<_>>()?, is_whole: is_whole == 1, is_changed: false })
    }
}

// How many rows there are beyond the most.
fn count_beyond(transaction: &Transaction<'_>, most: u32) -> Result<usize, Error> {
    // Nearly always this suffices, and it reads two rows, not all of them.
    let span: Option<i64> =
        transaction
            .query_row("SELECT (SELECT max(id) FROM event) - (SELECT min(id) FROM event) + 1", [], |row| row.get(0))?;
    if span.is_none_or(|span| span <= i64::from(most)) {
        return Ok(0);
    }
    let count: i64 = transaction.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
    Ok(usize::try_from(count.saturating_sub(i64::from(most))).unwrap_or(0))
}

const PLACE: usize = 8 + 16 + 8;
// With 120 it just fits a page of the database. Tests have it run out often.
const MOST: usize = if cfg!(test) { 7 } else { 120 };
const NAME: &[u8] = b"\0earliest events";
const SELECT: &str = "SELECT sealed FROM state WHERE place = 1";
const PUT: &str = "INSERT INTO state (place, sealed) VALUES (1, ?1) ON CONFLICT DO UPDATE SET sealed = excluded.sealed";
