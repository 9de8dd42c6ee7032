//! Anybody's own events: `user,item,timestamp[,kind,seconds_listened,duration]`, with a header or
//! without.
//!
//! Encoding, separator and unit of time are found, and said in a line. Rows that cannot be read are
//! left out and counted, as long as they are few; `--strict` refuses the first of them.

mod fault;
mod form;

use super::encoding::Encoding;
use super::place::{file_name, refuse_packed};
use super::table::Table;
use super::{BadRows, Request};
use crate::dataset::{Builder, Dataset};
use crate::error::{Error, Result, quoted};
use fault::{Fault, Faults};
use form::Form;
use sordino_client::event::{EventKind, PlaybackEvent};
use sordino_shared::ids::TrackId;
use std::borrow::Cow;

/// Loads a file.
pub(super) fn load(request: &Request<'_>) -> Result<Dataset> {
    let path = request.path;
    if path.is_dir() {
        return Err(Error::file(path, "is a folder where a file is needed: name the file itself"));
    }
    refuse_packed(path)?;
    let encoding = Encoding::of(path)?;
    let form = Form::of(path, encoding)?;
    if let (BadRows::Refused, [first, ..]) = (request.bad_rows, &form.unused[..]) {
        return Err(Error::line(path, 1, format!("there is no column {}: {}", quoted(first), form::columns_are())));
    }
    let mut table = Table::open(path, form.separator)?;
    if form.has_header {
        table.advance()?;
    }
    let mut builder = Builder::default();
    let (mut faults, mut lengths) = (Faults::default(), Lengths::default());
    while table.advance()? {
        match Row::of(&table, encoding, &form) {
            Ok(row) => row.add(&mut builder, &mut lengths),
            Err(fault) if request.bad_rows == BadRows::Refused => return Err(table.error(fault.to_string())),
            Err(fault) => faults.add(fault, table.line(), table.lines()),
        }
    }
    faults.check(path, lengths.rows)?;
    lengths.check(path)?;
    faults.say(&mut builder);
    builder.note(format!("{}: {}; {}", file_name(path), encoding.name(), form.words()));
    Ok(builder.build(request.name.to_owned(), true, None))
}

// A row that makes sense.
struct Row<'a> {
    user: Cow<'a, str>,
    item: Cow<'a, str>,
    event: PlaybackEvent,
}

impl<'a> Row<'a> {
    fn of(table: &'a Table, encoding: Encoding, form: &Form) -> std::result::Result<Self, Fault> {
        let record = table.record();
        if table.is_spread() {
            return Err(Fault::Spread);
        }
        if record.len() != form.width {
            return Err(Fault::Fields { needed: form.width, given: record.len() });
        }
        let field = |column: usize| -> std::result::Result<Cow<'a, str>, Fault> {
            let bytes = form.places[column].map_or(&b""[..], |place| record[place].trim_ascii());
            encoding.whole_text(bytes).ok_or(Fault::NoText)
        };
        let (user, item, time) = (field(0)?, field(1)?, field(form::TIME)?);
        for (name, what) in [(&user, "user"), (&item, "item")] {
            if name.is_empty() {
                return Err(Fault::NoName(what));
            }
        }
        let time = match form.unit.read(&time) {
            Some(read) if read.0 < 0 => return Err(Fault::NegativeTime(time.into_owned())),
            Some(read) => read,
            None => return Err(Fault::NoTime { field: time.into_owned(), unit: form.unit }),
        };
        let kind = match &*field(3)? {
            "" => EventKind::Play,
            kind => EventKind::parse(kind).ok_or_else(|| Fault::UnknownKind(kind.to_owned()))?,
        };
        // The builder gives the track its number.
        let mut event = PlaybackEvent::new(TrackId(0), time, kind);
        event.seconds_listened = amount(&field(4)?, "seconds_listened")?;
        event.track_seconds = amount(&field(5)?, "duration")?;
        Ok(Self { user, item, event })
    }

    fn add(mut self, builder: &mut Builder, lengths: &mut Lengths) {
        lengths.add(&self.event);
        self.event.track = builder.track(&self.item);
        builder.event(&self.user, self.event);
    }
}

fn amount(field: &str, what: &'static str) -> std::result::Result<Option<f32>, Fault> {
    if field.is_empty() {
        return Ok(None);
    }
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() && value < 0.0 => Err(Fault::Negative { what, field: field.to_owned() }),
        Ok(value) if value.is_finite() => Ok(Some(value as f32)),
        _ => Err(Fault::NoNumber { what, field: field.to_owned() }),
    }
}

// How many rows there were, and how long the longest things in them are.
#[derive(Default)]
struct Lengths {
    rows: u64,
    listened: Long,
    duration: Long,
}

#[derive(Default)]
struct Long {
    known: u64,
    long: u64,
}

impl Lengths {
    fn add(&mut self, event: &PlaybackEvent) {
        self.rows += 1;
        for (long, seconds) in [(&mut self.listened, event.seconds_listened), (&mut self.duration, event.track_seconds)]
        {
            long.known += u64::from(seconds.is_some());
            long.long += u64::from(seconds.is_some_and(|seconds| seconds > LONG_SECONDS));
        }
    }

    // Milliseconds in a column of seconds make a bot of every listener.
    fn check(&self, path: &std::path::Path) -> Result<()> {
        for (long, what) in [(&self.listened, "seconds_listened"), (&self.duration, "duration")] {
            if long.long * LONG_SHARE > long.known {
                return Err(Error::file(
                    path,
                    format!(
                        "{} of {} values in {what} are above {LONG_SECONDS} seconds, nearly three hours: these are \
                         milliseconds; divide them by 1000",
                        long.long, long.known
                    ),
                ));
            }
        }
        Ok(())
    }
}

// More than a tenth of plays are never longer than this.
const LONG_SECONDS: f32 = 10_000.0;
const LONG_SHARE: u64 = 10;

#[cfg(test)]
mod tests;
