//! Records of rounds under way: each sealed under a key of its own, which goes with it.

use super::seal::{Name, RowKey, randomness};
use super::{Error, Store};
use rusqlite::{Transaction, TransactionBehavior, params};
use sordino_shared::secagg::Hash;
use zeroize::Zeroizing;

/// The record of a round under way: the hash of its terms, and the bytes.
pub type Record = (Hash, Zeroizing<Vec<u8>>);

impl Store {
    /// Puts a round's record in the place of an earlier one, which nothing opens from then on.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn save(&mut self, context: &Hash, record: &[u8]) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // The new key is durable before the record is, and the old one goes after: whatever comes
        // between, one of the two records can be opened.
        let (name, place) = put(&transaction, &self.seals, &self.keys, context, record)?;
        let under_way = names(&transaction)?;
        transaction.commit()?;
        self.keys.retain(|slot, of| slot == place || (*of != name && under_way.contains(of)))
    }

    /// Records of rounds under way.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        let slots = self.keys.all()?;
        let mut statement = self.connection.prepare_cached("SELECT name, sealed FROM record ORDER BY name")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, Name>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut records = Vec::new();
        for row in rows {
            let (name, sealed) = row?;
            let mut keys = slots.iter().filter(|slot| slot.name == name).peekable();
            // Without a key it was forgotten, and a crash came before the row was gone.
            if keys.peek().is_none() {
                continue;
            }
            let opened = keys.find_map(|slot| {
                let key = RowKey::from_sealed(&self.seals, &name, &slot.sealed).ok()?;
                key.open(&name, &sealed).ok()
            });
            let opened = opened.ok_or(Error::Sealed)?;
            let (context, record) = opened.split_first_chunk::<32>().ok_or(Error::Sealed)?;
            records.push((*context, Zeroizing::new(record.to_vec())));
        }
        Ok(records)
    }

    /// The round is over: destroys its record's key, then the record.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn forget(&mut self, context: &Hash) -> Result<(), Error> {
        let name = self.seals.record(context);
        self.keys.retain(|_, of| *of != name)?;
        self.connection.execute("DELETE FROM record WHERE name = ?1", [name])?;
        // Where another process reads just now, the log keeps rows that nothing opens a while longer.
        self.empty_log()?;
        Ok(())
    }
}

/// Puts a record under a fresh key, and says the record's name and the key's slot.
pub(super) fn put(
    transaction: &Transaction<'_>,
    seals: &super::seal::Seals,
    keys: &super::round_keys::RoundKeys,
    context: &Hash,
    record: &[u8],
) -> Result<(Name, u64), Error> {
    let mut randomness = randomness()?;
    let (name, key) = (seals.record(context), RowKey::new(&mut randomness));
    let place = keys.add(&name, &key.sealed(seals, &mut randomness, &name)?)?;
    let plain = Zeroizing::new([context, record].concat());
    let sealed = key.seal(&mut randomness, &name, &plain)?;
    transaction.execute(
        "INSERT INTO record (name, sealed) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
        params![name, sealed],
    )?;
    Ok((name, place))
}

fn names(transaction: &Transaction<'_>) -> Result<Vec<Name>, Error> {
    let mut statement = transaction.prepare_cached("SELECT name FROM record")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}
