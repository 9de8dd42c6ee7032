//! Budgets, processes side by side, and what a crash leaves.

use super::*;
use crate::event::{EventKind, TrackId};
use proptest::prelude::*;
use sordino_shared::privacy::ledger::{Budget, Ledger, Policy as Allowed, Record, Refusal, Spend};
use sordino_shared::privacy::{Mechanism, Mode};
use std::path::Path;

fn settings(epsilon: f64) -> Settings {
    Settings { ledger: Allowed::new(epsilon, 1e-6), ..Settings::default() }
}

fn open(folder: &Path, phone: &Pretend, epsilon: f64) -> Result<Device<Pretend>, Error> {
    Device::open(folder, pretend_federation(), settings(epsilon), phone.clone())
}

fn spend(round: u64, rho: f64) -> Spend {
    Spend {
        at: 0,
        task: "embeddings".to_owned(),
        round,
        what: "rows".to_owned(),
        values: 100,
        mode: Mode::Secure,
        mechanism: Mechanism::DiscreteGaussian,
        rho,
        strategy: None,
        distance: 1e-30,
        charged: 0.0,
    }
}

fn pay(device: &mut Device<Pretend>, spend: Spend) -> Result<(), ledger::Error> {
    device.purse.open_ledger().expect("it is open").spend(spend)
}

#[test]
fn settings_that_ask_for_more_do_not_brick_and_do_not_raise() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let device = open(folder.path(), &phone, 4.0).expect("a device");
    assert_eq!(device.standing(), &Standing::AsSet);
    drop(device);
    let mut device = open(folder.path(), &phone, 8.0).expect("it opens");
    assert_eq!(device.standing(), &Standing::Held { asked: Allowed::new(8.0, 1e-6) });
    assert_eq!((device.budget(), device.balance().epsilon_limit), (&Allowed::new(4.0, 1e-6), 4.0));
    assert!(device.may_take_part().is_ok());
    assert!(matches!(device.rebase(Allowed::new(8.0, 1e-6), " \n\t "), Err(Error::NoReason)));
    let reason = "the listener agreed\n2020-01-01 00:00 UTC  rule: nothing is sent";
    device.rebase(Allowed::new(8.0, 1e-6), reason).expect("raised");
    assert_eq!((device.standing(), device.balance().epsilon_limit), (&Standing::AsSet, 8.0));
    let words = device.ledger();
    assert!(words.contains("epsilon 8 at delta 1e-6") && words.contains("the listener agreed 2020-01-01"), "{words}");
    assert_eq!(
        words.lines().filter(|line| line.contains("rule: ")).count(),
        2,
        "a reason is no line of its own: {words}"
    );
    drop(device);
    // As many fields as there are, each at its lower value.
    let mut asked = Allowed::new(9.0, 1e-7);
    asked.modes.push(Mode::Central);
    asked.tasks.insert("rank".to_owned(), Budget { epsilon: 1.0, delta: 1e-6 });
    let asked_settings = Settings { ledger: asked.clone(), ..Settings::default() };
    let device = Device::open(folder.path(), pretend_federation(), asked_settings, phone.clone()).expect("it opens");
    assert_eq!(device.standing(), &Standing::Held { asked: asked.clone() });
    let in_force =
        Allowed { budget: Budget { epsilon: 8.0, delta: 1e-7 }, tasks: asked.tasks, ..Allowed::new(8.0, 1e-6) };
    assert_eq!(device.budget(), &in_force);
    drop(device);
    let device = open(folder.path(), &phone, 2.0).expect("it opens");
    assert!(matches!(device.standing(), Standing::Held { .. }), "the delta of the ledger is lower");
    assert!(device.budget().budget == Budget { epsilon: 2.0, delta: 1e-7 } && device.ledger().contains("allows less"));
}

#[test]
fn settings_that_ask_for_less_lower_what_may_be_spent() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    drop(open(folder.path(), &phone, 4.0).expect("a device"));
    let device = open(folder.path(), &phone, 2.0).expect("it opens");
    assert_eq!(device.standing(), &Standing::Lowered { before: Allowed::new(4.0, 1e-6) });
    assert_eq!(device.balance().epsilon_limit, 2.0);
    drop(device);
    assert_eq!(open(folder.path(), &phone, 2.0).expect("it opens").standing(), &Standing::AsSet);
    // What was lowered by mistake is raised by a decision alone.
    assert!(matches!(open(folder.path(), &phone, 4.0).expect("it opens").standing(), Standing::Held { .. }));
}

