//! What somebody does, by their token.

use super::super::{At, print};
use crate::authority::{Attestation, Authority};
use crate::config::Config;
use crate::registry::Office;
use crate::rollout::acts::{Act, Signed, Who, perform};
use crate::rollout::book;
use crate::rollout::people::People;
use crate::server::now;
use anyhow::Context;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Who acts, and where.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct By {
    /// A file with one's token; without it the variable SORDINO_TOKEN has it.
    #[arg(long)]
    token: Option<PathBuf>,
    /// A file with another person's token, where two are needed.
    #[arg(long)]
    second: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

impl By {
    fn perform(&self, act: &Act) -> anyhow::Result<()> {
        let people = People::load(&self.at.folder)?;
        let first = people.whose(token(self.token.as_deref())?.trim())?;
        let second =
            self.second.as_deref().map(|file| anyhow::Ok(people.whose(token(Some(file))?.trim())?)).transpose()?;
        let office = Office::new(&self.at.folder().registry());
        let signed = office.begun()?;
        let policy = |name: &str| office.policy(&signed.targets, name);
        let signed = Signed { targets: &signed.targets, policy: &policy };
        let who = Who { first: &first, second: second.as_ref() };
        let done = perform(&mut self.at.store()?, &signed, act, &who, now())?;
        print(&format!("{done}\n"));
        Ok(())
    }
}

fn token(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    match file {
        Some(file) => Ok(Zeroizing::new(std::fs::read_to_string(file).with_context(|| file.display().to_string())?)),
        None => std::env::var("SORDINO_TOKEN")
            .ok()
            .map(Zeroizing::new)
            .context("who are you? Give --token FILE or set SORDINO_TOKEN; `rollout people add NAME` gives tokens"),
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Start {
    /// The rollout's name, as it was signed.
    rollout: String,
    /// Devices of the fleet; those that are enrolled without it.
    #[arg(long)]
    devices: Option<usize>,
    #[command(flatten)]
    by: By,
}

impl Start {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let devices = match self.devices {
            Some(devices) => devices,
            None => {
                let config = Config::load(&self.by.at.folder)?;
                let folder = self.by.at.folder().authority();
                let authority = Authority::open(&folder, config.enrolment.certificate_days, Attestation::None)?;
                authority.eligible(now())? as usize
            }
        };
        self.by.perform(&Act::Start { rollout: self.rollout, devices })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Serve {
    /// The version's release counter.
    version: u64,
    /// Why.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    by: By,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Serve { version: self.version, why: self.why })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Because {
    /// Why.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    by: By,
}

impl Because {
    pub(super) fn hold(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Hold { why: self.why })
    }

    pub(super) fn abort(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Abort { why: self.why })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Plain {
    #[command(flatten)]
    by: By,
}

impl Plain {
    pub(super) fn resume(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Resume)
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Promote {
    /// The share that the next stage should have, in percent; refused where it has another.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    to: Option<f64>,
    /// Goes on past a gate that has not passed; takes two persons and a reason.
    #[arg(long, requires = "why")]
    skip_gate: bool,
    /// Why: kept in the rollout's history and in the audit log.
    #[arg(long, value_name = "REASON")]
    why: Option<String>,
    #[command(flatten)]
    by: By,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    number.filter(|n| (0.0..=100.0).contains(n)).ok_or_else(|| format!("'{text}' is no share from 0 to 100 %"))
}

impl Promote {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match (self.why, self.skip_gate) {
            (Some(why), true) => self.by.perform(&Act::SkipGate { why }),
            (why, _) => self.by.perform(&Act::Promote { to: self.to, why }),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rollback {
    /// The release counter under which old weights were signed anew; the version before, which devices have kept, without it.
    #[arg(long)]
    to: Option<u64>,
    /// Why.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    by: By,
}

impl Rollback {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Rollback { to: self.to, why: self.why })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Baseline {
    /// Switches learnt models on again.
    #[arg(long)]
    off: bool,
    /// Why.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    by: By,
}

impl Baseline {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Baseline { on: !self.off, why: self.why })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pin {
    /// The group, as the application names it to its devices.
    group: String,
    /// The version's release counter.
    version: u64,
    /// For how many days, 30 at most.
    #[arg(long, default_value_t = 7)]
    days: u32,
    #[command(flatten)]
    by: By,
}

impl Pin {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Pin { group: self.group, version: self.version, days: self.days })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Unpin {
    /// The group.
    group: String,
    #[command(flatten)]
    by: By,
}

impl Unpin {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.by.perform(&Act::Unpin { group: self.group })
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Holdback {
    /// Lets those who are kept back have what all have.
    #[arg(long)]
    end: bool,
    #[command(flatten)]
    by: By,
}

impl Holdback {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.end {
            return self.by.perform(&Act::EndHoldback);
        }
        let serving = book::serving(&self.by.at.store()?)?.1;
        print(&super::show::held_back(&serving));
        Ok(())
    }
}
