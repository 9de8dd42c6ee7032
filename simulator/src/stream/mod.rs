//! A model that is learnt while music and listeners change: on every step of the stream the fleet trains on what its devices have by
//! then and is measured on what their listeners like next.
//!
//! Three ways of keeping up share one budget for a device: one training at the beginning that spends all of it, a training anew on
//! every step, and one that goes on from the model before. Popularity and a central factorisation of the same day stand beside
//! them. Whatever model a device has, it solves for its listener from all that it has heard by then.

mod text;

pub use text::{page, text};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::evaluation::{Part, evaluate};
use crate::experiment;
use crate::federation::Federation;
use crate::methods::{self, IalsSettings, Method, Scorer};
use crate::population::{Population, Protocol, first_likes};
use crate::progress;
use crate::scenario::{self, Auto, Scenario};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sordino_client::event::Timestamp;
use sordino_client::holdout::Holdout;
use sordino_coordinator::planner::{Schedule, Shares};
use sordino_coordinator::training::Training;
use sordino_shared::evaluate::Interval;
use sordino_shared::model::Model;
use sordino_shared::privacy::Mode;
use sordino_shared::privacy::accountant::{Claim, Target};
use sordino_shared::random::mix;
use std::path::Path;

/// How the stream is cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamSettings {
    /// Days in a step; a fourteenth of what there is where `auto`.
    pub step_days: Auto,
    /// Steps, counted back from the end; what comes before the first is there when the stream begins.
    pub steps: usize,
    /// Days that devices remember; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_days: Option<usize>,
    /// The first training's share of the budget, where others follow; those share the rest alike.
    pub first_share: f64,
    /// Whether a central factorisation is refitted on every step.
    pub central: bool,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { step_days: Auto::Auto, steps: 8, window_days: None, first_share: 0.4, central: true }
    }
}

impl StreamSettings {
    /// Reads a file of settings.
    pub fn read(path: &Path) -> Result<Self> {
        scenario::read_toml(path, "is no file of stream settings")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        scenario::to_toml(self)
    }

