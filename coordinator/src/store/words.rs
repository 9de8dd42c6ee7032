//! What the audit log says, the same from every store.

use super::{Phase, RoundRow, TaskRow, TaskState, VersionRow};

pub(super) fn added(task: &TaskRow) -> String {
    format!("task {}: added", task.name)
}

pub(super) fn removed(name: &str) -> String {
    format!("task {name}: removed, before its first round")
}

pub(super) fn set(name: &str, state: TaskState, why: Option<&str>) -> String {
    let why = why.map(|why| format!(", {why}")).unwrap_or_default();
    format!("task {name}: {}{why}", state.name())
}

pub(super) fn opened(round: &RoundRow) -> String {
    format!("task {}, round {}: opened for step {}", round.task, round.number, round.step)
}

pub(super) fn moved(task: &str, number: u64, to: Phase, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!(", {note}") };
    format!("task {task}, round {number}: {}{note}", to.name())
}

pub(super) fn imported(number: u64, version: &VersionRow) -> String {
    format!("version {number}: imported from {}, {}", version.task, version.digest)
}
