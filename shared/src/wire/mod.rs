//! Frames: what goes over the wire and into a device's record (docs/protocol.md, section 7).
//!
//! A frame is sixteen bytes of preamble, a small header by `bincode` under a hard limit, and a payload of raw bytes whose
//! length the receiver knows beforehand. Nothing is allocated from a length that a peer sent before it was checked.
//! `bincode` is named in this module alone.

use bincode::config;
/// How a header says what it is made of.
pub(crate) use bincode::{Decode, Encode};
use thiserror::Error;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The terms of a round, signed.
    Offer = 1,
    /// A device's keys for the round.
    Advertisement = 2,
    /// A device's neighbours.
    Roster = 3,
    /// A device's shares for its neighbours.
    Shares = 4,
    /// The shares for a device from its neighbours.
    Delivery = 5,
    /// A masked vector.
    Upload = 6,
    /// Whose vectors are in the sum.
    Survivors = 7,
    /// A signature over the survivors.
    Agreement = 8,
    /// The neighbours' signatures over the survivors.
    Quorum = 9,
    /// The shares that open the sum.
    Answer = 10,
    /// A device asks for work.
    CheckIn = 16,
    /// A round to take part in: the offer and what the plan is made from.
    Assigned = 17,
    /// Come again later.
    RetryAfter = 18,
    /// A device asks for a piece of a model.
    Fetch = 19,
    /// A piece of a model.
    Chunk = 20,
    /// A vector has been counted.
    Receipt = 21,
    /// A device asks for the outcome of a step.
    Ask = 22,
    /// The step is not over: ask again.
    Wait = 23,
    /// The device's part in the round is done.
    Done = 24,
    /// A request for a first certificate.
    Enrol = 25,
    /// A certificate.
    Enrolled = 26,
    /// A request for the next certificate.
    Renew = 27,
    /// Why a request is refused.
    Reject = 28,
    /// What a device keeps across a restart.
    Record = 128,
}

impl Kind {
    /// By its number.
    pub fn of(number: u8) -> Option<Self> {
        use Kind::*;
        [
            Offer,
            Advertisement,
            Roster,
            Shares,
            Delivery,
            Upload,
            Survivors,
            Agreement,
            Quorum,
            Answer,
            CheckIn,
            Assigned,
            RetryAfter,
            Fetch,
            Chunk,
            Receipt,
            Ask,
            Wait,
            Done,
            Enrol,
            Enrolled,
            Renew,
            Reject,
            Record,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// Why bytes are no frame.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin as a frame.
    #[error("this is no frame of Sordino's")]
    NoFrame,
    /// Another version.
    #[error("{}", other_version(*.0))]
    Version(u8),
    /// Another kind than the step takes.
    #[error("this step takes a frame of kind {expected:?}, not one of kind {found}")]
    Kind {
        /// What the step takes.
        expected: Kind,
        /// What came.
        found: u8,
    },
    /// A part is longer than may be.
    #[error("a frame of {found} bytes is longer than the {most} that this step takes")]
    TooLong {
        /// What came or was announced.
        found: u64,
        /// The limit.
        most: usize,
    },
    /// Bytes are missing or left over.
    #[error("the frame's length is {found} bytes where its preamble says {expected}")]
    Length {
        /// By the preamble.
        expected: u64,
        /// What came.
        found: usize,
    },
    /// The header says nothing that makes sense.
    #[error("the frame's header cannot be read")]
    Header,
    /// A kind that has no place here.
    #[error("a frame of kind {0} has no place here")]
    Unexpected(u8),
    /// The payload is not made of the records that it should be.
    #[error("the frame's payload is not made of whole records")]
    Payload,
}

/// The first sixteen bytes of a frame, checked before the rest is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    header: usize,
    payload: usize,
}

impl Preamble {
    /// Bytes of a preamble.
    pub const BYTES: usize = 16;

    /// Reads it and holds its lengths against the limits.
    ///
    /// # Errors
    /// [`enum@Error`], before anything is allocated.
    pub fn read(bytes: &[u8; Self::BYTES], expected: Kind, most_payload: usize) -> Result<Self, Error> {
        let found = Self::kind(bytes)?;
        if found != expected as u8 {
            return Err(Error::Kind { expected, found });
        }
        Self::lengths(bytes, most_payload)
    }

