//! One function for each decoder: bytes are refused, or taken and written again as the same message.

use sha2::{Digest, Sha256};
use sordino_shared::secagg::device::{Resumed, resume};
use sordino_shared::secagg::messages::{
    Advertisement, Agreement, Answer, Delivery, Offer, Quorum, ReceivedUpload, Roster, Shares, Survivors,
};
use sordino_shared::secagg::{MaskedSum, Shape};
use sordino_shared::wire::{Error, Preamble};

/// A decoder by its name.
pub type Decoder = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Decoder; 11] = [
    ("offer", offer),
    ("advertisement", advertisement),
    ("roster", roster),
    ("shares", shares),
    ("delivery", delivery),
    ("upload", upload),
    ("survivors", survivors),
    ("agreement", agreement),
    ("quorum", quorum),
    ("answer", answer),
    ("record", record),
];

/// Terms.
pub fn offer(bytes: &[u8]) {
    if let Ok(message) = Offer::from_frame(bytes) {
        // By the bytes: a share that is not a number differs from itself.
        let again = Offer::from_frame(&message.to_frame()).expect("its own form");
        assert_eq!(again.to_frame(), message.to_frame());
    }
}

/// Keys.
pub fn advertisement(bytes: &[u8]) {
    if let Ok((context, message)) = Advertisement::from_frame(bytes) {
        assert_eq!(Advertisement::from_frame(&message.to_frame(&context)), Ok((context, message)));
    }
}

/// Neighbours.
pub fn roster(bytes: &[u8]) {
    same(bytes, |bytes| Roster::from_frame(bytes, COHORT), Roster::to_frame);
}

/// Shares to deal.
pub fn shares(bytes: &[u8]) {
    same(bytes, |bytes| Shares::from_frame(bytes, NEIGHBOURS), Shares::to_frame);
}

/// Shares dealt.
pub fn delivery(bytes: &[u8]) {
    same(bytes, |bytes| Delivery::from_frame(bytes, NEIGHBOURS), Delivery::to_frame);
}

/// Vectors.
pub fn upload(bytes: &[u8]) {
    let shape = Shape { values: 20, bits: 11 };
    if let Ok(message) = ReceivedUpload::from_frame(bytes, shape) {
        assert!(message.packed.len() <= shape.bytes());
        assert!(!shape.takes(message.packed) || message.packed.len() == shape.bytes());
    }
    let _ = MaskedSum::new(shape);
}

/// Survivors.
pub fn survivors(bytes: &[u8]) {
    same(bytes, |bytes| Survivors::from_frame(bytes, COHORT), Survivors::to_frame);
}

/// Signatures.
pub fn agreement(bytes: &[u8]) {
    same(bytes, Agreement::from_frame, Agreement::to_frame);
}

/// Signatures of neighbours.
pub fn quorum(bytes: &[u8]) {
    same(bytes, |bytes| Quorum::from_frame(bytes, NEIGHBOURS), Quorum::to_frame);
}

/// Shares that open.
pub fn answer(bytes: &[u8]) {
    same(bytes, |bytes| Answer::from_frame(bytes, NEIGHBOURS), Answer::to_frame);
}

/// What a device keeps.
pub fn record(bytes: &[u8]) {
    let _ = resume(bytes);
    // A fuzzer finds no hash: it is made to fit, so that what is behind it is read.
    let whole = [bytes, &Sha256::digest(bytes)].concat();
    if let Ok(Resumed::Answered(state)) = resume(&whole) {
        let frame = state.again().to_frame();
        assert_eq!(Answer::from_frame(&frame, u32::MAX).as_ref(), Ok(state.again()));
    }
}

fn same<M: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<M, Error>,
    write: impl Fn(&M) -> Vec<u8>,
) {
    if let Ok(message) = read(bytes) {
        let frame = write(&message);
        // Numbers may come in longer forms than they need, never shorter: what is written again is no longer.
        assert!(frame.len() <= bytes.len() && frame.len() >= Preamble::BYTES);
        assert_eq!(read(&frame), Ok(message));
    }
}

const COHORT: u32 = 12;
const NEIGHBOURS: u32 = 8;
