//! `audit verify|show`.

use super::{At, print, time};
use crate::rollout::book;
use crate::store::{Store, verify};
use sordino_shared::control::hexadecimal;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Checks that no row was changed or left out, makes every verdict of every rollout again, and prints the last hash: keep it elsewhere to notice a log written anew.
    Verify {
        #[command(flatten)]
        at: At,
    },
    /// Prints the log.
    Show {
        #[command(flatten)]
        at: At,
    },
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Verify { at } => {
                let store = at.store()?;
                let rows = store.audit()?;
                verify(&rows)?;
                let last = rows.last().map_or_else(|| "none".into(), |row| hexadecimal(&row.hash));
                let (rollouts, verdicts) = book::audit(&store)?;
                print(&format!(
                    "{} rows, unbroken; {verdicts} verdicts of {rollouts} rollouts made again; last hash {last}\n",
                    rows.len()
                ));
            }
            Self::Show { at } => {
                for row in at.store()?.audit()? {
                    print(&format!("{:>6}  {}  {}\n", row.number, time(row.at), row.what));
                }
            }
        }
        Ok(())
    }
}
