//! The store's tables, and how a file of an earlier program comes to have them.

use super::seal::randomness;
use super::take_over::{self, With};
use super::{Error, seal::Seals};
use rusqlite::{Connection, TransactionBehavior, params};

/// Makes the tables, or those of an earlier layout into these, all at once or not at all. Says
/// whether there were earlier ones.
pub(super) fn prepare(connection: &mut Connection, with: &With<'_>) -> Result<bool, Error> {
    if layout(connection)? == LAYOUT {
        check_key(connection, with.seals)?;
        return Ok(false);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let found = layout(&transaction)?;
    if found > LAYOUT {
        return Err(Error::Newer);
    }
    if found == LAYOUT {
        check_key(&transaction, with.seals)?;
        return Ok(false);
    }
    let is_earlier = transaction.table_exists(None, "event")?;
    if is_earlier {
        take_over::put_aside(&transaction)?;
    }
    transaction.execute_batch(SCHEMA)?;
    let opening = with.seals.seal(&mut randomness()?, OPENING, &[])?;
    transaction.execute("INSERT INTO state (place, sealed) VALUES (0, ?1)", params![opening])?;
    if is_earlier {
        take_over::take_over(&transaction, found, with)?;
    }
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(is_earlier)
}

/// The day of a time, in UTC.
pub(super) fn day_of(time: i64) -> i64 {
    time.div_euclid(86_400_000)
}

// With another key every name would seem to be missing, and the device to be new.
fn check_key(connection: &Connection, seals: &Seals) -> Result<(), Error> {
    let sealed: Vec<u8> = connection.query_row("SELECT sealed FROM state WHERE place = 0", [], |row| row.get(0))?;
    seals.open(OPENING, &sealed).map(|_| ())
}

fn layout(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

const LAYOUT: i64 = 2;
const OPENING: &[u8] = b"\0the key is this one";

// Of the store's state, place 0 shows that the key is right, 1 has the earliest events, and 2 the last day.
const SCHEMA: &str = "
CREATE TABLE event (id INTEGER PRIMARY KEY, identity BLOB, sealed BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX event_by_identity ON event (identity);
CREATE TABLE record (name BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE value (name BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE state (place INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT;";
