//! What devices that lie do to a model: its accuracy for everybody else, and how often a track that they push is recommended.
//!
//! Each case is a training of its own with the same seed, so that cases differ by the lie alone. Liars of a smaller share are among
//! those of a larger one, and figures are over listeners who lie in no case.

mod text;

pub use text::{page, text};

use crate::error::{Error, Result};
use crate::evaluation::{Measured, Part, evaluate};
use crate::experiment::Experiment;
use crate::federation::{Bound, Federation, Fidelity, Lie, Poison};
use crate::methods::{Method, Trained};
use crate::population::Population;
use crate::progress;
use crate::scenario::{self, Scenario};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sordino_shared::evaluate::{Interval, Paired, paired};
use sordino_shared::ids::TrackId;
use sordino_shared::model::Example;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::{distinct_below, mix};
use std::path::Path;

/// What is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoisonSettings {
    /// Shares of devices that lie.
    pub shares: Vec<f64>,
    /// How many times too long the vectors of devices are whose code nothing holds to its bound.
    pub times: usize,
    /// Tracks of the charts in a made-up history, beside the one that is pushed.
    pub charts: usize,
}

impl Default for PoisonSettings {
    fn default() -> Self {
        Self { shares: vec![0.001, 0.01, 0.1], times: 10, charts: 15 }
    }
}

impl PoisonSettings {
    /// Reads a file of settings.
    pub fn read(path: &Path) -> Result<Self> {
        scenario::read_toml(path, "is no file of poisoning settings")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        scenario::to_toml(self)
    }

    fn check(&self) -> Result<()> {
        if self.shares.is_empty() || self.shares.iter().any(|share| !(*share > 0.0 && *share <= 0.5)) {
            return Err(Error::input("shares of liars must be above 0 and at most 0.5: give at least one"));
        }
        if !(2..=1_000_000).contains(&self.times) {
            return Err(Error::input(
                "`times` must be from 2 to 1000000: vectors of the length that is allowed are tried anyway",
            ));
        }
        Ok(())
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoisonResults {
    /// What was asked for.
    pub scenario: Scenario,
    /// What was tried.
    pub settings: PoisonSettings,
    /// Devices simulated, and how many they stand for.
    pub devices: (usize, usize),
    /// Listeners that the figures are over.
    pub listeners: usize,
    /// What each training costs a device.
    pub claim: Option<Claim>,
    /// The track that is pushed: its name, and how many listeners know it.
    pub pushed: (String, usize),
    /// The trainings; the first is without liars.
    pub cases: Vec<Case>,
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What liars do, in words.
    pub lie: String,
    /// What bounds them, in words.
    pub bound: String,
    /// The share of devices that lie.
    pub share: f64,
    /// NDCG@10 over the catalogue.
    pub ndcg: Interval,
    /// How much of it is lost against the first case, listener by listener.
    pub lost: Paired,
    /// The share of listeners whose list of ten has the pushed track.
    pub exposure: f64,
    /// Dimensions that are shipped; 0 where the comparison found popularity no worse.
    pub dimensions: usize,
}

/// Trains a scenario with liars of all kinds.
pub fn run(scenario: &Scenario, settings: &PoisonSettings) -> Result<PoisonResults> {
    scenario.check()?;
    settings.check()?;
    if scenario.method != Method::Sordino {
        return Err(Error::input("liars are simulated in Sordino's own training: leave --method out"));
    }
    if scenario.fidelity != Fidelity::Learning {
        return Err(Error::input("liars are simulated with one draw of noise for a sum: leave --fidelity out"));
    }
    scenario.on_threads(|| Trials::new(scenario, settings)?.run())
}

struct Trials<'a> {
    scenario: &'a Scenario,
    settings: &'a PoisonSettings,
    experiment: Experiment<'a>,
    // Devices in the order in which they become liars.
    order: Vec<usize>,
    pushed: TrackId,
    // The best known tracks.
    charts: Vec<TrackId>,
    // Everybody's true history, with tests for those who never lie.
    tested: Population,
}

impl<'a> Trials<'a> {
    fn new(scenario: &'a Scenario, settings: &'a PoisonSettings) -> Result<Self> {
        let experiment = Experiment::new(scenario)?;
        let population = &experiment.population;
        let mut rng = ChaCha8Rng::seed_from_u64(mix(scenario.seed, LIAR_STREAM, 0));
        let order = distinct_below(&mut rng, population.devices(), population.devices());
        let popularity = population.popularity();
        let mut ranked: Vec<usize> = (0..popularity.len()).collect();
        ranked.sort_by(|&a, &b| popularity[b].total_cmp(&popularity[a]).then(a.cmp(&b)));
        // One that somebody knows and hardly anybody is recommended.
        let known = popularity.iter().filter(|&&listeners| listeners > 0.0).count();
        let pushed = TrackId(ranked[known * 7 / 10] as u32);
        let charts = ranked.iter().take(CHART_LENGTH).map(|&t| TrackId(t as u32)).filter(|&t| t != pushed).collect();
        let most = settings.shares.iter().copied().fold(0.0, f64::max);
        let mut ever = vec![false; population.devices()];
        order.iter().take(liars(most, population.devices())).for_each(|&device| ever[device] = true);
        let tested = population.tested_only(|device| !ever[device]);
        Ok(Self { scenario, settings, order, pushed, charts, tested, experiment })
    }

