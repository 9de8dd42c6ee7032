//! What became of events that were to be recorded.

use crate::quality::Rejection;
use thiserror::Error;

/// What became of events that were to be recorded: each of them was kept, known or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// How many were kept.
    pub kept: usize,
    /// How many were here already: recording them again changed nothing.
    pub known: usize,
    /// Those that were not kept: the place in what was given, from 0 and ascending, and why.
    pub refused: Vec<(usize, Refused)>,
    /// How many older events went, since no more than [`super::Bounds::events`] are kept and none for more than [`super::Bounds::days`].
    pub let_go: usize,
}

impl Recorded {
    /// Whether nothing was refused.
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty()
    }
}

/// Why an event was not kept.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Refused {
    /// The quality checks would turn it away whatever the catalogue.
    #[error("{}", words(*.0))]
    Quality(Rejection),
    /// It is older than anything that is kept.
    #[error("it is older than the days for which events are kept")]
    TooOld,
    /// So many newer ones are kept, or others of its day, that there is no room.
    #[error("as many events of its day or later are here as are kept")]
    NoRoom,
    /// Another event has its id.
    #[error("another event has this event_id: each event needs one of its own")]
    IdTaken,
}

fn words(reason: Rejection) -> &'static str {
    match reason {
        Rejection::ClockTooEarly => "its time is before 1990: times are in milliseconds since 1970",
        Rejection::ClockInFuture => "its time is in the future: times are in milliseconds since 1970",
        Rejection::BadNumber => "seconds_listened or track_seconds is negative or no finite number",
        Rejection::ZeroLength => "track_seconds is 0: leave it out where it is not known",
        Rejection::LongerThanTrack => "seconds_listened is longer than track_seconds allows",
        other => other.words(),
    }
}