    fn check(&self) -> Result<()> {
        if self.steps < 2 || self.step_days == Auto::Given(0) || self.window_days == Some(0) {
            return Err(Error::input(
                "a stream needs at least 2 steps of at least a day, and a window of at least a day",
            ));
        }
        if !(self.first_share > 0.0 && self.first_share < 1.0) {
            return Err(Error::input("`first_share` must lie between 0 and 1: the rest is for the steps that follow"));
        }
        Ok(())
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamResults {
    /// What was asked for.
    pub scenario: Scenario,
    /// How the stream was cut.
    pub settings: StreamSettings,
    /// Days in a step.
    pub step_days: usize,
    /// How many devices the simulated ones stand for.
    pub population: usize,
    /// What a device spends over the whole stream, by each way of keeping up.
    pub claim: Option<Claim>,
    /// The ways of keeping up, in the order of each step's figures.
    pub ways: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Days since the stream began.
    pub day: usize,
    /// Devices that train.
    pub devices: usize,
    /// Of these, how many have joined since the step before.
    pub joined: usize,
    /// Listeners who liked something new on the step.
    pub tested: usize,
    /// The share of what they liked that nobody had liked before.
    pub new_tracks: f64,
    /// NDCG@10 over the catalogue, by way.
    pub ndcg: Vec<Interval>,
    /// Dimensions that are shipped, by way; 0 where popularity was no worse.
    pub dimensions: Vec<usize>,
}

/// Runs a scenario as a stream; the model that went on comes along.
pub fn run(scenario: &Scenario, settings: &StreamSettings) -> Result<(StreamResults, Model)> {
    scenario.check()?;
    settings.check()?;
    if scenario.method != Method::Sordino || scenario.mode == Mode::CentralMf {
        return Err(Error::input(
            "a stream is learnt by Sordino's own training: leave --method and mode central-mf out",
        ));
    }
    scenario.on_threads(|| Stream::new(scenario, settings)?.run())
}

struct Stream<'a> {
    scenario: &'a Scenario,
    settings: &'a StreamSettings,
    dataset: Dataset,
    content: Array2<f64>,
    // The beginning of the first step, and the length of each.
    from: Timestamp,
    step: i64,
    population: usize,
    target: Option<Target>,
}

/// What one way of keeping up has by now.
struct Kept {
    model: Model,
    spent: f64,
}

impl<'a> Stream<'a> {
    fn new(scenario: &'a Scenario, settings: &'a StreamSettings) -> Result<Self> {
        let dataset = experiment::dataset(scenario)?;
        if !dataset.has_clock {
            return Err(Error::input("these plays have no dates, so there is no stream of them: choose another set"));
        }
        let likes = first_likes(&dataset, &scenario.policy()?);
        // The few who are far from all others would stretch the days.
        let at =
            |share: f64| likes.get(((likes.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or_default();
        let (begin, end) = (at(0.01), at(0.99));
        let days = ((end.0 - begin.0) / DAY_MS).max(1) as usize;
        let step_days = settings.step_days.given().unwrap_or((days / 14).max(1));
        let from = Timestamp(end.0 - (settings.steps * step_days) as i64 * DAY_MS);
        if from <= begin {
            let problem =
                format!("{} steps of {step_days} days are more than the {days} days of these plays", settings.steps);
            return Err(Error::input(format!("{problem}: choose fewer or shorter ones")));
        }
        let population = scenario.stands_for(dataset.devices())?;
        let target = scenario.target(population)?;
        let content = methods::content_of(&dataset);
        Ok(Self { scenario, settings, dataset, content, from, step: step_days as i64 * DAY_MS, population, target })
    }

    fn run(mut self) -> Result<(StreamResults, Model)> {
        let budget = self.target.map(|target| target.rho(self.scenario.mechanism));
        let first = |rho: f64| rho * self.settings.first_share;
        let later = |rho: f64| rho * (1.0 - self.settings.first_share) / (self.settings.steps - 1) as f64;
        let mut once: Option<Kept> = None;
        let mut anew: Option<Kept> = None;
        let mut on: Option<Kept> = None;
        let mut steps: Vec<Step> = Vec::new();
        let mut known_tracks = vec![false; self.dataset.tracks()];
        let mut known_devices = vec![false; self.dataset.devices()];
        let bar = progress::steps(self.settings.steps as u64, "steps of the stream");
        for number in 0..self.settings.steps {
            let population = self.population_at(number)?;
            let share = if number == 0 { budget.map(first) } else { budget.map(later) };
            let federation = self.federation(&population, number)?;
            let whole = match once.take() {
                Some(kept) => kept,
                None => self.train(&federation, &population, budget, None)?,
            };
            let again = self.train(&federation, &population, share, None)?.after(anew.as_ref());
            let from = on.as_ref().map(|kept: &Kept| kept.model.clone());
            let going = self.train(&federation, &population, share, from.as_ref())?.after(on.as_ref());
            let mut ndcg = Vec::new();
            for kept in [&whole, &again, &going] {
                ndcg.push(self.ndcg(&population, &kept.model)?);
            }
            ndcg.push(self.ndcg(&population, &methods::train_popularity(&population))?);
            if self.settings.central {
                let d = going.model.dimensions().max(again.model.dimensions()).max(CENTRAL_DIMENSIONS);
                let factors = methods::train_ials(&population, d, IalsSettings::default(), self.scenario.seed);
                ndcg.push(self.ndcg(&population, &factors)?);
            }
            steps.push(Step {
                day: number * (self.step / DAY_MS) as usize,
                devices: population.devices(),
                joined: mark(&mut known_devices, population.origin.iter().map(|&device| device as usize)),
                tested: ndcg[0].listeners,
                new_tracks: new_share(&population, &mut known_tracks),
                dimensions: [&whole, &again, &going].map(|kept| kept.model.dimensions()).to_vec(),
                ndcg,
            });
            (once, anew, on) = (Some(whole), Some(again), Some(going));
            bar.inc(1);
        }
        bar.finish_and_clear();
        let most = [&once, &anew, &on].into_iter().flatten().map(|kept| kept.spent).fold(0.0, f64::max);
        let claim = self.scenario.claim(self.target, Some(most));
        self.dataset.span = None;
        let results = StreamResults {
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            step_days: (self.step / DAY_MS) as usize,
            population: self.population,
            claim,
            ways: WAYS.iter().take(3 + 1 + usize::from(self.settings.central)).map(|way| (*way).to_owned()).collect(),
            steps,
        };
        Ok((results, on.expect("at least two steps").model))
    }

    // What devices have when a step begins, tested on what their listeners like in it.
    fn population_at(&mut self, number: usize) -> Result<Population> {
        let begin = Timestamp(self.from.0 + number as i64 * self.step);
        let since = match self.settings.window_days {
            None => Timestamp(i64::MIN),
            Some(days) => Timestamp(begin.0 - days as i64 * DAY_MS),
        };
        self.dataset.span = Some((since, Timestamp(begin.0 + self.step)));
        let holdout = Holdout::Next { test_from: begin };
        let policy = self.scenario.policy()?;
        Population::hold_out(&self.dataset, &policy, Protocol::Time, &holdout, self.scenario.seed)
    }

    // Of the devices that have joined by then, which stand for their share of the fleet.
    fn federation(&self, population: &Population, number: usize) -> Result<Federation> {
        let simulated = population.devices();
        let stands_for = (self.population as u128 * simulated as u128 / self.dataset.devices().max(1) as u128) as usize;
        let federation = self.scenario.federation(simulated, stands_for.max(simulated));
        Ok(Federation { seed: mix(self.scenario.seed, STREAM, number as u64), ..federation })
    }

    fn train(
        &self,
        federation: &Federation,
        population: &Population,
        rho: Option<f64>,
        earlier: Option<&Model>,
    ) -> Result<Kept> {
        let (dim, rounds) = (self.scenario.dim.given(), self.scenario.rounds.given());
        let schedule = methods::schedule(federation, population.tracks, self.content.ncols() > 0, rho, dim, rounds);
        let hyperparameters = self.scenario.model;
        let training = match earlier {
            Some(Model::Embedding(model)) => {
                let schedule = one_more(&schedule, model.dimensions());
                Training::going_on(schedule, self.content.clone(), hyperparameters, model.table().mapv(f64::from))
            }
            _ => Training::new(schedule, self.content.clone(), hyperparameters),
        };
        let trained = methods::train_rounds(federation, population, training, rho, &|_| None)?;
        Ok(Kept { model: trained.model, spent: trained.rho_spent.unwrap_or(0.0) })
    }

    fn ndcg(&self, population: &Population, scorer: &dyn Scorer) -> Result<Interval> {
        Ok(evaluate(population, scorer, &self.scenario.evaluation(Part::Test))?.metrics["ndcg@10_full"])
    }
}

impl Kept {
    // The same model, which the one before was paid for too.
    fn after(self, before: Option<&Self>) -> Self {
        let spent = self.spent + before.map_or(0.0, |kept| kept.spent);
        Self { spent, ..self }
    }
}

// One round of factors from where a model stands.
fn one_more(planned: &Schedule, dimensions: usize) -> Schedule {
    let shares = Shares { popularity: 0.15, subspace: 0.0, factors: 0.82, comparison: 0.03 };
    let reasons = vec!["one round of factors from the model before".to_owned()];
    Schedule { dimensions, subspace_rounds: 0, factor_rounds: 1, shares, reasons, ..planned.clone() }
}

// Marks what is seen; returns how much of it is new.
fn mark(known: &mut [bool], seen: impl Iterator<Item = usize>) -> usize {
    seen.filter(|&one| !std::mem::replace(&mut known[one], true)).count()
}

// The share of test tracks that no device had liked by now.
fn new_share(population: &Population, known: &mut [bool]) -> f64 {
    for device in 0..population.devices() {
        let learnt =
            population.train.of(device).iter().map(|e| e.track).chain(population.validation.of(device).iter().copied());
        mark(known, learnt.map(|track| track.row()));
    }
    let tested = (0..population.devices()).flat_map(|device| population.test.of(device));
    tested.filter(|track| !known[track.row()]).count() as f64 / population.test.total().max(1) as f64
}

const DAY_MS: i64 = 86_400_000;
const STREAM: u64 = 931;
// Of the central factorisation, where nothing is shipped that has more.
const CENTRAL_DIMENSIONS: usize = 16;
/// Ways of keeping up, and what they are held against.
const WAYS: [&str; 5] = ["once", "anew", "going on", "charts", "central"];
