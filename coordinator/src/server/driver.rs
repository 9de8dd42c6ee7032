//! One thread a task: it opens rounds when they are due, makes each decision durable, and applies it.

use super::hub::{Hub, RoundView, Running, TaskState, short};
use super::{Error, now};
use crate::round::{Decision, Live, Next, Setting};
use crate::store::{Aggregate, Phase, RoundRow, TaskRow, TaskState as Doing, VersionRow};
use crate::task::Task;
use sordino_shared::control::{Download, hexadecimal};
use sordino_shared::model::Content;
use sordino_shared::privacy::Samplers;
use sordino_shared::privacy::ledger::{Error as LedgerError, Refusal, Spend};
use sordino_shared::secagg::Hash;
use sordino_shared::wire;
use sordino_shared::workload::Broadcast;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Wakes a driver.
#[derive(Clone)]
pub(super) struct Nudge(SyncSender<()>);

impl Nudge {
    /// Something has changed. A nudge that is not yet heard stands for this one too.
    pub(super) fn now(&self) {
        let _ = self.0.try_send(());
    }
}

/// Starts a driver for each task, also for those that are added later.
pub(super) async fn start(hub: &Arc<Hub>) -> Result<(), Error> {
    let mut started = BTreeSet::new();
    start_new(hub, &mut started).await?;
    let hub = hub.clone();
    tokio::spawn(async move {
        while !hub.stopping() {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = start_new(&hub, &mut started).await {
                tracing::error!(%error, "tasks cannot be read");
            }
        }
    });
    Ok(())
}

async fn start_new(hub: &Arc<Hub>, started: &mut BTreeSet<String>) -> Result<(), Error> {
    for row in hub.storage.call(|store| store.tasks()).await? {
        if started.insert(row.name.clone()) {
            let (hub, runtime) = (hub.clone(), Handle::current());
            let name = format!("task {}", row.name);
            let drive = move || match Driver::new(hub, runtime, &row) {
                Ok(mut driver) => driver.run(),
                Err(error) => tracing::error!(task = row.name, %error, "the task cannot go on"),
            };
            std::thread::Builder::new().name(name).spawn(drive).expect("the system gives a thread");
        }
    }
    Ok(())
}

struct Driver {
    hub: Arc<Hub>,
    runtime: Handle,
    task: Task,
    name: String,
    shared: Arc<TaskState>,
    nudge: Nudge,
    nudged: Receiver<()>,
    // The number of the last round.
    number: u64,
    // When the next round may open.
    due: i64,
    round: Option<(Arc<Running>, Download)>,
    funnel: Vec<u32>,
}

/// What stops a driver for a while: the world's fault, tried again.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

impl Driver {
    fn new(hub: Arc<Hub>, runtime: Handle, row: &TaskRow) -> Result<Self, Trouble> {
        let name = row.name.clone();
        let of = name.clone();
        let aggregates = hub.storage.wait(move |store| store.aggregates(&of))?;
        let content = content(&hub, row)?;
        let task = Task::new(row, &content, &aggregates)?;
        let of = name.clone();
        let last = hub.storage.wait(move |store| store.rounds(&of, 1))?.into_iter().next();
        let shared = hub.task(&name);
        let timing = &task.file.schedule;
        shared.pause_ms.store(u64::from(timing.pause_seconds) * 1000, std::sync::atomic::Ordering::Relaxed);
        shared.wanted.store(u64::from(task.file.cohort.devices), std::sync::atomic::Ordering::Relaxed);
        let (sender, nudged) = sync_channel(1);
        let number = last.as_ref().map_or(0, |round| round.number);
        let mut driver = Self {
            hub,
            runtime,
            task,
            name,
            shared,
            nudge: Nudge(sender),
            nudged,
            number,
            due: now(),
            round: None,
            funnel: Vec::new(),
        };
        if let Some(last) = last.filter(|last| !last.phase.is_over()) {
            driver.take_up(&last.context)?;
        }
        driver.show(row.state);
        Ok(driver)
    }

