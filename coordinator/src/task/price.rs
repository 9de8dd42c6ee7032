//! What tasks cost a population, before anything is spent.

use super::{Kind, TaskFile};
use crate::config::check_budget;
use crate::store::{TaskRow, TaskState};
use crate::training::Training;
use ndarray::Array2;
use sordino_shared::control::PlanTerms;
use sordino_shared::model::Hyperparameters;
use sordino_shared::privacy::ledger::{Budget, History, Refusal, Spend};
use sordino_shared::privacy::{Mode, Samplers, rounded};
use sordino_shared::workload::Broadcast;
use thiserror::Error;

/// Why a population can never pay for a task.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TooDear {
    /// No budget is large enough.
    #[error("privacy.{0}")]
    Impossible(String),
    /// This one is not, as far as it is left.
    #[error(
        "task '{task}' costs a device epsilon {epsilon} at delta {delta:e}; of the population's epsilon {} at delta {:e}, {} is \
         spent: it can never be paid. Lower privacy.epsilon in its file{}",
        budget.epsilon, budget.delta, rounded::up(*spent, 3), or_raise(*needed, budget, folder)
    )]
    Budget {
        /// The task.
        task: String,
        /// Its price.
        epsilon: f64,
        /// Its delta.
        delta: f64,
        /// What the population may spend.
        budget: Budget,
        /// Epsilon of what is spent of that.
        spent: f64,
        /// The epsilon that would do, at the budget's delta.
        needed: f64,
        /// The coordinator's folder, as a shell takes it.
        folder: String,
    },
    /// Its rounds are so large that the samplers do not keep the budget.
    #[error(
        "a round of task '{task}' draws so much noise that what that is away from its law does not vanish in the budget's delta {delta:e}: \
         lower the budget's epsilon, or take fewer tracks or devices"
    )]
    Inexact {
        /// The task.
        task: String,
        /// The budget's delta.
        delta: f64,
    },
}

fn or_raise(needed: f64, budget: &Budget, folder: &str) -> String {
    let needed = (10.0 * needed).ceil() / 10.0;
    if needed > Budget::most_epsilon(budget.delta) {
        return "; no budget at that delta is large enough".to_owned();
    }
    format!(", or raise the budget: `sordino-coordinator budget set --epsilon {needed} --why \"...\" {folder}`")
}

/// Whether a population with this ledger can ever pay for a task; `folder` is what a message calls the coordinator.
///
/// # Errors
/// [`TooDear`].
pub fn check_price(file: &TaskFile, has_content: bool, history: &History, folder: &str) -> Result<(), TooDear> {
    let price = file.privacy;
    check_budget(price.epsilon, price.delta).map_err(TooDear::Impossible)?;
    let budget = history.policy().budget.tidy();
    // Plans round their noise up and ledgers keep a millionth of delta back: a task that costs the whole budget fits.
    let whole = Spend {
        at: 0,
        task: file.name.clone(),
        round: u64::MAX,
        what: String::new(),
        values: 0,
        mode: Mode::Secure,
        mechanism: price.mechanism,
        rho: file.rho() * (1.0 - ROUNDED),
        strategy: None,
        distance: first_distance(file, has_content).unwrap_or(0.0),
        charged: 0.0,
    };
    match history.check(&whole) {
        Ok(()) => Ok(()),
        Err(Refusal::Distance { .. }) => Err(TooDear::Inexact { task: file.name.clone(), delta: budget.delta }),
        Err(_) => Err(TooDear::Budget {
            task: file.name.clone(),
            epsilon: price.epsilon,
            delta: price.delta,
            budget,
            spent: history.balance().epsilon,
            needed: history.epsilon_with(file.rho(), price.mechanism, budget.delta),
            folder: folder.to_owned(),
        }),
    }
}

/// What tasks under way, running or paused, may still spend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Owed {
    /// rho that each may still spend of its price.
    pub tasks: Vec<(String, f64)>,
    /// Tasks that cannot be read, and why: they open no round.
    pub unreadable: Vec<(String, String)>,
}

