//! The ledger's file: JSON lines between a header and a footer with their count and SHA-256.
//!
//! Each change writes the whole file anew beside the old one, flushes it, and renames it over the old one: after a crash
//! at any point the one or the other is there, whole. A file that lost its end has no footer and is damaged.

use super::{Error, Record};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    records: usize,
    sha256: String,
}

#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    // How a folder is made durable; tests have it fail.
    pub(super) sync_folder: fn(&Path) -> std::io::Result<()>,
    // Locked as long as the ledger is open. A file of its own, since the ledger's is replaced.
    _lock: File,
}

impl LedgerFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        // Asked first, so that looking for a ledger leaves nothing behind.
        if !exists(path)? {
            return Err(Error::Missing(path.display().to_string()));
        }
        Self::lock(path)
    }

    pub(super) fn lock(path: &Path) -> Result<Self, Error> {
        let beside = beside(path, "lock");
        let failed = |source| Error::Disk { path: path.display().to_string(), action: "locked", source };
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(beside).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), sync_folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(path.display().to_string())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(super) fn exists(&self) -> Result<bool, Error> {
        exists(&self.path)
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn read(&self) -> Result<Vec<Record>, Error> {
        read(&self.path)
    }

    pub(super) fn replace(&self, records: &[Record]) -> Result<(), Error> {
        let fresh = beside(&self.path, "new");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&fresh)?;
            file.write_all(&format(records))?;
            file.sync_all()?;
            std::fs::rename(&fresh, &self.path)?;
            // The rename itself is durable once its folder is.
            self.path.parent().map_or(Ok(()), self.sync_folder)
        };
        write().map_err(|source| Error::Disk { path: self.name(), action: "written", source })
    }
}

fn exists(path: &Path) -> Result<bool, Error> {
    let failed = |source| Error::Disk { path: path.display().to_string(), action: "looked for", source };
    path.try_exists().map_err(failed)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Reads a ledger's file, whoever holds its lock.
pub(super) fn read(path: &Path) -> Result<Vec<Record>, Error> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::Missing(name()),
        _ => Error::Disk { path: name(), action: "read", source },
    })?;
    parse(&bytes).map_err(|problem| match problem {
        Problem::Damaged(reason) => Error::Damaged { path: name(), reason },
        Problem::Newer(found) => Error::Newer { path: name(), found, known: VERSION },
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn format(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut line = |value: &dyn Fn() -> serde_json::Result<Vec<u8>>| {
        bytes.extend(value().expect("records are plain data"));
        bytes.push(b'\n');
    };
    line(&|| serde_json::to_vec(&Header { format: FORMAT.to_owned(), version: VERSION }));
    for record in records {
        line(&|| serde_json::to_vec(record));
    }
    let footer = Footer { records: records.len(), sha256: digest(&bytes) };
    bytes.extend(serde_json::to_vec(&footer).expect("a footer is plain data"));
    bytes.push(b'\n');
    bytes
}

enum Problem {
    Damaged(String),
    Newer(u64),
}

fn parse(bytes: &[u8]) -> Result<Vec<Record>, Problem> {
    let damaged = |reason: &str| Problem::Damaged(reason.to_owned());
    if bytes.is_empty() {
        return Err(damaged("it is empty"));
    }
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
    // The version first: a newer one may have changed all that follows.
    let version = serde_json::from_slice::<serde_json::Value>(lines[0])
        .ok()
        .filter(|header| header["format"] == FORMAT)
        .and_then(|header| header["version"].as_u64())
        .ok_or_else(|| damaged("it does not begin like a ledger"))?;
    if version > VERSION {
        return Err(Problem::Newer(version));
    }
    let [_, records @ .., footer] = lines.as_slice() else { return Err(damaged("its end is missing")) };
    if footer.last() != Some(&b'\n') {
        return Err(damaged("its end is missing"));
    }
    let footer: Footer = serde_json::from_slice(footer).map_err(|_| damaged("its end is missing"))?;
    let length = bytes.len() - lines.last().map_or(0, |l| l.len());
    if footer.records != records.len() || footer.sha256 != digest(&bytes[..length]) {
        return Err(damaged("its content is not what was written"));
    }
    let records: Vec<Record> = records
        .iter()
        .map(|line| serde_json::from_slice(line))
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::Damaged(format!("a record cannot be read: {error}")))?;
    if !matches!(records.first(), Some(Record::Policy { .. })) {
        return Err(damaged("it has no policy"));
    }
    Ok(records)
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

const FORMAT: &str = "sordino-ledger";
const VERSION: u64 = 1;
