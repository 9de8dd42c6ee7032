//! What a plan promises, against whom, and which theorem each line leans on.

use crate::error::{Error, Result};
use serde::Deserialize;
use sordino_shared::math;
use sordino_shared::plan::{BlockLayout, PlanRequest, Rotation, RoundPlan, WRAP_PROBABILITY};
use sordino_shared::privacy::accountant::correlated::Strategy;
use sordino_shared::privacy::accountant::{Claim, Target, distributed, loss};
use sordino_shared::privacy::{Mechanism, Mode, Samplers, rounded};
use sordino_shared::secagg::{Assumptions, Terms};
use std::fmt::Write;
use std::path::Path;

/// A plan as an operator writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    mode: Mode,
    #[serde(default)]
    mechanism: Mechanism,
    cohort: usize,
    #[serde(default = "all")]
    honest_fraction: f64,
    epsilon: f64,
    delta: f64,
    rounds: u32,
    /// Rounds from one participation to the next; for `central-mf`.
    #[serde(default = "one")]
    separation: u32,
    /// Probability with which a device takes part in a round, drawn by itself and in secret.
    check_in: Option<f64>,
    blocks: Vec<PlanBlock>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanBlock {
    name: String,
    rows: usize,
    #[serde(default = "one_value")]
    width: usize,
    clip: f64,
    #[serde(default = "all")]
    share: f64,
    #[serde(default)]
    rotation: Rotation,
}

fn all() -> f64 {
    1.0
}

fn one() -> u32 {
    1
}

fn one_value() -> usize {
    1
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    /// Against whom.
    pub against: String,
    /// Epsilon at the plan's delta over all rounds; infinite where nothing is promised.
    pub epsilon: f64,
    /// What it leans on.
    pub theorem: &'static str,
    /// What must be true besides.
    pub assumes: String,
}

/// A plan with what it promises.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The lines.
    pub lines: Vec<Line>,
    file: PlanFile,
    plan: RoundPlan,
    distance: f64,
}

impl PlanFile {
    /// Reads a plan.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        toml::from_str(&text).map_err(|e| Error::file(path, format!("is no plan: {}", e.to_string().trim())))
    }

    fn strategy(&self) -> Option<Strategy> {
        (self.mode == Mode::CentralMf).then(|| Strategy::new(self.rounds as usize, self.separation))
    }

    // rho of what one plan's round is charged: a share of the budget, or all of it under correlated noise.
    fn plan(&self, rho: f64) -> Result<RoundPlan> {
        let releases = if self.strategy().is_some() { 1.0 } else { f64::from(self.rounds) };
        let layout = |block: &PlanBlock| BlockLayout {
            // Lives as long as the program: one name a block of one plan.
            name: Box::leak(block.name.clone().into_boxed_str()),
            rows: block.rows,
            width: block.width,
            clip: block.clip,
            row_clip: block.clip,
            share: block.share,
            rotation: block.rotation,
        };
        RoundPlan::new(PlanRequest {
            mode: self.mode,
            mechanism: self.mechanism,
            strategy: self.strategy(),
            honest_fraction: self.honest_fraction,
            rho: Some(rho / releases),
            ..PlanRequest::new(self.cohort, self.blocks.iter().map(layout).collect())
        })
        .map_err(|error| Error::input(error.to_string()))
    }

    /// Computes the promises.
    pub fn explain(self) -> Result<Explanation> {
        let target = Target::new(self.epsilon, self.delta).map_err(|e| Error::input(e.to_string()))?;
        if self.rounds == 0 || self.blocks.is_empty() {
            return Err(Error::input("a plan needs at least one round and one block"));
        }
        if self.check_in.is_some_and(|q| !(q > 0.0 && q <= 1.0)) {
            return Err(Error::input("check_in must be above 0 and at most 1"));
        }
        let plan = self.plan(target.rho(self.mechanism))?;
        let samplers = Samplers::new(&plan)?;
        let rounds = if self.strategy().is_some() { 1.0 } else { f64::from(self.rounds) };
        let distance = samplers.distance(&plan, plan.cohort()) * f64::from(self.rounds);
        let epsilon =
            |honest: usize| Claim::new(plan.rho_with(honest) * rounds, self.delta, self.mode, self.mechanism).epsilon;
        let lines = lines(&self, &plan, &epsilon);
        Ok(Explanation { lines, file: self, plan, distance })
    }
}

