//! One way of turning fields into bytes that are hashed, signed or derived from: each with its length before it.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// A label and fields, each behind its length as four little-endian bytes, so that no two lists of fields give the same
/// bytes.
pub(crate) struct Transcript(Vec<u8>);

impl Transcript {
    /// Starts with the protocol's name and version and the purpose.
    pub(crate) fn new(purpose: &str) -> Self {
        Self(Vec::with_capacity(192)).add(PROTOCOL.as_bytes()).add(purpose.as_bytes())
    }

    /// Adds a field.
    pub(crate) fn add(mut self, field: &[u8]) -> Self {
        let length = u32::try_from(field.len()).expect("no field here is as long as 4 GiB");
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(field);
        self
    }

    /// Adds a whole number as four bytes.
    pub(crate) fn number(self, number: u32) -> Self {
        self.add(&number.to_le_bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn hash(&self) -> Hash {
        hash(&self.0)
    }
}

/// SHA-256 of these bytes.
pub fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

const PROTOCOL: &str = "sordino-secagg/1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_run_into_each_other() {
        let one = Transcript::new("x").add(b"ab").add(b"c");
        let other = Transcript::new("x").add(b"a").add(b"bc");
        assert_ne!(one.bytes(), other.bytes());
        assert_ne!(Transcript::new("xa").bytes(), Transcript::new("x").add(b"a").bytes());
    }
}
