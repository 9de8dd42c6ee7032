//! Stage: habits. In: [`Session`]. Out: [`Habits`], which feeds evaluation and never training.

use crate::event::{EventKind, Timestamp};
use crate::quality::ValidEvent;
use crate::session::Session;
use sordino_shared::evaluate::{Habits, RETURN_DAYS};

/// A listener's habits, as far as its sessions up to `until` tell.
///
/// Sessions that say nowhere how long anything was played are left out where others do say: they come from lists of the past, and
/// their times are guesses.
pub fn habits(sessions: &[Session<'_>], until: Timestamp) -> Habits {
    let timed = |session: &&Session<'_>| session.events.iter().any(|e| e.event().seconds_listened.is_some());
    let any_timed = sessions.iter().any(|s| timed(&s));
    let sessions: Vec<&Session<'_>> = sessions.iter().filter(|s| !any_timed || timed(s)).collect();
    let listened = |session: &Session<'_>| listening(session.events).count();
    let starts: Vec<Timestamp> = sessions.iter().filter_map(|s| Some(s.events.first()?.event().time)).collect();
    let ends: Vec<Timestamp> = sessions.iter().filter_map(|s| Some(s.events.last()?.event().time)).collect();
    let returned = RETURN_DAYS.map(|days| {
        let span = f64::from(days) * 86_400.0;
        let over = ends.iter().enumerate().filter(|(_, end)| until.seconds_since(**end) >= span);
        let back = over.map(|(place, end)| starts.get(place + 1).is_some_and(|next| next.seconds_since(*end) <= span));
        mean(back.map(|back| f32::from(u8::from(back))))
    });
    let early = sessions.iter().flat_map(|s| listening(s.events).take(EARLY));
    Habits {
        returned,
        session_tracks: mean(sessions.iter().map(|s| listened(s) as f32).filter(|tracks| *tracks > 0.0)),
        early_skips: mean(early.map(|event| f32::from(u8::from(event.event().kind == EventKind::Skip)))),
    }
}

fn listening(events: &[ValidEvent]) -> impl Iterator<Item = &ValidEvent> {
    events.iter().filter(|e| e.event().kind.is_listening())
}

fn mean(values: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f32)
}

// Tracks at the beginning of a session that a skip says most about.
const EARLY: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PlaybackEvent;
    use crate::quality::{Checks, check};
    use crate::session::sessions;
    use sordino_shared::ids::TrackId;

    const START: i64 = 1_600_000_000;
    const DAY: i64 = 86_400;

    fn seen(of: &[(i64, EventKind, Option<f32>)], until: i64) -> Habits {
        let event = |(track, &(time, kind, seconds)): (usize, &(i64, EventKind, Option<f32>))| {
            let mut event = PlaybackEvent::new(TrackId(track as u32), Timestamp::from_seconds(START + time), kind);
            event.seconds_listened = seconds;
            event.track_seconds = seconds.map(|_| 200.0);
            event
        };
        let events = of.iter().enumerate().map(event).collect();
        let checks = Checks { tracks: 1000, now: Timestamp::from_seconds(1_700_000_000), dated: true };
        let (valid, _) = check(events, &checks);
        habits(&sessions(&valid), Timestamp::from_seconds(START + until))
    }

    #[test]
    fn returns_are_counted_where_their_days_are_over() {
        use EventKind::{Play, Skip};
        let of = [(0, Play, None), (100, Skip, None), (2 * DAY, Skip, None), (9 * DAY, Play, None)];
        let seen_ = seen(&of, 10 * DAY);
        // After the first: two days. After the second: seven. After the third one day has passed, and nobody came.
        assert_eq!(seen_.returned, [Some(0.0), Some(0.5), Some(1.0)]);
        assert_eq!(seen_.session_tracks, Some(4.0 / 3.0));
        assert_eq!(seen_.early_skips, Some(0.5));
        assert_eq!(seen(&of, 9 * DAY + 10).returned, [Some(0.0), Some(0.5), Some(1.0)]);
        assert_eq!(seen(&[], 0), Habits::default());
    }

    #[test]
    fn lists_of_the_past_do_not_count_beside_plays() {
        use EventKind::Play;
        let of = [(0, Play, None), (DAY, Play, None), (20 * DAY, Play, Some(150.0)), (30 * DAY, Play, Some(150.0))];
        assert_eq!(seen(&of, 40 * DAY).returned, [Some(0.0), Some(0.0), Some(0.0)]);
        assert_eq!(seen(&of[..2], 40 * DAY).returned, [Some(0.5), Some(0.5), Some(0.5)]);
    }
}
