//! The synthetic world: listeners, tracks and sessions whose truth is known.
//!
//! Tracks belong to artists, artists to genres, all as points in a space of tastes; popularity has a long tail. A
//! listener has a taste, each session a mood. What is played next is chosen among tracks met by popularity, by how well
//! they fit. How much of it is played follows from the fit too: the fit's rank among all fits sets the rank of the played
//! ratio among the ratios of real listening ([`calibration`]), so that the world's ratios are distributed as the real
//! ones are. Skips, replays, likes and playlists follow, and so does leaving: bad sessions make listeners stay away.
//! A few listeners are bots and a few have broken clocks.

pub mod calibration;
mod catalogue;
mod listener;
pub mod names;

pub use catalogue::Catalogue;

use listener::Listener;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sordino_client::event::{PlaybackEvent, Timestamp};
use sordino_shared::math;
use sordino_shared::model::Content;
use sordino_shared::random::mix;

/// The world's parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorldSettings {
    /// Listeners, one device each.
    pub listeners: usize,
    /// Tracks.
    pub tracks: usize,
    /// Artists.
    pub artists: usize,
    /// Genres.
    pub genres: usize,
    /// Days of listening.
    pub days: u32,
    /// Median number of plays that a listener would come to without leaving.
    pub median_plays: f64,
    /// Spread of that number: the deviation of its logarithm.
    pub plays_spread: f64,
    /// How strongly the fit decides which of the tracks met is played.
    pub choosiness: f64,
    /// Share of the variance of the played ratio's rank that the fit explains.
    pub fit_share: f64,
    /// Days in which listeners begin: they come evenly.
    pub joining_days: f64,
    /// Share of the tracks that come out while the world goes on, evenly over its days; nobody meets them before.
    pub new_tracks: f64,
    /// The day on which fashion changes; never where absent. [`World::truth`] keeps to the fashion before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fashion_day: Option<u32>,
    /// Share of the tracks that change places in the charts on that day.
    pub fashion_share: f64,
    /// Share of listeners that are bots.
    pub bots: f64,
    /// Share of listeners whose clock is broken.
    pub broken_clocks: f64,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            listeners: 20_000,
            tracks: 2000,
            artists: 400,
            genres: 12,
            days: 28,
            median_plays: 45.0,
            plays_spread: 0.7,
            choosiness: 2.5,
            fit_share: 0.4,
            joining_days: 3.0,
            new_tracks: 0.0,
            fashion_day: None,
            fashion_share: 0.5,
            bots: 0.005,
            broken_clocks: 0.005,
        }
    }
}

impl WorldSettings {
    /// What is wrong with the settings, if anything.
    pub fn fault(&self) -> Option<String> {
        let shares = [
            ("fit_share", self.fit_share),
            ("bots", self.bots),
            ("broken_clocks", self.broken_clocks),
            ("fashion_share", self.fashion_share),
            ("new_tracks", self.new_tracks),
        ];
        if self.listeners < 2 || self.tracks < 30 || self.artists == 0 || self.genres == 0 || self.days == 0 {
            Some("the world needs at least 2 listeners, 30 tracks, one artist, one genre and one day".into())
        } else if let Some((name, most, _)) = [
            ("listeners", MOST_LISTENERS, self.listeners),
            ("tracks", MOST_TRACKS, self.tracks),
            ("artists", MOST_TRACKS, self.artists),
            ("genres", 10_000, self.genres),
            ("days", 100_000, self.days as usize),
        ]
        .into_iter()
        .find(|(_, most, value)| value > most)
        {
            Some(format!("world.{name} must be at most {most}"))
        } else if let Some((name, value)) = shares.into_iter().find(|(_, v)| !(0.0..=1.0).contains(v)) {
            Some(format!("world.{name} must lie between 0 and 1, not {value}"))
        } else if !(self.median_plays >= 1.0 && self.median_plays <= 1e5 && (0.0..=3.0).contains(&self.plays_spread)) {
            Some("world.median_plays must be 1 to 100000 and world.plays_spread 0 to 3".into())
        } else if !(self.joining_days >= 0.0 && self.joining_days <= f64::from(self.days)) {
            Some(format!("world.joining_days must lie between 0 and world.days, not {}", self.joining_days))
        } else if self.new_tracks > 0.9 {
            Some("world.new_tracks must be at most 0.9: something has to be there to begin with".into())
        } else if !(0.0..=100.0).contains(&self.choosiness) {
            Some(format!("world.choosiness must lie between 0 and 100, not {}", self.choosiness))
        } else {
            None
        }
    }
}

const MOST_LISTENERS: usize = 1_000_000_000;
const MOST_TRACKS: usize = 100_000_000;

/// The world. Each listener's events are made from the seed when asked for.
#[derive(Debug)]
pub struct World {
    settings: WorldSettings,
    seed: u64,
    catalogue: Catalogue,
    // The sorted fits of a sample of choices, each with the normal quantile of its rank.
    fits: Vec<(f32, f64)>,
}

