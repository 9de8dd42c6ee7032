//! Step 0: terms, keys, neighbours (docs/protocol.md, 2.1 to 2.3).

use super::field;
use crate::secagg::identity::{Certificate, SignatureBytes};
use crate::secagg::transcript::{Hash, Transcript};
use crate::wire::{self, Decode, Encode, Kind, records};
use serde::{Deserialize, Serialize};

/// Signed terms of a round, from the coordinator.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Offer {
    /// The task.
    pub task: String,
    /// The round within it.
    pub round: u64,
    /// Hash of the plan.
    pub plan: Hash,
    /// Hash of the model.
    pub model: Hash,
    /// sigma.
    pub security_bits: u32,
    /// gamma.
    pub colluding: f64,
    /// delta.
    pub dropping: f64,
    /// The operator's signature.
    pub signature: SignatureBytes,
}

impl Offer {
    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Offer, self, &[])
    }

    /// From a frame.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<Self, wire::Error> {
        Ok(wire::decode(frame, Kind::Offer, 0)?.0)
    }
}

/// A device's keys for one round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// Whose they are.
    pub certificate: Certificate,
    /// c: the X25519 key that shares are encrypted with.
    pub sealing_key: Hash,
    /// s: the X25519 key that masks are agreed with.
    pub masking_key: Hash,
    /// The device's signature over both and the context.
    #[serde(with = "crate::secagg::keys::byte_array")]
    pub signature: SignatureBytes,
}

impl Advertisement {
    pub(crate) const BYTES: usize = Certificate::BYTES + 32 + 32 + 64;

    pub(crate) fn statement(context: &Hash, sealing_key: &Hash, masking_key: &Hash) -> Transcript {
        Transcript::new("advertise").add(context).add(sealing_key).add(masking_key)
    }

    pub(crate) fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (certificate, keys) = bytes.split_at_mut(Certificate::BYTES);
        certificate.copy_from_slice(&self.certificate.to_bytes());
        keys[..32].copy_from_slice(&self.sealing_key);
        keys[32..64].copy_from_slice(&self.masking_key);
        keys[64..].copy_from_slice(&self.signature);
        bytes
    }

    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        Self {
            certificate: Certificate::from_bytes(&field(bytes, 0)),
            sealing_key: field(bytes, Certificate::BYTES),
            masking_key: field(bytes, Certificate::BYTES + 32),
            signature: field(bytes, Certificate::BYTES + 64),
        }
    }

    /// To a frame.
    pub fn to_frame(&self, context: &Hash) -> Vec<u8> {
        wire::encode(Kind::Advertisement, context, &[&self.to_bytes()])
    }

    /// From a frame, with the context that it is for.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8]) -> Result<(Hash, Self), wire::Error> {
        let (context, payload) = wire::decode(frame, Kind::Advertisement, Self::BYTES)?;
        let bytes = payload.try_into().map_err(|_| wire::Error::Payload)?;
        Ok((context, Self::from_bytes(bytes)))
    }
}

/// A device's place in the roster, and its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The round.
    pub context: Hash,
    /// n: devices in the roster.
    pub devices: u32,
    /// The device's own position.
    pub position: u32,
    /// The root of the hash tree over all advertisements.
    pub root: Hash,
    /// The authority's signature, from which the graph follows; none for a complete graph.
    pub draw: Option<SignatureBytes>,
    /// The device's own advertisement and its neighbours', by position.
    pub members: Vec<Advertisement>,
    /// The hashes that lead from them to the root.
    pub proof: Vec<Hash>,
}

#[derive(Encode, Decode)]
struct RosterHeader {
    context: Hash,
    devices: u32,
    position: u32,
    root: Hash,
    draw: Option<SignatureBytes>,
    members: u32,
}

impl Roster {
    /// rho: the hash that stands for the roster.
    pub(crate) fn hash(context: &Hash, devices: u32, root: &Hash) -> Hash {
        Transcript::new("roster").add(context).number(devices).add(root).hash()
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let header = RosterHeader {
            context: self.context,
            devices: self.devices,
            position: self.position,
            root: self.root,
            draw: self.draw,
            members: self.members.len() as u32,
        };
        let members: Vec<u8> = self.members.iter().flat_map(Advertisement::to_bytes).collect();
        wire::encode(Kind::Roster, &header, &[&members, self.proof.as_flattened()])
    }

    /// From a frame; no more members than a cohort has devices.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &[u8], cohort: u32) -> Result<Self, wire::Error> {
        let most = (cohort as usize).saturating_mul(Advertisement::BYTES + 32);
        let (header, payload): (RosterHeader, _) = wire::decode(frame, Kind::Roster, most)?;
        let length = (header.members as usize).saturating_mul(Advertisement::BYTES);
        let (members, proof) = payload.split_at_checked(length).ok_or(wire::Error::Payload)?;
        Ok(Self {
            context: header.context,
            devices: header.devices,
            position: header.position,
            root: header.root,
            draw: header.draw,
            members: records(members)?.iter().map(Advertisement::from_bytes).collect(),
            proof: records(proof)?.to_vec(),
        })
    }
}
