//! Loading what is named by its hash, piece by piece, so that a broken load goes on where it broke off.

use crate::secagg::Hash;
use crate::wire::{self, Decode, Encode, Kind};

/// A device asks for bytes from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fetch {
    /// SHA-256 of the whole.
    pub digest: Hash,
    /// The first byte wanted.
    pub offset: u64,
}

impl Fetch {
    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Fetch, self, &[])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        Ok(wire::decode(frame, Kind::Fetch, 0)?.0)
    }
}

/// Bytes from an offset on, as many as fit a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// SHA-256 of the whole.
    pub digest: Hash,
    /// The first byte here.
    pub offset: u64,
    /// Bytes of the whole.
    pub total: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The piece of `whole` that answers a request.
    pub fn of(whole: &'a [u8], fetch: &Fetch) -> Self {
        let start = usize::try_from(fetch.offset).unwrap_or(usize::MAX).min(whole.len());
        let end = start.saturating_add(MOST_CHUNK).min(whole.len());
        Self { digest: fetch.digest, offset: start as u64, total: whole.len() as u64, bytes: &whole[start..end] }
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Chunk, &(self.digest, self.offset, self.total), &[self.bytes])
    }

    /// From a frame; the bytes are borrowed.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &'a [u8]) -> Result<Self, wire::Error> {
        let ((digest, offset, total), bytes) = wire::decode(frame, Kind::Chunk, MOST_CHUNK)?;
        Ok(Self { digest, offset, total, bytes })
    }
}

/// The most bytes of one piece.
pub const MOST_CHUNK: usize = 256 * 1024;
