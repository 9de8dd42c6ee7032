//! What each population has spent, over all its tasks and task by task.
//!
//! The coordinator charges a round to the whole population as if every device took part in it: it opens no round that some
//! device could not pay for. Each device's own ledger holds besides, and does not trust this one.

use sordino_shared::privacy::ledger::{Balance, Error, Ledger, Policy, Spend};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The ledgers of all populations, one file each in one folder.
#[derive(Debug)]
pub struct PopulationLedgers {
    folder: PathBuf,
    open: BTreeMap<String, Ledger>,
}

impl PopulationLedgers {
    /// In this folder, which must exist.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: BTreeMap::new() }
    }

    /// Starts a population's ledger; see [`Ledger::create`].
    ///
    /// # Errors
    /// As [`Ledger::create`].
    pub fn create(&mut self, population: &str, policy: Policy, at: i64) -> Result<(), Error> {
        let ledger = Ledger::create(&self.path(population), policy, at)?;
        self.open.insert(population.to_owned(), ledger);
        Ok(())
    }

    /// Opens a population's ledger under its policy; see [`Ledger::open`].
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open(&mut self, population: &str, policy: &Policy) -> Result<(), Error> {
        let ledger = Ledger::open(&self.path(population), policy)?;
        self.open.insert(population.to_owned(), ledger);
        Ok(())
    }

    /// Takes a ledger that is open already.
    pub fn adopt(&mut self, population: &str, ledger: Ledger) {
        self.open.insert(population.to_owned(), ledger);
    }

    /// Pays for a round before it is opened. A population whose ledger is not open can pay for nothing.
    ///
    /// # Errors
    /// As [`Ledger::spend`]; [`Error::Missing`] where the ledger is not open.
    pub fn spend(&mut self, population: &str, spend: Spend) -> Result<(), Error> {
        let missing = || Error::Missing(format!("population '{population}'"));
        self.open.get_mut(population).ok_or_else(missing)?.spend(spend)
    }

    /// Whether a population could pay for a round, before anybody is asked to take part.
    ///
    /// # Errors
    /// As [`Self::spend`].
    pub fn check(&self, population: &str, spend: &Spend) -> Result<(), Error> {
        let missing = || Error::Missing(format!("population '{population}'"));
        Ok(self.open.get(population).ok_or_else(missing)?.check(spend)?)
    }

    /// Whether a round was paid for already as this one would be: the same numbers at no higher price. A key of the ledger that somebody else
    /// has paid under pays for nothing.
    pub fn has_paid(&self, population: &str, spend: &Spend) -> bool {
        let paid = self.open.get(population).into_iter().flat_map(Ledger::spends);
        let is_key = |paid: &&Spend| paid.task == spend.task && paid.round == spend.round;
        let covers = |paid: &Spend| {
            let (one, other) = (&paid.what, &spend.what);
            one == other && paid.values == spend.values && paid.mode == spend.mode && spend.rho <= paid.rho * ROUNDED
        };
        paid.filter(is_key).any(covers)
    }

    /// What a population has spent and has left; `None` where its ledger is not open.
    pub fn balance(&self, population: &str) -> Option<Balance> {
        self.open.get(population).map(Ledger::balance)
    }

    /// rho that a population has spent on each task.
    pub fn by_task(&self, population: &str) -> BTreeMap<&str, f64> {
        self.open.get(population).map(Ledger::by_task).unwrap_or_default()
    }

    /// Where a population's ledger is. Names are the operator's own; what a file name cannot hold becomes its code.
    pub fn path(&self, population: &str) -> PathBuf {
        let safe: String = population
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c.to_string() } else { format!("_{:x}", u32::from(c)) })
            .collect();
        self.folder.join(format!("{safe}.ledger"))
    }
}

// A number that went through a file may come back changed in its last bit.
const ROUNDED: f64 = 1.0 + 1e-12;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::privacy::ledger::Budget;
    use sordino_shared::privacy::{Mechanism, Mode};

    fn spend(task: &str, round: u64) -> Spend {
        Spend {
            at: 0,
            task: task.to_owned(),
            round,
            what: "rows".to_owned(),
            values: 10,
            mode: Mode::Secure,
            mechanism: Mechanism::DiscreteGaussian,
            rho: 0.02,
            strategy: None,
            distance: 0.0,
            charged: 0.0,
        }
    }

    #[test]
    fn populations_and_tasks_have_budgets_of_their_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut policy = Policy::new(2.0, 1e-6);
        policy.tasks.insert("metrics".to_owned(), Budget { epsilon: 1.0, delta: 1e-6 });
        let mut ledgers = PopulationLedgers::new(folder.path());
        ledgers.create("phones/eu", policy.clone(), 0).expect("a ledger");
        ledgers.create("phones-eu", policy.clone(), 0).expect("another");
        ledgers.spend("phones/eu", spend("metrics", 1)).expect("it fits");
        assert!(ledgers.spend("phones/eu", spend("metrics", 2)).is_err(), "the task's budget is gone");
        ledgers.spend("phones/eu", spend("embeddings", 2)).expect("another task");
        assert_eq!(ledgers.by_task("phones/eu").len(), 2);
        assert_eq!(ledgers.balance("phones-eu").map(|b| b.releases), Some(0));
        assert!(matches!(ledgers.spend("tablets", spend("metrics", 1)), Err(Error::Missing(_))));
        // What was paid is paid, and nothing else under its key.
        assert!(
            ledgers.has_paid("phones/eu", &spend("metrics", 1)) && !ledgers.has_paid("phones/eu", &spend("metrics", 2))
        );
        let others =
            [Spend { what: "columns".into(), ..spend("metrics", 1) }, Spend { rho: 0.03, ..spend("metrics", 1) }];
        assert!(others.iter().all(|other| !ledgers.has_paid("phones/eu", other)));
        drop(ledgers);
        let mut again = PopulationLedgers::new(folder.path());
        again.open("phones/eu", &policy).expect("the same ledger");
        assert_eq!(again.balance("phones/eu").map(|b| b.releases), Some(2));
        assert!(matches!(again.open("tablets", &policy), Err(Error::Missing(_))));
    }
}
