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
    assert_eq!(device.standing(), &Standing::Held { asked: Allowed::new(8.0, 1e-6), also: None });
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
    // Held in one number, lowered in another: both are told.
    let also = Some(Box::new(Standing::Lowered { before: Allowed::new(8.0, 1e-6) }));
    assert_eq!(device.standing(), &Standing::Held { asked: asked.clone(), also });
    let in_force =
        Allowed { budget: Budget { epsilon: 8.0, delta: 1e-7 }, tasks: asked.tasks, ..Allowed::new(8.0, 1e-6) };
    assert_eq!(device.budget(), &in_force);
    drop(device);
    let device = open(folder.path(), &phone, 2.0).expect("it opens");
    assert!(
        matches!(device.standing(), Standing::Held { also: Some(also), .. } if matches!(**also, Standing::Lowered { .. })),
        "the delta of the ledger is lower: {:?}",
        device.standing()
    );
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
    // A new device, which has allowed nothing yet, and one that has: the same.
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 500.0].repeat(2) {
        let mut device = open(folder.path(), &phone, epsilon).expect("it opens");
        assert!(matches!(device.standing(), Standing::Paused { .. }), "{epsilon}: {:?}", device.standing());
        assert!(device.may_take_part().is_err_and(|why| why.contains("budget")), "{epsilon}");
        let event = PlaybackEvent::new(TrackId(1), Timestamp(phone.now()), EventKind::Like);
        device.record(&[event]).expect("all else works");
        assert!(pay(&mut device, spend(1, 0.001)).is_err() && device.ledger().contains("rule: nothing"), "{epsilon}");
    }
    let beside = |epsilon| {
        Device::open_beside(folder.path(), pretend_federation(), settings(epsilon), phone.clone()).expect("beside it")
    };
    assert!(matches!(beside(f64::NAN).standing(), Standing::Paused { .. }));
    assert!(matches!(beside(4.0).standing(), Standing::Due { .. }));
    // The first that can be kept is no raise: nothing was allowed before.
    let device = open(folder.path(), &phone, 4.0).expect("it opens");
    assert!(device.may_take_part().is_ok() && device.budget() == &Allowed::new(4.0, 1e-6), "{:?}", device.standing());
    drop(device);
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY, 500.0] {
        let device = open(folder.path(), &phone, epsilon).expect("it opens");
        assert!(matches!(device.standing(), Standing::Paused { .. }), "{epsilon}: {:?}", device.standing());
        assert!(device.may_take_part().is_err_and(|why| why.contains("budget")), "{epsilon}");
        assert_eq!(device.budget(), &Allowed::new(4.0, 1e-6), "{epsilon}");
        assert_eq!(beside(epsilon).standing(), device.standing(), "{epsilon}: the same beside it");
    }
    let device = open(folder.path(), &phone, 4.0).expect("it opens");
    assert!(device.standing() == &Standing::AsSet && device.may_take_part().is_ok());
}

// A device that was never able to spend takes the budget that an application without settings gives a new one.
#[test]
fn settings_follow_from_what_the_ledger_allows() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let kept = |folder: &Path| {
        let settings = |kept: Option<&Allowed>| Settings {
            ledger: kept.cloned().unwrap_or(Allowed::new(3.0, 1e-6)),
            ..Settings::default()
        };
        Device::open_with(folder, pretend_federation(), settings, phone.clone()).expect("it opens")
    };
    drop(open(folder.path(), &phone, f64::NAN).expect("it opens"));
    assert_eq!(kept(folder.path()).budget(), &Allowed::new(3.0, 1e-6));
    let mut device = kept(folder.path());
    device.rebase(Allowed::new(5.0, 1e-6), "a test").expect("changed");
    drop(device);
    let device = kept(folder.path());
    assert_eq!((device.standing(), device.budget()), (&Standing::AsSet, &Allowed::new(5.0, 1e-6)));
}

