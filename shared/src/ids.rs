//! Names of things, as types that cannot be mixed up.

use serde::{Deserialize, Serialize};

/// A track's row in the federated catalogue, from 0 to the catalogue's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub u32);

impl TrackId {
    /// The row as an index.
    pub fn row(self) -> usize {
        self.0 as usize
    }
}
