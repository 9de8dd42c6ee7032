//! The audit: attacks on the pipeline itself, and planted bugs that it must catch.
//!
//! - *Canaries*: white box on the sum, in every mode, through the code that devices and coordinator run. Two lower bounds
//!   must lie under what is claimed: epsilon from one run's guesses, and mu, the parameter of the Gaussian that is as
//!   hard to tell. They must also lie above a stated part of it, or the test has no power.
//! - *Local mechanisms*: the same with a million devices that add all the noise themselves, replace-one.
//! - *Membership inference* on released models: reported.
//! - *Controls*: the same attacks on pipelines with one bug each. A control that is not caught fails the audit.

mod canaries;
mod membership;
mod statistics;

pub use canaries::{Fault, Setup};
pub use membership::Membership;

use crate::error::Result;
use crate::progress;
use sordino_shared::plan::Rotation;
use sordino_shared::privacy::{Mechanism, Mode, rounded};
use std::fmt::Write;

/// One attack and what it found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was attacked.
    pub name: String,
    /// Canaries.
    pub canaries: usize,
    /// Claimed epsilon at [`DELTA`].
    pub claimed_epsilon: f64,
    /// Lower bound on epsilon at 95 %.
    pub proven_epsilon: f64,
    /// Claimed mu.
    pub claimed_mu: Option<f64>,
    /// Lower bound on mu at 99.9 %.
    pub proven_mu: f64,
    /// Whether some threshold broke the whole claimed curve.
    pub breaks_curve: bool,
    /// Whether this is a planted bug.
    pub control: bool,
    /// Part of the claimed epsilon that must be proven.
    pub epsilon_power: f64,
    /// Part of the claimed mu that must be proven.
    pub mu_power: f64,
}

impl Finding {
    /// Whether what was found contradicts the claim.
    pub fn contradicts(&self) -> bool {
        self.proven_epsilon > self.claimed_epsilon
            || self.claimed_mu.is_some_and(|claimed| self.proven_mu > claimed)
            || self.breaks_curve
    }

    /// Whether the attack was strong enough for its silence to mean something.
    pub fn has_power(&self) -> bool {
        match self.claimed_mu {
            Some(claimed) => {
                self.proven_mu > self.mu_power * claimed
                    && self.proven_epsilon > self.epsilon_power * self.claimed_epsilon
            }
            None => self.proven_epsilon > 0.0,
        }
    }

