//! A task that measures a rollout: rounds of metrics as long as its controller wants to look.

use crate::rollout::book::{Course, Order};
use crate::round::Setting;
use sordino_shared::control::PlanTerms;
use sordino_shared::rollout::MetricsRound;
use sordino_shared::workload::Broadcast;

/// A rollout's measuring. Where the rollout stands is read from the store before every round: others may have changed it.
pub struct RolloutTask {
    /// What was started.
    pub order: Order,
}

impl RolloutTask {
    /// The next round of metrics under this number, and from when on; `None` where nothing is to be looked at now.
    pub fn next(&self, course: &Course, number: u64) -> Option<(Setting, Broadcast, i64)> {
        let (stage, looks, due) = course.controller.next_look()?;
        let policy = &self.order.policy;
        let cohort = policy.cohort_devices(stage, self.order.devices);
        let setting = Setting {
            task: self.order.task(),
            number,
            step: step(stage, looks),
            plan: PlanTerms {
                cohort,
                honest_fraction: policy.cohort.honest_fraction(),
                rho: policy.rho(),
                rotation_seed: 0,
                least_rotated: 0,
                skellam: false,
            },
            assumptions: policy.cohort.assumptions(),
            offered: policy.cohort.offered(cohort),
            deadlines: policy.schedule.deadlines(),
        };
        let round = MetricsRound { rollout: self.order.name.clone(), stage };
        Some((setting, Broadcast::Rollout(round), due))
    }
}

/// The step of a look: its stage and its number within that.
fn step(stage: usize, look: usize) -> u64 {
    (stage as u64) << STAGE_BITS | look as u64
}

/// The stage that a step is of.
pub fn stage_of(step: u64) -> usize {
    (step >> STAGE_BITS) as usize
}

const STAGE_BITS: u32 = 16;
