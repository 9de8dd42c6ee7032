//! One function for each decoder: bytes are refused, or taken and written again as the same message. Each says which.

use sha2::{Digest, Sha256};
use sordino_shared::control::{
    Announced, Ask, Assigned, CheckIn, Chunk, Done, Download, Enrol, Enrolled, Fetch, Receipt, Reject, Renew,
    RetryAfter, Wait,
};
use sordino_shared::model::{Model, Ranker, Tower};
use sordino_shared::registry::{Refresh, Trusted};
use sordino_shared::secagg::device::{Resumed, resume};
use sordino_shared::secagg::messages::{
    Advertisement, Agreement, Answer, Delivery, Offer, Quorum, ReceivedUpload, Roster, Shares, Survivors, upload_digest,
};
use sordino_shared::secagg::{MaskedSum, Shape};
use sordino_shared::wire::{Error, Preamble};
use sordino_shared::workload::Broadcast;

/// A decoder by its name.
pub type Decoder = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const ALL: [Decoder; 30] = [
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
    ("check_in", |bytes| same(bytes, CheckIn::from_frame, CheckIn::to_frame)),
    ("assigned", assigned),
    ("retry_after", |bytes| same(bytes, RetryAfter::from_frame, RetryAfter::to_frame)),
    ("fetch", |bytes| same(bytes, Fetch::from_frame, Fetch::to_frame)),
    ("chunk", chunk),
    ("receipt", |bytes| same(bytes, Receipt::from_frame, Receipt::to_frame)),
    ("ask", |bytes| same(bytes, Ask::from_frame, Ask::to_frame)),
    ("wait", |bytes| same(bytes, Wait::from_frame, Wait::to_frame)),
    ("done", |bytes| same(bytes, Done::from_frame, Done::to_frame)),
    ("enrol", |bytes| same(bytes, Enrol::from_frame, Enrol::to_frame)),
    ("enrolled", |bytes| same(bytes, Enrolled::from_frame, Enrolled::to_frame)),
    ("renew", |bytes| same(bytes, Renew::from_frame, Renew::to_frame)),
    ("reject", |bytes| same(bytes, Reject::from_frame, Reject::to_frame)),
    ("upload_digest", |bytes| upload_digest(bytes).is_ok()),
    ("broadcast", broadcast),
    ("model", model),
    ("ranker", ranker),
    ("tower", tower),
    ("registry", registry),
];

/// A root of the registry, and what is stored of one.
pub fn registry(bytes: &[u8]) -> bool {
    let stored = Trusted::from_bytes(bytes).map(|trusted| trusted.to_bytes());
    if let Ok(stored) = &stored {
        assert_eq!(Trusted::from_bytes(stored).map(|trusted| trusted.to_bytes()).as_ref(), Ok(stored));
    }
    let Ok(trusted) = Trusted::new(bytes) else { return stored.is_ok() };
    // Whatever else comes of it, the same bytes are no next root, and no timestamp.
    let download = Download { digest: [0; 32], length: 0 };
    for roots in [vec![download; 2], vec![]] {
        let mut look = Refresh::new(trusted.clone(), &Announced { timestamp: download, roots });
        assert!(look.wanted().is_some() && look.take(bytes, 0).is_err());
    }
    true
}

/// A round to take part in; its numbers need not be numbers.
pub fn assigned(bytes: &[u8]) -> bool {
    let Ok(message) = Assigned::from_frame(bytes) else { return false };
    let again = Assigned::from_frame(&message.to_frame()).expect("its own form");
    assert_eq!(again.to_frame(), message.to_frame());
    true
}

/// A piece of a model.
pub fn chunk(bytes: &[u8]) -> bool {
    let Ok(message) = Chunk::from_frame(bytes) else { return false };
    assert_eq!(Chunk::from_frame(&message.to_frame()), Ok(message));
    true
}

/// What devices of a round load.
pub fn broadcast(bytes: &[u8]) -> bool {
    let Ok(broadcast) = Broadcast::from_bytes(bytes) else { return false };
    assert_eq!(broadcast.to_bytes(), bytes, "there is one form");
    true
}

