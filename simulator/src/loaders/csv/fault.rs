//! What can be wrong with a row, and how many rows may be.

use super::super::time::Unit;
use crate::dataset::Builder;
use crate::error::{Error, Result, quoted};
use sordino_client::event::EventKind;
use std::collections::BTreeMap;
use std::path::Path;
use thiserror::Error;

/// A row that cannot be read.
#[derive(Clone, Debug, Error, PartialEq)]
pub(super) enum Fault {
    /// Too few or too many fields.
    #[error("{needed} fields are needed but there are {given}: correct or remove the row")]
    Fields { needed: usize, given: usize },
    /// A name within the row is missing.
    #[error("the {0} is empty: correct or remove the row")]
    NoName(&'static str),
    /// The time cannot be read.
    #[error("the timestamp {} is none: the file's others are {}; correct or remove the row", quoted(field), unit.name())]
    NoTime { field: String, unit: Unit },
    /// The time is before 1970.
    #[error("the timestamp {} is negative: times since 1970 are needed", quoted(.0))]
    NegativeTime(String),
    /// The kind of event is not known.
    #[error("there is no kind {}: choose one of {}", quoted(.0), kinds())]
    UnknownKind(String),
    /// Seconds or a duration are no number.
    #[error("the {what} {} is not a number: correct or remove the row", quoted(field))]
    NoNumber { what: &'static str, field: String },
    /// Seconds or a duration are negative.
    #[error("the {what} {} is negative: correct or remove the row", quoted(field))]
    Negative { what: &'static str, field: String },
    /// Some of its bytes are no UTF-8 in a file that is.
    #[error("its bytes are not UTF-8 as the rest of the file is: correct or remove the row")]
    NoText,
    /// A quote that opens here is not closed on this line.
    #[error("a quote that opens here is not closed on its line: close it, or double quotes inside quotes")]
    Spread,
}

impl Fault {
    // The same for all rows of its kind.
    fn reason(&self) -> String {
        match self {
            Self::Fields { needed, .. } => format!("not {needed} fields"),
            Self::NoName(what) => format!("{what} empty"),
            Self::NoTime { .. } => "timestamp that is none".to_owned(),
            Self::NegativeTime(_) => "negative timestamp".to_owned(),
            Self::UnknownKind(_) => "unknown kind".to_owned(),
            Self::NoNumber { what, .. } => format!("{what} that is no number"),
            Self::Negative { what, .. } => format!("negative {what}"),
            Self::NoText => "bytes that are not UTF-8".to_owned(),
            Self::Spread => "quote that is not closed on its line".to_owned(),
        }
    }
}

/// Rows left out, by reason.
#[derive(Default)]
pub(super) struct Faults {
    // Lines, and the first of them.
    lines: BTreeMap<String, (u64, u64)>,
    first: Option<(u64, Fault)>,
}

impl Faults {
    /// Leaves a row out that begins at `line` and takes `lines`.
    pub(super) fn add(&mut self, fault: Fault, line: u64, lines: u64) {
        let entry = self.lines.entry(fault.reason()).or_insert((0, line));
        entry.0 += lines;
        self.first.get_or_insert((line, fault));
    }

    /// Refuses a file of which too much would be left out.
    pub(super) fn check(&self, path: &Path, good: u64) -> Result<()> {
        let bad: u64 = self.lines.values().map(|(lines, _)| lines).sum();
        match &self.first {
            Some((line, fault)) if bad * MOST_SHARE > bad + good => Err(Error::line(
                path,
                *line,
                format!("{fault} ({bad} of {} rows cannot be read; up to a tenth would be left out)", bad + good),
            )),
            _ => Ok(()),
        }
    }

    /// Tells of the rows that were left out.
    pub(super) fn say(&self, builder: &mut Builder) {
        for (reason, (lines, first)) in &self.lines {
            builder.pass_over_all(&format!("{reason} (first in line {first})"), *lines);
        }
    }
}

fn kinds() -> String {
    EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
}

const MOST_SHARE: u64 = 10;
