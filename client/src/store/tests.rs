//! What the store keeps, and what its file shows.

use super::seal::randomness;
use super::*;
use crate::event::{EventKind, PlaybackEvent, Timestamp, TrackId};
use crate::quality::Rejection;
use proptest::prelude::*;
use rusqlite::params;

const DAY: i64 = 86_400_000;
// Some day of 2023.
const TODAY: i64 = 19_500 * DAY;
const NOW: Timestamp = Timestamp(TODAY);

fn event(track: u32, time: i64) -> PlaybackEvent {
    PlaybackEvent::new(TrackId(track), Timestamp(time), EventKind::Play)
}

fn open(path: &Path, secret: u8, bounds: Bounds) -> Store {
    Store::open(path, &Zeroizing::new([secret; 32]), bounds).expect("a store")
}

fn record(store: &mut Store, events: &[PlaybackEvent]) -> Recorded {
    store.record(events, NOW, Keep::Good).expect("a store")
}

#[test]
fn events_stay_until_they_are_too_old_too_many_or_erased() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let bounds = Bounds { events: 5, days: 10 };
    let mut store = open(&path, 1, bounds);
    let recorded = record(&mut store, &[event(1, TODAY - 20 * DAY), event(2, TODAY - 5 * DAY)]);
    assert_eq!(recorded, Recorded { kept: 1, refused: vec![(0, Refused::TooOld)], ..Recorded::default() });
    let many: Vec<PlaybackEvent> = (10..17).map(|track| event(track, TODAY - i64::from(17 - track) * DAY)).collect();
    let recorded = record(&mut store, &many);
    assert_eq!((recorded.kept, recorded.let_go), (5, 1), "the one from before went");
    assert_eq!(recorded.refused, [(0, Refused::NoRoom), (1, Refused::NoRoom)], "the oldest of them");
    assert_eq!(record(&mut store, &many).known, 5, "and the two are refused again");
    drop(store);
    let mut store = open(&path, 1, bounds);
    assert_eq!(store.events().expect("events"), many[2..]);
    let later = store.record(&[], Timestamp(TODAY + 8 * DAY), Keep::Good).expect("a store");
    assert!(
        later == Recorded { let_go: 3, ..Recorded::default() } && store.events().expect("events").len() == 2,
        "they grow old"
    );
    store.put("model", b"bytes").expect("kept");
    store.put("enrolled", b"certificate").expect("kept");
    assert_eq!(store.erase(&["enrolled"]).expect("erased"), 2);
    assert!(store.events().expect("events").is_empty());
    assert!(store.get("model").expect("no fault").is_none() && store.get("enrolled").expect("no fault").is_some());
}

#[test]
fn what_can_never_count_is_refused_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("store"), 1, Bounds::default());
    let good = event(1, TODAY - DAY);
    let heard = |seconds| PlaybackEvent { seconds_listened: Some(seconds), track_seconds: Some(200.0), ..good };
    let events = [
        event(1, TODAY / 1000),
        event(2, TODAY * 1000),
        heard(f32::NAN),
        heard(900.0),
        PlaybackEvent { track_seconds: Some(0.0), ..good },
        PlaybackEvent { event_id: 7, ..good },
        PlaybackEvent { event_id: 7, ..event(5, TODAY) },
        // Up to a day ahead is another time zone's mistake, and counts.
        event(6, TODAY + DAY / 2),
    ];
    let recorded = record(&mut store, &events);
    let reasons = [
        Rejection::ClockTooEarly,
        Rejection::ClockInFuture,
        Rejection::BadNumber,
        Rejection::LongerThanTrack,
        Rejection::ZeroLength,
    ];
    let mut refused: Vec<_> = reasons.map(Refused::Quality).into_iter().enumerate().collect();
    refused.push((6, Refused::IdTaken));
    assert_eq!(recorded, Recorded { kept: 2, refused, ..Recorded::default() });
    assert_eq!(record(&mut store, &events).known, 2);
}

#[test]
fn all_or_none_is_one_transaction() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("store"), 1, Bounds::default());
    let mut many: Vec<PlaybackEvent> = (0..12_000).map(|second| event(3, TODAY - 5000 * second)).collect();
    many.push(event(3, 0));
    let recorded = store.record(&many, NOW, Keep::AllOrNone).expect("a store");
    assert_eq!((recorded.kept, recorded.refused.len()), (0, 1));
    assert!(store.events().expect("events").is_empty());
    many.pop();
    let recorded = store.record(&many, NOW, Keep::AllOrNone).expect("a store");
    assert!(recorded.is_whole() && recorded.kept == 12_000);
}

