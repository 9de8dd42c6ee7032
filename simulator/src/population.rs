//! A population of devices: every device's events through the on-device path, once, before any round.

use crate::dataset::{Dataset, FixedTest};
use crate::error::{Error, Result};
use crate::progress;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use sordino_client::example::{Labelled, examples};
use sordino_client::habits::habits;
use sordino_client::holdout::{Holdout, Split};
use sordino_client::label::{LabelKind, LabelPolicy, label};
use sordino_client::quality::{BotRule, BotVerdict, Checks, Tally, check};
use sordino_client::session::sessions;
use sordino_shared::evaluate::Habits;
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Example, Shown};
use sordino_shared::random::mix;
use std::collections::BTreeMap;

/// How test tracks are chosen and what they are ranked among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The latest track, among the whole catalogue.
    Loo,
    /// The latest track, among 99 drawn at random.
    Loo99,
    /// A split in time for all, among the whole catalogue.
    Time,
    /// A tenth of each listener's tracks by hash, among the whole catalogue.
    Hash,
}

/// What a track is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// It is learnt from.
    ToLearn,
    /// It is tested on.
    ToTest,
    /// Neither.
    Not,
}

/// Lists of unequal length, one a device, in one allocation.
#[derive(Clone, Debug)]
pub struct Lists<T> {
    ends: Vec<usize>,
    items: Vec<T>,
}

impl<T> Lists<T> {
    fn new() -> Self {
        Self { ends: Vec::new(), items: Vec::new() }
    }

    fn push(&mut self, list: impl IntoIterator<Item = T>) {
        self.items.extend(list);
        self.ends.push(self.items.len());
    }

    fn append(&mut self, mut other: Self) {
        let offset = self.items.len();
        self.items.append(&mut other.items);
        self.ends.extend(other.ends.into_iter().map(|end| end + offset));
    }

    /// The list of one device.
    pub fn of(&self, device: usize) -> &[T] {
        let start = if device == 0 { 0 } else { self.ends[device - 1] };
        &self.items[start..self.ends[device]]
    }

    /// All devices' items, in their order.
    pub fn all(&self) -> &[T] {
        &self.items
    }

    /// Items over all devices.
    pub fn total(&self) -> usize {
        self.items.len()
    }
}

/// Devices with something to learn from, and what was seen on the way.
#[derive(Clone)]
pub struct Population {
    /// Tracks in the catalogue.
    pub tracks: usize,
    /// How test tracks were chosen.
    pub protocol: Protocol,
    /// Each device's place in the data set.
    pub origin: Vec<u32>,
    /// Training examples, ascending by track.
    pub train: Lists<Example>,
    /// Tracks that settings are chosen by.
    pub validation: Lists<TrackId>,
    /// Tracks that results are reported on.
    pub test: Lists<TrackId>,
    /// What each device was shown, for workloads that learn from it; lists of nothing elsewhere.
    pub shown: Lists<Shown>,
    /// Candidates that the data set prescribes.
    pub fixed_negatives: Option<Lists<TrackId>>,
    /// Plays kept, one count a device.
    pub plays: Vec<u32>,
    /// Each device's earliest kept event.
    pub joined: Vec<Timestamp>,
    /// What each device sees of its listener's habits.
    pub habits: Vec<Habits>,
    /// What was counted.
    pub summary: Summary,
}

/// What the on-device path counted, over all devices of the data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Devices in the data set.
    pub devices: u64,
    /// Devices that keep their vectors because a bot rule was broken, by rule.
    pub flagged: BTreeMap<BotRule, u64>,
    /// Devices without a single training example, which have nothing to send.
    pub silent: u64,
    /// Events, and why some were turned away.
    pub tally: Tally,
    /// Events kept, by kind.
    pub kinds: BTreeMap<EventKind, u64>,
    /// Labels, by kind.
    pub labels: BTreeMap<LabelKind, u64>,
    /// Sessions.
    pub sessions: u64,
    /// Events in sessions of each length, the last class being open.
    pub session_lengths: [u64; 12],
    /// Plays by played ratio in steps of .1, the last class being open.
    pub ratios: [u64; 14],
    /// Listeners by plays kept, in classes of doubling width.
    pub plays_by_listener: [u64; 12],
}