#[test]
fn settings_that_cannot_be_kept_pause_the_device() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    assert!(matches!(open(folder.path(), &phone, f64::NAN), Err(Error::Ledger(_))), "a new device says so at once");
    drop(open(folder.path(), &phone, 4.0).expect("a device"));
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 500.0] {
        let mut device = open(folder.path(), &phone, epsilon).expect("it opens");
        assert!(matches!(device.standing(), Standing::Paused { .. }), "{epsilon}: {:?}", device.standing());
        assert!(device.may_take_part().is_err_and(|why| why.contains("budget")), "{epsilon}");
        let event = PlaybackEvent::new(TrackId(1), Timestamp(phone.now()), EventKind::Like);
        device.record(&[event]).expect("all else works");
    }
    let device = open(folder.path(), &phone, 4.0).expect("it opens");
    assert!(device.standing() == &Standing::AsSet && device.may_take_part().is_ok());
}

#[test]
fn others_record_and_read_beside_the_process_that_visits() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let beside = |epsilon| Device::open_beside(folder.path(), pretend_federation(), settings(epsilon), phone.clone());
    assert!(matches!(beside(4.0), Err(Error::NoDevice(_))));
    let mut device = open(folder.path(), &phone, 4.0).expect("a device");
    assert!(matches!(open(folder.path(), &phone, 4.0), Err(Error::Ledger(ledger::Error::InUse(_)))));
    let mut other = beside(4.0).expect("beside it");
    let event = PlaybackEvent::new(TrackId(1), Timestamp(phone.now()), EventKind::Like);
    assert_eq!(other.record(&[event]).expect("recorded").kept, 1);
    assert_eq!(device.record(&[event]).expect("recorded").known, 1);
    pay(&mut device, spend(1, 0.01)).expect("it fits");
    assert_eq!(beside(4.0).expect("beside it").ledger(), device.ledger());
    assert!(other.ledger().starts_with("Nothing has been sent"), "as it was when it was opened");
    // Whatever would make two of one device is refused.
    assert!(other.may_take_part().is_err());
    assert!(matches!(other.rebase(Allowed::new(8.0, 1e-6), "more"), Err(Error::Beside)));
    assert!(matches!(other.erase(), Err(Error::Beside)));
    assert!(
        Participant::save(&mut other, &[1; 32], b"record").is_err()
            && Participant::forget(&mut other, &[1; 32]).is_err()
    );
    assert!(matches!(other.keep_version(&Default::default(), b""), Err(Error::Beside)));
    assert!(matches!(other.set_registry(&device.registry().expect("a registry")), Err(Error::Beside)));
    let held = beside(9.0).expect("beside it");
    assert!(matches!(held.standing(), Standing::Held { .. }) && held.budget() == &Allowed::new(4.0, 1e-6));
    let lower = beside(1.0).expect("beside it");
    assert_eq!(lower.budget(), device.budget(), "nothing is written by it");
}

// A crash after the ledger was made and before the store knew of it: the ledger that is there goes
// on.
#[test]
fn a_ledger_that_the_store_does_not_know_of_goes_on() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let mut device = open(folder.path(), &phone, 4.0).expect("a device");
    pay(&mut device, spend(1, 0.01)).expect("it fits");
    device.store.change(&[], &[HAS_LEDGER]).expect("forgotten");
    drop(device);
    assert_eq!(open(folder.path(), &phone, 4.0).expect("it opens").balance().releases, 1);
    // And one that the store knows of and that is gone is not begun afresh.
    std::fs::remove_file(folder.path().join("ledger")).expect("removed");
    assert!(matches!(open(folder.path(), &phone, 4.0), Err(Error::Ledger(ledger::Error::Missing(_)))));
}