// Wherever the process ends or fails at its first opening, and whatever of a device is lost: it heals,
// or says what is lost, and begins anew as another device. What was spent is never forgotten under an
// identity that goes on.
#[test]
fn each_part_of_a_device_that_is_gone_heals_or_is_told() {
    for lost in 0..8u8 {
        let (no_secret, no_ledger, no_store) = (lost & 1 != 0, lost & 2 != 0, lost & 4 != 0);
        let (folder, mut phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
        let mut device = open(folder.path(), &phone, 4.0).expect("a device");
        pay(&mut device, spend(1, 0.01)).expect("it fits");
        let event = PlaybackEvent::new(TrackId(1), Timestamp(phone.now()), EventKind::Like);
        device.record(&[event]).expect("recorded");
        device.store.save(&[3; 32], b"a round under way").expect("kept");
        let before = device.identity().public();
        drop(device);
        if no_secret {
            phone.forget_secret().expect("forgotten");
        }
        for (is_gone, name) in [(no_ledger, "ledger"), (no_store, "store.sqlite")] {
            if is_gone {
                std::fs::remove_file(folder.path().join(name)).expect("removed");
            }
        }
        let beside = Device::open_beside(folder.path(), pretend_federation(), settings(4.0), phone.clone());
        let opened = open(folder.path(), &phone, 4.0);
        match (no_secret, no_ledger, no_store) {
            (false, true, _) => {
                assert!(matches!(opened, Err(Error::LedgerLost(_))), "{lost}");
                assert!(matches!(beside, Err(Error::LedgerLost(_))), "{lost}");
            }
            (true, _, false) => {
                assert!(matches!(opened, Err(Error::KeyLost(_))) && matches!(beside, Err(Error::KeyLost(_))), "{lost}");
            }
            (true, _, true) => {
                assert!(matches!(beside, Err(Error::NoDevice(_))), "{lost}");
                drop(opened.expect("it is made"));
            }
            (false, false, _) => {
                drop(beside.expect("it has a key and a ledger"));
                let device = opened.expect("it heals");
                assert!(device.identity().public() == before && device.balance().releases == 1, "{lost}");
                assert_eq!(device.export().expect("events").len(), usize::from(!no_store), "{lost}");
            }
        }
        // The remedy works, twice, and where nothing is lost it changes nothing.
        for _ in 0..2 {
            let anew = Device::begin_anew(folder.path(), pretend_federation(), settings(4.0), phone.clone());
            let device = anew.expect("a device");
            let is_another = no_secret || no_ledger;
            assert_eq!(device.identity().public() != before, is_another, "{lost}");
            assert_eq!(device.balance().releases, usize::from(!no_ledger), "{lost}: what was spent stays spent");
            assert!(
                device.enrolled().is_none() && (!is_another || device.export().expect("events").is_empty()),
                "{lost}"
            );
            let keys = folder.path().join("store.sqlite-keys");
            // Where key and store were gone it was another device before, and nothing opens what is left.
            assert!(keys.exists() != is_another || (no_secret && no_store), "{lost}: keys of its rounds");
        }
        assert!(open(folder.path(), &phone, 4.0).is_ok(), "{lost}");
    }
}

// A host whose key storage fails at the first opening: the next goes on from there.
#[test]
fn a_key_storage_that_fails_leaves_no_device_that_cannot_be_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("keys").join("secret.key");
    let open = || Device::open(folder.path(), pretend_federation(), settings(4.0), Desk::new(&key));
    assert!(matches!(open(), Err(Error::Keys(_))), "there is no folder for the key");
    std::fs::create_dir(folder.path().join("keys")).expect("a folder");
    assert!(open().expect("it opens").balance().releases == 0);
}

// Two first openings at once: one has the device, or the one after the other, and always the same key.
#[test]
fn two_first_openings_at_once_make_one_device() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("secret.key");
        let open = || Device::open(folder.path(), pretend_federation(), settings(4.0), Desk::new(&key));
        let opened: Vec<_> = std::thread::scope(|scope| {
            let openings: Vec<_> =
                (0..4).map(|_| scope.spawn(|| open().map(|device| device.identity().public()))).collect();
            openings.into_iter().map(|opening| opening.join().expect("no panic")).collect()
        });
        let device = open().expect("it opens");
        let mut any = false;
        for opened in opened {
            match opened {
                Ok(public) => any |= public == device.identity().public(),
                Err(error) => assert!(matches!(error, Error::Ledger(ledger::Error::InUse(_))), "{error}"),
            }
        }
        assert!(any);
    }
}

// A training that was stamped while the clock was a year ahead costs one wait, not a year.
#[test]
fn a_clock_that_was_ahead_costs_one_wait() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::at(1_795_000_000_000));
    let mut device = open(folder.path(), &phone, 4.0).expect("a device");
    let (hour, now) = (3_600_000, phone.now());
    let wait = |device: &mut Device<Pretend>| device.rest().expect("a store");
    assert_eq!(wait(&mut device), 0);
    device.store.put(LAST_TRAINING, &(now + 365 * 24 * hour).to_le_bytes()).expect("stamped");
    assert_eq!(wait(&mut device), 24 * hour);
    drop(device);
    let mut device = open(folder.path(), &phone, 4.0).expect("it opens");
    phone.ahead_ms.store(23 * hour, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(wait(&mut device), hour);
    phone.ahead_ms.store(24 * hour, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(wait(&mut device), 0);
}

#[test]
fn refusals_are_known_before_anything_is_recorded() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::default());
    let mut device = open(folder.path(), &phone, 4.0).expect("a device");
    let event = |track, time| PlaybackEvent::new(TrackId(track), Timestamp(time), EventKind::Like);
    let (good, seconds) = (event(1, phone.now()), event(2, phone.now() / 1000));
    let refused = device.refusals(&[good, seconds, good]).expect("a store");
    assert!(refused.len() == 1 && refused[0].0 == 1, "{refused:?}");
    assert!(device.refusals(&[good]).expect("a store").is_empty() && device.refusals(&[]).expect("a store").is_empty());
    assert!(device.export().expect("events").is_empty(), "nothing is recorded");
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
    assert_eq!(lower.standing(), &Standing::Due { next: Allowed::new(1.0, 1e-6) }, "the next opening does it");
    for epsilon in [-1.0, f64::NAN, 60.0] {
        let paused = beside(epsilon).expect("beside it");
        assert!(matches!(paused.standing(), Standing::Paused { .. }), "{epsilon}: {:?}", paused.standing());
    }
    let asked = Allowed::new(2.0, 1e-5);
    let both = Settings { ledger: asked.clone(), ..Settings::default() };
    let both = Device::open_beside(folder.path(), pretend_federation(), both, phone.clone()).expect("beside it");
    let also = Some(Box::new(Standing::Due { next: Allowed::new(2.0, 1e-6) }));
    assert_eq!(both.standing(), &Standing::Held { asked, also });
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
