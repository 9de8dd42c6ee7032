//! What a device tells of a day.

use super::*;
use crate::device::Pretend;
use crate::device::office::{Office, START, TRACKS};
use crate::part::{Part, Round};
use sordino_shared::control::{Assigned, Download, PlanTerms};
use sordino_shared::math;
use sordino_shared::plan::{PlanRequest, RoundPlan};
use sordino_shared::privacy::ledger;
use sordino_shared::registry::{Candidate, Choice, Serving};
use sordino_shared::secagg::{Assumptions, Terms, digest};
use sordino_shared::workload::{DeviceHalf, Workspace};
use std::sync::atomic::Ordering;

fn device(folder: &std::path::Path) -> (Device<Pretend>, Pretend) {
    Office::new().device(folder)
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

// Half a year ahead when it came to the stage, and right again: it waits its day and no longer.
#[test]
fn a_clock_that_was_ahead_costs_one_day_of_a_stage() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut device, phone) = device(folder.path());
    let choice = choice(Some(Arm::Treatment), false);
    let mut at = |hours: i64| {
        phone.time_ms.store(START + hours * HOUR_MS, Ordering::Relaxed);
        device.settle(&choice).expect("it is here");
        device.declines().expect("a store").is_empty()
    };
    assert_eq!([180 * 24, 1, 20, 26].map(&mut at), [false, false, false, true]);
}

/// A device in the rollout `spring`, its server, and what both have paid.
struct Stages {
    folder: tempfile::TempDir,
    office: Office,
    device: Device<Pretend>,
    phone: Pretend,
    // Rounds that were opened, and the stages that a population pays for them.
    rounds: u64,
    population: BTreeSet<u64>,
}

impl Stages {
    fn new() -> Self {
        let (folder, office) = (tempfile::tempdir().expect("a folder"), Office::new());
        let (device, phone) = office.device(folder.path());
        Self { folder, office, device, phone, rounds: 0, population: BTreeSet::new() }
    }

    // The server names this stage from now on, or no candidate, and the device hears of it; a day and an hour pass.
    fn stage(&mut self, stage: Option<usize>) {
        self.hear(stage);
        self.phone.time_ms.fetch_add(25 * HOUR_MS, Ordering::Relaxed);
        self.hear(stage);
    }

    fn hear(&mut self, stage: Option<usize>) {
        let candidate = stage.map(|stage| Candidate { rollout: "spring".into(), counter: 2, stage });
        let serving = Serving { good: Some(1), candidate, ..Serving::default() };
        let word = self.office.sign(&serving, self.phone.time_ms.load(Ordering::Relaxed));
        self.office.look(&mut self.device, &word).expect("all is signed");
    }

    fn restart(&mut self) {
        let Self { folder, office, phone, .. } = self;
        // The ledger's lock goes with the device.
        let nobody = tempfile::tempdir().expect("a folder");
        self.device = office.device(nobody.path()).0;
        self.device = office.open(folder.path(), phone);
    }

    // A round of a stage as far as the device's payment; whether it had a say.
    fn say(&mut self, stage: usize) -> bool {
        let Some((round, cells)) = self.makes_up_its_mind(stage) else { return false };
        self.pays(&round, cells).expect("it can pay");
        true
    }

    fn makes_up_its_mind(&mut self, stage: usize) -> Option<(Round, Cells)> {
        self.rounds += 1;
        self.population.insert(paid_as(stage));
        let metrics = MetricsRound { rollout: "spring".into(), stage };
        let request = PlanRequest { honest_fraction: 0.6, rho: Some(0.01), ..PlanRequest::new(100, metrics.layout()) };
        let plan = RoundPlan::new(request).expect("a valid plan");
        let cells = self.device.cells(&metrics).ok()?;
        let broadcast = Broadcast::Rollout(metrics);
        Some((Round { task: task_of("spring"), number: self.rounds, plan, broadcast }, cells))
    }

    fn pays(&mut self, round: &Round, cells: Cells) -> Result<(), crate::participation::Error> {
        let mut workspace = Workspace::default();
        let held = sordino_shared::workload::Device { rollout: cells, ..workspace.device() };
        let ledger = self.device.purse.open_ledger().expect("it is open");
        round.invitation().accept(&round.broadcast, held, ledger, 0).map(|_| ())
    }

    // What the device has paid for, and that this is no more than a population pays.
    fn paid(&self) -> Vec<u64> {
        let paid: Vec<u64> = self.device.purse.history().spends().map(|spend| spend.round).collect();
        let stages: BTreeSet<u64> = paid.iter().copied().collect();
        assert!(stages.len() == paid.len() && stages.is_subset(&self.population), "{paid:?}: {:?}", self.population);
        paid
    }
}

