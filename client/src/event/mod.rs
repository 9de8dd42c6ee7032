//! Playback events as the host application records them: `docs/events.md` has every field, with
//! examples.

#[cfg(feature = "store")]
mod fields;
#[cfg(feature = "store")]
mod lines;

#[cfg(feature = "store")]
pub use fields::{FIELDS, Field, FieldFaults, NoEvent, WrongField};
#[cfg(feature = "store")]
pub use lines::{Lines, MOST_LINE};
pub use sordino_shared::ids::TrackId;

use serde::{Deserialize, Serialize};

/// The version of the event's fields. Version 1 is the first; an older event is upgraded when it is read.
pub const SCHEMA_VERSION: u16 = 1;

/// Milliseconds since 1970-01-01 UTC. Signed, so that a broken clock can be told from a working one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Seconds from `earlier` to `self`; negative if it is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1000.0
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The track played, to its end or not.
    Play,
    /// The listener went on before the end.
    Skip,
    /// The listener started the track again.
    Replay,
    /// Put into a playlist, shared or followed.
    AddToPlaylist,
    /// An explicit like.
    Like,
    /// An explicit dislike.
    Dislike,
    /// A jump inside the track.
    Seek,
}

impl EventKind {
    /// All kinds, in the order that reports list them.
    pub const ALL: [Self; 7] =
        [Self::Play, Self::Skip, Self::Replay, Self::AddToPlaylist, Self::Like, Self::Dislike, Self::Seek];

    /// The kind's name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Skip => "skip",
            Self::Replay => "replay",
            Self::AddToPlaylist => "add_to_playlist",
            Self::Like => "like",
            Self::Dislike => "dislike",
            Self::Seek => "seek",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the event says that time was spent listening.
    pub fn is_listening(self) -> bool {
        matches!(self, Self::Play | Self::Skip | Self::Replay)
    }
}

/// Where the track came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// Not known.
    #[default]
    Unknown,
    /// A playlist.
    Playlist,
    /// An album.
    Album,
    /// An artist's page.
    Artist,
    /// A radio or an endless feed.
    Radio,
    /// A search.
    Search,
    /// The queue.
    Queue,
    /// A place of the application's own, by its number.
    Place(u8),
}

impl Context {
    /// Those with a name.
    pub const NAMED: [Self; 7] =
        [Self::Unknown, Self::Playlist, Self::Album, Self::Artist, Self::Radio, Self::Search, Self::Queue];

    /// Its number among all contexts: those with a name first, then the application's own places.
    pub fn place(self) -> usize {
        match self {
            Self::Unknown => 0,
            Self::Playlist => 1,
            Self::Album => 2,
            Self::Artist => 3,
            Self::Radio => 4,
            Self::Search => 5,
            Self::Queue => 6,
            Self::Place(number) => 7 + usize::from(number),
        }
    }
}

/// Why a track started or ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not known.
    #[default]
    Unknown,
    /// The track before it, or this one, came to its end.
    TrackDone,
    /// The listener chose: clicked, went forward, went back.
    Listener,
    /// The application: autoplay, logout, another device took over.
    Application,
    /// A fault: no network, a broken file.
    Fault,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::TrackDone, Self::Listener, Self::Application, Self::Fault];
}

/// One event, as recorded. Nothing in it is trusted before [`crate::quality`] has looked at it.
///
/// ```
/// use sordino_client::event::{EventKind, PlaybackEvent, Timestamp, TrackId};
/// let liked = PlaybackEvent::new(TrackId(17), Timestamp(1_795_000_000_000), EventKind::Like);
/// let heard = PlaybackEvent {
///     event_id: PlaybackEvent::id_of("7f6c1e1a-35f0-4d43-8d1b-0f9b7f0a3a11"),
///     seconds_listened: Some(201.5),
///     track_seconds: Some(204.0),
///     ..PlaybackEvent::new(TrackId(17), Timestamp(1_795_000_000_000), EventKind::Play)
/// };
/// assert!(heard.played_fraction() > Some(0.98) && liked.played_fraction().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaybackEvent {
    /// What the application calls the event, so that it is kept once however often it is recorded;
    /// 0 where it has no name: then one event of a kind, a track and a time is kept.
    /// [`PlaybackEvent::id_of`] makes one of a text.
    #[serde(default)]
    pub event_id: u64,
    /// The track.
    pub track: TrackId,
    /// When it started.
    pub time: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Seconds listened, where known.
    pub seconds_listened: Option<f32>,
    /// The track's length in seconds, where known.
    pub track_seconds: Option<f32>,
    /// Where the track came from.
    #[serde(default)]
    pub context: Context,
    /// Why it started.
    #[serde(default)]
    pub reason_start: Reason,
    /// Why it ended.
    #[serde(default)]
    pub reason_end: Reason,
    /// Whether shuffle was on.
    #[serde(default)]
    pub shuffle: bool,
    /// Whether the device was offline.
    #[serde(default)]
    pub offline: bool,
    /// Place in the list that it was played from, from 0; where known.
    pub position: Option<u16>,
}

impl PlaybackEvent {
    /// An event of this kind with all else unknown.
    pub fn new(track: TrackId, time: Timestamp, kind: EventKind) -> Self {
        Self {
            event_id: 0,
            track,
            time,
            kind,
            seconds_listened: None,
            track_seconds: None,
            context: Context::Unknown,
            reason_start: Reason::Unknown,
            reason_end: Reason::Unknown,
            shuffle: false,
            offline: false,
            position: None,
        }
    }

    /// The id of an event that an application names by a text, such as a UUID: always the same for
    /// the same text, never 0. A text of digits is that number, so that what was exported as a
    /// number may come back as a text.
    pub fn id_of(text: &str) -> u64 {
        match text.parse::<u64>() {
            Ok(number) if number.to_string() == text && number != 0 => number,
            _ => {
                let hash = sordino_shared::secagg::digest(&[b"sordino event id v1 ", text.as_bytes()].concat());
                let (first, _) = hash.split_first_chunk::<8>().expect("32 bytes");
                u64::from_le_bytes(*first).max(1)
            }
        }
    }

    /// Seconds listened over the track's length, where both are known.
    pub fn played_fraction(&self) -> Option<f32> {
        match (self.seconds_listened, self.track_seconds) {
            (Some(listened), Some(length)) if length > 0.0 => Some(listened / length),
            _ => None,
        }
    }
}
