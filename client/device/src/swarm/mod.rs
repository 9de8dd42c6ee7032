//! Many devices in one process, each with a key, a certificate and a connection of its own.

mod keys;
mod light;
mod listening;

pub use light::{Light, Vectors, new_identity};
pub use listening::{Listening, ndcg};

use anyhow::Context;
use sordino_client::device::parse_federation;
use sordino_client::quic::{self, Credentials, Line, Visit, Visited, check_in, pause, refresh, visit};
use sordino_shared::control::{Announced, CheckIn, Code, Federation, Reject, from_hexadecimal};
use sordino_shared::model::Model;
use sordino_shared::registry::Trusted;
use sordino_shared::secagg::{Hash, Identity};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Plays many devices over real connections, until the coordinator has no more work for them. Each
/// keeps its key beside its token (`tokens.txt.keys`), so that the same command works again.
#[derive(Debug, clap::Args)]
pub struct Swarm {
    /// The file that the coordinator hands out to devices.
    #[arg(long, default_value = "sordino-federation/federation.toml")]
    federation: PathBuf,
    /// Enrolment tokens, one a line; one for each device.
    #[arg(long, default_value = "sordino-federation/tokens.txt")]
    tokens: PathBuf,
    /// How many devices.
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    devices: usize,
    /// Whose listening: `synthetic`, or KIND:PATH as the simulator reads it.
    #[arg(long, default_value = "synthetic")]
    data: String,
    /// Tracks of the synthetic world; those of the task.
    #[arg(long, default_value_t = 60)]
    tracks: usize,
    /// Seed of the synthetic world.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What is logged: error, warn, info, debug or trace.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// What the devices of a swarm did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Parts in rounds that were done.
    pub done: AtomicU64,
    /// Parts that ended before their end.
    pub failed: AtomicU64,
}

impl Swarm {
    /// Runs it.
    ///
    /// # Errors
    /// Where the files cannot be read, or the coordinator cannot be reached.
    pub fn run(self) -> anyhow::Result<()> {
        crate::words::logs(&self.log)?;
        let federation = read_federation(&self.federation)?;
        let tokens = read_tokens(&self.tokens)?;
        anyhow::ensure!(
            tokens.len() >= self.devices,
            "{} holds {} tokens for {} devices: {MORE_TOKENS} makes more, or `--devices {}` takes fewer",
            self.tokens.display(),
            tokens.len(),
            self.devices,
            tokens.len()
        );
        let listening = Arc::new(Listening::new(&self.data, self.devices, self.tracks, self.seed)?);
        println!(
            "{} listeners with {} examples of {} tracks",
            listening.devices(),
            listening.examples(),
            listening.tracks()
        );
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.play(federation, tokens, listening))
    }

    async fn play(self, federation: Federation, tokens: Vec<Hash>, listening: Arc<Listening>) -> anyhow::Result<()> {
        let endpoint = quic::endpoint()?;
        let start = Instant::now();
        let tokens = &tokens[..self.devices];
        let identities = keys::for_tokens(&self.tokens, tokens)?;
        let vectors = |device: usize| listening.vectors(device);
        let devices = enrol_as(&endpoint, &federation, tokens, identities, vectors).await.map_err(|error| {
            let refused = matches!(
                error.downcast_ref::<quic::Error>(),
                Some(quic::Error::Rejected(Reject { code: Code::Token, .. }))
            );
            match refused {
                true => error.context(format!(
                    "tokens of {} are another device's, or of another coordinator: {MORE_TOKENS} makes new ones",
                    self.tokens.display()
                )),
                false => error,
            }
        })?;
        println!("{} devices enrolled in {:.1} s", devices.len(), start.elapsed().as_secs_f64());
        let (seen, versions) = watch::channel(None);
        let line = Line::new(&endpoint, &federation, Some(devices[0].credentials()))?;
        let watcher = tokio::spawn(watch_versions(line, federation.clone(), versions, listening));
        let tally = run(&endpoint, &federation, devices, &seen).await?;
        drop(seen);
        watcher.await??;
        println!(
            "{} parts in rounds done, {} left early, {:.1} s",
            tally.done.load(Ordering::Relaxed),
            tally.failed.load(Ordering::Relaxed),
            start.elapsed().as_secs_f64()
        );
        if tally.done.load(Ordering::Relaxed) + tally.failed.load(Ordering::Relaxed) == 0 {
            println!(
                "there was nothing to do: every task is finished, or there is none. `sordino-coordinator status FOLDER` shows them, \
                 `sordino-coordinator task add FILE FOLDER` adds one"
            );
        }
        endpoint.wait_idle().await;
        Ok(())
    }
}