// What lies on the disk does not show what was heard, nor when, nor can rows be exchanged.
#[test]
fn rows_are_sealed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let mut store = open(&path, 1, Bounds::default());
    store.put("name", b"a very secret sentence").expect("kept");
    store.save(&[7; 32], b"the shares of neighbours").expect("kept");
    let heard = PlaybackEvent { event_id: 0x5eed_f00d_cafe_1234, ..event(0x7a11_0001, TODAY - 12_345_678) };
    record(&mut store, &[heard, event(0x7a11_0001, TODAY - 23_456_789)]);
    assert_eq!(store.records().expect("records").len(), 1);
    store.connection.execute("UPDATE value SET name = ?1", [store.seals.value("other")]).expect("renamed");
    assert!(matches!(store.get("other"), Err(Error::Sealed)));
    drop(store);
    for file in std::fs::read_dir(folder.path()).expect("files") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("bytes");
        let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!holds(b"secret sentence") && !holds(b"shares of"));
        for number in [0x5eed_f00d_cafe_1234u64, 0x7a11_0001, (TODAY - 12_345_678) as u64, (TODAY - 23_456_789) as u64]
        {
            // As SQLite has them, and as their hash without a key would be.
            let bytes = number.to_be_bytes();
            let significant = &bytes[number.leading_zeros() as usize / 8..];
            assert!(
                !holds(significant) && !holds(&significant.iter().rev().copied().collect::<Vec<_>>()),
                "{number:x}"
            );
            assert!(!holds(number.to_string().as_bytes()));
            assert!(!holds(&sordino_shared::secagg::digest(&number.to_le_bytes())[..8]));
        }
    }
    let other = Store::open(&path, &Zeroizing::new([2; 32]), Bounds::default());
    assert!(matches!(other, Err(Error::Sealed)), "another key");
}

// A folder of an earlier program: events twice, two that differ under one id, one that no key
// opens.
#[test]
fn an_earlier_file_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    let seals = Seals::new(&Zeroizing::new([1; 32]));
    let named = PlaybackEvent { event_id: 7, ..event(1, TODAY - 3 * DAY - 12_345_678) };
    let (other, plain) = (PlaybackEvent { event_id: 7, ..event(2, TODAY - DAY) }, event(3, TODAY - 2 * DAY));
    {
        let old = Connection::open(&path).expect("a file");
        old.execute_batch(
            "PRAGMA journal_mode = WAL;
            CREATE TABLE event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
            CREATE INDEX event_by_time ON event (time);
            CREATE TABLE record (context BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
            CREATE TABLE value (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;",
        )
        .expect("tables");
        for event in [named, plain, named, other, plain] {
            let text = serde_json::to_vec(&(1, event)).expect("plain numbers");
            let sealed = seals.seal(&mut randomness().expect("random bytes"), b"event", &text).expect("sealed");
            old.execute("INSERT INTO event (time, sealed) VALUES (?1, ?2)", params![event.time.0, sealed])
                .expect("put");
        }
        let value = seals.seal(&mut randomness().expect("random bytes"), b"model", b"bytes").expect("sealed");
        old.execute("INSERT INTO value VALUES ('model', ?1)", [value]).expect("put");
    }
    drop(open(&path, 1, Bounds::default()));
    for file in std::fs::read_dir(folder.path()).expect("files") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("bytes");
        let time = &named.time.0.to_be_bytes()[2..];
        assert!(!bytes.windows(6).any(|window| window == time), "an old page shows when it was heard");
    }
    let mut store = open(&path, 1, Bounds::default());
    assert_eq!(store.events().expect("events"), [named, plain, other], "each once, and nothing is lost");
    assert_eq!(store.get("model").expect("no fault").expect("kept").as_slice(), b"bytes");
    let recorded = record(&mut store, &[plain, named, other, event(9, TODAY)]);
    assert_eq!((recorded.kept, recorded.known), (1, 2));
    assert_eq!(recorded.refused, [(2, Refused::IdTaken)]);
    drop(store);
    let mut store = open(&path, 1, Bounds::default());
    assert_eq!(store.events().expect("events").len(), 4, "a second opening changes nothing");
    assert_eq!(store.record(&[], NOW, Keep::Good).expect("a store"), Recorded::default());
    store.connection.pragma_update(None, "user_version", 99).expect("set");
    drop(store);
    let newer = Store::open(&path, &Zeroizing::new([1; 32]), Bounds::default());
    assert!(matches!(newer, Err(Error::Newer)));
}

