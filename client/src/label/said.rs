//! What listeners said about what they had just played: the truth that weak labels are held against.

use crate::event::{EventKind, PlaybackEvent};
use crate::quality::ValidEvent;
use crate::session::GAP_SECONDS;
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Inputs, PlayBands, Shown};

/// A play of known length with the explicit action that came after it, if one did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said {
    /// The played fraction; 1 is the whole track once.
    pub fraction: f32,
    /// The track's length in seconds.
    pub seconds: f32,
    /// Like, add_to_playlist or dislike, the first that came before the track was played again and within half an hour.
    pub action: Option<EventKind>,
}

impl Said {
    /// Whether the listener said yes or no; `None` where nothing was said.
    pub fn approves(&self) -> Option<bool> {
        self.action.map(|kind| kind != EventKind::Dislike)
    }

    /// As an outcome to be counted in its cell.
    pub fn counted(&self, bands: &PlayBands, pleased: bool) -> Shown {
        let cell = TrackId(bands.cell(self.fraction, self.seconds) as u32);
        Shown { track: cell, features: Inputs::default(), pleased, weight: 1.0, list: 0 }
    }
}

/// Plays of known length, in order of time, each with what was said of it.
pub fn said(events: &[ValidEvent]) -> Vec<Said> {
    let of = |(at, play): (usize, &PlaybackEvent)| {
        let (fraction, seconds) = (play.played_fraction()?, play.track_seconds?);
        let after = events[at + 1..].iter().map(ValidEvent::event);
        let action = after
            .take_while(|event| event.time.seconds_since(play.time) <= GAP_SECONDS)
            .filter(|event| event.track == play.track)
            .take_while(|event| !event.kind.is_listening())
            .map(|event| event.kind)
            .find(|kind| matches!(kind, EventKind::Like | EventKind::AddToPlaylist | EventKind::Dislike));
        Some(Said { fraction, seconds, action })
    };
    let events = events.iter().map(ValidEvent::event).enumerate();
    events.filter(|(_, event)| event.kind.is_listening()).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::quality::{Checks, check};

    fn event(track: u32, second: i64, kind: EventKind) -> PlaybackEvent {
        let mut event = PlaybackEvent::new(TrackId(track), Timestamp::from_seconds(1_600_000_000 + second), kind);
        if kind.is_listening() {
            event.seconds_listened = Some(50.0);
            event.track_seconds = Some(100.0);
        }
        event
    }

    fn actions(events: Vec<PlaybackEvent>) -> Vec<Option<EventKind>> {
        let checks = Checks { tracks: 8, now: Timestamp::from_seconds(1_700_000_000), dated: true };
        said(&check(events, &checks).0).iter().map(|said| said.action).collect()
    }

    #[test]
    fn an_action_belongs_to_the_play_before_it() {
        use EventKind::{AddToPlaylist, Dislike, Like, Play, Seek};
        assert_eq!(actions(vec![event(1, 0, Play), event(1, 0, Like)]), [Some(Like)], "at the same moment");
        assert_eq!(
            actions(vec![event(1, 0, Play), event(2, 60, Play), event(1, 90, AddToPlaylist)]),
            [Some(AddToPlaylist), None]
        );
        assert_eq!(
            actions(vec![event(1, 0, Play), event(1, 200, Play), event(1, 250, Dislike)]),
            [None, Some(Dislike)]
        );
        assert_eq!(actions(vec![event(1, 0, Play), event(1, 5000, Like)]), [None], "too late");
        assert_eq!(actions(vec![event(1, 0, Play), event(1, 10, Seek), event(1, 20, Like)]), [Some(Like)]);
        assert_eq!(actions(vec![event(1, 0, Like), event(1, 10, Play)]), [None], "before it");
        let unknown = PlaybackEvent { track_seconds: None, ..event(1, 0, Play) };
        assert!(actions(vec![unknown, event(1, 10, Like)]).is_empty());
    }
}
