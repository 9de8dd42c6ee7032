//! Rollouts in a store, and what people do to them.

use super::*;
use crate::rollout::acts::{Act, Signed, Who, perform};
use crate::rollout::controller::Actor;
use crate::rollout::rehearsal::{self, Fleet, chance};
use crate::store::{MemoryStore, Phase as RoundPhase, RoundRow};
use sordino_shared::control::Download;
use sordino_shared::registry::{RolloutTerms, Targets, VersionInfo};
use sordino_shared::secagg::Identity;
use zeroize::Zeroizing;

const DEVICES: usize = 5_000_000;

fn actor(name: &str) -> Actor {
    Actor { name: name.into(), may_promote: true, may_abort: true, may_skip: true }
}

// Versions 1 to 4, of which 3 has the weights of 1, and rollouts of version 2.
fn targets() -> Targets {
    let online = Identity::from_secret(&Zeroizing::new([9; 32])).public();
    let mut targets = Targets::empty(&online, 1_900_000_000_000);
    for counter in 1..=4u64 {
        let weights = if counter == 3 { 1 } else { counter };
        let info = VersionInfo { release_counter: counter, ..VersionInfo::default() };
        targets.add_version(&Download { digest: [weights as u8; 32], length: 1 }, &info);
    }
    let terms =
        RolloutTerms { candidate: 2, salt: "00".repeat(16), stages: vec![], report_hours: 24, worst_percent: 70 };
    targets.add_rollout("spring", &Download { digest: [7; 32], length: 1 }, &terms);
    targets
}

struct Desk {
    store: MemoryStore,
    targets: Targets,
    now: i64,
}

impl Desk {
    fn new() -> Self {
        Self { store: MemoryStore::default(), targets: targets(), now: 1_700_000_000_000 }
    }

    fn act(&mut self, act: Act, first: &Actor, second: Option<&Actor>) -> Result<String, String> {
        let policy = |name: &str| Ok(Policy::named(name));
        let signed = Signed { targets: &self.targets, policy: &policy };
        let done = perform(&mut self.store, &signed, &act, &Who { first, second }, self.now);
        done.map_err(|error| error.to_string())
    }

    fn anna(&mut self, act: Act) -> Result<String, String> {
        self.act(act, &actor("anna"), None)
    }

    fn begin(&mut self) {
        self.anna(Act::Serve { version: 1, why: "first".into() }).expect("the first serves at once");
        self.anna(Act::Start { rollout: "spring".into(), devices: DEVICES }).expect("started");
    }

    // A look of a candidate, in a round of its own.
    fn look(&mut self, candidate: usize) {
        let course = Course::load(&self.store, "spring").expect("a rollout");
        let (stage, looks, due) = course.controller.next_look().expect("a look is due");
        self.now = self.now.max(due);
        let fleet = Fleet::new(&course.order.policy, DEVICES);
        let candidate = &rehearsal::candidates()[candidate];
        let sums = fleet.release(stage, candidate, looks + 1, &mut chance(1, stage, looks));
        let context = digest(&[stage as u8, looks as u8]);
        let number = (10 * stage + looks) as u64;
        let (task, setting, state) = (course.order.task(), Vec::new(), Vec::new());
        let (opened, changed) = (self.now, self.now);
        let (step, phase, note) = (number, RoundPhase::Unmasking, String::new());
        self.store
            .open_round(&RoundRow { context, task, number, step, setting, phase, state, opened, changed, note })
            .expect("a round");
        let of_cell =
            |cell: &sordino_shared::rollout::CellSums| [[cell.count].as_slice(), &cell.values, &cell.squares].concat();
        let sum = vec![sums.iter().flatten().flat_map(of_cell).collect()];
        let aggregate = Aggregate { step: number, devices: 1, sum, deviations: vec![10.0], rho: 0.045 };
        assert!(look(&mut self.store, "spring", (&context, stage), &aggregate, "", self.now).expect("a look"));
    }

    fn serving(&self) -> Serving {
        serving(&self.store).expect("a document").1
    }
}

// Rollouts and verdicts of a store in which everything follows; else the first fault.
fn follows(store: &MemoryStore) -> Result<(usize, usize), String> {
    let Audit { rollouts, verdicts, faults } = audit(store).expect("a store");
    faults.first().map_or(Ok((rollouts, verdicts)), |fault| Err(fault.to_string()))
}

