//! A key for each record of a round, in a file beside the database that is overwritten in place.
//!
//! The database's log and free pages, and copies of them that a file system keeps, may hold a
//! record long after its round. Its key never is in them: it lies in a slot of this file, itself
//! sealed, and the slot is overwritten when the record is replaced or forgotten. What is left of
//! the record is then nobody's to open.

use super::Error;
use super::seal::Name;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file of a store's keys.
pub(super) struct RoundKeys(PathBuf);

/// A key that is there.
pub(super) struct Slot {
    place: u64,
    /// The record's name.
    pub(super) name: Name,
    /// The key, sealed.
    pub(super) sealed: Vec<u8>,
}

impl RoundKeys {
    /// Of the store at this path; the file is made with the first key.
    pub(super) fn beside(store: &Path) -> Self {
        let mut path = store.as_os_str().to_owned();
        path.push("-keys");
        Self(path.into())
    }

    /// All keys that are there.
    pub(super) fn all(&self) -> Result<Vec<Slot>, Error> {
        let slots = self.read()?;
        let slots = slots.chunks_exact(SLOT).zip(0u64..).filter(|(slot, _)| !is_empty(slot));
        Ok(slots
            .map(|(slot, place)| {
                let (name, rest) = slot.split_first_chunk::<16>().expect("a slot is longer than a name");
                Slot { place, name: *name, sealed: rest[..SEALED].to_vec() }
            })
            .collect())
    }

    /// Puts a sealed key into a slot, durably, and says into which.
    pub(super) fn add(&self, name: &Name, sealed: &[u8]) -> Result<u64, Error> {
        let slots = self.read()?;
        let place = slots.chunks_exact(SLOT).position(is_empty).unwrap_or(slots.len() / SLOT) as u64;
        let mut slot = [name.as_slice(), sealed].concat();
        assert!(slot.len() == 16 + SEALED, "a key has one length");
        slot.resize(SLOT, 0);
        let is_new = !self.0.exists();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        write(&mut options.open(&self.0)?, place, &slot)?;
        // A file is durable once its folder is.
        #[cfg(unix)]
        if let Some(folder) = self.0.parent().filter(|_| is_new) {
            File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()?;
        }
        Ok(place)
    }

    /// Overwrites, durably, each slot that is not to stay.
    pub(super) fn retain(&self, stays: impl Fn(u64, &Name) -> bool) -> Result<(), Error> {
        let gone: Vec<Slot> = self.all()?.into_iter().filter(|slot| !stays(slot.place, &slot.name)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).open(&self.0)?;
        gone.iter().try_for_each(|slot| write(&mut file, slot.place, &[0; SLOT]))
    }

    fn read(&self) -> Result<Vec<u8>, Error> {
        let mut slots = Vec::new();
        match File::open(&self.0) {
            Ok(mut file) => file.read_to_end(&mut slots)?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(slots)
    }
}

fn write(file: &mut File, place: u64, slot: &[u8]) -> Result<(), Error> {
    file.seek(SeekFrom::Start(place * SLOT as u64))?;
    file.write_all(slot)?;
    Ok(file.sync_all()?)
}

fn is_empty(slot: &[u8]) -> bool {
    slot.iter().all(|&byte| byte == 0)
}

// Nonce, key and tag.
const SEALED: usize = 12 + 32 + 16;
// A part of a disk's sector, so that none is half written.
const SLOT: usize = 128;
