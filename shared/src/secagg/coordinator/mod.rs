//! The coordinator's half: plain state and handlers over it (docs/protocol.md, section 2).
//!
//! A [`Round`] can be written and read between any two messages. Each handler comes in two parts: `check` reads the state
//! and may run on any core, `record` changes it. A repeated message is taken again, a contradicting one is refused, and
//! everything that the coordinator tells a device can be told again.
//!
//! The sum of masked vectors is apart from the state ([`super::MaskedSum`]), so that it can be kept in parts.

mod advertising;
mod agreeing;
mod error;
mod open;
mod roster;
mod sharing;
mod unmasking;
mod uploading;

pub use advertising::{Advertising, CheckedAdvertisement, Drawing};
pub use agreeing::{Agreeing, CheckedAgreement};
pub use error::{Abandoned, Device, Error, Step};
pub use open::Outcome;
pub use roster::Cohort;
pub use sharing::{CheckedShares, Sharing};
pub use unmasking::{CheckedAnswer, Unmasking};
pub use uploading::{Checked, Uploading};

use serde::{Deserialize, Serialize};

/// A round in one of its phases, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Round {
    /// Keys come in.
    Advertising(Advertising),
    /// The roster is closed and its graph not yet drawn.
    Drawing(Drawing),
    /// Shares come in.
    Sharing(Sharing),
    /// Vectors come in.
    Uploading(Uploading),
    /// Signatures over the survivors come in.
    Agreeing(Agreeing),
    /// Shares that open the sum come in.
    Unmasking(Unmasking),
}
