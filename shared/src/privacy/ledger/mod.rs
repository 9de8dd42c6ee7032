//! The ledger: what has been spent, written down before anything is sent, and refused once it is too much.
//!
//! One type serves the device (over all that it ever sends) and the coordinator (for a population, as if every device
//! took part in every round). Costs are zCDP; the epsilon that is shown is converted from the sum. Whether a release
//! still fits is decided by OpenDP's privacy filter over its fully adaptive odometer, with our mechanisms as measurements
//! (`filter.rs`).
//!
//! - *Durable first*: [`Ledger::spend`] returns only after the record is on disk. A crash after that costs the budget and
//!   sends nothing; it is never refunded.
//! - *Never afresh*: a missing, empty, truncated, damaged or newer file is an error, and the device stays out.
//!   [`Ledger::create`] refuses to overwrite. (Whoever can put an *old copy* of the file back can undo records; only the
//!   platform's own storage can prevent that.)
//! - *Rebased, never silently*: a changed policy is an error on opening until [`Ledger::rebase`] records the change with
//!   its reason. What was spent stays spent.

mod error;
mod file;
mod filter;
mod history;
mod place;
mod record;
mod words;

pub use error::{Error, Refusal};
pub use history::{Balance, History};
pub use place::Place;
pub use record::{Budget, LEAST_DRAWS, Policy, Record, Spend};

use file::LedgerFile;
use std::collections::BTreeMap;
use std::path::Path;

/// An open ledger. Holds the file's lock until it is dropped.
#[derive(Debug)]
pub struct Ledger {
    file: LedgerFile,
    history: History,
    // Whether the file may hold another history: a disk error came, and it could not be read again.
    is_doubtful: bool,
}

impl Ledger {
    /// Starts a ledger where there is none.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::InUse`], [`Error::Policy`], [`Error::Inexact`], [`Error::Disk`].
    pub fn create(path: &Path, policy: Policy, at: i64) -> Result<Self, Error> {
        Place::hold(path)?.create(policy, "first policy", at)
    }

    /// Opens a ledger under the policy that its last record says.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::InUse`], [`Error::Damaged`], [`Error::Newer`], [`Error::PolicyChanged`],
    /// [`Error::Disk`].
    pub fn open(path: &Path, policy: &Policy) -> Result<Self, Error> {
        let ledger = Self::inspect(path)?;
        if !ledger.policy().is_like(policy) {
            return Err(Error::PolicyChanged { ledger: ledger.policy().to_string(), given: policy.to_string() });
        }
        Ok(ledger)
    }

    /// Opens a ledger whatever its policy, to look at it or to rebase it.
    ///
    /// # Errors
    /// As [`Ledger::open`], without [`Error::PolicyChanged`].
    pub fn inspect(path: &Path) -> Result<Self, Error> {
        Self::of(LedgerFile::open(path)?)
    }

    /// Takes a new policy, and writes down that and why. What was spent stays spent and counts against the new budget.
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Inexact`]: the old policy stays in force then. After [`Error::Disk`] the one or the other
    /// is: [`Ledger::policy`] says which, read from the file again.
    pub fn rebase(&mut self, policy: Policy, reason: &str, at: i64) -> Result<(), Error> {
        self.settle()?;
        self.history.check_policy(&policy)?;
        self.append(Record::Policy { at, policy, reason: reason.to_owned() })
    }

    /// Spends: checks, writes the record durably, and only then returns. After that the release may be sent, once.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Disk`]. After a disk error the record may or may not be there: nothing is sent, and
    /// what the file says is what counts.
    pub fn spend(&mut self, mut spend: Spend) -> Result<(), Error> {
        self.settle()?;
        self.check(&spend)?;
        spend.charged = self.history.cost(&spend)?;
        self.append(Record::Spend(spend))
    }

    /// All that can be read of it.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Whether a release fits; see [`History::check`].
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn check(&self, spend: &Spend) -> Result<(), Refusal> {
        self.history.check(spend)
    }

    /// What is spent and left over all tasks.
    pub fn balance(&self) -> Balance {
        self.history.balance()
    }

    /// All records, oldest first.
    pub fn records(&self) -> &[Record] {
        self.history.records()
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        self.history.policy()
    }

    /// The ledger in plain words for the listener.
    pub fn in_words(&self) -> String {
        self.history.in_words()
    }

    /// Releases paid for, oldest first.
    pub fn spends(&self) -> impl Iterator<Item = &Spend> {
        self.history.spends()
    }

    /// rho spent by task.
    pub fn by_task(&self) -> BTreeMap<&str, f64> {
        self.history.by_task()
    }

    fn of(file: LedgerFile) -> Result<Self, Error> {
        let history = History::of(&file)?;
        Ok(Self { file, history, is_doubtful: false })
    }

    fn begin(file: LedgerFile, first: Record) -> Result<Self, Error> {
        let history = History::new(first);
        file.replace(history.records())?;
        Ok(Self { file, history, is_doubtful: false })
    }

    fn append(&mut self, record: Record) -> Result<(), Error> {
        let history = self.history.and(record);
        let written = self.file.replace(history.records());
        match written {
            Ok(()) => self.history = history,
            // The error may have come before the file was replaced or after: what it holds is in force. The next record must
            // not be written over one that is there.
            Err(_) => {
                self.is_doubtful = true;
                let _ = self.settle();
            }
        }
        written
    }

    // Reads the file again where it may hold another history than is known.
    fn settle(&mut self) -> Result<(), Error> {
        if self.is_doubtful {
            self.history = History::of(&self.file)?;
            self.is_doubtful = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
