//! How rows are sealed and named: under keys that follow from the device's secret, each row bound
//! to what it is.

use super::Error;
use super::events::from_text;
use crate::event::PlaybackEvent;
use crate::train::Randomness;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use rand_core::Rng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Seals rows, and opens them.
pub(super) struct Seals {
    cipher: ChaCha20Poly1305,
    names: Names,
}

/// What a name is in the file: a keyed hash, which says neither what it is nor whether two devices
/// have the same.
pub(super) type Name = [u8; 16];

struct Names(Zeroizing<[u8; 32]>);

impl Seals {
    /// Under keys that follow from the device's secret.
    pub(super) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let key = derived(secret, b"sordino device store v1");
        Self { cipher: cipher(&key), names: Names(derived(secret, b"sordino device store names v1")) }
    }

    // A nonce of 96 random bits before the sealed bytes; fewer than 2^32 rows are ever written
    // under one key.
    pub(super) fn seal(&self, randomness: &mut Randomness, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.cipher, randomness, name, plain)
    }

    pub(super) fn open(&self, name: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        open(&self.cipher, name, row)
    }

    pub(super) fn event(&self, row: &[u8]) -> Result<PlaybackEvent, Error> {
        from_text(&self.open(EVENT, row)?)
    }

    /// What a value's name is in the file.
    pub(super) fn value(&self, name: &str) -> Name {
        self.names.of(b"value ", name.as_bytes())
    }

    /// What the name of a round's record is in the file: not the hash of its terms, which the
    /// coordinator knows.
    pub(super) fn record(&self, context: &[u8; 32]) -> Name {
        self.names.of(b"record ", context)
    }
}

impl Names {
    // One block of HKDF's second half is HMAC of the message and a counter.
    fn of(&self, kind: &[u8], text: &[u8]) -> Name {
        let mut name = Name::default();
        let key = Hkdf::<Sha256>::from_prk(self.0.as_slice()).expect("32 bytes are long enough");
        key.expand_multi_info(&[kind, text], &mut name).expect("16 bytes are a valid length");
        name
    }
}

/// A key that one row is sealed under and no other.
pub(super) struct RowKey(Zeroizing<Vec<u8>>);

impl RowKey {
    /// A fresh one.
    pub(super) fn new(randomness: &mut Randomness) -> Self {
        let mut key = Zeroizing::new(vec![0; 32]);
        randomness.0.fill_bytes(&mut key);
        Self(key)
    }

    /// The key itself, sealed.
    pub(super) fn sealed(&self, seals: &Seals, randomness: &mut Randomness, name: &Name) -> Result<Vec<u8>, Error> {
        seals.seal(randomness, &[ROW_KEY, name].concat(), &self.0)
    }

    /// A key from what it was sealed as.
    pub(super) fn from_sealed(seals: &Seals, name: &Name, sealed: &[u8]) -> Result<Self, Error> {
        Ok(Self(seals.open(&[ROW_KEY, name].concat(), sealed)?))
    }

    pub(super) fn seal(&self, randomness: &mut Randomness, name: &Name, plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.cipher()?, randomness, name, plain)
    }

    pub(super) fn open(&self, name: &Name, row: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        open(&self.cipher()?, name, row)
    }

    fn cipher(&self) -> Result<ChaCha20Poly1305, Error> {
        ChaCha20Poly1305::new_from_slice(&self.0).map_err(|_| Error::Sealed)
    }
}

/// The operating system's, for the nonces of some rows.
pub(super) fn randomness() -> Result<Randomness, Error> {
    Randomness::from_operating_system().map_err(|_| Error::Randomness)
}

fn derived(secret: &Zeroizing<[u8; 32]>, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0u8; 32]);
    Hkdf::<Sha256>::new(None, secret.as_slice())
        .expand(purpose, key.as_mut_slice())
        .expect("32 bytes are a valid length");
    key
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(*key))
}

fn seal(cipher: &ChaCha20Poly1305, randomness: &mut Randomness, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; 12];
    randomness.0.fill_bytes(&mut nonce);
    let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: name });
    let mut row = nonce.to_vec();
    row.extend_from_slice(&sealed.map_err(|_| Error::Sealed)?);
    Ok(row)
}

fn open(cipher: &ChaCha20Poly1305, name: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (nonce, sealed) = row.split_first_chunk::<12>().ok_or(Error::Sealed)?;
    let plain = cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: name });
    plain.map(Zeroizing::new).map_err(|_| Error::Sealed)
}

/// What every event's row is bound to.
pub(super) const EVENT: &[u8] = b"event";
const ROW_KEY: &[u8] = b"\0key of one row ";
