//! The features by name.

use serde::{Deserialize, Serialize};

/// What a feature is about; reports say what each group is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Products of embeddings.
    Embeddings,
    /// What is public of the track.
    Track,
    /// The listener's own rate.
    Listener,
    /// What the listener has had to do with the track and its artist.
    History,
    /// The sitting under way.
    Session,
    /// Hour and weekday.
    Time,
    /// Where the track came from.
    Context,
}

impl Group {
    /// All groups, in the order of the features.
    pub const ALL: [Self; 7] =
        [Self::Embeddings, Self::Track, Self::Listener, Self::History, Self::Session, Self::Time, Self::Context];

    /// The group's name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embeddings => "embeddings",
            Self::Track => "track",
            Self::Listener => "listener",
            Self::History => "history",
            Self::Session => "session",
            Self::Time => "time",
            Self::Context => "context",
        }
    }
}

/// The named features, in the order of a ranker's inputs; contexts follow, one input each.
pub const FEATURES: [(&str, Group); 26] = [
    ("listener.track", Group::Embeddings),
    ("session.track", Group::Embeddings),
    ("listener.track x log plays", Group::Embeddings),
    ("log-odds of the track's rate", Group::Track),
    ("log of how often the track was shown", Group::Track),
    ("log-odds of the artist's rate", Group::Track),
    ("log of the track's length", Group::Track),
    ("log-odds of the listener's rate", Group::Listener),
    ("log of the listener's plays", Group::Listener),
    ("log of the listener's seconds a play", Group::Listener),
    ("log of how often the listener heard the track", Group::History),
    ("days since the listener heard the track, inverse", Group::History),
    ("the listener liked the track", Group::History),
    ("log of the listener's plays of the artist", Group::History),
    ("log-odds of the listener's rate of the artist", Group::History),
    ("log of the sitting's plays", Group::Session),
    ("log-odds of the sitting's rate", Group::Session),
    ("the last track pleased", Group::Session),
    ("skips in a row", Group::Session),
    ("log of the minutes since the last track", Group::Session),
    ("the sitting has begun", Group::Session),
    ("sine of the hour", Group::Time),
    ("cosine of the hour", Group::Time),
    ("sine of twice the hour", Group::Time),
    ("cosine of twice the hour", Group::Time),
    ("weekend", Group::Time),
];

/// Inputs of a ranker over these features.
pub const WIDTH: usize = FEATURES.len() + CONTEXTS;

/// Contexts that are told apart: those with a name, then the application's own places, the last standing for all further.
pub(super) const CONTEXTS: usize = 7 + 16;

/// The input of a named feature.
pub fn input_of(name: &str) -> Option<usize> {
    FEATURES.iter().position(|(known, _)| *known == name)
}

/// The group of an input.
pub fn group_of(input: usize) -> Group {
    FEATURES.get(input).map_or(Group::Context, |(_, group)| *group)
}
