//! What an application that embeds a device writes with: `use sordino_client::prelude::*`.

pub use crate::device::{Device, Host, Secret, Settings, Standing, parse_federation};
pub use crate::event::{Context, EventKind, PlaybackEvent, Reason, Timestamp, TrackId};
#[cfg(feature = "quic")]
pub use crate::quic::{Endpoint, Visited, Why, endpoint, enrol_device, visit_once};
pub use crate::store::{Bounds, Recorded, Refused};
pub use sordino_shared::control::{Federation, from_hexadecimal, hexadecimal};
pub use sordino_shared::privacy::ledger::{Balance, Policy};
