//! What a store of an earlier program has comes into the tables of this one, and nothing is lost.
//!
//! Layout 0 had the time of each event in clear, and kept an event as often as it was recorded.
//! Layout 1 had the day of each event in clear. Both had the names of values and the hashes of
//! rounds' terms in clear, rows as long as what was in them, and one key for all records.

use super::events::to_text;
use super::identity::{Identities, Identity};
use super::records;
use super::round_keys::RoundKeys;
use super::seal::{EVENT, Seals, randomness};
use super::values::PUT;
use super::{Error, Zeroizing};
use rusqlite::{Transaction, params};
use sordino_shared::secagg::Hash;

/// What a store is taken over with.
pub(super) struct With<'a> {
    pub(super) seals: &'a Seals,
    pub(super) keys: &'a RoundKeys,
    pub(super) identities: &'a Identities,
}

/// Gives the earlier tables other names.
pub(super) fn put_aside(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS record (context BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
        CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
        DROP INDEX IF EXISTS event_by_time;
        DROP INDEX IF EXISTS event_by_day;
        DROP INDEX IF EXISTS event_by_identity;
        ALTER TABLE event RENAME TO event_before;
        ALTER TABLE record RENAME TO record_before;
        ALTER TABLE value RENAME TO value_before;",
    )?;
    Ok(())
}

/// Brings over what was put aside, of this layout.
pub(super) fn take_over(transaction: &Transaction<'_>, layout: i64, with: &With<'_>) -> Result<(), Error> {
    values(transaction, with.seals)?;
    rounds(transaction, with)?;
    events(transaction, layout, with)?;
    Ok(transaction.execute_batch("DROP TABLE event_before; DROP TABLE record_before; DROP TABLE value_before;")?)
}

// They stay sealed as they are: each is bound to its name, whatever stands for it in the file.
fn values(transaction: &Transaction<'_>, seals: &Seals) -> Result<(), Error> {
    let mut rows = transaction.prepare("SELECT name, sealed FROM value_before ORDER BY rowid")?;
    let mut rows = rows.query([])?;
    let (mut is_any, mut is_ours) = (false, false);
    while let Some(row) = rows.next()? {
        let (name, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        (is_any, is_ours) = (true, is_ours || seals.open(name.as_bytes(), &sealed).is_ok());
        transaction.execute(PUT, params![seals.value(&name), sealed])?;
    }
    // Under another key's names nobody would find them again.
    if is_any && !is_ours { Err(Error::Sealed) } else { Ok(()) }
}

fn rounds(transaction: &Transaction<'_>, with: &With<'_>) -> Result<(), Error> {
    let mut rows = transaction.prepare("SELECT context, sealed FROM record_before")?;
    let rows = rows.query_map([], |row| Ok((row.get::<_, Hash>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    for row in rows {
        let (context, sealed) = row?;
        let record = with.seals.open(&context, &sealed)?;
        records::put(transaction, with.seals, with.keys, &context, &record)?;
    }
    Ok(())
}

fn events(transaction: &Transaction<'_>, layout: i64, with: &With<'_>) -> Result<(), Error> {
    let identity = if layout == 0 { "NULL" } else { "identity" };
    let mut rows = transaction.prepare(&format!("SELECT id, {identity}, sealed FROM event_before ORDER BY id"))?;
    let mut put = transaction
        .prepare("INSERT INTO event (id, identity, sealed) VALUES (?1, ?2, ?3) ON CONFLICT (identity) DO NOTHING")?;
    let mut earlier = transaction.prepare("SELECT sealed FROM event WHERE identity = ?1")?;
    let mut randomness = randomness()?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, had, sealed): (i64, Option<Identity>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // One that no key opens stays as it is.
        let Ok(event) = with.seals.event(&sealed) else {
            put.execute(params![id, had, sealed])?;
            continue;
        };
        let sealed = with.seals.seal(&mut randomness, EVENT, &Zeroizing::new(to_text(&event)))?;
        let identity = if layout == 0 { Some(with.identities.of(&event)) } else { had };
        if put.execute(params![id, identity, sealed])? == 0 {
            let first: Vec<u8> = earlier.query_row([identity], |row| row.get(0))?;
            let is_same = with.seals.event(&first).ok() == Some(event);
            // Two that differ under one id stay both, as they were: what a listener has is not
            // thrown away here.
            if !is_same {
                put.execute(params![id, None::<Identity>, sealed])?;
            }
        }
    }
    Ok(())
}
