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
pub use visit::{Ask, Assigned, CheckIn, Done, Download, Receipt, RetryAfter, Step, Wait};

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
    use crate::secagg::Certificate;
    use crate::secagg::messages::Offer;
    use crate::wire;

    fn assigned() -> Assigned {
        let download = Download { digest: [4; 32], length: 99 };
        Assigned {
            plan: PlanTerms {
                cohort: 100,
                honest_fraction: 0.8,
                rho: 0.1,
                rotation_seed: 7,
                least_rotated: 1024,
                skellam: false,
            },
            broadcast: download,
            version: Some(download),
            offer: Offer {
                task: "embeddings".into(),
                round: 3,
                plan: [1; 32],
                model: [2; 32],
                security_bits: 40,
                colluding: 0.1,
                dropping: 0.1,
                signature: [3; 64],
            },
        }
    }

    #[test]
    fn messages_come_back() {
        let check_in = CheckIn { population: "phones".into(), client: "1.0".into(), last: None };
        assert_eq!(CheckIn::from_frame(&check_in.to_frame()), Ok(check_in));
        assert_eq!(Assigned::from_frame(&assigned().to_frame()), Ok(assigned()));
        let enrol = Enrol { token: [5; 32], request: vec![1, 2, 3], attestation: vec![4] };
        assert_eq!(Enrol::from_frame(&enrol.to_frame()), Ok(enrol));
        let certificate = Certificate { key: [1; 32], not_after: 5, signature: [2; 64] };
        let enrolled = Enrolled { certificate, x509: vec![7; 500] };
        assert_eq!(Enrolled::from_frame(&enrolled.to_frame()), Ok(enrolled));
        let renew = Renew { request: vec![9; 200] };
        assert_eq!(Renew::from_frame(&renew.to_frame()), Ok(renew));
        for (number, code) in Code::ALL.into_iter().enumerate() {
            let reject = Reject::new(code, "no");
            assert_eq!(code as usize, number, "codes keep their numbers");
            assert_eq!(Reject::from_frame(&reject.to_frame()), Ok(reject));
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

    #[test]
    fn spoilt_frames_are_refused() {
        let frames =
            [assigned().to_frame(), Enrol { token: [5; 32], request: vec![1], attestation: vec![] }.to_frame()];
        for frame in frames {
            for length in 0..frame.len() {
                assert!(
                    Assigned::from_frame(&frame[..length]).is_err() && Enrol::from_frame(&frame[..length]).is_err()
                );
            }
        }
        assert_eq!(wire::kind_of(&assigned().to_frame()), Ok(Kind::Assigned));
        let mut unknown = assigned().to_frame();
        unknown[5] = 200;
        assert_eq!(wire::kind_of(&unknown), Err(wire::Error::Unexpected(200)));
    }
}
