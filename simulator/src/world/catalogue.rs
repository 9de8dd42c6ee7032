//! Genres, artists and tracks.

use super::WorldSettings;
use rand_core::Rng;
use rand_distr::{Distribution, StandardNormal};
use sordino_shared::math;
use sordino_shared::model::Content;
use sordino_shared::random::{below, unit_f64};

/// Dimensions of the space of tastes.
pub(super) const TASTES: usize = 8;

/// The catalogue.
#[derive(Debug)]
pub struct Catalogue {
    places: Vec<[f32; TASTES]>,
    genres: Vec<[f32; TASTES]>,
    genre_of: Vec<u32>,
    artist_of: Vec<u32>,
    decade_of: Vec<u32>,
    seconds: Vec<f32>,
    // Running sums of popularity, ending at 1.
    cumulative: Vec<f64>,
    // The day on which each comes out.
    released: Vec<u32>,
    // The track that each changes places with when fashion changes.
    successor: Vec<u32>,
    fashion_day: Option<u32>,
}

impl Catalogue {
    /// Draws a catalogue.
    pub fn new(settings: &WorldSettings, rng: &mut impl Rng) -> Self {
        let genres: Vec<[f32; TASTES]> = (0..settings.genres).map(|_| normal(rng, 1.0)).collect();
        let artists: Vec<(u32, [f32; TASTES], u32)> = (0..settings.artists)
            .map(|_| {
                // Squaring makes some genres larger than others.
                let genre = (math::powi(unit_f64(rng), 2) * settings.genres as f64) as u32;
                let place = add(&genres[genre as usize], &normal(rng, 0.6));
                (genre, place, below(rng, 6) as u32)
            })
            .collect();
        let mut catalogue = Self {
            places: Vec::new(),
            genres,
            genre_of: Vec::new(),
            artist_of: Vec::new(),
            decade_of: Vec::new(),
            seconds: Vec::new(),
            cumulative: Vec::new(),
            released: Vec::new(),
            successor: Vec::new(),
            fashion_day: settings.fashion_day,
        };
        let mut ranks: Vec<usize> = (0..settings.tracks).collect();
        for i in (1..ranks.len()).rev() {
            ranks.swap(i, below(rng, i as u64 + 1) as usize);
        }
        let mut total = 0.0;
        for rank in ranks {
            let artist = below(rng, settings.artists as u64) as usize;
            let (genre, place, decade) = artists[artist];
            catalogue.places.push(add(&place, &normal(rng, 0.4)));
            catalogue.genre_of.push(genre);
            catalogue.artist_of.push(artist as u32);
            catalogue.decade_of.push(decade);
            let z: f64 = StandardNormal.sample(rng);
            catalogue.seconds.push((210.0 * math::exp(0.3 * z)).clamp(45.0, 900.0) as f32);
            // Zipf's law with an offset that flattens the very top.
            total += 1.0 / math::powf(rank as f64 + 10.0, 0.9);
            catalogue.cumulative.push(total);
        }
        catalogue.cumulative.iter_mut().for_each(|c| *c /= total);
        // Drawn last, so that a world without them is the same.
        catalogue.released = (0..settings.tracks)
            .map(|_| {
                let is_new = unit_f64(rng) < settings.new_tracks;
                if is_new { below(rng, u64::from(settings.days)) as u32 } else { 0 }
            })
            .collect();
        catalogue.successor = (0..settings.tracks as u32).collect();
        let changing: Vec<usize> = (0..settings.tracks).filter(|_| unit_f64(rng) < settings.fashion_share).collect();
        for place in (1..changing.len()).rev() {
            catalogue.successor.swap(changing[place], changing[below(rng, place as u64 + 1) as usize]);
        }
        catalogue
    }

    /// The number of tracks.
    pub fn tracks(&self) -> usize {
        self.places.len()
    }

    /// A track's length.
    pub fn seconds(&self, track: usize) -> f32 {
        self.seconds[track]
    }

    /// A track's place among tastes.
    pub fn place(&self, track: usize) -> &[f32; TASTES] {
        &self.places[track]
    }

    /// The genres' places.
    pub fn genres(&self) -> &[[f32; TASTES]] {
        &self.genres
    }

    /// A track's share of the plays of listeners without taste.
    pub fn popularity(&self, track: usize) -> f64 {
        self.cumulative[track] - if track == 0 { 0.0 } else { self.cumulative[track - 1] }
    }

    /// A track drawn by popularity among those that are out on a day.
    pub fn meet(&self, day: u32, rng: &mut impl Rng) -> usize {
        loop {
            let draw = unit_f64(rng);
            let track = self.cumulative.partition_point(|&c| c <= draw).min(self.tracks() - 1);
            let in_fashion = self.fashion_day.is_some_and(|change| day >= change);
            let track = if in_fashion { self.successor[track] as usize } else { track };
            if self.released[track] <= day {
                return track;
            }
        }
    }

    /// Names for the tracks.
    pub fn names(&self) -> Vec<String> {
        (0..self.tracks()).map(|t| format!("track {t} by artist {}", self.artist_of[t])).collect()
    }

    /// Genre, artist and decade of each track.
    pub fn content(&self) -> Content {
        let genres = self.genres.len() as u32;
        let mut names: Vec<String> = (0..genres).map(|g| format!("genre {g}")).collect();
        names.extend((0..6).map(|d| format!("decade {d}")));
        let artists = self.artist_of.iter().max().map_or(0, |a| a + 1);
        names.extend((0..artists).map(|a| format!("artist {a}")));
        let row = |t: usize| {
            [self.genre_of[t], genres + self.decade_of[t], genres + 6 + self.artist_of[t]].map(|f| (f, 1.0)).to_vec()
        };
        Content { names, rows: (0..self.tracks()).map(row).collect() }
    }
}

/// Independent normal draws.
pub(super) fn normal(rng: &mut impl Rng, deviation: f32) -> [f32; TASTES] {
    std::array::from_fn(|_| {
        let z: f32 = StandardNormal.sample(rng);
        z * deviation
    })
}

/// The sum of two places.
pub(super) fn add(a: &[f32; TASTES], b: &[f32; TASTES]) -> [f32; TASTES] {
    std::array::from_fn(|k| a[k] + b[k])
}
