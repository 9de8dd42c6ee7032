//! `init`: everything that `serve` needs.
//!
//! It is made in a folder within the folder and moved up, the settings last: an `init` that is killed leaves no half coordinator, and
//! the next one clears what was left of it away.

use super::words::quoted;
use super::{At, print};
use crate::authority::{Attestation, Authority};
use crate::config::{Config, FILE};
use crate::ledger::PopulationLedgers;
use crate::server::{Setup, now};
use crate::task::TaskFile;
use anyhow::{Context, bail, ensure};
use sordino_shared::control::hexadecimal;
use sordino_shared::privacy::ledger::{Error as LedgerError, Ledger};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(super) const EXAMPLES: &str = "\
Examples:
  sordino-coordinator init my-federation --example          to try it on this machine
  sordino-coordinator init my-federation --example --again  once more; the one before is set aside
  sordino-coordinator init music --public music.example:4433 --epsilon 4
  sordino-coordinator init music --public music.example:4433 --least-age-hours 0   to see a round the same day";

#[derive(Debug, clap::Args)]
pub(super) struct Init {
    #[command(flatten)]
    at: At,
    /// Host and port at which devices reach the coordinator, as in music.example:4433.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4433")]
    public: String,
    /// The name in the coordinator's certificate; devices check it, whatever host they call.
    #[arg(long, default_value = "sordino")]
    name: String,
    /// Where the coordinator listens for devices (UDP).
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:4433")]
    listen: SocketAddr,
    /// Where the operator's page is (TCP, this machine only).
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9464")]
    admin: SocketAddr,
    /// The name of the devices that it serves, all together; they have one budget.
    #[arg(long, default_value = "default")]
    population: String,
    /// Epsilon that a device may spend over all tasks: 8 without it, at most about 37. Smaller is more private; a few units are usual.
    #[arg(long)]
    epsilon: Option<f64>,
    /// Delta of that budget: 1e-6 without it. Take less than one over the number of devices.
    #[arg(long)]
    delta: Option<f64>,
    /// Hours from a device's enrolment to its first contribution: 24 without it, 0 in a trial. They make it dear to enrol many.
    #[arg(long, value_name = "HOURS")]
    least_age_hours: Option<u32>,
    /// Settings for a trial on one machine: devices may contribute at once, all of them from one address, and every version serves
    /// as soon as it is made.
    #[arg(long)]
    trial: bool,
    /// A trial with the example task and tokens for its devices in tokens.txt.
    #[arg(long)]
    example: bool,
    /// Sets a trial that is in the folder aside, whole and under another name, and makes a new one.
    #[arg(long, requires = "example")]
    again: bool,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<()> {
        check_public(&self.public)?;
        let example = self.example.then(|| TaskFile::parse(EXAMPLE).expect("checked by a test"));
        let config = self.config(example.as_ref());
        config.check()?;
        if let Some(price) = example.as_ref().map(|task| task.privacy) {
            ensure!(
                config.privacy.epsilon >= price.epsilon && config.privacy.delta >= price.delta,
                "the example costs a device epsilon {} at delta {:e}: leave --epsilon and --delta out, or give that much",
                price.epsilon,
                price.delta
            );
        }
        let aside = make_room(&self.at.folder, self.again)?;
        let staged = self.at.folder.join(UNFINISHED);
        std::fs::create_dir_all(&staged).with_context(|| staged.display().to_string())?;
        self.fill(&At { folder: staged.clone() }, &config, example.as_ref())?;
        move_up(&staged, &self.at.folder)?;
        print(&self.told(&config, example.as_ref(), aside.as_deref()));
        Ok(())
    }

