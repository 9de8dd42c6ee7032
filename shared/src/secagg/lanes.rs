//! Vectors of residues modulo 2^b, in lanes that wrap around, and their packed form (docs/protocol.md, section 6).

use super::mask::cipher;
use super::transcript::Hash;
use crate::privacy::Noised;
use aes::Aes256;
use aes::cipher::StreamCipher;
use ctr::Ctr64BE;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// d and b: how many values a vector has, and of how many bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// d: values.
    pub values: u32,
    /// b: bits of a value, 1 to 32.
    pub bits: u32,
}

impl Shape {
    /// ceil(d b / 8): bytes of a packed vector.
    pub fn bytes(&self) -> usize {
        (u64::from(self.values) * u64::from(self.bits)).div_ceil(8) as usize
    }

    /// Whether the bytes are a packed vector: of the right length, and zero beyond its last value.
    pub fn takes(&self, packed: &[u8]) -> bool {
        let spare = self.bytes() as u64 * 8 - u64::from(self.values) * u64::from(self.bits);
        let full = |last: &u8| u32::from(*last) << spare <= u32::from(u8::MAX);
        packed.len() == self.bytes() && packed.last().is_none_or(full)
    }
}

/// Whether a mask is added or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    /// The sign of the mask between them in the vector of `own`: plus towards higher positions, so that the two cancel.
    pub(crate) fn of(own: u32, other: u32) -> Self {
        if other > own { Self::Plus } else { Self::Minus }
    }

    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }
}

/// A vector in wrapping lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lanes {
    shape: Shape,
    words: Words,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Words {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Lanes {
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn zeros(shape: Shape) -> Self {
        let length = shape.values as usize;
        let words = if shape.bits <= 16 { Words::Narrow(vec![0; length]) } else { Words::Wide(vec![0; length]) };
        Self { shape, words }
    }

    /// The noised vector's residues, block after block.
    pub(super) fn of(noised: &Noised, shape: Shape) -> Self {
        let mut lanes = Self::zeros(shape);
        let values = noised.blocks().iter().flatten();
        match &mut lanes.words {
            Words::Narrow(words) => words.iter_mut().zip(values).for_each(|(word, &value)| *word = value as u16),
            Words::Wide(words) => words.iter_mut().zip(values).for_each(|(word, &value)| *word = value as u32),
        }
        lanes
    }

    /// Adds the key's mask, or takes it away.
    pub(crate) fn add_mask(&mut self, key: &Hash, sign: Sign) {
        let mut stream = Zeroizing::new([0u8; BLOCK]);
        let mut cipher = cipher(key);
        match &mut self.words {
            Words::Narrow(words) => {
                for words in words.chunks_mut(BLOCK / 2) {
                    let bytes = keystream(&mut cipher, &mut stream, 2 * words.len());
                    let lanes = bytes.chunks_exact(2).map(|lane| u16::from_le_bytes([lane[0], lane[1]]));
                    match sign {
                        Sign::Plus => words.iter_mut().zip(lanes).for_each(|(w, m)| *w = w.wrapping_add(m)),
                        Sign::Minus => words.iter_mut().zip(lanes).for_each(|(w, m)| *w = w.wrapping_sub(m)),
                    }
                }
            }
            Words::Wide(words) => {
                for words in words.chunks_mut(BLOCK / 4) {
                    let bytes = keystream(&mut cipher, &mut stream, 4 * words.len());
                    let lanes =
                        bytes.chunks_exact(4).map(|lane| u32::from_le_bytes([lane[0], lane[1], lane[2], lane[3]]));
                    match sign {
                        Sign::Plus => words.iter_mut().zip(lanes).for_each(|(w, m)| *w = w.wrapping_add(m)),
                        Sign::Minus => words.iter_mut().zip(lanes).for_each(|(w, m)| *w = w.wrapping_sub(m)),
                    }
                }
            }
        }
    }

    /// Adds another vector of the same shape.
    pub(crate) fn merge(&mut self, other: &Self) {
        assert_eq!(self.shape, other.shape, "vectors of one round have one shape");
        match (&mut self.words, &other.words) {
            (Words::Narrow(words), Words::Narrow(other)) => {
                words.iter_mut().zip(other).for_each(|(w, o)| *w = w.wrapping_add(*o));
            }
            (Words::Wide(words), Words::Wide(other)) => {
                words.iter_mut().zip(other).for_each(|(w, o)| *w = w.wrapping_add(*o));
            }
            _ => unreachable!("the shape decides the lanes"),
        }
    }

    /// The low b bits of each lane, least significant first, without gaps; the last byte is filled up with zeros.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.shape.bytes() + 8);
        let bits = self.shape.bits;
        match &self.words {
            Words::Narrow(words) if bits == 16 => packed.extend(words.iter().flat_map(|word| word.to_le_bytes())),
            Words::Wide(words) if bits == 32 => packed.extend(words.iter().flat_map(|word| word.to_le_bytes())),
            Words::Narrow(words) => pack(words.iter().map(|&word| u32::from(word)), bits, &mut packed),
            Words::Wide(words) => pack(words.iter().copied(), bits, &mut packed),
        }
        packed
    }

    /// Adds a packed vector; `false`, and nothing added, if it has another length or bits beyond its last value.
    pub(crate) fn add_packed(&mut self, packed: &[u8]) -> bool {
        if !self.shape.takes(packed) {
            return false;
        }
        let bits = self.shape.bits;
        match &mut self.words {
            Words::Narrow(words) if bits == 16 => {
                let lanes = packed.chunks_exact(2).map(|lane| u16::from_le_bytes([lane[0], lane[1]]));
                words.iter_mut().zip(lanes).for_each(|(word, lane)| *word = word.wrapping_add(lane));
            }
            Words::Wide(words) if bits == 32 => {
                let lanes = packed.chunks_exact(4).map(|l| u32::from_le_bytes([l[0], l[1], l[2], l[3]]));
                words.iter_mut().zip(lanes).for_each(|(word, lane)| *word = word.wrapping_add(lane));
            }
            Words::Narrow(words) => {
                words.iter_mut().zip(unpack(packed, bits)).for_each(|(w, lane)| *w = w.wrapping_add(lane as u16));
            }
            Words::Wide(words) => {
                words.iter_mut().zip(unpack(packed, bits)).for_each(|(w, lane)| *w = w.wrapping_add(lane));
            }
        }
        true
    }

    /// The residues, each below 2^b.
    pub(crate) fn residues(&self) -> impl Iterator<Item = u32> + '_ {
        let mask = u32::MAX >> (32 - self.shape.bits);
        let (narrow, wide): (&[u16], &[u32]) = match &self.words {
            Words::Narrow(words) => (words, &[]),
            Words::Wide(words) => (&[], words),
        };
        narrow.iter().map(|&word| u32::from(word)).chain(wide.iter().copied()).map(move |word| word & mask)
    }
}

