//! `settings`.

use super::print;
use crate::settings::{File, page};

/// Which file.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Which {
    /// coordinator.toml.
    Coordinator,
    /// A task, for `task add`.
    Task,
    /// A rollout's policy, for `rollout plan`.
    Rollout,
}

#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// The file to print.
    #[arg(value_enum, default_value = "coordinator")]
    file: Which,
    /// All three as the page docs/settings.md.
    #[arg(long, conflicts_with = "file")]
    page: bool,
}

impl Settings {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let file = match self.file {
            Which::Coordinator => File::Coordinator,
            Which::Task => File::Task,
            Which::Rollout => File::Rollout,
        };
        print(&if self.page { page() } else { file.commented() });
        Ok(())
    }
}
