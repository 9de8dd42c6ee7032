//! The device's half of a round: statistics, clip, round, noise.
//!
//! The order is held by types: only [`sordino_shared::privacy::Rounded`] takes noise, and only [`Noised`] is given out.
//!
//! Randomness is the operating system's. There is no way to hand in a generator that a seed decides:
//!
//! ```compile_fail
//! use sordino_client::train::Randomness;
//! let fixed = Randomness::seed_from_u64(7);
//! ```

use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::{DeviceGenerator, NoiseError, Noised, Samplers};
use sordino_shared::workload::{Contribution, Device, DeviceHalf};

/// A device's randomness for one round.
pub struct Randomness(pub(crate) DeviceGenerator);

impl Randomness {
    /// Keyed by the operating system.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes; then the device does not take part.
    pub fn from_operating_system() -> Result<Self, NoiseError> {
        DeviceGenerator::from_operating_system().map(Self)
    }
}

/// What a device made for a round.
#[derive(Debug)]
pub struct Participation {
    /// The vector that may be masked and sent.
    pub noised: Noised,
    /// For each block, whether it was clipped. Stays on the device.
    pub shortened: Vec<bool>,
    /// Values that were not finite and became zero. Stays on the device.
    pub not_finite: usize,
}

/// The device's whole half of a round.
pub fn take_part(
    workload: &impl DeviceHalf,
    plan: &RoundPlan,
    samplers: &Samplers,
    device: Device<'_>,
    randomness: &mut Randomness,
) -> Participation {
    let rng = &mut randomness.0;
    let contribution = Contribution::new(workload, plan, device, rng);
    let noised = contribution.noised(samplers, rng);
    Participation { noised, shortened: contribution.shortened, not_finite: contribution.not_finite }
}
