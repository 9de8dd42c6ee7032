//! The registry: which versions of the model there are and which of them serve whom, signed so that no server, mirror or thief of one key
//! can make a device run something else.
//!
//! Metadata and workflow are those of The Update Framework (TUF, specification 1.0.33), so that any tool of that framework can read and
//! check a registry; `tests/vectors` holds one that another implementation wrote. The roles:
//!
//! | role | signs | keys |
//! |---|---|---|
//! | root | whose keys count, the next root | several, kept off the server |
//! | targets | versions ([`VersionInfo`]) and rollouts ([`RolloutTerms`]) | several, kept off the server |
//! | rollout | what serves whom now ([`Serving`]), within what targets allow | one, on the server |
//! | snapshot, timestamp | which of these are the newest | the same one |
//!
//! A thief of the server's key can stop a rollout or hurry it on within its signed stages; it cannot bring in a model, and it cannot take a
//! device below the version that was last good ([`Choice`]).
//!
//! Every role has a date by which its word ends, and all of them count whenever a device uses what it believes ([`Trusted::freshness`]): fresh
//! timestamps prolong no snapshot, and no server prolongs what people have signed.
//!
//! Without I/O: [`Refresh`] says what to load next and takes what was loaded. `now` is the device's own time, which its host must not let go
//! back behind the last look that succeeded: all was in date then, so no clock that is wrong by more than what was signed can set it.

mod canonical;
mod error;
mod freshness;
mod metadata;
mod refresh;
mod serving;
mod sign;
#[cfg(test)]
mod tests;
mod trusted;
mod version;

pub use error::{Error, Role};
pub use freshness::{FROZEN_AFTER_MS, Freshness};
pub use metadata::{Key, Root, Targets, time_of, time_text};
pub use refresh::Refresh;
pub use serving::{Candidate, Choice, Holdback, Mode, Pin, Place, Serving};
pub use sign::{OnlineFiles, key_id, sign_online, sign_root, sign_targets};
pub use trusted::{Trusted, read_offline};
pub use version::{Probe, RUNTIME, RolloutTerms, StageTerms, VersionInfo};