    fn run(&mut self) {
        while !self.hub.stopping() {
            match self.turn() {
                Ok(Some(pause)) => match self.nudged.recv_timeout(pause) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(task = self.name, %error, "the task waits");
                    std::thread::sleep(TROUBLE);
                }
            }
        }
    }

    /// One thing that is due; then how long nothing will be, or `None` once the task is over.
    fn turn(&mut self) -> Result<Option<Duration>, Trouble> {
        if let Some((round, broadcast)) = self.round.clone() {
            let decision = round.live().decide(now());
            return match decision {
                None => Ok(Some(self.until_the_deadline(&round))),
                Some(decision) => self.carry_out(&round, &broadcast, decision).map(|()| Some(Duration::ZERO)),
            };
        }
        let doing = self.doing()?;
        self.show(doing);
        match doing {
            Doing::Cancelled | Doing::Finished => {
                self.shared.over.store(true, std::sync::atomic::Ordering::Relaxed);
                Ok(None)
            }
            Doing::Paused => Ok(Some(LOOK)),
            Doing::Running => {
                let wait = self.due.saturating_sub(now());
                if wait > 0 {
                    return Ok(Some(Duration::from_millis(wait as u64).min(LOOK)));
                }
                self.open().map(|()| Some(Duration::ZERO))
            }
        }
    }

    fn doing(&self) -> Result<Doing, Trouble> {
        let rows = self.hub.storage.wait(|store| store.tasks())?;
        let row = rows.into_iter().find(|row| row.name == self.name);
        Ok(row.map_or(Doing::Cancelled, |row| row.state))
    }

    fn set(&self, state: Doing) -> Result<(), Trouble> {
        let name = self.name.clone();
        self.hub.storage.wait(move |store| store.set_task(&name, state, now()))?;
        self.show(state);
        Ok(())
    }

    /// Opens the next round, or ends the task.
    fn open(&mut self) -> Result<(), Trouble> {
        let Some((setting, broadcast)) = self.task.next(self.number + 1) else {
            tracing::info!(task = self.name, "everything is learnt");
            return self.set(Doing::Finished);
        };
        let download = self.hub.models.put(broadcast.to_bytes())?;
        let live = match self.live(setting.clone(), &broadcast, download) {
            Ok(live) => live,
            Err(error) => {
                tracing::error!(task = self.name, %error, "the next round cannot be: the task is paused");
                return self.set(Doing::Paused);
            }
        };
        if let Err(error) = self.spend(&live, false) {
            tracing::warn!(task = self.name, %error, "the population's budget does not allow the next round: the task is paused");
            return self.set(Doing::Paused);
        }
        let opened = now();
        let row = RoundRow {
            context: live.context(),
            task: self.name.clone(),
            number: setting.number,
            step: setting.step,
            setting: wire::snapshot(&(&setting, download.digest, download.length)),
            phase: Phase::Advertising,
            state: Vec::new(),
            opened,
            changed: opened,
            note: String::new(),
        };
        self.hub.storage.wait(move |store| store.open_round(&row))?;
        self.number = setting.number;
        tracing::info!(
            task = self.name,
            round = self.number,
            step = self.task.kind(),
            context = short(&live.context()),
            "opened"
        );
        self.begin(live, download);
        Ok(())
    }

    fn live(&self, setting: Setting, broadcast: &Broadcast, download: Download) -> Result<Live, crate::round::Error> {
        let (operator, authority) = (&self.hub.operator, self.hub.authority.public());
        Live::open(setting, (broadcast, download), operator, &authority, self.hub.version(), now())
    }

    /// Takes up a round that was under way when the process ended.
    fn take_up(&mut self, context: &Hash) -> Result<(), Trouble> {
        let wanted = *context;
        let (row, receipts) = self.hub.storage.wait(move |store| (store.round(&wanted), store.receipts(&wanted)));
        let (row, receipts) = (row?.ok_or("the round is gone from the store")?, receipts?);
        let (setting, digest, length): (Setting, Hash, u64) = wire::restore(&row.setting)?;
        let download = Download { digest, length };
        let restored = self.hub.models.get(&digest).ok_or("its broadcast is gone".to_owned()).and_then(|bytes| {
            let broadcast = Broadcast::from_bytes(&bytes).map_err(|error| error.to_string())?;
            let live = self.live(setting, &broadcast, download).map_err(|error| error.to_string())?;
            live.restore(&row, &receipts).map_err(|error| error.to_string())
        });
        match restored {
            Ok(live) => {
                tracing::info!(task = self.name, round = row.number, phase = live.phase().name(), "taken up again");
                self.begin(live, download);
                Ok(())
            }
            Err(error) => {
                tracing::error!(task = self.name, round = row.number, error, "cannot be taken up again");
                self.hub.storage.wait(move |store| store.abandon(&wanted, &error, now()))?;
                Ok(())
            }
        }
    }

    fn begin(&mut self, live: Live, download: Download) {
        self.funnel.clear();
        let round = Running::start(&self.hub, live, self.nudge.clone(), &self.runtime);
        self.shared.next_opening.store(0, std::sync::atomic::Ordering::Relaxed);
        self.shared.set_running(Some(round.clone()));
        self.round = Some((round, download));
        self.show(Doing::Running);
    }

    fn carry_out(&mut self, round: &Arc<Running>, broadcast: &Download, decision: Decision) -> Result<(), Trouble> {
        match decision {
            Decision::Advance(next) => self.advance(round, broadcast, next),
            Decision::Draw(wanted) => {
                let draw = wanted.map(|(context, roster)| self.hub.authority.draw(&context, &roster)).transpose();
                let decision = match draw {
                    Ok(draw) => round.live().drawn(draw),
                    Err(crate::authority::Draw::Already(error)) => Decision::Abandon(error.to_string()),
                    Err(error) => return Err(error.into()),
                };
                match decision {
                    Decision::Advance(next) => self.advance(round, broadcast, next),
                    Decision::Abandon(reason) => self.abandon(round, broadcast, reason),
                    _ => unreachable!("a drawn roster goes on or is given up"),
                }
            }
            Decision::Freeze => self.freeze(round, broadcast),
            Decision::Open => self.open_sum(round, broadcast),
            Decision::Abandon(reason) => self.abandon(round, broadcast, reason),
        }
    }

    fn advance(&mut self, round: &Arc<Running>, broadcast: &Download, next: Next) -> Result<(), Trouble> {
        let (from, to) = (round.live().phase(), next.phase());
        // From here on devices make vectors, and pay for them: so does the population.
        if to == Phase::Collecting {
            let paid = self.spend(&round.live(), true);
            if let Err(error) = paid {
                let refused = matches!(error.downcast_ref(), Some(LedgerError::Refused(_)));
                // Another task may have spent it since the round was opened.
                return if refused { self.abandon(round, broadcast, error.to_string()) } else { Err(error) };
            }
        }
        let (context, state) = (round.context, next.to_bytes());
        let moved = self.hub.storage.wait(move |store| store.advance(&context, from, to, &state, now()))?;
        if !moved {
            self.check_is_in(&context, to)?;
        }
        self.step_over(round);
        round.live_mut().apply(next, now());
        self.moved(round);
        Ok(())
    }

    fn freeze(&mut self, round: &Arc<Running>, broadcast: &Download) -> Result<(), Trouble> {
        let context = round.context;
        let frozen = self.hub.storage.wait(move |store| {
            let frozen = store.freeze(&context, now())?;
            Ok::<_, crate::store::Error>((frozen, store.receipts(&context)?))
        });
        let (frozen, receipts) = frozen?;
        if !frozen {
            self.check_is_in(&context, Phase::Frozen)?;
        }
        self.step_over(round);
        round.live_mut().freeze(&receipts, now());
        let given_up = round.live().given_up_for().map(str::to_owned);
        match given_up {
            Some(reason) => self.abandon(round, broadcast, reason),
            None => {
                self.moved(round);
                Ok(())
            }
        }
    }

    fn open_sum(&mut self, round: &Arc<Running>, broadcast: &Download) -> Result<(), Trouble> {
        let context = round.context;
        let partials = self.hub.storage.wait(move |store| store.partials(&context))?;
        let opened = round.live().opened(&partials);
        let opened = match opened {
            Ok(opened) => opened,
            Err(reason) => return self.abandon(round, broadcast, reason),
        };
        let (step, rho) = {
            let live = round.live();
            (live.setting().step, live.plan().rho_with(live.plan().honest()))
        };
        let kind = self.task.kind().unwrap_or("round");
        let aggregate =
            Aggregate { step, devices: opened.devices as u64, sum: opened.sum, deviations: opened.deviations, rho };
        self.task.learn(&aggregate);
        let made = self.version(&aggregate, kind);
        let (version, model) = match made {
            Ok(made) => made,
            // The training has learnt what is not durable: it is read again from what is.
            Err(error) => return self.reload().and(Err(error)),
        };
        let note = format!("{} devices, {kind}", opened.devices);
        let told = note.clone();
        let finished =
            self.hub.storage.wait(move |store| store.finish(&context, &aggregate, Some(&version), &told, now()));
        match finished {
            Ok(true) => {}
            Ok(false) => {
                self.check_is_in(&context, Phase::Done)?;
                self.reload()?;
            }
            Err(error) => return self.reload().and(Err(error.into())),
        }
        self.hub.set_version(model);
        if opened.disputes > 0 {
            tracing::warn!(
                task = self.name,
                round = self.number,
                devices = opened.disputes,
                "shares were complained of"
            );
        }
        self.step_over(round);
        tracing::info!(task = self.name, round = self.number, step = kind, devices = opened.devices, "done");
        self.end(round, broadcast, None, &note);
        Ok(())
    }

    /// A step that the store refuses may be one that it has taken before and could not say so.
    fn check_is_in(&self, context: &Hash, phase: Phase) -> Result<(), Trouble> {
        let wanted = *context;
        let row = self.hub.storage.wait(move |store| store.round(&wanted))?;
        match row {
            Some(row) if row.phase == phase => Ok(()),
            _ => Err(format!("round {} was moved on by somebody else", self.number).into()),
        }
    }

    fn reload(&mut self) -> Result<(), Trouble> {
        let name = self.name.clone();
        let (rows, aggregates) = self.hub.storage.wait(move |store| (store.tasks(), store.aggregates(&name)));
        let row = rows?.into_iter().find(|row| row.name == self.name).ok_or("the task is gone from the store")?;
        self.task = Task::new(&row, &content(&self.hub, &row)?, &aggregates?)?;
        Ok(())
    }

    /// The version that the training gives now, its file being durable.
    fn version(&self, aggregate: &Aggregate, kind: &str) -> Result<(VersionRow, Download), Trouble> {
        let model = self.task.model();
        let download = self.hub.models.put(model.to_bytes())?;
        let claim = self.task.spent();
        let about = serde_json::json!({
            "step": aggregate.step,
            "after": kind,
            "tracks": model.tracks(),
            "dimensions": model.dimensions(),
            "devices": aggregate.devices,
            "epsilon": claim.as_ref().map(|claim| claim.epsilon),
            "delta": claim.as_ref().map(|claim| claim.delta),
            "rho": claim.as_ref().map(|claim| claim.rho),
            "verdict": self.task.verdict(),
        });
        let parent = self.hub.storage.wait(|store| store.versions())?.last().map(|version| version.number);
        let version = VersionRow {
            number: 0,
            digest: hexadecimal(&download.digest),
            length: download.length,
            task: self.name.clone(),
            round: Some(self.number),
            parent,
            about: about.to_string(),
            made: now(),
        };
        Ok((version, download))
    }

    fn abandon(&mut self, round: &Arc<Running>, broadcast: &Download, reason: String) -> Result<(), Trouble> {
        let (context, told) = (round.context, reason.clone());
        self.hub.storage.wait(move |store| store.abandon(&context, &told, now()))?;
        tracing::warn!(task = self.name, round = self.number, reason, "given up");
        self.end(round, broadcast, Some(reason.clone()), &reason);
        Ok(())
    }

    fn end(&mut self, round: &Arc<Running>, broadcast: &Download, given_up: Option<String>, note: &str) {
        self.hub.metrics.ended(given_up.is_none());
        let pause = i64::from(self.task.file.schedule.pause_seconds) * 1000;
        self.due = now() + pause;
        self.shared.next_opening.store(self.due.max(0) as u64, std::sync::atomic::Ordering::Relaxed);
        round.live_mut().end(given_up, now());
        round.tell();
        self.shared.change_view(|view| {
            if let Some(mut past) = view.round.take() {
                past.phase = round.live().phase().name().to_owned();
                past.funnel.clone_from(&self.funnel);
                (past.note, past.changed) = (note.to_owned(), now());
                view.past.insert(0, past);
                view.past.truncate(MOST_PAST);
            }
        });
        self.shared.set_running(None);
        self.round = None;
        if self.hub.version().is_none_or(|version| version.digest != broadcast.digest) {
            self.hub.models.remove(&broadcast.digest);
        }
        self.show(Doing::Running);
    }

    /// Pays for a round, or asks whether the population could. A round that is paid for already is not paid for again.
    fn spend(&self, live: &Live, pay: bool) -> Result<(), Trouble> {
        let (plan, setting) = (live.plan(), live.setting());
        let spend = Spend::of_plan(plan, &Samplers::new(plan)?, &setting.task, setting.number, now());
        let population = &self.hub.config.listen.population;
        let mut ledgers = self.hub.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let result = if pay { ledgers.spend(population, spend) } else { ledgers.check(population, &spend) };
        match result {
            Err(LedgerError::Refused(Refusal::Twice { .. })) => Ok(()),
            result => Ok(result?),
        }
    }

    fn until_the_deadline(&self, round: &Running) -> Duration {
        let deadline = round.live().deadline().unwrap_or_else(now);
        Duration::from_millis(deadline.saturating_sub(now()).clamp(1, 60_000) as u64)
    }

    fn step_over(&mut self, round: &Running) {
        let live = round.live();
        if live.phase() != Phase::Drawing {
            let (done, of) = live.progress();
            self.hub.metrics.step(live.phase(), now() - live.entered(), done, of);
            self.funnel.push(done);
        }
    }

    fn moved(&self, round: &Running) {
        let phase = round.live().phase();
        tracing::debug!(task = self.name, round = self.number, phase = phase.name(), "moved");
        self.show(Doing::Running);
        round.tell();
    }

    /// Shows the operator where the task stands.
    fn show(&self, state: Doing) {
        let claim = self.task.spent();
        let round = self.round.as_ref().map(|(round, _)| {
            let live = round.live();
            let (done, of) = live.progress();
            RoundView {
                number: live.setting().number,
                step: live.setting().step,
                phase: live.phase().name().to_owned(),
                done,
                of,
                funnel: self.funnel.clone(),
                opened: live.entered(),
                changed: live.entered(),
                note: self.task.kind().unwrap_or_default().to_owned(),
            }
        });
        self.shared.change_view(|view| {
            view.name.clone_from(&self.name);
            view.state = state.name().to_owned();
            view.steps = round.as_ref().map_or(view.steps, |round| round.step);
            view.next = self.task.kind().map(str::to_owned);
            view.epsilon = claim.map_or(0.0, |claim| claim.epsilon);
            view.epsilon_limit = self.task.file.privacy.epsilon;
            let opened = view.round.as_ref().filter(|old| round.as_ref().is_some_and(|new| new.number == old.number));
            let opened = opened.map(|old| old.opened);
            view.round = round.map(|round| RoundView { opened: opened.unwrap_or(round.opened), ..round });
        });
    }
}

/// The catalogue's public features.
fn content(hub: &Hub, row: &TaskRow) -> Result<Content, Trouble> {
    let file = crate::task::TaskFile::parse(&row.text)?;
    let Some(digest) = file.catalogue.content else { return Ok(Content::default()) };
    let digest =
        sordino_shared::control::from_hexadecimal(&digest).ok_or("the catalogue's content is named by its hash")?;
    let bytes = hub.models.get(&digest).ok_or("the catalogue's content is gone from the models' folder")?;
    Ok(serde_json::from_slice(&bytes)?)
}

const LOOK: Duration = Duration::from_millis(500);
const TROUBLE: Duration = Duration::from_secs(1);
const MOST_PAST: usize = 50;