// Earlier programs took a task of a rollout's name; disks and newer programs leave what cannot be read.
#[test]
fn a_row_that_cannot_be_read_stops_nothing_but_itself() {
    let mut desk = Desk::new();
    desk.anna(Act::Serve { version: 1, why: "first".into() }).expect("the first serves at once");
    let example = include_str!("../../../tasks/example.toml");
    let row = |name: &str, text: String, state| TaskRow { name: name.into(), text, seed: 0, state, why: None };
    let training = example.replace("name = \"example\"", "name = \"rollout-x\"");
    desk.store.add_task(&row("rollout-x", training, TaskState::Running), 0).expect("as it was once");
    let newer = format!("workload = \"{ORDER}\"\nname = \"y\"\nmoons = 2");
    desk.store.add_task(&row("rollout-y", newer, TaskState::Cancelled), 0).expect("a row");
    desk.store.add_task(&row("rollout-z", "\u{fffd}".into(), TaskState::Cancelled), 0).expect("a row");
    let order = Order::new(Policy::named("w"), 2, DEVICES).expect("a policy that fits");
    let other = toml::to_string(&order).expect("TOML");
    desk.store.add_task(&row("rollout-v", other, TaskState::Cancelled), 0).expect("a row");
    // They are in nobody's way: a rollout begins, goes on, and follows.
    desk.anna(Act::Start { rollout: "spring".into(), devices: DEVICES }).expect("started");
    desk.look(1);
    let Courses { courses, unreadable } = Courses::read(&desk.store).expect("a store");
    assert_eq!(courses.iter().map(|course| course.order.name.as_str()).collect::<Vec<_>>(), ["spring"]);
    let named: Vec<&str> = unreadable.iter().map(|of| of.task.as_str()).collect();
    assert_eq!(named, ["rollout-y", "rollout-z", "rollout-v"], "a training is no rollout, however it is called");
    assert!(unreadable[0].reason.contains("moons") && unreadable[2].reason.contains("'rollout-w'"), "{unreadable:?}");
    let Audit { rollouts, verdicts, faults } = audit(&desk.store).expect("a store");
    assert_eq!((rollouts, verdicts, faults.len()), (1, 1, 3));
    // One whose events cannot be read any more is named as well, and what is there is ended by its people.
    let events = Some(NewEvents {
        rollout: "spring".into(),
        after: desk.store.events("spring").expect("events").len() as u64,
        events: vec!["{".into()],
    });
    desk.store.change(&Change { events, ..Change::default() }, 0).expect("written");
    assert!(Courses::read(&desk.store).expect("a store").courses.is_empty());
    assert_eq!(desk.serving().candidate.map(|of| of.counter), Some(2), "what serves goes on");
    let refused =
        desk.anna(Act::Start { rollout: "spring".into(), devices: DEVICES }).expect_err("it may be under way");
    assert!(refused.contains("`sordino-coordinator task cancel rollout-spring`"), "{refused}");
    let refused = desk.anna(Act::Hold { why: "?".into() }).expect_err("it cannot be read");
    assert!(refused.contains("rollout-spring cannot be read"), "{refused}");
    desk.store.set_task("rollout-spring", TaskState::Cancelled, Some("damaged"), 0).expect("a row");
    serve_all(&mut desk.store, 4, "past every gate", 0).expect("nothing is under way");
    assert_eq!((desk.serving().good, desk.serving().candidate), (Some(4), None));
}

#[test]
fn a_broken_candidate_is_taken_back_and_the_log_holds_every_event() {
    let mut desk = Desk::new();
    desk.begin();
    assert_eq!(desk.serving().candidate.map(|of| (of.counter, of.stage)), Some((2, 0)));
    desk.look(5);
    let serving = desk.serving();
    assert_eq!((serving.good, serving.candidate), (Some(1), None));
    assert_eq!(follows(&desk.store), Ok((1, 1)));
    let log = desk.store.audit().expect("a log");
    assert!(log.iter().any(|row| row.what.contains("taken back by itself")));
    // Whatever was changed afterwards is not what the log says: a sum, the policy, an event that is missing.
    let events = desk.store.events("spring").expect("events");
    let row = desk.store.tasks().expect("tasks")[0].clone();
    let with = |text: &str, events: Vec<String>| {
        let mut forged = MemoryStore::default();
        let events = Some(NewEvents { rollout: "spring".into(), after: 0, events });
        let task = Some(TaskRow { text: text.into(), ..row.clone() });
        let words = log.iter().map(|row| row.what.clone()).filter(|what| !what.starts_with("task")).collect();
        forged.change(&Change { task, events, words, ..Change::default() }, 0).expect("written");
        follows(&forged)
    };
    assert_eq!(with(&row.text, events.clone()), Ok((1, 1)), "as it was");
    let changed = events.iter().map(|event| event.replacen("\"count\":", "\"count\":1", 1)).collect();
    assert!(with(&row.text, changed).is_err());
    // Also one that leaves the verdict as it is.
    let slightly =
        events.iter().map(|event| event.replace("\"noise_variance\":100.0", "\"noise_variance\":99.5")).collect();
    assert!(with(&row.text, slightly).expect_err("another sum").contains("event 2"));
    let refused = with(&row.text.replace("promote_error = 0.05", "promote_error = 0.06"), events.clone());
    assert!(refused.expect_err("another policy").contains("order"));
    let missing = with(&row.text, events[..events.len() - 1].to_vec());
    assert!(missing.expect_err("the last event").contains("tells of"));
}

