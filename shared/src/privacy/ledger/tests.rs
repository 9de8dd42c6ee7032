use super::super::Mechanism;
use super::super::Mode;
use super::super::accountant::correlated::Strategy;
use super::super::accountant::zcdp;
use super::*;
use crate::math;
use proptest::prelude::*;
use std::path::PathBuf;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger");
    (folder, path)
}

fn spend(round: u64, rho: f64) -> Spend {
    Spend {
        at: 1_790_000_000_000,
        task: "embeddings".to_owned(),
        round,
        what: "rows".to_owned(),
        values: 100,
        mode: Mode::Secure,
        mechanism: Mechanism::DiscreteGaussian,
        rho,
        strategy: None,
        distance: 1e-28,
        charged: 0.0,
    }
}

fn policy() -> Policy {
    Policy::new(2.0, 1e-6)
}

#[test]
fn it_spends_until_the_budget_is_gone_and_remembers() {
    let (_folder, path) = folder();
    let limit = zcdp::rho(2.0, 1e-6);
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    let mut round = 0;
    while round < 20 && ledger.spend(spend(round, limit / 3.5)).is_ok() {
        round += 1;
    }
    assert_eq!(round, 3);
    drop(ledger);
    let mut again = Ledger::open(&path, &policy()).expect("the same ledger");
    let refused = again.spend(spend(99, limit / 3.5)).expect_err("too much");
    assert!(matches!(refused, Error::Refused(Refusal::Overspent { .. })), "{refused}");
    again.spend(spend(100, limit / 10.0)).expect("what still fits");
    let balance = again.balance();
    assert!(balance.epsilon <= 2.0 && balance.epsilon > 1.8 && balance.releases == 4, "{balance:?}");
    let words = again.in_words();
    assert!(words.contains("4 contributions were sent") && words.contains("Budget left: 4 %"), "{words}");
}

#[test]
fn refusals_say_why() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    ledger.spend(spend(1, 0.001)).expect("it fits");
    let refusal = |spend: &Spend| ledger.check(spend).expect_err("refused");
    assert!(matches!(refusal(&spend(1, 0.001)), Refusal::Twice { .. }));
    assert!(matches!(refusal(&spend(2, f64::INFINITY)), Refusal::NoNoise { .. }));
    assert!(matches!(refusal(&spend(2, f64::NAN)), Refusal::NoNoise { .. }));
    assert!(matches!(refusal(&Spend { mode: Mode::Central, ..spend(2, 0.001) }), Refusal::Mode { .. }));
    assert!(matches!(refusal(&Spend { distance: 1e-10, ..spend(2, 0.001) }), Refusal::Distance { .. }));
    assert!(matches!(refusal(&Spend { distance: f64::NAN, ..spend(2, 0.001) }), Refusal::Distance { .. }));
}

#[test]
fn a_task_has_a_budget_of_its_own() {
    let (_folder, path) = folder();
    let mut policy = policy();
    policy.tasks.insert("embeddings".to_owned(), Budget { epsilon: 0.5, delta: 1e-6 });
    let mut ledger = Ledger::create(&path, policy, 0).expect("a ledger");
    let rho = zcdp::rho(0.5, 1e-6) * 0.9;
    ledger.spend(spend(1, rho)).expect("it fits");
    let refused = ledger.spend(spend(2, rho)).expect_err("too much for the task");
    assert!(refused.to_string().contains("task 'embeddings'"), "{refused}");
    ledger.spend(Spend { task: "other".to_owned(), ..spend(2, rho) }).expect("another task");
}

#[test]
fn correlated_noise_is_paid_once_and_its_limits_are_kept() {
    let (_folder, path) = folder();
    let mut policy = policy();
    policy.modes.push(Mode::CentralMf);
    let mut ledger = Ledger::create(&path, policy, 0).expect("a ledger");
    let strategy = Some(Strategy::new(30, 10));
    let at = |round| Spend { mode: Mode::CentralMf, strategy, ..spend(round, 0.01) };
    ledger.spend(at(5)).expect("the first");
    for near in [6, 14, 0] {
        let refused = ledger.check(&at(near)).expect_err("too close");
        assert!(matches!(refused, Refusal::Participation { .. }), "{refused}");
    }
    let other = Spend { strategy: Some(Strategy::new(30, 1)), ..at(15) };
    assert!(ledger.check(&other).is_err(), "limits do not change on the way");
    assert!(ledger.check(&Spend { strategy: None, ..at(15) }).is_ok(), "paid for by itself");
    ledger.spend(at(15)).expect("far enough");
    drop(ledger);
    let mut ledger = Ledger::inspect(&path).expect("the same ledger");
    ledger.spend(at(25)).expect("far enough");
    assert!(ledger.check(&at(35)).is_err(), "a fourth time");
    let another = Spend { task: "another".to_owned(), ..at(30) };
    assert!(ledger.check(&another).is_err(), "a round after the last");
    assert!(ledger.check(&Spend { round: 29, ..another }).is_ok());
    assert!((ledger.balance().rho - 0.01).abs() < 1e-12);
}

