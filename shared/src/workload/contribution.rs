//! The device's half of a round up to the vector on the grid: statistics, clip, round.

use super::{Device, DeviceHalf};
use crate::plan::RoundPlan;
use crate::privacy::{Clipped, Noised, Rounded, Samplers};
use rand_core::Rng;

/// A device's vector on the grid, with what is counted about its clipping.
///
/// Generic over the generator so that simulations and tests run these very lines; a device's own entry point takes no
/// generator but its own.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The vector, without noise: it must not leave the device like this.
    pub rounded: Rounded,
    /// For each block, whether it was clipped.
    pub shortened: Vec<bool>,
    /// Values that were not finite and became zero.
    pub not_finite: usize,
}

impl Contribution {
    /// Statistics, clip and round.
    pub fn new(workload: &impl DeviceHalf, plan: &RoundPlan, device: Device<'_>, rng: &mut impl Rng) -> Self {
        let clipped = Clipped::new(workload.contribute(device, rng), plan);
        let (shortened, not_finite) = (clipped.shortened().to_vec(), clipped.not_finite());
        Self { rounded: Rounded::new(&clipped, plan, rng), shortened, not_finite }
    }

    /// With the plan's noise: what may be masked and sent.
    pub fn noised(&self, samplers: &Samplers, rng: &mut impl Rng) -> Noised {
        Noised::new(&self.rounded, samplers, rng)
    }
}
