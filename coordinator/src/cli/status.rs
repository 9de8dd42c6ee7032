//! `status`: what the store says, whether a server runs or not.

use super::words::{Table, count, shown};
use super::{At, print, time};
use crate::rollout::book::Course;
use crate::server::RolloutView;
use crate::store::{SqliteStore, Store, TaskRow};
use crate::task::Kind;
use serde::Serialize;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::privacy::{Mode, rounded};
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    at: At,
    /// Prints anew each second until interrupted.
    #[arg(long)]
    watch: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Seen {
    tasks: Vec<TaskSeen>,
    versions: u64,
}

#[derive(Serialize)]
struct TaskSeen {
    name: String,
    state: &'static str,
    why: Option<String>,
    steps: usize,
    epsilon: f64,
    epsilon_limit: f64,
    // Why nothing more is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    rounds: Vec<RoundSeen>,
}

#[derive(Serialize)]
struct RoundSeen {
    number: u64,
    step: u64,
    phase: &'static str,
    counted: usize,
    opened: i64,
    changed: i64,
    note: String,
}

impl Status {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let store = self.at.store()?;
        loop {
            let seen = see(&store)?;
            let text = if self.json { serde_json::to_string(&seen)? + "\n" } else { in_words(&seen, &self.at) };
            let clear = if self.watch && !self.json { "\x1b[2J\x1b[H" } else { "" };
            print(&format!("{clear}{text}"));
            if !self.watch {
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

fn see(store: &SqliteStore) -> anyhow::Result<Seen> {
    // A task that cannot be read is told as such, beside the others.
    let rows = store.tasks()?;
    let tasks = rows.iter().map(|row| {
        look_at(store, row)
            .unwrap_or_else(|error| TaskSeen { unreadable: Some(error.to_string()), ..TaskSeen::of(row) })
    });
    Ok(Seen { tasks: tasks.collect(), versions: store.versions()?.len() as u64 })
}

impl TaskSeen {
    fn of(row: &TaskRow) -> Self {
        Self {
            name: row.name.clone(),
            state: row.state.name(),
            why: row.why.clone(),
            steps: 0,
            epsilon: 0.0,
            epsilon_limit: 0.0,
            unreadable: None,
            rounds: Vec::new(),
        }
    }
}

fn look_at(store: &SqliteStore, row: &TaskRow) -> anyhow::Result<TaskSeen> {
    let aggregates = store.aggregates(&row.name)?;
    let (epsilon, epsilon_limit) = match Kind::of(row)? {
        Kind::Training(file) => {
            let rho: f64 = aggregates.iter().map(|aggregate| aggregate.rho).sum();
            let claim = |rho| Claim::new(rho, file.privacy.delta, Mode::Secure, file.privacy.mechanism).epsilon;
            (if rho > 0.0 { claim(rho) } else { 0.0 }, file.privacy.epsilon)
        }
        Kind::Rollout(order) => {
            let view = RolloutView::of(&Course::load(store, &order.name)?);
            (view.epsilon, view.epsilon_limit)
        }
    };
    let mut rounds = Vec::new();
    for round in store.rounds(&row.name, MOST_ROUNDS)? {
        rounds.push(RoundSeen {
            counted: store.receipts(&round.context)?.len(),
            number: round.number,
            step: round.step,
            phase: round.phase.name(),
            opened: round.opened,
            changed: round.changed,
            note: round.note,
        });
    }
    Ok(TaskSeen { steps: aggregates.len(), epsilon, epsilon_limit, rounds, ..TaskSeen::of(row) })
}

fn in_words(seen: &Seen, at: &At) -> String {
    let mut text = String::new();
    for task in &seen.tasks {
        if let Some(reason) = &task.unreadable {
            text += &format!("task {}: {}, and cannot be read: {reason}\n", task.name, task.state);
            continue;
        }
        text += &format!(
            "task {}: {}, {} done, epsilon {} of {} spent by a device\n",
            task.name,
            task.state,
            count(task.steps, "step"),
            rounded::up(task.epsilon, 3),
            rounded::limit(task.epsilon_limit)
        );
        if let Some(why) = &task.why {
            text += &format!("  {}: {}\n", task.state, shown(why));
        }
        let mut table = Table::new(&["  round", "phase", ">devices counted", "since (UTC)", "what came of it"]);
        for round in &task.rounds {
            table.row(vec![
                format!("  {}", round.number),
                round.phase.to_owned(),
                round.counted.to_string(),
                time(round.changed),
                round.note.clone(),
            ]);
        }
        match table.is_empty() {
            true => text += "  no round yet: one opens once enough devices check in\n",
            false => text += &table.to_string(),
        }
    }
    if seen.tasks.is_empty() {
        text += &super::task::none(at);
    }
    text + &format!("{} of models\n", count(seen.versions as usize, "version"))
}

const MOST_ROUNDS: usize = 10;