// Whatever becomes of the round, and however often the device is opened again: one say in a stage.
#[test]
fn a_device_has_one_say_in_a_stage() {
    let mut stages = Stages::new();
    stages.hear(Some(0));
    assert!(!stages.say(0), "it has just come");
    stages.stage(Some(0));
    assert!(!stages.say(1), "another stage");
    assert!(stages.say(0));
    assert!(!stages.say(0), "once");
    assert_eq!(stages.device.declines().expect("a store"), ["rollout-spring"]);
    // A look at the registry changes nothing of that; the next stage does.
    stages.stage(Some(0));
    stages.restart();
    assert!(!stages.say(0));
    stages.stage(Some(1));
    assert!(stages.say(1) && !stages.say(1));
    assert_eq!(stages.paid(), [1, 2]);
}

// Who holds the server's key names stages of a signed rollout in any order, and takes the candidate away and names it again.
#[test]
fn a_stage_that_begins_again_has_heard_the_device_already() {
    for erases in [false, true] {
        let mut stages = Stages::new();
        for (stage, has_its_say) in
            [(Some(0), true), (None, false), (Some(0), false), (Some(1), true), (Some(0), false), (Some(1), false)]
        {
            stages.stage(stage);
            assert_eq!(stages.say(stage.unwrap_or(0)), has_its_say, "{stage:?}, {erases}");
            if erases {
                stages.device.erase().expect("erased");
                assert!(stages.device.store.get(DAY).expect("a store").is_none(), "nothing of the day stays");
                // It has the stage anew, and says so before it is assigned to a round.
                stages.stage(stage);
                assert!(!stages.say(stage.unwrap_or(0)));
                let declined = if stage.is_some() { vec!["rollout-spring".to_owned()] } else { vec![] };
                assert_eq!(stages.device.declines().expect("a store"), declined);
            }
        }
        assert_eq!(stages.paid(), [1, 2], "{erases}");
    }
}

// A server that opens a rollout's rounds under other names, or other rounds under a rollout's, would have them paid for under those.
#[test]
fn a_round_under_anothers_name_is_not_joined() {
    let folder = tempfile::tempdir().expect("a folder");
    let (device, _) = device(folder.path());
    let metrics = MetricsRound { rollout: "spring".into(), stage: 0 };
    let request = PlanRequest { honest_fraction: 0.6, rho: Some(0.01), ..PlanRequest::new(100, metrics.layout()) };
    let plan = RoundPlan::new(request).expect("a valid plan");
    let broadcast = Broadcast::Rollout(metrics).to_bytes();
    let download = Download { digest: digest(&broadcast), length: broadcast.len() as u64 };
    let of_plan =
        PlanTerms { cohort: 100, honest_fraction: 0.6, rho: 0.01, rotation_seed: 0, least_rotated: 0, skellam: false };
    for task in ["spring", "rollout-autumn", "rollout-spring-2"] {
        let terms = Terms::new(task, 1, &plan, download.digest, Assumptions::default()).expect("good terms");
        let offer = terms.offer(device.identity());
        let assigned = Assigned { offer, plan: of_plan.clone(), broadcast: download, registry: None };
        let refused = Part::join(&assigned, &broadcast, &device).err();
        assert!(matches!(&refused, Some(part::Error::OtherTask(of)) if of == task), "{task}: {refused:?}");
    }
}

// A crash between the say that is written down and the payment, and one right after it.
#[test]
fn a_crash_gives_no_second_say() {
    let mut stages = Stages::new();
    stages.stage(Some(0));
    let first = stages.makes_up_its_mind(0).expect("it has something to say");
    stages.restart();
    assert!(!stages.say(0) && stages.paid().is_empty(), "it was about to say it: nothing was paid, nothing is sent");
    // Where all of the stage was erased since, it may say it, and pays once: nothing had left the device.
    stages.device.erase().expect("erased");
    stages.stage(Some(0));
    assert!(stages.say(0));
    stages.restart();
    // As where a restart had lost all that is kept of the stage: the ledger holds by itself, also against what was made before.
    stages.device.store.change(&[], &[DAY]).expect("a store");
    stages.stage(Some(0));
    assert!(!stages.say(0));
    let refused = stages.pays(&first.0, first.1);
    let is_twice = matches!(
        refused,
        Err(crate::participation::Error::Ledger(ledger::Error::Refused(ledger::Refusal::Twice { .. })))
    );
    assert!(is_twice, "{refused:?}");
    assert_eq!(stages.paid(), [1]);
}