impl Zeroize for Lanes {
    fn zeroize(&mut self) {
        match &mut self.words {
            Words::Narrow(words) => words.zeroize(),
            Words::Wide(words) => words.zeroize(),
        }
    }
}

fn keystream<'a>(cipher: &mut Ctr64BE<Aes256>, stream: &'a mut [u8; BLOCK], length: usize) -> &'a [u8] {
    let bytes = &mut stream[..length];
    bytes.fill(0);
    cipher.apply_keystream(bytes);
    bytes
}

fn pack(words: impl Iterator<Item = u32>, bits: u32, packed: &mut Vec<u8>) {
    let mask = u64::from(u32::MAX >> (32 - bits));
    let (mut held, mut filled) = (0u64, 0);
    for word in words {
        held |= (u64::from(word) & mask) << filled;
        filled += bits;
        if filled >= 32 {
            packed.extend_from_slice(&(held as u32).to_le_bytes());
            held >>= 32;
            filled -= 32;
        }
    }
    packed.extend_from_slice(&held.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// Lanes by their number, each from the eight bytes that it begins in: no lane of 32 bits or fewer reaches beyond them.
fn unpack(packed: &[u8], bits: u32) -> impl Iterator<Item = u32> + '_ {
    let mask = u64::from(u32::MAX >> (32 - bits));
    let bits = bits as usize;
    // So many lanes have eight bytes from their first on; the rest is read from a copy with zeros behind it.
    let whole = if packed.len() < 8 { 0 } else { ((packed.len() - 8) * 8).div_ceil(bits) };
    let tail_from = whole * bits / 8;
    let mut tail = [0u8; 32];
    let left = packed.get(tail_from..).unwrap_or_default();
    tail[..left.len()].copy_from_slice(left);
    let lane = move |bytes: &[u8], bit: usize| {
        let mut window = [0; 8];
        window.copy_from_slice(&bytes[bit / 8..bit / 8 + 8]);
        ((u64::from_le_bytes(window) >> (bit % 8)) & mask) as u32
    };
    let last = (packed.len() * 8 / bits).max(whole);
    let ends = (whole..last).map(move |at| lane(&tail, at * bits - tail_from * 8));
    (0..whole).map(move |at| lane(packed, at * bits)).chain(ends)
}

// Half of a level-one cache of 32 KiB, beside the lanes that it is added to.
const BLOCK: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    fn random(shape: Shape, seed: u64) -> Lanes {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut lanes = Lanes::zeros(shape);
        match &mut lanes.words {
            Words::Narrow(words) => words.iter_mut().for_each(|w| *w = rng.next_u32() as u16),
            Words::Wide(words) => words.iter_mut().for_each(|w| *w = rng.next_u32()),
        }
        lanes
    }

    proptest! {
        #[test]
        fn packing_is_undone(values in 0u32..70, bits in 1u32..=32, seed in any::<u64>()) {
            let shape = Shape { values, bits };
            let lanes = random(shape, seed);
            let packed = lanes.pack();
            prop_assert_eq!(packed.len(), shape.bytes());
            let mut back = Lanes::zeros(shape);
            prop_assert!(back.add_packed(&packed));
            prop_assert!(back.residues().eq(lanes.residues()));
            // Adding twice is adding modulo 2^b.
            prop_assert!(back.add_packed(&packed));
            let mask = u32::MAX >> (32 - bits);
            prop_assert!(back.residues().eq(lanes.residues().map(|r| r.wrapping_add(r) & mask)));
        }

        #[test]
        fn other_lengths_and_spare_bits_are_refused(values in 1u32..70, bits in 1u32..=32, seed in any::<u64>()) {
            let shape = Shape { values, bits };
            let packed = random(shape, seed).pack();
            let mut lanes = Lanes::zeros(shape);
            prop_assert!(!lanes.add_packed(&packed[1..]));
            let mut longer = packed.clone();
            longer.push(0);
            prop_assert!(!lanes.add_packed(&longer));
            let spare = shape.bytes() as u32 * 8 - values * bits;
            for bit in 0..spare {
                let mut spoilt = packed.clone();
                *spoilt.last_mut().expect("a byte") |= 0x80 >> bit;
                prop_assert!(!lanes.add_packed(&spoilt));
            }
            prop_assert_eq!(lanes, Lanes::zeros(shape));
        }

        // Over the pieces of keystream too: masks put on and taken away leave nothing.
        #[test]
        fn masks_cancel(values in 1u32..9000, bits in 1u32..=32, seed in any::<u64>()) {
            let shape = Shape { values, bits };
            let lanes = random(shape, seed);
            let mut masked = lanes.clone();
            masked.add_mask(&[seed as u8; 32], Sign::Plus);
            prop_assert_ne!(&masked, &lanes);
            masked.add_mask(&[seed as u8; 32], Sign::Minus);
            prop_assert_eq!(masked, lanes);
        }
    }

    // The first block of AES-256 under the all-zero key is published (FIPS 197 vectors; NIST's AESAVS, KeySbox 256).
    #[test]
    fn the_keystream_is_that_of_aes_256() {
        let mut lanes = Lanes::zeros(Shape { values: 4, bits: 32 });
        lanes.add_mask(&[0; 32], Sign::Plus);
        let expected = [0xdc95_c078u32, 0xa240_8989, 0xad48_a214, 0x9284_2087].map(u32::swap_bytes);
        assert!(lanes.residues().eq(expected));
        let mut narrow = Lanes::zeros(Shape { values: 2, bits: 16 });
        narrow.add_mask(&[0; 32], Sign::Plus);
        assert!(narrow.residues().eq([0x95dc, 0x78c0]));
    }

    // Every bit of a masked lane is even, whatever the value under it, and every residue occurs.
    #[test]
    fn masked_lanes_are_uniform() {
        for (bits, value) in [(5, 0u32), (16, 1), (20, 0xf_ffff), (32, 12_345)] {
            let shape = Shape { values: 1 << 16, bits };
            let mut lanes = Lanes::zeros(shape);
            match &mut lanes.words {
                Words::Narrow(words) => words.fill(value as u16),
                Words::Wide(words) => words.fill(value),
            }
            lanes.add_mask(&[9; 32], Sign::Minus);
            for bit in 0..bits {
                let ones = lanes.residues().filter(|r| r >> bit & 1 == 1).count() as f64;
                let chi = math::powi(ones - 32_768.0, 2) / 16_384.0;
                assert!(chi < 28.0, "one degree of freedom, p = 1e-7: {chi} at bit {bit} of {bits}");
            }
            if bits == 5 {
                let mut counts = [0f64; 32];
                lanes.residues().for_each(|r| counts[r as usize] += 1.0);
                let chi: f64 = counts.iter().map(|c| math::powi(c - 2048.0, 2) / 2048.0).sum();
                assert!(chi < 90.0, "31 degrees of freedom, p = 1e-7: {chi}");
            }
        }
    }

    #[test]
    fn the_two_signs_of_a_pair_are_opposite() {
        assert_eq!(Sign::of(1, 2), Sign::of(2, 1).opposite());
    }
}
