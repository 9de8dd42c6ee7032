//! One device with its folder: enrol, record, visit, recommend, and what a listener may ask of it.

mod budget;
mod record;

use crate::words::{count, logs, note, print};
use anyhow::{Context, bail};
use sordino_client::device::{Desk, Device, Error, Settings, parse_federation, write_whole};
use sordino_client::quic::{self, Visited, enrol_device, visit_once};
use sordino_shared::control::{Enrolled, Federation, from_hexadecimal, hexadecimal};
use sordino_shared::plain::quoted;
use sordino_shared::privacy::ledger;
use sordino_shared::registry::Freshness;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Where a device keeps its files, and what it may spend.
#[derive(Clone, Debug, clap::Args)]
pub struct At {
    /// The device's folder: its key, its events, its model, its ledger.
    #[arg(long, default_value = FOLDER)]
    folder: PathBuf,
    /// Privacy (epsilon) that the device may spend in its life. Less than its ledger allows lowers
    /// that; more changes nothing, since only `budget set` raises it [default: what its ledger
    /// says; 4 for a new device].
    #[arg(long)]
    epsilon: Option<f64>,
    /// The delta of that epsilon [default: what its ledger says; 1e-6 for a new device].
    #[arg(long)]
    delta: Option<f64>,
    /// The least time from one training to the next, in hours.
    #[arg(long, default_value_t = 24)]
    least_hours: u32,
}