/// Enrols a device with each token, some at once.
///
/// # Errors
/// The first that fails.
pub async fn enrol(
    endpoint: &quinn::Endpoint,
    federation: &Federation,
    tokens: &[Hash],
    vectors: impl Fn(usize) -> Vectors,
) -> anyhow::Result<Vec<Light>> {
    let identities = tokens.iter().map(|_| new_identity()).collect::<Result<_, _>>()?;
    enrol_as(endpoint, federation, tokens, identities, vectors).await
}

/// As [`enrol`], with keys of the caller's: a key may enrol again with the token that it enrolled
/// with.
///
/// # Errors
/// The first that fails.
pub async fn enrol_as(
    endpoint: &quinn::Endpoint,
    federation: &Federation,
    tokens: &[Hash],
    identities: Vec<Identity>,
    vectors: impl Fn(usize) -> Vectors,
) -> anyhow::Result<Vec<Light>> {
    let gate = Arc::new(Semaphore::new(MOST_ENROLLING));
    let mut enrolling = JoinSet::new();
    for (number, (&token, identity)) in tokens.iter().zip(identities).enumerate() {
        let (endpoint, federation, gate, vectors) =
            (endpoint.clone(), federation.clone(), gate.clone(), vectors(number));
        enrolling.spawn(async move {
            let _place = gate.acquire().await.expect("never closed");
            Light::enrol(&endpoint, &federation, token, identity, vectors).await.map(|device| (number, device))
        });
    }
    let mut devices = Vec::with_capacity(tokens.len());
    while let Some(enrolled) = enrolling.join_next().await {
        devices.push(enrolled?.context("a device could not be enrolled")?);
    }
    devices.sort_by_key(|(number, _)| *number);
    Ok(devices.into_iter().map(|(_, device)| device).collect())
}

/// Lets the devices come and go until there is nothing to do for any of them; tells `seen` of the registry's news.
///
/// # Errors
/// Where a line cannot be had.
pub async fn run(
    endpoint: &quinn::Endpoint,
    federation: &Federation,
    devices: Vec<Light>,
    seen: &watch::Sender<Option<Announced>>,
) -> anyhow::Result<Arc<Tally>> {
    run_over(devices, seen, &federation.population, |credentials| Line::new(endpoint, federation, Some(credentials)))
        .await
}

/// As [`run`], over lines of the caller's.
///
/// # Errors
/// Where a line cannot be had.
pub async fn run_over(
    devices: Vec<Light>,
    seen: &watch::Sender<Option<Announced>>,
    population: &str,
    line: impl Fn(&Credentials) -> Result<Line, quic::Error>,
) -> anyhow::Result<Arc<Tally>> {
    let tally = Arc::new(Tally::default());
    let mut playing = JoinSet::new();
    for mut device in devices {
        let line = line(device.credentials())?;
        let (population, tally, seen) = (population.to_owned(), tally.clone(), seen.clone());
        playing.spawn(async move {
            while let Some(wait) = turn(&line, &population, &mut device, &tally, &seen).await {
                tokio::time::sleep(wait).await;
            }
            line.hang_up().await;
        });
    }
    while playing.join_next().await.is_some() {}
    Ok(tally)
}