impl Population {
    /// The same devices, those not in `members` with nothing to bring: the neighbours of zero-out.
    pub fn with_only(&self, members: &[bool]) -> Self {
        fn keep<T: Clone>(lists: &Lists<T>, members: &[bool]) -> Lists<T> {
            let mut kept = Lists::new();
            for (device, &member) in members.iter().enumerate() {
                kept.push(lists.of(device).iter().filter(|_| member).cloned());
            }
            kept
        }
        Self {
            train: keep(&self.train, members),
            validation: keep(&self.validation, members),
            shown: keep(&self.shown, members),
            ..self.clone()
        }
    }

    /// Devices that bring what they were shown and nothing else.
    pub fn of_shown(tracks: usize, shown: impl IntoIterator<Item = Vec<Shown>>) -> Self {
        let mut lists = Lists::new();
        shown.into_iter().for_each(|list| lists.push(list));
        lists.items.shrink_to_fit();
        let devices = lists.ends.len();
        fn nothing<T>(devices: usize) -> Lists<T> {
            Lists { ends: vec![0; devices], items: Vec::new() }
        }
        Self {
            tracks,
            protocol: Protocol::Time,
            origin: (0..devices as u32).collect(),
            train: nothing(devices),
            validation: nothing(devices),
            test: nothing(devices),
            shown: lists,
            fixed_negatives: None,
            plays: vec![0; devices],
            joined: vec![Timestamp::default(); devices],
            habits: vec![Habits::default(); devices],
            summary: Summary::default(),
        }
    }

    /// The same devices with other histories where `of` gives one, ascending by track.
    pub fn with_histories(&self, of: impl Fn(usize) -> Option<Vec<Example>>) -> Self {
        let mut train = Lists::new();
        for device in 0..self.devices() {
            match of(device) {
                Some(history) => train.push(history),
                None => train.push(self.train.of(device).iter().copied()),
            }
        }
        Self { train, ..self.clone() }
    }

    /// The same devices with tests for some of them only.
    pub fn tested_only(&self, is_tested: impl Fn(usize) -> bool) -> Self {
        let mut test = Lists::new();
        for device in 0..self.devices() {
            test.push(self.test.of(device).iter().copied().filter(|_| is_tested(device)));
        }
        Self { test, ..self.clone() }
    }

    /// The same devices with what they are tested on as what they hold out, so that they can measure models themselves.
    pub fn held_out_is_tested(&self) -> Self {
        Self { validation: self.test.clone(), test: self.validation.clone(), ..self.clone() }
    }

    /// The same devices with their tracks split by the catalogue, however they were split before.
    pub fn split_by_track(&self, used: impl Fn(TrackId) -> Used) -> Self {
        let (mut train, mut test, mut validation) = (Lists::new(), Lists::new(), Lists::new());
        for device in 0..self.devices() {
            let others = [&self.validation, &self.test].into_iter().flat_map(|lists| lists.of(device));
            let others = others.map(|&track| Example { track, confidence: 1.0 });
            let mut all: Vec<Example> = self.train.of(device).iter().copied().chain(others).collect();
            all.sort_by_key(|example| example.track);
            all.dedup_by_key(|example| example.track);
            train.push(all.iter().copied().filter(|example| used(example.track) == Used::ToLearn));
            test.push(all.iter().map(|example| example.track).filter(|&track| used(track) == Used::ToTest));
            validation.push([]);
        }
        Self { train, validation, test, fixed_negatives: None, ..self.clone() }
    }

    /// Takes every device of the data set through check, sessions, labels, examples and holdout.
    pub fn build(dataset: &Dataset, policy: &LabelPolicy, protocol: Protocol, seed: u64) -> Result<Self> {
        let holdout = holdout(dataset, policy, protocol)?;
        Self::hold_out(dataset, policy, protocol, &holdout, seed)
    }

    /// The same with a holdout of the caller's.
    pub fn hold_out(
        dataset: &Dataset,
        policy: &LabelPolicy,
        protocol: Protocol,
        holdout: &Holdout,
        seed: u64,
    ) -> Result<Self> {
        let fixed = dataset.fixed_test.as_ref();
        let chunks: Vec<usize> = (0..dataset.devices()).step_by(CHUNK).collect();
        let bar = progress::steps(dataset.devices() as u64, "preparing devices");
        let parts: Vec<Self> = chunks
            .into_par_iter()
            .map(|start| {
                let mut part = Self::empty(dataset, protocol);
                let devices = start..(start + CHUNK).min(dataset.devices());
                let prepared = devices.len() as u64;
                for device in devices {
                    let test = fixed.map(|tests| &tests[device]);
                    part.take_in(dataset, device, policy, holdout, test, seed);
                }
                bar.inc(prepared);
                part
            })
            .collect();
        bar.finish_and_clear();
        let mut all = Self::empty(dataset, protocol);
        parts.into_iter().for_each(|part| all.append(part));
        all.check(dataset)?;
        Ok(all)
    }

