//! Everything that requests and drivers share: the rounds under way, the store, the authority.

use super::driver::Nudge;
use super::flush::{Pending, flush};
use super::metrics::Metrics;
use super::models::Models;
use super::pace::{NOTHING, Pace};
use super::storage::Storage;
use super::{Error, now};
use crate::authority::Authority;
use crate::config::Config;
use crate::ledger::PopulationLedgers;
use crate::round::{Live, Outcome};
use crate::store::{Entry, Phase, Verdict};
use serde::Serialize;
use sordino_shared::control::{
    CheckIn, Code, Download, Receipt, Reject, RetryAfter, Step, Wait, context_of, hexadecimal,
};
use sordino_shared::secagg::messages::upload_digest;
use sordino_shared::secagg::{Hash, Identity, Shape};
use sordino_shared::wire::{self, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

/// What the whole server shares.
pub struct Hub {
    pub(super) config: Config,
    pub(super) storage: Storage,
    pub(super) authority: Authority,
    pub(super) operator: Identity,
    pub(super) ledgers: Mutex<PopulationLedgers>,
    pub(super) models: Models,
    /// Counters, for whoever scrapes them.
    pub metrics: Metrics,
    // Memory for contributions that are being received or wait for the store, in KiB.
    pub(super) room: Arc<Semaphore>,
    // One for each core: more checks at once would only keep the socket's own task from its work, and datagrams get lost.
    checks: Semaphore,
    tasks: RwLock<BTreeMap<String, Arc<TaskState>>>,
    revoked: RwLock<BTreeSet<Hash>>,
    eligible: AtomicU64,
    version: RwLock<Option<Download>>,
    stopping: AtomicBool,
}

/// A task as requests see it.
#[derive(Default)]
pub(super) struct TaskState {
    pub(super) round: RwLock<Option<Arc<Running>>>,
    // When the next round opens, in milliseconds since 1970; 0 where that is not known.
    pub(super) next_opening: AtomicU64,
    pub(super) pause_ms: AtomicU64,
    pub(super) wanted: AtomicU64,
    pub(super) view: RwLock<TaskView>,
    pub(super) over: AtomicBool,
}

/// A round under way, as requests see it.
pub(super) struct Running {
    pub(super) context: Hash,
    pub(super) shape: Shape,
    pub(super) live: RwLock<Live>,
    assigned: Vec<u8>,
    most_offered: u32,
    // To whom; a device that asks again takes no second place.
    offered: Mutex<BTreeSet<Hash>>,
    changed: watch::Sender<u64>,
    uploads: mpsc::Sender<Pending>,
    nudge: Nudge,
}

/// What the operator sees of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskView {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: String,
    /// Steps of the training done.
    pub steps: u64,
    /// The next step's kind.
    pub next: Option<String>,
    /// Epsilon that a device has spent on it, and may spend.
    pub epsilon: f64,
    /// Epsilon that a device may spend on it.
    pub epsilon_limit: f64,
    /// The round under way.
    pub round: Option<RoundView>,
    /// Rounds before it, the newest first.
    pub past: Vec<RoundView>,
}

/// What the operator sees of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RoundView {
    /// Its number.
    pub number: u64,
    /// The step of the training.
    pub step: u64,
    /// Its phase.
    pub phase: String,
    /// Devices that have done the step.
    pub done: u32,
    /// Devices that may.
    pub of: u32,
    /// Devices after each step that is over, in the order of steps.
    pub funnel: Vec<u32>,
    /// When it was opened.
    pub opened: i64,
    /// When its phase changed.
    pub changed: i64,
    /// What came of it.
    pub note: String,
}

/// What the operator sees.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct View {
    /// The present time, in milliseconds since 1970.
    pub now: i64,
    /// The program's version.
    pub program: String,
    /// The population.
    pub population: String,
    /// Devices that may take part.
    pub eligible: u64,
    /// Connections held.
    pub connections: i64,
    /// Contributions counted since the start.
    pub contributions: u64,
    /// Bytes received in contributions since the start.
    pub bytes: u64,
    /// Requests refused since the start, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Versions of devices' programs seen since the start, with check-ins.
    pub clients: BTreeMap<String, u64>,
    /// Epsilon that the population has spent, and may.
    pub epsilon: f64,
    /// Epsilon that the population may spend.
    pub epsilon_limit: f64,
    /// Its delta.
    pub delta: f64,
    /// Tasks.
    pub tasks: Vec<TaskView>,
}