    /// As [`Self::read`], where frames of several kinds may come: each with the most bytes of its payload.
    ///
    /// # Errors
    /// [`enum@Error`], before anything is allocated.
    pub fn read_any(
        bytes: &[u8; Self::BYTES],
        most_payload: impl FnOnce(Kind) -> Option<usize>,
    ) -> Result<(Kind, Self), Error> {
        let number = Self::kind(bytes)?;
        let kind = Kind::of(number).ok_or(Error::Unexpected(number))?;
        let most = most_payload(kind).ok_or(Error::Unexpected(number))?;
        Ok((kind, Self::lengths(bytes, most)?))
    }

    fn kind(bytes: &[u8; Self::BYTES]) -> Result<u8, Error> {
        let [m0, m1, m2, m3, version, kind, r0, r1, ..] = *bytes;
        if [m0, m1, m2, m3] != MAGIC || [r0, r1] != [0, 0] {
            return Err(Error::NoFrame);
        }
        if version != VERSION { Err(Error::Version(version)) } else { Ok(kind) }
    }

    fn lengths(bytes: &[u8; Self::BYTES], most_payload: usize) -> Result<Self, Error> {
        let [_, _, _, _, _, _, _, _, h0, h1, h2, h3, p0, p1, p2, p3] = *bytes;
        let within = |length: u32, most: usize| match usize::try_from(length) {
            Ok(length) if length <= most => Ok(length),
            _ => Err(Error::TooLong { found: u64::from(length), most }),
        };
        let header = within(u32::from_le_bytes([h0, h1, h2, h3]), MOST_HEADER)?;
        let payload = within(u32::from_le_bytes([p0, p1, p2, p3]), most_payload)?;
        Ok(Self { header, payload })
    }

    /// Bytes that follow the preamble.
    pub fn rest(&self) -> usize {
        self.header + self.payload
    }
}

/// Makes a frame of a header and pieces of payload.
pub(crate) fn encode<H: Encode>(kind: Kind, header: &H, payload: &[&[u8]]) -> Vec<u8> {
    let header = bincode::encode_to_vec(header, limited()).expect("a header is fixed fields and fits its limit");
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    let mut frame = Vec::with_capacity(Preamble::BYTES + header.len() + length);
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&[VERSION, kind as u8, 0, 0]);
    for length in [header.len(), length] {
        let length = u32::try_from(length).expect("no payload of a valid plan is as long as 4 GiB");
        frame.extend_from_slice(&length.to_le_bytes());
    }
    frame.extend_from_slice(&header);
    payload.iter().for_each(|piece| frame.extend_from_slice(piece));
    frame
}

/// Takes a whole frame apart; the payload is borrowed.
pub(crate) fn decode<H: Decode<()>>(frame: &[u8], kind: Kind, most_payload: usize) -> Result<(H, &[u8]), Error> {
    let (preamble, rest) = frame.split_first_chunk().ok_or(Error::NoFrame)?;
    let lengths = Preamble::read(preamble, kind, most_payload)?;
    if rest.len() != lengths.rest() {
        return Err(Error::Length { expected: lengths.rest() as u64, found: rest.len() });
    }
    let (header, payload) = rest.split_at(lengths.header);
    let (value, used) = bincode::decode_from_slice(header, limited()).map_err(|_| Error::Header)?;
    // `bincode` lets trailing bytes pass.
    if used != header.len() { Err(Error::Header) } else { Ok((value, payload)) }
}

/// Records of a fixed length, as many as there are; an error if one is not whole.
pub(crate) fn records<const N: usize>(payload: &[u8]) -> Result<&[[u8; N]], Error> {
    match payload.as_chunks() {
        (records, []) => Ok(records),
        _ => Err(Error::Payload),
    }
}

