//! What a device tells of a day.

use super::*;
use crate::device::{Pretend, Settings};
use sordino_shared::control::{Announced, Download, Federation, PublicKey};
use sordino_shared::math;
use sordino_shared::model::Model;
use sordino_shared::privacy::ledger::Ledger;
use sordino_shared::registry::{
    Candidate, Choice, Refresh, RolloutTerms, Root, Serving, StageTerms, Targets, VersionInfo, sign_online, sign_root,
    sign_targets,
};
use sordino_shared::rollout::Share;
use sordino_shared::secagg::{Identity, digest};
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

const START: i64 = 1_700_000_000_000;
const TRACKS: u32 = 40;

// One person signs everything.
fn root_of(person: &Identity) -> Root {
    Root::of(1, &[person.public()], 1, &person.public(), START + 1000 * HOUR_MS)
}

fn device(folder: &std::path::Path) -> (Device<Pretend>, Pretend) {
    let identity = Identity::from_secret(&Zeroizing::new([1; 32]));
    let key = PublicKey(identity.public());
    let root = sign_root(&root_of(&identity), &[&identity]);
    let federation = Federation {
        server: "127.0.0.1:1".into(),
        name: "s".into(),
        population: "p".into(),
        authority: key.clone(),
        operator: key,
        ca: String::new(),
        root: String::from_utf8(root).expect("text"),
    };
    let mut phone = Pretend::at(START);
    // A key says that there is a ledger.
    drop(Ledger::create(&folder.join("ledger"), Settings::default().ledger, START).expect("a ledger"));
    phone.store_secret(&Zeroizing::new([5; 32])).expect("stored");
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
    let place =
        Place { rollout: "spring".into(), stage: 1, candidate: 2, is_shadow, report_hours: 24, worst_percent: 70, arm };
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
    let round = |stage| Broadcast::Rollout(MetricsRound { rollout: "spring".into(), stage }).to_bytes();
    assert!(!device.has_its_say(&round(1)).expect("a store"));
    // The candidate's list, slowly; the best and the third of it are played, two others skipped.
    phone.look_ms.store(60, Ordering::Relaxed);
    let list = device.recommend(10).expect("a model");
    phone.look_ms.store(0, Ordering::Relaxed);
    device.recommend(10).expect("a model");
    assert_eq!(list[0].0, TrackId(TRACKS - 1));
    let events = [(0, EventKind::Play), (2, EventKind::Play), (1, EventKind::Skip), (3, EventKind::Skip)];
    let events: Vec<_> = events.iter().map(|(place, kind)| at(5, list[*place].0.0, *kind)).collect();
    device.record(&events).expect("recorded");
    device.model_failed().expect("a store");
    phone.time_ms.store(START + 25 * HOUR_MS, Ordering::Relaxed);
    assert!(device.declines().expect("a store").is_empty(), "a day has passed");
    assert!(device.has_its_say(&round(1)).expect("a store") && !device.has_its_say(&round(2)).expect("a store"));
    let (day, place) = (device.day().expect("a store").expect("a day"), choice.place.clone().expect("a place"));
    let before = device.skipped_before(&day).expect("a store");
    let report = device.report(&day, &place, before, false).expect("a report");
    assert_eq!((before, report.skip_rate, report.returned, report.slow), (0.5, 0.5, 1.0, 0.5));
    assert_eq!((report.crashed, report.not_loaded), (0.0, 1.0));
    // (1 + 1/log2 4) / (1 + 1/log2 3)
    assert!((f64::from(report.ndcg) - 1.5 / (1.0 + 1.0 / math::log2(3f64))).abs() < 1e-6, "{report:?}");
    // A day later nothing was heard: what was usual stands for it.
    phone.time_ms.store(START + 60 * HOUR_MS, Ordering::Relaxed);
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
    phone.time_ms.store(START + 25 * HOUR_MS, Ordering::Relaxed);
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

// Whatever becomes of the round, and however often the device is opened again: one say in a stage.
#[test]
fn a_device_has_one_say_in_a_stage() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut device, phone) = device(folder.path());
    let person = Identity::from_secret(&Zeroizing::new([1; 32]));
    let mut targets = Targets::empty(&person.public(), START + 1000 * HOUR_MS);
    for counter in [1, 2] {
        let info = VersionInfo { release_counter: counter, ..VersionInfo::default() };
        targets.add_version(&Download { digest: [counter as u8; 32], length: 1 }, &info);
    }
    let share = Share::parts_per_million(500_000).expect("a half");
    let stages = vec![StageTerms { share, shadow: false }; 2];
    let terms = RolloutTerms { candidate: 2, salt: "00".repeat(16), stages, report_hours: 24, worst_percent: 70 };
    targets.add_rollout("spring", &Download { digest: [9; 32], length: 1 }, &terms);
    let root = device.federation().root.clone().into_bytes();
    let signed = sign_targets(&targets, &root_of(&person), &[&person]).expect("its one person");
    let stage = |device: &mut Device<Pretend>, stage: usize| {
        let candidate = Some(Candidate { rollout: "spring".into(), counter: 2, stage });
        let serving = Serving { good: Some(1), candidate, ..Serving::default() };
        let now = phone.time_ms.load(Ordering::Relaxed);
        let files = sign_online(&serving, (targets.number(), &signed), 1 + stage as u64, &person, now);
        let download = |bytes: &[u8]| Download { digest: digest(bytes), length: bytes.len() as u64 };
        let announced = Announced { timestamp: download(&files.timestamp), roots: vec![download(&root)] };
        let all = [&files.timestamp, &files.snapshot, &signed, &files.rollout, &files.serving];
        let mut look = Refresh::new(device.registry().expect("a registry"), &announced);
        while let Some(wanted) = look.wanted() {
            let bytes = all.iter().find(|bytes| digest(bytes) == wanted.digest).expect("it is there");
            look.take(bytes, now).expect("all is signed");
        }
        device.set_registry(&look.done().expect("everything is there")).expect("a store");
        let choice = device.choice().expect("as signed");
        device.settle(&choice).expect("allowed");
    };
    let round = |stage| MetricsRound { rollout: "spring".into(), stage };
    stage(&mut device, 0);
    assert!(device.cells(&round(0)).is_err(), "it has just come");
    phone.time_ms.store(START + 25 * HOUR_MS, Ordering::Relaxed);
    assert!(device.cells(&round(1)).is_err(), "another stage");
    assert!(device.cells(&round(0)).is_ok());
    assert!(device.cells(&round(0)).is_err(), "once");
    assert_eq!(device.declines().expect("a store"), ["rollout-spring"]);
    // A look at the registry changes nothing of that; the next stage does.
    let choice = device.choice().expect("as signed");
    device.settle(&choice).expect("allowed");
    assert!(device.cells(&round(0)).is_err());
    stage(&mut device, 1);
    phone.time_ms.store(START + 50 * HOUR_MS, Ordering::Relaxed);
    assert!(device.cells(&round(1)).is_ok() && device.cells(&round(1)).is_err());
}