// The file gives back the numbers that went into it: else a second participation would look like another plan.
#[test]
fn numbers_come_back_from_the_file_as_they_were() {
    let strategy = Some(Strategy::new(30, 10));
    let mut digits = 0.01f64;
    for number in 0..60 {
        digits = (digits * 1.618_033_988_749_895) % 0.08 + 0.001;
        let (_folder, path) = folder();
        let mut policy = policy();
        policy.modes.push(Mode::CentralMf);
        let mut ledger = Ledger::create(&path, policy, 0).expect("a ledger");
        let at = |round| Spend { mode: Mode::CentralMf, strategy, distance: digits * 1e-20, ..spend(round, digits) };
        ledger.spend(at(5)).expect("the first");
        let before = ledger.history().clone();
        drop(ledger);
        let mut ledger = Ledger::inspect(&path).expect("the same ledger");
        assert_eq!(ledger.history(), &before, "{number}: {digits:?}");
        ledger.spend(at(15)).unwrap_or_else(|error| panic!("{number}, {digits:?}: {error}"));
    }
}

#[test]
fn a_changed_policy_needs_a_reason_and_what_is_spent_stays() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    ledger.spend(spend(1, 0.02)).expect("it fits");
    drop(ledger);
    let changed = Policy::new(1.0, 1e-6);
    assert!(matches!(Ledger::open(&path, &changed), Err(Error::PolicyChanged { .. })));
    let mut ledger = Ledger::inspect(&path).expect("the ledger");
    ledger.rebase(changed.clone(), "the listener asked for more privacy", 7).expect("a new policy");
    drop(ledger);
    let ledger = Ledger::open(&path, &changed).expect("the new policy");
    assert!((ledger.balance().rho - 0.02).abs() < 1e-12);
    assert!(ledger.check(&spend(2, 0.02)).is_err(), "less is left than before");
    assert!(ledger.in_words().contains("the listener asked for more privacy"));
    assert!(Ledger::create(&path.with_extension("bad"), Policy::new(0.0, 1e-6), 0).is_err());
    assert!(Ledger::create(&path.with_extension("bad"), Policy::new(1.0, 1.0), 0).is_err());
}

#[test]
fn files_that_are_not_whole_are_refused() {
    let (_folder, path) = folder();
    assert!(matches!(Ledger::open(&path, &policy()), Err(Error::Missing(_))));
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    ledger.spend(spend(1, 0.01)).expect("it fits");
    assert!(matches!(Ledger::open(&path, &policy()), Err(Error::InUse(_))));
    drop(ledger);
    assert!(matches!(Ledger::create(&path, policy(), 0), Err(Error::Exists(_))));
    let whole = std::fs::read(&path).expect("bytes");
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("a shorter file");
        assert!(matches!(Ledger::open(&path, &policy()), Err(Error::Damaged { .. })), "{length} bytes");
    }
    let newer = String::from_utf8(whole).expect("text").replace("\"version\":1", "\"version\":2");
    std::fs::write(&path, newer).expect("a newer file");
    assert!(matches!(Ledger::open(&path, &policy()), Err(Error::Newer { found: 2, known: 1, .. })));
}

// A crash leaves the old file or the new one, with or without a half-written neighbour. Never a refund.
#[test]
fn a_crash_before_or_after_the_rename_loses_nothing() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    ledger.spend(spend(1, 0.01)).expect("it fits");
    drop(ledger);
    std::fs::write(path.with_file_name("ledger.new"), b"{\"format\":\"sordino-led").expect("half a file");
    let mut ledger = Ledger::open(&path, &policy()).expect("the old file is whole");
    assert!((ledger.balance().rho - 0.01).abs() < 1e-12);
    ledger.spend(spend(2, 0.01)).expect("it fits");
    drop(ledger);
    assert!((Ledger::open(&path, &policy()).expect("whole").balance().rho - 0.02).abs() < 1e-12);
}

