//! What every store must do. Run by each implementation, and by whoever writes another one.
//!
//! The oracle is one-hot: device i's vector is 1 in cell i and 0 elsewhere, so that at the end each cell of the sum says how
//! often its device was counted.

use super::{
    Aggregate, Change, Entry, Error, Finished, NewEvents, Phase, RoundRow, Store, TaskRow, TaskState, Verdict,
    VersionRow, verify,
};
use sordino_shared::secagg::{Hash, MaskedSum, Shape, digest};

/// Runs the whole suite: `open` gives the store of a name, the same store again for the same name.
///
/// # Panics
/// Where the store does not do what it must.
pub fn conformance<S: Store>(mut open: impl FnMut(&str) -> S) {
    tasks(&mut open("tasks"));
    each_contribution_counts_once(&mut open("once"));
    a_frozen_round_stays_as_it_is(&mut open("frozen"));
    rounds_end_once(&mut open("ends"));
    versions(&mut open("versions"));
    phases_are_compared(&mut open("phases"));
    changes_are_whole_or_nothing(&mut open("changes"));
}

/// Cells of the one-hot vectors.
const CELLS: u32 = 40;

/// A round that collects.
pub fn collecting(store: &mut impl Store, number: u64) -> Hash {
    let context = digest(&number.to_le_bytes());
    let round = RoundRow {
        context,
        task: "task".into(),
        number,
        step: number - 1,
        setting: vec![1, 2, 3],
        phase: Phase::Advertising,
        state: Vec::new(),
        opened: 10,
        changed: 10,
        note: String::new(),
    };
    store.open_round(&round).expect("a new round");
    let way = [Phase::Advertising, Phase::Drawing, Phase::Sharing, Phase::Collecting];
    for step in way.windows(2) {
        assert!(store.advance(&context, step[0], step[1], b"state", 11).expect("no fault"));
    }
    context
}

/// Flushes one-hot vectors of these devices; `salt` makes other vectors of the same devices.
pub fn flush(store: &mut impl Store, context: &Hash, devices: &[u32], salt: u8) -> Vec<Verdict> {
    let entries: Vec<Entry> =
        devices.iter().map(|&position| Entry { position, digest: [position as u8 ^ salt; 32] }).collect();
    let verdicts = store.flush(context, &entries, &mut |new| {
        let mut sum = MaskedSum::new(shape());
        let counted = devices.iter().zip(new).filter(|(_, new)| **new);
        counted.for_each(|(&device, _)| assert!(sum.add_packed(&one_hot(device))));
        sum.to_packed()
    });
    verdicts.expect("no fault")
}

/// How often each device is in the partial sums.
pub fn counts(store: &impl Store, context: &Hash) -> Vec<u8> {
    let mut sum = MaskedSum::new(shape());
    store.partials(context).expect("no fault").iter().for_each(|part| assert!(sum.add_packed(part)));
    sum.to_packed()
}

fn shape() -> Shape {
    Shape { values: CELLS, bits: 8 }
}

fn one_hot(device: u32) -> Vec<u8> {
    (0..CELLS).map(|cell| u8::from(cell == device)).collect()
}

fn tasks(store: &mut impl Store) {
    let task =
        TaskRow { name: "a".into(), text: "text".into(), seed: u64::MAX - 3, state: TaskState::Running, why: None };
    store.add_task(&task, 1).expect("a new task");
    assert!(store.add_task(&task, 2).is_err(), "a name is given once");
    store.add_task(&TaskRow { name: "b".into(), ..task.clone() }, 3).expect("another");
    store.set_task("b", TaskState::Paused, Some("too dear"), 4).expect("a known task");
    assert!(store.set_task("c", TaskState::Paused, None, 4).is_err());
    let states: Vec<TaskState> = store.tasks().expect("no fault").iter().map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Running, TaskState::Paused]);
    assert_eq!(store.tasks().expect("no fault")[0], task);
    reasons(store);
    store.set_task("b", TaskState::Cancelled, Some("no more"), 5).expect("a known task");
    store.set_task("b", TaskState::Running, None, 6).expect("no error");
    let row = store.tasks().expect("no fault")[1].clone();
    assert_eq!((row.state, row.why.as_deref()), (TaskState::Cancelled, Some("no more")), "what is over stays over");
    removals(store);
    verify(&store.audit().expect("no fault")).expect("an unbroken chain");
}

