//! An event's fields as JSON has them, and an event from one JSON object: everything that is wrong
//! with it is said at once.

use super::{Context, EventKind, PlaybackEvent, Reason, Timestamp, TrackId};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sordino_shared::plain::shown;
use std::fmt;
use thiserror::Error;

/// A field of an event.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether an event without it is none.
    pub required: bool,
    /// What is expected, to follow "should be".
    pub expected: &'static str,
    take: fn(&mut PlaybackEvent, &Value) -> Option<()>,
}

/// Every field, in the order of the documentation. A row here, a field of [`PlaybackEvent`] and a
/// row of `docs/events.md` belong together; a test holds them against each other.
pub const FIELDS: [Field; 12] = [
    required("track", "the track's row in the catalogue, a whole number from 0", |event, value| {
        event.track = TrackId(whole(value)?);
        Some(())
    }),
    required("time", "milliseconds since 1970 (UTC), a whole number", |event, value| {
        event.time = Timestamp(value.as_i64()?);
        Some(())
    }),
    required("kind", "play, skip, replay, add_to_playlist, like, dislike or seek", |event, value| {
        event.kind = EventKind::parse(value.as_str()?)?;
        Some(())
    }),
    optional("event_id", "a text that no other event has, or a whole number from 0", |event, value| {
        event.event_id = match value {
            Value::String(text) if text.is_empty() || text.len() > MOST_ID => return None,
            Value::String(text) => PlaybackEvent::id_of(text),
            number => number.as_u64()?,
        };
        Some(())
    }),
    optional("seconds_listened", "seconds, a number from 0", |event, value| {
        event.seconds_listened = Some(value.as_f64()? as f32);
        Some(())
    }),
    optional("track_seconds", "the track's length in seconds, a number above 0", |event, value| {
        event.track_seconds = Some(value.as_f64()? as f32);
        Some(())
    }),
    optional(
        "context",
        "unknown, playlist, album, artist, radio, search, queue or {\"place\": 0 to 255}",
        |event, value| {
            event.context = named::<Context>(value)?;
            Some(())
        },
    ),
    optional("reason_start", REASONS, |event, value| {
        event.reason_start = named::<Reason>(value)?;
        Some(())
    }),
    optional("reason_end", REASONS, |event, value| {
        event.reason_end = named::<Reason>(value)?;
        Some(())
    }),
    optional("shuffle", "true or false", |event, value| {
        event.shuffle = value.as_bool()?;
        Some(())
    }),
    optional("offline", "true or false", |event, value| {
        event.offline = value.as_bool()?;
        Some(())
    }),
    optional("position", "the place in its list, a whole number from 0 to 65535", |event, value| {
        event.position = Some(whole(value)?);
        Some(())
    }),
];

/// Why a text is no event.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoEvent {
    /// It is no JSON.
    #[error("this is no JSON: {0}")]
    Json(String),
    /// It is JSON, but no object.
    #[error(
        "this is {0}, and an event is one object a line: {{\"track\": 0, \"time\": 1795000000000, \"kind\": \"play\"}}"
    )]
    NoObject(&'static str),
    /// Fields are missing, unknown or wrong.
    #[error("{0}")]
    Fields(FieldFaults),
    /// A line that is no event's.
    #[error("the line is longer than {} bytes, which no event is", super::MOST_LINE)]
    TooLong,
    /// Bytes that are no text.
    #[error("the line is no UTF-8 text: save the file as UTF-8")]
    Encoding,
}

/// All that is wrong with an event's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldFaults {
    /// Required and not there.
    pub missing: Vec<&'static str>,
    /// There, and no field.
    pub unknown: Vec<String>,
    /// There, and not what is expected.
    pub wrong: Vec<WrongField>,
}

/// A field that is not what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// Its name.
    pub name: &'static str,
    /// What was found, as JSON.
    pub found: String,
    /// What is expected.
    pub expected: &'static str,
}

impl fmt::Display for FieldFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::new();
        if !self.missing.is_empty() {
            let verb = if self.missing.len() == 1 { "is" } else { "are" };
            said.push(format!("{} {verb} missing", list(&self.missing)));
        }
        let wrong = |wrong: &WrongField| {
            format!("'{}' is {}, and should be {}", wrong.name, shown(&wrong.found), wrong.expected)
        };
        said.extend(self.wrong.iter().map(wrong));
        if !self.unknown.is_empty() {
            let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
            said.push(format!("no field is called {}: there are {}", list(&self.unknown), list(&names)));
        }
        f.write_str(&said.join("; "))
    }
}

fn list(names: &[impl AsRef<str>]) -> String {
    let mut quoted: Vec<String> = names.iter().map(|name| format!("'{}'", shown(short(name.as_ref())))).collect();
    match quoted.pop() {
        Some(last) if !quoted.is_empty() => format!("{} and {last}", quoted.join(", ")),
        last => last.unwrap_or_default(),
    }
}

