//! One listener's life.

use super::catalogue::{Catalogue, TASTES, add, normal};
use super::{DAY_MS, FIRST_DAY, World, WorldSettings, calibration};
use rand_core::Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use sordino_client::event::{Context, EventKind, PlaybackEvent, Reason, Timestamp};
use sordino_shared::ids::TrackId;
use sordino_shared::math;
use sordino_shared::random::{below, unit_f64};

/// A person, a bot, or a person with a broken clock.
pub(super) struct Listener {
    taste: [f32; TASTES],
    plays: usize,
    nature: Nature,
}

#[derive(Clone, Copy, PartialEq)]
enum Nature {
    Person,
    Bot,
    // The clock's error in milliseconds.
    BrokenClock(i64),
}

/// What a listener did.
pub(super) struct Life {
    pub(super) events: Vec<PlaybackEvent>,
    // The fit of each play to its mood.
    pub(super) fits: Vec<f32>,
    pub(super) left: bool,
}

impl Listener {
    pub(super) fn new(settings: &WorldSettings, catalogue: &Catalogue, rng: &mut impl Rng) -> Self {
        let draw = unit_f64(rng);
        let nature = if draw < settings.bots {
            Nature::Bot
        } else if draw < settings.bots + settings.broken_clocks {
            // Never set, or years ahead.
            Nature::BrokenClock(if below(rng, 2) == 0 { -FIRST_DAY.0 } else { 5 * 365 * DAY_MS })
        } else {
            Nature::Person
        };
        // One to three genres, some weight on each, and something of one's own.
        let mut taste = normal(rng, 0.5);
        for _ in 0..=below(rng, 3) {
            let genre = &catalogue.genres()[below(rng, catalogue.genres().len() as u64) as usize];
            let weight = 0.3 + 0.7 * unit_f64(rng) as f32;
            taste = add(&taste, &genre.map(|v| v * weight));
        }
        let z: f64 = StandardNormal.sample(rng);
        let plays = (settings.median_plays * math::exp(settings.plays_spread * z)).clamp(3.0, 1000.0) as usize;
        Self { taste, plays, nature }
    }

    pub(super) fn is_bot(&self) -> bool {
        self.nature == Nature::Bot
    }

    /// The logarithm of the weight with which each track would be played: popularity times the pull of its fit.
    pub(super) fn utilities(&self, settings: &WorldSettings, catalogue: &Catalogue) -> Vec<f32> {
        (0..catalogue.tracks())
            .map(|t| {
                let pull = settings.choosiness as f32 * fit(&self.taste, catalogue.place(t));
                math::ln(catalogue.popularity(t).max(f64::MIN_POSITIVE)) as f32 + pull
            })
            .collect()
    }

    /// The fits of a few dozen choices.
    pub(super) fn sample_fits(&self, world: &World, rng: &mut impl Rng) -> Vec<f32> {
        (0..40)
            .map(|_| {
                let mood = add(&self.taste, &normal(rng, MOOD));
                let track = self.choose(world, &mood, world.settings().days, rng);
                fit(&mood, world.catalogue().place(track))
            })
            .collect()
    }

    pub(super) fn live(&self, world: &World, rng: &mut impl Rng) -> Life {
        if self.is_bot() {
            return Life { events: self.run_machine(world, rng), fits: Vec::new(), left: false };
        }
        let mut life = Life { events: Vec::new(), fits: Vec::new(), left: false };
        let end = FIRST_DAY.0 + i64::from(world.settings().days) * DAY_MS;
        let mut time = FIRST_DAY.0 + (unit_f64(rng) * world.settings().joining_days * DAY_MS as f64) as i64;
        let mut favourites: Vec<usize> = Vec::new();
        let mut played = 0;
        while played < self.plays && time < end {
            let mood = add(&self.taste, &normal(rng, MOOD));
            let day = ((time - FIRST_DAY.0) / DAY_MS) as u32;
            let length = 1 + (-math::ln(1.0 - unit_f64(rng)) * SESSION_PLAYS) as usize;
            let mut satisfaction = 0.0;
            for position in 0..length {
                let again = !favourites.is_empty() && unit_f64(rng) < AGAIN;
                let track = match again {
                    true => favourites[below(rng, favourites.len() as u64) as usize],
                    false => self.choose(world, &mood, day, rng),
                };
                let fit = fit(&mood, world.catalogue().place(track));
                life.fits.push(fit);
                let rank = enjoy(world, fit, rng);
                satisfaction += rank;
                if rank > 0.8 {
                    favourites.push(track);
                }
                let listened = self.record(world, track, rank, time, position, &mut life.events, rng);
                time += (f64::from(listened) * 1000.0) as i64 + 1000 + (unit_f64(rng) * 4000.0) as i64;
                played += 1;
            }
            // Bad sessions make people leave; good ones bring them back sooner.
            let satisfaction = satisfaction / length as f64;
            if unit_f64(rng) < LEAVE * math::powi(1.0 - satisfaction, 3) {
                life.left = true;
                break;
            }
            let wait: f64 = Exp1.sample(rng);
            time += ((0.1 + wait * (1.5 - satisfaction)) * DAY_MS as f64) as i64;
        }
        if let Nature::BrokenClock(error) = self.nature {
            life.events.iter_mut().for_each(|e| e.time = Timestamp(e.time.0 + error));
        }
        life
    }

