//! `status`: what the store says, whether a server runs or not.

use super::{At, print, time};
use crate::store::{SqliteStore, Store};
use serde::Serialize;
use sordino_shared::privacy::Mode;
use sordino_shared::privacy::accountant::Claim;
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
    steps: usize,
    epsilon: f64,
    epsilon_limit: f64,
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
            let text = if self.json { serde_json::to_string(&seen)? + "\n" } else { in_words(&seen) };
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
    let mut tasks = Vec::new();
    for row in store.tasks()? {
        let file = crate::task::TaskFile::parse(&row.text)?;
        let aggregates = store.aggregates(&row.name)?;
        let rho: f64 = aggregates.iter().map(|aggregate| aggregate.rho).sum();
        let claim = (rho > 0.0).then(|| Claim::new(rho, file.privacy.delta, Mode::Secure, file.privacy.mechanism));
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
        tasks.push(TaskSeen {
            name: row.name,
            state: row.state.name(),
            steps: aggregates.len(),
            epsilon: claim.map_or(0.0, |claim| claim.epsilon),
            epsilon_limit: file.privacy.epsilon,
            rounds,
        });
    }
    Ok(Seen { tasks, versions: store.versions()?.len() as u64 })
}

fn in_words(seen: &Seen) -> String {
    let mut text = String::new();
    for task in &seen.tasks {
        text += &format!(
            "task {}: {}, {} steps done, epsilon {:.3} of {} spent by a device\n",
            task.name, task.state, task.steps, task.epsilon, task.epsilon_limit
        );
        for round in &task.rounds {
            let note = if round.note.is_empty() { String::new() } else { format!(": {}", round.note) };
            text += &format!(
                "  round {:>3}  {:<11} {:>6} counted  since {}{note}\n",
                round.number,
                round.phase,
                round.counted,
                time(round.changed)
            );
        }
    }
    if seen.tasks.is_empty() {
        text += "no task yet: `task add FILE`\n";
    }
    text + &format!("{} versions of models\n", seen.versions)
}

const MOST_ROUNDS: usize = 10;
