//! Secure aggregation: the coordinator sees the sum of a cohort's vectors and nothing else of them.
//!
//! SA-1 is the protocol of Bonawitz et al. (2017) on the sparse graph of Bell et al. (2020), with signed keys, everything
//! bound to the round's terms and roster, and a round of agreement on the survivors. `docs/protocol.md` numbers every
//! message, check and error; `docs/privacy.md`, section 10, says what the claims lean on and what is not proven.
//!
//! | step | device to coordinator | coordinator to device |
//! |---|---|---|
//! | 0 | [`messages::Advertisement`] | [`messages::Roster`] |
//! | 1 | [`messages::Shares`] | [`messages::Delivery`] |
//! | 2 | [`messages::Upload`] | [`messages::Survivors`] |
//! | 3 | [`messages::Agreement`] | [`messages::Quorum`] |
//! | 4 | [`messages::Answer`] | |
//!
//! Both halves are sans-IO: [`device`] takes a state by value and gives the next, [`coordinator`] is plain state that can
//! be written and read. Neither knows a clock, a socket or a generator of its own.

pub mod coordinator;
pub mod device;
mod finder;
mod graph;
mod identity;
mod keys;
mod lanes;
mod mask;
mod merkle;
pub mod messages;
mod shamir;
mod terms;
#[cfg(test)]
mod tests;
mod transcript;

pub use finder::{Adversary, Assumptions, Degree, Error as GraphError, LARGEST_COMPLETE, LEAST_DEVICES};
pub use graph::Graph;
pub use identity::{AlreadyDrawn, Authority, Certificate, Identity, PublicIdentity, SignatureBytes, Wanted};
pub use keys::Sealed;
pub use lanes::Shape;
pub use mask::{Masked, MaskedSum};
pub use terms::{Terms, TermsError, plan_digest};
pub use transcript::{Hash, hash as digest};
