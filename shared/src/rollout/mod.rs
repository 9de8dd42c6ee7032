//! Staged rollouts, as far as devices take part in them: which arm a device falls into ([`Bucket`]), and what it tells of itself there
//! ([`Cells`]). Decisions are the coordinator's.

mod bucket;
mod cells;

pub use bucket::{Arm, Bucket, Share};
pub use cells::{CLIP, CellSums, Cells, DayReport, MetricsRound, VALUES};

/// The task that measures a rollout.
pub fn task_of(rollout: &str) -> String {
    format!("rollout-{rollout}")
}