    // The best of the tracks met, by fit and a bit of chance (a Gumbel draw makes it a logit choice).
    fn choose(&self, world: &World, mood: &[f32; TASTES], day: u32, rng: &mut impl Rng) -> usize {
        let choosiness = world.settings().choosiness;
        let mut best = (f64::NEG_INFINITY, 0);
        for _ in 0..MET {
            let track = world.catalogue().meet(day, rng);
            let gumbel = -math::ln(-math::ln(unit_f64(rng).max(f64::MIN_POSITIVE)));
            let pull = choosiness * f64::from(fit(mood, world.catalogue().place(track))) + gumbel;
            if pull > best.0 {
                best = (pull, track);
            }
        }
        best.1
    }

    // Writes the play and what was done about it; returns the seconds listened.
    #[allow(clippy::too_many_arguments, reason = "one event has many sides, and they are named once, here")]
    fn record(
        &self,
        world: &World,
        track: usize,
        rank: f64,
        time: i64,
        position: usize,
        events: &mut Vec<PlaybackEvent>,
        rng: &mut impl Rng,
    ) -> f32 {
        let length = world.catalogue().seconds(track);
        // A pass that is no replay ends with the track, give or take what a player reports beyond it.
        let most = if rank > 1.0 - calibration::REPLAYS { f32::INFINITY } else { 1.09 };
        let listened = (calibration::ratio(rank) as f32).min(most) * length;
        let (kind, reason_end) = if rank < calibration::SKIPS {
            (EventKind::Skip, Reason::Listener)
        } else if rank > 1.0 - calibration::REPLAYS {
            (EventKind::Replay, Reason::TrackDone)
        } else {
            let over = listened >= 0.95 * length;
            (EventKind::Play, if over { Reason::TrackDone } else { Reason::Listener })
        };
        events.push(PlaybackEvent {
            event_id: events.len() as u64 + 1,
            seconds_listened: Some(listened),
            track_seconds: Some(length),
            context: Context::Radio,
            reason_end,
            position: Some(position as u16),
            ..PlaybackEvent::new(TrackId(track as u32), Timestamp(time), kind)
        });
        let explicit = [
            (EventKind::Like, rank > 0.85, calibration::LIKES / 0.15),
            (EventKind::AddToPlaylist, rank > 0.9, calibration::PLAYLISTS / 0.1),
            (EventKind::Dislike, rank < 0.05, calibration::DISLIKES / 0.05),
        ];
        for (kind, likely, probability) in explicit {
            if likely && unit_f64(rng) < probability {
                events.push(PlaybackEvent {
                    event_id: events.len() as u64 + 1,
                    ..PlaybackEvent::new(TrackId(track as u32), Timestamp(time), kind)
                });
            }
        }
        listened
    }

    // A machine plays by popularity, all day, to the second.
    fn run_machine(&self, world: &World, rng: &mut impl Rng) -> Vec<PlaybackEvent> {
        let start = FIRST_DAY.0 + (unit_f64(rng) * DAY_MS as f64) as i64;
        (0..600i64)
            .map(|i| {
                let track = world.catalogue().meet(0, rng);
                PlaybackEvent {
                    event_id: i as u64 + 1,
                    seconds_listened: Some(31.0),
                    track_seconds: Some(world.catalogue().seconds(track)),
                    ..PlaybackEvent::new(TrackId(track as u32), Timestamp(start + i * 35_000), EventKind::Play)
                }
            })
            .collect()
    }
}

// The rank in (0, 1) of how much of the track is played: part fit, part chance.
fn enjoy(world: &World, fit: f32, rng: &mut impl Rng) -> f64 {
    let share = world.settings().fit_share;
    let chance: f64 = StandardNormal.sample(rng);
    normal_cdf(share.sqrt() * world.normal_score(fit) + (1.0 - share).sqrt() * chance)
}

// How well a track suits a mood: the cosine, scaled so that it has a spread of about one.
fn fit(mood: &[f32; TASTES], place: &[f32; TASTES]) -> f32 {
    let dot = |a: &[f32; TASTES], b: &[f32; TASTES]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    2.0 * dot(mood, place) / (dot(mood, mood) * dot(place, place)).sqrt().max(1e-6)
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * math::erfc(-z / std::f64::consts::SQRT_2)
}

// Spread of a session's mood around the taste.
const MOOD: f32 = 0.4;
// Tracks met before one is chosen.
const MET: usize = 6;
const SESSION_PLAYS: f64 = 7.0;
// Share of plays that go back to something liked before.
const AGAIN: f64 = 0.15;
// Chance to leave after a session without any satisfaction.
const LEAVE: f64 = 0.4;