#[test]
fn a_good_candidate_serves_all_but_those_kept_back() {
    let mut desk = Desk::new();
    desk.begin();
    for stage in 0..4 {
        for _ in 0..5 {
            let course = Course::load(&desk.store, "spring").expect("a rollout");
            if *course.controller.phase() == Phase::Observing(stage) {
                desk.look(1);
            }
        }
        desk.now += 60 * HOUR_MS;
        act(&mut desk.store, "spring", &Input::Tick, desk.now).expect("a tick");
    }
    assert!(desk.anna(Act::Promote { to: Some(25.0), why: None }).is_err(), "the next stage is all devices");
    desk.anna(Act::Promote { to: Some(100.0), why: Some("two quiet days".into()) }).expect("it waits for somebody");
    let serving = desk.serving();
    assert_eq!((serving.good, serving.before, serving.candidate), (Some(2), Some(1), None));
    let holdback = serving.holdback.expect("some are kept back");
    assert_eq!((holdback.counter, holdback.until), (1, desk.now + 90 * 24 * HOUR_MS));
    desk.anna(Act::EndHoldback).expect("they are");
    assert!(desk.serving().holdback.is_none() && desk.anna(Act::EndHoldback).is_err());
    follows(&desk.store).expect("it follows");
    let log = desk.store.audit().expect("a log");
    assert!(log.iter().any(|row| row.what.contains("by anna: two quiet days")), "each reason is in the log");
}

#[test]
fn rights_and_what_is_signed_bound_every_act() {
    let mut desk = Desk::new();
    let (anna, ben) = (actor("anna"), actor("ben"));
    let nobody = Actor { may_promote: false, may_abort: false, may_skip: false, ..actor("cy") };
    let why = || "because".to_owned();
    assert!(desk.anna(Act::Start { rollout: "spring".into(), devices: DEVICES }).is_err(), "nothing to compare with");
    assert!(desk.anna(Act::Serve { version: 9, why: why() }).is_err(), "not signed");
    desk.begin();
    for act in [
        Act::Hold { why: why() },
        Act::Resume,
        Act::Promote { to: None, why: None },
        Act::Abort { why: why() },
        Act::Rollback { to: None, why: why() },
        Act::Baseline { on: true, why: why() },
        Act::Pin { group: "g".into(), version: 1, days: 3 },
    ] {
        let refused = desk.act(act.clone(), &nobody, None).expect_err("no right");
        assert!(refused.contains("no right"), "{act:?}: {refused}");
    }
    assert!(desk.anna(Act::Start { rollout: "spring".into(), devices: DEVICES }).is_err(), "one at a time");
    assert!(desk.anna(Act::Rollback { to: None, why: why() }).is_err(), "abort it instead");
    let skip = || Act::SkipGate { why: why() };
    assert!(desk.act(skip(), &anna, None).is_err() && desk.act(skip(), &anna, Some(&anna)).is_err());
    assert!(desk.act(skip(), &anna, Some(&nobody)).is_err());
    desk.act(skip(), &anna, Some(&ben)).expect("two persons");
    assert_eq!(desk.serving().candidate.map(|of| of.stage), Some(1));
    desk.anna(Act::Pin { group: "testers".into(), version: 2, days: 3 }).expect("signed");
    assert!(desk.anna(Act::Pin { group: "testers".into(), version: 2, days: 31 }).is_err());
    desk.anna(Act::Abort { why: why() }).expect("her right");
    assert!(desk.anna(Act::Resume).is_err(), "for good");
    // New weights need two persons or a rollout, old ones that were signed anew the right to take back.
    assert!(desk.anna(Act::Serve { version: 4, why: why() }).is_err());
    assert!(desk.anna(Act::Rollback { to: Some(4), why: why() }).is_err(), "never signed before");
    desk.anna(Act::Rollback { to: Some(3), why: why() }).expect("the weights of version 1");
    desk.anna(Act::Rollback { to: None, why: why() }).expect("to version 1, which devices have");
    let serving = desk.serving();
    assert_eq!((serving.mode, serving.good, serving.before), (Mode::Before, Some(3), Some(1)));
    desk.act(Act::Serve { version: 4, why: why() }, &anna, Some(&ben)).expect("two persons");
    assert_eq!((desk.serving().mode, desk.serving().good), (Mode::Good, Some(4)));
    assert!(desk.act(Act::Serve { version: 2, why: why() }, &anna, Some(&ben)).is_err(), "never back");
    desk.anna(Act::Baseline { on: true, why: why() }).expect("her right");
    assert_eq!(desk.serving().mode, Mode::Baseline);
    let refused = desk.anna(Act::Start { rollout: "spring".into(), devices: DEVICES }).expect_err("no arm serves");
    assert!(refused.contains("switched off"), "{refused}");
    desk.anna(Act::Unpin { group: "testers".into() }).expect("it is pinned");
    assert!(desk.anna(Act::Unpin { group: "testers".into() }).is_err());
    let log = desk.store.audit().expect("a log");
    assert!(log.iter().any(|row| row.what.contains("anna and ben") && row.what.contains("because")));
}
