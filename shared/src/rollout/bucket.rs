//! Which arm of a rollout a device falls into: reckoned on the device from its own secret, and never sent.
//!
//! A share that is raised never moves a device out of its arm; another rollout has another salt, and buckets that have nothing to do
//! with these. Both arms grow alike, so that the control is concurrent and of equal size.

use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// A share of all devices in whole parts of a million, at most a half: every platform reckons the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u32);

/// The side of a comparison that a device is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// It has the candidate.
    Treatment,
    /// It has what it had, and is watched as the others are.
    Control,
}

/// A device's place in one rollout. It says nothing of the device elsewhere, and is not to leave it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bucket(u64);

impl Share {
    /// `None` above a half, where no control of equal size is left.
    pub fn parts_per_million(parts: u32) -> Option<Self> {
        (parts <= MOST_PARTS).then_some(Self(parts))
    }

    // floor(parts 2^64 / 10^6), which fits 64 bits since parts are at most half a million.
    fn threshold(self) -> u64 {
        ((u128::from(self.0) << 64) / 1_000_000) as u64
    }
}

impl TryFrom<u32> for Share {
    type Error = String;

    fn try_from(parts: u32) -> Result<Self, String> {
        Self::parts_per_million(parts)
            .ok_or_else(|| format!("a share is at most {MOST_PARTS} parts of a million, not {parts}"))
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl Bucket {
    /// The first eight bytes, as a big-endian number, of HMAC-SHA256 under the device's secret of "sordino bucket v1", the rollout's salt and
    /// the rollout's name.
    pub fn new(secret: &[u8; 32], rollout: &str, salt: &[u8; 16]) -> Self {
        // The salt has a length of its own, so that no two rollouts have one message.
        let message = [PURPOSE, salt, rollout.as_bytes()].concat();
        // The extraction of HKDF is HMAC under its salt (RFC 5869, section 2.2).
        let (digest, _) = Hkdf::<Sha256>::extract(Some(secret), &message);
        let head = digest.first_chunk().expect("a digest is longer than eight bytes");
        Self(u64::from_be_bytes(*head))
    }

    /// The arm at a stage's share; `None` for the devices that are in neither.
    pub fn arm(self, share: Share) -> Option<Arm> {
        let threshold = share.threshold();
        if self.0 < threshold {
            Some(Arm::Treatment)
        } else if self.0 >= MIDDLE && self.0 - MIDDLE < threshold {
            Some(Arm::Control)
        } else {
            None
        }
    }
}

// A bucket in a log would tell which arm a device is in.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket(..)")
    }
}

const PURPOSE: &[u8] = b"sordino bucket v1";
const MOST_PARTS: u32 = 500_000;
const MIDDLE: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math;
    use proptest::prelude::*;

    fn secret(number: u32) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..4].copy_from_slice(&number.to_le_bytes());
        secret
    }

    fn share(parts: u32) -> Share {
        Share::parts_per_million(parts).expect("at most a half")
    }

    const VECTOR: u64 = 0xda12a23bfbcd624a;

    // By Python: hmac.new(bytes([7] * 32), b"sordino bucket v1" + bytes(range(16)) + b"spring", "sha256").digest()[:8].
    #[test]
    fn buckets_are_those_of_another_implementation() {
        let salt: [u8; 16] = std::array::from_fn(|at| at as u8);
        assert_eq!(Bucket::new(&[7; 32], "spring", &salt).0, VECTOR);
        assert_eq!(format!("{:?}", Bucket::new(&[7; 32], "spring", &salt)), "Bucket(..)");
    }

    #[test]
    fn devices_are_dealt_evenly_and_anew_in_every_rollout() {
        let (devices, bins) = (200_000u32, 64);
        let mut counts = vec![0u32; bins];
        let (mut both, mut treated) = (0u32, 0u32);
        for device in 0..devices {
            let (one, other) =
                (Bucket::new(&secret(device), "one", &[1; 16]), Bucket::new(&secret(device), "two", &[2; 16]));
            counts[(one.0 >> 58) as usize] += 1;
            let is_treated = |bucket: Bucket| bucket.arm(share(250_000)) == Some(Arm::Treatment);
            treated += u32::from(is_treated(one));
            both += u32::from(is_treated(one) && is_treated(other));
        }
        let expected = f64::from(devices) / bins as f64;
        let chi: f64 = counts.iter().map(|&count| math::powi(f64::from(count) - expected, 2) / expected).sum();
        // 63 degrees of freedom: 114 is the .9999 quantile.
        assert!(chi < 114.0, "{chi}");
        // A quarter each, a sixteenth both: deviations .001 and .0006.
        assert!((f64::from(treated) / f64::from(devices) - 0.25).abs() < 0.005);
        assert!((f64::from(both) / f64::from(devices) - 0.0625).abs() < 0.003);
    }

    proptest! {
        // A larger share keeps every device in its arm; at a half everybody is in one.
        #[test]
        fn arms_are_nested_and_disjoint(bucket in any::<u64>(), small in 0u32..=500_000, large in 0u32..=500_000) {
            let (small, large) = (small.min(large), small.max(large));
            let bucket = Bucket(bucket);
            if let Some(arm) = bucket.arm(share(small)) {
                prop_assert_eq!(bucket.arm(share(large)), Some(arm));
            }
            prop_assert!(bucket.arm(share(500_000)).is_some());
            prop_assert!(bucket.arm(share(0)).is_none());
        }
    }

    #[test]
    fn shares_above_a_half_are_refused() {
        assert!(Share::parts_per_million(500_001).is_none());
        assert!(serde_json::from_str::<Share>("500001").is_err());
        assert_eq!(serde_json::from_str::<Share>("10000").expect("a share"), share(10_000));
    }
}