/// A listener's true opinion of the catalogue and what became of them.
#[derive(Clone, Debug)]
pub struct Truth {
    /// For each track, the logarithm of the weight with which this listener would play it.
    pub utilities: Vec<f32>,
    /// Whether the listener is a bot.
    pub is_bot: bool,
    /// Whether the listener left before the end.
    pub left: bool,
}

impl World {
    /// Makes the catalogue and measures the fits that choices have.
    pub fn new(settings: WorldSettings, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, CATALOGUE_STREAM, 0));
        let catalogue = Catalogue::new(&settings, &mut rng);
        let mut world = Self { settings, seed, catalogue, fits: Vec::new() };
        // First the fits of single choices, then, with those, the fits of whole lives: people go back to what they like.
        for whole_lives in [false, true] {
            let sample = (0..FIT_SAMPLE).flat_map(|i| {
                let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, FIT_STREAM, i));
                let listener = Listener::new(&world.settings, &world.catalogue, &mut rng);
                match whole_lives {
                    false => listener.sample_fits(&world, &mut rng),
                    true => listener.live(&world, &mut rng).fits,
                }
            });
            let mut fits: Vec<f32> = sample.collect();
            fits.sort_by(f32::total_cmp);
            let count = fits.len() as f64;
            let score = |(i, fit)| (fit, normal_quantile((i as f64 + 0.5) / count));
            world.fits = fits.into_iter().enumerate().map(score).collect();
        }
        world
    }

    /// The parameters.
    pub fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    /// The tracks.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The tracks' public features: genre, artist and decade.
    pub fn content(&self) -> Content {
        self.catalogue.content()
    }

    /// One listener's events.
    pub fn events(&self, listener: usize) -> Vec<PlaybackEvent> {
        let mut rng = self.listener_rng(listener);
        Listener::new(&self.settings, &self.catalogue, &mut rng).live(self, &mut rng).events
    }

    /// What is true of one listener.
    pub fn truth(&self, listener: usize) -> Truth {
        let mut rng = self.listener_rng(listener);
        let person = Listener::new(&self.settings, &self.catalogue, &mut rng);
        let utilities = person.utilities(&self.settings, &self.catalogue);
        let is_bot = person.is_bot();
        Truth { utilities, is_bot, left: person.live(self, &mut rng).left }
    }

    /// The present of working clocks: a day after the world's last.
    pub fn now(&self) -> Timestamp {
        Timestamp(FIRST_DAY.0 + (i64::from(self.settings.days) + 1) * DAY_MS)
    }

    fn listener_rng(&self, listener: usize) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(mix(self.seed, LISTENER_STREAM, listener as u64))
    }

    // A fit's rank among the fits of choices, as a quantile of the normal distribution.
    fn normal_score(&self, fit: f32) -> f64 {
        let below = self.fits.partition_point(|&(f, _)| f < fit);
        self.fits[below.min(self.fits.len() - 1)].1
    }
}

// By bisection: a few thousand are needed, once.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if 0.5 * math::erfc(-middle / std::f64::consts::SQRT_2) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

// 2026-01-01.
const FIRST_DAY: Timestamp = Timestamp(1_767_225_600_000);
const DAY_MS: i64 = 86_400_000;
const CATALOGUE_STREAM: u64 = 101;
const LISTENER_STREAM: u64 = 102;
const FIT_STREAM: u64 = 103;
// Listeners whose choices are sampled for the ranks; each gives a few dozen.
const FIT_SAMPLE: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_client::event::EventKind;

    fn small() -> World {
        World::new(WorldSettings { listeners: 300, tracks: 300, artists: 60, ..WorldSettings::default() }, 7)
    }

    #[test]
    fn the_same_seed_is_the_same_world() {
        let (a, b) = (small(), small());
        assert!((0..20).all(|l| a.events(l) == b.events(l)));
        assert_ne!(a.events(0), a.events(1));
    }

    #[test]
    fn ratios_are_distributed_as_the_real_ones() {
        let world = small();
        let mut ratios: Vec<f64> = (0..300)
            .filter(|&l| !world.truth(l).is_bot)
            .flat_map(|l| world.events(l))
            .filter(|e| e.kind.is_listening())
            .filter_map(|e| e.played_fraction().map(f64::from))
            .collect();
        ratios.sort_by(f64::total_cmp);
        for (share, expected) in [(0.25, 0.018), (0.5, 0.096), (0.75, 0.575)] {
            let got = ratios[(ratios.len() as f64 * share) as usize];
            assert!((got / expected - 1.0).abs() < 0.25, "{share}: {got} {expected}");
        }
    }

    #[test]
    fn liked_tracks_fit_better() {
        let world = small();
        let (mut liked, mut skipped) = (Vec::new(), Vec::new());
        for listener in 0..300 {
            let utilities = world.truth(listener).utilities;
            for event in world.events(listener) {
                match event.kind {
                    EventKind::Like | EventKind::Replay => liked.push(utilities[event.track.row()]),
                    EventKind::Skip => skipped.push(utilities[event.track.row()]),
                    _ => {}
                }
            }
        }
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        assert!(mean(&liked) > mean(&skipped) + 0.3, "{} {}", mean(&liked), mean(&skipped));
    }
}
