//! The registry at the coordinator: what people sign elsewhere ([`office`]), and what the server signs of it ([`Published`]).
//!
//! In a folder: `root.1.json` and its successors and `targets.json`, which people have signed, and `online.json`, the number that the
//! server gave last.

pub mod office;
mod probes;
mod publish;

pub use office::{Keys, Office};
pub use publish::Published;

use std::path::PathBuf;
use thiserror::Error;

/// Why the registry cannot be read or signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file.
    #[error("{path}: {fault}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// What is in it.
    #[error(transparent)]
    Registry(#[from] sordino_shared::registry::Error),
    /// A key.
    #[error(transparent)]
    Key(#[from] crate::authority::Error),
    /// It cannot be done as things are.
    #[error("{0}")]
    Unfit(String),
}
