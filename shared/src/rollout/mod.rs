//! Staged rollouts, as far as devices take part in them: which arm a device falls into ([`Bucket`]), and what it tells of itself there
//! ([`Cells`]). Decisions are the coordinator's.

mod bucket;
mod cells;

pub use bucket::{Arm, Bucket, Share};
pub use cells::{CLIP, CellSums, Cells, DayReport, MetricsRound, VALUES};

/// The task that measures a rollout: its name in the store, in offers and in every ledger. No other task is called so ([`rollout_of`]).
pub fn task_of(rollout: &str) -> String {
    format!("{TASK}{rollout}")
}

/// The rollout that a task of this name measures; `None` of a task that learns something. The one place that tells the two apart: whoever
/// takes a task's name from elsewhere asks here.
pub fn rollout_of(task: &str) -> Option<&str> {
    task.strip_prefix(TASK)
}

/// The number under which ledgers have a stage of a rollout, on the device as for the population: a stage is paid for once, however many rounds
/// it has, and what is paid for is said.
pub fn paid_as(stage: usize) -> u64 {
    stage as u64 + 1
}

const TASK: &str = "rollout-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_a_rollouts_or_none() {
        for name in ["spring", "", "rollout-spring", "a.b_c-d"] {
            assert_eq!(rollout_of(&task_of(name)), Some(name));
        }
        for name in ["spring", "rollout", "Rollout-spring", "my-rollout-spring", ""] {
            assert_eq!(rollout_of(name), None, "{name}");
        }
        assert_eq!([0, 1, 4].map(paid_as), [1, 2, 5]);
    }
}
