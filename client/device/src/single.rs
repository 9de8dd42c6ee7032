//! One device with its folder: enrol, record, visit, recommend, and what a listener may ask of it.

use anyhow::{Context, bail};
use sordino_client::device::{Device, Host, Settings};
use sordino_client::event::PlaybackEvent;
use sordino_client::quic::{self, Visited, enrol_device, visit_once};
use sordino_shared::control::{from_hexadecimal, hexadecimal};
use sordino_shared::privacy::ledger;
use sordino_shared::registry::Freshness;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a device keeps its files, and what it may spend.
#[derive(Clone, Debug, clap::Args)]
pub struct At {
    /// The device's folder.
    #[arg(long, default_value = "sordino-device")]
    folder: PathBuf,
    /// Epsilon that the device may spend in its life.
    #[arg(long, default_value_t = 4.0)]
    epsilon: f64,
    /// Its delta.
    #[arg(long, default_value_t = 1e-6)]
    delta: f64,
    /// The least time from one training to the next, in hours.
    #[arg(long, default_value_t = 24)]
    least_hours: u32,
}

/// What one device can be asked.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes the device, with a token of its coordinator.
    Enrol {
        /// What the coordinator hands out to devices; kept in the folder.
        #[arg(long)]
        federation: PathBuf,
        /// The token.
        #[arg(long)]
        token: String,
        /// A file with the platform's attestation.
        #[arg(long)]
        attestation: Option<PathBuf>,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Records events: JSON, one a line, from a file or from standard input.
    Record {
        /// The file.
        file: Option<PathBuf>,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Visits the coordinator once, or again and again.
    Run {
        /// Goes on until it is stopped.
        #[arg(long)]
        daemon: bool,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Ranks tracks for the listener.
    Recommend {
        /// How many.
        #[arg(long, default_value_t = 10)]
        most: usize,
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Says which version serves, which are kept, and whether the registry's word is in date.
    Version {
        /// Where.
        #[command(flatten)]
        at: At,
    },
    /// Shows what was spent, and what for.
    Ledger {
        /// Where.
        #[command(flatten)]
        at: At,
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
    /// Runs it.
    ///
    /// # Errors
    /// In words.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Enrol { federation, token, attestation, at } => at.enrol(&federation, &token, attestation.as_deref()),
            Self::Record { file, at } => at.record(file.as_deref()),
            Self::Run { daemon, at } => at.visit(daemon),
            Self::Recommend { most, at } => {
                for (track, score) in at.open()?.recommend(most)? {
                    print(&format!("{}\t{score:.4}\n", track.0));
                }
                Ok(())
            }
            Self::Version { at } => {
                let device = at.open()?;
                let versions = device.versions()?;
                let serves = versions.current().map_or_else(|| "none".to_owned(), |kept| kept.counter.to_string());
                let kept: Vec<String> = versions.kept().iter().map(|kept| kept.counter.to_string()).collect();
                print(&format!("serves {serves}; kept: {}\n{}\n", kept.join(", "), in_date(device.freshness()?)));
                Ok(())
            }
            Self::Ledger { at } => {
                print(&at.open()?.ledger());
                Ok(())
            }
            Self::Export { at } => {
                for event in at.open()?.export()? {
                    print(&(serde_json::to_string(&event)? + "\n"));
                }
                Ok(())
            }
            Self::Erase { at } => Ok(at.open()?.erase()?),
        }
    }
}

fn in_date(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Fresh => "the registry's word is in date",
        Freshness::Stale => "the registry's word is out of date: what serves goes on",
        Freshness::Frozen => {
            "the registry's word has been out of date for a week: what serves goes on, nothing is trained, and the operator should know"
        }
    }
}

impl At {
    fn open(&self) -> anyhow::Result<Device<Desk>> {
        let path = self.folder.join(FEDERATION);
        anyhow::ensure!(path.exists(), "there is no device in {}: `enrol` makes one", self.folder.display());
        let federation = crate::swarm::read_federation(&path)?;
        let settings = Settings {
            ledger: ledger::Policy::new(self.epsilon, self.delta),
            least_hours: self.least_hours,
            ..Settings::default()
        };
        let host = Desk { key: self.folder.join("secret.key") };
        Ok(Device::open(&self.folder, federation, settings, host)?)
    }

    fn enrol(&self, federation: &Path, token: &str, attestation: Option<&Path>) -> anyhow::Result<()> {
        let token = from_hexadecimal(token).context("a token has 64 hexadecimal digits")?;
        let attestation =
            attestation.map(|file| std::fs::read(file).with_context(|| file.display().to_string())).transpose()?;
        let kept = self.folder.join(FEDERATION);
        crate::swarm::read_federation(federation)?;
        std::fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        if !kept.exists() {
            std::fs::copy(federation, &kept).with_context(|| kept.display().to_string())?;
        }
        let mut device = self.open()?;
        runtime()?.block_on(async {
            let endpoint = quic::endpoint()?;
            enrol_device(&mut device, &endpoint, token, attestation.unwrap_or_default()).await?;
            print(&format!("enrolled as {}\n", hexadecimal(&device.identity().public().bytes())));
            Ok(())
        })
    }

    fn record(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let mut device = self.open()?;
        let name = file.map_or_else(|| "standard input".to_owned(), |file| file.display().to_string());
        let input: Box<dyn BufRead> = match file {
            None => Box::new(std::io::stdin().lock()),
            Some(file) => Box::new(std::io::BufReader::new(std::fs::File::open(file).with_context(|| name.clone())?)),
        };
        let (mut events, mut recorded) = (Vec::new(), 0);
        for (number, line) in input.lines().enumerate() {
            let line = line.with_context(|| name.clone())?;
            if line.trim().is_empty() {
                continue;
            }
            let event: PlaybackEvent = serde_json::from_str(&line)
                .with_context(|| format!("{name}, line {}: this is no event", number + 1))?;
            events.push(event);
            if events.len() == PIECE {
                device.record(&events)?;
                recorded += events.len();
                events.clear();
            }
        }
        device.record(&events)?;
        print(&format!("{} events recorded\n", recorded + events.len()));
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
                    Ok(Visited::Later(wait)) => {
                        print(&format!("nothing to do; next visit in {} s\n", wait.as_secs()));
                        wait
                    }
                    Err(error) if daemon => {
                        eprintln!("{error}");
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

/// A computer on a desk: always idle, always charged, and its key in a file that its owner alone can read.
struct Desk {
    key: PathBuf,
}

impl Host for Desk {
    fn idle(&self) -> bool {
        true
    }

    fn charging(&self) -> bool {
        true
    }

    fn unmetered(&self) -> bool {
        true
    }

    fn now(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
    }

    fn load_secret(&self) -> Result<Option<sordino_client::device::Secret>, String> {
        match std::fs::read_to_string(&self.key) {
            Ok(digits) => from_hexadecimal(&digits)
                .map(|secret| Some(secret.into()))
                .ok_or_else(|| format!("{} holds no key", self.key.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.key.display())),
        }
    }

    fn store_secret(&mut self, secret: &sordino_client::device::Secret) -> Result<(), String> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.key).map_err(|error| error.to_string())?;
        let digits = hexadecimal(secret.as_slice());
        file.write_all(digits.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| error.to_string())
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn print(text: &str) {
    // A reader that has gone away is no fault.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

const FEDERATION: &str = "federation.toml";
const PIECE: usize = 10_000;
const TRANSIENT: Duration = Duration::from_secs(15 * 60);
