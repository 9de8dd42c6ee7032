//! The embedded store: one SQLite file, written ahead and synchronised in full at every commit.
//!
//! `synchronous = FULL` on purpose: with `NORMAL` a power cut may take the last commits away, and with them a freeze.

use super::audit::AuditRow;
use super::{
    Aggregate, Change, Entry, Error, Finished, Phase, RoundRow, Store, TaskRow, TaskState, Verdict, VersionRow,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use sordino_shared::secagg::Hash;
use std::path::Path;
use std::time::Duration;

/// A store in one file. Several processes may have it open; one of them writes at a time.
pub struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`Error::Failed`]; [`Error::Damaged`] where it is of a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => connection.execute_batch(&[SCHEMA, ROLLOUTS].concat())?,
            1 => connection.execute_batch(ROLLOUTS)?,
            2 => {}
            newer => return Err(Error::Damaged(format!("its version {newer} is newer than this program: update it"))),
        }
        Ok(Self { connection })
    }

    /// One transaction that holds the write lock from its start, so that what it reads is what it writes upon.
    fn write<T>(&mut self, body: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = body(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

impl Store for SqliteStore {
    fn add_task(&mut self, task: &TaskRow, at: i64) -> Result<(), Error> {
        self.write(|transaction| insert_task(transaction, task, at))
    }

    fn tasks(&self) -> Result<Vec<TaskRow>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT name, text, seed, state FROM task ORDER BY id")?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get::<_, String>(3)?)))?;
        rows.map(|row| {
            let (name, text, seed, state) = row?;
            let state = TaskState::ALL.into_iter().find(|known| known.name() == state);
            let state = state.ok_or_else(|| Error::Damaged(format!("the state of task '{name}'")))?;
            Ok(TaskRow { name, text, seed: seed as u64, state })
        })
        .collect()
    }

    fn set_task(&mut self, name: &str, state: TaskState, at: i64) -> Result<(), Error> {
        self.write(|transaction| set_state(transaction, name, state, at))
    }

    fn open_round(&mut self, round: &RoundRow) -> Result<(), Error> {
        self.write(|transaction| {
            let known = transaction
                .query_row(
                    "SELECT 1 FROM round WHERE context = ?1 OR (task = ?2 AND number = ?3)",
                    params![round.context, round.task, round.number as i64],
                    |_| Ok(()),
                )
                .optional()?;
            if known.is_some() {
                return Err(Error::Exists(format!("a round {} of task '{}'", round.number, round.task)));
            }
            transaction.execute(
                "INSERT INTO round (context, task, number, step, setting, phase, state, opened, changed, note)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    round.context,
                    round.task,
                    round.number as i64,
                    round.step as i64,
                    round.setting,
                    round.phase.name(),
                    round.state,
                    round.opened,
                    round.changed,
                    round.note
                ],
            )?;
            note(transaction, round.opened, &super::words::opened(round))
        })
    }

    fn round(&self, context: &Hash) -> Result<Option<RoundRow>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT context, task, number, step, setting, phase, opened, changed, note, state FROM round
             WHERE context = ?1",
        )?;
        let row = statement.query_row([context], |row| Ok((round_of(row), row.get::<_, Vec<u8>>(9)?))).optional()?;
        row.map(|(round, state)| Ok(RoundRow { state, ..round? })).transpose()
    }

    fn rounds(&self, task: &str, most: usize) -> Result<Vec<RoundRow>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT context, task, number, step, setting, phase, opened, changed, note FROM round WHERE task = ?1
             ORDER BY number DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![task, most as i64], |row| Ok(round_of(row)))?;
        rows.map(|row| row?).collect()
    }

    fn advance(&mut self, context: &Hash, from: Phase, to: Phase, state: &[u8], at: i64) -> Result<bool, Error> {
        self.write(|transaction| {
            let moved = move_round(transaction, context, &[from], to, at)?;
            let Some((task, number)) = moved else { return Ok(false) };
            transaction.execute("UPDATE round SET state = ?2 WHERE context = ?1", params![context, state])?;
            note(transaction, at, &super::words::moved(&task, number, to, ""))?;
            Ok(true)
        })
    }

    fn flush(
        &mut self,
        context: &Hash,
        entries: &[Entry],
        sum: &mut dyn FnMut(&[bool]) -> Vec<u8>,
    ) -> Result<Vec<Verdict>, Error> {
        self.write(|transaction| {
            let phase: Option<String> = transaction
                .prepare_cached("SELECT phase FROM round WHERE context = ?1")?
                .query_row([context], |row| row.get(0))
                .optional()?;
            let collects = phase.as_deref() == Some(Phase::Collecting.name());
            let mut known =
                transaction.prepare_cached("SELECT digest FROM receipt WHERE context = ?1 AND position = ?2")?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO receipt (context, position, digest) VALUES (?1, ?2, ?3)")?;
            let mut verdicts = Vec::with_capacity(entries.len());
            for entry in entries {
                let written: Option<Hash> =
                    known.query_row(params![context, entry.position], |row| row.get(0)).optional()?;
                let verdict = super::judge(written.as_ref(), &entry.digest, collects);
                if verdict == Verdict::Counted {
                    insert.execute(params![context, entry.position, entry.digest])?;
                }
                verdicts.push(verdict);
            }
            let new: Vec<bool> = verdicts.iter().map(|verdict| *verdict == Verdict::Counted).collect();
            if new.contains(&true) {
                transaction
                    .prepare_cached("INSERT INTO partial (context, sum) VALUES (?1, ?2)")?
                    .execute(params![context, sum(&new)])?;
            }
            Ok(verdicts)
        })
    }

    fn freeze(&mut self, context: &Hash, at: i64) -> Result<bool, Error> {
        self.write(|transaction| {
            let moved = move_round(transaction, context, &[Phase::Collecting], Phase::Frozen, at)?;
            let Some((task, number)) = moved else { return Ok(false) };
            let survivors: i64 =
                transaction
                    .query_row("SELECT count(*) FROM receipt WHERE context = ?1", [context], |row| row.get(0))?;
            let what = super::words::moved(&task, number, Phase::Frozen, &format!("{survivors} survivors"));
            note(transaction, at, &what)?;
            Ok(true)
        })
    }

    fn receipts(&self, context: &Hash) -> Result<Vec<Entry>, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT position, digest FROM receipt WHERE context = ?1 ORDER BY position")?;
        let rows = statement.query_map([context], |row| Ok(Entry { position: row.get(0)?, digest: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn partials(&self, context: &Hash) -> Result<Vec<Vec<u8>>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT sum FROM partial WHERE context = ?1 ORDER BY id")?;
        let rows = statement.query_map([context], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn finish(
        &mut self,
        context: &Hash,
        aggregate: &Aggregate,
        outcome: Finished<'_>,
        text: &str,
        at: i64,
    ) -> Result<bool, Error> {
        self.write(|transaction| {
            let moved = move_round(transaction, context, &[Phase::Unmasking], Phase::Done, at)?;
            let Some((task, number)) = moved else { return Ok(false) };
            clear(transaction, context, text)?;
            transaction.execute(
                "INSERT INTO aggregate (task, step, devices, sum, deviations, rho) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    task,
                    aggregate.step as i64,
                    aggregate.devices as i64,
                    blocks_to_bytes(&aggregate.sum),
                    blocks_to_bytes(std::slice::from_ref(&aggregate.deviations)),
                    aggregate.rho
                ],
            )?;
            if let Finished::Version(version) = outcome {
                insert_version(transaction, version)?;
            }
            note(transaction, at, &super::words::moved(&task, number, Phase::Done, text))?;
            if let Finished::Look(change) = outcome {
                make(transaction, change, at)?;
            }
            Ok(true)
        })
    }

    fn change(&mut self, change: &Change, at: i64) -> Result<(), Error> {
        self.write(|transaction| make(transaction, change, at))
    }

    fn events(&self, rollout: &str) -> Result<Vec<String>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT event FROM event WHERE rollout = ?1 ORDER BY number")?;
        let rows = statement.query_map([rollout], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn serving(&self) -> Result<(u64, Option<String>), Error> {
        let row = self
            .connection
            .prepare_cached("SELECT changes, document FROM serving")?
            .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
            .optional()?;
        Ok(row.map_or((0, None), |(changes, document)| (changes as u64, Some(document))))
    }

    fn abandon(&mut self, context: &Hash, text: &str, at: i64) -> Result<bool, Error> {
        self.write(|transaction| {
            let open: Vec<Phase> = Phase::ALL.into_iter().filter(|phase| !phase.is_over()).collect();
            let moved = move_round(transaction, context, &open, Phase::Abandoned, at)?;
            let Some((task, number)) = moved else { return Ok(false) };
            clear(transaction, context, text)?;
            note(transaction, at, &super::words::moved(&task, number, Phase::Abandoned, text))?;
            Ok(true)
        })
    }

    fn forget(&mut self, before: i64) -> Result<usize, Error> {
        self.write(|transaction| {
            let old: Vec<Hash> = {
                let mut statement = transaction.prepare_cached(
                    "SELECT context FROM round WHERE phase IN ('done', 'abandoned') AND changed < ?1
                     AND EXISTS (SELECT 1 FROM receipt WHERE receipt.context = round.context)",
                )?;
                statement.query_map([before], |row| row.get(0))?.collect::<Result<_, _>>()?
            };
            for context in &old {
                transaction.execute("DELETE FROM receipt WHERE context = ?1", [context])?;
            }
            Ok(old.len())
        })
    }

    fn aggregates(&self, task: &str) -> Result<Vec<Aggregate>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT step, devices, sum, deviations, rho FROM aggregate WHERE task = ?1 ORDER BY step",
        )?;
        let rows = statement.query_map([task], |row| {
            let (step, devices): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((step, devices, row.get::<_, Vec<u8>>(2)?, row.get::<_, Vec<u8>>(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (step, devices, sum, deviations, rho) = row?;
            let damaged = || Error::Damaged(format!("the aggregate of step {step} of task '{task}'"));
            let sum = blocks_from_bytes(&sum).ok_or_else(damaged)?;
            let deviations = blocks_from_bytes(&deviations).and_then(|mut blocks| blocks.pop()).ok_or_else(damaged)?;
            Ok(Aggregate { step: step as u64, devices: devices as u64, sum, deviations, rho })
        })
        .collect()
    }

    fn import(&mut self, version: &VersionRow, at: i64) -> Result<u64, Error> {
        self.write(|transaction| {
            let number = insert_version(transaction, version)?;
            note(transaction, at, &super::words::imported(number, version))?;
            Ok(number)
        })
    }

    fn versions(&self) -> Result<Vec<VersionRow>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, digest, length, task, round, parent, about, made FROM version ORDER BY number",
        )?;
        let rows = statement.query_map([], |row| {
            let unsigned = |at| row.get::<_, i64>(at).map(|number| number as u64);
            let maybe = |at| row.get::<_, Option<i64>>(at).map(|number| number.map(|number| number as u64));
            Ok(VersionRow {
                number: unsigned(0)?,
                digest: row.get(1)?,
                length: unsigned(2)?,
                task: row.get(3)?,
                round: maybe(4)?,
                parent: maybe(5)?,
                about: row.get(6)?,
                made: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn audit(&self) -> Result<Vec<AuditRow>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT number, at, what, hash FROM audit ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            Ok(AuditRow { number: row.get::<_, i64>(0)? as u64, at: row.get(1)?, what: row.get(2)?, hash: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn insert_task(transaction: &Transaction<'_>, task: &TaskRow, at: i64) -> Result<(), Error> {
    let known = transaction.query_row("SELECT 1 FROM task WHERE name = ?1", [&task.name], |_| Ok(())).optional()?;
    if known.is_some() {
        return Err(Error::Exists(format!("a task '{}'", task.name)));
    }
    transaction.execute(
        "INSERT INTO task (name, text, seed, state) VALUES (?1, ?2, ?3, ?4)",
        params![task.name, task.text, task.seed as i64, task.state.name()],
    )?;
    note(transaction, at, &super::words::added(task))
}

fn set_state(transaction: &Transaction<'_>, name: &str, state: TaskState, at: i64) -> Result<(), Error> {
    let changed = transaction.execute(
        "UPDATE task SET state = ?2 WHERE name = ?1 AND state NOT IN ('cancelled', 'finished', ?2)",
        params![name, state.name()],
    )?;
    if changed == 1 {
        return note(transaction, at, &super::words::set(name, state));
    }
    let known = transaction.query_row("SELECT 1 FROM task WHERE name = ?1", [name], |_| Ok(())).optional()?;
    known.ok_or_else(|| Error::Missing(format!("task '{name}'")))
}

/// A change, within a transaction that an error ends.
fn make(transaction: &Transaction<'_>, change: &Change, at: i64) -> Result<(), Error> {
    let fits = |seen: u64, there: i64| if seen as i64 == there { Ok(()) } else { Err(Error::Overtaken) };
    if let Some(task) = &change.task {
        insert_task(transaction, task, at)?;
    }
    if let Some(new) = &change.events {
        let count = "SELECT count(*) FROM event WHERE rollout = ?1";
        fits(new.after, transaction.query_row(count, [&new.rollout], |row| row.get(0))?)?;
        for (number, event) in (new.after as i64..).zip(&new.events) {
            let insert = "INSERT INTO event (rollout, number, event) VALUES (?1, ?2, ?3)";
            transaction.execute(insert, params![new.rollout, number, event])?;
        }
    }
    if let Some((seen, document)) = &change.serving {
        let changes = transaction.query_row("SELECT coalesce(max(changes), 0) FROM serving", [], |row| row.get(0))?;
        fits(*seen, changes)?;
        transaction.execute("DELETE FROM serving", [])?;
        transaction
            .execute("INSERT INTO serving (changes, document) VALUES (?1, ?2)", params![changes + 1, document])?;
    }
    if let Some((task, state)) = &change.state {
        set_state(transaction, task, *state, at)?;
    }
    change.words.iter().try_for_each(|words| note(transaction, at, words))
}

/// Appends to the audit log, within the transaction of what it tells.
fn note(transaction: &Transaction<'_>, at: i64, what: &str) -> Result<(), Error> {
    let before: Option<(i64, Hash)> = transaction
        .prepare_cached("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let before = before.map(|(number, hash)| (number as u64, hash));
    let row = AuditRow::after(before.as_ref(), at, what);
    transaction
        .prepare_cached("INSERT INTO audit (number, at, what, hash) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row.number as i64, row.at, row.what, row.hash])?;
    Ok(())
}

/// Compare and set on the phase: the round's task and number, or `None` if it is in another phase.
fn move_round(
    transaction: &Transaction<'_>,
    context: &Hash,
    from: &[Phase],
    to: Phase,
    at: i64,
) -> Result<Option<(String, u64)>, Error> {
    let row: Option<(String, i64, String)> = transaction
        .prepare_cached("SELECT task, number, phase FROM round WHERE context = ?1")?
        .query_row([context], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((task, number, phase)) = row else { return Ok(None) };
    if !from.iter().any(|from| from.name() == phase) {
        return Ok(None);
    }
    transaction.prepare_cached("UPDATE round SET phase = ?2, changed = ?3 WHERE context = ?1")?.execute(params![
        context,
        to.name(),
        at
    ])?;
    Ok(Some((task, number as u64)))
}

/// What a round that is over does not need: its state, which holds shares, and its partial sums. Receipts stay, so that a
/// device that asks late gets the same answer.
fn clear(transaction: &Transaction<'_>, context: &Hash, text: &str) -> Result<(), Error> {
    transaction.execute("UPDATE round SET state = x'', note = ?2 WHERE context = ?1", params![context, text])?;
    transaction.execute("DELETE FROM partial WHERE context = ?1", [context])?;
    Ok(())
}

fn insert_version(transaction: &Transaction<'_>, version: &VersionRow) -> Result<u64, Error> {
    let last: i64 = transaction.query_row("SELECT coalesce(max(number), 0) FROM version", [], |row| row.get(0))?;
    let number = last + 1;
    transaction.execute(
        "INSERT INTO version (number, digest, length, task, round, parent, about, made)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            number,
            version.digest,
            version.length as i64,
            version.task,
            version.round.map(|round| round as i64),
            version.parent.map(|parent| parent as i64),
            version.about,
            version.made
        ],
    )?;
    Ok(number as u64)
}

fn round_of(row: &Row<'_>) -> Result<RoundRow, Error> {
    let name: String = row.get(5)?;
    let phase = Phase::ALL.into_iter().find(|phase| phase.name() == name);
    Ok(RoundRow {
        context: row.get(0)?,
        task: row.get(1)?,
        number: row.get::<_, i64>(2)? as u64,
        step: row.get::<_, i64>(3)? as u64,
        setting: row.get(4)?,
        phase: phase.ok_or_else(|| Error::Damaged(format!("a round's phase '{name}'")))?,
        state: Vec::new(),
        opened: row.get(6)?,
        changed: row.get(7)?,
        note: row.get(8)?,
    })
}

/// Each block behind its length, all little-endian.
fn blocks_to_bytes(blocks: &[Vec<f64>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in blocks {
        bytes.extend_from_slice(&(block.len() as u64).to_le_bytes());
        block.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    }
    bytes
}

fn blocks_from_bytes(mut bytes: &[u8]) -> Option<Vec<Vec<f64>>> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?.checked_mul(8)?;
        let (values, rest) = rest.split_at_checked(length)?;
        blocks.push(values.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value)).collect());
        bytes = rest;
    }
    bytes.is_empty().then_some(blocks)
}

const SCHEMA: &str = "
BEGIN;
CREATE TABLE task (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, seed INTEGER NOT NULL,
                   state TEXT NOT NULL) STRICT;
CREATE TABLE round (context BLOB PRIMARY KEY, task TEXT NOT NULL, number INTEGER NOT NULL, step INTEGER NOT NULL,
                    setting BLOB NOT NULL, phase TEXT NOT NULL, state BLOB NOT NULL, opened INTEGER NOT NULL,
                    changed INTEGER NOT NULL, note TEXT NOT NULL, UNIQUE (task, number)) STRICT;
CREATE TABLE receipt (context BLOB NOT NULL, position INTEGER NOT NULL, digest BLOB NOT NULL,
                      PRIMARY KEY (context, position)) STRICT, WITHOUT ROWID;
CREATE TABLE partial (id INTEGER PRIMARY KEY, context BLOB NOT NULL, sum BLOB NOT NULL) STRICT;
CREATE INDEX partial_of_round ON partial (context);
CREATE TABLE aggregate (task TEXT NOT NULL, step INTEGER NOT NULL, devices INTEGER NOT NULL, sum BLOB NOT NULL,
                        deviations BLOB NOT NULL, rho REAL NOT NULL, PRIMARY KEY (task, step)) STRICT;
CREATE TABLE version (number INTEGER PRIMARY KEY, digest TEXT NOT NULL, length INTEGER NOT NULL, task TEXT NOT NULL,
                      round INTEGER, parent INTEGER, about TEXT NOT NULL, made INTEGER NOT NULL) STRICT;
CREATE TABLE audit (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
PRAGMA user_version = 1;
COMMIT;";
const ROLLOUTS: &str = "
BEGIN;
CREATE TABLE event (rollout TEXT NOT NULL, number INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (rollout, number)) STRICT;
CREATE TABLE serving (changes INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
PRAGMA user_version = 2;
COMMIT;";
const BUSY: Duration = Duration::from_secs(10);
