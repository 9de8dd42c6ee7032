//! Step 3: who is in the sum, and who has signed it (docs/protocol.md, 2.7 and 2.8).

use super::{Bits, SignedHeader, field};
use crate::secagg::identity::SignatureBytes;
use crate::secagg::keys::Scope;
use crate::secagg::transcript::{Hash, Transcript};
use crate::wire::{self, Kind, records};

/// U3: the devices whose vectors are in the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    /// The round.
    pub context: Hash,
    /// By position.
    pub devices: Bits,
}

impl Survivors {
    /// H(U3).
    pub(crate) fn hash(scope: &Scope, devices: &Bits) -> Hash {
        scope.transcript("survivors").number(devices.places()).add(devices.bytes()).hash()
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Survivors, &(self.context, self.devices.places()), &[self.devices.bytes()])
    }

    /// From a frame about at most `cohort` devices.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8], cohort: u32) -> Result<Self, wire::Error> {
        let ((context, length), payload): ((Hash, u32), _) =
            wire::decode(frame, Kind::Survivors, Bits::bytes_for(cohort))?;
        let devices = Bits::new(length, payload.to_vec()).ok_or(wire::Error::Payload)?;
        Ok(Self { context, devices })
    }
}

/// A device's signature over the survivors that it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The round.
    pub context: Hash,
    /// Who signs.
    pub position: u32,
    /// The signature.
    pub signature: SignatureBytes,
}

impl Agreement {
    /// Who signs is in the statement, so that no signature passes for another device's.
    pub(crate) fn statement(scope: &Scope, position: u32, survivors: &Hash) -> Transcript {
        scope.transcript("agree").number(position).add(survivors)
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let header = SignedHeader { context: self.context, position: self.position, signature: self.signature };
        wire::encode(Kind::Agreement, &header, &[])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        let (header, _): (SignedHeader, _) = wire::decode(frame, Kind::Agreement, 0)?;
        Ok(Self { context: header.context, position: header.position, signature: header.signature })
    }
}

/// Neighbours' signatures over the survivors: proof for a device that others were shown the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The round.
    pub context: Hash,
    /// Slot of the neighbour, and its signature, by slot.
    pub signatures: Vec<(u32, SignatureBytes)>,
}

impl Quorum {
    const BYTES: usize = 4 + 64;

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.signatures.len() * Self::BYTES);
        for (slot, signature) in &self.signatures {
            payload.extend_from_slice(&slot.to_le_bytes());
            payload.extend_from_slice(signature);
        }
        wire::encode(Kind::Quorum, &self.context, &[&payload])
    }

    /// From a frame of at most `neighbours` signatures.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8], neighbours: u32) -> Result<Self, wire::Error> {
        let most = (neighbours as usize).saturating_mul(Self::BYTES);
        let (context, payload) = wire::decode(frame, Kind::Quorum, most)?;
        let read = |record: &[u8; Self::BYTES]| (u32::from_le_bytes(field(record, 0)), field(record, 4));
        Ok(Self { context, signatures: records(payload)?.iter().map(read).collect() })
    }
}