    fn run(&self) -> Result<PoisonResults> {
        let population = &self.experiment.population;
        let (clean, trained) = self.case(None)?;
        let mut cases = vec![self.told(("nobody lies", Bound::Rows, 0.0), &clean, &clean)];
        let push = Lie::Push(self.pushed.0);
        let bar = progress::steps((6 * self.settings.shares.len()) as u64, "trainings with liars");
        let none = Bound::None { times: self.settings.times };
        let kinds = [
            ("signs are flipped", Lie::Flip, Bound::Rows),
            ("signs are flipped", Lie::Flip, none),
            ("a history is made up", Lie::Nothing, Bound::Rows),
            ("one row takes all", push, Bound::Rows),
            ("one row takes all", push, Bound::Norm),
            ("one row takes all", push, none),
        ];
        for (words, lie, bound) in kinds {
            for &share in &self.settings.shares {
                let mut liars_ = vec![false; population.devices()];
                self.order.iter().take(liars(share, population.devices())).for_each(|&device| liars_[device] = true);
                let (result, _) = self.case(Some(Poison { liars: liars_, lie, bound }))?;
                cases.push(self.told((words, bound, share), &result, &clean));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(PoisonResults {
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            devices: (population.devices(), self.experiment.federation.population),
            listeners: clean.measured.ndcg_by_listener.len(),
            claim: self.scenario.claim(self.experiment.target, trained.rho_spent),
            pushed: self.pushed_name(),
            cases,
        })
    }

    // A training with these liars, measured on those who never lie.
    fn case(&self, poison: Option<Poison>) -> Result<(CaseResult, Trained)> {
        let population = match &poison {
            Some(poison) if poison.lie != Lie::Flip => self.with_made_up(&poison.liars),
            _ => self.experiment.population.clone(),
        };
        let federation = Federation { poison, ..self.experiment.federation.clone() };
        let trained = self.experiment.train_over(&federation, &population)?;
        let measured = evaluate(&self.tested, &trained.model, &self.scenario.evaluation(Part::Test))?;
        Ok((CaseResult { measured, dimensions: trained.model.dimensions() }, trained))
    }

    // Liars say that they love the pushed track and some of the charts.
    fn with_made_up(&self, liars: &[bool]) -> Population {
        self.experiment.population.with_histories(|device| {
            if !liars[device] {
                return None;
            }
            let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, HISTORY_STREAM, device as u64));
            let chosen = distinct_below(&mut rng, self.charts.len(), self.settings.charts.min(self.charts.len()));
            let mut history: Vec<Example> =
                chosen.into_iter().map(|place| Example { track: self.charts[place], confidence: 1.0 }).collect();
            history.push(Example { track: self.pushed, confidence: LOVED });
            history.sort_by_key(|example| example.track);
            Some(history)
        })
    }

    fn told(&self, (lie, bound, share): (&str, Bound, f64), result: &CaseResult, clean: &CaseResult) -> Case {
        let (ours, theirs) = (&result.measured, &clean.measured);
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, TEST_STREAM, 0));
        Case {
            lie: lie.to_owned(),
            bound: match bound {
                Bound::None { times } => format!("none: {times} times the length"),
                Bound::Norm => "the vector's length".to_owned(),
                Bound::Rows => "rows and vector, as the plan has it".to_owned(),
            },
            share,
            ndcg: ours.metrics["ndcg@10_full"],
            lost: paired(&theirs.ndcg_full_by_listener, &ours.ndcg_full_by_listener, &mut rng),
            exposure: f64::from(ours.exposure[self.pushed.row()]) / ours.ndcg_by_listener.len().max(1) as f64,
            dimensions: result.dimensions,
        }
    }

    fn pushed_name(&self) -> (String, usize) {
        let dataset = &self.experiment.dataset;
        let title = &dataset.titles[self.pushed.row()];
        let name = if title.is_empty() { &dataset.track_names[self.pushed.row()] } else { title };
        (name.clone(), self.experiment.population.popularity()[self.pushed.row()] as usize)
    }
}

struct CaseResult {
    measured: Measured,
    dimensions: usize,
}

// At least one, so that a small population has somebody who lies.
fn liars(share: f64, devices: usize) -> usize {
    ((share * devices as f64).round() as usize).max(1)
}

const LIAR_STREAM: u64 = 921;
const HISTORY_STREAM: u64 = 922;
const TEST_STREAM: u64 = 923;
const CHART_LENGTH: usize = 50;
// The confidence of a like.
const LOVED: f32 = 3.0;