impl PlaybackEvent {
    /// An event from its JSON object. Fields that are not required may be missing or `null`.
    ///
    /// ```
    /// use sordino_client::event::PlaybackEvent;
    /// let event = PlaybackEvent::from_json(r#"{"track": 3, "time": 1795000000000, "kind": "like"}"#)?;
    /// assert_eq!(event.track.0, 3);
    /// let wrong = PlaybackEvent::from_json(r#"{"track": 3, "kind": "hum"}"#).expect_err("no event");
    /// assert!(wrong.to_string().starts_with("'time' is missing; 'kind' is \"hum\", and should be play, skip,"));
    /// # Ok::<(), sordino_client::event::NoEvent>(())
    /// ```
    ///
    /// # Errors
    /// [`NoEvent`]: all faults of the fields at once.
    pub fn from_json(text: &str) -> Result<Self, NoEvent> {
        match serde_json::from_str(text).map_err(|error| NoEvent::Json(error.to_string()))? {
            Value::Object(fields) => Self::from_fields(&fields).map_err(NoEvent::Fields),
            Value::Array(_) => Err(NoEvent::NoObject("a list")),
            Value::String(_) => Err(NoEvent::NoObject("a text")),
            Value::Number(_) => Err(NoEvent::NoObject("a number")),
            Value::Bool(_) | Value::Null => Err(NoEvent::NoObject("no object")),
        }
    }

    fn from_fields(fields: &Map<String, Value>) -> Result<Self, FieldFaults> {
        let mut event = Self::new(TrackId(0), Timestamp(0), EventKind::Play);
        let mut faults = FieldFaults::default();
        for field in FIELDS {
            match fields.get(field.name) {
                None | Some(Value::Null) if field.required => faults.missing.push(field.name),
                None | Some(Value::Null) => {}
                Some(value) if (field.take)(&mut event, value).is_some() => {}
                Some(value) => {
                    let found = short(&value.to_string()).to_owned();
                    faults.wrong.push(WrongField { name: field.name, found, expected: field.expected });
                }
            }
        }
        let is_unknown = |name: &&String| FIELDS.iter().all(|field| field.name != name.as_str());
        faults.unknown.extend(fields.keys().filter(is_unknown).cloned());
        if faults == FieldFaults::default() { Ok(event) } else { Err(faults) }
    }
}

fn whole<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_u64()?).ok()
}

fn named<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

// What is quoted of a line, which may be long.
fn short(text: &str) -> &str {
    let end = (0..=MOST_QUOTED.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

const fn required(name: &'static str, expected: &'static str, take: Take) -> Field {
    Field { name, required: true, expected, take }
}

const fn optional(name: &'static str, expected: &'static str, take: Take) -> Field {
    Field { name, required: false, expected, take }
}

type Take = fn(&mut PlaybackEvent, &Value) -> Option<()>;

const REASONS: &str = "unknown, track_done, listener, application or fault";
const MOST_ID: usize = 256;
const MOST_QUOTED: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        PlaybackEvent::from_json(text).expect_err(text).to_string()
    }

    #[test]
    fn all_faults_are_named_at_once() {
        assert_eq!(refused("{}"), "'track', 'time' and 'kind' are missing");
        let words = refused(r#"{"kind": 7, "time": "today", "seconds_listend": 3, "track": null, "position": 70000}"#);
        for part in ["'track' is missing", "'time' is \"today\", and should be milliseconds", "'kind' is 7,"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(
            words.contains("no field is called 'seconds_listend'") && words.contains("'position' is 70000"),
            "{words}"
        );
        assert!(refused("[1]").contains("a list") && refused("{").contains("no JSON"));
        assert!(
            refused(&format!("{{\"{}\": 1}}", "ü".repeat(9000))).len() < 600,
            "a long line is not said again whole"
        );
        // What a line holds does not leave the line of what is said of it.
        let hostile = r#"{"a\nevents.jsonl, line 9: all kept\u001b[2J": 1, "kind": "\u007f\u009b2J\u202e"}"#;
        let words = refused(hostile);
        assert!(!words.contains(|c: char| c.is_control() || c == '\u{202e}'), "{words}");
        assert!(words.contains(r"'a\u{a}events.jsonl"), "{words}");
    }

    #[test]
    fn what_serde_writes_is_read_again() {
        let contexts = Context::NAMED.into_iter().chain([Context::Place(3)]);
        for (number, context) in contexts.enumerate() {
            let event = PlaybackEvent {
                event_id: 7,
                seconds_listened: Some(0.1),
                context,
                reason_start: Reason::ALL[number % Reason::ALL.len()],
                shuffle: true,
                position: Some(9),
                ..PlaybackEvent::new(TrackId(4), Timestamp(-5), EventKind::ALL[number % EventKind::ALL.len()])
            };
            let text = serde_json::to_string(&event).expect("plain numbers");
            assert_eq!(PlaybackEvent::from_json(&text), Ok(event));
            let fields: Map<String, Value> = serde_json::from_str(&text).expect("an object");
            assert_eq!(fields.len(), FIELDS.len(), "a field without a row");
        }
    }

    #[test]
    fn ids_are_texts_or_numbers() {
        let id = |value: &str| {
            let text = format!(r#"{{"track": 1, "time": 2, "kind": "play", "event_id": {value}}}"#);
            PlaybackEvent::from_json(&text).map(|event| event.event_id)
        };
        assert_eq!((id("12"), id("\"12\""), id("0"), id("null")), (Ok(12), Ok(12), Ok(0), Ok(0)));
        // SHA-256 by another program; another hash here would make every installed phone's events
        // new.
        assert_eq!(id("\"a\""), Ok(17_741_025_312_021_245_231));
        assert!(id("\"012\"") != id("12") && id("\"0\"") != Ok(0) && id("\"a\"") != id("\"b\""));
        assert!(id("\"\"").is_err() && id("-1").is_err() && id("1.5").is_err());
    }
}
