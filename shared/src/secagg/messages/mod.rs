//! The messages, each to a frame and back (docs/protocol.md, sections 2 and 7).

mod answer;
mod bits;
mod roster;
mod shares;
mod survivors;
mod upload;

pub use answer::{Answer, Opened};
pub use bits::Bits;
pub use roster::{Advertisement, Offer, Roster};
pub use shares::{Commitments, Deal, Delivery, Secret, Shares};
pub(super) use shares::{commitment, seed_hash};
pub use survivors::{Agreement, Quorum, Survivors};
pub(in crate::secagg) use upload::Behind;
pub use upload::{ReceivedUpload, Upload, upload_digest};

use super::identity::SignatureBytes;
use super::transcript::Hash;
use crate::wire::{Decode, Encode};

/// The header of messages whose fields are all that is signed.
#[derive(Encode, Decode)]
struct SignedHeader {
    context: Hash,
    position: u32,
    signature: SignatureBytes,
}

pub(super) fn field<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[start..start + N]);
    field
}
