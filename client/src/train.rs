//! The device's half of a round: statistics, clip, round, noise.
//!
//! The order is held by types: only [`Rounded`] takes noise, and only [`Noised`] is given out.

use rand_core::Rng;
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::{Clipped, NoiseError, NoiseSource, Noised, Rounded};
use sordino_shared::workload::{Device, Workload};

/// A device's vector on the grid, with what is counted about its clipping.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The vector, without noise: it must not leave the device like this.
    pub rounded: Rounded,
    /// For each block, whether it was clipped.
    pub shortened: Vec<bool>,
}

/// Statistics, clip and round. `rng` must be the device's own.
pub fn prepare(workload: &impl Workload, plan: &RoundPlan, device: Device<'_>, rng: &mut impl Rng) -> Contribution {
    let clipped = Clipped::new(workload.contribute(device, rng), plan);
    let shortened = clipped.shortened().to_vec();
    Contribution { rounded: Rounded::new(&clipped, plan, rng), shortened }
}

/// The device's whole half: the vector may be masked and sent. With it, for each block, whether it was clipped.
///
/// Fails only where no noise can be drawn; then nothing must be sent.
pub fn take_part(
    workload: &impl Workload,
    plan: &RoundPlan,
    device: Device<'_>,
    rng: &mut impl Rng,
    noise: &mut impl NoiseSource,
) -> Result<(Noised, Vec<bool>), NoiseError> {
    let contribution = prepare(workload, plan, device, rng);
    Ok((Noised::new(&contribution.rounded, plan, noise)?, contribution.shortened))
}
