//! The steps of a masked round that draw something, with the device's own randomness and no other.
//!
//! The protocol's state machine in `sordino-shared` takes any cryptographic generator, so that simulations and test vectors
//! can be run again. A device goes through these, which take [`Randomness`] alone; the steps between them draw nothing, and the
//! upload comes from [`Invitation::accept_masked`](crate::participation::Invitation::accept_masked).

use crate::train::Randomness;
use sordino_shared::secagg::Identity;
use sordino_shared::secagg::device::{self, Advertised, Joining, Refusal, Shared};
use sordino_shared::secagg::messages::{Advertisement, Roster, Shares};

/// A device's key pair, made once.
pub fn identity(randomness: &mut Randomness) -> Identity {
    Identity::generate(&mut randomness.0)
}

/// Checks an offer and makes the round's keys (protocol, 2.1 and 2.2).
///
/// # Errors
/// [`Refusal`].
pub fn advertise(
    joining: Joining<'_>,
    now: i64,
    randomness: &mut Randomness,
) -> Result<(Advertised, Advertisement), Refusal> {
    device::advertise(joining, now, &mut randomness.0)
}

/// Checks the roster and deals shares (protocol, 2.3 and 2.4).
///
/// # Errors
/// [`Refusal`].
pub fn share(
    advertised: Advertised,
    roster: &Roster,
    identity: &Identity,
    now: i64,
    randomness: &mut Randomness,
) -> Result<(Shared, Shares), Refusal> {
    advertised.share(roster, identity, now, &mut randomness.0)
}
