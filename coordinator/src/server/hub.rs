//! Everything that requests and drivers share: the rounds under way, the store, the authority.

use super::metrics::Metrics;
use super::models::Models;
use super::pace::NOTHING;
use super::served::{Running, ServedTask};
use super::serving::{Shown, Stored};
use super::storage::Storage;
use super::view::View;
use super::{Error, now};
use crate::authority::Authority;
use crate::config::Config;
use crate::ledger::PopulationLedgers;
use crate::registry::Published;
use sordino_shared::control::{CheckIn, Code, Reject, RetryAfter, hexadecimal};
use sordino_shared::secagg::{Hash, Identity};
use sordino_shared::wire::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a server is made of, beside its settings and its store.
pub(super) struct Parts {
    pub(super) authority: Authority,
    pub(super) operator: Identity,
    pub(super) ledgers: PopulationLedgers,
    pub(super) models: Models,
    pub(super) published: Published,
    pub(super) people: PathBuf,
    pub(super) folder: PathBuf,
}

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
    pub(super) checks: Semaphore,
    tasks: RwLock<BTreeMap<String, Arc<ServedTask>>>,
    revoked: RwLock<BTreeSet<Hash>>,
    eligible: AtomicU64,
    // Rollouts and versions as people see them.
    pub(super) shown: RwLock<Shown>,
    pub(super) published: Published,
    // Where the people's keys are, for trials, and the people's rights.
    pub(super) people: PathBuf,
    pub(super) folder: PathBuf,
    stopping: AtomicBool,
}

impl Hub {
    pub(super) fn new(config: Config, storage: Storage, parts: Parts) -> Self {
        let Parts { authority, operator, ledgers, models, published, people, folder } = parts;
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
            shown: RwLock::default(),
            published,
            people,
            folder,
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
        let stored = self.storage.call(|store| Stored::read(store)).await?;
        self.tell(&stored)
    }

    /// A refusal for a device that was revoked.
    pub(super) fn check_revoked(&self, device: &Hash) -> Result<(), Reject> {
        if self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains(device) {
            return Err(Reject::new(Code::Revoked, "this device was revoked"));
        }
        Ok(())
    }

    pub(super) fn task(&self, name: &str) -> Arc<ServedTask> {
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        tasks.entry(name.to_owned()).or_default().clone()
    }

    fn tasks(&self) -> Vec<Arc<ServedTask>> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn round(&self, context: &Hash) -> Option<Arc<Running>> {
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
            later.registry = self.published.announced();
            Ok(later.to_frame())
        };
        let enrolled = self.authority.enrolled_at(device).map_err(|error| busy(&error))?;
        // Its certificate is the authority's, but the authority does not know it: a database was put back, or lost.
        let enrolled = enrolled.ok_or_else(|| Reject::new(Code::NotEnrolled, "this device is not enrolled here"))?;
        let age = now().saturating_sub(enrolled);
        let least = i64::from(self.config.enrolment.least_age_hours) * 3_600_000;
        if age < least {
            let wait = (least - age) as u64;
            return later(RetryAfter { min_ms: wait, max_ms: wait + wait / 10, registry: None });
        }
        let tasks: Vec<_> = self.tasks().into_iter().filter(|task| !task.over.load(Ordering::Relaxed)).collect();
        let wanted = |round: &Arc<Running>| {
            let would = if round.measures { check_in.measures } else { check_in.trains };
            would && !check_in.declines.contains(&round.task)
        };
        for round in tasks.iter().filter_map(|task| task.running()).filter(wanted) {
            if round.takes_on(device) {
                return Ok(round.assigned(self.published.announced()));
            }
        }
        let eligible = self.eligible.load(Ordering::Relaxed);
        let soonest = tasks.iter().map(|task| task.pace(eligible).retry()).min_by_key(|retry| retry.min_ms);
        later(soonest.unwrap_or(NOTHING))
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

    /// Whether the store answers.
    ///
    /// # Errors
    /// Why not.
    pub async fn check_store(&self) -> Result<(), crate::store::Error> {
        self.storage.call(|store| store.tasks()).await.map(|_| ())
    }

    /// All that the operator sees.
    pub fn view(&self) -> View {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let balance = ledgers.balance(&self.config.listen.population);
        drop(ledgers);
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let mut view = View {
            now: now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            folder: self.folder.display().to_string(),
            population: self.config.listen.population.clone(),
            eligible: self.eligible.load(Ordering::Relaxed),
            epsilon: balance.as_ref().map_or(0.0, |balance| balance.epsilon),
            epsilon_limit: self.config.privacy.epsilon,
            delta: self.config.privacy.delta,
            tasks: self.tasks().iter().map(|task| task.view()).collect(),
            rollouts: shown.rollouts.clone(),
            versions: shown.versions.clone(),
            signed: shown.signed.clone(),
            serving: self.published.serving(),
            ..View::default()
        };
        drop(shown);
        self.metrics.fill(&mut view);
        view
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
            tracing::error!(%error, "what other processes may have changed could not be read: what was known stays in force");
        }
    }
}

/// A store or the authority failed: the world's fault, told as such.
pub(super) fn busy(error: &dyn std::error::Error) -> Reject {
    tracing::error!(%error, "a request could not be answered");
    Reject::new(Code::Busy, "the coordinator cannot answer now: come again later")
}

/// A round's short name in logs.
pub(super) fn short(context: &Hash) -> String {
    hexadecimal(&context[..4])
}

// A device that was away for longer than that has lost its round's record too.
const RECEIPTS_KEPT_MS: i64 = 7 * 86_400_000;
// 2,048 neighbours at most, each with 112 bytes.
const MOST_SHARES: usize = 256 * 1024;
const LEAST_UPLOAD: usize = 1 << 20;
