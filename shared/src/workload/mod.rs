//! Workloads: what is learnt from a private sum, both halves side by side.
//!
//! A workload is one type with the device's half (examples in, vector out) and the coordinator's half (sum in, next
//! state out). The rest of the system knows nothing of what a vector means.

mod adam;
mod adaptive;
mod blocks;
mod broadcast;
mod comparison;
mod contribution;
mod factors;
mod metrics;
mod popularity;
mod ranking;
mod rates;
mod sgd;
mod subspace;
mod tower;

pub use adaptive::{Adaptive, Reclip};
pub use blocks::{BlockFactors, BlockPlays};
pub use broadcast::Broadcast;
pub use comparison::Comparison;
pub use contribution::Contribution;
pub use factors::Factors;
pub use metrics::{METRICS, MetricEstimate, Metrics};
pub use popularity::{Popularity, PopularityEstimate};
pub use ranking::{Ranking, RankingSettings, loss_gradient};
pub use rates::{Cells, Counted, RateEstimate, Rates, Shrinkage};
pub use sgd::{GradientDescent, GradientSettings};
pub use subspace::Subspace;
pub use tower::{TowerDescent, TowerSettings};

use crate::evaluate::Habits;
use crate::ids::TrackId;
use crate::model::{Example, Shown, Solver};
use crate::plan::BlockLayout;
use rand_core::Rng;

/// One block of a device's vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// All values, row by row.
    Dense(Vec<f32>),
    /// Some rows in ascending order, all others being zero. Only the *encoded* vector is dense: on the device the zero
    /// rows need no arithmetic before their noise.
    Rows {
        /// The rows, ascending, each once.
        rows: Vec<u32>,
        /// Their values, row by row.
        values: Vec<f32>,
    },
}

impl Block {
    /// The values that are there.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }

    /// Writes the block into a dense vector of zeros, row by row.
    pub fn copy_to(&self, width: usize, dense: &mut [f32]) {
        match self {
            Self::Dense(values) => dense[..values.len()].copy_from_slice(values),
            Self::Rows { rows, values } => {
                for (&row, values) in rows.iter().zip(values.chunks_exact(width)) {
                    let start = row as usize * width;
                    dense[start..start + width].copy_from_slice(values);
                }
            }
        }
    }

    /// The values, to be scaled.
    pub fn values_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }

    /// The rows that are there, where not all are.
    pub fn rows(&self) -> Option<&[u32]> {
        match self {
            Self::Dense(_) => None,
            Self::Rows { rows, .. } => Some(rows),
        }
    }
}

/// A device's vector before it is clipped, one entry a block of the workload's layout. Never leaves the device.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// The blocks.
    pub blocks: Vec<Block>,
}

/// What one device brings to a round.
pub struct Device<'a> {
    /// Its positive examples, each track once, in ascending order of tracks.
    pub examples: &'a [Example],
    /// Tracks that it holds out to compare models by; never trained on.
    pub held_out: &'a [TrackId],
    /// Tracks that it holds out for another purpose: neither trained on nor ranked among.
    pub aside: &'a [TrackId],
    /// What it sees of its own listener's habits.
    pub habits: Habits,
    /// Tracks that it was shown and what became of them, list by list.
    pub shown: &'a [Shown],
    /// What it has to say of a rollout.
    pub rollout: crate::rollout::Cells,
    /// What it keeps from one round to the next; empty in the first.
    pub memory: &'a mut Vec<f32>,
    /// Room for its solver.
    pub solver: &'a mut Solver,
}

impl<'a> Device<'a> {
    /// One that has heard, held out and been shown nothing.
    pub fn new(memory: &'a mut Vec<f32>, solver: &'a mut Solver) -> Self {
        Self {
            examples: &[],
            held_out: &[],
            aside: &[],
            habits: Habits::default(),
            shown: &[],
            rollout: crate::rollout::Cells::default(),
            memory,
            solver,
        }
    }
}

/// Room for one device's half: what it keeps from round to round, and its solver.
#[derive(Debug, Default)]
pub struct Workspace {
    /// What it keeps from one round to the next.
    pub memory: Vec<f32>,
    /// Room for its solver.
    pub solver: Solver,
}

impl Workspace {
    /// A device that has heard, held out and been shown nothing; `Device { examples, ..workspace.device() }` has examples.
    pub fn device(&mut self) -> Device<'_> {
        Device::new(&mut self.memory, &mut self.solver)
    }
}

/// What a device needs to know of a workload: all that is downloaded for a round.
pub trait DeviceHalf: Sync {
    /// The blocks of a device's vector.
    fn layout(&self) -> Vec<BlockLayout>;

    /// The device's half. The result may have any norm; clipping comes after.
    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics;
}

/// A use of the private sum.
pub trait Workload: DeviceHalf {
    /// The coordinator's half: learns from the decoded sum (one vector a block) of `devices` devices. `deviations` holds
    /// the standard deviation of the noise in each block, in value units.
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64);
}
