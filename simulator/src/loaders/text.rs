//! Delimited text without quotes, line by line, with errors that name the line.

use super::encoding::Encoding;
use super::place::{file_name, refuse_packed};
use crate::error::{Error, Result, quoted};
use crate::progress;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A file read line by line, in UTF-8 or in the Windows-1252 of some published files.
pub(super) struct Lines {
    path: PathBuf,
    encoding: Encoding,
    reader: BufReader<File>,
    bar: ProgressBar,
    number: u64,
    bytes: u64,
    buffer: Vec<u8>,
    line: String,
}

impl Lines {
    /// Opens a file that must be there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let describe = |e: std::io::Error| Error::file(path, format!("cannot be opened: {e}"));
        let file = File::open(path).map_err(describe)?;
        let metadata = file.metadata().map_err(describe)?;
        if metadata.is_dir() {
            return Err(Error::file(path, "is a folder where a file is needed: name the file itself"));
        }
        refuse_packed(path)?;
        Ok(Self {
            path: path.to_owned(),
            encoding: Encoding::of(path)?,
            reader: BufReader::with_capacity(1 << 16, file),
            bar: progress::bytes(metadata.len(), &file_name(path)),
            number: 0,
            bytes: 0,
            buffer: Vec::new(),
            line: String::new(),
        })
    }

    /// The next line that is not empty, without its end.
    pub(super) fn next_line(&mut self) -> Result<Option<&str>> {
        loop {
            self.buffer.clear();
            let read = self
                .reader
                .read_until(b'\n', &mut self.buffer)
                .map_err(|e| Error::file(&self.path, format!("cannot be read: {e}")))?;
            if read == 0 {
                self.bar.finish_and_clear();
                return Ok(None);
            }
            self.number += 1;
            self.bytes += read as u64;
            if self.number.is_multiple_of(4096) {
                self.bar.set_position(self.bytes);
            }
            self.line.clear();
            let start = if self.number == 1 && self.buffer.starts_with(BOM) { BOM.len() } else { 0 };
            self.line.push_str(&self.encoding.text(&self.buffer[start..]));
            if !self.line.trim().is_empty() {
                return Ok(Some(self.line.trim_end_matches(['\n', '\r'])));
            }
        }
    }

    /// The line last read, without its end.
    pub(super) fn line(&self) -> &str {
        self.line.trim_end_matches(['\n', '\r'])
    }

    /// Where the line last read stands.
    pub(super) fn at(&self) -> At<'_> {
        At { path: &self.path, line: self.number }
    }

    /// An error at the line last read.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::line(&self.path, self.number, problem)
    }

    /// Checks the header line.
    pub(super) fn expect_header(&mut self, expected: &str) -> Result<()> {
        let header = self.next_line()?.unwrap_or_default().to_owned();
        if header != expected {
            return Err(self.error(format!(
                "the header should be {} but is {}: check that this is the right file",
                quoted(&expected.replace('\t', " ")),
                quoted(&header.replace('\t', " "))
            )));
        }
        Ok(())
    }

    /// Calls `row` with each remaining line cut at `separator` into exactly `N` fields.
    pub(super) fn rows<const N: usize>(
        mut self,
        separator: &str,
        mut row: impl FnMut(&[&str; N], &At<'_>) -> Result<()>,
    ) -> Result<()> {
        loop {
            if self.next_line()?.is_none() {
                return Ok(());
            }
            let line = self.line();
            let at = At { path: &self.path, line: self.number };
            let count = line.split(separator).count();
            if count != N {
                let start = quoted(line);
                return Err(at.error(format!("{N} fields are needed but {start} has {count}: is the file complete?")));
            }
            let mut parts = line.split(separator).map(str::trim);
            let fields = std::array::from_fn(|_| parts.next().unwrap_or(""));
            row(&fields, &at)?;
        }
    }
}

/// Where a row stands.
pub(super) struct At<'a> {
    path: &'a Path,
    line: u64,
}

impl At<'_> {
    /// An error here.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::line(self.path, self.line, problem)
    }

    /// A time in whole or broken seconds since 1970, not negative.
    pub(super) fn seconds(&self, field: &str) -> Result<f64> {
        let seconds: f64 = self.number(field, "timestamp")?;
        if seconds < 0.0 {
            return Err(
                self.error(format!("the timestamp {} is negative: seconds since 1970 are needed", quoted(field)))
            );
        }
        Ok(seconds)
    }

    /// A finite number.
    pub(super) fn number(&self, field: &str, what: &str) -> Result<f64> {
        match field.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(self.error(format!("the {what} {} is not a number: correct or remove the row", quoted(field)))),
        }
    }

    /// A name that is not empty.
    pub(super) fn name<'f>(&self, field: &'f str, what: &str) -> Result<&'f str> {
        if field.is_empty() {
            return Err(self.error(format!("the {what} is empty: correct or remove the row")));
        }
        Ok(field)
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";
