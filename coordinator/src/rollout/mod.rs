//! Decisions about rollouts: whether a candidate may go to more devices, must be taken back, or whether nobody knows yet.
//!
//! Pure functions of noisy sums. A candidate is *promoted* by a group-sequential test of non-inferiority ([`spending`]) and *aborted*
//! by an always-valid confidence sequence ([`sequence`]), both with the noise of the sums in their variance ([`observed`]). No data
//! is no verdict ([`gate`]). What a stage cannot see is said beforehand ([`sight`]).

pub mod gate;
mod normal;
pub mod observed;
pub mod sequence;
pub mod sight;
pub mod spending;

pub use gate::{Decision, Gate, Judged, Reason, Verdict};
pub use observed::{Cell, Guardrail, Observed};
