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
mod record;
mod words;

pub use error::{Error, Refusal};
pub use record::{Budget, Policy, Record, Spend};

use super::Mechanism;
use super::accountant::zcdp;
use crate::math;
use file::LedgerFile;
use std::collections::BTreeMap;
use std::path::Path;

/// What is spent and what is left.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// rho spent.
    pub rho: f64,
    /// rho allowed.
    pub rho_limit: f64,
    /// Epsilon of what is spent, at the policy's delta.
    pub epsilon: f64,
    /// Epsilon allowed.
    pub epsilon_limit: f64,
    /// Delta.
    pub delta: f64,
    /// Releases paid for.
    pub releases: usize,
}

/// An open ledger. Holds the file's lock until it is dropped.
#[derive(Debug)]
pub struct Ledger {
    file: LedgerFile,
    records: Vec<Record>,
}

impl Ledger {
    /// Starts a ledger where there is none.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::InUse`], [`Error::Policy`], [`Error::Disk`].
    pub fn create(path: &Path, policy: Policy, at: i64) -> Result<Self, Error> {
        policy.check()?;
        let file = LedgerFile::create(path)?;
        let records = vec![Record::Policy { at, policy, reason: "first policy".to_owned() }];
        file.replace(&records)?;
        Ok(Self { file, records })
    }

    /// Opens a ledger under the policy that its last record says.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::InUse`], [`Error::Damaged`], [`Error::Newer`], [`Error::PolicyChanged`],
    /// [`Error::Disk`].
    pub fn open(path: &Path, policy: &Policy) -> Result<Self, Error> {
        let ledger = Self::inspect(path)?;
        if ledger.policy() != policy {
            return Err(Error::PolicyChanged { ledger: ledger.policy().to_string(), given: policy.to_string() });
        }
        Ok(ledger)
    }

    /// Opens a ledger whatever its policy, to look at it or to rebase it.
    ///
    /// # Errors
    /// As [`Ledger::open`], without [`Error::PolicyChanged`].
    pub fn inspect(path: &Path) -> Result<Self, Error> {
        let file = LedgerFile::open(path)?;
        let records = file.read()?;
        Ok(Self { file, records })
    }

    /// Takes a new policy, and writes down that and why. What was spent stays spent and counts against the new budget.
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Disk`].
    pub fn rebase(&mut self, policy: Policy, reason: &str, at: i64) -> Result<(), Error> {
        policy.check()?;
        self.append(Record::Policy { at, policy, reason: reason.to_owned() })
    }

    /// Whether a release fits, without spending it.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn check(&self, spend: &Spend) -> Result<(), Refusal> {
        let (task, round) = (spend.task.clone(), spend.round);
        let policy = self.policy();
        if !policy.modes.contains(&spend.mode) {
            return Err(Refusal::Mode { task, round, mode: spend.mode });
        }
        if self.spends().any(|s| s.task == spend.task && s.round == spend.round) {
            return Err(Refusal::Twice { task, round });
        }
        if !(spend.rho >= 0.0 && spend.rho.is_finite()) {
            return Err(Refusal::NoNoise { task, round });
        }
        let cost = self.cost(spend)?;
        let integer_orders = self.integer_orders() || spend.mechanism == Mechanism::Skellam;
        let mut budgets = vec![("all tasks".to_owned(), policy.budget, None)];
        if let Some(budget) = policy.tasks.get(&spend.task) {
            budgets.push((format!("task '{}'", spend.task), *budget, Some(spend.task.as_str())));
        }
        for (whose, budget, only) in budgets {
            let history: Vec<f64> =
                self.spends().filter(|s| only.is_none_or(|task| s.task == task)).map(|s| s.charged).collect();
            let limit = budget.rho(integer_orders);
            if !filter::fits(&history, cost, limit) {
                let spent = filter::sum(&history);
                return Err(Refusal::Overspent { task, round, cost, spent, limit, whose });
            }
            // (epsilon, delta + (1 + e^epsilon) eta): eta must vanish in the share of delta kept back for it.
            let distance = self.spends().map(|s| s.distance).sum::<f64>() + spend.distance;
            if (1.0 + math::exp(budget.epsilon)) * distance > budget.delta * Budget::KEPT_BACK {
                return Err(Refusal::Distance { task, round, delta: budget.delta });
            }
        }
        Ok(())
    }

    /// Spends: checks, writes the record durably, and only then returns. After that the release may be sent, once.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Disk`]. After a disk error the record may or may not be there: nothing is sent.
    pub fn spend(&mut self, mut spend: Spend) -> Result<(), Error> {
        self.check(&spend)?;
        spend.charged = self.cost(&spend)?;
        self.append(Record::Spend(spend))
    }

    /// What is spent and left over all tasks.
    pub fn balance(&self) -> Balance {
        let policy = self.policy();
        let charged: Vec<f64> = self.spends().map(|s| s.charged).collect();
        let rho = filter::sum(&charged);
        let integer_orders = self.integer_orders();
        let delta = policy.budget.delta * (1.0 - Budget::KEPT_BACK);
        let epsilon =
            if integer_orders { zcdp::epsilon_at_integer_orders(rho, delta) } else { zcdp::epsilon(rho, delta) };
        Balance {
            rho,
            rho_limit: policy.budget.rho(integer_orders),
            epsilon,
            epsilon_limit: policy.budget.epsilon,
            delta: policy.budget.delta,
            releases: charged.len(),
        }
    }

    /// All records, oldest first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        let policy = self.records.iter().rev().find_map(|record| match record {
            Record::Policy { policy, .. } => Some(policy),
            Record::Spend(_) => None,
        });
        policy.expect("a ledger begins with a policy, or it is not opened")
    }

    /// The ledger in plain words for the listener.
    pub fn in_words(&self) -> String {
        words::describe(self)
    }

    /// Releases paid for, oldest first.
    pub fn spends(&self) -> impl Iterator<Item = &Spend> {
        self.records.iter().filter_map(|record| match record {
            Record::Spend(spend) => Some(spend),
            Record::Policy { .. } => None,
        })
    }

    // What a release adds. Under correlated noise the first participation pays for all that the limits allow.
    fn cost(&self, spend: &Spend) -> Result<f64, Refusal> {
        let Some(strategy) = spend.strategy else { return Ok(spend.rho) };
        let limits = strategy.limits;
        let earlier: Vec<&Spend> = self.spends().filter(|s| s.task == spend.task).collect();
        let changed = earlier.iter().any(|s| s.strategy != spend.strategy || s.rho != spend.rho);
        let near = earlier.iter().any(|s| s.round.abs_diff(spend.round) < u64::from(limits.separation));
        let often = earlier.len() >= limits.most as usize;
        if changed || near || often || spend.round >= strategy.rounds as u64 {
            return Err(Refusal::Participation { task: spend.task.clone(), round: spend.round, strategy });
        }
        Ok(if earlier.is_empty() { spend.rho } else { 0.0 })
    }

    fn integer_orders(&self) -> bool {
        self.spends().any(|s| s.mechanism == Mechanism::Skellam)
    }

    fn append(&mut self, record: Record) -> Result<(), Error> {
        let mut records = self.records.clone();
        records.push(record);
        self.file.replace(&records)?;
        self.records = records;
        Ok(())
    }

    /// rho spent by task.
    pub fn by_task(&self) -> BTreeMap<&str, f64> {
        let mut tasks = BTreeMap::new();
        for spend in self.spends() {
            *tasks.entry(spend.task.as_str()).or_default() += spend.charged;
        }
        tasks
    }
}

#[cfg(test)]
mod tests;
