//! `init`: everything that `serve` needs.

use super::{At, print};
use crate::authority::{Attestation, Authority, Pair};
use crate::config::{Config, FILE};
use crate::ledger::PopulationLedgers;
use crate::server::now;
use crate::store::SqliteStore;
use crate::task::TaskFile;
use anyhow::{Context, ensure};
use sordino_shared::control::{Federation, PublicKey, hexadecimal};
use sordino_shared::privacy::ledger::Policy;
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
    #[arg(long, default_value_t = 1e-6)]
    delta: f64,
    /// Adds the example task, tokens for its devices in `tokens.txt`, and settings for a trial on one machine.
    #[arg(long)]
    example: bool,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let folder = self.at.folder();
        let path = &folder.0;
        ensure!(
            !path.join(FILE).exists(),
            "there is a coordinator in {} already: it stays as it is; choose another folder",
            path.display()
        );
        std::fs::create_dir_all(folder.authority()).with_context(|| path.display().to_string())?;
        let example = self.example.then(|| TaskFile::parse(EXAMPLE).expect("checked by a test"));
        let mut config = Config::default();
        (config.listen.address, config.listen.admin) = (self.listen, self.admin);
        config.listen.population.clone_from(&self.population);
        config.privacy.delta = self.delta;
        let default = example.as_ref().map_or(config.privacy.epsilon, |task| task.privacy.epsilon);
        config.privacy.epsilon = self.epsilon.unwrap_or(default);
        if example.is_some() {
            // Everybody is behind one address, and nobody waits a day.
            config.limits.connections_per_address = config.limits.connections;
            config.enrolment.least_age_hours = 0;
        }
        Config::parse(&toml::to_string(&config)?, Path::new(FILE))?;
        let authority = Authority::init(&folder.authority())?;
        let operator = folder.operator().create()?.public();
        folder.tls().create()?;
        let ca = Pair::authority(&folder.ca().create()?, "sordino coordinator authority")?;
        let federation = Federation {
            server: self.public.clone(),
            name: self.name.clone(),
            population: self.population.clone(),
            authority: PublicKey(authority),
            operator: PublicKey(operator),
            ca: ca.pem(),
        };
        write(&folder.federation(), &toml::to_string(&federation)?)?;
        SqliteStore::open(&folder.store())?;
        let policy = Policy::new(config.privacy.epsilon, config.privacy.delta);
        PopulationLedgers::new(path).create(&self.population, policy, now())?;
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
        // Last, so that a folder with settings is a whole one.
        write(&path.join(FILE), &toml::to_string(&config)?)?;
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

const EXAMPLE: &str = include_str!("example.toml");
