//! Stage: sessions. In: [`ValidEvent`] in order of time. Out: [`Session`].

use crate::quality::ValidEvent;

/// One sitting: events with no gap of 30 minutes between them, cut after 4 hours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Session<'a> {
    /// The session's events, in order of time.
    pub events: &'a [ValidEvent],
}

impl Session<'_> {
    /// Seconds from the first start to the last.
    pub fn seconds(&self) -> f64 {
        match (self.events.first(), self.events.last()) {
            (Some(first), Some(last)) => last.event().time.seconds_since(first.event().time),
            _ => 0.0,
        }
    }
}

/// Cuts a device's events into sessions.
pub fn sessions(events: &[ValidEvent]) -> Vec<Session<'_>> {
    let mut out = Vec::new();
    if events.is_empty() {
        return out;
    }
    let mut start = 0;
    for i in 1..=events.len() {
        let ends = events.get(i).is_none_or(|next| {
            let gap = next.event().time.seconds_since(events[i - 1].event().time);
            let length = next.event().time.seconds_since(events[start].event().time);
            gap > GAP_SECONDS || length > LONGEST_SECONDS
        });
        if ends {
            out.push(Session { events: &events[start..i] });
            start = i;
        }
    }
    out
}

/// A gap longer than this ends a session.
pub const GAP_SECONDS: f64 = 1800.0;
/// A session longer than this is cut.
pub const LONGEST_SECONDS: f64 = 4.0 * 3600.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, PlaybackEvent, Timestamp};
    use crate::quality::{Checks, check};
    use sordino_shared::ids::TrackId;

    #[test]
    fn gaps_and_length_cut() {
        let times = [0, 100, 100 + 1801, 2000, 20_000];
        let long = (0..300).map(|i| 100_000 + i * 60);
        let events = times
            .into_iter()
            .chain(long)
            .enumerate()
            .map(|(i, t)| {
                PlaybackEvent::new(TrackId(i as u32), Timestamp::from_seconds(1_600_000_000 + t), EventKind::Play)
            })
            .collect();
        let checks = Checks { tracks: 1000, now: Timestamp::from_seconds(1_700_000_000), dated: true };
        let (valid, _) = check(events, &checks);
        let lengths: Vec<usize> = sessions(&valid).iter().map(|s| s.events.len()).collect();
        assert_eq!(lengths, vec![2, 2, 1, 241, 59]);
        assert!(sessions(&[]).is_empty());
    }
}
