//! Keys: who a device is, whom it trusts, and what it agrees with its neighbours (docs/protocol.md, section 9).

use super::mask::MaskKey;
use super::transcript::{Hash, Transcript};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
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
        self.0.verify_strict(statement.bytes(), &Signature::from_bytes(signature)).is_ok()
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

    /// The public half.
    pub fn public(&self) -> PublicIdentity {
        PublicIdentity(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, statement: &Transcript) -> SignatureBytes {
        self.0.sign(statement.bytes()).to_bytes()
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

/// The authority had signed another roster for this round.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("another roster of this round has been signed: a round has one graph")]
pub struct AlreadyDrawn;

impl Authority {
    /// The authority of a key, with the rosters that it signed before (round's context, roster).
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
    /// could have several rosters signed could choose among graphs. The caller makes [`Self::drawn`] durable before it
    /// gives the signature out.
    ///
    /// # Errors
    /// [`AlreadyDrawn`] where another roster was signed for this context; the same one gets the same signature.
    pub fn draw(&mut self, context: &Hash, roster: &Hash) -> Result<SignatureBytes, AlreadyDrawn> {
        if self.drawn.entry(*context).or_insert(*roster) != roster {
            return Err(AlreadyDrawn);
        }
        Ok(self.identity.sign(&drawing(context, roster)))
    }

    /// What it signed: round's context, roster.
    pub fn drawn(&self) -> &BTreeMap<Hash, Hash> {
        &self.drawn
    }
}

/// The seed of a round's graph, if the authority's signature holds.
pub(crate) fn graph_seed(
    authority: &PublicIdentity,
    context: &Hash,
    roster: &Hash,
    signature: &SignatureBytes,
) -> Option<Hash> {
    let holds = authority.signed(&drawing(context, roster), signature);
    holds.then(|| Transcript::new("graph").add(signature).hash())
}

fn drawing(context: &Hash, roster: &Hash) -> Transcript {
    Transcript::new("draw").add(context).add(roster)
}

/// An X25519 key pair of one round; wiped on drop, prints nothing.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct RoundKey(StaticSecret);

impl RoundKey {
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0u8; 32]);
        rng.fill_bytes(secret.as_mut_slice());
        Self::from_secret(&secret)
    }

    pub(crate) fn from_secret(secret: &Hash) -> Self {
        Self(StaticSecret::from(*secret))
    }

    /// s_sk: the key that the shared scalar r_s stands for.
    pub(crate) fn of_scalar(scalar: &Hash, context: &Hash) -> Self {
        Self::from_secret(&expand(scalar, &Transcript::new("x25519").add(context)))
    }

    pub(crate) fn public(&self) -> Hash {
        PublicKey::from(&self.0).to_bytes()
    }

    /// What both ends of a pair know; `None` for a peer's key of low order, with which everybody would know it.
    pub(crate) fn agree(&self, peer: &Hash) -> Option<Agreed> {
        let shared = self.0.diffie_hellman(&PublicKey::from(*peer));
        shared.was_contributory().then(|| Agreed(Zeroizing::new(shared.to_bytes())))
    }
}

/// The result of a key agreement, from which keys are derived.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Agreed(Zeroizing<Hash>);

impl Agreed {
    /// s_uv: the key of the mask between two positions.
    pub(crate) fn mask_key(&self, scope: &Scope, one: u32, other: u32) -> MaskKey {
        expand(&*self.0, &scope.transcript("mask").number(one.min(other)).number(one.max(other)))
    }

    /// e_{u->v}: the key of what `from` encrypts to `to`, once.
    pub(crate) fn sealing_key(&self, scope: &Scope, from: u32, to: u32) -> Zeroizing<Hash> {
        expand(&*self.0, &scope.transcript("enc").number(from).number(to))
    }
}

/// b_u: the key of a device's own mask.
pub(crate) fn self_mask_key(scalar: &Hash, context: &Hash) -> MaskKey {
    expand(scalar, &Transcript::new("self").add(context))
}

impl ZeroizeOnDrop for Identity {}
impl ZeroizeOnDrop for RoundKey {}
impl ZeroizeOnDrop for Agreed {}

// The markers above hold because each has one field, of a type that is wiped.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SigningKey>();
    wiped::<StaticSecret>();
    wiped::<Zeroizing<Hash>>();
};

/// What is derived and signed once the roster is known takes in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    pub(crate) context: Hash,
    pub(crate) roster: Hash,
}

impl Scope {
    pub(crate) fn transcript(&self, purpose: &str) -> Transcript {
        Transcript::new(purpose).add(&self.context).add(&self.roster)
    }
}

/// HKDF-SHA256 without salt, to one key.
pub(crate) fn expand(secret: &[u8], info: &Transcript) -> Zeroizing<Hash> {
    let mut key = Zeroizing::new([0; 32]);
    let fits = Hkdf::<Sha256>::new(None, secret).expand(info.bytes(), key.as_mut_slice());
    fits.expect("32 bytes are fewer than HKDF's limit");
    key
}

