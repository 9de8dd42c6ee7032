//! The list of what a run wrote into its folder, and how it came about.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Component, Path};

/// How a run came about: what only the program's shell knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// When it ended, in universal time.
    pub date: String,
    /// The program's version.
    pub version: String,
    /// The command, quoted so that it can be run again.
    pub command: String,
}

/// A file as a run wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What was in it.
    pub sha256: String,
}

/// What a run wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How the run came about.
    pub made: Provenance,
    /// Its files, this list not among them.
    pub files: Vec<Entry>,
}

impl Entry {
    /// Of a file with this content.
    pub(super) fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.len() as u64, sha256: hex(bytes) }
    }

    /// Whether the folder still has the file as it was written. A link is never what a run wrote.
    pub(super) fn is_unchanged(&self, folder: &Path) -> bool {
        let path = folder.join(&self.name);
        let whole = fs::symlink_metadata(&path).is_ok_and(|of| of.is_file() && of.len() == self.bytes);
        whole && fs::read(&path).is_ok_and(|bytes| hex(&bytes) == self.sha256)
    }
}

impl Manifest {
    /// The folder's list; `None` where it has none.
    ///
    /// # Errors
    /// A sentence where the list cannot be read as one: by a wrong list somebody's files could be replaced.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(Error::file(&path, format!("cannot be read: {fault}"))),
        };
        let refuse = |why: String| {
            Error::file(&path, format!("is not the list of what a run wrote ({why}): name another folder with --out"))
        };
        let manifest: Self = serde_json::from_str(&text).map_err(|fault| refuse(fault.to_string()))?;
        match manifest.files.iter().find(|entry| !is_plain(&entry.name)) {
            Some(entry) => Err(refuse(format!("'{}' is no name of a file in it", entry.name))),
            None => Ok(Some(manifest)),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a list has a form in JSON");
        bytes.push(b'\n');
        bytes
    }
}

// A name that leads nowhere else, and not to what holds the folder together.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        && name != MANIFEST
        && !name.contains('\\')
        && !name.starts_with(".sordino-")
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file that holds a [`Manifest`].
pub const MANIFEST: &str = "run-files.json";
