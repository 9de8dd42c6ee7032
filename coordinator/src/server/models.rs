//! Models and what devices load for rounds: files named by their hash, and the latest in memory.

use super::Error;
use crate::files::write_whole;
use sordino_shared::control::{Download, hexadecimal};
use sordino_shared::secagg::{Hash, digest};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A folder of files that never change.
pub struct Models {
    folder: PathBuf,
    latest: Mutex<VecDeque<(Hash, Arc<Vec<u8>>)>>,
}

impl Models {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|fault| Error::File { path: folder.to_owned(), fault })?;
        Ok(Self { folder: folder.to_owned(), latest: Mutex::default() })
    }

    /// Keeps these bytes, durably.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn put(&self, bytes: Vec<u8>) -> Result<Download, Error> {
        let download = Download { digest: digest(&bytes), length: bytes.len() as u64 };
        let path = self.path(&download.digest);
        if !path.exists() {
            write_whole(&path, &bytes).map_err(|fault| Error::File { path, fault })?;
        }
        self.remember(download.digest, Arc::new(bytes));
        Ok(download)
    }

    /// The bytes with this hash, if they are here and are what they were.
    pub fn get(&self, wanted: &Hash) -> Option<Arc<Vec<u8>>> {
        let known = |(hash, _): &&(Hash, Arc<Vec<u8>>)| hash == wanted;
        if let Some((_, bytes)) = self.latest().iter().find(known) {
            return Some(bytes.clone());
        }
        let bytes = Arc::new(std::fs::read(self.path(wanted)).ok()?);
        if digest(&bytes) != *wanted {
            tracing::error!(file = %self.path(wanted).display(), "a model's file is damaged: it is not given out");
            return None;
        }
        self.remember(*wanted, bytes.clone());
        Some(bytes)
    }

    /// Forgets what nobody loads any more.
    pub fn remove(&self, hash: &Hash) {
        self.latest().retain(|(known, _)| known != hash);
        // It costs a file's space, no more, if it stays.
        let _ = std::fs::remove_file(self.path(hash));
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hexadecimal(hash))
    }

    fn remember(&self, hash: Hash, bytes: Arc<Vec<u8>>) {
        let mut latest = self.latest();
        latest.retain(|(known, _)| *known != hash);
        latest.push_front((hash, bytes));
        latest.truncate(MOST_IN_MEMORY);
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, VecDeque<(Hash, Arc<Vec<u8>>)>> {
        self.latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

// What running rounds broadcast, and the present version.
const MOST_IN_MEMORY: usize = 8;
