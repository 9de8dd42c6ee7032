//! What a ledger's records come to: what was spent, what is left, and whether a release still fits.

use super::super::Mechanism;
use super::file::{self, LedgerFile};
use super::{Budget, Error, Policy, Record, Refusal, Spend, filter, words};
use crate::math;
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

/// A ledger's records, to look at: nothing can be spent by them.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    records: Vec<Record>,
}

impl History {
    /// Reads a ledger that another process may hold: the file is only ever replaced whole.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Damaged`], [`Error::Newer`], [`Error::Disk`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        file::read(path).map(|records| Self { records })
    }

    /// What an open ledger's file holds.
    pub(super) fn of(file: &LedgerFile) -> Result<Self, Error> {
        file.read().map(|records| Self { records })
    }

    pub(super) fn new(first: Record) -> Self {
        Self { records: vec![first] }
    }

    /// These records and one more.
    pub(super) fn and(&self, record: Record) -> Self {
        let mut records = self.records.clone();
        records.push(record);
        Self { records }
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
        if self.has_paid(&spend.task, spend.round) {
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
            // A distance that is no number vanishes in nothing.
            let vanishes = (1.0 + math::exp(budget.epsilon)) * distance <= budget.delta * Budget::KEPT_BACK;
            if !vanishes {
                return Err(Refusal::Distance { task, round, delta: budget.delta });
            }
        }
        Ok(())
    }

    /// Whether a task's round of this number was paid for.
    pub fn has_paid(&self, task: &str, round: u64) -> bool {
        self.spends().any(|spend| spend.task == task && spend.round == round)
    }

    /// What is spent and left over all tasks.
    pub fn balance(&self) -> Balance {
        let policy = self.policy();
        let charged: Vec<f64> = self.spends().map(|s| s.charged).collect();
        let rho = filter::sum(&charged);
        let integer_orders = self.integer_orders();
        Balance {
            rho,
            rho_limit: policy.budget.rho(integer_orders),
            epsilon: policy.budget.epsilon(rho, integer_orders),
            epsilon_limit: policy.budget.epsilon,
            delta: policy.budget.delta,
            releases: charged.len(),
        }
    }

    /// The epsilon that a budget of this delta would need, for what is spent and `rho` more.
    pub fn epsilon_with(&self, rho: f64, mechanism: Mechanism, delta: f64) -> f64 {
        let charged: Vec<f64> = self.spends().map(|s| s.charged).chain([rho]).collect();
        let integer_orders = self.integer_orders() || mechanism == Mechanism::Skellam;
        Budget { epsilon: 0.0, delta }.epsilon(filter::sum(&charged), integer_orders)
    }

    /// Whether a policy could come into force: its budgets can be kept, and what was spent can be claimed at its delta.
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Inexact`].
    pub fn check_policy(&self, policy: &Policy) -> Result<(), Error> {
        policy.check()?;
        self.check_exactness(&policy.budget)
    }

    fn check_exactness(&self, budget: &Budget) -> Result<(), Error> {
        let (epsilon, delta) = (self.epsilon_with(0.0, Mechanism::default(), budget.delta), budget.delta);
        let most = Budget::most_epsilon_at(delta, self.spends().map(|s| s.distance).sum());
        if epsilon <= most {
            return Ok(());
        }
        // To a thousandth upwards, for people.
        Err(Error::Inexact { epsilon: (1000.0 * epsilon).ceil() / 1000.0, delta, most })
    }

    /// Whether nothing was ever allowed, and so nothing spent: no policy accepted any mode.
    pub fn is_unset(&self) -> bool {
        let allows_nothing =
            |record: &Record| matches!(record, Record::Policy { policy, .. } if policy.modes.is_empty());
        self.records.iter().all(allows_nothing)
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
    pub(super) fn cost(&self, spend: &Spend) -> Result<f64, Refusal> {
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

    /// rho spent by task.
    pub fn by_task(&self) -> BTreeMap<&str, f64> {
        let mut tasks = BTreeMap::new();
        for spend in self.spends() {
            *tasks.entry(spend.task.as_str()).or_default() += spend.charged;
        }
        tasks
    }
}
