//! What a device remembers of its listener: counters that events move, and the features that they give.

use super::features::{CONTEXTS, FEATURES, WIDTH};
use super::{Knowledge, Outcome};
use crate::event::{EventKind, PlaybackEvent, Timestamp};
use crate::session::GAP_SECONDS;
use sordino_shared::ids::TrackId;
use sordino_shared::linalg::dot_f32;
use sordino_shared::math;
use sordino_shared::model::{Example, Solver};
use sordino_shared::workload::Counted;
use std::collections::BTreeMap;

/// Plays and how many of them pleased.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    plays: f32,
    pleased: f32,
}

impl Count {
    fn add(&mut self, pleased: bool) {
        self.plays += 1.0;
        self.pleased += f32::from(u8::from(pleased));
    }

    /// Log-odds of the rate, drawn towards `mean` as by four plays.
    fn log_odds(self, mean: f32) -> f32 {
        log_odds((self.pleased + 4.0 * mean) / (self.plays + 4.0))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Acquaintance {
    plays: f32,
    last: Timestamp,
    liked: bool,
}

#[derive(Clone, Debug, Default)]
struct Sitting {
    count: Count,
    last_pleased: bool,
    skips_in_a_row: f32,
    // Decayed sum of the tracks' embeddings, each weighted by what became of it.
    taste: Vec<f32>,
}

/// A listener's past, as far as features need it. All of it comes from events taken before.
#[derive(Clone, Debug, Default)]
pub struct State {
    all: Count,
    // Seconds heard, and the plays that they are of.
    seconds: f32,
    timed: f32,
    last: Option<Timestamp>,
    tracks: BTreeMap<TrackId, Acquaintance>,
    artists: BTreeMap<u32, Count>,
    sitting: Sitting,
    // Tracks that pleased, for the listener's embedding; and that embedding, as last solved.
    pleasing: BTreeMap<TrackId, f32>,
    listener: Vec<f32>,
    stale: bool,
}

impl State {
    /// Solves for the listener's embedding, where tracks have come since it was solved last.
    pub fn solve(&mut self, knowledge: &Knowledge<'_>, solver: &mut Solver) {
        let Some(model) = knowledge.embeddings.filter(|_| self.stale) else { return };
        let examples: Vec<Example> =
            self.pleasing.iter().map(|(&track, &confidence)| Example { track, confidence }).collect();
        self.listener.clear();
        self.listener.extend_from_slice(solver.solve(model, &examples));
        self.stale = false;
    }

    /// The features of a track that is shown in a list which begins at `start`. What became of it is taken out of public
    /// counts that it is in, and shows nowhere else.
    pub fn features(&self, event: &PlaybackEvent, start: Timestamp, knowledge: &Knowledge<'_>) -> Vec<f32> {
        let mean = knowledge.shrinkage.mean as f32;
        let facts = &knowledge.tracks[event.track.row()];
        let own = knowledge.counted.supposed(event).filter(|_| event.time < knowledge.counted_until);
        let rate = |counted: &Counted| log_odds(knowledge.shrinkage.rate(counted, own) as f32) - log_odds(mean);
        let by_artist = knowledge.artists.get(facts.artist as usize).filter(|_| facts.artist > 0);
        let row = knowledge.embeddings.map(|model| model.row(event.track.row()));
        let product = |vector: &[f32]| match row {
            Some(row) if vector.len() == row.len() => dot_f32(vector, row),
            _ => 0.0,
        };
        let affinity = product(&self.listener);
        let known = self.tracks.get(&event.track).copied().unwrap_or_default();
        let artist = self.artists.get(&facts.artist).copied().filter(|_| facts.artist > 0).unwrap_or_default();
        let gap = self.last.map(|last| start.seconds_since(last).max(0.0));
        let goes_on = gap.is_some_and(|gap| gap <= GAP_SECONDS);
        let over = Sitting::default();
        let sitting = if goes_on { &self.sitting } else { &over };
        let days = if known.plays > 0.0 { start.seconds_since(known.last).max(0.0) / 86_400.0 } else { f64::INFINITY };
        let hour = event.time.0.rem_euclid(86_400_000) as f32 / 86_400_000.0 * std::f32::consts::TAU;
        // The first of January 1970 was a Thursday.
        let weekday = (event.time.0.div_euclid(86_400_000) + 3).rem_euclid(7);
        let flag = |set: bool| f32::from(u8::from(set));
        let named: [f32; FEATURES.len()] = [
            bounded(affinity),
            bounded(product(&sitting.taste)),
            bounded(affinity * math::ln_1p_f32(self.all.plays)),
            rate(&facts.counted),
            0.3 * math::ln_1p_f32((facts.counted.shown as f32).max(0.0)),
            by_artist.map_or(0.0, rate),
            if facts.seconds > 0.0 { math::ln_f32(facts.seconds / 30.0).clamp(-3.0, 3.0) } else { 0.0 },
            self.all.log_odds(mean) - log_odds(mean),
            0.5 * math::ln_1p_f32(self.all.plays),
            if self.timed > 0.0 { math::ln_1p_f32(self.seconds / self.timed / 15.0) } else { 0.0 },
            math::ln_1p_f32(known.plays),
            (1.0 / (1.0 + days)) as f32,
            flag(known.liked),
            math::ln_1p_f32(artist.plays),
            artist.log_odds(mean) - log_odds(mean),
            math::ln_1p_f32(sitting.count.plays),
            sitting.count.log_odds(mean) - log_odds(mean),
            flag(sitting.last_pleased),
            sitting.skips_in_a_row.min(10.0) * 0.3,
            gap.map_or(2.0, |gap| (0.2 * math::ln_1p(gap / 60.0)) as f32),
            flag(goes_on),
            math::sin_f32(hour),
            math::cos_f32(hour),
            math::sin_f32(2.0 * hour),
            math::cos_f32(2.0 * hour),
            flag(weekday >= 5),
        ];
        let mut features = vec![0.0; WIDTH];
        features[..named.len()].copy_from_slice(&named);
        features[named.len() + event.context.place().min(CONTEXTS - 1)] = 1.0;
        features
    }

    /// Takes an event into account.
    pub fn take(&mut self, event: &PlaybackEvent, outcome: Outcome, knowledge: &Knowledge<'_>) {
        let known = self.tracks.entry(event.track).or_default();
        match event.kind {
            EventKind::Like | EventKind::AddToPlaylist => {
                known.liked = true;
                self.prefer(event.track, LIKED);
                return;
            }
            EventKind::Dislike => {
                known.liked = false;
                self.pleasing.remove(&event.track);
                self.stale = true;
                return;
            }
            EventKind::Seek => return,
            EventKind::Play | EventKind::Skip | EventKind::Replay => {}
        }
        known.plays += 1.0;
        known.last = event.time;
        let Some(pleased) = outcome.supposed(event) else { return };
        if pleased {
            self.prefer(event.track, 1.0);
        }
        if self.last.is_none_or(|last| event.time.seconds_since(last) > GAP_SECONDS) {
            self.sitting = Sitting::default();
        }
        self.last = Some(event.time);
        self.all.add(pleased);
        if let Some(seconds) = event.seconds_listened {
            self.timed += 1.0;
            self.seconds += seconds.min(600.0);
        }
        let artist = knowledge.tracks[event.track.row()].artist;
        if artist > 0 {
            self.artists.entry(artist).or_default().add(pleased);
        }
        let sitting = &mut self.sitting;
        sitting.count.add(pleased);
        sitting.last_pleased = pleased;
        sitting.skips_in_a_row = if pleased { 0.0 } else { sitting.skips_in_a_row + 1.0 };
        if let Some(model) = knowledge.embeddings {
            sitting.taste.resize(model.dimensions(), 0.0);
            let weight = if pleased { 1.0 } else { -DISPLEASED };
            for (taste, value) in sitting.taste.iter_mut().zip(model.row(event.track.row())) {
                *taste = DECAY * *taste + weight * value;
            }
        }
    }

    fn prefer(&mut self, track: TrackId, confidence: f32) {
        let known = self.pleasing.entry(track).or_default();
        if *known < confidence {
            *known = confidence;
            self.stale = true;
        }
    }
}

fn log_odds(rate: f32) -> f32 {
    let rate = rate.clamp(1e-3, 1.0 - 1e-3);
    math::ln_f32(rate / (1.0 - rate))
}

// Tables are scaled so that products are of order 1 for tracks that fit; a few go far beyond.
fn bounded(product: f32) -> f32 {
    (3.0 * product).clamp(-3.0, 3.0)
}

// How much an explicit yes counts beside a play that pleased.
const LIKED: f32 = 3.0;
// What remains of the sitting's taste at each track.
const DECAY: f32 = 0.8;
// A track that did not please says less about taste than one that did.
const DISPLEASED: f32 = 0.3;

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, knowledge, play};
    use super::*;

