//! Tables with quotes, read record by record: the publishers' CSV files and a user's own.

use super::place::{file_name, refuse_packed};
use crate::error::{Error, Result, quoted};
use crate::progress;
use ::csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file of records.
pub(super) struct Table {
    path: PathBuf,
    reader: Reader<File>,
    record: ByteRecord,
    bar: ProgressBar,
    records: u64,
    length: u64,
    // Whether the last line lacks its end.
    is_open: bool,
    line: u64,
    lines: u64,
    is_spread: bool,
}

impl Table {
    /// Opens a file that must be there; a byte order mark is no part of its first field.
    pub(super) fn open(path: &Path, separator: u8) -> Result<Self> {
        let describe = |e: std::io::Error| Error::file(path, format!("cannot be opened: {e}"));
        refuse_packed(path)?;
        let mut file = File::open(path).map_err(describe)?;
        let length = file.metadata().map_err(describe)?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(describe)?;
            file.rewind().map_err(describe)?;
        }
        Ok(Self {
            path: path.to_owned(),
            reader: reader(separator).from_reader(file),
            record: ByteRecord::new(),
            bar: progress::bytes(length, &file_name(path)),
            records: 0,
            length,
            is_open: last != [b'\n'],
            line: 0,
            lines: 0,
            is_spread: false,
        })
    }

    /// Reads the next record; lines with nothing on them are none.
    pub(super) fn advance(&mut self) -> Result<bool> {
        loop {
            let is_read = self
                .reader
                .read_byte_record(&mut self.record)
                .map_err(|e| Error::file(&self.path, format!("cannot be read: {e}")))?;
            if !is_read {
                self.bar.finish_and_clear();
                return Ok(false);
            }
            self.records += 1;
            if self.records.is_multiple_of(4096) {
                self.bar.set_position(self.reader.position().byte());
            }
            // The reader's line is the one behind the record's end, unless the file ends without
            // one, or within quotes.
            let position = self.reader.position();
            let bytes = self.record.as_slice();
            let is_swallowed = bytes.last() == Some(&b'\n') && position.byte() >= self.length;
            let is_cut = is_swallowed || (self.is_open && position.byte() >= self.length);
            let within = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.is_spread = within > 0;
            self.lines = within + u64::from(!is_swallowed);
            self.line = (position.line() - u64::from(!is_cut)).saturating_sub(within);
            if !is_blank(&self.record) {
                return Ok(true);
            }
        }
    }

    /// The record last read. Its last field may end in a carriage return.
    pub(super) fn record(&self) -> &ByteRecord {
        &self.record
    }

    /// The line on which the record last read begins, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// The lines that the record last read lies on.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the end of a line is within quotes in the record last read.
    pub(super) fn is_spread(&self) -> bool {
        self.is_spread
    }

    /// An error at the record last read.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::line(&self.path, self.line, problem)
    }

    /// Reads the header, and gives the places of the columns named. All that are missing are named
    /// at once; those behind `needed` need not be there.
    pub(super) fn header<const N: usize>(&mut self, columns: [&str; N], needed: usize) -> Result<[Option<usize>; N]> {
        if !self.advance()? {
            return Err(Error::file(&self.path, "is empty: check that it is the right file"));
        }
        let text = |name| String::from_utf8_lossy(name).trim().to_owned();
        let names: Vec<String> = self.record.iter().map(text).collect();
        let places = columns.map(|column| names.iter().position(|name| name == column));
        let missing: Vec<&str> =
            columns[..needed].iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(name, _)| *name).collect();
        if missing.is_empty() {
            return Ok(places);
        }
        Err(self.error(format!(
            "the header {} has no {} {}: check that this is the right file",
            quoted(&names.join(",")),
            if missing.len() == 1 { "column" } else { "columns" },
            missing.join(", ")
        )))
    }

    /// The number of fields of the record last read.
    pub(super) fn width(&self) -> usize {
        self.record.len()
    }

    /// Checks that the record last read goes to the end of its header.
    pub(super) fn expect_fields(&self, count: usize) -> Result<()> {
        if self.record.len() == count {
            return Ok(());
        }
        Err(self.error(format!("{count} fields are needed but there are {}: is the file complete?", self.record.len())))
    }
}

/// How all tables are read: double quotes hold what has separators or quotes in it.
pub(super) fn reader(separator: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).buffer_capacity(1 << 16);
    // With carriage returns as ends of their own, lines are counted one too low.
    builder.terminator(Terminator::Any(b'\n'));
    builder
}

/// Whether there is nothing in a record.
pub(super) fn is_blank(record: &ByteRecord) -> bool {
    record.len() == 1 && record[0].trim_ascii().is_empty()
}

/// A whole number as a published table has it, `1.0` included; `None` where the field is empty or
/// says that nothing is known.
pub(super) fn whole_number(field: &[u8]) -> std::result::Result<Option<i64>, ()> {
    let field = field.trim_ascii();
    if let Some(number) = digits(field) {
        return Ok(Some(number));
    }
    if field.is_empty() || [&b"nan"[..], b"NaN", b"NULL", b"null", b"None", b"\\N"].contains(&field) {
        return Ok(None);
    }
    let text = std::str::from_utf8(field).map_err(|_| ())?;
    if let Ok(number) = text.parse::<i64>() {
        return Ok(Some(number));
    }
    match text.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(Some(value as i64)),
        _ => Err(()),
    }
}

// Up to eighteen digits and nothing else.
fn digits(field: &[u8]) -> Option<i64> {
    if field.is_empty() || field.len() > 18 {
        return None;
    }
    field.iter().try_fold(0i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_or_unknown() {
        for (field, number) in [
            (&b"0"[..], Some(0)),
            (b"1649645295928", Some(1_649_645_295_928)),
            (b" 17200.0", Some(17_200)),
            (b"-3", Some(-3)),
            (b"", None),
            (b"nan", None),
        ] {
            assert_eq!(whole_number(field), Ok(number), "{field:?}");
        }
        for field in [&b"1.5"[..], b"12x", b"1e400", b"\xff", b"99999999999999999999"] {
            assert_eq!(whole_number(field), Err(()), "{field:?}");
        }
    }
}