impl Hub {
    pub(super) fn new(
        config: Config,
        storage: Storage,
        authority: Authority,
        operator: Identity,
        ledgers: PopulationLedgers,
        models: Models,
    ) -> Self {
        let room = Arc::new(Semaphore::new(config.flush.pending_mb as usize * 1024));
        Self {
            config,
            storage,
            authority,
            operator,
            ledgers: Mutex::new(ledgers),
            models,
            metrics: Metrics::new(),
            room,
            checks: Semaphore::new(std::thread::available_parallelism().map_or(1, |cores| cores.get())),
            tasks: RwLock::default(),
            revoked: RwLock::default(),
            eligible: AtomicU64::new(0),
            version: RwLock::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Drivers open no more rounds.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Reads again what other processes may have changed: who was revoked, who may take part.
    pub(super) async fn refresh(&self) -> Result<(), Error> {
        let revoked = self.authority.revoked()?;
        self.eligible.store(self.authority.eligible(now())?, Ordering::Relaxed);
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = revoked;
        let versions = self.storage.call(|store| store.versions()).await?;
        let version = versions.last().and_then(|version| {
            let digest = sordino_shared::control::from_hexadecimal(&version.digest)?;
            Some(Download { digest, length: version.length })
        });
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = version;
        Ok(())
    }

    /// A refusal for a device that was revoked.
    pub(super) fn check_revoked(&self, device: &Hash) -> Result<(), Reject> {
        if self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains(device) {
            return Err(Reject::new(Code::Revoked, "this device was revoked"));
        }
        Ok(())
    }

    pub(super) fn task(&self, name: &str) -> Arc<TaskState> {
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.entry(name.to_owned()).or_default().clone()
    }

    pub(super) fn version(&self) -> Option<Download> {
        *self.version.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_version(&self, version: Download) {
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }

    fn tasks(&self) -> Vec<Arc<TaskState>> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn round(&self, context: &Hash) -> Option<Arc<Running>> {
        self.tasks().iter().filter_map(|task| task.running()).find(|round| round.context == *context)
    }

    /// A device asks for work.
    pub(super) fn check_in(&self, device: &Hash, check_in: &CheckIn) -> Result<Vec<u8>, Reject> {
        if check_in.population != self.config.listen.population {
            let reason = format!("this coordinator serves the population '{}'", self.config.listen.population);
            return Err(Reject::new(Code::Invalid, reason));
        }
        self.metrics.client(&check_in.client);
        let later = |mut later: RetryAfter| {
            later.version = self.version();
            Ok(later.to_frame())
        };
        let enrolled = self.authority.enrolled_at(device).ok().flatten().unwrap_or(i64::MAX);
        let age = now().saturating_sub(enrolled);
        let least = i64::from(self.config.enrolment.least_age_hours) * 3_600_000;
        if age < least {
            let wait = (least - age) as u64;
            return later(RetryAfter { min_ms: wait, max_ms: wait + wait / 10, version: None });
        }
        let tasks: Vec<_> = self.tasks().into_iter().filter(|task| !task.over.load(Ordering::Relaxed)).collect();
        for round in tasks.iter().filter_map(|task| task.running()) {
            if check_in.last != Some(round.context) && round.takes_on(device) {
                return Ok(round.assigned.clone());
            }
        }
        let eligible = self.eligible.load(Ordering::Relaxed);
        let soonest = tasks.iter().map(|task| task.pace(eligible).retry()).min_by_key(|retry| retry.min_ms);
        later(soonest.unwrap_or(NOTHING))
    }

    /// A step's message: checked, taken, and answered with its receipt or with the step's outcome.
    pub(super) async fn message(
        &self,
        device: &Hash,
        frame: Vec<u8>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Vec<u8>, Reject> {
        let malformed = || Reject::new(Code::Malformed, "the frame's header cannot be read");
        let kind = wire::kind_of(&frame).map_err(|_| malformed())?;
        let context = context_of(&frame).ok_or_else(malformed)?;
        let Some(round) = self.round(&context) else { return self.after_the_end(&context, kind, &frame).await };
        // Hashes and signatures are checked on a thread that may be busy for a while.
        let (at, own) = (round.clone(), *device);
        let turn = self.checks.acquire().await.expect("never closed");
        let checked = tokio::task::spawn_blocking(move || {
            let heard = at.live().check(&own, &frame, now());
            (heard, frame)
        });
        let (heard, frame) = checked.await.expect("a check does not panic");
        drop(turn);
        match heard? {
            crate::round::Heard::Upload(checked) => {
                drop(frame);
                round.upload(checked, room.ok_or_else(malformed)?).await
            }
            crate::round::Heard::Earlier if kind == Kind::Upload => self.after_the_end(&context, kind, &frame).await,
            heard => {
                round.live_mut().record(heard)?;
                round.nudge.now();
                let step = Step::of(kind).ok_or_else(malformed)?;
                Ok(self.outcome(&round, device, step).await)
            }
        }
    }

    /// A device asks for a step's outcome.
    pub(super) async fn ask(&self, device: &Hash, context: &Hash, step: Step) -> Result<Vec<u8>, Reject> {
        match self.round(context) {
            Some(round) => Ok(self.outcome(&round, device, step).await),
            None => self.ended(context, step).await,
        }
    }

    /// Waits for a step's outcome, for as long as a request may be held.
    async fn outcome(&self, round: &Running, device: &Hash, step: Step) -> Vec<u8> {
        let mut changed = round.changed.subscribe();
        let told = async {
            loop {
                match round.live().outcome(device, step) {
                    Outcome::Frame(frame) => return frame,
                    Outcome::Reject(reject) => return self.refused(&reject),
                    Outcome::Wait => {}
                }
                if changed.changed().await.is_err() {
                    return Wait { after_ms: AGAIN_MS }.to_frame();
                }
            }
        };
        let hold = Duration::from_secs(self.config.limits.hold_seconds);
        timeout(hold, told).await.unwrap_or_else(|_| Wait { after_ms: 0 }.to_frame())
    }

    /// What is told of a round that this process does not hold: from its row and its receipts.
    async fn after_the_end(&self, context: &Hash, kind: Kind, frame: &[u8]) -> Result<Vec<u8>, Reject> {
        if kind != Kind::Upload {
            let step = Step::of(kind).ok_or_else(|| Reject::new(Code::Malformed, "this is no step's message"))?;
            return self.ended(context, step).await;
        }
        let digest = upload_digest(frame).map_err(|error| Reject::new(Code::Malformed, error))?;
        let round = *context;
        let receipts = self.storage.call(move |store| store.receipts(&round)).await.map_err(|error| busy(&error))?;
        // Whoever knows the vector's hash may hear that it was counted.
        let counted = |entry: &Entry| entry.digest == digest;
        if receipts.iter().any(counted) {
            return Ok(Receipt { context: *context, digest }.to_frame());
        }
        Err(Reject::new(Code::TooLate, "the round has gone on without this device"))
    }

    async fn ended(&self, context: &Hash, step: Step) -> Result<Vec<u8>, Reject> {
        let wanted = *context;
        let row = self.storage.call(move |store| store.round(&wanted)).await.map_err(|error| busy(&error))?;
        match row {
            Some(row) if row.phase == Phase::Done => match Live::after_the_end(step, *context) {
                Outcome::Frame(frame) => Ok(frame),
                Outcome::Reject(reject) => Err(reject),
                Outcome::Wait => unreachable!("nothing is waited for after the end"),
            },
            Some(row) if row.phase == Phase::Abandoned => {
                Err(Reject::new(Code::Abandoned, format!("the round was given up: {}", row.note)))
            }
            // It is stored, and its driver is about to take it up.
            Some(_) => Ok(Wait { after_ms: AGAIN_MS }.to_frame()),
            None => Err(Reject::new(Code::UnknownRound, "there is no such round here")),
        }
    }

    /// KiB of memory that contributions take now, from their second piece on until they are in the store.
    pub(super) fn room_taken(&self) -> usize {
        (self.config.flush.pending_mb as usize * 1024).saturating_sub(self.room.available_permits())
    }

    /// Counts a refusal and gives its frame.
    pub(super) fn refused(&self, reject: &Reject) -> Vec<u8> {
        self.metrics.refused(reject.code);
        reject.to_frame()
    }

    /// The most bytes of payload that a request of this kind may have now.
    pub(super) fn most_payload(&self, kind: Kind) -> Option<usize> {
        use sordino_shared::control::{MOST_ATTESTATION, MOST_REQUEST};
        let largest = |bytes: fn(&Running) -> usize| {
            self.tasks().iter().filter_map(|task| task.running()).map(|r| bytes(&r)).max()
        };
        match kind {
            Kind::CheckIn | Kind::Fetch | Kind::Ask | Kind::Agreement => Some(0),
            Kind::Enrol => Some(MOST_REQUEST + MOST_ATTESTATION),
            Kind::Renew => Some(MOST_REQUEST),
            Kind::Advertisement => Some(1024),
            Kind::Shares | Kind::Answer => Some(MOST_SHARES),
            // Also of a round that has just ended, whose length is not known any more: then of any round.
            Kind::Upload => Some(largest(|round| round.shape.bytes()).unwrap_or(0).max(LEAST_UPLOAD)),
            _ => None,
        }
    }

    /// All that the operator sees.
    pub fn view(&self) -> View {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let balance = ledgers.balance(&self.config.listen.population);
        drop(ledgers);
        let mut view = View {
            now: now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            population: self.config.listen.population.clone(),
            eligible: self.eligible.load(Ordering::Relaxed),
            epsilon: balance.as_ref().map_or(0.0, |balance| balance.epsilon),
            epsilon_limit: self.config.privacy.epsilon,
            delta: self.config.privacy.delta,
            tasks: self.tasks().iter().map(|task| task.view()).collect(),
            ..View::default()
        };
        self.metrics.fill(&mut view);
        view
    }
}

impl TaskState {
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        self.round.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_running(&self, round: Option<Arc<Running>>) {
        *self.round.write().unwrap_or_else(PoisonError::into_inner) = round;
    }

    pub(super) fn change_view(&self, change: impl FnOnce(&mut TaskView)) {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn view(&self) -> TaskView {
        let mut view = self.view.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(round), Some(view)) = (self.running(), &mut view.round) {
            let live = round.live();
            (view.done, view.of) = live.progress();
            view.phase = live.phase().name().to_owned();
        }
        view
    }

    fn pace(&self, eligible: u64) -> Pace {
        let opening = self.next_opening.load(Ordering::Relaxed);
        Pace {
            eligible,
            wanted: self.wanted.load(Ordering::Relaxed),
            window_ms: self.pause_ms.load(Ordering::Relaxed),
            next_ms: opening.saturating_sub(now().max(0) as u64),
        }
    }
}

impl Running {
    /// Puts a round under way.
    pub(super) fn start(hub: &Arc<Hub>, live: Live, nudge: Nudge, runtime: &tokio::runtime::Handle) -> Arc<Self> {
        let (uploads, pending) = mpsc::channel(MOST_PENDING);
        let round = Arc::new(Self {
            context: live.context(),
            shape: live.terms().shape(),
            assigned: live.assigned().to_frame(),
            most_offered: live.setting().offered,
            offered: Mutex::default(),
            changed: watch::Sender::new(0),
            live: RwLock::new(live),
            uploads,
            nudge,
        });
        runtime.spawn(flush(hub.clone(), Arc::downgrade(&round), pending));
        round
    }

    pub(super) fn live(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live_mut(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody who waits that the round has gone on.
    pub(super) fn tell(&self) {
        self.changed.send_modify(|change| *change += 1);
    }

    pub(super) fn counted(&self, more: u32) {
        if more > 0 {
            self.live_mut().count(more);
            self.nudge.now();
        }
    }

    /// Whether the round is offered to this device.
    fn takes_on(&self, device: &Hash) -> bool {
        if self.live().outcome(device, Step::Roster) == Outcome::Wait || self.live().phase() != Phase::Advertising {
            return false;
        }
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        if !offered.contains(device) && offered.len() >= self.most_offered as usize {
            return false;
        }
        offered.insert(*device);
        true
    }

    async fn upload(
        &self,
        checked: sordino_shared::secagg::coordinator::Checked<'static>,
        room: OwnedSemaphorePermit,
    ) -> Result<Vec<u8>, Reject> {
        let digest = checked.digest();
        let (answer, verdict) = oneshot::channel();
        let unable = || Reject::new(Code::Busy, "the contribution could not be written: send it again");
        self.uploads.send(Pending { checked, room, answer }).await.map_err(|_| unable())?;
        match verdict.await.ok().flatten().ok_or_else(unable)? {
            Verdict::Counted | Verdict::Known => Ok(Receipt { context: self.context, digest }.to_frame()),
            Verdict::Contradiction => {
                Err(Reject::new(Code::Contradiction, "another vector of this device has been counted"))
            }
            Verdict::TooLate => Err(Reject::new(Code::TooLate, "the round does not collect any more")),
        }
    }
}

/// Reads from time to time what other processes may have changed.
pub(super) async fn keep_fresh(hub: Arc<Hub>) {
    let pause = Duration::from_secs(u64::from(hub.config.enrolment.refresh_seconds));
    while !hub.stopping() {
        tokio::time::sleep(pause).await;
        let oldest = now() - RECEIPTS_KEPT_MS;
        if let Err(error) = hub.storage.call(move |store| store.forget(oldest)).await {
            tracing::error!(%error, "receipts that nobody asks for could not be let go");
        }
        if let Err(error) = hub.refresh().await {
            tracing::error!(%error, "who was revoked could not be read: the last list stays in force");
        }
    }
}

fn busy(error: &crate::store::Error) -> Reject {
    tracing::error!(%error, "the store failed");
    Reject::new(Code::Busy, "the coordinator cannot answer now: come again later")
}

/// A round's short name in logs.
pub(super) fn short(context: &Hash) -> String {
    hexadecimal(&context[..4])
}

// A device that was away for longer than that has lost its round's record too.
const RECEIPTS_KEPT_MS: i64 = 7 * 86_400_000;
const AGAIN_MS: u64 = 200;
const MOST_PENDING: usize = 4096;
// 2,048 neighbours at most, each with 112 bytes.
const MOST_SHARES: usize = 256 * 1024;
const LEAST_UPLOAD: usize = 1 << 20;