    /// Devices that take part.
    pub fn devices(&self) -> usize {
        self.origin.len()
    }

    /// Training popularity: how many devices hold each track.
    pub fn popularity(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.tracks];
        self.train.items.iter().for_each(|e| counts[e.track.row()] += 1.0);
        counts
    }

    fn empty(dataset: &Dataset, protocol: Protocol) -> Self {
        Self {
            tracks: dataset.tracks(),
            protocol,
            origin: Vec::new(),
            train: Lists::new(),
            validation: Lists::new(),
            test: Lists::new(),
            shown: Lists::new(),
            fixed_negatives: dataset.fixed_test.as_ref().map(|_| Lists::new()),
            plays: Vec::new(),
            joined: Vec::new(),
            habits: Vec::new(),
            summary: Summary::default(),
        }
    }

    fn take_in(
        &mut self,
        dataset: &Dataset,
        device: usize,
        policy: &LabelPolicy,
        holdout: &Holdout,
        fixed: Option<&FixedTest>,
        seed: u64,
    ) {
        let Observed { labelled, plays, joined, habits } = self.summary.observe(dataset, device, policy);
        let Some(labelled) = labelled else { return };
        let salt = mix(seed, SPLIT_STREAM, device as u64);
        let split = match fixed {
            Some(test) => prescribed(holdout.split(&labelled, salt), test),
            None => holdout.split(&labelled, salt),
        };
        if split.train.is_empty() {
            self.summary.silent += 1;
            return;
        }
        self.origin.push(device as u32);
        self.plays.push(plays);
        self.joined.push(joined);
        self.habits.push(habits);
        self.train.push(split.train);
        self.validation.push(split.validation);
        self.test.push(split.test);
        self.shown.push([]);
        if let (Some(all), Some(test)) = (&mut self.fixed_negatives, fixed) {
            all.push(test.negatives.iter().copied());
        }
    }

    fn append(&mut self, other: Self) {
        self.origin.extend(other.origin);
        self.plays.extend(other.plays);
        self.joined.extend(other.joined);
        self.habits.extend(other.habits);
        self.train.append(other.train);
        self.validation.append(other.validation);
        self.test.append(other.test);
        self.shown.append(other.shown);
        if let (Some(mine), Some(theirs)) = (&mut self.fixed_negatives, other.fixed_negatives) {
            mine.append(theirs);
        }
        self.summary.merge(&other.summary);
    }

    fn check(&self, dataset: &Dataset) -> Result<()> {
        if dataset.devices() < 2 {
            return Err(Error::input("the data has one listener only: a federation needs at least two"));
        }
        if self.tracks <= LARGEST_CUT {
            return Err(Error::input(format!(
                "the catalogue has {} tracks, too few for lists of {LARGEST_CUT}: bring more data",
                self.tracks
            )));
        }
        if self.devices() < 2 {
            let withheld: u64 = self.summary.flagged.values().sum();
            return Err(Error::input(format!(
                "fewer than two listeners have a positive label to learn from ({withheld} are withheld as bots, {} have \
                 none): bring more data or loosen the label policy",
                self.summary.silent
            )));
        }
        if self.test.total() == 0 {
            return Err(Error::input(
                "no listener has a track to test with: leave-one-out needs three liked tracks of a listener; try \
                 --protocol hash or bring more data",
            ));
        }
        Ok(())
    }
}

/// One device's way through check, sessions and labels.
struct Observed {
    // `None` where it keeps its vectors.
    labelled: Option<Vec<Labelled>>,
    plays: u32,
    joined: Timestamp,
    habits: Habits,
}

