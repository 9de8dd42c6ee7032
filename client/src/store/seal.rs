//! How rows are sealed: under a key that follows from the device's secret, each bound to its name.

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
pub(super) struct Seals(ChaCha20Poly1305);

impl Seals {
    pub(super) fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let mut key = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(None, secret.as_slice())
            .expand(b"sordino device store v1", key.as_mut_slice())
            .expect("32 bytes are a valid length");
        Self(ChaCha20Poly1305::new(&Key::from(*key)))
    }

    // A nonce of 96 random bits before the sealed bytes; fewer than 2^32 rows are ever written
    // under one key.
    pub(super) fn seal(&self, randomness: &mut Randomness, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut nonce = [0; 12];
        randomness.0.fill_bytes(&mut nonce);
        let sealed = self.0.encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: name });
        let mut row = nonce.to_vec();
        row.extend_from_slice(&sealed.map_err(|_| Error::Sealed)?);
        Ok(row)
    }

    pub(super) fn open(&self, name: &[u8], row: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (nonce, sealed) = row.split_first_chunk::<12>().ok_or(Error::Sealed)?;
        let plain = self.0.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: name });
        plain.map(Zeroizing::new).map_err(|_| Error::Sealed)
    }

    pub(super) fn event(&self, row: &[u8]) -> Result<PlaybackEvent, Error> {
        from_text(&self.open(b"event", row)?)
    }
}

/// The operating system's, for the nonces of some rows.
pub(super) fn randomness() -> Result<Randomness, Error> {
    Randomness::from_operating_system().map_err(|_| Error::Randomness)
}
