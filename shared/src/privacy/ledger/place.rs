//! Where a ledger is or will be, held before anybody looks.

use super::file::LedgerFile;
use super::{Error, Ledger, Policy, Record};
use std::path::Path;

/// The place of a ledger, whether there is one or not, held against other processes: what is found there does not change before
/// it is used.
#[derive(Debug)]
pub struct Place {
    file: LedgerFile,
}

impl Place {
    /// Holds it until it is dropped, or the ledger that it becomes.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::Disk`].
    pub fn hold(path: &Path) -> Result<Self, Error> {
        LedgerFile::lock(path).map(|file| Self { file })
    }

    /// Whether there is a ledger, good or bad.
    ///
    /// # Errors
    /// [`Error::Disk`], where that cannot be known.
    pub fn has_ledger(&self) -> Result<bool, Error> {
        self.file.exists()
    }

    /// Starts a ledger; see [`Ledger::create`].
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Policy`], [`Error::Inexact`], [`Error::Disk`].
    pub fn create(self, policy: Policy, reason: &str, at: i64) -> Result<Ledger, Error> {
        policy.check()?;
        if self.has_ledger()? {
            return Err(Error::Exists(self.file.name()));
        }
        Ledger::begin(self.file, Record::Policy { at, policy, reason: reason.to_owned() })
    }

    /// Opens the ledger; see [`Ledger::inspect`].
    ///
    /// # Errors
    /// As of [`Ledger::inspect`].
    pub fn open(self) -> Result<Ledger, Error> {
        Ledger::of(self.file)
    }
}
