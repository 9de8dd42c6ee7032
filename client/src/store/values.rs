//! Values under names, such as models: the names are in the file as keyed hashes.

use super::seal::{Name, randomness};
use super::{Error, Store};
use rusqlite::{OptionalExtension, TransactionBehavior, params};
use zeroize::Zeroizing;

impl Store {
    /// Keeps a value under a name.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn put(&mut self, name: &str, value: &[u8]) -> Result<(), Error> {
        let sealed = self.seals.seal(&mut randomness()?, name.as_bytes(), value)?;
        self.connection.execute(PUT, params![self.seals.value(name), sealed])?;
        Ok(())
    }

    /// Keeps some values and forgets others, all or none of it.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn change(&mut self, kept: &[(&str, &[u8])], forgotten: &[&str]) -> Result<(), Error> {
        let mut randomness = randomness()?;
        let sealed = kept.iter().map(|(name, value)| {
            Ok((self.seals.value(name), self.seals.seal(&mut randomness, name.as_bytes(), value)?))
        });
        let sealed = sealed.collect::<Result<Vec<(Name, Vec<u8>)>, Error>>()?;
        let transaction = self.connection.transaction()?;
        for (name, sealed) in sealed {
            transaction.execute(PUT, params![name, sealed])?;
        }
        for name in forgotten {
            transaction.execute("DELETE FROM value WHERE name = ?1", [self.seals.value(name)])?;
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
        let hashed = self.seals.value(name);
        let sealed: Option<Vec<u8>> =
            transaction.query_row(SELECT, [hashed], |row| row.get(0)).optional().map_err(Error::from)?;
        let before = sealed.map(|sealed| self.seals.open(name.as_bytes(), &sealed)).transpose()?;
        if let Some(after) = change(before.as_ref().map(|before| before.as_slice()))? {
            let sealed = self.seals.seal(&mut randomness()?, name.as_bytes(), &after)?;
            transaction.execute(PUT, params![hashed, sealed]).map_err(Error::from)?;
            transaction.commit().map_err(Error::from)?;
        }
        Ok(())
    }

    /// The value under a name.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let sealed: Option<Vec<u8>> =
            self.connection.query_row(SELECT, [self.seals.value(name)], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.seals.open(name.as_bytes(), &sealed)).transpose()
    }
}

pub(super) const PUT: &str =
    "INSERT INTO value (name, sealed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = excluded.sealed";
const SELECT: &str = "SELECT sealed FROM value WHERE name = ?1";
