//! Which coordinator a device works with and whom it trusts: what an operator hands out with the application.

use crate::secagg::{Hash, PublicIdentity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything public that a device starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federation {
    /// Where the coordinator listens: host and port.
    pub server: String,
    /// The name in the coordinator's certificate.
    pub name: String,
    /// The population that devices belong to.
    pub population: String,
    /// The authority's key, which certifies devices and draws rosters.
    pub authority: PublicKey,
    /// The operator's key, which signs terms.
    pub operator: PublicKey,
    /// The certificate (X.509, PEM) that the coordinator's own is signed by. Nobody else's is accepted.
    pub ca: String,
    /// The registry's first root (JSON): whose signatures make a version serve.
    pub root: String,
}

/// A public key in hexadecimal; only one that can be a key is read.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey(pub PublicIdentity);

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hexadecimal(&self.0.bytes()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let key = from_hexadecimal(&text).and_then(|bytes| PublicIdentity::new(&bytes));
        key.map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("'{text}' is no public key of 64 hexadecimal digits")))
    }
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hash of 64 hexadecimal digits.
pub fn from_hexadecimal(text: &str) -> Option<Hash> {
    let digits = text.trim().as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
        let digit = |digit: u8| (digit as char).to_digit(16).expect("checked") as u8;
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        let hash: Hash = std::array::from_fn(|i| i as u8 * 7);
        assert_eq!(from_hexadecimal(&hexadecimal(&hash)), Some(hash));
        assert_eq!(from_hexadecimal("ab"), None);
        assert_eq!(from_hexadecimal(&"zz".repeat(32)), None);
        assert_eq!(from_hexadecimal(&"ü".repeat(32)), None);
    }
}