/// What one device can be asked.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes the device: a key, a folder, and a certificate of its coordinator for a token.
    Enrol {
        /// The file that the operator hands out to devices (`federation.toml`); a copy is kept in
        /// the folder. Once the device is enrolled it stays in that federation.
        #[arg(long)]
        federation: PathBuf,
        /// The token that the operator made for this device: 64 hexadecimal digits, good once.
        #[arg(long)]
        token: String,
        /// A file with what the platform says about the device, where the operator asks for it.
        #[arg(long)]
        attestation: Option<PathBuf>,
        /// Where the device's ledger or key is gone: makes another device in its place, with nothing
        /// recorded. A device that has both stays what it is.
        #[arg(long)]
        anew: bool,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Keeps events, one JSON object a line (docs/events.md), from a file or from standard input.
    /// Each is kept once, however often it is given. Bad lines are reported and the good ones kept
    /// (exit status 3).
    Record {
        /// The file [default: standard input].
        file: Option<PathBuf>,
        /// Keeps all or nothing: where one line is bad, no event is kept (exit status 1).
        #[arg(long)]
        strict: bool,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Visits the coordinator: takes part in a round if there is one for this device, and loads the
    /// newest model.
    Run {
        /// Goes on visiting until it is stopped. Other commands work beside it, but `enrol`,
        /// `erase` and `budget set`.
        #[arg(long)]
        daemon: bool,
        /// What is logged: error, warn, info, debug or trace.
        #[arg(long, default_value = "warn")]
        log: String,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Prints the best tracks that the listener has not heard, one a line: the track, a tab, its
    /// score. The best come first.
    Recommend {
        /// How many.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        most: u32,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Says which version of the model serves, which are kept, and whether the operator's word on
    /// them is in date.
    Version {
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Shows what was sent, when, what it cost in privacy, and every change of the budget with its
    /// reason.
    Ledger {
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Shows what the device may spend, or changes it for a reason.
    Budget {
        /// What of it.
        #[command(subcommand)]
        command: budget::Command,
    },
    /// Prints every event that is kept, as `record` reads them.
    Export {
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Erases every event and the model. What was spent stays spent.
    Erase {
        /// Where.
        #[command(flatten)]
        at: At,
    },
}

impl Command {
    /// Runs it; gives the exit status where nothing failed.
    ///
    /// # Errors
    /// In words.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Enrol { federation, token, attestation, anew, at } => {
                at.enrol(&federation, &token, attestation.as_deref(), anew)?;
            }
            Self::Record { file, strict, at } => return record::record(&at, file.as_deref(), strict),
            Self::Run { daemon, log, at } => {
                logs(&log)?;
                at.visit(daemon)?;
            }
            Self::Recommend { most, at } => at.recommend(most as usize)?,
            Self::Version { at } => {
                let mut device = at.open_beside()?;
                let versions = device.versions()?;
                let serves = versions.current().map_or_else(|| "none".to_owned(), |kept| kept.counter.to_string());
                let kept: Vec<String> = versions.kept().iter().map(|kept| kept.counter.to_string()).collect();
                let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
                print(&format!("serves {serves}; kept: {kept}\n{}\n", in_date(device.freshness()?)));
            }
            Self::Ledger { at } => print(&at.open_beside()?.ledger()),
            Self::Budget { command } => command.run()?,
            Self::Export { at } => {
                let events = at.open_beside()?.export()?;
                if events.is_empty() {
                    note(&at.said("no events are kept: `sordino-device record FILE` keeps some"));
                }
                for event in events {
                    print(&(serde_json::to_string(&event)? + "\n"));
                }
            }
            Self::Erase { at } => {
                let erased = at.open()?.erase()?;
                let (events, versions) = (count(erased.events, "event"), count(erased.versions, "version"));
                print(&format!("erased {events} and {versions} of the model; what was spent stays spent\n"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_date(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Fresh => "the registry's word is in date",
        Freshness::Stale => "the registry's word is out of date, or has not come yet: what serves goes on",
        Freshness::Frozen => {
            "the registry's word has been out of date for a week, or has not come for so long: what serves goes on, nothing is trained, and \
             the operator should know"
        }
    }
}

impl At {
    /// The device, for this process alone.
    fn open(&self) -> anyhow::Result<Device<Desk>> {
        self.opened(Device::open_with(&self.folder, self.federation()?, |kept| self.settings(kept), self.desk()))
    }

    /// The device, beside whoever has it open.
    fn open_beside(&self) -> anyhow::Result<Device<Desk>> {
        self.opened(Device::open_beside_with(&self.folder, self.federation()?, |kept| self.settings(kept), self.desk()))
    }

    fn opened(&self, opened: Result<Device<Desk>, Error>) -> anyhow::Result<Device<Desk>> {
        let folder = self.folder.display();
        let device = match opened {
            Err(Error::Ledger(ledger::Error::InUse(_))) => bail!(
                "another process has the device in {folder}: stop it first (`run --daemon`?), or use record, recommend, version, \
                 ledger, export and budget show, which work beside it"
            ),
            Err(Error::NoDevice(_)) => bail!("{}", self.none()),
            Err(Error::LedgerLost(_)) => bail!(
                "{}",
                self.said(&format!("the ledger of the device in {folder} is gone, and with it what was spent: {ANEW}"))
            ),
            Err(Error::KeyLost(_)) => {
                bail!("{}", self.said(&format!("the key of the device in {folder} is gone: put it back, or {ANEW}")))
            }
            opened => opened?,
        };
        budget::tell(&device, self);
        Ok(device)
    }

    fn desk(&self) -> Desk {
        Desk::new(self.folder.join("secret.key"))
    }

    fn federation(&self) -> anyhow::Result<Federation> {
        let path = self.folder.join(FEDERATION);
        anyhow::ensure!(path.exists(), self.none());
        crate::swarm::read_federation(&path)
    }

    fn none(&self) -> String {
        let folder = self.folder.display();
        let text = "`sordino-device enrol` makes one, or `--folder` names another folder";
        format!("there is no device in {folder}: {}", self.said(text))
    }

    /// The text with the device's folder in each command that it names.
    fn said(&self, text: &str) -> String {
        if self.folder == Path::new(FOLDER) {
            return text.to_owned();
        }
        let (mut said, folder) = (String::new(), quoted(&self.folder));
        for (number, part) in text.split('`').enumerate() {
            if number > 0 {
                said.push('`');
            }
            said.push_str(part);
            // Every other part stands between backticks.
            if number % 2 == 1 && part.starts_with("sordino-device ") {
                said.push_str(&format!(" --folder {folder}"));
            }
        }
        said
    }

    // What was not said is as the ledger has it.
    fn settings(&self, kept: Option<&ledger::Policy>) -> Settings {
        let settings = Settings::default();
        let mut policy = kept.cloned().unwrap_or(settings.ledger);
        policy.budget.epsilon = self.epsilon.unwrap_or(policy.budget.epsilon);
        policy.budget.delta = self.delta.unwrap_or(policy.budget.delta);
        Settings { ledger: policy, least_hours: self.least_hours, ..Settings::default() }
    }

    fn enrol(&self, file: &Path, token: &str, attestation: Option<&Path>, anew: bool) -> anyhow::Result<()> {
        let token = from_hexadecimal(token).context("--token: a token has 64 hexadecimal digits")?;
        let attestation =
            attestation.map(|file| std::fs::read(file).with_context(|| file.display().to_string())).transpose()?;
        let mut device = self.made(file, anew)?;
        if device.enrolled().is_some() {
            note("this device was enrolled already: it asks for another certificate");
        }
        runtime()?.block_on(async {
            let endpoint = quic::endpoint()?;
            enrol_device(&mut device, &endpoint, token, attestation.unwrap_or_default()).await?;
            print(&format!("enrolled as {}\n", hexadecimal(&device.identity().public().bytes())));
            Ok(())
        })
    }

    /// The device with the federation of a file, which is kept: where it is enrolled, that must be its own.
    fn made(&self, file: &Path, anew: bool) -> anyhow::Result<Device<Desk>> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let federation = parse_federation(&text).with_context(|| file.display().to_string())?;
        let settings = |kept: Option<&ledger::Policy>| self.settings(kept);
        let device = self.opened(if anew {
            Device::begin_anew_with(&self.folder, federation, settings, self.desk())
        } else {
            Device::open_with(&self.folder, federation, settings, self.desk())
        })?;
        let path = self.folder.join(FEDERATION);
        let kept = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            kept => Some(kept.with_context(|| path.display().to_string())?),
        };
        if kept.as_ref() == Some(&text) {
            return Ok(device);
        }
        // Without the file that was kept the certificate says whose device it is.
        let is_others = device.enrolled().is_some_and(|Enrolled { certificate, .. }| {
            kept.is_some() || !certificate.holds(&device.federation().authority.0, certificate.not_after)
        });
        if is_others {
            bail!(
                "this device is enrolled in the federation of {path}, and {file} is not the same: for another federation make another \
                 device, with `--folder`; if the operator has given out {file} in the place of the old one, copy it to {path}, and run \
                 the same command again",
                path = path.display(),
                file = file.display()
            );
        }
        write_whole(&path, text.as_bytes()).with_context(|| path.display().to_string())?;
        Ok(device)
    }

    fn recommend(&self, most: usize) -> anyhow::Result<()> {
        let mut device = self.open_beside()?;
        let list = match device.recommend(most) {
            Err(Error::NoModel) if device.enrolled().is_none() => {
                bail!("{}", self.said("there is no model yet: `sordino-device enrol` first, then `sordino-device run`"))
            }
            Err(Error::NoModel) => bail!(
                "{}",
                self.said(
                    "there is no model yet: `sordino-device run` loads one, as soon as the coordinator has learnt one from a first round"
                )
            ),
            list => list?,
        };
        if list.is_empty() {
            let tracks = device.model()?.map_or(0, |model| model.tracks());
            note(&format!("nothing to recommend: the listener has heard all {tracks} tracks of the model"));
        }
        for (track, score) in list {
            print(&format!("{}\t{score:.4}\n", track.0));
        }
        Ok(())
    }

    fn visit(&self, daemon: bool) -> anyhow::Result<()> {
        let mut device = self.open()?;
        runtime()?.block_on(async {
            let endpoint = quic::endpoint()?;
            loop {
                let wait = match visit_once(&mut device, &endpoint, crate::swarm::CLIENT).await {
                    Ok(Visited::Done { task, round, .. }) => {
                        print(&format!("took part in round {round} of '{task}'\n"));
                        Duration::from_secs(1)
                    }
                    Ok(Visited::Later(wait, why)) => {
                        print(&format!("{why}; next visit in {} s\n", wait.as_secs()));
                        wait
                    }
                    Err(quic::Error::Device(Error::NotEnrolled)) => {
                        let text = "this device is not enrolled: `sordino-device enrol` with a token of the operator's";
                        bail!("{}", self.said(text))
                    }
                    Err(error) if daemon => {
                        note(&format!("{}; next visit in {} s", crate::words::of(&error.into()), TRANSIENT.as_secs()));
                        TRANSIENT
                    }
                    Err(error) => bail!(error),
                };
                if !daemon {
                    endpoint.wait_idle().await;
                    return Ok(());
                }
                tokio::time::sleep(wait).await;
            }
        })
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

const ANEW: &str = "`sordino-device enrol --anew --federation FILE --token TOKEN` makes another device there, without what this one \
                    has recorded";
const FOLDER: &str = "sordino-device";
const FEDERATION: &str = "federation.toml";
const TRANSIENT: Duration = Duration::from_secs(15 * 60);
