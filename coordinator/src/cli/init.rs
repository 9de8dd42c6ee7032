//! `init`: everything that `serve` needs.

use super::{At, print};
use crate::authority::{Attestation, Authority};
use crate::config::{Config, FILE};
use crate::server::{Setup, now};
use crate::task::TaskFile;
use anyhow::Context;
use sordino_shared::control::hexadecimal;
use std::net::SocketAddr;
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    #[command(flatten)]
    at: At,
    /// Host and port at which devices reach the coordinator.
    #[arg(long, default_value = "127.0.0.1:4433")]
    public: String,
    /// The name in the coordinator's certificate.
    #[arg(long, default_value = "sordino")]
    name: String,
    /// Where the coordinator listens for devices (UDP).
    #[arg(long, default_value = "0.0.0.0:4433")]
    listen: SocketAddr,
    /// Where the operator's page is (TCP, loopback).
    #[arg(long, default_value = "127.0.0.1:9464")]
    admin: SocketAddr,
    /// The population that it serves.
    #[arg(long, default_value = "default")]
    population: String,
    /// Epsilon that a device may spend over all tasks.
    #[arg(long)]
    epsilon: Option<f64>,
    /// Its delta.
    #[arg(long)]
    delta: Option<f64>,
    /// Settings for a trial on one machine: devices may contribute at once, all of them from one address, and every version serves
    /// as soon as it is made.
    #[arg(long)]
    trial: bool,
    /// A trial with the example task and tokens for its devices in `tokens.txt`.
    #[arg(long)]
    example: bool,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let folder = self.at.folder();
        let path = &folder.0;
        let example = self.example.then(|| TaskFile::parse(EXAMPLE).expect("checked by a test"));
        let mut config = Config::default();
        (config.listen.address, config.listen.admin) = (self.listen, self.admin);
        config.listen.population.clone_from(&self.population);
        // What the example costs is all that its population may spend.
        if let Some(task) = &example {
            (config.privacy.epsilon, config.privacy.delta) = (task.privacy.epsilon, task.privacy.delta);
        }
        config.privacy.epsilon = self.epsilon.unwrap_or(config.privacy.epsilon);
        config.privacy.delta = self.delta.unwrap_or(config.privacy.delta);
        if self.trial || example.is_some() {
            // Everybody is behind one address, and nobody waits a day.
            config.limits.connections_per_address = config.limits.connections;
            config.enrolment.least_age_hours = 0;
            config.registry.automatic = true;
        }
        Config::parse(&toml::to_string(&config)?, Path::new(FILE))?;
        folder.init(&Setup { config: config.clone(), public: self.public.clone(), name: self.name.clone() })?;
        let mut told = format!("{}: a coordinator for the population '{}'\n", path.display(), self.population);
        if let Some(task) = example {
            super::task::add(&self.at, EXAMPLE, Path::new("."))?;
            let authority = Authority::open(&folder.authority(), config.enrolment.certificate_days, Attestation::None)?;
            let count = task.cohort.devices as usize * 3 / 2;
            let tokens = authority.tokens(count, now() + 7 * 86_400_000)?;
            let lines: String = tokens.iter().map(|token| hexadecimal(token) + "\n").collect();
            write(&path.join("tokens.txt"), &lines)?;
            told +=
                &format!("task '{}' for {} devices, {count} tokens in tokens.txt\n", task.name, task.cohort.devices);
        }
        if !config.registry.automatic {
            told += &format!(
                "keys of those who sign versions: {}; take them to other machines, one a person\n",
                folder.people().display()
            );
        }
        told += &format!(
            "next: sordino-coordinator serve {}\ndevices need: {}\n",
            path.display(),
            folder.federation().display()
        );
        print(&told);
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

const EXAMPLE: &str = include_str!("../../tasks/example.toml");
