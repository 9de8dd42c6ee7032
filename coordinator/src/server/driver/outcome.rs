//! What comes of an opened sum: a training learns and gives a version, a rollout has one more look. Either is written in the
//! transaction that ends the round.

use super::{Driver, Trouble};
use crate::rollout::book;
use crate::server::now;
use crate::store::{Aggregate, Finished, VersionRow};
use crate::task::{Task, TrainingTask, stage_of};
use sordino_shared::control::hexadecimal;
use sordino_shared::secagg::Hash;

impl Driver {
    /// Ends the round; what is said of it, or `None` where it had been ended already.
    pub(super) fn finish(&mut self, context: &Hash, aggregate: Aggregate) -> Result<Option<String>, Trouble> {
        match &self.task {
            Task::Training(_) => {
                let learnt = self.learn(context, aggregate);
                if learnt.is_err() {
                    // The training has learnt what is not durable: it is read again from what is.
                    self.reload()?;
                }
                learnt
            }
            Task::Rollout(_) => self.look(context, aggregate),
        }
    }

    fn learn(&mut self, context: &Hash, aggregate: Aggregate) -> Result<Option<String>, Trouble> {
        let Task::Training(task) = &mut self.task else { unreachable!("asked of a training alone") };
        let kind = task.kind().unwrap_or("round");
        task.learn(&aggregate);
        let bytes = task.model().to_bytes();
        let download = self.hub.models.put(bytes)?;
        let plan = self
            .round
            .as_ref()
            .map(|(round, _)| hexadecimal(&sordino_shared::secagg::plan_digest(round.live().plan())));
        let Task::Training(task) = &self.task else { unreachable!("asked of a training alone") };
        let parent = self.hub.storage.wait(|store| store.versions())?.last().map(|version| version.number);
        let version = VersionRow {
            number: 0,
            digest: hexadecimal(&download.digest),
            length: download.length,
            task: self.name.clone(),
            round: Some(self.number),
            parent,
            about: about(task, &aggregate, kind, plan),
            made: now(),
        };
        let note = format!("{} devices, {kind}", aggregate.devices);
        let (context, told) = (*context, note.clone());
        let finished = self
            .hub
            .storage
            .wait(move |store| store.finish(&context, &aggregate, Finished::Version(&version), &told, now()))?;
        if !finished {
            return Ok(None);
        }
        let made = self.hub.storage.wait(|store| store.versions())?.pop();
        if let Some(Err(error)) = made.map(|version| self.hub.release(&version)) {
            tracing::error!(task = self.name, %error, "the version does not serve");
        }
        Ok(Some(note))
    }

    fn look(&self, context: &Hash, aggregate: Aggregate) -> Result<Option<String>, Trouble> {
        let Task::Rollout(task) = &self.task else { unreachable!("asked of a rollout alone") };
        let note = format!("{} devices, stage {}", aggregate.devices, stage_of(aggregate.step) + 1);
        let (name, context, told) = (task.order.name.clone(), *context, note.clone());
        let stage = stage_of(aggregate.step);
        let looked = self
            .hub
            .storage
            .wait(move |store| book::look(store, &name, (&context, stage), &aggregate, &told, now()))?;
        // What the look has changed is told at once.
        self.hub.publish()?;
        Ok(looked.then_some(note))
    }
}

fn about(task: &TrainingTask, aggregate: &Aggregate, kind: &str, plan: Option<String>) -> String {
    let (model, claim) = (task.model(), task.spent());
    serde_json::json!({
        "step": aggregate.step,
        "after": kind,
        "tracks": model.tracks(),
        "dimensions": model.dimensions(),
        "devices": aggregate.devices,
        "epsilon": claim.as_ref().map(|claim| claim.epsilon),
        "delta": claim.as_ref().map(|claim| claim.delta),
        "rho": claim.as_ref().map(|claim| claim.rho),
        "verdict": task.verdict(),
        "plan": plan,
    })
    .to_string()
}
