//! Stage: mask. In: [`crate::privacy::Noised`]. Out: [`Masked`], the only vector that can become a frame.
//!
//! Masks are the keystream of AES-256 in counter mode from a counter of zero, read as little-endian lanes
//! (docs/protocol.md, section 6). The `aes` crate takes the processor's instructions where they are and constant-time
//! software else.

use super::lanes::{Lanes, Shape, Sign};
use super::transcript::Hash;
use crate::plan::RoundPlan;
use crate::privacy::{Noised, Sum};
use aes::Aes256;
use aes::cipher::{KeyIvInit, StreamCipher};
use core::convert::Infallible;
use ctr::Ctr64BE;
use rand_core::TryRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A key that gives one mask; wiped on drop, prints nothing, used once.
pub(crate) type MaskKey = Zeroizing<Hash>;

/// A device's vector under all its masks: uniform to whoever lacks one of them.
///
/// Only [`super::device::Ready::mask`] makes one, from a [`Noised`] vector.
pub struct Masked {
    packed: Vec<u8>,
}

impl Masked {
    /// Adds every mask to the noised vector and packs it.
    pub(super) fn new<'a>(noised: &Noised, shape: Shape, masks: impl Iterator<Item = (&'a MaskKey, Sign)>) -> Self {
        let mut lanes = Zeroizing::new(Lanes::of(noised, shape));
        masks.for_each(|(key, sign)| lanes.add_mask(key, sign));
        Self { packed: lanes.pack() }
    }

    /// The packed bytes.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }
}

/// A running sum of masked vectors. It may be kept in parts that are merged: nothing in it but d lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedSum {
    lanes: Lanes,
}

impl MaskedSum {
    /// An empty sum.
    pub fn new(shape: Shape) -> Self {
        Self { lanes: Lanes::zeros(shape) }
    }

    /// d and b.
    pub fn shape(&self) -> Shape {
        self.lanes.shape()
    }

    /// Adds an upload that its round has checked.
    pub fn add(&mut self, upload: &super::coordinator::Checked<'_>) {
        let fits = self.lanes.add_packed(upload.packed());
        assert!(fits, "a checked upload has the round's shape");
    }

    /// The sum as bytes, packed as an upload is: a part of a sum is a masked vector itself.
    pub fn to_packed(&self) -> Vec<u8> {
        self.lanes.pack()
    }

    /// Adds a part from its packed bytes: `false`, and nothing is added, if they are of another shape.
    #[must_use]
    pub fn add_packed(&mut self, part: &[u8]) -> bool {
        self.lanes.add_packed(part)
    }

    /// Adds a part.
    ///
    /// # Panics
    /// If the part is of another shape.
    pub fn merge(&mut self, part: &Self) {
        self.lanes.merge(&part.lanes);
    }

    pub(super) fn lanes_mut(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    /// The sum in the plan's blocks, once its masks are gone.
    pub(super) fn into_sum(self, plan: &RoundPlan, devices: usize) -> Sum {
        Sum::from_residues(plan, devices, self.lanes.residues())
    }
}

/// The keystream as a source of numbers, for the order of the ring.
pub(crate) struct KeyStream {
    cipher: Ctr64BE<Aes256>,
}

impl KeyStream {
    pub(crate) fn new(key: &Hash) -> Self {
        Self { cipher: cipher(key) }
    }
}

impl TryRng for KeyStream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        self.cipher.apply_keystream(bytes);
        Ok(())
    }
}

// A 128-bit counter from zero never passes 2^64 blocks, so the cheaper 64-bit counter gives the same stream.
pub(super) fn cipher(key: &Hash) -> Ctr64BE<Aes256> {
    Ctr64BE::<Aes256>::new(key.into(), &[0u8; 16].into())
}
