//! Decisions about rollouts: whether a candidate may go to more devices, must be taken back, or whether nobody knows yet.
//!
//! Pure functions of noisy sums. A candidate is *promoted* by a group-sequential test of non-inferiority ([`spending`]) and *aborted*
//! by an always-valid confidence sequence ([`sequence`]), both with the noise of the sums in their variance ([`observed`]). No data
//! is no verdict ([`gate`]). What a stage cannot see is said beforehand ([`sight`], [`policy`]). The course
//! of a rollout is a state machine ([`controller`]), whose every verdict can be made again from what is stored.
//! With a store, a rollout is a book of events (`book`), in which people act by their rights (`acts`, `people`).

#[cfg(feature = "server")]
pub mod acts;
#[cfg(feature = "server")]
pub mod book;
pub mod controller;
pub mod explain;
pub mod gate;
mod normal;
pub mod observed;
#[cfg(feature = "server")]
pub mod people;
pub mod policy;
pub mod rehearsal;
pub mod sequence;
pub mod sight;
pub mod spending;

pub use controller::{Controller, Event, Input, Phase};
pub use gate::{Decision, Gate, Judged, Reason, Verdict};
pub use observed::{Guardrail, Observed};
pub use policy::{Policy, Stage};
