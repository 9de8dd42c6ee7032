//! What a device keeps: events, models, and records of rounds under way. One SQLite file, bounded by age and number, sealed
//! under a key that the platform keeps, erasable by the listener.

use crate::event::{PlaybackEvent, SCHEMA_VERSION, Timestamp};
use crate::quality::EARLIEST;
use crate::train::Randomness;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use rand_core::Rng;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::Sha256;
use sordino_shared::secagg::Hash;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use zeroize::Zeroizing;

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The database or the disk.
    #[error("the device's store failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// A row was written under another key, or changed.
    #[error("the device's store holds a row that this device's key does not open: restore the key, or erase the store")]
    Sealed,
    /// A row is of another version.
    #[error("the device's store holds an event of a newer version: update this program")]
    Newer,
    /// No random bytes.
    #[error("the operating system gives no random bytes")]
    Randomness,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most events.
    pub events: u32,
    /// The oldest, in days.
    pub days: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 100_000, days: 400 }
    }
}

/// The record of a round under way: the hash of its terms, and the bytes.
pub type Record = (Hash, Zeroizing<Vec<u8>>);

/// A device's store.
pub struct Store {
    connection: Connection,
    cipher: ChaCha20Poly1305,
    bounds: Bounds,
}

impl Store {
    /// Opens the file, or makes it. Rows are sealed under a key that follows from the device's secret.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn open(path: &Path, secret: &Zeroizing<[u8; 32]>, bounds: Bounds) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten.
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.execute_batch(SCHEMA)?;
        let mut key = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(None, secret.as_slice())
            .expand(b"sordino device store v1", key.as_mut_slice())
            .expect("32 bytes are a valid length");
        let cipher = ChaCha20Poly1305::new(&Key::from(*key));
        Ok(Self { connection, cipher, bounds })
    }

    /// Keeps an event, durably, and lets go of what is beyond the bounds.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn record(&mut self, events: &[PlaybackEvent], now: Timestamp) -> Result<(), Error> {
        let mut sealed = Vec::with_capacity(events.len());
        for event in events {
            let text = serde_json::to_vec(&(SCHEMA_VERSION, event)).expect("an event is plain numbers");
            sealed.push((event.time.0, self.seal(b"event", &text)?));
        }
        let transaction = self.connection.transaction()?;
        for (time, event) in &sealed {
            transaction.execute("INSERT INTO event (time, sealed) VALUES (?1, ?2)", params![time, event])?;
        }
        let oldest = now.0.saturating_sub(i64::from(self.bounds.days) * 86_400_000);
        // What a clock that was never set has dated is not old: the quality checks judge it.
        transaction.execute("DELETE FROM event WHERE time >= ?1 AND time < ?2", [EARLIEST.0, oldest])?;
        transaction.execute(
            "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?1",
            [i64::from(self.bounds.events)],
        )?;
        Ok(transaction.commit()?)
    }

    /// All events, in the order in which they were recorded.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn events(&self) -> Result<Vec<PlaybackEvent>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT sealed FROM event ORDER BY id")?;
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| {
            let text = self.open_row(b"event", &row?)?;
            let (version, event): (u16, serde_json::Value) =
                serde_json::from_slice(&text).map_err(|_| Error::Sealed)?;
            if version > SCHEMA_VERSION {
                return Err(Error::Newer);
            }
            serde_json::from_value(event).map_err(|_| Error::Sealed)
        })
        .collect()
    }

    /// Puts a round's record in the place of an earlier one.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), Error> {
        let sealed = self.seal(context, record)?;
        self.connection.execute(
            "INSERT INTO record (context, sealed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            params![context, sealed],
        )?;
        Ok(())
    }

    /// Records of rounds under way.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT context, sealed FROM record")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, Hash>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (context, sealed) = row?;
            Ok((context, self.open_row(&context, &sealed)?))
        })
        .collect()
    }

    /// The round is over.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn forget(&mut self, context: &Hash) -> Result<(), Error> {
        self.connection.execute("DELETE FROM record WHERE context = ?1", [context])?;
        Ok(())
    }

    /// Keeps a value under a name.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn put(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        let sealed = self.seal(name.as_bytes(), value)?;
        self.connection.execute(PUT, params![name, sealed])?;
        Ok(())
    }

    /// Keeps some values and forgets others, all or none of it.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn change(&mut self, kept: &[(&str, &[u8])], forgotten: &[&str]) -> Result<(), Error> {
        let sealed = kept.iter().map(|(name, value)| Ok((*name, self.seal(name.as_bytes(), value)?)));
        let sealed = sealed.collect::<Result<Vec<(&str, Vec<u8>)>, Error>>()?;
        let transaction = self.connection.transaction()?;
        for (name, sealed) in sealed {
            transaction.execute(PUT, params![name, sealed])?;
        }
        for name in forgotten {
            transaction.execute("DELETE FROM value WHERE name = ?1", [name])?;
        }
        Ok(transaction.commit()?)
    }

    /// The value under a name.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let sealed: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT sealed FROM value WHERE name = ?1", [name], |row| row.get(0))
            .optional()?;
        sealed.map(|sealed| self.open_row(name.as_bytes(), &sealed)).transpose()
    }

    /// Erases every event and every value but those named; rounds under way are left to their end or their coordinator.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn erase(&mut self, kept: &[&str]) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM event", [])?;
        let names: Vec<String> = {
            let mut statement = transaction.prepare("SELECT name FROM value")?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for name in names.iter().filter(|name| !kept.contains(&name.as_str())) {
            transaction.execute("DELETE FROM value WHERE name = ?1", [name])?;
        }
        transaction.commit()?;
        // What the log still holds goes with it.
        self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
        Ok(self.connection.execute_batch("VACUUM")?)
    }

    // A nonce of 96 random bits before the sealed bytes; fewer than 2^32 rows are ever written under one key.
    fn seal(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut randomness = Randomness::from_operating_system().map_err(|_| Error::Randomness)?;
        let mut nonce = [0; 12];
        randomness.0.fill_bytes(&mut nonce);
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: name });
        let mut row = nonce.to_vec();
        row.extend_from_slice(&sealed.map_err(|_| Error::Sealed)?);
        Ok(row)
    }

    fn open_row(&self, name: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (nonce, sealed) = row.split_first_chunk::<12>().ok_or(Error::Sealed)?;
        let plain = self.cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: name });
        plain.map(Zeroizing::new).map_err(|_| Error::Sealed)
    }
}