/// Encrypts a pair of shares. The key is of one direction and one round and is used once, so the nonce may be fixed.
pub(crate) fn seal(key: &Hash, shares: &[u8; 64], scope: &Scope, from: u32, to: u32) -> Sealed {
    let aad = scope.transcript("shares").number(from).number(to);
    let sealed = ChaCha20Poly1305::new(key.into())
        .encrypt(&[0; 12].into(), Payload { msg: shares, aad: aad.bytes() })
        .expect("80 bytes are fewer than the cipher's limit");
    sealed.try_into().expect("a cipher of 64 bytes adds a tag of 16")
}

/// Decrypts a pair of shares; `None` if anything about it was changed.
pub(crate) fn open(key: &Hash, sealed: &Sealed, scope: &Scope, from: u32, to: u32) -> Option<Zeroizing<[u8; 64]>> {
    let aad = scope.transcript("shares").number(from).number(to);
    let opened = ChaCha20Poly1305::new(key.into())
        .decrypt(&[0; 12].into(), Payload { msg: sealed, aad: aad.bytes() })
        .map(Zeroizing::new)
        .ok()?;
    let mut shares = Zeroizing::new([0; 64]);
    shares.copy_from_slice(&opened);
    Some(shares)
}

/// A pair of shares, encrypted and authenticated.
pub type Sealed = [u8; 80];

/// Arrays of bytes of any length: serde itself knows them up to 32.
pub(crate) mod byte_array {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        bytes.try_into().map_err(|_| D::Error::custom(format!("{N} bytes are expected")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn scope(context: u8, roster: u8) -> Scope {
        Scope { context: [context; 32], roster: [roster; 32] }
    }

    #[test]
    fn both_ends_agree_and_every_field_counts() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (one, other) = (RoundKey::generate(&mut rng), RoundKey::generate(&mut rng));
        let (a, b) = (one.agree(&other.public()).expect("a key"), other.agree(&one.public()).expect("a key"));
        assert_eq!(*a.mask_key(&scope(1, 2), 3, 4), *b.mask_key(&scope(1, 2), 4, 3));
        let keys = [
            a.mask_key(&scope(1, 2), 3, 4),
            a.mask_key(&scope(9, 2), 3, 4),
            a.mask_key(&scope(1, 9), 3, 4),
            a.mask_key(&scope(1, 2), 3, 5),
            a.sealing_key(&scope(1, 2), 3, 4),
            a.sealing_key(&scope(1, 2), 4, 3),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().map(|key| **key).collect();
        assert_eq!(distinct.len(), keys.len());
        // Another model or plan is another context, and with it another key from the same scalar.
        assert_ne!(*self_mask_key(&[5; 32], &[1; 32]), *self_mask_key(&[5; 32], &[2; 32]));
        assert_ne!(RoundKey::of_scalar(&[5; 32], &[1; 32]).public(), RoundKey::of_scalar(&[5; 32], &[2; 32]).public());
    }

    #[test]
    fn keys_of_low_order_are_refused() {
        let own = RoundKey::from_secret(&[7; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        for low in [[0; 32], one] {
            assert!(own.agree(&low).is_none());
        }
        // The identity and a point of order 2 sign anything for anybody under lax rules.
        assert!(PublicIdentity::new(&one).is_none());
        assert!(PublicIdentity::new(&[0; 32]).is_none());
    }

    #[test]
    fn what_is_sealed_opens_for_its_pair_and_direction_alone() {
        let shares = [3; 64];
        let sealed = seal(&[1; 32], &shares, &scope(1, 2), 5, 6);
        assert_eq!(*open(&[1; 32], &sealed, &scope(1, 2), 5, 6).expect("it opens"), shares);
        assert!(open(&[2; 32], &sealed, &scope(1, 2), 5, 6).is_none());
        assert!(open(&[1; 32], &sealed, &scope(1, 3), 5, 6).is_none());
        assert!(open(&[1; 32], &sealed, &scope(1, 2), 6, 5).is_none());
        for byte in 0..sealed.len() {
            let mut spoilt = sealed;
            spoilt[byte] ^= 1;
            assert!(open(&[1; 32], &spoilt, &scope(1, 2), 5, 6).is_none());
        }
    }

    #[test]
    fn a_round_is_drawn_once() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let mut authority = Authority::new(Identity::generate(&mut rng), BTreeMap::new());
        let signature = authority.draw(&[1; 32], &[2; 32]).expect("the first");
        assert_eq!(authority.draw(&[1; 32], &[2; 32]), Ok(signature));
        assert_eq!(authority.draw(&[1; 32], &[3; 32]), Err(AlreadyDrawn));
        let public = authority.public();
        assert!(graph_seed(&public, &[1; 32], &[2; 32], &signature).is_some());
        assert!(graph_seed(&public, &[1; 32], &[3; 32], &signature).is_none());
        // Nor after a restart.
        let (identity, drawn) = (authority.identity, authority.drawn);
        assert_eq!(Authority::new(identity, drawn).draw(&[1; 32], &[3; 32]), Err(AlreadyDrawn));
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
}
