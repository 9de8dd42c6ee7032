//! What a device keeps: events, models, and records of rounds under way. One SQLite file, bounded by age and number, sealed
//! under a key that the platform keeps, erasable by the listener. In clear are the day of each
//! event, names of values, and sizes.

mod events;
mod identity;
mod recorded;
mod schema;
mod seal;
#[cfg(test)]
mod tests;

pub use events::Keep;
pub use recorded::{Recorded, Refused};
pub use rusqlite::Error as DatabaseError;
pub use zeroize::Zeroizing;

use identity::Identities;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use seal::{Seals, randomness};
use sordino_shared::secagg::Hash;
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
    seals: Seals,
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
        let (seals, identities) = (Seals::new(secret), Identities::new(secret));
        schema::prepare(&mut connection, |row| seals.event(row).ok().map(|event| (identities.of(&event), event)))?;
        Ok(Self { connection, seals, identities, bounds })
    }

    /// Puts a round's record in the place of an earlier one.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), Error> {
        let sealed = self.seals.seal(&mut randomness()?, context, record)?;
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
            Ok((context, self.seals.open(&context, &sealed)?))
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
        let sealed = self.seals.seal(&mut randomness()?, name.as_bytes(), value)?;
        self.connection.execute(PUT, params![name, sealed])?;
        Ok(())
    }

    /// Keeps some values and forgets others, all or none of it.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn change(&mut self, kept: &[(&str, &[u8])], forgotten: &[&str]) -> Result<(), Error> {
        let mut randomness = randomness()?;
        let sealed =
            kept.iter().map(|(name, value)| Ok((*name, self.seals.seal(&mut randomness, name.as_bytes(), value)?)));
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

    /// Changes the value under a name to what `change` makes of it, if anything; no other process
    /// comes between.
    ///
    /// # Errors
    /// [`enum@Error`], or what `change` fails with; then nothing is changed.
    pub fn update<E: From<Error>>(
        &mut self,
        name: &str,
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(Error::from)?;
        let sealed: Option<Vec<u8>> = transaction
            .query_row("SELECT sealed FROM value WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(Error::from)?;
        let before = sealed.map(|sealed| self.seals.open(name.as_bytes(), &sealed)).transpose()?;
        if let Some(after) = change(before.as_ref().map(|before| before.as_slice()))? {
            let sealed = self.seals.seal(&mut randomness()?, name.as_bytes(), &after)?;
            transaction.execute(PUT, params![name, sealed]).map_err(Error::from)?;
            transaction.commit().map_err(Error::from)?;
        }
        Ok(())
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
        sealed.map(|sealed| self.seals.open(name.as_bytes(), &sealed)).transpose()
    }

    /// Erases every event and every value but those named, and says how many events that were;
    /// rounds under way are left to their end or their coordinator.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn erase(&mut self, kept: &[&str]) -> Result<usize, Error> {
        let transaction = self.connection.transaction()?;
        let events = transaction.execute("DELETE FROM event", [])?;
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
        self.connection.execute_batch("VACUUM")?;
        Ok(events)
    }
}

const PUT: &str = "INSERT INTO value (name, sealed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = excluded.sealed";
