//! Sordino on the device: from playback events to one vector that may leave it.
//!
//! *For whom*: an application that plays music, wants recommendations learnt from its listeners,
//! and will not collect what they listen to. It gives events and says when the phone is free; the
//! library keeps them sealed, takes part in private rounds, and ranks. *Not for* servers
//! (`sordino-coordinator`), nor for trying ideas on data sets (`sordino-simulator`).
//!
//! *Two types to start at*: [`device::Device`], which an application embeds, and [`device::Host`],
//! which it implements so that the device knows its phone. `client/examples/embed.rs` is a whole
//! application; `docs/events.md` has every field of an event.
//!
//! ```
//! use sordino_client::device::{Pretend, pretend_federation};
//! use sordino_client::prelude::*;
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! # let now = Pretend::default().now();
//! // What the operator hands out (`parse_federation` reads its file), and a phone; `Desk` is a host for computers.
//! let mut device = Device::open(folder, pretend_federation(), Settings::default(), Pretend::default())?;
//!
//! let heard = PlaybackEvent {
//!     seconds_listened: Some(201.0),
//!     track_seconds: Some(204.0),
//!     ..PlaybackEvent::new(TrackId(17), Timestamp(now), EventKind::Play)
//! };
//! assert_eq!(device.record(&[heard])?.kept, 1);
//!
//! // `enrol_device` once, with a token; then `visit_once` whenever the platform lets the application work. A model comes
//! // with a visit: before that there is nothing to rank with.
//! assert!(device.recommend(10).is_err());
//!
//! // For the listener: what was sent, what it cost, what is kept, and an end to it.
//! println!("{}", device.ledger());
//! assert_eq!(device.export()?.len(), 1);
//! assert_eq!(device.erase()?.events, 1);
//! # Ok::<(), sordino_client::device::Error>(())
//! ```
//!
//! The data's way:
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
//! Without the features `quic` and `store` nothing here reads a clock or the network: the host
//! gives events and the time, and takes the vector. The ledger alone writes to disk, since it must
//! be there before the vector is. `store` adds the device with its folder, `quic` its visits.
//!
//! # A small program
//!
//! A release build of an application with all of this has some 8 MB, stripped, since it is built for
//! speed. This in the application's own `Cargo.toml` (profiles count only in the root of a build)
//! makes it half of that; in this workspace it is the profile `device`, and
//! `cargo build --profile device -p sordino-client --example embed` shows the size:
//!
//! ```toml
//! [profile.release]
//! opt-level = "z"
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! strip = true
//! ```
//!
//! An application with a transport of its own leaves out QUIC and TLS:
//! `sordino-client = { version = "...", default-features = false, features = ["store"] }`.
//!
//! # Names
//!
//! What public signatures take and give can be named from this crate alone: [`shared`] is the crate
//! of what devices and coordinator have in common, [`prelude`] what an application needs, and types
//! of other crates stand where they are used.

pub use sordino_shared as shared;

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
#[cfg(feature = "store")]
pub mod prelude;
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
