//! Step 4: the shares that open the sum (docs/protocol.md, 2.8).

use super::{Secret, SignedHeader, field};
use crate::secagg::identity::SignatureBytes;
use crate::secagg::keys::Scope;
use crate::secagg::transcript::{Hash, Transcript, hash};
use crate::wire::{self, Kind, records};

/// What a device says about one neighbour when the sum is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The neighbour dealt no shares.
    Nothing,
    /// The share of one of its secrets.
    Share(Secret, Hash),
    /// The neighbour's shares were not what it committed to, or could not be decrypted.
    Complaint,
}

/// A device's shares that open the sum, by slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The round.
    pub context: Hash,
    /// Whose answer it is.
    pub position: u32,
    /// The device's signature.
    pub signature: SignatureBytes,
    /// By slot.
    pub opened: Vec<Opened>,
}

impl Answer {
    const BYTES: usize = 1 + 32;

    pub(crate) fn statement(scope: &Scope, position: u32, survivors: &Hash, opened: &[Opened]) -> Transcript {
        scope.transcript("answer").number(position).add(survivors).add(&hash(&Self::payload(opened)))
    }

    fn payload(opened: &[Opened]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(opened.len() * Self::BYTES);
        for entry in opened {
            let (kind, share) = match entry {
                Opened::Nothing => (0, [0; 32]),
                Opened::Share(secret, share) => (*secret as u8, *share),
                Opened::Complaint => (COMPLAINT, [0; 32]),
            };
            payload.push(kind);
            payload.extend_from_slice(&share);
        }
        payload
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let header = SignedHeader { context: self.context, position: self.position, signature: self.signature };
        wire::encode(Kind::Answer, &header, &[&Self::payload(&self.opened)])
    }

    /// From a frame about at most `neighbours` slots.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8], neighbours: u32) -> Result<Self, wire::Error> {
        let most = (neighbours as usize).saturating_mul(Self::BYTES);
        let (header, payload): (SignedHeader, _) = wire::decode(frame, Kind::Answer, most)?;
        let opened = records::<{ Self::BYTES }>(payload)?.iter().map(|record| {
            let share: Hash = field(record, 1);
            match record[0] {
                0 if share == [0; 32] => Ok(Opened::Nothing),
                1 => Ok(Opened::Share(Secret::Own, share)),
                2 => Ok(Opened::Share(Secret::Masking, share)),
                COMPLAINT if share == [0; 32] => Ok(Opened::Complaint),
                _ => Err(wire::Error::Payload),
            }
        });
        Ok(Self {
            context: header.context,
            position: header.position,
            signature: header.signature,
            opened: opened.collect::<Result<_, _>>()?,
        })
    }
}

const COMPLAINT: u8 = 3;
