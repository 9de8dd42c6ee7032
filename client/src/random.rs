//! Chance that is no secret: waits and jitter, from the operating system.

/// A number in [0, 1); one half where the operating system gives none, which spoils no promise.
#[cfg(any(feature = "quic", feature = "store"))]
pub(crate) fn unit() -> f64 {
    use crate::train::Randomness;
    Randomness::from_operating_system()
        .map_or(0.5, |mut randomness| sordino_shared::random::unit_f64(&mut randomness.0))
}