// A task that has opened a round stays, and one that has not makes room for another of its name.
fn removals(store: &mut impl Store) {
    let of =
        |name: &str| TaskRow { name: name.into(), text: "text".into(), seed: 1, state: TaskState::Running, why: None };
    let names = |store: &dyn Store| -> Vec<String> {
        store.tasks().expect("no fault").into_iter().map(|task| task.name).collect()
    };
    store.add_task(&of("task"), 7).expect("a new task");
    store.add_task(&of("c"), 7).expect("a new task");
    collecting(store, 1);
    assert!(matches!(store.remove_task("task", 8), Err(Error::HasRounds(_))));
    assert!(matches!(store.remove_task("d", 8), Err(Error::Missing(_))));
    store.remove_task("c", 8).expect("it has opened none");
    assert!(matches!(store.remove_task("c", 8), Err(Error::Missing(_))));
    assert_eq!(names(store), ["a", "b", "task"]);
    store.add_task(&of("c"), 9).expect("its name is free");
    let told = store.audit().expect("no fault");
    assert_eq!(told.iter().filter(|row| row.what.starts_with("task c: removed")).count(), 1);
}

// Why a task does not run stays with it until it changes, and each reason is in the log, once.
fn reasons(store: &mut impl Store) {
    let why = |store: &dyn Store| store.tasks().expect("no fault")[1].why.clone();
    let told = |store: &dyn Store, word: &str| {
        store.audit().expect("no fault").iter().filter(|row| row.what.contains(word)).count()
    };
    assert_eq!(why(store).as_deref(), Some("too dear"));
    store.set_task("b", TaskState::Paused, None, 4).expect("nothing new");
    store.set_task("b", TaskState::Paused, Some("too dear"), 4).expect("nothing new");
    assert_eq!((why(store).as_deref(), told(store, "too dear")), (Some("too dear"), 1));
    store.set_task("b", TaskState::Paused, Some("by anna"), 4).expect("another reason");
    assert_eq!((why(store).as_deref(), told(store, "by anna")), (Some("by anna"), 1));
    store.set_task("b", TaskState::Running, None, 4).expect("a known task");
    assert_eq!(why(store), None, "what runs has no reason not to");
}

fn each_contribution_counts_once(store: &mut impl Store) {
    use Verdict::{Contradiction, Counted, Known};
    let context = collecting(store, 1);
    assert_eq!(flush(store, &context, &[3, 1, 7], 0), [Counted; 3]);
    assert_eq!(flush(store, &context, &[7, 2, 3], 0), [Known, Counted, Known]);
    assert_eq!(flush(store, &context, &[1, 9], 5), [Contradiction, Counted]);
    assert_eq!(flush(store, &context, &[2], 0), [Known], "nothing new");
    let other = collecting(store, 2);
    assert_eq!(flush(store, &other, &[3], 0), [Counted], "another round is another sum");
    let expected: Vec<u8> = (0..CELLS).map(|cell| u8::from([1, 2, 3, 7, 9].contains(&cell))).collect();
    assert_eq!(counts(store, &context), expected);
    let positions: Vec<u32> = store.receipts(&context).expect("no fault").iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [1, 2, 3, 7, 9]);
}

fn a_frozen_round_stays_as_it_is(store: &mut impl Store) {
    let context = collecting(store, 1);
    flush(store, &context, &[1, 2], 0);
    assert!(store.freeze(&context, 20).expect("no fault"));
    assert!(!store.freeze(&context, 21).expect("no fault"), "once");
    let before = (store.receipts(&context).expect("no fault"), counts(store, &context));
    assert_eq!(flush(store, &context, &[2, 3], 0), [Verdict::Known, Verdict::TooLate]);
    assert_eq!(flush(store, &context, &[1], 9), [Verdict::Contradiction]);
    assert_eq!((store.receipts(&context).expect("no fault"), counts(store, &context)), before);
    let round = store.round(&context).expect("no fault").expect("it is there");
    assert_eq!((round.phase, round.state.as_slice(), round.changed), (Phase::Frozen, &b"state"[..], 20));
}