fn lines(file: &PlanFile, plan: &RoundPlan, epsilon: &dyn Fn(usize) -> f64) -> Vec<Line> {
    let sums = match file.mechanism {
        Mechanism::DiscreteGaussian => {
            "Kairouz, Liu, Steinke 2021, thm 1; zCDP; Canonne, Kamath, Steinke 2020, prop. 12"
        }
        Mechanism::Skellam => {
            "Agarwal, Kairouz, Liu 2021, thm 3.5, integer orders; Canonne, Kamath, Steinke 2020, prop. 12"
        }
    };
    let line = |against: &str, epsilon: f64, theorem, assumes: &str| Line {
        against: against.to_owned(),
        epsilon,
        theorem,
        assumes: assumes.to_owned(),
    };
    const NOTHING: &str = "none: nothing is promised";
    let (cohort, honest) = (file.cohort, plan.honest());
    let mut lines = Vec::new();
    match file.mode {
        Mode::Secure => {
            let lost = cohort - honest;
            let masks = "masks hide all but the sum";
            lines.push(line(
                "the coordinator, with nobody",
                epsilon(cohort),
                sums,
                &format!("{masks}; all {cohort} devices are honest and survive"),
            ));
            lines.push(line(
                &format!("the coordinator, with {lost} colluders or lost devices"),
                epsilon(honest),
                sums,
                &format!("{masks}; {honest} devices are honest and survive: the plan's claim"),
            ));
            let more = honest / 2;
            lines.push(line(
                &format!("the coordinator, with {} colluders", cohort - more),
                epsilon(more),
                sums,
                &format!("{masks}; only {more} are honest: beyond the plan"),
            ));
            lines.push(line("the coordinator, with all others", epsilon(1), sums, "the device's own noise alone"));
            lines.push(line(
                "readers of the models",
                epsilon(cohort),
                sums,
                &format!("all {cohort} devices are honest and survive"),
            ));
        }
        Mode::Local => {
            lines.push(line(
                "anybody, with everybody",
                epsilon(1),
                sums,
                "nothing: the device adds all the noise itself",
            ));
        }
        Mode::Central => {
            lines.push(line("the coordinator", f64::INFINITY, NOTHING, "it sees exact sums and is trusted"));
            lines.push(line(
                "readers of the models",
                epsilon(honest),
                sums,
                "the coordinator adds the noise and keeps the sums",
            ));
        }
        Mode::CentralMf => {
            lines.push(line("the coordinator", f64::INFINITY, NOTHING, "it sees exact sums and is trusted"));
            lines.push(line(
                "readers of all models",
                epsilon(honest),
                "Choquette-Choo et al. 2023 (C G + Z); zCDP of a Gaussian; Canonne, Kamath, Steinke 2020, prop. 12",
                &format!(
                    "devices keep {} rounds from one participation to the next; noise in double precision, rounded",
                    file.separation
                ),
            ));
        }
    }
    if let (Some(rate), Mode::Secure | Mode::Central) = (file.check_in, file.mode) {
        // The vector's noise multiplier in one round, with all blocks together.
        let noise_multiplier = (0.5 / plan.rho_with(honest)).sqrt();
        let mechanism = loss::Mechanism::PoissonGaussian { rate, noise_multiplier };
        lines.push(line(
            &format!("readers of the models, who see nobody take part (heuristic, check-in {rate})"),
            loss::epsilon(&[(mechanism, u64::from(file.rounds))], file.delta),
            "privacy loss distributions; connect the dots (Doroshenko et al. 2022)",
            "each device draws by itself and in secret; HEURISTIC: as if the noise were continuous; never against the coordinator",
        ));
    }
    lines.push(line(
        "the network",
        f64::INFINITY,
        NOTHING,
        "sees ciphertext and who is connected; that a device takes part is not hidden",
    ));
    lines
}

