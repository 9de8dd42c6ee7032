//! What a ledger holds.

use super::super::accountant::correlated::Strategy;
use super::super::accountant::{Target, zcdp};
use super::super::noise::DRAW_DISTANCE;
use super::super::{Mechanism, Mode, Samplers};
use super::Error;
use crate::math;
use crate::plain::shown;
use crate::plan::RoundPlan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Epsilon over all releases.
    pub epsilon: f64,
    /// Delta over all releases.
    pub delta: f64,
}

impl Budget {
    /// The share of delta kept back for the samplers' distance from their law.
    pub(super) const KEPT_BACK: f64 = 1e-6;

    /// The largest epsilon that can be kept at this delta, whatever is sent: devices draw their noise to within 2^-110 of its
    /// law, and what that adds to delta, (1 + e^epsilon) times the distance of all draws, must vanish in the share of delta
    /// that is kept back for it. Stated for [`LEAST_DRAWS`]; a larger round keeps less.
    pub fn most_epsilon(delta: f64) -> f64 {
        Self::most_epsilon_at(delta, LEAST_DRAWS * DRAW_DISTANCE)
    }

    /// The same for what all draws together are away from their law; infinite where they are exact.
    pub fn most_epsilon_at(delta: f64, distance: f64) -> f64 {
        // The sum of no distances is -0.
        if distance <= 0.0 {
            return f64::INFINITY;
        }
        math::ln((delta * Self::KEPT_BACK / distance - 1.0).max(0.0))
    }

    /// The same budget to twelve digits, as people write it. Files that earlier programs read and wrote again may have numbers
    /// changed in their last bit, which are the same for all that.
    pub fn tidy(&self) -> Self {
        let tidy = |number: f64| format!("{number:.11e}").parse().unwrap_or(number);
        Self { epsilon: tidy(self.epsilon), delta: tidy(self.delta) }
    }

    fn check(&self) -> Result<(), Error> {
        let Self { epsilon, delta } = *self;
        Target::new(epsilon, delta)?;
        let most = Self::most_epsilon(delta);
        if epsilon <= most { Ok(()) } else { Err(Error::Inexact { epsilon, delta, most }) }
    }

    /// The epsilon of this much rho at the budget's delta.
    pub(super) fn epsilon(&self, rho: f64, integer_orders: bool) -> f64 {
        let delta = self.delta * (1.0 - Self::KEPT_BACK);
        if integer_orders { zcdp::epsilon_at_integer_orders(rho, delta) } else { zcdp::epsilon(rho, delta) }
    }

    /// The rho that keeps the budget.
    pub(super) fn rho(&self, integer_orders: bool) -> f64 {
        let delta = self.delta * (1.0 - Self::KEPT_BACK);
        if integer_orders { zcdp::rho_at_integer_orders(self.epsilon, delta) } else { zcdp::rho(self.epsilon, delta) }
    }
}

/// What a device, or an operator for a population, allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Over all tasks.
    pub budget: Budget,
    /// Tighter budgets of single tasks.
    #[serde(default)]
    pub tasks: BTreeMap<String, Budget>,
    /// Modes accepted. `central` modes trust the coordinator.
    pub modes: Vec<Mode>,
}

impl Policy {
    /// This budget for everything, in modes that hold against the coordinator.
    pub fn new(epsilon: f64, delta: f64) -> Self {
        Self { budget: Budget { epsilon, delta }, tasks: BTreeMap::new(), modes: vec![Mode::Secure, Mode::Local] }
    }

    /// Whether another allows the same; see [`Budget::tidy`].
    pub fn is_like(&self, other: &Self) -> bool {
        let tidy = |policy: &Self| {
            let tasks = policy.tasks.iter().map(|(task, budget)| (task.clone(), budget.tidy())).collect();
            Self { budget: policy.budget.tidy(), tasks, modes: policy.modes.clone() }
        };
        tidy(self) == tidy(other)
    }

    /// Whether its budgets can be kept at all.
    ///
    /// # Errors
    /// [`Error::Policy`], [`Error::Inexact`].
    pub fn check(&self) -> Result<(), Error> {
        self.tasks.values().chain([&self.budget]).try_for_each(Budget::check)
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Budget { epsilon, delta } = self.budget;
        if self.modes.is_empty() {
            return f.write_str("nothing in any mode");
        }
        let modes: Vec<&str> = self.modes.iter().map(|mode| mode.name()).collect();
        write!(f, "at most epsilon {epsilon} at delta {delta:e}, in mode {}", modes.join(" or "))?;
        for (task, budget) in &self.tasks {
            write!(f, ", '{}' epsilon {} at delta {:e}", shown(task), budget.epsilon, budget.delta)?;
        }
        Ok(())
    }
}

/// One release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// When, in milliseconds since 1970. For people to read; nothing depends on it, so a clock may go back.
    pub at: i64,
    /// The task.
    pub task: String,
    /// The round within the task; of a rollout the stage, from 1 ([`crate::rollout::paid_as`]).
    pub round: u64,
    /// What was sent, in words.
    pub what: String,
    /// The numbers in it.
    pub values: usize,
    /// Who adds the noise.
    pub mode: Mode,
    /// The noise's law.
    pub mechanism: Mechanism,
    /// rho of the release; with a strategy, of all participations together.
    pub rho: f64,
    /// Noise that is correlated over rounds: one payment covers all participations within its limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The samplers' distance from their law over the whole sum, in total variation.
    pub distance: f64,
    /// rho that this record adds: the ledger fills it in.
    #[serde(default)]
    pub charged: f64,
}

impl Spend {
    /// What taking part in a round costs, computed from the plan's own integers and its honest devices alone.
    pub fn of_plan(plan: &RoundPlan, samplers: &Samplers, task: &str, round: u64, at: i64) -> Self {
        let names: Vec<&str> = plan.blocks().iter().map(|block| block.layout.name).collect();
        Self {
            at,
            task: task.to_owned(),
            round,
            what: names.join(", "),
            values: plan.values(),
            mode: plan.mode(),
            mechanism: plan.mechanism(),
            rho: plan.rho_with(plan.honest()),
            strategy: plan.strategy(),
            distance: samplers.distance(plan, plan.cohort()),
            charged: 0.0,
        }
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A policy comes into force.
    Policy {
        /// When, in milliseconds since 1970.
        at: i64,
        /// The policy.
        policy: Policy,
        /// Why.
        reason: String,
    },
    /// A release is paid for.
    Spend(Spend),
}

/// Draws of noise that every federation makes at least: 256 devices with 256 values.
pub const LEAST_DRAWS: f64 = 65_536.0;