fn rounds_end_once(store: &mut impl Store) {
    let context = collecting(store, 1);
    flush(store, &context, &[5], 0);
    let aggregate = Aggregate {
        step: 0,
        devices: 1,
        sum: vec![vec![1.5, -0.0], vec![f64::MIN_POSITIVE]],
        deviations: vec![0.25, 3.0],
        rho: 0.1,
    };
    assert!(!store.finish(&context, &aggregate, Finished::Nothing, "too early", 30).expect("no fault"));
    assert!(store.freeze(&context, 30).expect("no fault"));
    assert!(store.advance(&context, Phase::Frozen, Phase::Unmasking, b"shares", 31).expect("no fault"));
    assert!(store.finish(&context, &aggregate, Finished::Version(&version()), "well", 32).expect("no fault"));
    assert!(!store.finish(&context, &aggregate, Finished::Nothing, "again", 33).expect("no fault"));
    assert!(!store.abandon(&context, "after all", 34).expect("no fault"), "what is done is done");
    assert_eq!(store.aggregates("task").expect("no fault"), [aggregate]);
    let round = store.round(&context).expect("no fault").expect("it is there");
    assert!(round.phase == Phase::Done && round.state.is_empty() && round.note == "well");
    assert!(store.partials(&context).expect("no fault").is_empty(), "nothing masked is kept");
    assert_eq!(flush(store, &context, &[5, 6], 0), [Verdict::Known, Verdict::TooLate], "a late device hears the same");
    let given_up = collecting(store, 2);
    flush(store, &given_up, &[4], 0);
    assert!(store.abandon(&given_up, "too few", 40).expect("no fault"));
    assert!(!store.freeze(&given_up, 41).expect("no fault"));
    assert!(store.partials(&given_up).expect("no fault").is_empty(), "nothing masked is kept");
    assert_eq!(store.aggregates("task").expect("no fault").len(), 1);
    assert_eq!(store.rounds("task", 1).expect("no fault").first().map(|round| round.number), Some(2));
    // Receipts of a round that ended long ago go, those of one under way never.
    let under_way = collecting(store, 3);
    flush(store, &under_way, &[1], 0);
    assert_eq!(store.forget(33).expect("no fault"), 1, "the first ended at 32, the second at 40");
    assert!(store.receipts(&context).expect("no fault").is_empty());
    assert_eq!(store.forget(1000).expect("no fault"), 1);
    assert_eq!(store.receipts(&under_way).expect("no fault").len(), 1);
    verify(&store.audit().expect("no fault")).expect("an unbroken chain");
}

fn versions(store: &mut impl Store) {
    assert_eq!(store.import(&version(), 1).expect("no fault"), 1);
    assert_eq!(store.import(&version(), 2).expect("no fault"), 2);
    let versions = store.versions().expect("no fault");
    assert_eq!(versions[1], VersionRow { number: 2, ..version() });
}

fn phases_are_compared(store: &mut impl Store) {
    let context = collecting(store, 1);
    assert!(!store.advance(&context, Phase::Sharing, Phase::Collecting, b"x", 5).expect("no fault"));
    assert!(!store.advance(&[9; 32], Phase::Collecting, Phase::Frozen, b"x", 5).expect("no fault"));
    let round = store.round(&context).expect("no fault").expect("it is there");
    let again = RoundRow { context: [8; 32], ..round.clone() };
    assert!(store.open_round(&again).is_err(), "a number is given once");
    assert!(store.open_round(&RoundRow { number: 77, ..round }).is_err(), "and so is a context");
    assert!(store.round(&[8; 32]).expect("no fault").is_none());
}

