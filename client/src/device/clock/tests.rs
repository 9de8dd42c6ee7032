//! Clocks that stand still, go back and jump ahead.

use super::*;
use crate::device::office::{DAY, HOUR, Office, START};
use crate::device::{Pretend, pretend_federation};
use sordino_shared::registry::{Error as Refused, Role, Serving};
use std::sync::atomic::Ordering;

fn set(phone: &Pretend, time: i64) {
    phone.time_ms.store(time, Ordering::Relaxed);
}

fn served() -> Serving {
    Serving { good: Some(1), ..Serving::default() }
}

fn fresh(device: &mut Device<Pretend>) -> Freshness {
    device.freshness().expect("a store")
}

#[test]
fn a_device_that_never_saw_a_registry_is_not_fresh_for_ever() {
    let (folder, phone) = (tempfile::tempdir().expect("a folder"), Pretend::at(START));
    let open =
        || Device::open(folder.path(), pretend_federation(), Default::default(), phone.clone()).expect("a device");
    let mut device = open();
    assert_eq!(fresh(&mut device), Freshness::Stale, "nobody has said anything yet");
    assert!(device.may_take_part().is_ok());
    set(&phone, START + 6 * DAY);
    drop(device);
    let mut device = open();
    assert_eq!(fresh(&mut device), Freshness::Stale);
    // It has waited for a week since it was made, whatever its listener erases.
    set(&phone, START + 7 * DAY);
    device.erase().expect("erased");
    assert_eq!(fresh(&mut device), Freshness::Frozen);
    drop(device);
    set(&phone, START + 50 * 365 * DAY);
    assert_eq!(fresh(&mut open()), Freshness::Frozen);
}

// Day by day without news, and then with a clock that is put back.
#[test]
fn a_clock_that_is_put_back_makes_nothing_fresh_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut office = Office::new();
    let (mut device, phone) = office.device(folder.path());
    let word = office.sign(&served(), START);
    office.look(&mut device, &word).expect("all is signed");
    assert_eq!(fresh(&mut device), Freshness::Fresh);
    for (days, expected) in [(2, Freshness::Stale), (300, Freshness::Frozen)] {
        set(&phone, START + days * DAY);
        assert_eq!(fresh(&mut device), expected);
    }
    // Back to the day of its last look, and before: through a restart and an erasing as well.
    for back in [0, -400 * DAY] {
        set(&phone, START + back);
        assert_eq!(fresh(&mut device), Freshness::Frozen, "found out of date, it stays so");
        device.erase().expect("erased");
        drop(device);
        device = office.open(folder.path(), &phone);
        assert_eq!(fresh(&mut device), Freshness::Frozen);
        // The same words once more are no news.
        office.look(&mut device, &word).expect("in date by that clock");
        assert_eq!(fresh(&mut device), Freshness::Frozen);
    }
    // What was signed a year ago for a clock of a year ago is not even looked at: the device has known a later time.
    set(&phone, START - 400 * DAY);
    let past = office.sign(&served(), START - 400 * DAY);
    assert!(matches!(office.look(&mut device, &past), Err(Refused::Expired { role: Role::Timestamp, .. })));
    // News by a clock that is right is news.
    set(&phone, START + 20 * DAY);
    let word = office.sign(&served(), START + 20 * DAY);
    office.look(&mut device, &word).expect("all is in date");
    assert_eq!(fresh(&mut device), Freshness::Fresh);
    // From now on nothing is looked at, or done, at an earlier time.
    set(&phone, START);
    assert_eq!(device.registry_time().expect("a store"), START + 20 * DAY);
    assert_eq!(fresh(&mut device), Freshness::Fresh);
}

// Half a century ahead by mistake, and back.
#[test]
fn a_clock_that_jumps_ahead_locks_nothing_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut office = Office::new();
    let (mut device, phone) = office.device(folder.path());
    let first = office.sign(&served(), START);
    office.look(&mut device, &first).expect("all is signed");
    set(&phone, START + 50 * 365 * DAY);
    assert_eq!(fresh(&mut device), Freshness::Frozen);
    let word = office.sign(&served(), START + HOUR);
    assert!(office.look(&mut device, &word).is_err(), "by that clock all has expired");
    assert_eq!(device.versions().expect("a store").current().map(|kept| kept.counter), Some(1), "what serves goes on");
    // Right again: with the server's next word the device is as it was.
    set(&phone, START + 2 * HOUR);
    office.look(&mut device, &first).expect("in date");
    assert_eq!(fresh(&mut device), Freshness::Frozen, "these words were found out of date");
    office.look(&mut device, &word).expect("in date");
    assert_eq!(fresh(&mut device), Freshness::Fresh);
    // Hours ahead is within what was signed, and over as soon as the clock's error is.
    set(&phone, START + 20 * HOUR);
    let word = office.sign(&served(), START + 3 * HOUR);
    office.look(&mut device, &word).expect("in date by that clock as well");
    set(&phone, START + 4 * HOUR);
    assert_eq!((device.registry_time().expect("a store"), fresh(&mut device)), (START + 20 * HOUR, Freshness::Fresh));
    let word = office.sign(&served(), START + 4 * HOUR);
    office.look(&mut device, &word).expect("in date at the time that it remembers");
}

// The server goes on signing, and people have stopped.
#[test]
fn what_people_have_signed_ends_whatever_the_server_signs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut office = Office::new();
    let (mut device, phone) = office.device(folder.path());
    let mut told = Vec::new();
    for day in 0..45 {
        set(&phone, START + day * DAY);
        let word = office.sign(&served(), START + day * DAY);
        let looked = office.look(&mut device, &word);
        assert_eq!(looked.is_ok(), day < 30, "day {day}: {looked:?}");
        told.push(fresh(&mut device));
    }
    let days = |of: Freshness| told.iter().filter(|told| **told == of).count();
    // The last look that succeeded was on day 29, and its timestamp ended on day 30; so did the targets.
    assert_eq!([Freshness::Fresh, Freshness::Stale, Freshness::Frozen].map(days), [30, 7, 8]);
    office.renew(START + 45 * DAY);
    let word = office.sign(&served(), START + 45 * DAY);
    set(&phone, START + 45 * DAY);
    office.look(&mut device, &word).expect("signed anew");
    assert_eq!(fresh(&mut device), Freshness::Fresh);
}

#[test]
fn what_is_remembered_is_bounded_by_what_was_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut office = Office::new();
    let (mut device, _) = office.device(folder.path());
    let before = device.registry().expect("a registry");
    let word = office.sign(&served(), START);
    office.look(&mut device, &word).expect("all is signed");
    let after = device.registry().expect("a registry");
    // A caller that keeps a registry by whatever clock.
    let times = Times::new(START).looked(&before, &after, i64::MAX);
    assert_eq!(times.at(0), START + DAY);
    assert_eq!(times.looked(&after, &after, 0).at(0), START + DAY, "it never goes back");
    assert_eq!(Times::read(Some(&times.to_bytes())).expect("its own bytes"), times);
    assert!(Times::read(Some(b"{")).is_err());
}