/// A ranker.
pub fn ranker(bytes: &[u8]) -> bool {
    let Ok(ranker) = Ranker::from_bytes(bytes) else { return false };
    assert_eq!(ranker.to_bytes(), bytes, "there is one form");
    true
}

/// A tower.
pub fn tower(bytes: &[u8]) -> bool {
    let Ok(tower) = Tower::from_bytes(bytes) else { return false };
    assert_eq!(tower.to_bytes(), bytes, "there is one form");
    true
}

/// A model.
pub fn model(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes) else { return false };
    assert_eq!(model.to_bytes(), bytes, "there is one form");
    true
}

/// Terms.
pub fn offer(bytes: &[u8]) -> bool {
    let Ok(message) = Offer::from_frame(bytes) else { return false };
    // By the bytes: a share that is not a number differs from itself.
    let again = Offer::from_frame(&message.to_frame()).expect("its own form");
    assert_eq!(again.to_frame(), message.to_frame());
    true
}

/// Keys.
pub fn advertisement(bytes: &[u8]) -> bool {
    let Ok((context, message)) = Advertisement::from_frame(bytes) else { return false };
    assert_eq!(Advertisement::from_frame(&message.to_frame(&context)), Ok((context, message)));
    true
}

/// Neighbours.
pub fn roster(bytes: &[u8]) -> bool {
    same(bytes, |bytes| Roster::from_frame(bytes, COHORT), Roster::to_frame)
}

/// Shares to deal.
pub fn shares(bytes: &[u8]) -> bool {
    same(bytes, |bytes| Shares::from_frame(bytes, NEIGHBOURS), Shares::to_frame)
}

/// Shares dealt.
pub fn delivery(bytes: &[u8]) -> bool {
    same(bytes, |bytes| Delivery::from_frame(bytes, NEIGHBOURS), Delivery::to_frame)
}

/// Vectors.
pub fn upload(bytes: &[u8]) -> bool {
    // No longer than the vectors'; a sum takes it if it is of its shape, and no other.
    let shape = Shape { values: 400, bits: 16 };
    let Ok(message) = ReceivedUpload::from_frame(bytes, shape) else { return false };
    let added = MaskedSum::new(shape).add_packed(message.packed());
    assert_eq!(added, message.packed().len() == shape.bytes());
    true
}

/// Survivors.
pub fn survivors(bytes: &[u8]) -> bool {
    same(bytes, |bytes| Survivors::from_frame(bytes, COHORT), Survivors::to_frame)
}

/// Signatures.
pub fn agreement(bytes: &[u8]) -> bool {
    same(bytes, Agreement::from_frame, Agreement::to_frame)
}

/// Signatures of neighbours.
pub fn quorum(bytes: &[u8]) -> bool {
    same(bytes, |bytes| Quorum::from_frame(bytes, NEIGHBOURS), Quorum::to_frame)
}

/// Shares that open.
pub fn answer(bytes: &[u8]) -> bool {
    same(bytes, |bytes| Answer::from_frame(bytes, NEIGHBOURS), Answer::to_frame)
}

/// What a device keeps.
pub fn record(bytes: &[u8]) -> bool {
    let read = resume(bytes).is_ok();
    // A fuzzer finds no hash: it is made to fit, so that what is behind it is read.
    let whole = [bytes, &Sha256::digest(bytes)].concat();
    if let Ok(Resumed::Answered(state)) = resume(&whole) {
        let frame = state.again().to_frame();
        assert_eq!(Answer::from_frame(&frame, u32::MAX).as_ref(), Ok(state.again()));
    }
    read
}

fn same<M: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<M, Error>,
    write: impl Fn(&M) -> Vec<u8>,
) -> bool {
    let Ok(message) = read(bytes) else { return false };
    let frame = write(&message);
    // Numbers may come in longer forms than they need, never shorter: what is written again is no longer.
    assert!(frame.len() <= bytes.len() && frame.len() >= Preamble::BYTES);
    assert_eq!(read(&frame), Ok(message));
    true
}

const COHORT: u32 = 12;
const NEIGHBOURS: u32 = 8;
