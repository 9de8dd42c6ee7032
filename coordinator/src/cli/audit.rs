//! `audit verify|show`.

use super::words::{Table, count};
use super::{At, print, time};
use crate::rollout::book;
use crate::store::{Store, verify};
use sordino_shared::control::hexadecimal;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Checks that no row was changed or left out, makes every verdict of every rollout again, and prints the last hash: keep that
    /// elsewhere to notice a log that was written anew.
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
                let book::Audit { rollouts, verdicts, faults } = book::audit(&store)?;
                print(&format!(
                    "{}, unbroken; {} of {} made again; last hash {last}\n",
                    count(rows.len(), "row"),
                    count(verdicts, "verdict"),
                    count(rollouts, "rollout")
                ));
                if !faults.is_empty() {
                    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    let what = if faults.len() == 1 {
                        "1 rollout does not follow".into()
                    } else {
                        format!("{} rollouts do not follow", faults.len())
                    };
                    anyhow::bail!("{what}:\n{}", faults.join("\n"));
                }
            }
            Self::Show { at } => {
                let mut table = Table::new(&[">row", "when (UTC)", "what"]);
                for row in at.store()?.audit()? {
                    table.row(vec![row.number.to_string(), time(row.at), row.what]);
                }
                match table.is_empty() {
                    true => print("nothing was done yet\n"),
                    false => print(&table.to_string()),
                }
            }
        }
        Ok(())
    }
}
