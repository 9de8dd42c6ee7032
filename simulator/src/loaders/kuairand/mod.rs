//! KuaiRand (Gao et al. 2022): the publisher's CSV files, or a cut of them as Parquet.
//!
//! Play time over duration becomes replay (over 1.2), skip (under 5 s and under a quarter) or play;
//! like and hate become like and dislike, follow and forward add_to_playlist.

mod parquet;
mod published;

use super::Request;
use super::place::{file_name, folder, refuse_packed};
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result};
use sordino_client::event::{Context, EventKind, PlaybackEvent, Timestamp};

/// Loads the set from its folder, its archive's root, or one of its files.
pub(super) fn load(request: &Request<'_>) -> Result<Dataset> {
    let random = match request.option {
        None => Random::LeftOut,
        Some(option) => Random::parse(option)?,
    };
    let path = request.path;
    if path.is_file() {
        refuse_packed(path)?;
        return match file_name(path).as_str() {
            parquet::EVENTS => parquet::load(path.parent().unwrap_or(path), request.name),
            name if published::is_log(name) => published::load_log(path, request.name),
            _ => {
                Err(Error::file(path, format!("is neither a log of KuaiRand nor {}: name the folder", parquet::EVENTS)))
            }
        };
    }
    let what = "log_standard_*.csv of KuaiRand (or events.parquet)";
    let folder = folder(path, what, |folder| folder.join(parquet::EVENTS).is_file() || published::is_here(folder))?;
    if !folder.join(parquet::EVENTS).is_file() {
        return published::load(&folder, request.name, random);
    }
    if request.option.is_some() {
        return Err(Error::file(&folder, "has events.parquet, of which ?random= chooses nothing: leave it out"));
    }
    parquet::load(&folder, request.name)
}

/// What becomes of the log of videos that were shown at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Random {
    /// It is left out.
    LeftOut,
    /// It is read beside the rest.
    With,
    /// It alone is read.
    Only,
}

impl Random {
    fn parse(option: &str) -> Result<Self> {
        match option {
            "random=no" => Ok(Self::LeftOut),
            "random=with" => Ok(Self::With),
            "random=only" => Ok(Self::Only),
            _ => Err(Error::input(format!(
                "'?{option}' is no option of kuairand: choose ?random=no, ?random=with or ?random=only"
            ))),
        }
    }
}

// The columns of a log that say what was played, the place in the application last: some cuts of the set have none.
const PLAY_COLUMNS: [&str; 10] = [
    "user_id",
    "video_id",
    "time_ms",
    "is_like",
    "is_follow",
    "is_forward",
    "is_hate",
    "play_time_ms",
    "duration_ms",
    "tab",
];

// One row of a log.
struct Play {
    user: i64,
    video: i64,
    time: i64,
    like: bool,
    follow_or_forward: bool,
    hate: bool,
    // Milliseconds.
    played: Option<i64>,
    duration: Option<i64>,
    // Where in the application.
    tab: Option<i64>,
}

impl Play {
    // Of the values of `PLAY_COLUMNS`; nothing where user, video or time is missing.
    fn of(values: [Option<i64>; PLAY_COLUMNS.len()]) -> std::result::Result<Option<Self>, String> {
        let [user, video, time, like, follow, forward, hate, played, duration, tab] = values;
        let (Some(user), Some(video), Some(time)) = (user, video, time) else { return Ok(None) };
        if time < 0 {
            return Err(format!("time_ms {time} is negative: milliseconds since 1970 are needed"));
        }
        let is_set = |flag: Option<i64>| flag.is_some_and(|f| f > 0);
        let follow_or_forward = is_set(follow) || is_set(forward);
        let (like, hate) = (is_set(like), is_set(hate));
        Ok(Some(Self { user, video, time, like, follow_or_forward, hate, played, duration, tab }))
    }

    fn add(&self, builder: &mut Builder) {
        let (user, track) = (self.user.to_string(), builder.track(&self.video.to_string()));
        let mut event = PlaybackEvent::new(track, Timestamp(self.time), EventKind::Play);
        event.context = self.tab.and_then(|tab| u8::try_from(tab).ok()).map_or(Context::Unknown, Context::Place);
        if let (Some(played), Some(duration)) = (self.played, self.duration) {
            event.seconds_listened = Some(played as f32 / 1000.0);
            event.track_seconds = Some(duration as f32 / 1000.0);
            event.kind = match event.played_fraction() {
                Some(fraction) if fraction > 1.2 => EventKind::Replay,
                Some(fraction) if fraction < 0.25 && played < 5000 => EventKind::Skip,
                _ => EventKind::Play,
            };
        }
        builder.event(&user, event);
        let explicit = [
            (self.like, EventKind::Like),
            (self.hate, EventKind::Dislike),
            (self.follow_or_forward, EventKind::AddToPlaylist),
        ];
        for (_, kind) in explicit.into_iter().filter(|(is_said, _)| *is_said) {
            builder.event(&user, PlaybackEvent::new(track, Timestamp(self.time), kind));
        }
    }
}

// `music 9`: whole numbers of a column with gaps are written with a point.
fn feature(name: &str, value: &str) -> String {
    format!("{name} {}", value.strip_suffix(".0").unwrap_or(value))
}

const NOTHING_KNOWN: &str = "user, video or time missing";
