//! The store's tables, and how a file of an earlier program comes to have them.

use super::Error;
use super::identity::Identity;
use crate::event::PlaybackEvent;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

/// Makes the tables, or those of an earlier layout into these, all at once or not at all. `read`
/// opens a sealed event; one that it cannot open stays as it is.
pub(super) fn prepare(
    connection: &mut Connection,
    read: impl Fn(&[u8]) -> Option<(Identity, PlaybackEvent)>,
) -> Result<(), Error> {
    if layout(connection)? == LAYOUT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let found = layout(&transaction)?;
    if found > LAYOUT {
        return Err(Error::Newer);
    }
    let is_first = found == 0 && transaction.table_exists(None, "event")?;
    if found < LAYOUT {
        if is_first {
            transaction.execute_batch("DROP INDEX event_by_time; ALTER TABLE event RENAME TO event_0")?;
        }
        transaction.execute_batch(SCHEMA)?;
        if is_first {
            take_over(&transaction, read)?;
        }
        transaction.pragma_update(None, "user_version", LAYOUT)?;
    }
    transaction.commit()?;
    if is_first {
        // Neither the file nor its log is to have the old pages, with the times in them.
        connection.execute_batch("VACUUM")?;
        connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
    }
    Ok(())
}

/// The day of a time, in UTC: all that a row says of when.
pub(super) fn day_of(time: i64) -> i64 {
    time.div_euclid(86_400_000)
}

fn layout(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

// The first layout had the time of each event in clear, and kept an event as often as it was
// recorded.
fn take_over(
    transaction: &Transaction<'_>,
    read: impl Fn(&[u8]) -> Option<(Identity, PlaybackEvent)>,
) -> Result<(), Error> {
    let mut rows = transaction.prepare("SELECT id, time, sealed FROM event_0 ORDER BY id")?;
    let mut put = transaction.prepare(
        "INSERT INTO event (id, day, identity, sealed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (identity) DO NOTHING",
    )?;
    let mut earlier = transaction.prepare("SELECT sealed FROM event WHERE identity = ?1")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, time, sealed): (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let event = read(&sealed);
        let identity = event.map(|(identity, _)| identity);
        if put.execute(params![id, day_of(time), identity, sealed])? == 0 {
            let first: Vec<u8> = earlier.query_row([identity], |row| row.get(0))?;
            let is_same = read(&first).map(|(_, event)| event) == event.map(|(_, event)| event);
            // Two that differ under one id stay both, as they were: what a listener has is not
            // thrown away here.
            if !is_same {
                put.execute(params![id, day_of(time), None::<Identity>, sealed])?;
            }
        }
    }
    drop(rows);
    Ok(transaction.execute_batch("DROP TABLE event_0")?)
}

const LAYOUT: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE event (id INTEGER PRIMARY KEY, day INTEGER NOT NULL, identity BLOB, sealed BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX event_by_identity ON event (identity);
CREATE INDEX event_by_day ON event (day);
CREATE TABLE IF NOT EXISTS record (context BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;";