    fn named(features: &[f32], name: &str) -> f32 {
        features[super::super::input_of(name).expect("a feature of this name")]
    }

    #[test]
    fn counters_follow_the_past() {
        let (tracks, outcome) = (facts(), Outcome::Heard { seconds: 18.0 });
        let knowledge = knowledge(&tracks);
        let mut state = State::default();
        let shown = play(3, 500, 90.0);
        let fresh = state.features(&shown, shown.time, &knowledge);
        assert_eq!(fresh.len(), WIDTH);
        assert_eq!(named(&fresh, "log of the listener's plays"), 0.0);
        assert_eq!(named(&fresh, "the sitting has begun"), 0.0);
        for event in [play(3, 0, 90.0), play(4, 100, 2.0), play(5, 200, 2.0)] {
            state.take(&event, outcome, &knowledge);
        }
        let after = state.features(&shown, shown.time, &knowledge);
        assert_eq!(named(&after, "log of the listener's plays"), 0.5 * math::ln_1p_f32(3f32));
        assert_eq!(named(&after, "log of how often the listener heard the track"), math::ln_1p_f32(1f32));
        assert_eq!(named(&after, "skips in a row"), 0.6);
        assert_eq!(named(&after, "the sitting has begun"), 1.0);
        assert_eq!(named(&after, "the last track pleased"), 0.0);
        // A sitting is over after half an hour; the listener's own counts stay.
        let later = play(3, 9000, 90.0);
        let next = state.features(&later, later.time, &knowledge);
        assert_eq!(named(&next, "log of the sitting's plays"), 0.0);
        assert_eq!(named(&next, "log of the listener's plays"), 0.5 * math::ln_1p_f32(3f32));
        assert!(after.iter().chain(&next).all(|value| value.is_finite() && value.abs() < 10.0));
    }
}
