//! One run from beginning to end: data, population, methods, results.

mod notes;

use crate::catalogue;
use crate::dataset::{Dataset, Source};
use crate::error::{Error, Result};
use crate::evaluation::{self, Part, evaluate, mean_ndcg};
use crate::federation::{Federation, Fidelity};
use crate::loaders::{self, BadRows};
use crate::methods::{self, IalsSettings, Method, Scorer, Trained, Tuned};
use crate::output::{CurvePoint, MethodResult, Results, peak_memory, reset_peak_memory};
use crate::population::Population;
use crate::progress;
use crate::scenario::{Auto, DESCENT_ROUNDS, Epsilon, Scenario};
use crate::world::World;
use ndarray::Array2;
use sordino_coordinator::planner::Schedule;
use sordino_shared::model::{Example, Model, Solver};
use sordino_shared::privacy::accountant::Target;
use sordino_shared::workload::GradientSettings;
use std::collections::BTreeMap;
use std::time::Instant;

/// Runs a scenario; the main method's model comes with the results.
pub fn run(scenario: &Scenario) -> Result<(Results, Option<Model>)> {
    run_and_tell(scenario, &|_| {})
}

/// Runs a scenario and tells what is known already.
pub fn run_and_tell(scenario: &Scenario, tell: &Tell<'_>) -> Result<(Results, Option<Model>)> {
    scenario.check()?;
    scenario.on_threads(|| Experiment::new(scenario)?.run(tell))
}

/// A method's results, as soon as it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The method's name.
    pub method: &'a str,
    /// What was measured.
    pub result: &'a MethodResult,
    /// What is still to come, in words; nothing after the last.
    pub to_come: &'a [&'a str],
}

/// Who is told of [`Measured`], method by method.
pub type Tell<'a> = dyn Fn(Measured<'_>) + Sync + 'a;

/// The data set of a scenario.
pub fn dataset(scenario: &Scenario) -> Result<Dataset> {
    if scenario.data != "synthetic" {
        let bad_rows = if scenario.strict { BadRows::Refused } else { BadRows::LeftOut };
        return loaders::load_with(&scenario.data, bad_rows);
    }
    let world = World::new(scenario.world.clone(), scenario.seed);
    Ok(Dataset {
        name: "synthetic".into(),
        track_names: world.catalogue().names(),
        titles: vec![String::new(); world.catalogue().names().len()],
        content: world.content(),
        dated: true,
        has_clock: true,
        now: world.now(),
        fixed_test: None,
        passed_over: Vec::new(),
        notes: Vec::new(),
        span: None,
        source: Source::World(Box::new(world)),
    })
}

/// A scenario with its data at hand.
pub(crate) struct Experiment<'a> {
    scenario: &'a Scenario,
    pub(crate) dataset: Dataset,
    pub(crate) population: Population,
    content: Array2<f64>,
    pub(crate) federation: Federation,
    pub(crate) target: Option<Target>,
}

/// A method that has learnt what it could.
pub(crate) struct Learnt {
    pub(crate) scorer: Box<dyn Scorer>,
    pub(crate) seconds: f64,
    // Where devices took part.
    pub(crate) trained: Option<Trained>,
    pub(crate) settings: String,
}

