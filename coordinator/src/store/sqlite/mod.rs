//! The embedded store: one SQLite file, written ahead and synchronised in full at every commit.
//!
//! `synchronous = FULL` on purpose: with `NORMAL` a power cut may take the last commits away, and with them a freeze.

mod rows;
mod schema;

use super::audit::AuditRow;
use super::{
    Aggregate, Change, Entry, Error, Finished, Phase, RoundRow, Store, TaskRow, TaskState, Verdict, VersionRow,
};
use rows::{
    blocks_from_bytes, blocks_to_bytes, clear, insert_task, insert_version, make, move_round, note, remove_task,
    round_of, set_state, task_of,
};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use schema::{REASONS, ROLLOUTS, SCHEMA};
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
            0 => connection.execute_batch(&[SCHEMA, ROLLOUTS, REASONS].concat())?,
            1 => connection.execute_batch(&[ROLLOUTS, REASONS].concat())?,
            2 => connection.execute_batch(REASONS)?,
            3 => {}
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

    fn remove_task(&mut self, name: &str, at: i64) -> Result<(), Error> {
        self.write(|transaction| remove_task(transaction, name, at))
    }

    fn tasks(&self) -> Result<Vec<TaskRow>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT name, text, seed, state, why FROM task ORDER BY id")?;
        let rows = statement.query_map([], task_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn set_task(&mut self, name: &str, state: TaskState, why: Option<&str>, at: i64) -> Result<(), Error> {
        self.write(|transaction| set_state(transaction, name, state, why, at))
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

const BUSY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    // A store of the version before rollouts is taken as it is, and one of a later version is not touched.
    #[test]
    fn older_files_get_what_is_missing_and_newer_ones_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.sqlite");
        Connection::open(&path).and_then(|old| old.execute_batch(SCHEMA)).expect("an old store");
        let task = TaskRow { name: "t".into(), text: String::new(), seed: 1, state: TaskState::Running, why: None };
        SqliteStore::open(&path).and_then(|mut store| store.add_task(&task, 1)).expect("its tables are there");
        let store = SqliteStore::open(&path).expect("the same again");
        assert_eq!((store.tasks().expect("no fault"), store.serving().expect("no fault")), (vec![task], (0, None)));
        assert!(store.events("any").expect("no fault").is_empty());
        store.connection.pragma_update(None, "user_version", 4).expect("a later version");
        assert!(matches!(SqliteStore::open(&path), Err(Error::Damaged(_))));
    }
}
