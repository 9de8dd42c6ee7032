//! What whoever has the files can read in them, with the device's secret and without.

use super::seal::{EVENT, RowKey, randomness};
use super::*;
use crate::event::{EventKind, PlaybackEvent, Timestamp, TrackId};
use rusqlite::params;
use std::collections::HashMap;
use std::path::PathBuf;

const DAY: i64 = 86_400_000;
// So far ahead that a day's number is five bytes long, and none is found by chance.
const NOW: i64 = 56_789_012_345 * DAY + 12_345_678;
const CONTEXT: [u8; 32] = *b"the hash of the terms of a round";
const SECRET: [u8; 32] = [1; 32];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn open(&self, bounds: Bounds) -> Store {
        Store::open(&self.path(), &Zeroizing::new(SECRET), bounds).expect("a store")
    }

    // Every file: the database, its log, the log's index, the keys.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.0.path()).expect("files");
        files
            .map(|file| {
                let file = file.expect("a file");
                (file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).expect("bytes"))
            })
            .collect()
    }

    fn holds(&self, text: &[u8]) -> bool {
        self.files().iter().any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text))
    }

    fn copy(&self, names: &[&str], from: &Self) {
        for name in names {
            match std::fs::copy(from.0.path().join(name), self.0.path().join(name)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.expect("copied")),
            }
        }
    }
}

fn heard() -> Vec<PlaybackEvent> {
    let of = |n: u32, kind| PlaybackEvent {
        event_id: 0x5eed_f00d_cafe_0000 + u64::from(n) * 3,
        ..PlaybackEvent::new(TrackId(0x7a11_0000 + n), Timestamp(NOW - i64::from(n) * DAY - 7_654_321), kind)
    };
    (0..30).map(|n| of(n, EventKind::ALL[n as usize % 7])).collect()
}

