//! What a device sees of itself for a rollout: whether its listener skips, comes back, finds the list good, and whether the model works. It stays
//! here, but for one cell of one private sum a stage ([`sordino_shared::rollout::Cells`]).

use super::{Device, Error, Host};
use crate::event::{EventKind, PlaybackEvent, Timestamp};
use crate::example::examples;
use crate::label::label;
use crate::part;
use crate::quality::{Checks, check};
use crate::retrieval::Recommender;
use crate::version::Kept;
use serde::{Deserialize, Serialize};
use sordino_shared::evaluate::{Gain, Judged, Ties};
use sordino_shared::ids::TrackId;
use sordino_shared::registry::Place;
use sordino_shared::rollout::{Arm, Cells, DayReport, MetricsRound, task_of};
use std::collections::BTreeSet;

/// The device's stage of a rollout, and what it has noted there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Day {
    rollout: String,
    stage: usize,
    joined: i64,
    // Whether its one contribution to the stage was made, or is being made.
    contributed: bool,
    report_hours: u32,
    // Lists that were reckoned, and those of them that took too long.
    inferences: u32,
    slow: u32,
    crashed: bool,
    pub(super) not_loaded: bool,
    // The last list that was served.
    served: Vec<u32>,
}

impl<H: Host> Device<H> {
    /// Takes note of the stage that it is in now, from the moment on that all that belongs to it is here: for both arms the same.
    pub(super) fn join_stage(&mut self, place: Option<&Place>) -> Result<(), Error> {
        let Some(place) = place else { return Ok(self.store.change(&[], &[DAY])?) };
        let versions = self.versions()?;
        if !versions.has(place.candidate) && !versions.has_refused(place.candidate) {
            return Ok(());
        }
        let same = |day: &Day| day.rollout == place.rollout && day.stage == place.stage;
        if self.day()?.as_ref().is_some_and(same) {
            return Ok(());
        }
        let day = Day {
            rollout: place.rollout.clone(),
            stage: place.stage,
            joined: self.host.now(),
            contributed: false,
            report_hours: place.report_hours,
            inferences: 0,
            slow: 0,
            crashed: false,
            not_loaded: false,
            served: Vec::new(),
        };
        self.put_day(&day)
    }

