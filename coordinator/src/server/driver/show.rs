//! Where a task stands, for the operator.

use super::rounds::MOST_PAST;
use super::{Doing, Driver, Trouble};
use crate::rollout::book::Course;
use crate::server::rollout_view::RolloutView;
use crate::server::served::ServedTask;
use crate::server::view::RoundView;
use crate::task::{Task, stage_of};

impl Driver {
    pub(super) fn show(&self, state: Doing) {
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
                deadline: live.deadline(),
                opened: self.opened,
                changed: live.entered(),
                note: self.kind(live.setting().step),
            }
        });
        self.shared.change_view(|view| {
            view.name.clone_from(&self.name);
            view.state = state.name().to_owned();
            view.why = self.why.clone().filter(|_| state != Doing::Running);
            match &self.task {
                Task::Training(task) => {
                    view.steps = task.steps();
                    view.next = task.kind().map(str::to_owned);
                    view.epsilon = task.spent().map_or(0.0, |claim| claim.epsilon);
                    view.epsilon_limit = task.file.privacy.epsilon;
                }
                Task::Rollout(task) => view.epsilon_limit = task.order.policy.claim().epsilon,
            }
            view.round = round;
        });
    }

    fn kind(&self, step: u64) -> String {
        match &self.task {
            Task::Training(task) => task.kind().unwrap_or_default().to_owned(),
            Task::Rollout(_) => format!("stage {}", stage_of(step) + 1),
        }
    }

    /// Takes note of where a rollout stands.
    pub(super) fn see(&self, course: &Course) {
        let view = RolloutView::of(course);
        self.shared.change_view(|task| {
            task.steps = view.looks.len() as u64;
            task.epsilon = view.epsilon;
            task.next = Some(view.standing.clone());
        });
    }

    /// Shows the rounds of earlier processes again, as far as the store knows them.
    pub(super) fn recall(&self) -> Result<(), Trouble> {
        let name = self.name.clone();
        let rounds = self.hub.storage.wait(move |store| store.rounds(&name, MOST_PAST))?;
        let over = rounds.into_iter().filter(|round| round.phase.is_over());
        let past = over.map(|round| RoundView {
            number: round.number,
            step: round.step,
            phase: round.phase.name().to_owned(),
            opened: round.opened,
            changed: round.changed,
            note: round.note,
            ..RoundView::default()
        });
        self.shared.change_view(|view| view.past = past.collect());
        Ok(())
    }

    /// Takes note of what the task waits for, or that it waits no longer.
    pub(super) fn show_trouble(&self, error: Option<&Trouble>) {
        let trouble = error.map(ToString::to_string);
        self.shared.change_view(|view| view.trouble = trouble);
    }
}

/// A task that cannot even begin.
pub(super) fn show_stopped(task: &ServedTask, name: &str, error: &Trouble) {
    task.change_view(|view| {
        view.name = name.to_owned();
        view.state = "cannot go on".to_owned();
        view.why = Some(error.to_string());
    });
}
