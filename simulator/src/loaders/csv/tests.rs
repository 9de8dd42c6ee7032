use super::*;
use crate::loaders::load_with;

struct Loaded {
    dataset: Dataset,
    events: Vec<PlaybackEvent>,
}

impl Loaded {
    fn note(&self) -> &str {
        self.dataset.notes.last().expect("a note")
    }

    fn seconds(&self) -> Vec<i64> {
        self.events.iter().map(|event| event.time.0 / 1000).collect()
    }
}

fn read(bytes: impl AsRef<[u8]>, bad_rows: BadRows) -> Result<Loaded> {
    let file = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    std::fs::write(file.path(), bytes).expect("a file");
    let dataset = load_with(&format!("csv:{}", file.path().display()), bad_rows)?;
    let events = (0..dataset.devices()).flat_map(|device| dataset.events(device).into_owned()).collect();
    Ok(Loaded { dataset, events })
}

fn good(bytes: impl AsRef<[u8]>) -> Loaded {
    read(bytes, BadRows::Refused).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(bytes: impl AsRef<[u8]>) -> String {
    match read(bytes, BadRows::LeftOut) {
        Ok(loaded) => panic!("read: {}", loaded.note()),
        Err(error) => error.to_string(),
    }
}

// Twenty good rows.
fn rows() -> String {
    (0..20).map(|i| format!("u{},t{i},{}\n", i % 4, 1_704_067_200 + i * 60)).collect()
}

#[test]
fn one_listening_in_many_forms_is_one_data_set() {
    let plain = good("user,item,timestamp\nAnna,Blau,1704067200\nBen,\"Grün, live\",1704067260\n");
    for other in [
        &b"\xef\xbb\xbfAnna,Blau,1704067200\nBen,\"Gr\xc3\xbcn, live\",1704067260\n"[..],
        b"\"user\",\"item\",\"timestamp\"\r\n\"Anna\",\"Blau\",\"1704067200\"\r\nBen,\"Gr\xc3\xbcn, live\",1704067260",
        b"timestamp;item;user\n1704067200;Blau;Anna\n\n1704067260;Gr\xc3\xbcn, live;Ben\n",
        b"user\titem\ttimestamp\nAnna\tBlau\t1704067200000\nBen\tGr\xc3\xbcn, live\t1704067260000\n",
        b"Anna|Blau|1704067200000000\nBen|Gr\xc3\xbcn, live|1704067260000000\n",
        b"user,item,timestamp\nAnna,Blau,2024-01-01T00:00:00Z\nBen,\"Gr\xc3\xbcn, live\",2024-01-01 01:01+01:00\n",
        b"User, Item ,TIMESTAMP\nAnna,Blau,1704067200\nBen,\"Gr\xfcn, live\",1704067260\n",
    ] {
        let other = good(other);
        assert_eq!(other.dataset.track_names, plain.dataset.track_names, "{}", other.note());
        assert_eq!(other.events, plain.events, "{}", other.note());
        assert_eq!(other.dataset.devices(), 2);
    }
}

#[test]
fn what_a_file_was_taken_for_is_said() {
    let said = good("user;item;timestamp;mood\na;b;1704067200000;x\n".replace(";mood", "").replace(";x", ""));
    assert!(said.note().ends_with(
        ".csv: UTF-8; separated by semicolons; a header; columns user, item, timestamp; times are milliseconds since 1970"
    ));
    let said = read(b"user,item,mood,timestamp\nA,Caf\xe9,x,2024-01-01\n", BadRows::LeftOut).expect("a data set");
    assert!(said.note().contains("Windows-1252") && said.note().contains("dates"), "{}", said.note());
    assert!(said.note().ends_with("not read: 'mood'"), "{}", said.note());
    let strict = read("user,item,mood,timestamp\na,b,x,1\n", BadRows::Refused).err().expect("refused").to_string();
    assert!(strict.contains("no column 'mood'"), "{strict}");
}

#[test]
fn names_in_another_encoding_do_not_fall_together() {
    let loaded = good(b"user,item,timestamp\nu,\xf60,1\nu,\xe90,2\nu,\xf61,3\n");
    assert_eq!(loaded.dataset.track_names, ["é0", "ö0", "ö1"]);
}

#[test]
fn few_bad_rows_are_counted_and_many_refuse_the_file() {
    for (bad, reason) in [
        ("u1,t1,soon\n", "timestamp that is none (first in line 22)"),
        ("u1,t1,-5\n", "negative timestamp (first in line 22)"),
        ("u1,t1\n", "not 3 fields (first in line 22)"),
        (",t1,1704067200\n", "user empty (first in line 22)"),
        ("u1,\"t1,1704067200\n", "quote that is not closed on its line (first in line 22)"),
    ] {
        let text = format!("user,item,timestamp\n{}{bad}", rows());
        let loaded = read(&text, BadRows::LeftOut).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(loaded.dataset.passed_over, [(reason.to_owned(), 1)]);
        assert_eq!(loaded.events.len(), 20);
        let strict = read(&text, BadRows::Refused).err().expect("refused").to_string();
        assert!(strict.contains("line 22"), "{strict}");
        let many = refused(format!("{text}{bad}{bad}"));
        assert!(many.contains("line 22") && many.contains("rows cannot be read"), "{many}");
    }
    let damaged = [b"user,item,timestamp\nu,\xc3\xb6,1\n".as_slice(), rows().as_bytes(), b"u,t\xff,1\n"].concat();
    let loaded = read(&damaged, BadRows::LeftOut).expect("a data set");
    assert_eq!(loaded.dataset.passed_over, [("bytes that are not UTF-8 (first in line 23)".to_owned(), 1)]);
}

#[test]
fn a_quote_that_stays_open_does_not_swallow_a_file_unseen() {
    let text = format!("user,item,timestamp\nu1,\"t1,1704067200\n{}", rows());
    assert!(refused(text).contains("quote that opens here"));
}

#[test]
fn headers_are_told_from_rows_and_all_that_is_missing_is_named() {
    let words = refused("userId,songId,when\n1,2,1704067200\n");
    assert!(words.contains("lacks user, item, timestamp") && words.contains("'userId,songId,when'"), "{words}");
    let words = refused("user,song,when\n1,2,1704067200\n");
    assert!(words.contains("lacks item, timestamp") && words.contains("song"), "{words}");
    assert!(refused("user,item\n1,2\n").contains("lacks timestamp"));
    assert!(refused("user,item,timestamp,item\n1,2,3,4\n").contains("twice"));
    assert!(refused("a,b,1,play,1,2,x\n").contains("7 columns need a first line"));
    assert!(refused("").contains("empty"));
}

#[test]
fn milliseconds_of_listening_are_no_bots() {
    let text: String = (0..20).map(|i| format!("u,t{i},{},play,183000,240000\n", 1_704_067_200 + i)).collect();
    assert!(refused(text).contains("seconds_listened are above 10000 seconds"), "a sentence");
    let text: String = (0..20).map(|i| format!("u,t{i},{},play,,240000\n", 1_704_067_200 + i)).collect();
    assert!(refused(text).contains("duration are above"), "a sentence");
    let mut text: String = (0..20).map(|i| format!("u,t{i},{},play,183,240\n", 1_704_067_200 + i)).collect();
    text.push_str("u,opera,1704067300,play,11000,11000\n");
    assert_eq!(good(text).events.len(), 21);
}

#[test]
fn a_stray_clock_does_not_move_the_present() {
    let text = format!("user,item,timestamp\n{}u1,t1,4102444800\n", rows());
    let loaded = good(text);
    assert_eq!(loaded.dataset.now.0, (1_704_067_200 + 19 * 60 + 86_400) * 1000);
    assert!(loaded.dataset.has_clock);
    // A year of silence with more behind it than strays is a year of silence.
    let later: String = (0..20).map(|i| format!("u1,t{i},{}\n", 1_804_067_200 + i)).collect();
    let loaded = good(rows() + &later);
    assert_eq!(loaded.dataset.now.0, (1_804_067_219 + 86_400) * 1000);
}

#[test]
fn nothing_in_a_file_commands_the_terminal() {
    let words = refused("user,item,timestamp\nu1,t1,\u{1b}]0;title\u{7}\u{1b}[2Jboom\n");
    assert!(!words.contains('\u{1b}') && words.contains("\\u{1b}]0;title"), "{words}");
    let words = refused("\u{1b}[31muser,\u{9b}2J,x\n1,2,3\n");
    assert!(!words.contains(['\u{1b}', '\u{9b}']), "{words}");
    let names = good("user,item,timestamp\nu,\u{1b}[2Jt,1\n").dataset.track_names;
    assert_eq!(names, ["\\u{1b}[2Jt"]);
}

#[test]
fn times_are_in_one_unit() {
    assert_eq!(good(rows()).seconds()[0], 1_704_067_200);
    let micro: String = (0..20).map(|i| format!("u,t{i},{}\n", 1_704_067_200_000_000i64 + i)).collect();
    let loaded = good(micro);
    assert_eq!(loaded.seconds()[0], 1_704_067_200);
    assert!(loaded.note().contains("microseconds"), "{}", loaded.note());
}
