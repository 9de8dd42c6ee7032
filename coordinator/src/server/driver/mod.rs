//! One thread a task: it opens rounds when they are due, makes each decision durable, and applies it.

mod decisions;
mod outcome;
mod rounds;
mod show;

use super::hub::Hub;
use super::served::{Running, ServedTask};
use super::{Error, now};
use crate::rollout::book::Course;
use crate::store::{TaskRow, TaskState as Doing};
use crate::task::{Kind, Task};
use sordino_shared::control::{Download, from_hexadecimal};
use sordino_shared::model::Content;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
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
            let drive = move || match Driver::new(hub.clone(), runtime, &row) {
                Ok(mut driver) => driver.run(),
                Err(error) => {
                    tracing::error!(task = row.name, %error, "the task cannot go on");
                    show::show_stopped(&hub.task(&row.name), &row.name, &error);
                }
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
    shared: Arc<ServedTask>,
    nudge: Nudge,
    nudged: Receiver<()>,
    // The number of the last round.
    number: u64,
    // When the next round may open.
    due: i64,
    round: Option<(Arc<Running>, Download)>,
    // When the round under way was opened, and how many devices did each of its steps that is over.
    opened: i64,
    funnel: Vec<u32>,
    // Why the task does not run, as the store says.
    why: Option<String>,
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
        shared.pause_ms.store(u64::from(task.pause_seconds()) * 1000, Ordering::Relaxed);
        shared.wanted.store(task.wanted(), Ordering::Relaxed);
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
            opened: 0,
            funnel: Vec::new(),
            why: row.why.clone(),
        };
        if let Some(last) = last.filter(|last| !last.phase.is_over()) {
            driver.take_up(&last.context)?;
        }
        driver.recall()?;
        driver.show(row.state);
        Ok(driver)
    }

    fn run(&mut self) {
        while !self.hub.stopping() {
            let turn = self.turn();
            self.show_trouble(turn.as_ref().err());
            match turn {
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
                if let Task::Rollout(task) = &self.task {
                    let name = task.order.name.clone();
                    let course = self.hub.storage.wait(move |store| Course::load(store, &name))?;
                    self.see(&course);
                }
                self.shared.over.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Doing::Paused => Ok(Some(LOOK)),
            Doing::Running => {
                let wait = self.due.saturating_sub(now());
                if wait > 0 {
                    return Ok(Some(Duration::from_millis(wait as u64).min(LOOK)));
                }
                self.open().map(Some)
            }
        }
    }

    fn doing(&mut self) -> Result<Doing, Trouble> {
        let rows = self.hub.storage.wait(|store| store.tasks())?;
        let row = rows.into_iter().find(|row| row.name == self.name);
        let (state, why) = row.map_or((Doing::Cancelled, None), |row| (row.state, row.why));
        self.why = why;
        Ok(state)
    }

    fn set(&mut self, state: Doing, why: Option<String>) -> Result<(), Trouble> {
        let (name, told) = (self.name.clone(), why.clone());
        self.hub.storage.wait(move |store| store.set_task(&name, state, told.as_deref(), now()))?;
        self.why = why;
        self.show(state);
        Ok(())
    }

    fn until_the_deadline(&self, round: &Running) -> Duration {
        let deadline = round.live().deadline().unwrap_or_else(now);
        Duration::from_millis(deadline.saturating_sub(now()).clamp(1, 60_000) as u64)
    }
}

/// The catalogue's public features.
fn content(hub: &Hub, row: &TaskRow) -> Result<Content, Trouble> {
    let Kind::Training(file) = Kind::of(row)? else { return Ok(Content::default()) };
    let Some(digest) = file.catalogue.content else { return Ok(Content::default()) };
    let digest = from_hexadecimal(&digest).ok_or("the catalogue's content is named by its hash")?;
    let bytes = hub.models.get(&digest).ok_or("the catalogue's content is gone from the models' folder")?;
    Ok(serde_json::from_slice(&bytes)?)
}

const LOOK: Duration = Duration::from_millis(500);
const TROUBLE: Duration = Duration::from_secs(1);
