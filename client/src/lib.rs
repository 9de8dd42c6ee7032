//! Sordino on the device: from playback events to one vector that may leave it.
//!
//! | stage | in | out | where |
//! |---|---|---|---|
//! | check | [`event::PlaybackEvent`] | [`quality::ValidEvent`] | [`quality`] |
//! | sessions | [`quality::ValidEvent`] | [`session::Session`] | [`session`] |
//! | habits | [`session::Session`] | [`sordino_shared::evaluate::Habits`] | [`habits`] |
//! | label | [`quality::ValidEvent`] | [`label::WeakLabel`] | [`label`] |
//! | examples | [`label::WeakLabel`] | [`example::Labelled`] | [`example`] |
//! | rank | [`quality::ValidEvent`] | [`sordino_shared::model::Shown`] | [`ranking`] |
//! | retrieve | a model and examples | tracks, best first | [`retrieval`] |
//! | hold out | [`example::Labelled`] | [`holdout::Split`] | [`holdout`] |
//! | pay | [`participation::Invitation`] | a record in the ledger | [`participation`] |
//! | take part | examples and plan | [`sordino_shared::privacy::Noised`] | [`train`] |
//!
//! Nothing here reads a clock or the network: the host gives events and the time, and takes the vector. The ledger alone
//! writes to disk, since it must be there before the vector is.

#[cfg(feature = "store")]
pub mod device;
pub mod event;
pub mod example;
pub mod habits;
pub mod holdout;
pub mod label;
pub mod masks;
pub mod part;
pub mod participation;
pub mod quality;
#[cfg(feature = "quic")]
pub mod quic;
mod random;
pub mod ranking;
pub mod retrieval;
pub mod session;
#[cfg(feature = "store")]
pub mod store;
pub mod train;
pub mod version;
