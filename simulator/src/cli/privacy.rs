//! `privacy`: epsilons, calibration, plans in words, the audit.

use crate::error::{Error, Result};
use crate::output;
use crate::privacy::{audit, explain::PlanFile};
use clap::{Args, Subcommand, ValueEnum};
use sordino_shared::math;
use sordino_shared::privacy::accountant::calibrate::{Cost, calibrate};
use sordino_shared::privacy::accountant::correlated::{ParticipationLimits, Strategy, tree_sensitivity_squared};
use sordino_shared::privacy::accountant::distributed::Sensitivity;
use sordino_shared::privacy::accountant::{Target, gaussian, loss, renyi, zcdp};
use sordino_shared::privacy::ledger::History;
use sordino_shared::privacy::rounded;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Command {
    /// The epsilon of some releases.
    Epsilon {
        #[command(flatten)]
        releases: Releases,
        /// Noise: deviation over sensitivity for Gaussians, scale over sensitivity for Laplace, variance for Skellam,
        /// probability of a random answer for randomised response, rho for zCDP.
        #[arg(long, allow_negative_numbers = true)]
        noise: f64,
    },
    /// The least noise for an epsilon.
    Calibrate {
        #[command(flatten)]
        releases: Releases,
        /// The epsilon not to pass.
        #[arg(long, allow_negative_numbers = true)]
        epsilon: f64,
    },
    /// What a plan promises, against whom, and why.
    Explain {
        /// A plan as TOML; simulator/plans has examples.
        plan: PathBuf,
    },
    /// What a ledger says, in plain words.
    Ledger {
        /// The ledger's file.
        file: PathBuf,
    },
    /// Attack the pipeline itself: canaries, membership inference, local mechanisms, and controls that must be caught.
    Audit {
        /// Seed of the attacks.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A file for the result as Markdown; `-` for standard output, with the text on standard error.
        #[arg(long)]
        markdown: Option<PathBuf>,
        /// Fewer canaries and trials, for a quick look.
        #[arg(long)]
        quick: bool,
    },
}

#[derive(Args)]
pub(super) struct Releases {
    /// The mechanism.
    #[arg(long, value_enum)]
    mechanism: Kind,
    /// How often it is used.
    #[arg(long, default_value_t = 1)]
    steps: u64,
    /// Delta: the probability with which the promise of epsilon may fail.
    #[arg(long, default_value_t = 1e-6, allow_negative_numbers = true)]
    delta: f64,
    /// Probability of taking part in a step (poisson-gaussian), or cohort over population (without-replacement).
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    rate: f64,
    /// Sensitivity in whole numbers (discrete mechanisms).
    #[arg(long, default_value_t = 1)]
    sensitivity: u32,
    /// Number of answers (randomised-response).
    #[arg(long, default_value_t = 2)]
    choices: u32,
    /// Rounds from one participation to the next (matrix, tree).
    #[arg(long, default_value_t = 1)]
    separation: u32,
    /// Participations at most (tree).
    #[arg(long, default_value_t = 1)]
    participations: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Gaussian noise; exact (Balle and Wang 2018).
    Gaussian,
    /// Gaussian noise on a secret Poisson sample; add-or-remove-one.
    PoissonGaussian,
    /// Gaussian noise on a cohort of fixed size; replace-one, Renyi.
    WithoutReplacement,
    /// Laplace noise.
    Laplace,
    /// Discrete Laplace noise.
    DiscreteLaplace,
    /// Randomised response; replace-one.
    RandomisedResponse,
    /// Discrete Gaussian noise on one count; for vectors use zcdp.
    DiscreteGaussian,
    /// Skellam noise on one count.
    Skellam,
    /// Anything that costs rho in zCDP, such as vectors with discrete Gaussian noise.
    Zcdp,
    /// Correlated noise, banded square root; `--steps` are the rounds.
    Matrix,
    /// Tree aggregation; `--steps` are the rounds.
    Tree,
}

struct Figures {
    epsilon: f64,
    by: &'static str,
    check: Option<f64>,
}