    /// Tasks that it takes no part in now: it has had its say in the stage, or has not been in it for long enough.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn declines(&self) -> Result<Vec<String>, Error> {
        let is_early = |day: &Day| self.host.now().saturating_sub(day.joined) < i64::from(day.report_hours) * HOUR_MS;
        let day = self.day()?.filter(|day| day.contributed || is_early(day));
        Ok(day.map(|day| task_of(&day.rollout)).into_iter().collect())
    }

    /// The host says that the application went down, whatever the cause.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn crashed(&mut self) -> Result<(), Error> {
        self.note_day(|day| day.crashed = true)
    }

    /// Notes a list that was served, and how long it took.
    pub(super) fn served(&mut self, list: &[(TrackId, f32)], took_ms: i64) -> Result<(), Error> {
        self.note_day(|day| {
            day.inferences = day.inferences.saturating_add(1);
            day.slow = day.slow.saturating_add(u32::from(took_ms > SLOW_MS));
            day.served = list.iter().take(LIST).map(|(track, _)| track.0).collect();
        })
    }

    pub(super) fn note_day(&mut self, note: impl FnOnce(&mut Day)) -> Result<(), Error> {
        let Some(mut day) = self.day()? else { return Ok(()) };
        note(&mut day);
        self.put_day(&day)
    }

    fn day(&self) -> Result<Option<Day>, Error> {
        let stored = self.store.get(DAY)?;
        stored.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(|error| Error::Kept(error.to_string()))
    }

    fn put_day(&mut self, day: &Day) -> Result<(), Error> {
        Ok(self.store.put(DAY, &serde_json::to_vec(day).expect("numbers and words"))?)
    }

    /// What the device has to say in a round of metrics, and says once a stage. Whoever is in no arm sends zeros: that it takes part tells nobody
    /// where it is.
    ///
    /// # Errors
    /// [`part::Error::Interrupted`] where it has nothing to say yet, or has said it.
    pub(super) fn cells(&mut self, round: &MetricsRound) -> Result<Cells, part::Error> {
        let store = |error: Error| part::Error::Store(error.to_string());
        let choice = self.choice().map_err(store)?;
        let of_round = |place: &Place| place.rollout == round.rollout && place.stage == round.stage;
        let place =
            choice.place.filter(of_round).ok_or(part::Error::Interrupted("the registry knows no such stage"))?;
        let of_round = |day: &Day| day.rollout == round.rollout && day.stage == round.stage;
        let day = self.day().map_err(store)?.filter(of_round);
        let day = day.ok_or(part::Error::Interrupted("it is not in that stage yet"))?;
        if self.declines().map_err(store)?.contains(&task_of(&round.rollout)) {
            return Err(part::Error::Interrupted("it has had its say, or has not been in the stage for long enough"));
        }
        let mut versions = self.versions().map_err(store)?;
        let has_fallen_back = versions.take_fallback();
        let skipped_before = self.skipped_before(&day).map_err(store)?;
        let report = self.report(&day, &place, skipped_before, has_fallen_back).map_err(store)?;
        let is_served_worst = skipped_before * 100.0 > place.worst_percent as f32;
        // Whatever becomes of the round, a second one is not joined: durable before anything is paid or sent.
        self.put_day(&Day { contributed: true, ..day }).map_err(store)?;
        self.store.put(super::versions::VERSIONS, &versions.to_bytes()).map_err(|error| store(error.into()))?;
        Ok(Cells::new(place.arm, is_served_worst, report))
    }

    fn report(&self, day: &Day, place: &Place, skipped_before: f32, has_fallen_back: bool) -> Result<DayReport, Error> {
        let now = self.host.now();
        let start = day.joined.max(now.saturating_sub(i64::from(day.report_hours.max(1)) * HOUR_MS));
        let (before, during): (Vec<PlaybackEvent>, Vec<PlaybackEvent>) =
            self.store.events()?.into_iter().partition(|event| event.time.0 < start);
        let played: BTreeSet<u32> =
            during.iter().filter(|e| e.kind.is_listening() && e.kind != EventKind::Skip).map(|e| e.track.0).collect();
        let mut report = DayReport {
            // Who did not listen has skipped nothing and liked nothing: what was usual stands for it, which moves neither arm.
            skip_rate: skip_rate(&during).unwrap_or(skipped_before),
            ndcg: ndcg(&day.served, &played),
            returned: f32::from(u8::from(during.iter().any(|event| event.kind.is_listening()))),
            crashed: f32::from(u8::from(day.crashed)),
            slow: if day.inferences > 0 { day.slow as f32 / day.inferences as f32 } else { 0.0 },
            not_loaded: f32::from(u8::from(day.not_loaded || has_fallen_back)),
        };
        if place.is_shadow && place.arm.is_some() {
            let tried = match place.arm {
                Some(Arm::Treatment) => Some(place.candidate),
                _ => self.versions()?.current().map(|kept| kept.counter),
            };
            let versions = self.versions()?;
            let kept = versions.kept().iter().find(|kept| Some(kept.counter) == tried);
            (report.ndcg, report.slow, report.not_loaded) = match kept {
                Some(kept) => self.tried(kept, before, &played)?,
                None => (0.0, 0.0, 1.0),
            };
        }
        Ok(report)
    }

    // What a version would have served before the plays of the report: how good that was, whether it was slow, and that it did load.
    fn tried(&self, kept: &Kept, before: Vec<PlaybackEvent>, played: &BTreeSet<u32>) -> Result<(f32, f32, f32), Error> {
        let Ok(model) = self.load_version(kept) else { return Ok((0.0, 0.0, 1.0)) };
        let heard: BTreeSet<TrackId> = before.iter().map(|event| event.track).collect();
        let checks = Checks { tracks: model.tracks(), now: Timestamp(self.host.now()), dated: true };
        let (valid, _) = check(before, &checks);
        let labels = &self.settings.labels;
        let history: Vec<_> =
            examples(&label(&valid, labels), labels).iter().map(|labelled| labelled.example).collect();
        let start = self.host.now();
        let list = Recommender::new(model, &history).top(LIST, |track| !heard.contains(&track));
        let took_ms = self.host.now().saturating_sub(start);
        let list: Vec<u32> = list.iter().map(|(track, _)| track.0).collect();
        let fresh = played.iter().copied().filter(|track| !heard.contains(&TrackId(*track))).collect();
        Ok((ndcg(&list, &fresh), f32::from(u8::from(took_ms > SLOW_MS)), 0.0))
    }

    // How the listener was served before the stage began, which no arm has changed.
    fn skipped_before(&self, day: &Day) -> Result<f32, Error> {
        let from = day.joined.saturating_sub(BEFORE_MS);
        let events = self.store.events()?.into_iter().filter(|event| (from..day.joined).contains(&event.time.0));
        Ok(skip_rate(&events.collect::<Vec<_>>()).unwrap_or(0.0))
    }
}

