//! Sets of positions and of slots.

use serde::{Deserialize, Serialize};

/// A set of places, one bit each, least significant first; spare bits are zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bits {
    length: u32,
    bytes: Vec<u8>,
}

/// The places whose entries are true.
impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(entries: I) -> Self {
        let entries: Vec<bool> = entries.into_iter().collect();
        let mut set = Self::none(entries.len() as u32);
        (0..).zip(entries).filter(|(_, there)| *there).for_each(|(place, _)| set.insert(place));
        set
    }
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

    pub(in crate::secagg) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Those that are in, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.length).filter(|&place| self.contains(place))
    }

    pub(in crate::secagg) fn bytes_for(length: u32) -> usize {
        length.div_ceil(8) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_form() {
        for length in 0..20u32 {
            let mut set = Bits::none(length);
            (0..length).filter(|place| place % 3 == 0).for_each(|place| set.insert(place));
            assert_eq!(Bits::new(length, set.bytes().to_vec()), Some(set.clone()));
            assert_eq!(set.iter().count() as u32, set.count());
            assert!(!set.contains(length) && !set.contains(u32::MAX));
            for spare in length..set.bytes().len() as u32 * 8 {
                let mut bytes = set.bytes().to_vec();
                bytes[spare as usize / 8] |= 1 << (spare % 8);
                assert_eq!(Bits::new(length, bytes), None, "{length} {spare}");
            }
            assert_eq!(Bits::new(length, [set.bytes(), &[0]].concat()), None);
        }
    }
}
