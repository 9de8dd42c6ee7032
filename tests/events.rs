//! `docs/events.md` says what the code does: every field, kind, context, reason and refusal, and
//! what is learnt of each example.

use sordino_client::event::{Context, EventKind, FIELDS, Lines, PlaybackEvent, Reason, Timestamp};
use sordino_client::label::{LabelPolicy, label};
use sordino_client::quality::{Checks, Rejection, check};
use sordino_client::store::{Bounds, Refused};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../docs/events.md");

/// The first two cells of each row of a section's table, without its head.
fn rows(section: &str) -> Vec<(String, String)> {
    let (_, text) = PAGE.split_once(&format!("\n## {section}\n")).expect(section);
    let text = text.split("\n## ").next().expect("a part");
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned());
        (cells.next().expect("a cell"), cells.next().expect("a cell"))
    })
    .collect()
}

fn names(section: &str) -> Vec<String> {
    rows(section).into_iter().map(|(name, _)| name).collect()
}

fn written(value: impl serde::Serialize) -> String {
    let text = serde_json::to_string(&value).expect("plain data");
    text.trim_matches('"').replace(':', ": ")
}

#[test]
fn every_field_kind_context_and_reason_is_on_the_page_and_no_other() {
    let fields: Vec<_> =
        FIELDS.iter().map(|f| (f.name.to_owned(), if f.required { "yes" } else { "no" }.to_owned())).collect();
    assert_eq!(rows("Fields"), fields);
    assert_eq!(names("Kinds"), EventKind::ALL.map(written));
    let contexts: Vec<String> = Context::NAMED.into_iter().chain([Context::Place(0)]).map(written).collect();
    assert_eq!(names("Contexts"), contexts);
    assert_eq!(names("Reasons"), Reason::ALL.map(written));
    // The names in the code's own sentences are the same ones.
    let expected = |field: &str| FIELDS.iter().find(|f| f.name == field).expect("a field").expected;
    for (field, section) in [("kind", "Kinds"), ("reason_start", "Reasons"), ("reason_end", "Reasons")] {
        let said: BTreeSet<&str> =
            expected(field).split([',', ' ']).filter(|word| !word.is_empty() && *word != "or").collect();
        assert_eq!(said, names(section).iter().map(String::as_str).collect(), "{field}");
    }
    assert!(Context::NAMED.map(written).iter().all(|name| expected("context").contains(name.as_str())));
    // Every other field of the struct has a row as well: what serde writes of an event has no other
    // names.
    let event = PlaybackEvent::new(sordino_client::event::TrackId(0), Timestamp(0), EventKind::Play);
    let value = serde_json::to_value(event).expect("plain data");
    let struct_fields: BTreeSet<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(struct_fields, FIELDS.iter().map(|field| field.name).collect());
}

#[test]
fn every_refusal_is_on_the_page_and_no_other() {
    use Rejection::{BadNumber, ClockInFuture, ClockTooEarly, LongerThanTrack, ZeroLength};
    let quality = [ClockTooEarly, ClockInFuture, BadNumber, ZeroLength, LongerThanTrack].map(Refused::Quality);
    let all = quality.into_iter().chain([Refused::TooOld, Refused::NoRoom, Refused::IdTaken]);
    let said: Vec<String> = rows("What is refused").into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(said, all.map(|why| why.to_string()).collect::<Vec<_>>());
    let Bounds { events, days } = Bounds::default();
    assert!(PAGE.contains(&format!("older than {days} days")) && events == 100_000 && PAGE.contains("newest 100,000"));
}

#[test]
fn every_example_is_read_and_teaches_what_the_page_says() {
    let policy = LabelPolicy::default();
    let mut seen = BTreeSet::new();
    let mut examples = 0;
    for part in PAGE.split("```jsonl\n").skip(1) {
        let (lines, rest) = part.split_once("```").expect("an end");
        let events: Vec<PlaybackEvent> =
            Lines::new(lines.as_bytes()).map(|line| line.expect("text").1.expect("an event")).collect();
        for line in lines.lines() {
            let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).expect("an object");
            seen.extend(fields.keys().cloned());
            seen.extend(events.iter().map(|event| event.kind.name().to_owned()));
        }
        let checks = Checks { tracks: 100, now: Timestamp(1_795_100_000_000), dated: true };
        let (valid, tally) = check(events, &checks);
        assert!(tally.rejected.is_empty(), "{lines}: {tally:?}");
        // The strongest word on each track, a no before a yes.
        let mut learnt = BTreeMap::new();
        for weak in label(&valid, &policy) {
            let word = learnt.entry(weak.track.0).or_insert(weak.kind);
            let is_no = !weak.kind.is_positive() && weak.kind.name() != "neutral";
            if is_no || weak.kind > *word {
                *word = weak.kind;
            }
        }
        let learnt: Vec<String> = learnt.iter().map(|(track, kind)| format!("{track} {}", kind.name())).collect();
        let said = rest.trim_start().lines().next().expect("a line");
        assert_eq!(said, format!("Learnt: {}", learnt.join("; ")));
        examples += 1;
    }
    assert!(examples >= 4);
    for name in FIELDS.iter().map(|field| field.name).chain(EventKind::ALL.map(EventKind::name)) {
        assert!(seen.contains(name), "no example has {name}");
    }
}
