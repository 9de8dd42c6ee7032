//! Rows as they are written and read, each within the transaction of whoever asks.

use crate::store::audit::AuditRow;
use crate::store::{Change, Error, Phase, RoundRow, TaskRow, TaskState, VersionRow, is_news, words};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use sordino_shared::secagg::Hash;

pub(super) fn insert_task(transaction: &Transaction<'_>, task: &TaskRow, at: i64) -> Result<(), Error> {
    let known = transaction.query_row("SELECT 1 FROM task WHERE name = ?1", [&task.name], |_| Ok(())).optional()?;
    if known.is_some() {
        return Err(Error::Exists(format!("a task '{}'", task.name)));
    }
    transaction.execute(
        "INSERT INTO task (name, text, seed, state, why) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![task.name, task.text, task.seed as i64, task.state.name(), task.why],
    )?;
    note(transaction, at, &words::added(task))
}

pub(super) fn set_state(
    transaction: &Transaction<'_>,
    name: &str,
    state: TaskState,
    why: Option<&str>,
    at: i64,
) -> Result<(), Error> {
    let known: Option<(String, Option<String>)> = transaction
        .query_row("SELECT state, why FROM task WHERE name = ?1", [name], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (before, reason) = known.ok_or_else(|| Error::Missing(format!("task '{name}'")))?;
    if !is_news(state_of(&before).unwrap_or(TaskState::Paused), reason.as_deref(), state, why) {
        return Ok(());
    }
    let update = "UPDATE task SET state = ?2, why = ?3 WHERE name = ?1";
    transaction.execute(update, params![name, state.name(), why])?;
    note(transaction, at, &words::set(name, state, why))
}

pub(super) fn remove_task(transaction: &Transaction<'_>, name: &str, at: i64) -> Result<(), Error> {
    let has_rounds = transaction.query_row("SELECT 1 FROM round WHERE task = ?1", [name], |_| Ok(())).optional()?;
    if has_rounds.is_some() {
        return Err(Error::HasRounds(name.to_owned()));
    }
    if transaction.execute("DELETE FROM task WHERE name = ?1", [name])? == 0 {
        return Err(Error::Missing(format!("task '{name}'")));
    }
    note(transaction, at, &words::removed(name))
}

/// A task. Whatever is in its row, it has a name to be told by: a state that is not known is a pause, and text that is none is for whoever
/// reads the task to refuse.
pub(super) fn task_of(row: &Row<'_>) -> Result<TaskRow, rusqlite::Error> {
    let text = |column: usize| {
        let bytes = row.get_ref(column)?.as_bytes()?;
        Ok::<_, rusqlite::Error>(String::from_utf8_lossy(bytes).into_owned())
    };
    let (stored, why) =
        (text(3)?, row.get_ref(4)?.as_bytes_or_null()?.map(|why| String::from_utf8_lossy(why).into_owned()));
    let (state, why) = match state_of(&stored) {
        Some(state) => (state, why),
        None => (TaskState::Paused, Some(format!("its state '{stored}' is not one that this program knows"))),
    };
    Ok(TaskRow { name: text(0)?, text: text(1)?, seed: row.get::<_, i64>(2)? as u64, state, why })
}

/// A state by its name.
fn state_of(name: &str) -> Option<TaskState> {
    TaskState::ALL.into_iter().find(|known| known.name() == name)
}

/// A change, within a transaction that an error ends.
pub(super) fn make(transaction: &Transaction<'_>, change: &Change, at: i64) -> Result<(), Error> {
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
        set_state(transaction, task, *state, None, at)?;
    }
    change.words.iter().try_for_each(|words| note(transaction, at, words))
}

/// Appends to the audit log, within the transaction of what it tells.
pub(super) fn note(transaction: &Transaction<'_>, at: i64, what: &str) -> Result<(), Error> {
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
pub(super) fn move_round(
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
pub(super) fn clear(transaction: &Transaction<'_>, context: &Hash, text: &str) -> Result<(), Error> {
    transaction.execute("UPDATE round SET state = x'', note = ?2 WHERE context = ?1", params![context, text])?;
    transaction.execute("DELETE FROM partial WHERE context = ?1", [context])?;
    Ok(())
}

pub(super) fn insert_version(transaction: &Transaction<'_>, version: &VersionRow) -> Result<u64, Error> {
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

pub(super) fn round_of(row: &Row<'_>) -> Result<RoundRow, Error> {
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
pub(super) fn blocks_to_bytes(blocks: &[Vec<f64>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in blocks {
        bytes.extend_from_slice(&(block.len() as u64).to_le_bytes());
        block.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    }
    bytes
}

pub(super) fn blocks_from_bytes(mut bytes: &[u8]) -> Option<Vec<Vec<f64>>> {
    let mut blocks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?.checked_mul(8)?;
        let (values, rest) = rest.split_at_checked(length)?;
        blocks.push(values.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value)).collect());
        bytes = rest;
    }
    bytes.is_empty().then_some(blocks)
}
