//! What a device agrees with its neighbours: keys of one round (docs/protocol.md, section 9).

use super::mask::MaskKey;
use super::transcript::{Hash, Transcript};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{ZeroizeOnDrop, Zeroizing};

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

impl ZeroizeOnDrop for RoundKey {}
impl ZeroizeOnDrop for Agreed {}

// The markers above hold because each has one field, of a type that is wiped.
const _: fn() = || {
    fn wiped<T: ZeroizeOnDrop>() {}
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
}