fn sealed(store: &Store, query: &str) -> Vec<Vec<u8>> {
    let mut statement = store.connection.prepare(query).expect("a query");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

// In each form in which a number might be written.
fn forms(number: u64) -> [Vec<u8>; 3] {
    let bytes = number.to_be_bytes();
    let significant = bytes[number.leading_zeros() as usize / 8..].to_vec();
    let reversed = significant.iter().rev().copied().collect();
    [significant, reversed, number.to_string().into_bytes()]
}

fn nothing_is_clear(folder: &Folder, when: &str) {
    let files: Vec<u8> = folder.files().into_iter().flat_map(|(_, bytes)| bytes).collect();
    // Where each three bytes are, so that not all files are read again for each number.
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    files.windows(3).enumerate().for_each(|(place, bytes)| places.entry(bytes).or_default().push(place));
    let holds =
        |text: &[u8]| places.get(&text[..3]).is_some_and(|at| at.iter().any(|&at| files[at..].starts_with(text)));
    for event in heard() {
        let day = event.time.0.div_euclid(DAY);
        for number in [event.event_id, u64::from(event.track.0), event.time.0 as u64, day as u64] {
            assert!(!forms(number).iter().any(|form| holds(form)), "{when}: {number} of {event:?}");
        }
        let name = format!("\"{}\"", event.kind.name());
        assert!(!holds(name.as_bytes()) && !holds(&event.time.0.to_le_bytes()), "{when}");
    }
    for text in ["a model's name", "a model's bytes", "shares of neighbours", "the hash of the terms"] {
        assert!(!holds(text.as_bytes()), "{when}: {text}");
    }
}

#[test]
fn nothing_about_listening_is_in_clear() {
    let folder = Folder::new();
    let mut store = folder.open(Bounds { events: 20, days: 60 });
    store.put("a model's name", b"a model's bytes").expect("kept");
    store.save(&CONTEXT, b"shares of neighbours").expect("saved");
    let (first, second) = (&heard()[..15], &heard()[15..]);
    for (events, when) in [(second, "recorded"), (first, "let go")] {
        store.record(events, Timestamp(NOW), Keep::Good).expect("recorded");
        nothing_is_clear(&folder, when);
    }
    assert_eq!(store.events().expect("events").len(), 20);
    store.forget(&CONTEXT).expect("forgotten");
    nothing_is_clear(&folder, "forgotten");
    // Nor is there a number in any row but those that count rows, nor a row as long as its event.
    let numbers = "SELECT m.name || '.' || p.name FROM sqlite_schema m, pragma_table_info(m.name) p
        WHERE m.type = 'table' AND p.type <> 'BLOB' ORDER BY 1";
    let columns: Vec<String> = {
        let mut statement = store.connection.prepare(numbers).expect("a query");
        statement.query_map([], |row| row.get(0)).expect("columns").collect::<Result<_, _>>().expect("columns")
    };
    assert_eq!(columns, ["event.id", "state.place"]);
    let lengths: std::collections::BTreeSet<usize> =
        sealed(&store, "SELECT sealed FROM event").iter().map(Vec::len).collect();
    assert_eq!(lengths.len(), 1, "{lengths:?}");
    store.erase(&[]).expect("erased");
    nothing_is_clear(&folder, "erased");
    drop(store);
    nothing_is_clear(&folder, "closed");
}

// Deleted rows are overwritten in the file, and the log is cut to nothing.
#[test]
fn what_is_forgotten_or_erased_is_in_no_file() {
    let folder = Folder::new();
    let mut store = folder.open(Bounds { events: 20, days: 60 });
    store.save(&CONTEXT, &[7; 9000]).expect("saved");
    let mut gone = sealed(&store, "SELECT sealed FROM record");
    store.save(&CONTEXT, &[8; 9000]).expect("saved");
    gone.extend(sealed(&store, "SELECT sealed FROM record"));
    gone.extend(store.keys.all().expect("keys").into_iter().map(|slot| slot.sealed));
    assert!(folder.holds(&gone[1][..32]) && folder.holds(&gone[2]), "there it is");
    let is_gone = |gone: &[Vec<u8>], when: &str| {
        for row in gone {
            // Its beginning, its end, and a part that lies on a page of its own.
            for part in [&row[..32], &row[row.len() - 32..], &row[row.len() / 2..][..28]] {
                assert!(!folder.holds(part), "{when}");
            }
        }
        let log = folder.files().into_iter().find(|(name, _)| name == "store-wal");
        assert!(log.is_none_or(|(_, bytes)| bytes.is_empty()), "{when}: the log");
    };
    store.forget(&CONTEXT).expect("forgotten");
    is_gone(&gone, "forgotten");
    store.record(&heard()[15..], Timestamp(NOW), Keep::Good).expect("recorded");
    let events = sealed(&store, "SELECT sealed FROM event ORDER BY id");
    let after = store.record(&heard()[..15], Timestamp(NOW), Keep::Good).expect("recorded");
    assert_eq!(after.let_go, 10);
    assert!(store.empty_log().expect("no fault"));
    is_gone(&events[5..], "let go");
    store.put("a model's name", &[9; 9000]).expect("kept");
    let mut left = sealed(&store, "SELECT sealed FROM event UNION ALL SELECT sealed FROM value");
    left.extend(sealed(&store, "SELECT sealed FROM state WHERE place = 1"));
    store.erase(&[]).expect("erased");
    is_gone(&left, "erased");
}

// Whoever copied database and log before, and has the device with its secret after, opens nothing.
#[test]
fn a_forgotten_record_is_nobodys_to_open() {
    let (folder, first, second) = (Folder::new(), Folder::new(), Folder::new());
    let database = ["store", "store-wal", "store-shm"];
    let mut store = folder.open(Bounds::default());
    store.save(&CONTEXT, b"the masking key's shares").expect("saved");
    store.save(&[7; 32], b"another round").expect("saved");
    first.copy(&database, &folder);
    first.copy(&["store-keys"], &folder);
    let as_it_was = first.open(Bounds::default()).records().expect("records");
    assert!(as_it_was.iter().any(|(_, record)| record.as_slice() == b"the masking key's shares"), "the copy is whole");
    let mut old = sealed(&store, "SELECT sealed FROM record");
    store.save(&CONTEXT, b"signed: these survive").expect("saved");
    second.copy(&database, &folder);
    old.extend(sealed(&store, "SELECT sealed FROM record"));
    // The first record is gone from the moment when another is in its place.
    first.copy(&["store-keys"], &folder);
    let opened = |folder: &Folder| folder.open(Bounds::default()).records();
    assert!(matches!(opened(&first), Err(Error::Sealed)), "replaced");
    store.forget(&CONTEXT).expect("forgotten");
    for copy in [&first, &second] {
        copy.copy(&["store-keys"], &folder);
        let left = opened(copy).expect("records");
        assert_eq!(left.iter().map(|(context, _)| *context).collect::<Vec<_>>(), [[7; 32]]);
    }
    // With each key that is left, whatever it is for.
    let keys = store.keys.all().expect("keys");
    let keys = keys.iter().filter_map(|slot| RowKey::from_sealed(&store.seals, &slot.name, &slot.sealed).ok());
    let keys: Vec<RowKey> = keys.collect();
    let name = store.seals.record(&CONTEXT);
    for row in &old {
        assert!(keys.iter().all(|key| key.open(&name, row).is_err()));
        for bound in [CONTEXT.as_slice(), &name, EVENT] {
            assert!(store.seals.open(bound, row).is_err());
        }
    }
    assert_eq!((keys.len(), store.records().expect("records").len()), (1, 1), "the other round goes on");
}

// Before and after each write: one of two records is there, or none once its key is gone.
#[test]
fn a_crash_loses_no_record_and_brings_none_back() {
    let folder = Folder::new();
    let mut store = folder.open(Bounds::default());
    let records = |store: &Store| -> Vec<Vec<u8>> {
        store.records().expect("records").iter().map(|(_, record)| record.to_vec()).collect()
    };
    store.save(&CONTEXT, b"first").expect("saved");
    // The next record's key was written, and the record was not.
    let name = store.seals.record(&CONTEXT);
    let mut random = randomness().expect("random bytes");
    let another = RowKey::new(&mut random).sealed(&store.seals, &mut random, &name).expect("sealed");
    store.keys.add(&name, &another).expect("added");
    drop(store);
    let mut store = folder.open(Bounds::default());
    assert_eq!(records(&store), [b"first"]);
    store.save(&CONTEXT, b"second").expect("saved");
    assert_eq!(store.keys.all().expect("keys").len(), 1, "what the crash left went");
    // The key was destroyed, and the row was not.
    store.keys.retain(|_, _| false).expect("destroyed");
    drop(store);
    let mut store = folder.open(Bounds::default());
    assert!(records(&store).is_empty());
    store.forget(&CONTEXT).expect("forgotten");
    assert!(sealed(&store, "SELECT sealed FROM record").is_empty());
    // Slots are used again.
    for round in 0..20u8 {
        store.save(&[round; 32], &[round]).expect("saved");
        store.forget(&[round; 32]).expect("forgotten");
    }
    assert!(std::fs::metadata(folder.path().with_file_name("store-keys")).expect("a file").len() <= 3 * 128);
}

// A store of the layout before: what was in clear is gone, and nothing else is.
#[test]
fn the_layout_before_is_taken_over() {
    let folder = Folder::new();
    let seals = Seals::new(&Zeroizing::new(SECRET));
    let identities = Identities::new(&Zeroizing::new(SECRET));
    let old_record;
    {
        let old = Connection::open(folder.path()).expect("a file");
        old.execute_batch(
            "PRAGMA journal_mode = WAL;
            CREATE TABLE event (id INTEGER PRIMARY KEY, day INTEGER NOT NULL, identity BLOB, sealed BLOB NOT NULL) STRICT;
            CREATE UNIQUE INDEX event_by_identity ON event (identity);
            CREATE INDEX event_by_day ON event (day);
            CREATE TABLE record (context BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
            CREATE TABLE value (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
            PRAGMA user_version = 1;",
        )
        .expect("tables");
        let mut random = randomness().expect("random bytes");
        let mut seal = |name: &[u8], text: &[u8]| seals.seal(&mut random, name, text).expect("sealed");
        for event in heard() {
            let row = seal(EVENT, &serde_json::to_vec(&(1, event)).expect("plain numbers"));
            let day = event.time.0.div_euclid(DAY);
            old.execute(
                "INSERT INTO event (day, identity, sealed) VALUES (?1, ?2, ?3)",
                params![day, identities.of(&event), row],
            )
            .expect("put");
        }
        let row = seal(b"a model's name", b"a model's bytes");
        old.execute("INSERT INTO value VALUES (?1, ?2)", params!["a model's name", row]).expect("put");
        old_record = seal(&CONTEXT, b"shares of neighbours");
        old.execute("INSERT INTO record VALUES (?1, ?2)", params![CONTEXT, old_record]).expect("put");
    }
    let other = Store::open(&folder.path(), &Zeroizing::new([2; 32]), Bounds::default());
    assert!(matches!(other, Err(Error::Sealed)), "another key takes nothing over");
    let mut store = folder.open(Bounds::default());
    nothing_is_clear(&folder, "taken over");
    assert!(!folder.holds(&old_record[..32]), "the record under the lifelong key");
    assert_eq!(store.events().expect("events"), heard());
    assert_eq!(store.get("a model's name").expect("no fault").expect("kept").as_slice(), b"a model's bytes");
    let records = store.records().expect("records");
    assert_eq!((records[0].0, records[0].1.as_slice()), (CONTEXT, b"shares of neighbours".as_slice()));
    let again = store.record(&heard(), Timestamp(NOW), Keep::Good).expect("recorded");
    assert_eq!((again.known, again.kept), (30, 0));
    let mut later = |days| store.record(&[], Timestamp(NOW + days * DAY), Keep::Good).expect("recorded").let_go;
    assert_eq!((later(387), later(390)), (0, 19), "they grow old");
    assert_eq!(store.events().expect("events").len(), 11);
}