impl Releases {
    fn check(&self) -> Result<()> {
        Target::new(1.0, self.delta).map_err(|e| Error::input(e.to_string()))?;
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return Err(Error::input(format!("--rate must be above 0 and at most 1, not {}", self.rate)));
        }
        if self.sensitivity == 0
            || self.steps == 0
            || self.choices < 2
            || self.separation == 0
            || self.participations == 0
        {
            return Err(Error::input(
                "--steps, --sensitivity, --separation and --participations must be at least 1, and --choices at least 2",
            ));
        }
        if matches!(self.mechanism, Kind::Matrix | Kind::Tree) && self.steps > 1 << 20 {
            return Err(Error::input("--steps must be at most 1048576 rounds for matrix and tree"));
        }
        Ok(())
    }

    fn check_noise(&self, noise: f64) -> Result<()> {
        let response = self.mechanism == Kind::RandomisedResponse;
        if !(noise > 0.0 && noise.is_finite()) || (response && noise >= 1.0) {
            let range = if response { "between 0 and 1" } else { "positive and finite" };
            return Err(Error::input(format!(
                "--noise must be {range}, not {noise}: without noise nothing is promised"
            )));
        }
        Ok(())
    }

    fn figures(&self, noise: f64) -> Result<Figures> {
        let (delta, steps) = (self.delta, self.steps);
        let sensitivity = self.sensitivity;
        let tight = |mechanism: loss::Mechanism, check: Option<renyi::Mechanism>| {
            let check = check.map(|mechanism| renyi::epsilon(&[(mechanism, steps)], delta));
            let by_loss = loss::epsilon(&[(mechanism, steps)], delta);
            // Both are upper bounds: the smaller one counts.
            match check {
                Some(check) if check < by_loss => {
                    Figures { epsilon: check, by: "Renyi divergence or zCDP", check: None }
                }
                _ => Figures { epsilon: by_loss, by: "privacy loss distributions", check },
            }
        };
        let gaussian = |z: f64, by: &'static str| Figures {
            epsilon: gaussian::epsilon(&[z], delta),
            by,
            check: Some(zcdp::epsilon(0.5 / (z * z), delta)),
        };
        let strategy = |e: sordino_shared::privacy::accountant::correlated::Error| Error::input(e.to_string());
        Ok(match self.mechanism {
            Kind::Gaussian => gaussian(noise / (steps as f64).sqrt(), "exact (Balle and Wang 2018)"),
            Kind::PoissonGaussian => tight(
                loss::Mechanism::PoissonGaussian { rate: self.rate, noise_multiplier: noise },
                Some(renyi::Mechanism::PoissonGaussian { rate: self.rate, noise_multiplier: noise }),
            ),
            Kind::WithoutReplacement => {
                let mechanism =
                    renyi::Mechanism::WithoutReplacementGaussian { rate: self.rate, noise_multiplier: noise };
                let epsilon = renyi::epsilon(&[(mechanism, steps)], delta);
                Figures { epsilon, by: "Renyi (Wang, Balle and Kasiviswanathan 2019), replace-one", check: None }
            }
            Kind::Laplace => {
                tight(loss::Mechanism::Laplace { scale: noise }, Some(renyi::Mechanism::Laplace { scale: noise }))
            }
            Kind::DiscreteLaplace => {
                tight(loss::Mechanism::DiscreteLaplace { inverse_scale: 1.0 / noise, sensitivity }, None)
            }
            Kind::RandomisedResponse => tight(
                loss::Mechanism::RandomisedResponse { noise, choices: self.choices },
                Some(renyi::Mechanism::RandomisedResponse { noise, choices: self.choices }),
            ),
            Kind::DiscreteGaussian => {
                let rho = math::powi(f64::from(sensitivity) / noise, 2) / 2.0;
                let concentrated = renyi::Mechanism::Concentrated { rho };
                tight(loss::Mechanism::DiscreteGaussian { deviation: noise, sensitivity }, Some(concentrated))
            }
            Kind::Skellam => {
                let size = f64::from(sensitivity);
                let sensitivity_of = Sensitivity { l2_squared: size * size, l1: size };
                let check = renyi::Mechanism::Skellam { sensitivity: sensitivity_of, variance: noise };
                tight(loss::Mechanism::Skellam { variance: noise, sensitivity }, Some(check))
            }
            Kind::Zcdp => Figures {
                epsilon: zcdp::epsilon(noise * steps as f64, delta),
                by: "zCDP (Canonne, Kamath and Steinke 2020, proposition 12)",
                check: None,
            },
            Kind::Matrix => {
                let sensitivity = Strategy::new(steps as usize, self.separation).sensitivity().map_err(strategy)?;
                gaussian(noise / sensitivity, "matrix mechanism (Choquette-Choo et al. 2023), exact Gaussian")
            }
            Kind::Tree => {
                let limits = ParticipationLimits { most: self.participations, separation: self.separation };
                let squared = tree_sensitivity_squared(steps as usize, limits).map_err(strategy)?;
                gaussian(noise / squared.sqrt(), "tree aggregation (Kairouz et al. 2021), exact Gaussian")
            }
        })
    }

    // The least noise whose epsilon is at most the target, and that epsilon.
    fn calibrate(&self, target: f64) -> Result<(f64, f64)> {
        // Refusals do not depend on the noise: once asked for here, the cost below cannot fail.
        self.figures(0.5)?;
        let cost = |noise: f64| self.figures(noise).map_or(f64::INFINITY, |figures| figures.epsilon);
        let direction = if self.mechanism == Kind::Zcdp { Cost::Rises } else { Cost::Falls };
        let range = if self.mechanism == Kind::RandomisedResponse { (0.0, 1.0) } else { (1e-9, 1e9) };
        let noise = calibrate(target, cost, direction, range).ok_or_else(|| {
            Error::input(format!("no noise in reach keeps epsilon {target} over {} steps", self.steps))
        })?;
        Ok((noise, cost(noise)))
    }
}