/// The kind of a whole frame.
///
/// # Errors
/// [`enum@Error`] where it is no frame of this version, or of no kind that is known.
pub fn kind_of(frame: &[u8]) -> Result<Kind, Error> {
    let number = Preamble::kind(frame.first_chunk().ok_or(Error::NoFrame)?)?;
    Kind::of(number).ok_or(Error::Unexpected(number))
}

/// The state of a coordinator's round as bytes for its store, which is trusted; never from or to a peer.
pub fn snapshot<T: serde::Serialize>(state: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(state, config::standard()).expect("plain state has a form in bytes")
}

/// Reads [`snapshot`].
///
/// # Errors
/// [`Error::Header`] where the bytes are another state's or damaged.
pub fn restore<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match bincode::serde::decode_from_slice(bytes, config::standard()) {
        Ok((state, used)) if used == bytes.len() => Ok(state),
        _ => Err(Error::Header),
    }
}

fn limited() -> impl config::Config {
    config::standard().with_limit::<MOST_HEADER>()
}

fn other_version(found: u8) -> String {
    let older = if found > VERSION { "this program" } else { "the program that sent it" };
    format!("a frame of version {found}, and this program speaks version {VERSION}: update {older}")
}

const MAGIC: [u8; 4] = *b"SRDN";
const VERSION: u8 = 1;
// Headers are a few fixed fields; what grows with a round goes into the payload.
const MOST_HEADER: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Header = (u32, [u8; 32], Option<u16>);

    fn frame() -> Vec<u8> {
        encode(Kind::Upload, &(7u32, [9u8; 32], Some(3u16)), &[b"abc", b"de"])
    }

    #[test]
    fn a_frame_comes_back() {
        let frame = frame();
        let (header, payload): (Header, _) = decode(&frame, Kind::Upload, 5).expect("its own form");
        assert_eq!((header, payload), ((7, [9; 32], Some(3)), &b"abcde"[..]));
    }

    #[test]
    fn each_fault_has_its_name() {
        let read = |frame: &[u8], most| decode::<Header>(frame, Kind::Upload, most).map(|_| ());
        let changed = |at: usize, byte: u8| {
            let mut frame = frame();
            frame[at] = byte;
            frame
        };
        assert_eq!(read(&changed(0, 0), 5), Err(Error::NoFrame));
        assert_eq!(read(&changed(6, 1), 5), Err(Error::NoFrame));
        assert_eq!(read(&changed(4, 2), 5), Err(Error::Version(2)));
        assert!(Error::Version(2).to_string().ends_with("update this program"));
        assert!(Error::Version(0).to_string().ends_with("update the program that sent it"));
        assert_eq!(read(&changed(5, 99), 5), Err(Error::Kind { expected: Kind::Upload, found: 99 }));
        assert_eq!(read(&frame(), 4), Err(Error::TooLong { found: 5, most: 4 }));
        assert!(matches!(read(&changed(11, 0xff), 5), Err(Error::TooLong { .. })));
        assert!(matches!(read(&frame()[..30], 5), Err(Error::Length { .. })));
        let longer: Vec<u8> = frame().into_iter().chain([0]).collect();
        assert!(matches!(read(&longer, 5), Err(Error::Length { .. })));
        // A header byte more and a payload byte less: the header does not take it.
        let mut shifted = frame();
        shifted[8] += 1;
        shifted[12] -= 1;
        assert_eq!(read(&shifted, 5), Err(Error::Header));
        assert_eq!(records::<2>(b"abc").err(), Some(Error::Payload));
    }

    // A header that claims an endless list costs nothing: the limit is checked before the allocation.
    #[test]
    fn claimed_lengths_allocate_nothing() {
        let mut frame = encode(Kind::Record, &(), &[]);
        frame[8..12].copy_from_slice(&9u32.to_le_bytes());
        frame.extend_from_slice(&[253, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(decode::<Vec<u64>>(&frame, Kind::Record, 0).err(), Some(Error::Header));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..60) {
            let _ = decode::<Header>(&bytes, Kind::Upload, 64);
            let mut spoilt = frame();
            let at = at % spoilt.len();
            spoilt.splice(at..at, bytes);
            let _ = decode::<Header>(&spoilt, Kind::Upload, 64);
        }
    }
}
