//! What a device and its coordinator say to each other around the steps of a round (docs/protocol.md, section 11).
//!
//! Each request is one frame and gets one frame as its answer. A request may come again, after a lost connection or a
//! restart of either side, and gets the same answer.
//!
//! | request | answers |
//! |---|---|
//! | [`Enrol`], [`Renew`] | [`Enrolled`] |
//! | [`CheckIn`] | [`Assigned`], [`RetryAfter`] |
//! | [`Fetch`] | [`Chunk`] |
//! | a step's message, or [`Ask`] for its outcome | the step's outcome, or [`Wait`] |
//!
//! Any of them may be answered by [`Reject`].

mod enrolment;
mod federation;
mod model;
mod plan;
mod reject;
mod visit;

pub use enrolment::{Enrol, Enrolled, MOST_ATTESTATION, MOST_REQUEST, Renew};
pub use federation::{Federation, PublicKey, from_hexadecimal, hexadecimal};
pub use model::{Chunk, Fetch, MOST_CHUNK};
pub use plan::PlanTerms;
pub use reject::{Code, Reject};
pub use visit::{Announced, Ask, Assigned, CheckIn, Done, Download, Receipt, RetryAfter, Step, Wait};

use crate::secagg::Hash;
use crate::wire::{Kind, Preamble};

/// The protocol's name in the handshake of a connection.
pub const ALPN: &[u8] = b"sordino/1";

/// The round that a step's message or a question about one is of: the first field of each of their headers.
pub fn context_of(frame: &[u8]) -> Option<Hash> {
    frame.get(Preamble::BYTES..)?.first_chunk().copied()
}

impl Step {
    /// The step that a message belongs to.
    pub fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Advertisement => Some(Self::Roster),
            Kind::Shares => Some(Self::Delivery),
            Kind::Upload => Some(Self::Survivors),
            Kind::Agreement => Some(Self::Quorum),
            Kind::Answer => Some(Self::Done),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Every message comes back from its frame, and cut ones from none: `tests/decoders.rs`.
    #[test]
    fn codes_keep_their_numbers_and_reasons_are_cut() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
        }
        assert!(Reject::new(Code::Busy, "ü".repeat(400)).to_frame().len() < 700);
    }

    #[test]
    fn pieces_add_up_and_end() {
        let whole: Vec<u8> = (0..MOST_CHUNK + 10).map(|i| i as u8).collect();
        let mut loaded = Vec::new();
        while loaded.len() < whole.len() {
            let fetch = Fetch { digest: [1; 32], offset: loaded.len() as u64 };
            let frame = Chunk::of(&whole, &Fetch::from_frame(&fetch.to_frame()).expect("its own form")).to_frame();
            let chunk = Chunk::from_frame(&frame).expect("its own form");
            assert_eq!((chunk.offset, chunk.total), (loaded.len() as u64, whole.len() as u64));
            loaded.extend_from_slice(chunk.bytes);
        }
        assert_eq!(loaded, whole);
        assert!(Chunk::of(&whole, &Fetch { digest: [1; 32], offset: u64::MAX }).bytes.is_empty());
    }
}
