//! Who a device is, and whom it trusts (docs/protocol.md, section 9).

use super::keys::byte_array;
use super::transcript::{Hash, Transcript};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// An Ed25519 signature.
pub type SignatureBytes = [u8; 64];

/// A statement that this key belongs to an enrolled device, signed by the enrolment authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The device's Ed25519 key.
    pub key: Hash,
    /// Until when it may be used, in milliseconds since 1970.
    pub not_after: i64,
    /// The authority's signature over both.
    #[serde(with = "byte_array")]
    pub signature: SignatureBytes,
}

impl Certificate {
    /// Bytes of a certificate.
    pub const BYTES: usize = 32 + 8 + 64;

    /// Whether the authority signed it and its time is not over.
    pub fn holds(&self, authority: &PublicIdentity, now: i64) -> bool {
        now <= self.not_after && authority.signed(&Self::statement(&self.key, self.not_after), &self.signature)
    }

    fn statement(key: &Hash, not_after: i64) -> Transcript {
        Transcript::new("certificate").add(key).add(&not_after.to_le_bytes())
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.key);
        bytes[32..40].copy_from_slice(&self.not_after.to_le_bytes());
        bytes[40..].copy_from_slice(&self.signature);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (mut key, mut time, mut signature) = ([0; 32], [0; 8], [0; 64]);
        key.copy_from_slice(&bytes[..32]);
        time.copy_from_slice(&bytes[32..40]);
        signature.copy_from_slice(&bytes[40..]);
        Self { key, not_after: i64::from_le_bytes(time), signature }
    }
}

/// A key that others' signatures are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicIdentity(VerifyingKey);

impl PublicIdentity {
    /// Reads a key; `None` if the bytes are no point of the curve, or one of the few that sign anything.
    pub fn new(bytes: &Hash) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// Its bytes.
    pub fn bytes(&self) -> Hash {
        self.0.to_bytes()
    }

    pub(crate) fn signed(&self, statement: &Transcript, signature: &SignatureBytes) -> bool {
        self.signed_bytes(statement.bytes(), signature)
    }

    pub(crate) fn signed_bytes(&self, bytes: &[u8], signature: &SignatureBytes) -> bool {
        self.0.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok()
    }
}

/// An Ed25519 key pair: of a device, of whoever signs plans, or of the authority. Wiped on drop, prints nothing.
pub struct Identity(SigningKey);

impl Identity {
    /// A new key pair.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        Self::from_secret(&seed)
    }

    /// The key pair of a stored secret.
    pub fn from_secret(secret: &Zeroizing<[u8; 32]>) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret, for storing it where the system stores keys.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The secret as TLS wants to have it: PKCS #8, version 1 (RFC 8410, section 7).
    pub fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8.len() + 32));
        der.extend_from_slice(&PKCS8);
        der.extend_from_slice(self.0.as_bytes());
        der
    }

    /// The public half.
    pub fn public(&self) -> PublicIdentity {
        PublicIdentity(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, statement: &Transcript) -> SignatureBytes {
        self.sign_bytes(statement.bytes())
    }

    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> SignatureBytes {
        self.0.sign(bytes).to_bytes()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(secret)")
    }
}

/// The enrolment authority: it says who is a device, and draws each round's graph. It has its own key and, where
/// possible, its own operator: whoever holds it together with the coordinator can surround a device with inventions.
#[derive(Debug)]
pub struct Authority {
    identity: Identity,
    drawn: BTreeMap<Hash, Hash>,
}

/// What a round's graph is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Which round of which task, whatever its terms ([`super::Terms::round_id`]).
    pub round: Hash,
    /// Hash of the round's terms.
    pub context: Hash,
    /// The roster.
    pub roster: Hash,
}

impl Wanted {
    /// What distinguishes it from others of its round.
    pub fn digest(&self) -> Hash {
        self.statement().hash()
    }

    fn statement(&self) -> Transcript {
        Transcript::new("draw").add(&self.round).add(&self.context).add(&self.roster)
    }
}

/// The authority had signed another roster, or other terms, for this round.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("another roster of this round has been signed: a round has one graph")]
pub struct AlreadyDrawn;

impl Authority {
    /// The authority of a key, with what it signed before (round, [`Wanted::digest`]).
    pub fn new(identity: Identity, drawn: BTreeMap<Hash, Hash>) -> Self {
        Self { identity, drawn }
    }