impl Explanation {
    /// The table and the plan's numbers, for a terminal.
    pub fn text(&self) -> String {
        let (file, plan) = (&self.file, &self.plan);
        let mut text = String::new();
        let adjacency = match file.mode {
            Mode::Local => "replace-one: its vector against any other",
            _ => "zero-out: its vector against zeros",
        };
        let _ = writeln!(
            text,
            "One device over {} rounds, delta {:e} ({adjacency}). Mode {}, {} noise.\n",
            file.rounds,
            file.delta,
            file.mode.name(),
            file.mechanism
        );
        let width = self.lines.iter().map(|l| l.against.len()).max().unwrap_or(0);
        let _ = writeln!(text, "{:width$}  epsilon", "against");
        for line in &self.lines {
            let epsilon = if line.epsilon.is_finite() { rounded::up(line.epsilon, 3) } else { "none".to_owned() };
            let _ = writeln!(text, "{:width$}  {epsilon:>7}  assumes: {}", line.against, line.assumes);
            let _ = writeln!(text, "{:width$}           by: {}", "", line.theorem);
        }
        let _ = writeln!(text, "\nIn words: {}\n", self.words());
        let _ = writeln!(
            text,
            "The sum: {} bits a value, {} values; wraps around with probability at most {:.1e} (promised {:.1e}).",
            plan.bits(),
            plan.values(),
            plan.wrap_probability(),
            WRAP_PROBABILITY
        );
        if plan.mode() == Mode::Secure {
            let _ = writeln!(text, "{}", masks(plan));
        }
        let _ = writeln!(
            text,
            "The samplers' distance from their law over all rounds: {} in total variation; it adds (1 + e^epsilon) \
             times that to delta.",
            rounded::up_small(self.distance)
        );
        for block in plan.blocks() {
            let sigma = (block.local_variance as f64).sqrt();
            let _ = writeln!(
                text,
                "block '{}': clip {}, grid gamma {:.3e}, bound B {} grid units (clip x {:.4}), beta e^-1/2, local sigma \
                 {:.1} grid units, tau {}, {}rho {} a round",
                block.layout.name,
                block.layout.clip,
                block.grid,
                rounded::up((block.bound_squared as f64).sqrt(), 1),
                (block.bound_squared as f64).sqrt() * block.grid / block.layout.clip,
                sigma,
                rounded::up_small(distributed::tau(sigma, plan.honest())),
                if block.layout.rotation == Rotation::Hadamard { "rotated, " } else { "" },
                rounded::up_scientific(block.rho, 3)
            );
        }
        text
    }

    fn words(&self) -> String {
        let odds = |epsilon: f64| format!("{} times", rounded::up(math::exp(epsilon), 1));
        match self.file.mode {
            Mode::Secure => {
                let claim = self.lines[1].epsilon;
                format!(
                    "whatever somebody believes about one listener, seeing all that the coordinator sees changes the odds by \
                     at most {}, except with probability about {:e}. That holds with up to {} of {} devices against the \
                     listener. Alone against all others, a device's own noise promises epsilon {}.",
                    odds(claim),
                    self.file.delta,
                    self.file.cohort - self.plan.honest(),
                    self.file.cohort,
                    rounded::up(self.lines[3].epsilon, 1)
                )
            }
            Mode::Local => format!(
                "whatever somebody believes about one listener, seeing what the device sends changes the odds by at most {}, \
                 except with probability about {:e}. Nobody is trusted.",
                odds(self.lines[0].epsilon),
                self.file.delta
            ),
            Mode::Central | Mode::CentralMf => format!(
                "the coordinator sees exact sums: against it nothing is promised. For those who see the models alone, the \
                 odds change by at most {}, except with probability about {:e}.",
                odds(self.lines[1].epsilon),
                self.file.delta
            ),
        }
    }
}

/// What the plan becomes under masks, with the usual assumptions.
fn masks(plan: &RoundPlan) -> String {
    let assumed = Assumptions::default();
    let terms = match Terms::new("plan", 0, plan, [0; 32], assumed) {
        Ok(terms) => terms,
        Err(error) => return format!("Under masks this plan has no rounds: {error}."),
    };
    let degree = assumed.degree(terms.cohort()).expect("terms of a cohort have a graph");
    format!(
        "Under masks ({} % colluding and {} % dropping out at most, 2^-{}): {} neighbours a device, {} of which open a secret; \
         a sum is opened for {} survivors or more; a vector has {} bytes.",
        100.0 * assumed.colluding,
        100.0 * assumed.dropping,
        assumed.security_bits,
        degree.neighbours,
        degree.threshold,
        terms.min_survivors(),
        terms.shape().bytes()
    )
}