impl Summary {
    // One device through the path.
    fn observe(&mut self, dataset: &Dataset, device: usize, policy: &LabelPolicy) -> Observed {
        self.devices += 1;
        let checks = Checks { tracks: dataset.tracks(), now: dataset.now, dated: dataset.has_clock };
        let (valid, tally) = check(dataset.events(device).into_owned(), &checks);
        self.tally.merge(&tally);
        let joined = valid.first().map(|first| first.event().time).unwrap_or_default();
        let mut seen = Observed { labelled: None, plays: 0, joined, habits: Habits::default() };
        for event in valid.iter().map(|v| v.event()) {
            *self.kinds.entry(event.kind).or_default() += 1;
            seen.plays += u32::from(event.kind.is_listening());
            self.count_ratio(event);
        }
        self.plays_by_listener[(u32::BITS - seen.plays.leading_zeros()).min(11) as usize] += 1;
        if dataset.has_clock {
            let sessions = sessions(&valid);
            for session in &sessions {
                self.sessions += 1;
                self.session_lengths[(session.events.len() - 1).min(11)] += 1;
            }
            seen.habits = habits(&sessions, Timestamp(dataset.now.0 - DAY_MS));
            let verdict = BotVerdict::of(&valid);
            if let Some((rule, _)) = verdict.broken.first() {
                *self.flagged.entry(*rule).or_default() += 1;
                return seen;
            }
        }
        let labels = label(&valid, policy);
        labels.iter().for_each(|l| *self.labels.entry(l.kind).or_default() += 1);
        seen.labelled = Some(examples(&labels, policy));
        seen
    }

    fn count_ratio(&mut self, event: &PlaybackEvent) {
        if let (true, Some(fraction)) = (event.kind.is_listening(), event.played_fraction()) {
            self.ratios[((fraction * 10.0) as usize).min(13)] += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.devices += other.devices;
        self.silent += other.silent;
        self.sessions += other.sessions;
        self.tally.merge(&other.tally);
        add_counts(&mut self.flagged, &other.flagged);
        add_counts(&mut self.kinds, &other.kinds);
        add_counts(&mut self.labels, &other.labels);
        let classes = [
            (&mut self.session_lengths[..], &other.session_lengths[..]),
            (&mut self.ratios[..], &other.ratios[..]),
            (&mut self.plays_by_listener[..], &other.plays_by_listener[..]),
        ];
        for (mine, theirs) in classes {
            mine.iter_mut().zip(theirs).for_each(|(m, t)| *m += t);
        }
    }
}

fn add_counts<K: Ord + Copy>(mine: &mut BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
    theirs.iter().for_each(|(&key, &count)| *mine.entry(key).or_default() += count);
}

fn holdout(dataset: &Dataset, policy: &LabelPolicy, protocol: Protocol) -> Result<Holdout> {
    match protocol {
        Protocol::Loo | Protocol::Loo99 => Ok(Holdout::LeaveOneOut { dated: dataset.dated }),
        Protocol::Hash => Ok(Holdout::Hash),
        Protocol::Time if !dataset.dated => {
            Err(Error::input("these plays have no dates, so they cannot be split in time: use loo, loo99 or hash"))
        }
        Protocol::Time => Ok(time_split(dataset, policy)),
    }
}

// The last tenth of first likes is the test, the tenth before it the validation.
fn time_split(dataset: &Dataset, policy: &LabelPolicy) -> Holdout {
    let times = first_likes(dataset, policy);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    Holdout::Time { validation_from: at(0.8), test_from: at(0.9) }
}

/// The times of first likes in their order, of at most 20,000 devices.
pub(crate) fn first_likes(dataset: &Dataset, policy: &LabelPolicy) -> Vec<Timestamp> {
    let step = dataset.devices().div_ceil(20_000);
    let sample: Vec<usize> = (0..dataset.devices()).step_by(step).collect();
    let mut times: Vec<Timestamp> = sample
        .into_par_iter()
        .flat_map_iter(|device| {
            let labelled = Summary::default().observe(dataset, device, policy).labelled;
            labelled.unwrap_or_default().into_iter().map(|l| l.time)
        })
        .collect();
    times.sort_unstable();
    times
}

// The source's own test track; what the holdout would have tested goes back to training.
fn prescribed(split: Split, test: &FixedTest) -> Split {
    let held: Vec<TrackId> = test.test.into_iter().collect();
    let mut train = split.train;
    for track in split.test.into_iter().filter(|t| !held.contains(t)) {
        train.push(Example { track, confidence: 1.0 });
    }
    train.retain(|e| !held.contains(&e.track));
    train.sort_by_key(|e| e.track);
    Split { train, validation: split.validation.into_iter().filter(|t| !held.contains(t)).collect(), test: held }
}

const SPLIT_STREAM: u64 = 201;
const CHUNK: usize = 256;
// The present of a data set is a day after its last event.
const DAY_MS: i64 = 86_400_000;
/// The longest list that metrics look at.
pub const LARGEST_CUT: usize = 20;