    /// The key that devices trust.
    pub fn public(&self) -> PublicIdentity {
        self.identity.public()
    }

    /// Signs a device's key.
    pub fn certify(&self, device: &PublicIdentity, not_after: i64) -> Certificate {
        let key = device.bytes();
        let signature = self.identity.sign(&Certificate::statement(&key, not_after));
        Certificate { key, not_after, signature }
    }

    /// Signs the roster of a round, once: whose neighbour a device is follows from the signature, so a coordinator that
    /// could have several rosters signed, or one under terms that hardly differ, could choose among graphs. The authority need
    /// not know what a round's name stands for: devices reckon it from their own terms. The caller makes [`Self::drawn`] durable
    /// before it gives the signature out.
    ///
    /// # Errors
    /// [`AlreadyDrawn`] where anything else was signed for this round; the same gets the same signature.
    pub fn draw(&mut self, wanted: &Wanted) -> Result<SignatureBytes, AlreadyDrawn> {
        let digest = wanted.digest();
        if *self.drawn.entry(wanted.round).or_insert(digest) != digest {
            return Err(AlreadyDrawn);
        }
        Ok(self.identity.sign(&wanted.statement()))
    }

    /// What it signed: round, [`Wanted::digest`].
    pub fn drawn(&self) -> &BTreeMap<Hash, Hash> {
        &self.drawn
    }
}

/// The seed of a round's graph, if the authority's signature holds.
pub(crate) fn graph_seed(authority: &PublicIdentity, wanted: &Wanted, signature: &SignatureBytes) -> Option<Hash> {
    let holds = authority.signed(&wanted.statement(), signature);
    holds.then(|| Transcript::new("graph").add(signature).hash())
}

// A sequence of: version 0, the algorithm Ed25519 (1.3.101.112), an octet string that holds one of 32 bytes.
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl ZeroizeOnDrop for Identity {}

// The marker holds because the one field is of a type that is wiped.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SigningKey>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn a_round_is_drawn_once() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut authority = Authority::new(Identity::generate(&mut rng), BTreeMap::new());
        let wanted = Wanted { round: [1; 32], context: [2; 32], roster: [3; 32] };
        let others = [Wanted { roster: [4; 32], ..wanted }, Wanted { context: [4; 32], ..wanted }];
        let signature = authority.draw(&wanted).expect("the first");
        assert_eq!(authority.draw(&wanted), Ok(signature));
        let public = authority.public();
        assert!(graph_seed(&public, &wanted, &signature).is_some());
        for other in &others {
            assert_eq!(authority.draw(other), Err(AlreadyDrawn));
            assert!(graph_seed(&public, other, &signature).is_none());
        }
        // One that names another round is drawn, and is no graph of this one.
        let elsewhere = Wanted { round: [5; 32], ..others[1] };
        let signature = authority.draw(&elsewhere).expect("its first");
        assert!(graph_seed(&public, &others[1], &signature).is_none());
        // Nor after a restart.
        let (identity, drawn) = (authority.identity, authority.drawn);
        assert_eq!(Authority::new(identity, drawn).draw(&others[1]), Err(AlreadyDrawn));
    }

    #[test]
    fn certificates_hold_for_their_key_and_time() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let authority = Authority::new(Identity::generate(&mut rng), BTreeMap::new());
        let device = Identity::generate(&mut rng);
        let certificate = authority.certify(&device.public(), 1000);
        assert!(certificate.holds(&authority.public(), 1000));
        assert!(!certificate.holds(&authority.public(), 1001));
        assert!(!certificate.holds(&device.public(), 0));
        assert!(!Certificate { not_after: 2000, ..certificate }.holds(&authority.public(), 0));
        assert_eq!(Certificate::from_bytes(&certificate.to_bytes()), certificate);
        assert_eq!(format!("{device:?}"), "Identity(secret)");
    }

    // The identity and a point of order 2 sign anything for anybody under lax rules.
    #[test]
    fn weak_identities_are_refused() {
        let mut one = [0; 32];
        one[0] = 1;
        assert!(PublicIdentity::new(&one).is_none());
        assert!(PublicIdentity::new(&[0; 32]).is_none());
    }
}
