//! Signs of a machine behind the play button. Each is a named rule with a score; a flagged device keeps its vector.

use super::ValidEvent;
use serde::{Deserialize, Serialize};
use sordino_shared::math;

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BotRule {
    /// More than 24 hours of music in one day.
    MoreThanADay,
    /// More than 300 skips in an hour.
    SkipStorm,
    /// One track more than 50 times in a day.
    Loop,
    /// Gaps between starts whose coefficient of variation is below .05.
    Metronome,
    /// Twenty hours without a pause of half an hour.
    NeverPauses,
}

/// What the rules say of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BotVerdict {
    /// The rules that were broken, each with its score: how many times over its limit.
    pub broken: Vec<(BotRule, f64)>,
}

impl BotVerdict {
    /// Applies every rule to a device's events in order of time. Only events that say how long was listened count.
    pub fn of(events: &[ValidEvent]) -> Self {
        let timed: Vec<&ValidEvent> = events.iter().filter(|v| v.event().seconds_listened.is_some()).collect();
        let rules = [
            (BotRule::MoreThanADay, busiest_day_hours(&timed) / 24.0),
            (BotRule::SkipStorm, busiest_hour_skips(&timed) / 300.0),
            (BotRule::Loop, most_repeats_in_a_day(&timed) / 50.0),
            (BotRule::Metronome, 0.05 / gap_variation(&timed).max(1e-9)),
            (BotRule::NeverPauses, longest_stretch_hours(&timed) / 20.0),
        ];
        Self { broken: rules.into_iter().filter(|&(_, score)| score > 1.0).collect() }
    }

    /// Whether the device keeps its training vectors to itself.
    pub fn is_flagged(&self) -> bool {
        !self.broken.is_empty()
    }
}

fn busiest_day_hours(events: &[&ValidEvent]) -> f64 {
    let seconds = |v: &ValidEvent| f64::from(v.event().seconds_listened.unwrap_or(0.0));
    busiest(events, DAY_MS, |v| ((), seconds(v))) / 3600.0
}

fn busiest_hour_skips(events: &[&ValidEvent]) -> f64 {
    let skip = |v: &ValidEvent| f64::from(u8::from(v.event().kind == crate::event::EventKind::Skip));
    busiest(events, DAY_MS / 24, |v| ((), skip(v)))
}

fn most_repeats_in_a_day(events: &[&ValidEvent]) -> f64 {
    busiest(events, DAY_MS, |v| (v.event().track, 1.0))
}

// The largest sum of a value over one window of the calendar, by key.
fn busiest<K: Ord>(events: &[&ValidEvent], window_ms: i64, of: impl Fn(&ValidEvent) -> (K, f64)) -> f64 {
    let mut sums = std::collections::BTreeMap::new();
    for v in events {
        let (key, value) = of(v);
        *sums.entry((v.event().time.0.div_euclid(window_ms), key)).or_insert(0.0) += value;
    }
    sums.into_values().fold(0.0, f64::max)
}

// The coefficient of variation of the gaps between starts; infinite for too few of them to tell.
fn gap_variation(events: &[&ValidEvent]) -> f64 {
    let gaps: Vec<f64> = gaps(events).collect();
    if gaps.len() < FEWEST_GAPS {
        return f64::INFINITY;
    }
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|g| math::powi(g - mean, 2)).sum::<f64>() / gaps.len() as f64;
    if mean > 0.0 { variance.sqrt() / mean } else { f64::INFINITY }
}

fn longest_stretch_hours(events: &[&ValidEvent]) -> f64 {
    let (mut longest, mut stretch) = (0.0f64, 0.0);
    for gap in gaps(events) {
        stretch = if gap < PAUSE_SECONDS { stretch + gap } else { 0.0 };
        longest = longest.max(stretch);
    }
    longest / 3600.0
}

fn gaps(events: &[&ValidEvent]) -> impl Iterator<Item = f64> {
    events.windows(2).map(|pair| pair[1].event().time.seconds_since(pair[0].event().time))
}

const DAY_MS: i64 = 86_400_000;
const PAUSE_SECONDS: f64 = 1800.0;
// Thirty listeners' gaps in a row never came below .3 in the real sets; ten could by chance.
const FEWEST_GAPS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, PlaybackEvent, Timestamp};
    use crate::quality::{Checks, check};
    use sordino_shared::ids::TrackId;

    fn verdict(events: impl Iterator<Item = (u32, i64, f32, EventKind)>) -> Vec<BotRule> {
        let events = events
            .map(|(track, second, listened, kind)| PlaybackEvent {
                seconds_listened: Some(listened),
                ..PlaybackEvent::new(TrackId(track), Timestamp::from_seconds(1_600_000_000 + second), kind)
            })
            .collect();
        let checks = Checks { tracks: 1000, now: Timestamp::from_seconds(1_700_000_000), dated: true };
        let (valid, _) = check(events, &checks);
        BotVerdict::of(&valid).broken.into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn machines_are_seen() {
        use EventKind::{Play, Skip};
        let uneven = |i: i64| i * 60 + (i * i * 7919) % 47;
        assert_eq!(verdict((0..40).map(|i| (i as u32, i * 180, 170.0, Play))), vec![BotRule::Metronome]);
        assert_eq!(verdict((0..60).map(|i| (1, uneven(i), 20.0, Play))), vec![BotRule::Loop]);
        assert!(verdict((0..900).map(|i| (i as u32, i * 5 + i % 3, 2.0, Skip))).contains(&BotRule::SkipStorm));
        assert!(verdict((0..1300).map(|i| (i as u32 % 900, uneven(i), 60.0, Play))).contains(&BotRule::NeverPauses));
        assert!(verdict((0..300).map(|i| (i as u32, uneven(i), 600.0, Play))).contains(&BotRule::MoreThanADay));
    }

    #[test]
    fn people_are_left_alone() {
        let person =
            (0..60i64).map(|i| (i as u32, i * 200 + (i * i * 7919) % 97 + (i / 12) * 7200, 150.0, EventKind::Play));
        assert!(verdict(person).is_empty());
    }
}
