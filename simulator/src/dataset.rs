//! A data set: a catalogue and the events of each device, read from files or made by the synthetic world.

use crate::error::shown;
use crate::world::World;
use sordino_client::event::{PlaybackEvent, Timestamp};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Content;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A data set.
pub struct Dataset {
    /// Where it came from, as the user named it.
    pub name: String,
    /// The tracks' own names.
    pub track_names: Vec<String>,
    /// What people call the tracks; empty where the source does not say.
    pub titles: Vec<String>,
    /// The tracks' public features; empty where the source has none.
    pub content: Content,
    /// Whether times mean anything.
    pub dated: bool,
    /// Whether times are those of a calendar; sets that count from zero have an order of events and no clocks to check.
    pub has_clock: bool,
    /// Each device's present: a day after the last event that any source of truth vouches for.
    pub now: Timestamp,
    /// Held-out tracks and candidates that the source itself prescribes, one entry a device.
    pub fixed_test: Option<Vec<FixedTest>>,
    /// Rows of the files that were passed over, by reason.
    pub passed_over: Vec<(String, u64)>,
    /// What the files were taken for, and what of them was left out or is missing, a sentence each.
    pub notes: Vec<String>,
    /// Where there is one, events from its first time up to, and not at, its second are all that devices have.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The events.
    pub source: Source,
}

/// A test that comes with the data.
#[derive(Clone, Debug, Default)]
pub struct FixedTest {
    /// The held-out track.
    pub test: Option<TrackId>,
    /// The tracks that it is ranked among.
    pub negatives: Vec<TrackId>,
}

/// Where events come from.
pub enum Source {
    /// Files: all events, by device.
    Recorded(Vec<Vec<PlaybackEvent>>),
    /// The synthetic world: made device by device, never all at once.
    World(Box<World>),
}

impl Dataset {
    /// The number of tracks.
    pub fn tracks(&self) -> usize {
        self.track_names.len()
    }

    /// The number of devices.
    pub fn devices(&self) -> usize {
        match &self.source {
            Source::Recorded(events) => events.len(),
            Source::World(world) => world.settings().listeners,
        }
    }

    /// One device's events, in no particular order.
    pub fn events(&self, device: usize) -> Cow<'_, [PlaybackEvent]> {
        let all = match &self.source {
            Source::Recorded(events) => Cow::Borrowed(events[device].as_slice()),
            Source::World(world) => Cow::Owned(world.events(device)),
        };
        match self.span {
            None => all,
            Some((from, to)) => all.iter().filter(|event| event.time >= from && event.time < to).copied().collect(),
        }
    }

    /// The synthetic world, where that is the source.
    pub fn world(&self) -> Option<&World> {
        match &self.source {
            Source::World(world) => Some(world),
            Source::Recorded(_) => None,
        }
    }
}

/// Collects rows of a file into a [`Dataset`], giving devices and tracks their numbers.
#[derive(Default)]
pub struct Builder {
    users: Interner,
    tracks: Interner,
    events: Vec<Vec<PlaybackEvent>>,
    features: Interner,
    content: HashMap<u32, Vec<u32>>,
    titles: BTreeMap<u32, String>,
    passed_over: HashMap<String, u64>,
    notes: Vec<String>,
}

impl Builder {
    /// The track of this name, new or known.
    pub fn track(&mut self, name: &str) -> TrackId {
        TrackId(self.tracks.id(name))
    }

    /// The track of this name, if an event has named it.
    pub fn known_track(&self, name: &str) -> Option<TrackId> {
        self.tracks.known(name).map(TrackId)
    }

    /// The number of this user, new or known.
    pub fn user(&mut self, name: &str) -> usize {
        let user = self.users.id(name) as usize;
        if user == self.events.len() {
            self.events.push(Vec::new());
        }
        user
    }

    /// Adds one event to a user.
    pub fn event(&mut self, user: &str, event: PlaybackEvent) {
        let user = self.user(user);
        self.events[user].push(event);
    }

    /// Gives a track a feature, if an event has named the track.
    pub fn feature(&mut self, track: &str, feature: &str) {
        if let Some(track) = self.tracks.known(track) {
            let feature = self.features.id(feature);
            self.content.entry(track).or_default().push(feature);
        }
    }

    /// Gives a track a title, if an event has named the track.
    pub fn title(&mut self, track: &str, title: &str) {
        if let Some(track) = self.tracks.known(track) {
            self.titles.insert(track, title.to_owned());
        }
    }

    /// Counts a row that was passed over.
    pub fn pass_over(&mut self, reason: &str) {
        self.pass_over_all(reason, 1);
    }

    /// Counts rows that were passed over.
    pub fn pass_over_all(&mut self, reason: &str, rows: u64) {
        *self.passed_over.entry(reason.to_owned()).or_default() += rows;
    }

    /// Says something about the files, in a sentence.
    pub fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Puts each user's events into the order of their times; equal times stay as they are.
    pub fn sort_by_time(&mut self) {
        self.events.iter_mut().for_each(|events| events.sort_by_key(|event| event.time));
    }

    /// Tracks so far.
    pub fn tracks(&self) -> usize {
        self.tracks.names.len()
    }

