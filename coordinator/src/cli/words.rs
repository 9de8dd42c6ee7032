//! What people read: lines and tables.

pub(super) use crate::files::quoted;
pub(super) use sordino_shared::plain::shown;
use std::fmt::Write as _;

/// Writes lines to standard output; a reader that has gone away is no fault.
pub(super) fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A time as people in the operator's office write it, in UTC.
pub(super) fn time(ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or_else(|| "-".into(), |t| t.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// "1 device", "2 devices".
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Rows under headings, each column as wide as its widest cell.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    // A column of numbers stands to the right.
    right: Vec<bool>,
}

impl Table {
    /// With these headings; those that begin with `>` are of numbers.
    pub(super) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let first = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect();
        Self { rows: vec![first], right }
    }

    /// One more row.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.right.len(), "a cell for each heading");
        // A cell stays in its line, whoever wrote what it holds.
        self.rows.push(cells.iter().map(|cell| shown(cell)).collect());
    }

    /// Whether there is nothing under the headings.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let long = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..self.right.len())
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(long).max().unwrap_or(0))
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                if *right {
                    write!(line, "{cell:>width$}  ")?;
                } else {
                    write!(line, "{cell:<width$}  ")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_never_run_together() {
        let mut table = Table::new(&["name", ">bytes", "made"]);
        assert!(table.is_empty());
        table.row(vec!["a".into(), "123456789012345".into(), "now".into()]);
        table.row(vec!["a name that is rather long, é".into(), "1".into(), String::new()]);
        table.row(vec!["a\n1  2\u{1b}[2J".into(), "1".into(), String::new()]);
        let text = table.to_string();
        assert!(text.lines().count() == 4 && !text.contains('\u{1b}'), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "name                                     bytes  made");
        assert_eq!(lines[1], "a                              123456789012345  now");
        assert_eq!(lines[2], "a name that is rather long, é                1");
    }
}
