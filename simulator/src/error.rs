//! What can go wrong in a simulation, in one sentence that says what to do.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error with the exit code that it ends the program with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The user's input cannot be used.
    #[error("{}", shown(.0))]
    Input(String),
    /// A file cannot be read as what it should be.
    #[error(
        "{}{}: {}",
        shown(&path.to_string_lossy()),
        line.map_or(String::new(), |l| format!(", line {l}")),
        shown(problem)
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where there are lines.
        line: Option<u64>,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The world's fault: a disk that is full, a permission that is missing.
    #[error("{}: {source}", shown(&path.to_string_lossy()))]
    Output {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// No noise could be drawn.
    #[error(transparent)]
    Noise(#[from] sordino_shared::privacy::NoiseError),
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Input that cannot be used.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// A file that cannot be used as a whole.
    pub fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), line: None, problem: problem.into() }
    }

    /// A line that cannot be used.
    pub fn line(path: &Path, line: u64, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), line: Some(line), problem: problem.into() }
    }

    /// 2 for the user's input, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) | Self::File { .. } => 2,
            Self::Output { .. } | Self::Noise(_) => 1,
        }
    }
}

/// Text of a file as a terminal may have it: control characters, and those that turn the direction
/// of writing, are escaped. Line feeds stay, since some messages have several lines.
pub fn shown(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| (c.is_control() && c != '\n') || TURNING.contains(&c);
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A field of a file within a message: on one line, escaped, and cut where it is long.
pub fn quoted(field: &str) -> String {
    let start: String = field.chars().take(LONGEST_QUOTE).collect();
    let dots = if start.len() < field.len() { "..." } else { "" };
    format!("'{}{dots}'", shown(&start).replace('\n', "\\n"))
}

const LONGEST_QUOTE: usize = 60;
// Marks, embeddings, overrides and isolates of bidirectional text, and the two separators.
const TURNING: [char; 13] = [
    '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_commands_the_terminal() {
        let title = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}cba\r";
        for error in [
            Error::input(title),
            Error::line(Path::new(title), 3, title),
            Error::Output { path: title.into(), source: std::io::Error::other("full") },
        ] {
            let words = error.to_string();
            assert!(!words.chars().any(|c| c.is_control() || c == '\u{202e}'), "{words:?}");
            assert!(words.contains("\\u{1b}]0;owned\\u{7}"), "{words}");
        }
        assert_eq!(shown("Björk, 坂本\nnext"), "Björk, 坂本\nnext");
        assert_eq!(quoted("a\nb"), "'a\\nb'");
        assert_eq!(quoted(&"x".repeat(61)), format!("'{}...'", "x".repeat(60)));
    }
}
