//! Why a device is to come again later.

use sordino_shared::plain;
use std::fmt;

/// Why a visit ended without a part in a round. Nothing went wrong on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The host does not let it take part now.
    Host(&'static str),
    /// The registry's word has been out of date for so long that it takes part in nothing.
    Frozen,
    /// It has trained too lately to train again.
    Rests,
    /// The coordinator has nothing for it.
    NothingToDo,
    /// A rollout's round, in which it has nothing to say yet, or has had its say.
    NothingToSay,
    /// The round had no place left, was over, or was given up: in the coordinator's words.
    Round(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Round(reason) => return f.write_str(&plain::shown(reason)),
            Self::Host(reason) => reason,
            Self::Frozen => "the registry's word is out of date: tell the operator",
            Self::Rests => "nothing to do: it has trained lately",
            Self::NothingToDo => "nothing to do",
            Self::NothingToSay => "nothing to say in the rollout now",
        })
    }
}
