//! Step 2: a masked vector (docs/protocol.md, 2.6).

use super::SignedHeader;
use crate::secagg::identity::SignatureBytes;
use crate::secagg::keys::Scope;
use crate::secagg::lanes::Shape;
use crate::secagg::mask::Masked;
use crate::secagg::transcript::{Hash, Transcript, hash};
use crate::wire::{self, Kind};
use std::borrow::Cow;

/// A masked vector on its way to the coordinator. Made from [`Masked`] alone, which is made from a noised vector and all
/// of a round's masks by [`Ready::mask`](crate::secagg::device::Ready::mask), and by nothing else.
///
/// An upload has a frame:
///
/// ```
/// fn send(upload: &sordino_shared::secagg::messages::Upload) -> Vec<u8> {
///     upload.to_frame()
/// }
/// ```
///
/// A noised vector has none, and cannot be dressed up as one that is masked:
///
/// ```compile_fail,E0599
/// fn send(noised: &sordino_shared::privacy::Noised) -> Vec<u8> {
///     noised.to_frame()
/// }
/// ```
///
/// ```compile_fail,E0451
/// fn send(bytes: Vec<u8>) -> sordino_shared::secagg::Masked {
///     sordino_shared::secagg::Masked { packed: bytes }
/// }
/// ```
///
/// ```compile_fail,E0603
/// fn send(bytes: &[u8]) -> Vec<u8> {
///     sordino_shared::wire::encode(sordino_shared::wire::Kind::Upload, &0u8, &[bytes])
/// }
/// ```
///
/// Steps cannot be left out or taken twice, since each takes the one before it by value:
///
/// ```compile_fail,E0382
/// use sordino_shared::{privacy::Noised, secagg::{Identity, device::Ready}};
/// fn twice(ready: Ready, one: &Noised, other: &Noised, identity: &Identity) {
///     let _ = ready.mask(one, identity);
///     let _ = ready.mask(other, identity);
/// }
/// ```
pub struct Upload {
    context: Hash,
    position: u32,
    signature: SignatureBytes,
    masked: Masked,
}

impl Upload {
    pub(in crate::secagg) fn new(context: Hash, position: u32, signature: SignatureBytes, masked: Masked) -> Self {
        Self { context, position, signature, masked }
    }

    /// Over the packed vector's hash: computing it takes longest, so it is done once.
    pub(crate) fn statement(scope: &Scope, position: u32, digest: &Hash) -> Transcript {
        scope.transcript("upload").number(position).add(digest)
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let header = SignedHeader { context: self.context, position: self.position, signature: self.signature };
        wire::encode(Kind::Upload, &header, &[self.masked.packed()])
    }
}

/// An upload as the coordinator reads it. The vector stays where it is: in the frame, which is borrowed or kept.
#[derive(Clone, Debug)]
pub struct ReceivedUpload<'a> {
    /// The round.
    pub context: Hash,
    /// Whose it is, as it says.
    pub position: u32,
    /// The device's signature.
    pub signature: SignatureBytes,
    /// The packed vector, with what stands before it.
    pub(crate) packed: Behind<'a>,
}

/// What stands in a frame from a place on.
#[derive(Clone, Debug)]
pub(crate) struct Behind<'a> {
    frame: Cow<'a, [u8]>,
    start: usize,
}

impl Behind<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frame[self.start..]
    }

    #[cfg(test)]
    pub(crate) fn cut(&self) -> Self {
        Self { frame: self.frame.clone(), start: self.start + 1 }
    }
}

impl<'a> ReceivedUpload<'a> {
    /// From a frame of the round's shape: bytes that are borrowed, or a vector of them that is kept.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: impl Into<Cow<'a, [u8]>>, shape: Shape) -> Result<Self, wire::Error> {
        let frame = frame.into();
        let (header, packed): (SignedHeader, _) = wire::decode(&frame, Kind::Upload, shape.bytes())?;
        let SignedHeader { context, position, signature } = header;
        let start = frame.len() - packed.len();
        Ok(Self { context, position, signature, packed: Behind { frame, start } })
    }

    /// The packed vector.
    pub fn packed(&self) -> &[u8] {
        self.packed.bytes()
    }
}

/// The hash of the packed vector in an upload's frame: what its receipt names.
///
/// # Errors
/// As of [`wire::Error`].
pub fn upload_digest(frame: &[u8]) -> Result<Hash, wire::Error> {
    let (_, packed): (SignedHeader, _) = wire::decode(frame, Kind::Upload, u32::MAX as usize)?;
    Ok(hash(packed))
}