pub(super) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Epsilon { releases, noise } => {
            releases.check()?;
            releases.check_noise(*noise)?;
            let figures = releases.figures(*noise)?;
            output::say(&format!("epsilon {} at delta {:e}\n", rounded::up(figures.epsilon, 6), releases.delta));
            output::say(&format!("by {}\n", figures.by));
            if let Some(check) = figures.check {
                output::say(&format!("beside it, by Renyi divergence or zCDP: {}\n", rounded::up(check, 6)));
            }
            output::say(&format!("{}\n", caution(releases.mechanism)));
        }
        Command::Calibrate { releases, epsilon } => {
            releases.check()?;
            Target::new(*epsilon, releases.delta).map_err(|e| Error::input(e.to_string()))?;
            let (noise, spent) = releases.calibrate(*epsilon)?;
            let spent = rounded::up(spent, 6);
            output::say(&format!("noise {noise}: epsilon {spent} of {epsilon} at delta {:e}\n", releases.delta));
            output::say(&format!("{}\n", caution(releases.mechanism)));
        }
        Command::Explain { plan } => output::say(&PlanFile::read(plan)?.explain()?.text()),
        Command::Ledger { file } => {
            let ledger = History::read(file).map_err(|error| Error::input(error.to_string()))?;
            output::say(&ledger.in_words());
        }
        Command::Audit { seed, markdown, quick } => {
            let report = audit::run(*seed, *quick)?;
            output::tell_people(markdown.as_deref(), &report.text());
            if let Some(path) = markdown {
                output::write_to(path, report.markdown().as_bytes())?;
            }
            if !report.passed() {
                return Err(Error::input("the audit failed: see the lines marked FAILED"));
            }
        }
    }
    Ok(())
}

fn caution(kind: Kind) -> &'static str {
    match kind {
        Kind::PoissonGaussian => {
            "add-or-remove-one; only where sampling is secret and independent: never against a coordinator"
        }
        Kind::WithoutReplacement => "replace-one; the sample must be secret",
        Kind::RandomisedResponse => "replace-one",
        Kind::Matrix | Kind::Tree => "zero-out; the coordinator is trusted with the sums",
        _ => "for neighbours that differ by the sensitivity given",
    }
}
