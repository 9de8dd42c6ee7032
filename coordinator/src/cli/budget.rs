//! `budget show|set`.

use super::words::{Table, count, shown};
use super::{At, print, time};
use crate::budget::{self, Changed, Wanted, Words};
use crate::config::{Config, check_budget};
use crate::server::now;
use crate::store::Store;
use crate::task::{Owed, owed};
use anyhow::anyhow;
use sordino_shared::privacy::ledger::History;
use sordino_shared::privacy::rounded;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Shows what a device may spend, what is spent, on which tasks, and how the budget has changed. Also while a server runs.
    Show {
        #[command(flatten)]
        at: At,
    },
    /// Changes what a device may spend, in the ledger, in coordinator.toml and in the audit log; while no server runs.
    #[command(after_help = "\
Less is always allowed, also less than is spent: then nothing more is paid. More needs a reason, and does not ask the
devices: each keeps a ledger with a budget of its own. What was spent stays spent, whatever is set.

  sordino-coordinator budget set --epsilon 4 my-federation
  sordino-coordinator budget set --epsilon 10 --why \"the terms of May allow it\" my-federation")]
    Set {
        /// Epsilon that a device may spend over all tasks, at most about 37 at the default delta.
        #[arg(long)]
        epsilon: f64,
        /// Delta; as it is without this.
        #[arg(long)]
        delta: Option<f64>,
        /// Why: for the ledger and the audit log. A larger budget needs it.
        #[arg(long, value_name = "REASON")]
        why: Option<String>,
        #[command(flatten)]
        at: At,
    },
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Show { at } => {
                let store = at.store()?;
                let population = Config::read(&at.folder)?.listen.population;
                let history = budget::history(&at.folder, &population)?;
                print(&show(&population, &history, &store)?);
                Ok(())
            }
            Self::Set { epsilon, delta, why, at } => {
                let mut store = at.store()?;
                let population = Config::read(&at.folder)?.listen.population;
                // What is not said is the ledger's, which only `set` can read while nobody changes it: here it is for the advice.
                let in_force = budget::history(&at.folder, &population)?.policy().budget.tidy();
                check_budget(epsilon, delta.unwrap_or(in_force.delta)).map_err(|reason| anyhow!(reason))?;
                let wanted = Wanted { epsilon, delta };
                let changed = budget::set(&at.folder, &mut store, wanted, why.as_deref(), now())?;
                let history = budget::history(&at.folder, &population)?;
                print(&match changed {
                    None => format!("{} is in force already\n", Words(history.policy().budget.tidy())),
                    Some(changed) => told(&changed, history.balance().epsilon, &at),
                });
                Ok(())
            }
        }
    }
}

fn told(changed: &Changed, spent: f64, at: &At) -> String {
    let mut text = format!(
        "{} instead of {}: in force, and written into the ledger, coordinator.toml and the audit log\n\
         epsilon {} of it is spent; that stays spent\n",
        Words(changed.to),
        Words(changed.from),
        rounded::up(spent, 3)
    );
    if spent >= changed.to.epsilon {
        text += "no round is paid any more: tasks pause before their next one\n";
    }
    if changed.raises() {
        text += "devices are not asked: each has a ledger with a budget of its own, which stays as it is. One that cannot pay refuses,\n\
                 and a round that too few can pay for is given up (`sordino-device ledger` shows a device's own)\n";
        text += &format!("tasks that were paused go on after `sordino-coordinator task resume TASK {}`\n", at.quoted());
    }
    text
}

fn show(population: &str, history: &History, store: &dyn Store) -> anyhow::Result<String> {
    let balance = history.balance();
    let mut text = format!(
        "population '{population}': a device may spend {} over all tasks\n\
         spent: epsilon {} by {}; left: {} % of the budget\n",
        Words(history.policy().budget.tidy()),
        rounded::up(balance.epsilon, 3),
        count(balance.releases, "round"),
        rounded::share_left(balance.rho, balance.rho_limit, 1)
    );
    let (spent, Owed { tasks: owed, unreadable }) = (history.by_task(), owed(&store.tasks()?, history));
    let names: std::collections::BTreeSet<&str> =
        spent.keys().copied().chain(owed.iter().map(|(name, _)| name.as_str())).collect();
    if !names.is_empty() {
        let share = |rho: f64| format!("{} %", rounded::share_spent(rho, balance.rho_limit, 1));
        let mut table = Table::new(&["task", ">spent", ">may still spend"]);
        for name in names {
            let more = owed.iter().find(|(of, _)| of == name).map_or(0.0, |(_, rho)| *rho);
            table.row(vec![name.to_owned(), share(spent.get(name).copied().unwrap_or(0.0)), share(more)]);
        }
        text += &format!("\nin shares of the budget:\n{table}");
    }
    for (name, reason) in unreadable {
        text += &format!("task {name} cannot be read and opens no round: {reason}\n");
    }
    let changes = budget::changes(history);
    if !changes.is_empty() {
        text += "\nchanges:\n";
    }
    for changed in changes {
        text += &format!(
            "{}  {} instead of {}: {}\n",
            time(changed.at),
            Words(changed.to),
            Words(changed.from),
            shown(&changed.why)
        );
    }
    Ok(text)
}
