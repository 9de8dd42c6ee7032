//! What a round decides is made durable, then applied, then told.

use super::{Doing, Driver, Trouble, content};
use crate::authority::Draw;
use crate::round::{Decision, Next};
use crate::server::now;
use crate::server::served::Running;
use crate::store::{self, Aggregate, Phase};
use crate::task::Task;
use sordino_shared::control::Download;
use sordino_shared::privacy::ledger::Error as LedgerError;
use sordino_shared::secagg::Hash;
use std::sync::Arc;

impl Driver {
    pub(super) fn carry_out(
        &mut self,
        round: &Arc<Running>,
        broadcast: &Download,
        decision: Decision,
    ) -> Result<(), Trouble> {
        match decision {
            Decision::Advance(next) => self.advance(round, broadcast, next),
            Decision::Draw(wanted) => {
                let draw = wanted.map(|wanted| self.hub.authority.draw(&wanted)).transpose();
                let decision = match draw {
                    Ok(draw) => round.live().drawn(draw),
                    Err(Draw::Already(error)) => Decision::Abandon(error.to_string()),
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

    pub(super) fn advance(&mut self, round: &Arc<Running>, broadcast: &Download, next: Next) -> Result<(), Trouble> {
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

    pub(super) fn freeze(&mut self, round: &Arc<Running>, broadcast: &Download) -> Result<(), Trouble> {
        let context = round.context;
        let frozen = self.hub.storage.wait(move |store| {
            let frozen = store.freeze(&context, now())?;
            Ok::<_, store::Error>((frozen, store.receipts(&context)?))
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

    pub(super) fn open_sum(&mut self, round: &Arc<Running>, broadcast: &Download) -> Result<(), Trouble> {
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
        let aggregate =
            Aggregate { step, devices: opened.devices as u64, sum: opened.sum, deviations: opened.deviations, rho };
        let note = match self.finish(&context, aggregate)? {
            Some(note) => note,
            None => {
                self.check_is_in(&context, Phase::Done)?;
                self.reload()?;
                format!("{} devices", opened.devices)
            }
        };
        if opened.disputes > 0 {
            tracing::warn!(
                task = self.name,
                round = self.number,
                devices = opened.disputes,
                "shares were complained of"
            );
        }
        self.step_over(round);
        tracing::info!(task = self.name, round = self.number, devices = opened.devices, note, "done");
        self.end(round, broadcast, None, &note);
        Ok(())
    }

    /// A step that the store refuses may be one that it has taken before and could not say so.
    pub(super) fn check_is_in(&self, context: &Hash, phase: Phase) -> Result<(), Trouble> {
        let wanted = *context;
        let row = self.hub.storage.wait(move |store| store.round(&wanted))?;
        match row {
            Some(row) if row.phase == phase => Ok(()),
            _ => Err(format!("round {} was moved on by somebody else", self.number).into()),
        }
    }

    pub(super) fn reload(&mut self) -> Result<(), Trouble> {
        let name = self.name.clone();
        let (rows, aggregates) = self.hub.storage.wait(move |store| (store.tasks(), store.aggregates(&name)));
        let row = rows?.into_iter().find(|row| row.name == self.name).ok_or("the task is gone from the store")?;
        self.task = Task::new(&row, &content(&self.hub, &row)?, &aggregates?)?;
        Ok(())
    }

    pub(super) fn step_over(&mut self, round: &Running) {
        let live = round.live();
        if live.phase() != Phase::Drawing {
            let (done, of) = live.progress();
            self.hub.metrics.step(live.phase(), now() - live.entered(), done, of);
            self.funnel.push(done);
        }
    }

    pub(super) fn moved(&self, round: &Running) {
        let phase = round.live().phase();
        tracing::debug!(task = self.name, round = self.number, phase = phase.name(), "moved");
        self.show(Doing::Running);
        round.tell();
    }
}