#[test]
fn a_disk_error_spends_nothing_in_memory_that_is_not_on_disk() {
    let (folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    // A folder in the way of the new file: the write fails.
    std::fs::create_dir(folder.path().join("ledger.new")).expect("a folder");
    assert!(matches!(ledger.spend(spend(1, 0.01)), Err(Error::Disk { .. })));
    assert_eq!(ledger.balance().releases, 0);
}

// The file was replaced, and only then the disk failed: what it says is in force, and the next record goes behind it.
#[test]
fn a_disk_error_after_the_rename_loses_no_record() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    let works = ledger.file.sync_folder;
    ledger.file.sync_folder = |_| Err(std::io::Error::other("no answer"));
    assert!(matches!(ledger.spend(spend(1, 0.01)), Err(Error::Disk { .. })));
    assert_eq!(ledger.balance().releases, 1, "it is in the file");
    assert!(matches!(ledger.rebase(Policy::new(1.0, 1e-6), "less", 1), Err(Error::Disk { .. })));
    assert_eq!(ledger.policy(), &Policy::new(1.0, 1e-6), "so is this");
    ledger.file.sync_folder = works;
    assert!(matches!(ledger.spend(spend(1, 0.01)), Err(Error::Refused(Refusal::Twice { .. }))));
    ledger.spend(spend(2, 0.001)).expect("it fits");
    let held = ledger.history().clone();
    drop(ledger);
    let again = Ledger::inspect(&path).expect("the same ledger");
    assert_eq!(again.history(), &held);
    assert_eq!((again.balance().releases, again.policy().budget.epsilon), (2, 1.0));
}

// Where the file cannot be read again either, nothing is written over it until it can be.
#[test]
fn a_ledger_that_does_not_know_its_file_writes_nothing() {
    let (folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    let works = ledger.file.sync_folder;
    // The disk takes the record, and then answers nothing: here the file moves out of sight.
    ledger.file.sync_folder = |folder| {
        std::fs::rename(folder.join("ledger"), folder.join("away"))?;
        Err(std::io::Error::other("no answer"))
    };
    assert!(ledger.rebase(Policy::new(1.0, 1e-6), "less", 1).is_err());
    ledger.file.sync_folder = works;
    assert!(matches!(ledger.spend(spend(1, 0.01)), Err(Error::Missing(_))));
    assert!(matches!(ledger.rebase(policy(), "more", 2), Err(Error::Missing(_))));
    std::fs::rename(folder.path().join("away"), &path).expect("the disk is back");
    ledger.spend(spend(1, 0.01)).expect("it fits");
    assert_eq!(ledger.policy(), &Policy::new(1.0, 1e-6));
}

// Who names tasks, rounds' blocks or reasons writes no line of the listener's.
#[test]
fn a_name_is_no_line_of_the_ledger() {
    let (_folder, path) = folder();
    let line = "a', round 9: 0 noisy numbers\n2026-01-01 00:00 UTC  rule: nothing is sent (\u{1b}[2J";
    let mut policy = policy();
    policy.tasks.insert(line.to_owned(), Budget { epsilon: 1.0, delta: 1e-6 });
    let mut ledger = Ledger::create(&path, policy.clone(), 0).expect("a ledger");
    ledger.spend(Spend { task: line.to_owned(), what: line.to_owned(), ..spend(1, 0.001) }).expect("it fits");
    ledger.rebase(policy, line, 1).expect("a new policy");
    let words = ledger.in_words();
    assert_eq!(words.lines().count(), 2 + 3, "{words}");
    assert!(!words.contains('\u{1b}'), "{words}");
    for refused in [
        Spend { task: line.to_owned(), ..spend(1, 0.001) },
        Spend { task: line.to_owned(), ..spend(2, 1.0) },
        Spend { task: line.to_owned(), ..spend(2, f64::NAN) },
        Spend { task: line.to_owned(), mode: Mode::Central, ..spend(2, 0.001) },
        Spend { task: line.to_owned(), distance: 1e-10, ..spend(2, 0.001) },
    ] {
        let words = ledger.check(&refused).expect_err("refused").to_string();
        assert!(!words.contains(char::is_control), "{words}");
    }
}

#[test]
fn clocks_may_go_back() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 1_790_000_000_000).expect("a ledger");
    ledger.spend(Spend { at: i64::MAX, ..spend(1, 0.01) }).expect("it fits");
    ledger.spend(Spend { at: -5, ..spend(2, 0.01) }).expect("it fits");
    assert!((ledger.balance().rho - 0.02).abs() < 1e-12);
    assert!(ledger.in_words().contains("an unknown time"));
}

#[test]
fn skellam_is_converted_at_integer_orders_only() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, Policy::new(8.0, 1e-6), 0).expect("a ledger");
    let limit = ledger.balance().rho_limit;
    ledger.spend(Spend { mechanism: Mechanism::Skellam, ..spend(1, 0.01) }).expect("it fits");
    let balance = ledger.balance();
    assert!(balance.rho_limit < limit && balance.rho_limit > 0.97 * limit, "{} {limit}", balance.rho_limit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    // Flipping any byte is found.
    #[test]
    fn damage_is_found(at in 0.0f64..1.0, flip in 1u8..=255) {
        let (_folder, path) = folder();
        let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
        ledger.spend(spend(1, 0.01)).expect("it fits");
        drop(ledger);
        let mut bytes = std::fs::read(&path).expect("bytes");
        let at = (at * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes).expect("a damaged file");
        prop_assert!(Ledger::open(&path, &policy()).is_err());
    }
}