// A row that no key opens is nobody's to throw away.
#[test]
fn rows_that_cannot_be_read_are_taken_over_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    {
        let old = Connection::open(&path).expect("a file");
        old.execute_batch(
            "CREATE TABLE event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
            CREATE INDEX event_by_time ON event (time);
            INSERT INTO event (time, sealed) VALUES (5, x'00'), (5, x'00');",
        )
        .expect("tables");
    }
    let store = open(&path, 1, Bounds::default());
    assert!(matches!(store.events(), Err(Error::Sealed)));
    let rows: i64 = store.connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).expect("a count");
    assert_eq!(rows, 2);
}

proptest! {
    // Each case is some transactions on a disk, so that shrinking far would take minutes.
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..ProptestConfig::with_cases(60) })]
    // In whatever order and pieces, however often, across openings: the same events are kept, each
    // once.
    #[test]
    fn an_event_is_kept_once(
        order in proptest::collection::vec((0usize..40, any::<bool>()), 1..200),
        most in 5u32..60,
        named in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let bounds = Bounds { events: most, days: 400 };
        let all: Vec<PlaybackEvent> = (0..40)
            .map(|n| PlaybackEvent { event_id: if named { n + 1 } else { 0 }, ..event(n as u32 / 3, TODAY - n as i64 * DAY / 4) })
            .collect();
        let path = |name: &str| folder.path().join(name);
        let mut piece = Vec::new();
        let mut store = open(&path("pieces"), 1, bounds);
        for (n, ends) in order {
            piece.push(all[n]);
            if ends {
                record(&mut store, &piece);
                piece.clear();
                drop(store);
                store = open(&path("pieces"), 1, bounds);
            }
        }
        record(&mut store, &piece);
        record(&mut store, &all);
        let again = record(&mut store, &all);
        prop_assert_eq!((again.kept, again.let_go), (0, 0));
        let mut whole = open(&path("whole"), 1, bounds);
        record(&mut whole, &all);
        let sorted = |store: &Store| {
            let mut events = store.events().expect("events");
            events.sort_by_key(|event| (event.time, event.track));
            events
        };
        prop_assert_eq!(sorted(&store).len(), all.len().min(most as usize));
        prop_assert_eq!(sorted(&store), sorted(&whole));
    }
}

// A year and a half ahead by mistake, and right again: nothing is lost. Who was away for as long lets go of the past a few days later.
#[test]
fn a_clock_that_is_far_ahead_deletes_nothing_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("store"), 1, Bounds::default());
    let heard: Vec<PlaybackEvent> = (0..20).map(|track| event(track, TODAY - i64::from(track) * DAY)).collect();
    assert_eq!(record(&mut store, &heard).kept, 20);
    let on = |day: i64, store: &mut Store| {
        store.record(&[], Timestamp(TODAY + day * DAY), Keep::Good).expect("a store").let_go
    };
    assert_eq!([500, 500, 502, 1, 500, 501].map(|day| on(day, &mut store)), [0; 6]);
    assert_eq!(store.events().expect("events").len(), 20);
    assert_eq!(on(503, &mut store), 20, "the clock has stayed");
}

// What becomes of an event becomes of its repetitions.
#[test]
fn repetitions_of_what_finds_no_room_find_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(&folder.path().join("store"), 1, Bounds { events: 2, days: 10 });
    let (old, new) = (event(1, TODAY - 5 * DAY), [event(2, TODAY), event(3, TODAY)]);
    let recorded = record(&mut store, &[old, new[0], old, new[1], new[1], old]);
    let refused = [0, 2, 5].map(|place| (place, Refused::NoRoom)).to_vec();
    assert_eq!(recorded, Recorded { kept: 2, known: 1, refused, let_go: 0 });
}
