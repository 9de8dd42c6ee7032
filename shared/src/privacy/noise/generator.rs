//! The device's generator: AES-256 in counter mode, keyed once by the operating system.
//!
//! It has no constructor that takes a seed, and a device's entry points take this type and no other, so a seeded
//! generator cannot get into a device by accident. Generators of simulations and tests are types of their own crates.

use super::NoiseError;
use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use core::convert::Infallible;
use ctr::Ctr64LE;
use rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize, Zeroizing};

/// A cryptographic generator keyed by the operating system. Neither printable nor clonable; wiped on drop.
///
/// The key lives as long as the generator: make one for a round and drop it with the round. After a fork or a snapshot
/// of the process two copies would give the same stream, so neither may happen while one is alive.
pub struct DeviceGenerator {
    cipher: Ctr64LE<Aes256>,
    buffer: [u8; BUFFER],
    used: usize,
}

impl DeviceGenerator {
    /// Takes 32 bytes of key from the operating system.
    ///
    /// # Errors
    /// [`NoiseError::NoRandomness`] where the operating system gives none; then nothing may be sent.
    pub fn from_operating_system() -> Result<Self, NoiseError> {
        let mut key = Zeroizing::new([0u8; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|error| NoiseError::NoRandomness(error.to_string()))?;
        Ok(Self {
            cipher: Ctr64LE::<Aes256>::new((&*key).into(), &[0u8; 16].into()),
            buffer: [0; BUFFER],
            used: BUFFER,
        })
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        if self.used + N > BUFFER {
            self.buffer.fill(0);
            self.cipher.apply_keystream(&mut self.buffer);
            self.used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.buffer[self.used..self.used + N]);
        // What was given out cannot be read again.
        self.buffer[self.used..self.used + N].fill(0);
        self.used += N;
        bytes
    }
}

impl Drop for DeviceGenerator {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

impl TryRng for DeviceGenerator {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        self.cipher.apply_keystream(bytes);
        Ok(())
    }
}

impl TryCryptoRng for DeviceGenerator {}

const BUFFER: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn two_generators_differ_and_none_repeats() {
        let mut one = DeviceGenerator::from_operating_system().expect("randomness");
        let mut other = DeviceGenerator::from_operating_system().expect("randomness");
        let draws: std::collections::BTreeSet<u64> =
            (0..5000).flat_map(|_| [one.next_u64(), other.next_u64()]).collect();
        assert_eq!(draws.len(), 10_000);
        let (mut a, mut b) = ([0u8; 3000], [0u8; 3000]);
        one.fill_bytes(&mut a);
        one.fill_bytes(&mut b);
        assert_ne!(a, b);
        let ones: u32 = a.iter().map(|byte| byte.count_ones()).sum();
        // 24,000 bits: six standard deviations are 465.
        assert!(ones.abs_diff(12_000) < 465, "{ones}");
    }
}