impl<'a> Experiment<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Result<Self> {
        let policy = scenario.policy()?;
        let dataset = dataset(scenario)?;
        let population = Population::build(&dataset, &policy, scenario.protocol, scenario.seed)?;
        if let Auto::Given(d) = scenario.dim
            && d > population.tracks
        {
            return Err(Error::input(format!(
                "--dim {d} is more than the catalogue's {} tracks: choose fewer dimensions",
                population.tracks
            )));
        }
        let devices = scenario.stands_for(population.devices())?;
        let federation = scenario.federation(population.devices(), devices);
        let target = scenario.target(devices)?;
        let content = methods::content_of(&dataset);
        Ok(Self { scenario, dataset, population, content, federation, target })
    }

    fn run(&self, tell: &Tell<'_>) -> Result<(Results, Option<Model>)> {
        let schedule = self.main_schedule();
        let order = self.methods();
        let stages = self.stages(&order);
        let mut done = BTreeMap::new();
        let (mut model, mut rho_spent, mut rounds, mut fallback) = (None, None, 0, None);
        for (place, &method) in order.iter().enumerate() {
            let (result, trained) = self.method(method, &schedule)?;
            tell(Measured { method: method.name(), result: &result, to_come: &stages[place + 1..] });
            if method == self.scenario.method
                && let Some(trained) = trained
            {
                rounds =
                    trained.rounds.iter().filter(|r| !matches!(r.kind.as_str(), "popularity" | "comparison")).count();
                rho_spent = trained.rho_spent;
                fallback = trained.fallback;
                model = Some(trained.model);
            }
            done.insert(method.name().to_owned(), result);
        }
        if let Some(world) = self.dataset.world() {
            let result = self.truth(world)?;
            tell(Measured { method: "truth", result: &result, to_come: &stages[order.len() + 1..] });
            done.insert("truth".to_owned(), result);
        }
        let claim = self.scenario.claim(self.target, rho_spent);
        let curve = self.curve(&done)?;
        let mut popularity = self.population.popularity();
        let catalogue = match &model {
            Some(Model::Embedding(model)) => {
                Some(catalogue::map(model, &self.dataset, &popularity, self.scenario.seed))
            }
            _ => None,
        };
        popularity.sort_by(|a, b| b.total_cmp(a));
        let mut history_classes = vec![0u64; 14];
        for device in 0..self.population.devices() {
            let tracks = self.population.train.of(device).len() as u32;
            history_classes[(u32::BITS - tracks.leading_zeros()).min(13) as usize] += 1;
        }
        let results = Results {
            scenario: self.scenario.clone(),
            notes: self.notes(claim.as_ref(), fallback),
            devices: self.population.devices(),
            tracks: self.population.tracks,
            examples: self.population.train.total(),
            population: self.federation.population,
            threads: rayon::current_num_threads(),
            rounds,
            model_sha256: model.as_ref().map(Model::sha256),
            claim,
            schedule: (self.scenario.method == Method::Sordino).then_some(schedule),
            summary: self.population.summary.clone(),
            passed_over: self.dataset.passed_over.clone(),
            history_classes,
            popularity,
            catalogue,
            methods: done,
            curve,
        };
        Ok((results, model))
    }

    // What a run measures, in its order.
    fn stages(&self, order: &[Method]) -> Vec<&'static str> {
        let mut stages: Vec<&str> = order.iter().map(|method| method.name()).collect();
        stages.extend(self.dataset.world().map(|_| "truth"));
        stages.extend(self.has_curve().then_some("curve"));
        stages
    }

    fn has_curve(&self) -> bool {
        !self.scenario.curve.is_empty() && self.population.devices() <= MOST_FOR_CURVE
    }

    /// The method that the scenario is about, then those to compare with.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let mut order: Vec<Method> = vec![self.scenario.method];
        order.extend(self.scenario.baselines.iter().filter(|&&b| b != self.scenario.method));
        order
    }

    /// What the planner makes of the main method.
    pub(crate) fn main_schedule(&self) -> Schedule {
        self.schedule(self.rho(), self.scenario.method == Method::Sordino)
    }

    fn rho(&self) -> Option<f64> {
        self.target.map(|target| target.rho(self.scenario.mechanism))
    }

    fn schedule(&self, rho: Option<f64>, rounds_apply: bool) -> Schedule {
        let rounds = if rounds_apply { self.scenario.rounds.given() } else { None };
        methods::schedule(
            &self.federation,
            self.population.tracks,
            self.content.ncols() > 0,
            rho,
            self.scenario.dim.given(),
            rounds,
        )
    }

    fn method(&self, method: Method, schedule: &Schedule) -> Result<(MethodResult, Option<Trained>)> {
        reset_peak_memory();
        let learnt = self.learn(method, schedule)?;
        let result = self.result(learnt.scorer.as_ref(), learnt.seconds, learnt.trained.as_ref(), learnt.settings)?;
        Ok((result, learnt.trained))
    }

    /// Trains a method.
    pub(crate) fn learn(&self, method: Method, schedule: &Schedule) -> Result<Learnt> {
        let start = Instant::now();
        let dimensions = self.dimensions(schedule);
        let watch = |scorer: &dyn Scorer| self.validation(scorer);
        match method {
            Method::Sordino => {
                let trained = methods::train_sordino(
                    &self.federation,
                    &self.population,
                    &self.content,
                    schedule.clone(),
                    self.rho(),
                    self.scenario.model,
                    &watch,
                )?;
                let (scorer, seconds) = (Box::new(trained.model.clone()), trained.seconds);
                Ok(Learnt { scorer, seconds, trained: Some(trained), settings: schedule.reasons.join("; ") })
            }
            Method::Fedmf | Method::Fedrecon => {
                let rounds = match self.scenario.method {
                    main if main == method => self.scenario.rounds.given().unwrap_or(DESCENT_ROUNDS),
                    _ => DESCENT_ROUNDS,
                };
                let settings = self.descent(method);
                let (scorer, trained) = methods::train_fedmf(
                    &self.federation,
                    &self.population,
                    dimensions,
                    rounds,
                    self.rho(),
                    settings,
                    &watch,
                )?;
                let leaky =
                    if settings.leaky_negatives { ", LEAKY NEGATIVES: it knows what it is tested on" } else { "" };
                let settings = format!("d = {dimensions}, {rounds} rounds{leaky}");
                let seconds = trained.seconds;
                Ok(Learnt { scorer: Box::new(scorer), seconds, trained: Some(trained), settings })
            }
            Method::Ials => {
                let (tuned, how) = self.ials(dimensions)?;
                let (settings, seconds) = (tuned.settings, tuned.seconds);
                let words = format!(
                    "central; d = {dimensions}, a0 = {}, ridge = {}, {} iterations, {how}",
                    settings.background, settings.ridge, settings.iterations
                );
                Ok(Learnt { scorer: Box::new(tuned.factors), seconds, trained: None, settings: words })
            }
            Method::Popularity => {
                let model = methods::train_popularity(&self.population);
                let seconds = start.elapsed().as_secs_f64();
                let settings = "central, without noise".to_owned();
                Ok(Learnt { scorer: Box::new(model), seconds, trained: None, settings })
            }
        }
    }

    /// Sordino's training over other devices than the experiment's own, or by another federation.
    pub(crate) fn train_over(&self, federation: &Federation, population: &Population) -> Result<Trained> {
        let schedule = self.main_schedule();
        methods::train_sordino(
            federation,
            population,
            &self.content,
            schedule,
            self.rho(),
            self.scenario.model,
            &|_| None,
        )
    }

    fn descent(&self, method: Method) -> GradientSettings {
        let settings = self.scenario.fedmf;
        match method {
            Method::Fedrecon if settings.reconstruction_passes == 0 => {
                GradientSettings { reconstruction_passes: RECONSTRUCTION_PASSES, ..settings }
            }
            Method::Fedrecon => settings,
            _ => GradientSettings { reconstruction_passes: 0, ..settings },
        }
    }

    // The dimensions of the baselines: what Sordino plans, or would plan without noise.
    fn dimensions(&self, schedule: &Schedule) -> usize {
        match schedule.dimensions {
            0 => self.schedule(None, false).dimensions,
            d => d,
        }
    }

    fn result(
        &self,
        scorer: &dyn Scorer,
        seconds: f64,
        trained: Option<&Trained>,
        settings: String,
    ) -> Result<MethodResult> {
        let peak_rss_bytes = peak_memory();
        let measured = evaluate(&self.population, scorer, &self.scenario.evaluation(Part::Test))?;
        Ok(MethodResult {
            measured,
            seconds_training: seconds,
            device_updates_per_second: trained.map(|t| t.updates as f64 / seconds.max(1e-9)),
            peak_rss_bytes,
            rounds: trained.map_or(Vec::new(), |t| t.rounds.clone()),
            dimensions: trained.map_or(0, |t| t.model.dimensions()),
            settings,
        })
    }

    fn validation(&self, scorer: &dyn Scorer) -> Option<f64> {
        if !self.scenario.measure_rounds || self.population.validation.total() == 0 {
            return None;
        }
        mean_ndcg(&self.population, scorer, &self.validation_settings()).ok()
    }

    // The central factorisation, and how its setting was found.
    fn ials(&self, d: usize) -> Result<(Tuned, &'static str)> {
        let (population, seed) = (&self.population, self.scenario.seed);
        if population.validation.total() == 0 || population.devices() > MOST_TUNED {
            let (settings, start) = (IalsSettings::default(), Instant::now());
            let factors = methods::train_ials(population, d, settings, seed);
            return Ok((Tuned { settings, factors, seconds: start.elapsed().as_secs_f64() }, "not tuned"));
        }
        let evaluation = self.validation_settings();
        let tuned = methods::tune_ials(population, d, seed, |factors| mean_ndcg(population, factors, &evaluation))?;
        Ok((tuned, "tuned on validation tracks"))
    }

    fn validation_settings(&self) -> evaluation::Settings {
        let settings = self.scenario.evaluation(Part::Validation);
        evaluation::Settings { most_listeners: settings.most_listeners.min(VALIDATION_LISTENERS), ..settings }
    }

    // What a recommender would reach that knew every listener's true taste.
    fn truth(&self, world: &World) -> Result<MethodResult> {
        struct Oracle<'a>(&'a World, &'a Population);
        impl Scorer for Oracle<'_> {
            fn score(&self, listener: usize, _: &[Example], _: &mut Solver, scores: &mut Vec<f32>) {
                *scores = self.0.truth(self.1.origin[listener] as usize).utilities;
            }
        }
        self.result(&Oracle(world, &self.population), 0.0, None, "the world's own utilities: an upper bound".into())
    }

    fn curve(&self, done: &BTreeMap<String, MethodResult>) -> Result<Vec<CurvePoint>> {
        if !self.has_curve() {
            return Ok(Vec::new());
        }
        let mut epsilons: Vec<Option<f64>> = self.scenario.curve.iter().map(|&e| Some(e)).collect();
        // Masks make no sum private that has no noise, and are not put over one.
        if self.scenario.fidelity != Fidelity::Protocol {
            epsilons.push(None);
        }
        if self.scenario.method == Method::Sordino && !epsilons.contains(&self.scenario.epsilon.0) {
            epsilons.push(self.scenario.epsilon.0);
        }
        epsilons.sort_by(|a, b| a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY)));
        let bar = progress::steps(epsilons.len() as u64, "privacy against quality");
        let point = |epsilon| {
            let point = self.curve_point(epsilon, done);
            bar.inc(1);
            point
        };
        let points = epsilons.into_iter().map(point).collect();
        bar.finish_and_clear();
        points
    }

    fn curve_point(&self, epsilon: Option<f64>, done: &BTreeMap<String, MethodResult>) -> Result<CurvePoint> {
        let scenario = Scenario { epsilon: Epsilon(epsilon), ..self.scenario.clone() };
        let rho = scenario.target(self.federation.population)?.map(|target| target.rho(scenario.mechanism));
        let schedule = self.schedule(rho, self.scenario.method == Method::Sordino);
        let known = done.get("sordino").filter(|_| epsilon == self.scenario.epsilon.0);
        let (measured, dimensions) = match known {
            Some(result) => (result.measured.clone(), result.dimensions),
            None => {
                let trained = methods::train_sordino(
                    &self.federation,
                    &self.population,
                    &self.content,
                    schedule,
                    rho,
                    self.scenario.model,
                    &|_| None,
                )?;
                let measured = evaluate(&self.population, &trained.model, &self.scenario.evaluation(Part::Test))?;
                (measured, trained.model.dimensions())
            }
        };
        let ndcg = measured.metrics["ndcg@10"];
        Ok(CurvePoint { epsilon, ndcg: ndcg.mean, interval: (ndcg.low, ndcg.high), dimensions })
    }
}

// Of FedRecon, where the settings do not say.
const RECONSTRUCTION_PASSES: usize = 10;
const VALIDATION_LISTENERS: usize = 5000;
// Tuning is twelve factorisations; on larger populations the default is used, and the settings say so.
const MOST_TUNED: usize = 50_000;
const MOST_FOR_CURVE: usize = 50_000;