    /// Whether the audit may go on.
    pub fn passed(&self) -> bool {
        if self.control { self.contradicts() } else { !self.contradicts() && self.has_power() }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Attacks on the pipeline and on its controls.
    pub findings: Vec<Finding>,
    /// Attacks on models.
    pub memberships: Vec<Membership>,
}

/// Runs everything.
pub fn run(seed: u64, quick: bool) -> Result<Report> {
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    let setups: Vec<(&str, Setup)> = honest().into_iter().chain(controls()).collect();
    let bar = progress::steps((setups.len() + EPSILONS.len()) as u64, "attacks of the audit");
    let mut findings = Vec::new();
    for (name, setup) in setups {
        findings.push(attack(name, &setup, effort, seed)?);
        bar.inc(1);
    }
    let shadows = if quick { 16 } else { 64 };
    let mut memberships = Vec::new();
    for epsilon in EPSILONS {
        memberships.push(membership::attack(epsilon, shadows, seed)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Report { seed, findings, memberships })
}

// Of the models whose members are guessed; `None` is one without noise.
const EPSILONS: [Option<f64>; 3] = [None, Some(8.0), Some(2.0)];

/// How hard to try.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Canaries.
    pub canaries: usize,
    /// Share of them that is guessed on each side, fixed before any run; fewer and surer where there are more.
    pub guessed: f64,
    /// Part of the claimed mu that must be proven.
    pub mu_power: f64,
    /// Part of the claimed epsilon that must be proven: few canaries prove little, whatever the pipeline does.
    pub epsilon_power: f64,
}

impl Effort {
    /// For the docs' page: half of the claimed epsilon.
    pub const FULL: Self = Self { canaries: 1_000_000, guessed: 0.001, epsilon_power: 0.5, mu_power: 0.9 };
    /// For a look, and for tests.
    pub const QUICK: Self = Self { canaries: 100_000, guessed: 0.003, epsilon_power: 0.35, mu_power: 0.8 };
}

/// Attacks one set-up.
pub fn attack(name: &str, setup: &Setup, effort: Effort, seed: u64) -> Result<Finding> {
    let guesses = setup.attack(effort.canaries, seed)?;
    let bounds = statistics::rates(&guesses, 0.001);
    Ok(Finding {
        name: name.to_owned(),
        canaries: guesses.len(),
        claimed_epsilon: setup.claim(DELTA),
        proven_epsilon: statistics::one_run_epsilon(&guesses, effort.guessed, DELTA, 0.95),
        claimed_mu: setup.claimed_mu(),
        proven_mu: statistics::mu(&bounds),
        breaks_curve: statistics::breaks_curve(&bounds, setup.curve()),
        control: setup.fault.is_some(),
        epsilon_power: effort.epsilon_power,
        mu_power: effort.mu_power,
    })
}

fn base() -> Setup {
    Setup {
        mode: Mode::Secure,
        mechanism: Mechanism::DiscreteGaussian,
        cohort: 20,
        honest_fraction: 0.6,
        rho: 0.5,
        rate: None,
        rotation: Rotation::None,
        device_randomness: false,
        fault: None,
    }
}

/// The pipeline as it is, in all modes.
pub fn honest() -> Vec<(&'static str, Setup)> {
    let local = Setup { mode: Mode::Local, cohort: 1, honest_fraction: 1.0, ..base() };
    vec![
        ("secure", base()),
        ("secure, device's own randomness", Setup { device_randomness: true, ..base() }),
        ("secure, rotated", Setup { rotation: Rotation::Hadamard, ..base() }),
        ("secure, Skellam", Setup { mechanism: Mechanism::Skellam, ..base() }),
        ("secure, sampled", Setup { rate: Some(0.5), honest_fraction: 1.0, ..base() }),
        ("central", Setup { mode: Mode::Central, honest_fraction: 1.0, ..base() }),
        ("central-mf", Setup { mode: Mode::CentralMf, honest_fraction: 1.0, ..base() }),
        ("local, discrete Gaussian", local),
        ("local, Skellam", Setup { mechanism: Mechanism::Skellam, ..local }),
    ]
}

/// The pipeline with one bug each.
pub fn controls() -> Vec<(&'static str, Setup)> {
    let with = |fault| Setup { fault: Some(fault), ..base() };
    vec![
        ("noise halved", with(Fault::NoiseHalved)),
        // In a cohort of two, so that one device's noise is half of it all.
        ("one device without noise", Setup { cohort: 2, honest_fraction: 1.0, ..with(Fault::OneWithoutNoise) }),
        ("clip after noise", with(Fault::ClipAfterNoise)),
        ("weights not capped", with(Fault::WeightsUncapped)),
        ("constant seed", with(Fault::ConstantSeed)),
        (
            "sampling claimed but not done",
            Setup { rate: Some(0.2), honest_fraction: 1.0, ..with(Fault::SamplingNotDone) },
        ),
        ("noise of dropped devices counted", with(Fault::DroppedCounted)),
        (
            "replace-one claimed at the clip",
            Setup { mode: Mode::Local, cohort: 1, honest_fraction: 1.0, ..with(Fault::ReplaceOneAtClip) },
        ),
        (
            "separation off by one",
            Setup { mode: Mode::CentralMf, honest_fraction: 1.0, ..with(Fault::SeparationOffByOne) },
        ),
    ]
}

impl Report {
    /// Whether every honest line held with power and every control was caught.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(Finding::passed)
            && self.memberships.iter().all(|m| m.epsilon.is_none_or(|epsilon| m.suggested_epsilon <= epsilon))
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("audit with seed {}, delta {DELTA:e}\n\n", self.seed);
        self.table(&mut text, |cells| {
            format!(
                "{:34} {:>9} {:>9} {:>9} {:>8} {:>8}  {}\n",
                cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]
            )
        });
        text.push_str("\nmembership inference on models of 100 devices (likelihood ratio)\n");
        for m in &self.memberships {
            let _ = writeln!(
                text,
                "  epsilon {:>5}: area under the curve {:.3}, {:.1} % found at 1 % false alarms, epsilon hinted at {:.2}",
                m.epsilon.map_or("none".to_owned(), |e| e.to_string()),
                m.auc,
                100.0 * m.found_at_one_percent,
                m.suggested_epsilon
            );
        }
        text.push_str(if self.passed() { "\naudit passed\n" } else { "\naudit FAILED\n" });
        text
    }

    /// The tables as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.table(&mut text, |cells| format!("| {} |\n", cells.join(" | ")));
        let rule = format!("|{}\n", "---|".repeat(7));
        let head = text.find('\n').map_or(0, |i| i + 1);
        text.insert_str(head, &rule);
        text.push_str("\n| epsilon of the training | area under the curve | found at 1 % false alarms | epsilon hinted at |\n|---|---|---|---|\n");
        for m in &self.memberships {
            let _ = writeln!(
                text,
                "| {} | {:.3} | {:.1} % | {:.2} |",
                m.epsilon.map_or("no noise".to_owned(), |e| e.to_string()),
                m.auc,
                100.0 * m.found_at_one_percent,
                m.suggested_epsilon
            );
        }
        text
    }

    fn table(&self, text: &mut String, row: impl Fn([&str; 7]) -> String) {
        text.push_str(&row(["attacked", "canaries", "epsilon", "proven", "mu", "proven", "verdict"]));
        for f in &self.findings {
            let verdict = match (f.control, f.passed()) {
                (false, true) => "held",
                (false, false) if f.contradicts() => "FAILED: the claim is contradicted",
                (false, false) => "FAILED: the attack has no power",
                (true, true) => "caught",
                (true, false) => "FAILED: not caught",
            };
            let mu = f.claimed_mu.map_or("-".to_owned(), |mu| format!("{mu:.3}"));
            let proven_mu = f.claimed_mu.map_or("-".to_owned(), |_| format!("{:.3}", f.proven_mu));
            text.push_str(&row([
                &f.name,
                &f.canaries.to_string(),
                &rounded::up(f.claimed_epsilon, 3),
                &rounded::down(f.proven_epsilon, 3),
                &mu,
                &proven_mu,
                verdict,
            ]));
        }
    }
}

/// Delta of the claims that are audited.
pub const DELTA: f64 = 1e-6;
