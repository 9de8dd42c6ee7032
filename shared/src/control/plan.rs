//! What a plan is made from, as it travels: the layout comes from the workload that the device loads, the rest from here.

use crate::plan::{Error, PlanRequest, Rotation, RoundPlan};
use crate::privacy::{Mechanism, Mode};
use crate::wire::{Decode, Encode};
use crate::workload::DeviceHalf;
use serde::{Deserialize, Serialize};

/// The public parameters of a plan of mode `secure`. The device makes the plan itself and holds its hash against the offer.
#[derive(Clone, Debug, PartialEq, Encode, Decode, Serialize, Deserialize)]
pub struct PlanTerms {
    /// Devices in the sum.
    pub cohort: u32,
    /// The share of them whose noise counts.
    pub honest_fraction: f64,
    /// zCDP budget of the round.
    pub rho: f64,
    /// Seed of the rotations' signs.
    pub rotation_seed: u64,
    /// Blocks of at least so many values are rotated; none are where it is 0.
    pub least_rotated: u64,
    /// Whether the noise is Skellam's; the discrete Gaussian's else.
    pub skellam: bool,
}

impl PlanTerms {
    /// The plan of a workload under these terms.
    ///
    /// # Errors
    /// As of [`RoundPlan::new`].
    pub fn plan(&self, workload: &impl DeviceHalf) -> Result<RoundPlan, Error> {
        let mut blocks = workload.layout();
        for block in &mut blocks {
            let rotated = self.least_rotated > 0 && block.len() as u64 >= self.least_rotated;
            block.rotation = if rotated { Rotation::Hadamard } else { Rotation::None };
        }
        RoundPlan::new(PlanRequest {
            mode: Mode::Secure,
            mechanism: if self.skellam { Mechanism::Skellam } else { Mechanism::DiscreteGaussian },
            rotation_seed: self.rotation_seed,
            honest_fraction: self.honest_fraction,
            rho: Some(self.rho),
            ..PlanRequest::new(self.cohort as usize, blocks)
        })
    }
}