fn skip_rate(events: &[PlaybackEvent]) -> Option<f32> {
    let listening = events.iter().filter(|event| event.kind.is_listening()).count();
    let skips = events.iter().filter(|event| event.kind == EventKind::Skip).count();
    (listening > 0).then(|| skips as f32 / listening as f32)
}

// NDCG@10 of what was played in the list that was served.
fn ndcg(list: &[u32], played: &BTreeSet<u32>) -> f32 {
    let scored = |(place, track): (usize, &u32)| (*track, -(place as f64), u32::from(played.contains(track)));
    let listed: Vec<(u32, f64, u32)> = list.iter().enumerate().map(scored).collect();
    let missed: Vec<u32> = played.iter().filter(|track| !list.contains(track)).map(|_| 1).collect();
    Judged::new(&listed, &missed, Ties::Against).ndcg(Some(LIST), Gain::Binary) as f32
}

const DAY: &str = "day";
const LIST: usize = 10;
const SLOW_MS: i64 = 50;
const HOUR_MS: i64 = 3_600_000;
const BEFORE_MS: i64 = 28 * 24 * HOUR_MS;

#[cfg(test)]
mod tests {
    use super::super::{Secret, Settings};
    use super::*;
    use sordino_shared::control::{Federation, PublicKey};
    use sordino_shared::model::Model;
    use sordino_shared::registry::{Choice, Root, VersionInfo, sign_root};
    use sordino_shared::secagg::Identity;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use zeroize::Zeroizing;

    const START: i64 = 1_700_000_000_000;
    const TRACKS: u32 = 40;

    /// A phone whose clock a test sets, and goes on by itself for as long as a list takes.
    #[derive(Clone)]
    struct Phone {
        now: Arc<AtomicI64>,
        list_ms: Arc<AtomicI64>,
    }

    impl Host for Phone {
        fn idle(&self) -> bool {
            true
        }

        fn charging(&self) -> bool {
            true
        }

        fn unmetered(&self) -> bool {
            true
        }

        fn now(&self) -> i64 {
            self.now.fetch_add(self.list_ms.load(Ordering::Relaxed), Ordering::Relaxed)
        }

        fn load_secret(&self) -> Result<Option<Secret>, String> {
            Ok(Some(Zeroizing::new([5; 32])))
        }

        fn store_secret(&mut self, _: &Secret) -> Result<(), String> {
            Ok(())
        }
    }

    fn device(folder: &std::path::Path) -> (Device<Phone>, Phone) {
        let identity = Identity::from_secret(&Zeroizing::new([1; 32]));
        let key = PublicKey(identity.public());
        let root = sign_root(&Root::of(1, &[identity.public()], 1, &identity.public(), START), &[&identity]);
        let federation = Federation {
            server: "127.0.0.1:1".into(),
            name: "s".into(),
            population: "p".into(),
            authority: key.clone(),
            operator: key,
            ca: String::new(),
            root: String::from_utf8(root).expect("text"),
        };
        let phone = Phone { now: Arc::new(AtomicI64::new(START)), list_ms: Arc::default() };
        let mut device = Device::open(folder, federation, Settings::default(), phone.clone()).expect("a device");
        // Version 1 likes the first tracks, version 2 the last.
        for counter in [1, 2u64] {
            let weight = |track: u32| if counter == 1 { TRACKS - track } else { track } as f32;
            let model = Model::Popularity((0..TRACKS).map(|track| 1.0 + weight(track)).collect());
            let info = VersionInfo { release_counter: counter, ..VersionInfo::default() };
            assert!(device.keep_version(&info, &model.to_bytes()).expect("a store"));
        }
        (device, phone)
    }

    fn choice(arm: Option<Arm>, is_shadow: bool) -> Choice {
        let place = Place {
            rollout: "spring".into(),
            stage: 1,
            candidate: 2,
            is_shadow,
            report_hours: 24,
            worst_percent: 70,
            arm,
        };
        let serve = if arm == Some(Arm::Treatment) && !is_shadow { 2 } else { 1 };
        Choice { serve: Some(serve), good: Some(1), keep: vec![1, 2], spare: None, place: Some(place) }
    }

