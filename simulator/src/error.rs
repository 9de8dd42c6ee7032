//! What can go wrong in a simulation, in one sentence that says what to do.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// An error with the exit code that it ends the program with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The user's input cannot be used.
    #[error("{0}")]
    Input(String),
    /// A file cannot be read as what it should be.
    #[error("{}{}: {problem}", path.display(), line.map_or(String::new(), |l| format!(", line {l}")))]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1, where there are lines.
        line: Option<u64>,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The world's fault: a disk that is full, a permission that is missing.
    #[error("{}: {source}", path.display())]
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
