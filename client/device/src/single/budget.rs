//! What a device may spend: shown, and changed for a reason.

use super::At;
use crate::words::{note, print};
use sordino_client::device::{Device, Host, Standing};
use sordino_shared::privacy::ledger::Policy;
use sordino_shared::privacy::rounded;

/// What of the budget.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Says what the device may spend, what it has spent, and what is left.
    Show {
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Changes what the device may spend, up or down. What was spent stays spent, and the ledger
    /// shows the change and its reason:   sordino-device budget set --epsilon 8 --why "the listener
    /// agreed to a second task"
    #[command(verbatim_doc_comment)]
    Set {
        /// Why, for the listener to read.
        #[arg(long)]
        why: String,
        /// Where, and the new budget: `--epsilon`, `--delta` or both.
        #[command(flatten)]
        at: At,
    },
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Show { at } => {
                print(&words(&at.open_beside()?));
            }
            Self::Set { why, at } => {
                anyhow::ensure!(
                    at.epsilon.is_some() || at.delta.is_some(),
                    "say what the budget is to be: `--epsilon`, `--delta` or both"
                );
                // Opened with what the ledger says, so that the reason given is the one that is written; and
                // what is not said is read while nobody else changes it.
                let (epsilon, delta) = (at.epsilon, at.delta);
                let mut device = At { epsilon: None, delta: None, ..at }.open()?;
                let mut policy = device.settings().ledger.clone();
                policy.budget.epsilon = epsilon.unwrap_or(policy.budget.epsilon);
                policy.budget.delta = delta.unwrap_or(policy.budget.delta);
                device.rebase(policy, &why)?;
                print(&words(&device));
            }
        }
        Ok(())
    }
}

fn words<H: Host>(device: &Device<H>) -> String {
    let (policy, balance) = (device.budget(), device.balance());
    format!(
        "this device may spend {policy}\nspent: epsilon {}, in {}; left: {} % of the budget\n",
        rounded::up(balance.epsilon, 3),
        crate::words::count(balance.releases, "contribution"),
        rounded::share_left(balance.rho, balance.rho_limit, 0)
    )
}

/// Says where the command line and the ledger differ.
pub(super) fn tell<H: Host>(device: &Device<H>, at: &At) {
    said(device.standing(), device.budget(), at).iter().for_each(|text| note(&format!("note: {text}")));
}

fn said(standing: &Standing, in_force: &Policy, at: &At) -> Vec<String> {
    let brief = |policy: &Policy| format!("epsilon {} at delta {:e}", policy.budget.epsilon, policy.budget.delta);
    match standing {
        Standing::AsSet => Vec::new(),
        Standing::Lowered { before } => vec![format!(
            "from now on this device may spend {}, and no more {}: its ledger says so",
            brief(in_force),
            brief(before)
        )],
        Standing::Due { next } => vec![format!(
            "the ledger allows {}, and this command changes nothing of that: one that has the device for itself, with the same \
             numbers, makes it {}",
            brief(in_force),
            brief(next)
        )],
        Standing::Held { asked, also } => {
            let held = format!(
                "the ledger allows {}, not all of the {} that was asked for, and is kept to: `sordino-device budget set --epsilon {} \
                 --delta {:e} --why REASON` changes it",
                brief(in_force),
                brief(asked),
                asked.budget.epsilon,
                asked.budget.delta
            );
            let mut all = also.as_ref().map_or_else(Vec::new, |also| said(also, in_force, at));
            all.push(at.said(&held));
            all
        }
        Standing::Paused { why } => vec![format!("this device takes part in nothing with these numbers: {why}")],
        other => vec![format!("{other:?}")],
    }
}