    fn at(hours: i64, track: u32, kind: EventKind) -> PlaybackEvent {
        PlaybackEvent::new(TrackId(track), Timestamp(START + hours * HOUR_MS), kind)
    }

    #[test]
    fn a_day_is_told_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut device, phone) = device(folder.path());
        let choice = choice(Some(Arm::Treatment), false);
        // Half of what was played in the weeks before was skipped.
        device.record(&[at(-50, 8, EventKind::Play), at(-49, 9, EventKind::Skip)]).expect("recorded");
        device.settle(&choice).expect("it is here");
        assert_eq!(device.declines().expect("a store"), ["rollout-spring"], "it has just come");
        // The candidate's list, slowly; the best and the third of it are played, two others skipped.
        phone.list_ms.store(60, Ordering::Relaxed);
        let list = device.recommend(10).expect("a model");
        phone.list_ms.store(0, Ordering::Relaxed);
        device.recommend(10).expect("a model");
        assert_eq!(list[0].0, TrackId(TRACKS - 1));
        let events = [(0, EventKind::Play), (2, EventKind::Play), (1, EventKind::Skip), (3, EventKind::Skip)];
        let events: Vec<_> = events.iter().map(|(place, kind)| at(5, list[*place].0.0, *kind)).collect();
        device.record(&events).expect("recorded");
        device.model_failed().expect("a store");
        phone.now.store(START + 25 * HOUR_MS, Ordering::Relaxed);
        assert!(device.declines().expect("a store").is_empty(), "a day has passed");
        let (day, place) = (device.day().expect("a store").expect("a day"), choice.place.clone().expect("a place"));
        let before = device.skipped_before(&day).expect("a store");
        let report = device.report(&day, &place, before, false).expect("a report");
        assert_eq!((before, report.skip_rate, report.returned, report.slow), (0.5, 0.5, 1.0, 0.5));
        assert_eq!((report.crashed, report.not_loaded), (0.0, 1.0));
        // (1 + 1/log2 4) / (1 + 1/log2 3)
        assert!((f64::from(report.ndcg) - 1.5 / (1.0 + 1.0 / 3f64.log2())).abs() < 1e-6, "{report:?}");
        // A day later nothing was heard: what was usual stands for it.
        phone.now.store(START + 60 * HOUR_MS, Ordering::Relaxed);
        let report = device.report(&day, &place, 0.25, true).expect("a report");
        assert_eq!((report.skip_rate, report.returned, report.ndcg), (0.25, 0.0, 0.0));
    }

    #[test]
    fn in_a_shadow_each_arm_tries_its_own_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut device, phone) = device(folder.path());
        device.settle(&choice(Some(Arm::Control), true)).expect("it is here");
        let plays: Vec<_> = [0, 1, 2].map(|track| at(3, track, EventKind::Play)).into();
        device.record(&plays).expect("recorded");
        phone.now.store(START + 25 * HOUR_MS, Ordering::Relaxed);
        let day = device.day().expect("a store").expect("a day");
        let tried = |arm| {
            let place = choice(Some(arm), true).place.expect("a place");
            device.report(&day, &place, 0.0, false).expect("a report").ndcg
        };
        // The listener plays what version 1 likes best.
        assert!((tried(Arm::Control) - 1.0).abs() < 1e-6 && tried(Arm::Treatment) == 0.0);
        assert_eq!(device.model().expect("a store").map(|model| model.to_bytes().len() > 8), Some(true));
        let serving = device.versions().expect("a store").current().map(|kept| kept.counter);
        assert_eq!(serving, Some(1), "what serves is not touched");
    }

    #[test]
    fn a_stage_begins_when_all_of_it_is_here_and_ends_with_the_rollout() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut device, _) = device(folder.path());
        let mut missing = choice(Some(Arm::Control), false);
        if let Some(place) = &mut missing.place {
            place.candidate = 9;
        }
        device.settle(&missing).expect("allowed");
        assert!(device.day().expect("a store").is_none(), "the candidate is not here yet");
        device.settle(&choice(None, false)).expect("it is here");
        assert!(device.day().expect("a store").is_some(), "also in no arm");
        device.settle(&Choice { place: None, ..choice(None, false) }).expect("allowed");
        assert!(device.day().expect("a store").is_none() && device.declines().expect("a store").is_empty());
    }
}
