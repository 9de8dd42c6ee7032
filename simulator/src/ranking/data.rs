//! Earlier and later days of a data set, and what is public of its tracks.

use super::RankSettings;
use crate::dataset::{Dataset, Source};
use crate::error::{Error, Result};
use rayon::prelude::*;
use sordino_client::event::Timestamp;
use sordino_client::quality::{BotVerdict, Checks, ValidEvent, check};
use sordino_client::ranking::{Knowledge, Listing, Outcome, TrackFacts, shown};
use sordino_shared::model::{Content, Shown, Solver};
use sordino_shared::workload::{Counted, RateEstimate};

/// Every device's events with the time at which the test begins.
pub(super) struct Days {
    pub(super) devices: Vec<Vec<ValidEvent>>,
    pub(super) test_from: Timestamp,
    // What rates are counted of.
    pub(super) counted: Outcome,
}

/// What each device was shown on earlier days, and on later ones.
pub(super) struct Split {
    pub(super) train: Vec<Vec<Shown>>,
    pub(super) test: Vec<Vec<Shown>>,
}

/// What is public of tracks and artists.
pub(super) struct Facts {
    pub(super) tracks: Vec<TrackFacts>,
    pub(super) artists: Vec<Counted>,
}

impl Days {
    pub(super) fn new(dataset: &Dataset, settings: &RankSettings) -> Result<Self> {
        if !dataset.has_clock {
            return Err(Error::input(
                "ranking learns from earlier days and is tested on later ones: these plays have no dates",
            ));
        }
        let checks = Checks { tracks: dataset.tracks(), now: dataset.now, dated: dataset.has_clock };
        let devices: Vec<Vec<ValidEvent>> = (0..dataset.devices())
            .into_par_iter()
            .map(|device| check(dataset.events(device).into_owned(), &checks).0)
            .filter(|events| !events.is_empty() && BotVerdict::of(events).broken.is_empty())
            .collect();
        let told = |events: &Vec<ValidEvent>| {
            let with = events.iter().filter(|valid| settings.outcome.of(valid.event()).is_some());
            with.map(|valid| valid.event().time)
                .fold((i64::MAX, i64::MIN), |(least, most), t| (least.min(t.0), most.max(t.0)))
        };
        let (first, last) = devices.iter().map(told).fold((i64::MAX, i64::MIN), |a, b| (a.0.min(b.0), a.1.max(b.1)));
        if first > last {
            return Err(Error::input(
                "no play says how long it was heard and how long the track is: ranking needs both, see docs/data.md",
            ));
        }
        let test_days = i64::try_from(settings.test_days).unwrap_or(i64::MAX / 2);
        let test_from = (last.div_euclid(DAY_MS) + 1).saturating_sub(test_days).saturating_mul(DAY_MS);
        if test_from <= first {
            let days = (last - first) / DAY_MS + 1;
            return Err(Error::input(format!(
                "--test-days {} leaves no day to learn from: the plays span {days} days",
                settings.test_days
            )));
        }
        Ok(Self { devices, test_from: Timestamp(test_from), counted: settings.outcome })
    }

    /// The data set as it was before the test.
    pub(super) fn earlier(&self, dataset: &Dataset) -> Dataset {
        let before = |events: &Vec<ValidEvent>| {
            events.iter().map(|valid| *valid.event()).filter(|event| event.time < self.test_from).collect()
        };
        Dataset {
            name: dataset.name.clone(),
            track_names: dataset.track_names.clone(),
            content: dataset.content.clone(),
            dated: dataset.dated,
            has_clock: dataset.has_clock,
            now: self.test_from,
            fixed_test: None,
            passed_over: Vec::new(),
            source: Source::Recorded(self.devices.iter().map(before).collect()),
        }
    }

    /// What each device was shown before the test, without features.
    pub(super) fn plain(&self, outcome: Outcome) -> Vec<Vec<Shown>> {
        let of = |events: &Vec<ValidEvent>| {
            let events = events.iter().map(ValidEvent::event).filter(|event| event.time < self.test_from);
            events
                .filter_map(|event| {
                    let pleased = outcome.of(event)?;
                    Some(Shown { track: event.track, features: Vec::new(), pleased, weight: 1.0, list: 0 })
                })
                .collect()
        };
        self.devices.iter().map(of).collect()
    }

    /// With features as they were known when the tracks were shown.
    pub(super) fn split(&self, knowledge: &Knowledge<'_>, outcome: Outcome, listing: Listing) -> Split {
        let (train, test) = self
            .devices
            .par_iter()
            .map_init(Solver::default, |solver, events| {
                let all = shown(events, knowledge, outcome, listing, solver);
                let (earlier, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|dated| dated.time < self.test_from);
                let undated = |list: Vec<sordino_client::ranking::Dated>| list.into_iter().map(|d| d.shown).collect();
                (undated(earlier), undated(later))
            })
            .unzip();
        Split { train, test }
    }
}

impl Split {
    /// To learn from both.
    pub(super) fn with(&self, other: &Self) -> Self {
        // The lists of the other come after, numbered apart.
        let shifted = |shown: &Shown| Shown { list: shown.list + (1 << 24), ..shown.clone() };
        let join = |(own, more): (&Vec<Shown>, &Vec<Shown>)| {
            own.iter().cloned().chain(more.iter().map(shifted)).collect::<Vec<Shown>>()
        };
        Self { train: self.train.iter().zip(&other.train).map(join).collect(), test: Vec::new() }
    }
}

impl Facts {
    pub(super) fn new(dataset: &Dataset, days: &Days, rates: &RateEstimate) -> Self {
        let artists = artists_of(&dataset.content, dataset.tracks());
        let mut by_artist = vec![Counted::default(); artists.iter().max().map_or(1, |&most| most as usize + 1)];
        let mut seconds = vec![0f32; dataset.tracks()];
        for event in days.devices.iter().flatten().map(ValidEvent::event) {
            if let Some(length) = event.track_seconds {
                seconds[event.track.row()] = seconds[event.track.row()].max(length);
            }
        }
        let tracks = artists
            .into_iter()
            .zip(seconds)
            .zip(&rates.cells)
            .map(|((artist, seconds), counted)| {
                let sum = &mut by_artist[artist as usize];
                *sum = sum.and(counted);
                TrackFacts { counted: *counted, artist, seconds }
            })
            .collect();
        Self { tracks, artists: by_artist }
    }
}

// Artists from the content's features, numbered from 1; 0 for tracks without one.
fn artists_of(content: &Content, tracks: usize) -> Vec<u32> {
    let is_artist = |feature: u32| {
        let name = content.names[feature as usize].as_str();
        name.starts_with("author ") || name.starts_with("artist ")
    };
    let of = |track: usize| content.rows.get(track).and_then(|row| row.iter().map(|(f, _)| *f).find(|&f| is_artist(f)));
    (0..tracks).map(|track| of(track).map_or(0, |feature| feature + 1)).collect()
}

const DAY_MS: i64 = 86_400_000;
