//! Delimited text, line by line, with errors that name the line.

use crate::error::{Error, Result};
use crate::progress;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A file read line by line. Bytes that are not UTF-8 are replaced, since some published files have them.
pub(super) struct Lines {
    path: PathBuf,
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
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 16, file),
            bar: progress::bytes(metadata.len(), &name),
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
            self.line.push_str(&String::from_utf8_lossy(&self.buffer));
            if !self.line.trim().is_empty() {
                return Ok(Some(self.line.trim_end_matches(['\n', '\r'])));
            }
        }
    }

    /// The line last read, without its end.
    pub(super) fn line(&self) -> &str {
        self.line.trim_end_matches(['\n', '\r'])
    }

    /// The number of the line last read, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// An error at the line last read.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::line(&self.path, self.number, problem)
    }

    /// Checks the header line.
    pub(super) fn expect_header(&mut self, expected: &str) -> Result<()> {
        let header = self.next_line()?.unwrap_or_default().trim_start_matches('\u{feff}').to_owned();
        if header != expected {
            return Err(self.error(format!(
                "the header should be '{}' but is '{}': check that this is the right file",
                expected.replace('\t', " "),
                header.replace('\t', " ")
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
                let start: String = line.chars().take(60).collect();
                return Err(at.error(format!("{N} fields are needed but '{start}' has {count}: is the file complete?")));
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

impl<'a> At<'a> {
    /// A line of a file.
    pub(super) fn new(path: &'a Path, line: u64) -> Self {
        Self { path, line }
    }

    /// An error here.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::line(self.path, self.line, problem)
    }

    /// A time in whole or broken seconds since 1970, not negative.
    pub(super) fn seconds(&self, field: &str) -> Result<f64> {
        let seconds: f64 = self.number(field, "timestamp")?;
        if seconds < 0.0 {
            return Err(self.error(format!("the timestamp {field} is negative: seconds since 1970 are needed")));
        }
        Ok(seconds)
    }

    /// A finite number.
    pub(super) fn number(&self, field: &str, what: &str) -> Result<f64> {
        match field.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(self.error(format!("the {what} '{field}' is not a number: correct or remove the row"))),
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

/// Which of these files a folder holds; the path itself where it is a file.
pub(super) fn choose(path: &Path, names: &[&str]) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    names.iter().map(|name| path.join(name)).find(|p| p.is_file()).ok_or_else(|| {
        Error::file(path, format!("holds none of {}: name the folder that has one of them", names.join(", ")))
    })
}