// What a ledger would never pay from is refused before anybody plans with it.
#[test]
fn budgets_that_cannot_be_kept_are_refused() {
    let (_folder, path) = folder();
    for (epsilon, delta) in [(60.0, 1e-6), (600.0, 1e-5), (60.0, 0.5), (2.0, 1e-30)] {
        let refused = Ledger::create(&path, Policy::new(epsilon, delta), 0).expect_err("refused");
        assert!(matches!(refused, Error::Inexact { .. }), "{epsilon}: {refused}");
    }
    let words = Ledger::create(&path, Policy::new(60.0, 1e-6), 0).expect_err("refused").to_string();
    assert!(words.contains("exact enough up to epsilon 37.5"), "{words}");
    // The largest that is let in can pay for a round of so many draws.
    let most = Budget::most_epsilon(1e-6);
    let mut ledger = Ledger::create(&path, Policy::new(most, 1e-6), 0).expect("a ledger");
    let draws = LEAST_DRAWS * super::super::noise::DRAW_DISTANCE;
    assert!(ledger.check(&Spend { distance: 1.001 * draws, ..spend(1, 0.01) }).is_err());
    ledger.spend(Spend { distance: 0.999 * draws, ..spend(1, 0.01) }).expect("it fits");
}

// A number that comes back from the file with another last bit is no other policy.
#[test]
fn a_policy_is_known_again_whatever_its_digits() {
    let (_folder, path) = folder();
    let digits = (1..200).map(|n| (f64::from(n) * 0.1, 1.1e-9 * f64::from(n)));
    for (epsilon, delta) in digits.chain([(1.0 / 3.0, 1e-28 / 3e-21)]) {
        let policy = Policy::new(epsilon, delta);
        let _ = std::fs::remove_file(&path);
        drop(Ledger::create(&path, policy.clone(), 0).expect("a ledger"));
        Ledger::open(&path, &policy).unwrap_or_else(|error| panic!("{error}"));
        assert!(Ledger::open(&path, &Policy::new(epsilon * 1.0001, delta)).is_err());
    }
}

// Larger or smaller, a new budget counts what was spent from the first record on; and one at whose delta that could not be
// claimed is refused.
#[test]
fn a_new_budget_never_forgets() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, policy(), 0).expect("a ledger");
    ledger.rebase(Policy::new(4.0, 1e-6), "nothing is spent yet", 1).expect("a new budget");
    ledger.rebase(policy(), "as it was", 1).expect("a new budget");
    let limit = zcdp::rho(2.0, 1e-6);
    ledger.spend(spend(1, 0.9 * limit)).expect("it fits");
    let spent = ledger.balance().rho;
    for epsilon in [0.5, 8.0, 2.0, 30.0] {
        ledger.rebase(Policy::new(epsilon, 1e-6), "a test", 1).expect("a new budget");
        assert_eq!(ledger.balance().rho, spent, "epsilon {epsilon}");
        assert_eq!(ledger.check(&spend(2, 0.2 * limit)).is_ok(), epsilon > 2.0, "epsilon {epsilon}");
        assert!(matches!(ledger.check(&spend(1, 0.0)), Err(Refusal::Twice { .. })), "rounds stay paid");
    }
    let seen = History::read(&path).expect("beside the lock");
    assert_eq!(seen.records().len(), ledger.records().len());
    assert!(seen.policy().is_like(ledger.policy()), "whoever looks sees the same");
    ledger.spend(Spend { distance: 1e-24, ..spend(3, 0.2 * limit) }).expect_err("too far from its law for epsilon 30");
    ledger.rebase(Policy::new(8.0, 1e-6), "a test", 1).expect("a new budget");
    ledger.spend(Spend { distance: 1e-24, ..spend(3, 0.2 * limit) }).expect("it fits");
    let refused = ledger.rebase(Policy::new(2.0, 1e-17), "a test", 2).expect_err("refused");
    assert!(matches!(refused, Error::Inexact { .. }), "{refused}");
    assert_eq!(ledger.policy(), &Policy::new(8.0, 1e-6));
}

// What samplers are off by adds up over releases: each fits by itself, and not all of them together.
#[test]
fn distances_add_up_over_releases() {
    let (_folder, path) = folder();
    let mut ledger = Ledger::create(&path, Policy::new(1.0, 1e-6), 0).expect("a ledger");
    let all = 1e-6 * Budget::KEPT_BACK / (1.0 + math::exp(1.0));
    let third = |round| Spend { distance: all / 3.01, ..spend(round, 1e-6) };
    for round in 1..=3 {
        ledger.spend(third(round)).expect("it fits");
    }
    assert!(matches!(ledger.check(&third(4)), Err(Refusal::Distance { .. })));
}
