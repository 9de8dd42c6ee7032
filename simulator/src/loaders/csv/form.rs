//! The form of a file, found from its beginning: separator, header, columns and unit of time.

use super::super::encoding::Encoding;
use super::super::table::{is_blank, reader};
use super::super::time::Unit;
use crate::error::{Error, Result, quoted};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a file's rows are to be read.
#[derive(Debug)]
pub(super) struct Form {
    /// Between fields.
    pub(super) separator: u8,
    /// Whether the first row names the columns.
    pub(super) has_header: bool,
    /// Fields in each row.
    pub(super) width: usize,
    /// Where each of the columns stands in a row.
    pub(super) places: [Option<usize>; COLUMNS.len()],
    /// Columns that are not read.
    pub(super) unused: Vec<String>,
    /// What times are in.
    pub(super) unit: Unit,
}

impl Form {
    /// Looks at the beginning of a file.
    pub(super) fn of(path: &Path, encoding: Encoding) -> Result<Self> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(|e| Error::file(path, format!("cannot be opened: {e}")))?;
        file.take(SAMPLE_BYTES)
            .read_to_end(&mut start)
            .map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        if start.len() as u64 == SAMPLE_BYTES {
            // The last line may be cut.
            let end = start.iter().rposition(|&byte| byte == b'\n').unwrap_or(start.len());
            start.truncate(end);
        }
        let tables = SEPARATORS.map(|(separator, _)| sample(&start, separator, encoding));
        let best = (0..SEPARATORS.len()).rev().max_by_key(|&i| fit(&tables[i])).unwrap_or_default();
        let (separator, rows) = (SEPARATORS[best].0, &tables[best]);
        let Some(first) = rows.first() else {
            return Err(Error::file(path, "is empty: rows of user,item,timestamp are needed"));
        };
        let names: Vec<String> = first.iter().map(|name| name.to_lowercase()).collect();
        let is_known = |name: &String| COLUMNS.contains(&name.as_str());
        let is_row = first.len() >= NEEDED && Unit::of([first[TIME].as_str()].into_iter()).read(&first[TIME]).is_some();
        let has_header = names.iter().any(is_known) || !is_row;
        let places = if has_header {
            COLUMNS.map(|column| names.iter().position(|name| name == column))
        } else {
            std::array::from_fn(|i| (i < names.len()).then_some(i))
        };
        let missing: Vec<&str> =
            COLUMNS[..NEEDED].iter().zip(places).filter(|(_, p)| p.is_none()).map(|(c, _)| *c).collect();
        if !missing.is_empty() {
            let what = if names.iter().any(is_known) { "the header" } else { "neither a row nor a header: the line" };
            let found = quoted(&first.join(","));
            return Err(Error::line(
                path,
                1,
                format!("{what} {found} lacks {}: {}", missing.join(", "), columns_are()),
            ));
        }
        if !has_header && names.len() > COLUMNS.len() {
            let count = names.len();
            return Err(Error::line(
                path,
                1,
                format!("{count} columns need a first line that names them: {}", columns_are()),
            ));
        }
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| is_known(name) && names[..*i].contains(name)) {
            return Err(Error::line(path, 1, format!("the column {} is there twice: rename one", twice.1)));
        }
        let unused =
            if has_header { names.iter().filter(|name| !is_known(name)).cloned().collect() } else { Vec::new() };
        let time = places[TIME].expect("what is needed is there");
        let times = rows.iter().skip(usize::from(has_header)).filter_map(|row| row.get(time).map(String::as_str));
        Ok(Self { separator, has_header, width: names.len(), places, unused, unit: Unit::of(times) })
    }

    /// What the file was taken for.
    pub(super) fn words(&self) -> String {
        let separator = SEPARATORS.iter().find(|(byte, _)| *byte == self.separator).map_or("", |(_, name)| name);
        let columns: Vec<&str> =
            COLUMNS.iter().zip(self.places).filter(|(_, place)| place.is_some()).map(|(column, _)| *column).collect();
        let mut words = format!(
            "separated by {separator}; {}; columns {}; times are {}",
            if self.has_header { "a header" } else { "no header" },
            columns.join(", "),
            self.unit.name()
        );
        if !self.unused.is_empty() {
            let unused: Vec<String> = self.unused.iter().map(|name| quoted(name)).collect();
            words.push_str(&format!("; not read: {}", unused.join(", ")));
        }
        words
    }
}

/// The columns that a file may have.
pub(super) fn columns_are() -> String {
    format!("the columns are {}, of which the first {NEEDED} are needed", COLUMNS.join(", "))
}

// The first rows, as this separator cuts them.
fn sample(start: &[u8], separator: u8, encoding: Encoding) -> Vec<Vec<String>> {
    let records = reader(separator).from_reader(start).into_byte_records();
    let rows = records.take(SAMPLE_ROWS).filter_map(|record| record.ok()).filter(|row| !is_blank(row));
    rows.map(|row| row.iter().map(|field| encoding.text(field).trim().to_owned()).collect()).collect()
}

// How well a separator fits: first by whether it makes enough columns, then by rows as wide as the
// first.
fn fit(rows: &[Vec<String>]) -> (bool, usize, usize) {
    let width = rows.first().map_or(0, Vec::len);
    let alike = rows.iter().filter(|row| row.len() == width).count();
    (width >= NEEDED, alike, width)
}

/// Where the time is among the columns.
pub(super) const TIME: usize = 2;
const NEEDED: usize = 3;
const COLUMNS: [&str; 6] = ["user", "item", "timestamp", "kind", "seconds_listened", "duration"];
const SEPARATORS: [(u8, &str); 4] = [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];
const SAMPLE_BYTES: u64 = 1 << 18;
const SAMPLE_ROWS: usize = 1000;
