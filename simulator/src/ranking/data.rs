//! Earlier and later days of a data set, and what is public of its tracks.

use super::RankSettings;
use crate::dataset::{Dataset, Source};
use crate::error::{Error, Result};
use crate::population::Population;
use crate::progress;
use rayon::prelude::*;
use sordino_client::event::Timestamp;
use sordino_client::quality::{BotVerdict, Checks, ValidEvent, check};
use sordino_client::ranking::{Knowledge, Listing, Outcome, TrackFacts, shown};
use sordino_shared::model::{Content, Inputs, Shown, Solver};
use sordino_shared::workload::{Counted, RateEstimate};
use std::collections::BTreeMap;

/// Every device's events with the time at which the test begins.
pub(super) struct Days {
    pub(super) devices: Vec<Vec<ValidEvent>>,
    pub(super) test_from: Timestamp,
    pub(super) test_days: i64,
    // What rates are counted of.
    pub(super) counted: Outcome,
}

/// What each device was shown on earlier days, to learn from, and on later ones.
pub(super) struct Split {
    pub(super) train: Population,
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
        let mut devices: Vec<Vec<ValidEvent>> = (0..dataset.devices())
            .into_par_iter()
            .map(|device| check(dataset.events(device).into_owned(), &checks).0)
            .filter(|events| !events.is_empty() && BotVerdict::of(events).broken.is_empty())
            .collect();
        let by_day = outcomes_by_day(&devices, settings.outcome);
        let (Some((&first, _)), Some((&last, _))) = (by_day.first_key_value(), by_day.last_key_value()) else {
            return Err(Error::input(
                "no play says how long it was heard and how long the track is: ranking needs both, see docs/data.md",
            ));
        };
        let days = |given: usize| i64::try_from(given).unwrap_or(i64::MAX / 4);
        let end = last + 1 - days(settings.left_out_days);
        let test_days = settings.test_days.given().map_or_else(|| days_that_hold_a_tenth(&by_day, end), days);
        let test_from = end - test_days;
        if test_from <= first {
            return Err(Error::input(format!(
                "--test-days {test_days} and {} days left out leave no day to learn from: the plays span {} days",
                settings.left_out_days,
                last - first + 1
            )));
        }
        let end = Timestamp(end.saturating_mul(DAY_MS));
        devices.iter_mut().for_each(|events| events.retain(|valid| valid.event().time < end));
        devices.retain(|events| !events.is_empty());
        let test_from = Timestamp(test_from * DAY_MS);
        Ok(Self { devices, test_from, test_days, counted: settings.outcome })
    }

    /// The data set as it was before the test.
    pub(super) fn earlier(&self, dataset: &Dataset) -> Dataset {
        let before = |events: &Vec<ValidEvent>| {
            events.iter().map(|valid| *valid.event()).filter(|event| event.time < self.test_from).collect()
        };
        Dataset {
            name: dataset.name.clone(),
            track_names: dataset.track_names.clone(),
            titles: dataset.titles.clone(),
            content: dataset.content.clone(),
            dated: dataset.dated,
            has_clock: dataset.has_clock,
            now: self.test_from,
            fixed_test: None,
            passed_over: Vec::new(),
            notes: dataset.notes.clone(),
            span: None,
            source: Source::Recorded(self.devices.iter().map(before).collect()),
        }
    }

    /// What each device was shown before the test, without features; outcomes may be supposed.
    pub(super) fn plain(&self, outcome: Outcome) -> Vec<Vec<Shown>> {
        let of = |events: &Vec<ValidEvent>| {
            let events = events.iter().map(ValidEvent::event).filter(|event| event.time < self.test_from);
            events
                .filter_map(|event| {
                    let pleased = outcome.supposed(event)?;
                    Some(Shown { track: event.track, features: Inputs::default(), pleased, weight: 1.0, list: 0 })
                })
                .collect()
        };
        self.devices.iter().map(of).collect()
    }

    /// With features as they were known when the tracks were shown.
    pub(super) fn split(&self, knowledge: &Knowledge<'_>, outcome: Outcome, listing: Listing) -> Split {
        let bar = progress::steps(self.devices.len() as u64, "features");
        let (train, test): (Vec<_>, _) = self
            .devices
            .par_iter()
            .map_init(Solver::default, |solver, events| {
                bar.inc(1);
                let all = shown(events, knowledge, outcome, listing, solver);
                let (earlier, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|dated| dated.time < self.test_from);
                let undated = |list: Vec<sordino_client::ranking::Dated>| list.into_iter().map(|d| d.shown).collect();
                (undated(earlier), undated(later))
            })
            .unzip();
        bar.finish_and_clear();
        Split { train: Population::of_shown(knowledge.tracks.len(), train), test }
    }
}

fn outcomes_by_day(devices: &[Vec<ValidEvent>], outcome: Outcome) -> BTreeMap<i64, usize> {
    let mut by_day = BTreeMap::new();
    for event in devices.iter().flatten().map(ValidEvent::event).filter(|event| outcome.of(event).is_some()) {
        *by_day.entry(event.time.0.div_euclid(DAY_MS)).or_default() += 1;
    }
    by_day
}

// The fewest days before `end` that hold a tenth of the outcomes there.
fn days_that_hold_a_tenth(by_day: &BTreeMap<i64, usize>, end: i64) -> i64 {
    let all: usize = by_day.range(..end).map(|(_, count)| count).sum();
    let mut held = 0;
    let enough = by_day.range(..end).rev().find(|(_, count)| {
        held += *count;
        10 * held >= all
    });
    enough.map_or(1, |(day, _)| end - day)
}

impl Split {
    /// What devices can learn from both, and the later days of each.
    pub(super) fn joined(self, other: Self) -> (Population, [Vec<Vec<Shown>>; 2]) {
        // The lists of the other come after, numbered apart.
        let shifted = |shown: &Shown| Shown { list: shown.list + (1 << 24), ..shown.clone() };
        let join = |device: usize| {
            let (own, more) = (self.train.shown.of(device), other.train.shown.of(device));
            own.iter().cloned().chain(more.iter().map(shifted)).collect::<Vec<Shown>>()
        };
        let both = Population::of_shown(self.train.tracks, (0..self.train.devices()).map(join));
        (both, [self.test, other.test])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_held_by_the_fewest_days() {
        let by_day = BTreeMap::from([(3, 50), (5, 40), (8, 5), (9, 5), (11, 100)]);
        assert_eq!(days_that_hold_a_tenth(&by_day, 10), 2);
        assert_eq!(days_that_hold_a_tenth(&by_day, 9), 4);
        assert_eq!(days_that_hold_a_tenth(&by_day, 12), 1);
        assert_eq!(days_that_hold_a_tenth(&by_day, 3), 1);
    }
}
