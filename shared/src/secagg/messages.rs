//! The messages, each to a frame and back (docs/protocol.md, sections 2 and 7).

use super::keys::{Certificate, Scope, Sealed, SignatureBytes};
use super::mask::{Masked, Shape};
use super::transcript::{Hash, Transcript, hash};
use crate::wire::{self, Kind, records};
use bincode::{Decode, Encode};
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
    /// The planner's signature.
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
    #[serde(with = "super::keys::byte_array")]
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

/// The shares of a device's two secrets for one neighbour, encrypted, and what holds the neighbour to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deal {
    #[serde(with = "super::keys::byte_array")]
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
        wire::encode(Kind::Delivery, &(self.context, self.alive.length), &[&self.alive.bytes, &deals])
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

/// A masked vector on its way to the coordinator. Made from [`Masked`] alone, which is made from a noised vector and all
/// of a round's masks by [`Ready::mask`](super::device::Ready::mask), and by nothing else.
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

#[derive(Encode, Decode)]
struct SignedHeader {
    context: Hash,
    position: u32,
    signature: SignatureBytes,
}

impl Upload {
    pub(super) fn new(context: Hash, position: u32, signature: SignatureBytes, masked: Masked) -> Self {
        Self { context, position, signature, masked }
    }

    pub(crate) fn statement(scope: &Scope, position: u32, packed: &[u8]) -> Transcript {
        scope.transcript("upload").number(position).add(&hash(packed))
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let header = SignedHeader { context: self.context, position: self.position, signature: self.signature };
        wire::encode(Kind::Upload, &header, &[self.masked.packed()])
    }
}

/// An upload as the coordinator reads it; the vector is borrowed from the frame.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedUpload<'a> {
    /// The round.
    pub context: Hash,
    /// Whose it is, as it says.
    pub position: u32,
    /// The device's signature.
    pub signature: SignatureBytes,
    /// The packed vector.
    pub packed: &'a [u8],
}

impl<'a> ReceivedUpload<'a> {
    /// From a frame of the round's shape.
    ///
    /// # Errors
    /// As of [`wire::Error`].
    pub fn from_frame(frame: &'a [u8], shape: Shape) -> Result<Self, wire::Error> {
        let (header, packed): (SignedHeader, _) = wire::decode(frame, Kind::Upload, shape.bytes())?;
        Ok(Self { context: header.context, position: header.position, signature: header.signature, packed })
    }
}

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
        scope.transcript("survivors").number(devices.length).add(&devices.bytes).hash()
    }

    /// To a frame.
    pub fn to_frame(&self) -> Vec<u8> {
        wire::encode(Kind::Survivors, &(self.context, self.devices.length), &[&self.devices.bytes])
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

/// A set of places, one bit each, least significant first; spare bits are zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bits {
    length: u32,
    bytes: Vec<u8>,
}

impl Bits {
    /// The empty set over `length` places.
    pub fn none(length: u32) -> Self {
        Self { length, bytes: vec![0; Self::bytes_for(length)] }
    }

    /// Reads a set; `None` if the bytes have another length or bits beyond it.
    pub fn new(length: u32, bytes: Vec<u8>) -> Option<Self> {
        let spare = bytes.len() as u64 * 8 - u64::from(length).min(bytes.len() as u64 * 8);
        let fits = bytes.len() == Self::bytes_for(length)
            && bytes.last().is_none_or(|last| u32::from(*last) << spare <= u32::from(u8::MAX));
        fits.then_some(Self { length, bytes })
    }

    /// Adds a place.
    pub fn insert(&mut self, place: u32) {
        assert!(place < self.length, "a place of the set");
        self.bytes[place as usize / 8] |= 1 << (place % 8);
    }

    /// Takes a place out.
    pub fn remove(&mut self, place: u32) {
        assert!(place < self.length, "a place of the set");
        self.bytes[place as usize / 8] &= !(1 << (place % 8));
    }

    /// Whether the place is in.
    pub fn contains(&self, place: u32) -> bool {
        place < self.length && self.bytes[place as usize / 8] >> (place % 8) & 1 == 1
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        self.bytes.iter().map(|byte| byte.count_ones()).sum()
    }

    /// How many places there are.
    pub fn places(&self) -> u32 {
        self.length
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Those that are in, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.length).filter(|&place| self.contains(place))
    }

    pub(super) fn bytes_for(length: u32) -> usize {
        length.div_ceil(8) as usize
    }
}

pub(super) fn field<const N: usize>(bytes: &[u8], start: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[start..start + N]);
    field
}

const COMPLAINT: u8 = 3;
