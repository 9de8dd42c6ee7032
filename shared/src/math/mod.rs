//! Elementary functions, the same bits everywhere.
//!
//! The methods of `f32` and `f64` (`tanh`, `exp`, `ln`, ...) call the system's library, and glibc, musl, bionic and macOS
//! differ in last bits: what is learnt, generated, planned or accounted with them would be the same on one system alone.
//! `.clippy.toml` forbids them; everything here is additions, multiplications, divisions and moves of bits, which
//! IEEE 754 fixes, and never a fused multiplication. What dependencies still call or choose by processor is listed in
//! docs/decisions.md, 88.
//!
//! | precision | functions | by |
//! |---|---|---|
//! | double | [`exp`], [`ln`], [`tanh`], [`powf`], ... | the crate `libm`, a port of musl's in pure Rust; errors below an ulp |
//! | single, cold | [`ln_f32`], [`ln_1p_f32`], [`sin_f32`], [`cos_f32`] | those in double precision, rounded |
//! | single, hot | [`tanh_f32`], [`exp_f32`], [`logistic_f32`] and their forms over slices | straight lines of our own, which compilers vectorise |
//!
//! `sqrt`, `abs`, `floor`, `round` and the like are exact by IEEE 754, and stay methods.
//!
//! ```
//! use sordino_shared::math;
//! assert_eq!(math::tanh_f32(0.3).to_bits(), 0x3e95_26ed);
//! assert_eq!(math::exp(0.7).to_bits(), 0x4000_1c2a_6126_8987);
//! ```

mod double;
mod single;

pub use double::{asinh, cos, erfc, exp, exp_m1, exp2, hypot, lgamma, ln, ln_1p, log2, log10, powf, powi, sin, tanh};
pub use single::{cos_f32, exp_f32, exp_slice, ln_1p_f32, ln_f32, logistic_f32, sin_f32, tanh_f32, tanh_slice};

#[cfg(test)]
mod tests;