proptest! {
    // Each case is some transactions on a disk, so that shrinking far would take minutes.
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..ProptestConfig::with_cases(40) })]
    // Whatever the settings of each opening, and however often the budget is changed: what was
    // spent stays spent, nothing is paid beyond what the ledger allows at that moment, and only a
    // decision raises it.
    #[test]
    fn no_change_of_policy_resets_what_was_spent(
        steps in proptest::collection::vec((0u8..3, 1u32..100), 1..25),
    ) {
        let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
        let mut device = open(folder.path(), &phone, 4.0).expect("a device");
        let (mut paid, mut allowed) = (0.0f64, 4.0f64);
        for (round, (step, size)) in steps.into_iter().enumerate() {
            let epsilon = f64::from(size) / 10.0;
            match step {
                0 => {
                    drop(device);
                    device = open(folder.path(), &phone, epsilon).expect("it opens");
                    allowed = allowed.min(epsilon);
                }
                1 => {
                    device.rebase(Allowed::new(epsilon, 1e-6), "a test").expect("changed");
                    allowed = epsilon;
                }
                _ => {
                    let rho = f64::from(size) / 400.0;
                    let limit = device.balance().rho_limit;
                    match pay(&mut device, spend(round as u64, rho)) {
                        Ok(()) => {
                            paid += rho;
                            prop_assert!(paid <= limit * 1.000_001, "{paid} of {limit}");
                        }
                        Err(ledger::Error::Refused(Refusal::Overspent { .. })) => prop_assert!(paid + rho > limit * 0.999_999),
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
            }
            let balance = device.balance();
            prop_assert!((balance.rho - paid).abs() < 1e-9, "{} {paid}", balance.rho);
            prop_assert_eq!(balance.epsilon_limit, allowed);
            prop_assert_eq!(device.budget().budget.epsilon, allowed);
        }
        drop(device);
        // The file says the same, each payment once.
        let ledger = Ledger::inspect(&folder.path().join("ledger")).expect("a ledger");
        let charged: f64 = ledger.records().iter().filter_map(|record| match record {
            Record::Spend(spend) => Some(spend.charged),
            Record::Policy { .. } => None,
        }).sum();
        prop_assert!((charged - paid).abs() < 1e-9);
    }
}

// Whoever chose the catalogue could else ask for one track after the other whether it is behind a broken rule.
#[test]
fn the_catalogue_does_not_decide_what_a_machine_is() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let mut device = open(folder.path(), &phone, 4.0).expect("a device");
    let event = |track: u32, seconds_ago: i64, kind| {
        let time = Timestamp(phone.now() - seconds_ago * 1000);
        PlaybackEvent { seconds_listened: Some(100.0), ..PlaybackEvent::new(TrackId(track), time, kind) }
    };
    let person: Vec<_> = (0..40i64).map(|i| event(i as u32, 7000 * i + i * i * 31 % 997, EventKind::Like)).collect();
    device.record(&person).expect("recorded");
    for tracks in [0, 1, 20, 1000] {
        let learning = device.learning(tracks).expect("a store");
        assert_eq!(learning.withheld, None, "{tracks}");
        let learnt = learning.train.len() + learning.held_out.len();
        assert!(learnt <= tracks.min(40) && (tracks < 20 || learnt + 1 >= tracks.min(40)), "{tracks}: {learnt}");
        assert!(learning.train.iter().all(|example| example.track.row() < tracks));
    }
    // One track for hours, the last of them; midnight may be in between.
    let loops: Vec<_> = (0..130i64).map(|i| event(999, 400_000 + 200 * i + i * i % 97, EventKind::Play)).collect();
    device.record(&loops).expect("recorded");
    for tracks in [0, 1, 20, 999, 1000] {
        let learning = device.learning(tracks).expect("a store");
        assert!(learning.withheld.is_some() && learning.train.is_empty(), "{tracks}: {learning:?}");
    }
}

// What is erased is what was heard and the models; what keeps a device from going back stays.
#[test]
fn what_is_erased_leaves_what_was_believed() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let mut device = open(folder.path(), &phone, 4.0).expect("a device");
    let registry = device.registry().expect("the application's root");
    device.set_registry(&registry).expect("kept");
    device.store.put(LAST_TRAINING, &phone.now().to_le_bytes()).expect("kept");
    device.store.put("something else", b"heard").expect("kept");
    device.erase().expect("erased");
    assert!(device.store.get(REGISTRY).expect("a store").is_some());
    assert!(device.store.get("something else").expect("a store").is_none());
    assert!(device.rest().expect("a store") > 0, "it has trained");
}
