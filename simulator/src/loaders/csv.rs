//! Anybody's own events: `user,item,timestamp[,kind,seconds_listened,duration]`, with a header or without.

use super::text::{At, Lines};
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result};
use sordino_client::event::{EventKind, PlaybackEvent, Timestamp};
use std::path::Path;

/// Loads a file.
pub(super) fn load(path: &Path, name: &str) -> Result<Dataset> {
    let mut lines = Lines::open(path)?;
    let first = lines.next_line()?.unwrap_or_default().trim_start_matches('\u{feff}').to_owned();
    if first.is_empty() {
        return Err(Error::file(path, "is empty: rows of user,item,timestamp are needed"));
    }
    let fields: Vec<String> = first.split(',').map(|f| f.trim().to_lowercase()).collect();
    let has_header = fields.iter().any(|f| COLUMNS.contains(&f.as_str()));
    let columns: Vec<usize> = if has_header {
        fields
            .iter()
            .map(|f| {
                COLUMNS.iter().position(|c| c == f).ok_or_else(|| {
                    lines.error(format!("there is no column '{f}': the columns are {}", COLUMNS.join(",")))
                })
            })
            .collect::<Result<_>>()?
    } else {
        (0..fields.len().min(COLUMNS.len())).collect()
    };
    if let Some(missing) = COLUMNS[..3].iter().enumerate().find(|(i, _)| !columns.contains(i)) {
        return Err(lines.error(format!(
            "the column '{}' is missing: {} are needed",
            missing.1,
            COLUMNS[..3].join(",")
        )));
    }
    let mut builder = Builder::default();
    let mut lines = if has_header { lines } else { Lines::open(path)? };
    while lines.next_line()?.is_some() {
        let mut row = [""; COLUMNS.len()];
        let given: Vec<&str> = lines.line().split(',').map(str::trim).collect();
        let count = given.len();
        columns.iter().zip(given).for_each(|(&column, field)| row[column] = field);
        let at = At::new(path, lines.number());
        if count != columns.len() {
            return Err(at.error(format!("{} fields are needed but there are {count}", columns.len())));
        }
        add(&mut builder, &row, &at)?;
    }
    Ok(builder.build(name.to_owned(), true, None))
}

fn add(builder: &mut Builder, row: &[&str; COLUMNS.len()], at: &At<'_>) -> Result<()> {
    let [user, item, time, kind, listened, duration] = *row;
    let seconds = at.seconds(time)?;
    // Seconds until the year 5138; anything larger can only be milliseconds.
    let time = Timestamp(if seconds < 1e11 { seconds * 1000.0 } else { seconds } as i64);
    let kind = if kind.is_empty() { EventKind::Play } else { parse_kind(kind, at)? };
    let amount = |field: &str, what: &str| -> Result<Option<f32>> {
        if field.is_empty() {
            return Ok(None);
        }
        let value = at.number(field, what)?;
        if value < 0.0 {
            return Err(at.error(format!("the {what} {field} is negative: correct or remove the row")));
        }
        Ok(Some(value as f32))
    };
    let mut event = PlaybackEvent::new(builder.track(at.name(item, "item")?), time, kind);
    event.seconds_listened = amount(listened, "seconds_listened")?;
    event.track_seconds = amount(duration, "duration")?;
    builder.event(at.name(user, "user")?, event);
    Ok(())
}

fn parse_kind(kind: &str, at: &At<'_>) -> Result<EventKind> {
    EventKind::parse(kind).ok_or_else(|| {
        let kinds: Vec<&str> = EventKind::ALL.iter().map(|k| k.name()).collect();
        at.error(format!("there is no kind '{kind}': choose one of {}", kinds.join(", ")))
    })
}

const COLUMNS: [&str; 6] = ["user", "item", "timestamp", "kind", "seconds_listened", "duration"];