/// What tasks under way may still spend, each by itself.
pub fn owed(tasks: &[TaskRow], history: &History) -> Owed {
    let spent = history.by_task();
    let mut owed = Owed::default();
    for row in tasks.iter().filter(|row| matches!(row.state, TaskState::Running | TaskState::Paused)) {
        let price = match Kind::of(row) {
            Ok(Kind::Training(file)) => file.rho(),
            Ok(Kind::Rollout(order)) => order.policy.rho() * order.policy.stages.len() as f64,
            Err(error) => {
                owed.unreadable.push((row.name.clone(), error.to_string()));
                continue;
            }
        };
        let paid = spent.get(row.name.as_str()).copied().unwrap_or(0.0);
        owed.tasks.push((row.name.clone(), (price - paid).max(0.0)));
    }
    owed
}

// What the noise of the first round is away from its law. `None` where there is no such round.
fn first_distance(file: &TaskFile, has_content: bool) -> Option<f64> {
    let training =
        Training::new(file.plan(has_content), Array2::zeros((file.catalogue.tracks, 0)), Hyperparameters::default());
    let (round, share) = training.round()?;
    let broadcast: Broadcast = round.broadcast();
    let terms = PlanTerms {
        cohort: file.cohort.devices,
        honest_fraction: file.cohort.trust().honest_fraction(),
        rho: file.rho() * share,
        rotation_seed: 0,
        least_rotated: file.training.least_rotated,
        skellam: file.privacy.mechanism == sordino_shared::privacy::Mechanism::Skellam,
    };
    let plan = terms.plan(&broadcast).ok()?;
    Some(Samplers::new(&plan).ok()?.distance(&plan, plan.cohort()))
}

const ROUNDED: f64 = 1e-5;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::privacy::ledger::{Ledger, Policy};

    fn history(epsilon: f64, delta: f64, spent: f64) -> History {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger =
            Ledger::create(&folder.path().join("ledger"), Policy::new(epsilon, delta), 0).expect("a ledger");
        let spend = Spend {
            at: 0,
            task: "example".into(),
            round: 1,
            what: String::new(),
            values: 0,
            mode: Mode::Secure,
            mechanism: Default::default(),
            rho: spent,
            strategy: None,
            distance: 0.0,
            charged: 0.0,
        };
        if spent > 0.0 {
            ledger.spend(spend).expect("it fits");
        }
        ledger.history().clone()
    }

    fn example(epsilon: &str) -> TaskFile {
        let text = include_str!("../../tasks/example.toml").replace("epsilon = 35.0", &format!("epsilon = {epsilon}"));
        TaskFile::parse(&text).expect("a valid task")
    }

    #[test]
    fn what_can_never_be_paid_is_refused_with_what_would_do() {
        check_price(&example("35.0"), false, &history(35.0, 1e-5, 0.0), "f").expect("all of its budget");
        let words =
            check_price(&example("35.0"), false, &history(8.0, 1e-6, 0.0), "f").expect_err("refused").to_string();
        assert!(
            words.contains("costs a device epsilon 35 at delta 1e-5") && words.contains("0.000 is spent"),
            "{words}"
        );
        let needed = words.split("--epsilon ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a command");
        let needed: f64 = needed.parse().expect("a number");
        check_price(&example("35.0"), false, &history(needed, 1e-6, 0.0), "f").expect("what it says does");
        assert!(check_price(&example("35.0"), false, &history(35.0, 1e-5, 0.5), "f").is_err(), "of what is left");
        let words =
            check_price(&example("500"), false, &history(8.0, 1e-6, 0.0), "f").expect_err("refused").to_string();
        assert!(words.contains("exact enough up to"), "{words}");
    }

    #[test]
    fn tasks_under_way_owe_what_they_have_not_spent() {
        let row = |state| TaskRow {
            name: "example".into(),
            text: toml::to_string(&example("4.0")).expect("a task"),
            seed: 1,
            state,
            why: None,
        };
        let price = example("4.0").rho();
        let history = history(8.0, 1e-6, price / 4.0);
        // One that cannot be read is named, and takes nothing away from the others.
        let of = |state| {
            let damaged = TaskRow { name: "damaged".into(), text: "?".into(), ..row(TaskState::Running) };
            let owed = owed(&[damaged, row(state)], &history);
            assert_eq!(owed.unreadable.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["damaged"]);
            owed.tasks
        };
        assert!((of(TaskState::Running)[0].1 - 0.75 * price).abs() < 1e-9 * price);
        assert!((of(TaskState::Paused)[0].1 - 0.75 * price).abs() < 1e-9 * price);
        assert!(of(TaskState::Finished).is_empty() && of(TaskState::Cancelled).is_empty());
    }
}
