//! What a device keeps: events, models, and records of rounds under way. One SQLite file, bounded by
//! age and number, sealed under a key that the platform keeps, erasable by the listener; and beside
//! it a file of keys, one for each record, which are destroyed with it. In clear are how many rows
//! there are of each kind, in which order they came, and sizes; rows of events are of one size.

#[cfg(test)]
mod at_rest;
mod earliest;
mod events;
mod identity;
mod recorded;
mod records;
mod round_keys;
mod schema;
mod seal;
mod take_over;
#[cfg(test)]
mod tests;
mod today;
mod values;

pub use events::Keep;
pub use recorded::{Recorded, Refused};
pub use records::Record;
pub use rusqlite::Error as DatabaseError;
pub use zeroize::Zeroizing;

use identity::Identities;
use round_keys::RoundKeys;
use rusqlite::Connection;
use seal::{Name, Seals};
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

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
    /// The file, or a row of it, is of a newer version.
    #[error("the device's store was written by a newer program: update this one")]
    Newer,
    /// The file of keys beside the database.
    #[error("the keys of the device's rounds failed: {0}")]
    Keys(#[from] std::io::Error),
    /// What was erased is out of the store, and still in the database's log.
    #[error("another process reads the device's store, so its log still has what was erased: erase again")]
    Read,
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

/// A device's store.
pub struct Store {
    connection: Connection,
    seals: Seals,
    keys: RoundKeys,
    identities: Identities,
    bounds: Bounds,
}

impl Store {
    /// Opens the file, or makes it. Rows are sealed under a key that follows from the device's secret.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn open(path: &Path, secret: &Zeroizing<[u8; 32]>, bounds: Bounds) -> Result<Self, Error> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten.
        connection.pragma_update(None, "secure_delete", "ON")?;
        let (seals, keys, identities) = (Seals::new(secret), RoundKeys::beside(path), Identities::new(secret));
        if schema::prepare(&mut connection, &take_over::With { seals: &seals, keys: &keys, identities: &identities })? {
            // Neither the file nor its log is to have the old pages, with what they said in clear.
            connection.execute_batch("VACUUM")?;
            empty_log(&connection)?;
        }
        Ok(Self { connection, seals, keys, identities, bounds })
    }

    /// Erases every event and every value but those named, and says how many events that were;
    /// rounds under way are left to their end or their coordinator.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn erase(&mut self, kept: &[&str]) -> Result<usize, Error> {
        let transaction = self.connection.transaction()?;
        let events = transaction.execute("DELETE FROM event", [])?;
        transaction.execute("DELETE FROM state WHERE place = 1", [])?;
        let kept: Vec<Name> = kept.iter().map(|name| self.seals.value(name)).collect();
        let names: Vec<Name> = {
            let mut statement = transaction.prepare("SELECT name FROM value")?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for name in names.iter().filter(|name| !kept.contains(name)) {
            transaction.execute("DELETE FROM value WHERE name = ?1", [name])?;
        }
        transaction.commit()?;
        // The file's size does not say how much there was.
        self.connection.execute_batch("VACUUM")?;
        // What the log still holds goes with it.
        if self.empty_log()? { Ok(events) } else { Err(Error::Read) }
    }

    fn empty_log(&self) -> Result<bool, Error> {
        empty_log(&self.connection)
    }
}

// Moves the log's pages into the file and cuts the log to nothing. Says whether it could: while
// another process reads, the log stays.
fn empty_log(connection: &Connection) -> Result<bool, Error> {
    let is_busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(is_busy == 0)
}
