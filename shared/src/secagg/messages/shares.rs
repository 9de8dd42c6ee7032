//! Step 1: shares out and shares in (docs/protocol.md, 2.4 and 2.5).

use super::{Bits, field};
use crate::secagg::identity::SignatureBytes;
use crate::secagg::keys::{Scope, Sealed};
use crate::secagg::transcript::{Hash, Transcript, hash};
use crate::wire::{self, Decode, Encode, Kind, records};
use serde::{Deserialize, Serialize};

/// The shares of a device's two secrets for one neighbour, encrypted, and what holds the neighbour to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deal {
    #[serde(with = "crate::secagg::keys::byte_array")]
    /// The two shares under the pair's key.
    pub sealed: Sealed,
    /// What they are held against.
    pub commitments: Commitments,
}

/// Hashes of the two shares, cut to 16 bytes: a holder cannot find another share with the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commitments {
    /// Of the share of the masking key.
    pub masking: [u8; 16],
    /// Of the share of the device's own seed.
    pub own: [u8; 16],
}

/// Which of a device's two secrets a share is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Secret {
    /// r_b: the seed of its own mask; opened for survivors.
    Own = 1,
    /// r_s: the key of its masks with neighbours; opened for devices that dropped out.
    Masking = 2,
}

impl Commitments {
    pub(crate) fn of(&self, secret: Secret) -> &[u8; 16] {
        match secret {
            Secret::Own => &self.own,
            Secret::Masking => &self.masking,
        }
    }
}

/// What commits `dealer` to the share of one of its secrets at `slot`.
pub(crate) fn commitment(scope: &Scope, dealer: u32, slot: usize, secret: Secret, share: &Hash) -> [u8; 16] {
    let transcript = scope.transcript("commitment").number(dealer).number(slot as u32).add(&[secret as u8]);
    field(&transcript.add(share).hash(), 0)
}

/// What a device's own seed is checked against once it is opened.
pub(crate) fn seed_hash(context: &Hash, seed: &Hash) -> Hash {
    Transcript::new("seed").add(context).add(seed).hash()
}

impl Deal {
    pub(crate) const BYTES: usize = 80 + 16 + 16;

    fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..80].copy_from_slice(&self.sealed);
        bytes[80..96].copy_from_slice(&self.commitments.masking);
        bytes[96..].copy_from_slice(&self.commitments.own);
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let commitments = Commitments { masking: field(bytes, 80), own: field(bytes, 96) };
        Self { sealed: field(bytes, 0), commitments }
    }
}

/// A device's shares for all its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The round.
    pub context: Hash,
    /// Whose secrets they are of.
    pub position: u32,
    /// Hash of the seed of its own mask.
    pub seed_hash: Hash,
    /// The device's signature over all of it.
    pub signature: SignatureBytes,
    /// By slot.
    pub deals: Vec<Deal>,
}

#[derive(Encode, Decode)]
struct SharesHeader {
    context: Hash,
    position: u32,
    seed_hash: Hash,
    signature: SignatureBytes,
}

impl Shares {
    pub(crate) fn statement(scope: &Scope, position: u32, seed_hash: &Hash, deals: &[Deal]) -> Transcript {
        let deals: Vec<u8> = deals.iter().flat_map(Deal::to_bytes).collect();
        scope.transcript("share").number(position).add(seed_hash).add(&hash(&deals))
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let header = SharesHeader {
            context: self.context,
            position: self.position,
            seed_hash: self.seed_hash,
            signature: self.signature,
        };
        let deals: Vec<u8> = self.deals.iter().flat_map(Deal::to_bytes).collect();
        wire::encode(Kind::Shares, &header, &[&deals])
    }

    /// From a frame of at most `neighbours` shares.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8], neighbours: u32) -> Result<Self, wire::Error> {
        let most = (neighbours as usize).saturating_mul(Deal::BYTES);
        let (header, payload): (SharesHeader, _) = wire::decode(frame, Kind::Shares, most)?;
        Ok(Self {
            context: header.context,
            position: header.position,
            seed_hash: header.seed_hash,
            signature: header.signature,
            deals: records(payload)?.iter().map(Deal::from_bytes).collect(),
        })
    }
}

/// The shares for a device from those of its neighbours that are alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The round.
    pub context: Hash,
    /// U2 among the device's neighbours, by slot.
    pub alive: Bits,
    /// What each of them dealt to this device, in the order of slots.
    pub deals: Vec<Deal>,
}

impl Delivery {
    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let deals: Vec<u8> = self.deals.iter().flat_map(Deal::to_bytes).collect();
        wire::encode(Kind::Delivery, &(self.context, self.alive.places()), &[self.alive.bytes(), &deals])
    }

    /// From a frame about at most `neighbours` slots.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8], neighbours: u32) -> Result<Self, wire::Error> {
        let most = Bits::bytes_for(neighbours) + (neighbours as usize).saturating_mul(Deal::BYTES);
        let ((context, slots), payload): ((Hash, u32), _) = wire::decode(frame, Kind::Delivery, most)?;
        let (alive, deals) = payload.split_at_checked(Bits::bytes_for(slots)).ok_or(wire::Error::Payload)?;
        let alive = Bits::new(slots, alive.to_vec()).ok_or(wire::Error::Payload)?;
        Ok(Self { context, alive, deals: records(deals)?.iter().map(Deal::from_bytes).collect() })
    }
}