    fn config(&self, example: Option<&TaskFile>) -> Config {
        let mut config = Config::default();
        (config.listen.address, config.listen.admin) = (self.listen, self.admin);
        config.listen.population.clone_from(&self.population);
        // What the example costs is all that its population may spend.
        if let Some(task) = example {
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
        config.enrolment.least_age_hours = self.least_age_hours.unwrap_or(config.enrolment.least_age_hours);
        config
    }

    fn fill(&self, at: &At, config: &Config, example: Option<&TaskFile>) -> anyhow::Result<()> {
        let folder = at.folder();
        folder.init(&Setup { config: config.clone(), public: self.public.clone(), name: self.name.clone() })?;
        if let Some(task) = example {
            super::task::add(at, EXAMPLE, Path::new("."))?;
            let authority = Authority::open(&folder.authority(), config.enrolment.certificate_days, Attestation::None)?;
            let tokens = authority.tokens(tokens_of(task), now() + 7 * 86_400_000)?;
            let lines: String = tokens.iter().map(|token| hexadecimal(token) + "\n").collect();
            let path = folder.0.join("tokens.txt");
            crate::files::write_whole(&path, lines.as_bytes()).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn told(&self, config: &Config, example: Option<&TaskFile>, aside: Option<&Path>) -> String {
        let folder = self.at.folder();
        let quoted_folder = self.at.quoted();
        let mut told = String::new();
        if let Some(aside) = aside {
            told += &format!("the coordinator that was in {quoted_folder} is in {} now\n", quoted(aside));
        }
        told += &format!("{quoted_folder}: a coordinator for the population '{}'\n", self.population);
        told += &format!(
            "a device may spend epsilon {} at delta {:e} over all tasks; `sordino-coordinator budget set` changes that\n",
            config.privacy.epsilon, config.privacy.delta
        );
        if let Some(task) = example {
            let (devices, count) = (task.cohort.devices, tokens_of(task));
            told += &format!("task '{}' for {devices} devices, {count} tokens in tokens.txt\n", task.name);
        }
        let hours = config.enrolment.least_age_hours;
        if hours > 0 {
            told += &format!(
                "devices contribute from {hours} hours after their enrolment on, and are told to come back then: to see a round today, set \
                 enrolment.least_age_hours = 0 in {} (or `init --least-age-hours 0`)\n",
                quoted(&self.at.folder.join(FILE))
            );
        }
        if !config.registry.automatic {
            told += &format!(
                "keys of those who sign versions: {}; take them to other machines, one a person\n",
                folder.people().display()
            );
        }
        told + &format!(
            "next: sordino-coordinator serve {quoted_folder}\ndevices need: {}\n",
            quoted(&folder.federation())
        )
    }
}

fn tokens_of(task: &TaskFile) -> usize {
    task.cohort.devices as usize * 3 / 2
}

fn check_public(public: &str) -> anyhow::Result<()> {
    let parts = public.rsplit_once(':');
    let host = parts.map_or(public, |(host, _)| host);
    let port = parts.and_then(|(_, port)| port.parse::<u16>().ok()).filter(|port| *port > 0);
    let plain = |host: &str| !host.is_empty() && !host.contains([':', '/', ' ', '[', ']']);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => plain(host),
    };
    let named = if is_host && bracketed.is_none() { host } else { "music.example" };
    ensure!(
        is_host && port.is_some(),
        "--public '{public}' must be a host and a port, as in {named}:4433 or [2001:db8::1]:4433"
    );
    Ok(())
}

/// Sees to it that the folder can be filled; where a trial was set aside, gives its new place.
fn make_room(folder: &Path, again: bool) -> anyhow::Result<Option<PathBuf>> {
    let name = quoted(folder);
    if folder.join(FILE).exists() {
        if !again {
            bail!(
                "there is a coordinator in {name} already, and it stays as it is: `sordino-coordinator serve {name}` goes on with it. \
                 For another, name another folder; `sordino-coordinator init {name} --example --again` sets a trial aside and makes a new one"
            );
        }
        return set_aside(folder).map(Some);
    }
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.with_context(|| folder.display().to_string())?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<String>>>().with_context(|| folder.display().to_string())?;
    names.sort();
    // The folder was empty when an `init` began here, and that was killed.
    if names.iter().any(|name| name == UNFINISHED) && names.iter().all(|name| is_ours(name)) {
        for name in &names {
            let path = folder.join(name);
            let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            gone.with_context(|| path.display().to_string())?;
        }
        names.clear();
    }
    if names.iter().any(|name| name == "operator.key" || name == "coordinator.sqlite") {
        bail!(
            "{name} holds a coordinator without its {FILE}: put that back, or name another folder (`sordino-coordinator settings` \
             prints the defaults)"
        );
    }
    ensure!(
        names.is_empty(),
        "{name} holds other things ({}): name a folder that is empty or not there yet",
        names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
    );
    Ok(None)
}

fn set_aside(folder: &Path) -> anyhow::Result<PathBuf> {
    let name = quoted(folder);
    let config = Config::read(folder)?;
    ensure!(
        config.registry.automatic,
        "the coordinator in {name} is no trial: it stays where it is. Name another folder"
    );
    // Whoever serves it holds this lock.
    let ledger = PopulationLedgers::new(folder).path(&config.listen.population);
    if let Err(LedgerError::InUse(_)) = Ledger::inspect(&ledger) {
        bail!("a coordinator is running in {name}: stop it first");
    }
    let whole = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let free = |number: usize| {
        let mut name = whole.file_name().unwrap_or_default().to_owned();
        name.push(format!(".before-{number}"));
        whole.with_file_name(name)
    };
    let aside = (1..).map(free).find(|path| !path.exists()).expect("numbers do not end");
    std::fs::rename(&whole, &aside).with_context(|| format!("{} to {}", whole.display(), aside.display()))?;
    Ok(aside)
}

// Settings last: a folder with settings is a whole one.
fn move_up(staged: &Path, folder: &Path) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(staged).with_context(|| staged.display().to_string())?;
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    let (settings, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == FILE);
    for name in others.into_iter().chain(settings) {
        let to = folder.join(&name);
        std::fs::rename(staged.join(&name), &to).with_context(|| to.display().to_string())?;
    }
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())?;
    std::fs::remove_dir(staged).with_context(|| staged.display().to_string())
}

fn is_ours(name: &str) -> bool {
    let known = [UNFINISHED, "authority", "models", "registry", "people", "federation.toml", "tokens.txt"];
    let endings = [".key", ".ledger", ".ledger.lock", ".sqlite", ".sqlite-wal", ".sqlite-shm", ".part"];
    known.contains(&name) || endings.iter().any(|ending| name.ends_with(ending))
}

const EXAMPLE: &str = include_str!("../../tasks/example.toml");
const UNFINISHED: &str = ".unfinished";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_has_a_host_and_a_port() {
        for good in ["music.example:4433", "127.0.0.1:1", "[::1]:4433"] {
            check_public(good).expect(good);
        }
        for bad in
            ["music.example", "music.example:", ":4433", "host:0", "host:65536", "::1:4433", "[::1]", "https://x:1", ""]
        {
            let words = check_public(bad).expect_err(bad).to_string();
            assert!(words.contains("a host and a port"), "{words}");
        }
        assert!(check_public("music.example").expect_err("no port").to_string().contains("music.example:4433"));
    }
}
