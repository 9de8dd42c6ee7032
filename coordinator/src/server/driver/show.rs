//! Where a task stands, for the operator.

use super::{Doing, Driver};
use crate::server::view::RoundView;

impl Driver {
    pub(super) fn show(&self, state: Doing) {
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
                opened: self.opened,
                changed: live.entered(),
                note: self.task.kind().unwrap_or_default().to_owned(),
            }
        });
        self.shared.change_view(|view| {
            view.name.clone_from(&self.name);
            view.state = state.name().to_owned();
            view.steps = self.task.steps();
            view.next = self.task.kind().map(str::to_owned);
            view.epsilon = claim.map_or(0.0, |claim| claim.epsilon);
            view.epsilon_limit = self.task.file.privacy.epsilon;
            view.round = round;
        });
    }
}
