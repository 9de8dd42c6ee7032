//! Why metadata is not believed, each fault by its own name.

use std::fmt;
use thiserror::Error;

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Whose keys count.
    Root,
    /// Which metadata is the newest.
    Timestamp,
    /// Which metadata belongs together.
    Snapshot,
    /// Versions and rollouts.
    Targets,
    /// What serves whom now.
    Rollout,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Root, Self::Timestamp, Self::Snapshot, Self::Targets, Self::Rollout];

    /// Its name in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
            Self::Rollout => "rollout",
        }
    }

    /// Its file's name in other metadata.
    pub(super) fn file(self) -> String {
        format!("{}.json", self.name())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why metadata is not believed: the peer's fault, unless the operator lets it expire.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("the registry's metadata cannot be read: {0}")]
    Format(String),
    /// It is another role's.
    #[error("the registry's {wanted} metadata is of another type: '{found}'")]
    OtherRole {
        /// What was asked for.
        wanted: Role,
        /// What it says it is.
        found: String,
    },
    /// Too few of the keys that count have signed it.
    #[error("the registry's {role} metadata has {valid} valid signatures, and {needed} are needed")]
    Threshold {
        /// Whose metadata.
        role: Role,
        /// Distinct keys that have signed.
        valid: usize,
        /// Keys that must.
        needed: usize,
    },
    /// It is out of date.
    #[error(
        "the registry's {role} metadata expired at {at}: the server is cut off from its operator, or replays the past"
    )]
    Expired {
        /// Whose metadata.
        role: Role,
        /// When.
        at: String,
    },
    /// It is older than what is known.
    #[error("the registry's {role} metadata goes back from {known} to {offered}")]
    Older {
        /// Whose metadata.
        role: Role,
        /// The version offered.
        offered: u64,
        /// The version known.
        known: u64,
    },
    /// A root that does not follow.
    #[error("root {offered} does not follow root {known}")]
    RootOrder {
        /// The version offered.
        offered: u64,
        /// The version known.
        known: u64,
    },
    /// Its length is not the one that was signed.
    #[error("the registry's {0} is longer or shorter than was signed")]
    Length(String),
    /// Its hash is not the one that was signed.
    #[error("the registry's {0} has other bytes than were signed")]
    Hash(String),
    /// Files that do not belong together.
    #[error("the registry mixes metadata of different times: {0}")]
    Mixed(String),
    /// It names something that is not signed.
    #[error("the registry says that {0} serves, which nobody has signed")]
    Unsigned(String),
    /// What serves is outside what was signed.
    #[error("the registry goes beyond what was signed: {0}")]
    Beyond(String),
    /// A signing key is not among those that count.
    #[error("the key {0} is not one of the registry's {1} keys")]
    ForeignKey(String, Role),
}