    /// The data set, tracks and users in the order of their names: numbers as numbers, then words.
    pub fn build(self, name: String, dated: bool, fixed: Option<Vec<(usize, FixedTest)>>) -> Dataset {
        let (track_names, new_track) = self.tracks.sorted();
        let (user_names, new_user) = self.users.sorted();
        let (feature_names, new_feature) = self.features.sorted();
        let retrack = |track: TrackId| TrackId(new_track[track.row()]);
        let mut events = vec![Vec::new(); user_names.len()];
        for (old, mut list) in self.events.into_iter().enumerate() {
            list.iter_mut().for_each(|event| event.track = retrack(event.track));
            events[new_user[old] as usize] = list;
        }
        let mut rows = vec![Vec::new(); track_names.len()];
        let mut content: Vec<_> = self.content.into_iter().collect();
        content.sort_unstable();
        for (track, features) in content {
            let row: &mut Vec<(u32, f32)> = &mut rows[new_track[track as usize] as usize];
            row.extend(features.into_iter().map(|f| (new_feature[f as usize], 1.0)));
            row.sort_unstable_by_key(|(f, _)| *f);
            row.dedup_by_key(|(f, _)| *f);
        }
        let mut titles = vec![String::new(); track_names.len()];
        for (track, title) in self.titles {
            titles[new_track[track as usize] as usize] = title;
        }
        let fixed_test = fixed.map(|tests| {
            let mut all = vec![FixedTest::default(); user_names.len()];
            for (user, test) in tests {
                all[new_user[user] as usize] = FixedTest {
                    test: test.test.map(retrack),
                    negatives: test.negatives.into_iter().map(retrack).collect(),
                };
            }
            all
        });
        let mut passed_over: Vec<_> = self.passed_over.into_iter().collect();
        passed_over.sort();
        let latest = latest(&events);
        let visible = |names: Vec<String>| names.iter().map(|name| shown(name).into_owned()).collect::<Vec<_>>();
        Dataset {
            name,
            track_names: visible(track_names),
            titles: visible(titles),
            content: Content { names: visible(feature_names), rows },
            dated,
            has_clock: dated && latest >= Timestamp(FIRST_CLOCK),
            now: Timestamp(latest.0.saturating_add(DAY_MS)),
            fixed_test,
            passed_over,
            notes: self.notes,
            span: None,
            source: Source::Recorded(events),
        }
    }
}

// The last time that is believed. A few events that lie more than a year after all others are clocks
// gone wrong: they would put the present of every device into a future of their own, and are turned
// away instead.
fn latest(events: &[Vec<PlaybackEvent>]) -> Timestamp {
    let mut days = BTreeMap::<i64, (u64, i64)>::new();
    let mut total = 0;
    for list in events {
        let mut times = list.iter().map(|event| event.time.0).peekable();
        while let Some(time) = times.next() {
            let day = time.div_euclid(DAY_MS);
            let (mut count, mut last) = (1, time);
            while let Some(next) = times.next_if(|next| next.div_euclid(DAY_MS) == day) {
                count += 1;
                last = last.max(next);
            }
            let entry = days.entry(day).or_insert((0, last));
            *entry = (entry.0 + count, entry.1.max(last));
            total += count;
        }
    }
    let most = if total < FEWEST_TO_JUDGE { 0 } else { (total / STRAY_SHARE).max(1) };
    let mut believed = days.values().map(|(_, last)| *last).max().unwrap_or_default();
    let mut behind = 0;
    let mut later: Option<i64> = None;
    for (&day, &(count, last)) in days.iter().rev() {
        if later.is_some_and(|later| later - day > STRAY_DAYS) {
            believed = last;
        }
        behind += count;
        if behind > most {
            break;
        }
        later = Some(day);
    }
    Timestamp(believed)
}

const DAY_MS: i64 = 86_400_000;
// Strays are at most one in a hundred, and lie a year and a day after all others.
const STRAY_SHARE: u64 = 100;
const STRAY_DAYS: i64 = 366;
const FEWEST_TO_JUDGE: u64 = 10;
// 1990: a set whose latest event is before it counts from some other zero.
const FIRST_CLOCK: i64 = 631_152_000_000;

/// Gives names numbers in the order of their coming.
#[derive(Default)]
struct Interner {
    ids: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Interner {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = self.names.len() as u32;
        self.ids.insert(name.into(), id);
        self.names.push(name.into());
        id
    }

    fn known(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    // Names in order and, for each old number, the new one.
    fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let mut order: Vec<u32> = (0..self.names.len() as u32).collect();
        let key = |id: u32| {
            let name = &self.names[id as usize];
            (name.parse::<u64>().unwrap_or(u64::MAX), name)
        };
        order.sort_by(|&a, &b| key(a).cmp(&key(b)));
        let mut new = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &old)| new[old as usize] = place as u32);
        (order.into_iter().map(|old| self.names[old as usize].to_string()).collect(), new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_client::event::EventKind;

    #[test]
    fn numbers_do_not_depend_on_the_order_of_a_file() {
        let build = |rows: &[(&str, &str)]| {
            let mut builder = Builder::default();
            for (user, track) in rows {
                let track = builder.track(track);
                builder.event(user, PlaybackEvent::new(track, Timestamp(1), EventKind::Play));
            }
            let dataset = builder.build("x".into(), true, None);
            let events: Vec<Vec<u32>> =
                (0..dataset.devices()).map(|d| dataset.events(d).iter().map(|e| e.track.0).collect()).collect();
            (dataset.track_names, events)
        };
        let a = build(&[("2", "10"), ("10", "b"), ("2", "9")]);
        let b = build(&[("10", "b"), ("2", "10"), ("2", "9")]);
        assert_eq!(a, b);
        assert_eq!(a.0, vec!["9", "10", "b"]);
        assert_eq!(a.1, vec![vec![1, 0], vec![2]]);
    }
}