/// One visit; how long to wait for the next, or `None` where there is nothing to do for hours.
async fn turn(
    line: &Line,
    population: &str,
    device: &mut Light,
    tally: &Tally,
    seen: &watch::Sender<Option<Announced>>,
) -> Option<Duration> {
    // Nobody listens to what is served here, so there is nothing to say of a rollout.
    let asked = CheckIn { measures: false, ..CheckIn::new(population, CLIENT) };
    match check_in(line, &asked).await {
        Ok(visit) => {
            if let Some(news) = visit.registry() {
                let news = Some(news.clone());
                seen.send_if_modified(|last| {
                    *last != news && {
                        *last = news;
                        true
                    }
                });
            }
            match visit {
                Visit::Later(later) => {
                    let wait = pause(&later);
                    (wait < NOTHING).then_some(wait)
                }
                Visit::Round(assigned) => {
                    let result = match line.fetch(&assigned.broadcast, MOST_BROADCAST).await {
                        Ok(broadcast) => self::visit(line, &assigned, &broadcast, device).await,
                        Err(error) => Err(error),
                    };
                    Some(ended(result, tally))
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "not checked in");
            Some(AGAIN)
        }
    }
}

fn ended(result: Result<Visited, quic::Error>, tally: &Tally) -> Duration {
    match result {
        Ok(_) => {
            tally.done.fetch_add(1, Ordering::Relaxed);
            SOON
        }
        // Places in a round are fewer than devices that are asked, on purpose.
        Err(quic::Error::Part(sordino_client::part::Error::Rejected(Reject { code: Code::Full, .. }))) => AGAIN,
        Err(error) => {
            tracing::warn!(%error, "a part in a round ended early");
            tally.failed.fetch_add(1, Ordering::Relaxed);
            AGAIN
        }
    }
}

/// Loads each version that comes to serve and says how well it ranks what the listeners held out.
async fn watch_versions(
    line: Line,
    federation: Federation,
    mut news: watch::Receiver<Option<Announced>>,
    listening: Arc<Listening>,
) -> anyhow::Result<()> {
    let mut trusted = Trusted::new(federation.root.as_bytes())?;
    let mut last_good = None;
    loop {
        let last = news.changed().await.is_err();
        let announced = news.borrow_and_update().clone();
        if let (Some(announced), false) = (announced, last) {
            trusted = refresh(&line, trusted, &announced, now()).await?;
            let good = trusted.serving().good;
            if let Some((download, _)) = good.filter(|_| good != last_good).and_then(|good| trusted.version(good)) {
                let bytes = line.fetch(&download, MOST_BROADCAST).await?;
                let model = Model::from_bytes(&bytes)?;
                let listening = listening.clone();
                let (kind, quality) =
                    tokio::task::spawn_blocking(move || (model.dimensions(), ndcg(&model, &listening))).await?;
                let kind = if kind == 0 { "popularity".to_owned() } else { format!("{kind} dimensions") };
                let number = good.unwrap_or_default();
                println!("model {number}: NDCG@10 {quality:.4} ({kind}, {} bytes)", download.length);
            }
            last_good = good;
        }
        if last {
            line.hang_up().await;
            return Ok(());
        }
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Reads what the coordinator hands out.
///
/// # Errors
/// With the file's name.
pub fn read_federation(path: &std::path::Path) -> anyhow::Result<Federation> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse_federation(&text).with_context(|| path.display().to_string())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "a whole number from 1".to_owned())
}

fn read_tokens(path: &std::path::Path) -> anyhow::Result<Vec<Hash>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let token =
        |line: &str| from_hexadecimal(line).with_context(|| format!("{}: '{line}' is no token", path.display()));
    text.lines().filter(|line| !line.trim().is_empty()).map(token).collect()
}

/// What a device says of its program when it checks in.
pub const CLIENT: &str = concat!("sordino-device ", env!("CARGO_PKG_VERSION"));
const MORE_TOKENS: &str = "`sordino-coordinator enrol token --count N FOLDER`";
const MOST_ENROLLING: usize = 64;
const MOST_BROADCAST: u64 = 1 << 30;
const NOTHING: Duration = Duration::from_secs(3600);
const AGAIN: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_millis(100);