const PUT: &str = "INSERT INTO value (name, sealed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = excluded.sealed";

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS event_by_time ON event (time);
CREATE TABLE IF NOT EXISTS record (context BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use sordino_shared::ids::TrackId;

    const DAY: i64 = 86_400_000;
    // Some day of 2023.
    const TODAY: i64 = 19_500 * DAY;

    fn event(track: u32, time: i64) -> PlaybackEvent {
        PlaybackEvent::new(TrackId(track), Timestamp(time), EventKind::Play)
    }

    fn open(path: &Path, secret: u8, bounds: Bounds) -> Store {
        Store::open(path, &Zeroizing::new([secret; 32]), bounds).expect("a store")
    }

    #[test]
    fn events_stay_until_they_are_too_old_too_many_or_erased() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        let bounds = Bounds { events: 5, days: 10 };
        let mut store = open(&path, 1, bounds);
        let now = Timestamp(TODAY);
        store.record(&[event(1, TODAY - 20 * DAY), event(2, TODAY - 5 * DAY), event(3, DAY)], now).expect("kept");
        let kept = [event(2, TODAY - 5 * DAY), event(3, DAY)];
        assert_eq!(store.events().expect("events"), kept, "the first is too old, the last had no clock");
        let many: Vec<PlaybackEvent> = (10..17).map(|track| event(track, TODAY - DAY)).collect();
        store.record(&many, now).expect("kept");
        drop(store);
        let mut store = open(&path, 1, bounds);
        assert_eq!(store.events().expect("events"), many[2..], "the oldest of them went");
        store.put("model", b"bytes").expect("kept");
        store.put("enrolled", b"certificate").expect("kept");
        store.erase(&["enrolled"]).expect("erased");
        assert!(store.events().expect("events").is_empty());
        assert!(store.get("model").expect("no fault").is_none() && store.get("enrolled").expect("no fault").is_some());
    }

    // What lies on the disk does not show what was heard, nor can rows be exchanged.
    #[test]
    fn rows_are_sealed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store");
        let mut store = open(&path, 1, Bounds::default());
        store.put("name", b"a very secret sentence").expect("kept");
        store.save(&[7; 32], b"the shares of neighbours").expect("kept");
        assert_eq!(store.records().expect("records").len(), 1);
        store.connection.execute("UPDATE value SET name = 'other'", []).expect("renamed");
        assert!(matches!(store.get("other"), Err(Error::Sealed)));
        drop(store);
        for file in std::fs::read_dir(folder.path()).expect("files") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("bytes");
            let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            assert!(!holds(b"secret sentence") && !holds(b"shares of"));
        }
        assert!(matches!(open(&path, 2, Bounds::default()).records(), Err(Error::Sealed)), "another key");
    }
}
