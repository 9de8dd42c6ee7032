//! Rounds begin and end: opened, taken up after a restart, paid for, given up.

use super::{Doing, Driver, LOOK, Trouble};
use crate::rollout::Input;
use crate::rollout::book::{self, Course};
use crate::round::{Live, Setting};
use crate::server::hub::short;
use crate::server::now;
use crate::server::served::Running;
use crate::store::{Phase, RoundRow};
use crate::task::{RolloutTask, Task, stage_of};
use sordino_shared::control::Download;
use sordino_shared::privacy::Samplers;
use sordino_shared::privacy::ledger::{Error as LedgerError, Refusal, Spend};
use sordino_shared::rollout::paid_as;
use sordino_shared::secagg::Hash;
use sordino_shared::wire;
use sordino_shared::workload::Broadcast;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

impl Driver {
    /// Opens the next round if one is due, or ends the task; then how long nothing will be.
    pub(super) fn open(&mut self) -> Result<Duration, Trouble> {
        let next = match &self.task {
            Task::Training(task) => match task.next(self.number + 1) {
                Some(next) => next,
                None => {
                    tracing::info!(task = self.name, "everything is learnt");
                    return self.set(Doing::Finished, None).map(|()| Duration::ZERO);
                }
            },
            Task::Rollout(task) => {
                let course = self.go_on(task)?;
                let next = task.next(&course, self.number + 1);
                self.see(&course);
                let due = next.as_ref().map_or(0, |(_, _, due)| *due);
                self.shared.next_opening.store(due.max(0) as u64, Ordering::Relaxed);
                match next {
                    Some((setting, broadcast, due)) if due <= now() => {
                        // Whoever is asked must be able to know of the stage: another process may have begun it just now.
                        self.hub.publish()?;
                        (setting, broadcast)
                    }
                    _ => return Ok(LOOK),
                }
            }
        };
        self.open_round(next).map(|()| Duration::ZERO)
    }

    // What time alone brings to a rollout; then where it stands.
    fn go_on(&self, task: &RolloutTask) -> Result<Course, Trouble> {
        let name = task.order.name.clone();
        let changed = self.hub.storage.wait(move |store| book::act(store, &name, &Input::Tick, now()))?;
        if changed {
            self.hub.publish()?;
        }
        let name = task.order.name.clone();
        Ok(self.hub.storage.wait(move |store| Course::load(store, &name))?)
    }

    fn open_round(&mut self, (setting, broadcast): (Setting, Broadcast)) -> Result<(), Trouble> {
        let download = self.hub.models.put(broadcast.to_bytes())?;
        let live = match self.live(setting.clone(), &broadcast, download) {
            Ok(live) => live,
            Err(error) => {
                tracing::error!(task = self.name, %error, "the next round cannot be: the task is paused");
                return self.set(Doing::Paused, Some(format!("the next round cannot be: {error}")));
            }
        };
        if let Err(error) = self.spend(&live, false) {
            let why = format!(
                "the population's budget does not allow the next round: {error}; `sordino-coordinator budget show` says what is left"
            );
            tracing::warn!(task = self.name, why, "the task is paused");
            return self.set(Doing::Paused, Some(why));
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
            step = setting.step,
            context = short(&live.context()),
            "opened"
        );
        self.begin(live, download, opened);
        Ok(())
    }

    fn live(&self, setting: Setting, broadcast: &Broadcast, download: Download) -> Result<Live, crate::round::Error> {
        let (operator, authority) = (&self.hub.operator, self.hub.authority.public());
        Live::open(setting, (broadcast, download), operator, &authority, now())
    }

    /// Takes up a round that was under way when the process ended.
    pub(super) fn take_up(&mut self, context: &Hash) -> Result<(), Trouble> {
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
                self.begin(live, download, row.opened);
                Ok(())
            }
            Err(error) => {
                tracing::error!(task = self.name, round = row.number, error, "cannot be taken up again");
                self.hub.storage.wait(move |store| store.abandon(&wanted, &error, now()))?;
                Ok(())
            }
        }
    }

    fn begin(&mut self, live: Live, download: Download, opened: i64) {
        self.opened = opened;
        self.funnel.clear();
        let measures = matches!(self.task, Task::Rollout(_));
        let round = Running::start(&self.hub, live, measures, self.nudge.clone(), &self.runtime);
        self.shared.next_opening.store(0, Ordering::Relaxed);
        self.shared.set_running(Some(round.clone()));
        self.round = Some((round, download));
        self.show(Doing::Running);
    }

    pub(super) fn abandon(
        &mut self,
        round: &Arc<Running>,
        broadcast: &Download,
        reason: String,
    ) -> Result<(), Trouble> {
        let (context, told) = (round.context, reason.clone());
        self.hub.storage.wait(move |store| store.abandon(&context, &told, now()))?;
        tracing::warn!(task = self.name, round = self.number, reason, "given up");
        self.end(round, broadcast, Some(reason.clone()), &reason);
        Ok(())
    }

    pub(super) fn end(&mut self, round: &Arc<Running>, broadcast: &Download, given_up: Option<String>, note: &str) {
        self.hub.metrics.ended(given_up.is_none());
        let pause = i64::from(self.task.pause_seconds()) * 1000;
        self.due = now() + pause;
        self.shared.next_opening.store(self.due.max(0) as u64, Ordering::Relaxed);
        round.live_mut().end(given_up, now());
        round.tell();
        self.shared.change_view(|view| {
            if let Some(mut past) = view.round.take() {
                past.phase = round.live().phase().name().to_owned();
                past.funnel.clone_from(&self.funnel);
                past.deadline = None;
                (past.note, past.changed) = (note.to_owned(), now());
                view.past.insert(0, past);
                view.past.truncate(MOST_PAST);
            }
        });
        self.shared.set_running(None);
        self.round = None;
        self.hub.models.remove(&broadcast.digest);
        self.show(Doing::Running);
    }

    /// Pays for a round, or asks whether the population could. A round that is paid for already is not paid for again.
    pub(super) fn spend(&self, live: &Live, pay: bool) -> Result<(), Trouble> {
        let (plan, setting) = (live.plan(), live.setting());
        // A device says one thing in a stage of a rollout, so that is what it pays for, however many rounds the stage has; its own ledger has it
        // under the same number.
        let round = match &self.task {
            Task::Training(_) => setting.number,
            Task::Rollout(_) => paid_as(stage_of(setting.step)),
        };
        let spend = Spend::of_plan(plan, &Samplers::new(plan)?, &setting.task, round, now());
        let population = &self.hub.config.listen.population;
        let mut ledgers = self.hub.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let has_paid = ledgers.has_paid(population, &spend);
        let result = if pay { ledgers.spend(population, spend) } else { ledgers.check(population, &spend) };
        match result {
            Err(LedgerError::Refused(Refusal::Twice { .. })) if has_paid => Ok(()),
            result => Ok(result?),
        }
    }
}

pub(super) const MOST_PAST: usize = 50;