fn changes_are_whole_or_nothing(store: &mut impl Store) {
    let task = TaskRow { name: "spring".into(), text: "x".into(), seed: 0, state: TaskState::Running, why: None };
    let events = |after, events: &[&str]| {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        Some(NewEvents { rollout: "spring".into(), after, events })
    };
    let start = Change {
        task: Some(task.clone()),
        events: events(0, &["started"]),
        serving: Some((0, "one".into())),
        words: vec!["spring: started".into()],
        ..Change::default()
    };
    store.change(&start, 1).expect("no fault");
    assert_eq!(store.serving().expect("no fault"), (1, Some("one".into())));
    let before = (store.tasks().expect("no fault"), store.audit().expect("no fault").len());
    // Upon what is not there any more: neither half is done.
    let late = |change: &Change, store: &mut dyn Store| matches!(store.change(change, 2), Err(Error::Overtaken));
    let words = vec!["never".to_owned()];
    let serving = Some((1, "two".to_owned()));
    let none = Change { events: events(0, &["again"]), serving, words, ..Change::default() };
    assert!(late(&none, store));
    assert!(late(&Change { events: events(1, &["next"]), serving: Some((0, "two".into())), ..none.clone() }, store));
    assert!(matches!(store.change(&start, 2), Err(Error::Exists(_))), "a task begins once");
    assert_eq!(store.events("spring").expect("no fault"), ["started"]);
    assert_eq!((store.tasks().expect("no fault"), store.audit().expect("no fault").len()), before);
    // A look ends its round, or leaves it as it was.
    let context = collecting(store, 1);
    assert!(store.freeze(&context, 3).expect("no fault"));
    assert!(store.advance(&context, Phase::Frozen, Phase::Unmasking, b"", 4).expect("no fault"));
    let aggregate = Aggregate { step: 0, devices: 1, sum: vec![vec![1.0]], deviations: vec![0.5], rho: 0.1 };
    let finish = |store: &mut dyn Store, change: &Change| {
        store.finish(&context, &aggregate, Finished::Look(change), "a look", 5)
    };
    assert!(matches!(finish(store, &none), Err(Error::Overtaken)));
    assert_eq!(store.round(&context).expect("no fault").map(|round| round.phase), Some(Phase::Unmasking));
    assert!(store.aggregates("task").expect("no fault").is_empty());
    let state = Some(("spring".to_owned(), TaskState::Finished));
    let look = Change { events: events(1, &["looked", "ended"]), serving: None, state, ..none };
    assert!(finish(store, &look).expect("no fault"));
    assert_eq!(store.events("spring").expect("no fault"), ["started", "looked", "ended"]);
    assert_eq!(store.aggregates("task").expect("no fault").len(), 1);
    assert_eq!(store.tasks().expect("no fault"), [TaskRow { state: TaskState::Finished, ..task }]);
    verify(&store.audit().expect("no fault")).expect("an unbroken chain");
}

fn version() -> VersionRow {
    VersionRow {
        number: 0,
        digest: "ab".into(),
        length: 12,
        task: "task".into(),
        round: Some(1),
        parent: None,
        about: "{}".into(),
        made: 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn memory_conforms() {
        conformance(|_| MemoryStore::default());
    }

    #[cfg(feature = "server")]
    #[test]
    fn sqlite_conforms_also_when_it_is_opened_again() {
        use crate::store::SqliteStore;
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| SqliteStore::open(&folder.path().join(name)).expect("a store");
        conformance(open);
        let context = digest(&1u64.to_le_bytes());
        let again = open("frozen");
        assert_eq!(again.receipts(&context).expect("no fault").len(), 2);
        assert_eq!(again.round(&context).expect("no fault").map(|round| round.phase), Some(Phase::Frozen));
        verify(&again.audit().expect("no fault")).expect("an unbroken chain");
    }

    // Two processes at one file: the one that flushes and the one that freezes wait for each other.
    #[cfg(feature = "server")]
    #[test]
    fn a_freeze_and_flushes_at_once_agree() {
        use crate::store::SqliteStore;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("race");
        let context = collecting(&mut SqliteStore::open(&path).expect("a store"), 1);
        let verdicts: Vec<(u32, Verdict)> = std::thread::scope(|scope| {
            let flushers: Vec<_> = (0..4)
                .map(|part| {
                    let path = path.clone();
                    scope.spawn(move || {
                        let mut store = SqliteStore::open(&path).expect("a store");
                        (0..10)
                            .map(|i| part * 10 + i)
                            .map(|i| (i, flush(&mut store, &context, &[i], 0)[0]))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let mut store = SqliteStore::open(&path).expect("a store");
            while store.receipts(&context).expect("no fault").len() < 12 {}
            assert!(store.freeze(&context, 5).expect("no fault"));
            flushers.into_iter().flat_map(|flusher| flusher.join().expect("no panic")).collect()
        });
        let store = SqliteStore::open(&path).expect("a store");
        let counts = counts(&store, &context);
        for (device, verdict) in verdicts {
            let expected = match verdict {
                Verdict::Counted => 1,
                Verdict::TooLate => 0,
                other => panic!("{other:?}"),
            };
            assert_eq!(counts[device as usize], expected, "device {device}");
        }
        let receipts = store.receipts(&context).expect("no fault").len();
        assert_eq!(receipts, counts.iter().map(|&count| usize::from(count)).sum::<usize>());
    }
}
