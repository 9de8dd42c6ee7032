//! `evaluate`: everything that is measured of a method or a finished model, beside what else one could ship: accuracy with paired
//! tests, what it does to the catalogue and to groups of listeners, what constraints cost, whether listeners come back, and the same
//! once more as a fleet would measure it, by private sums.

mod card;
mod federated;
mod lists;
mod text;

pub use card::{of_assessment, of_run};
pub use federated::FederatedFigure;
pub use lists::{Constrained, KindFit, Lists};
pub use text::{page, text};

use crate::error::{Error, Result};
use crate::evaluation::{self, Measured, Part};
use crate::experiment::Experiment;
use crate::methods::{Scorer, Trained};
use crate::population::Summary;
use crate::progress;
use crate::scenario::Scenario;
use lists::Lister;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sordino_client::label::LabelPolicy;
use sordino_shared::evaluate::{Groups, HABITS, Interval, Paired, bootstrap_mean, holm, paired, thirds};
use sordino_shared::math;
use sordino_shared::model::Model;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::mix;
use sordino_shared::workload::METRICS;
use std::path::{Path, PathBuf};

/// What to evaluate beside the scenario.
#[derive(Clone, Debug)]
pub struct AssessSettings {
    /// Models' files; the scenario's methods are trained where there is none.
    pub models: Vec<PathBuf>,
    /// Epsilon of the federated evaluation for one device, on top of the training's; `None` for no noise.
    pub metrics_epsilon: Option<f64>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// What was asked for.
    pub scenario: Scenario,
    /// What has to be said before any figure.
    pub notes: Vec<String>,
    /// The label policy's version and rules.
    pub policy: LabelPolicy,
    /// Devices simulated, and how many they stand for.
    pub devices: (usize, usize),
    /// Tracks.
    pub tracks: usize,
    /// Training examples.
    pub examples: usize,
    /// Data on the way in.
    pub summary: Summary,
    /// Listeners of the list measures, by which the tests between methods are made.
    pub listeners: usize,
    /// SHA-256 of the first method's model, where it has one.
    pub model_sha256: Option<String>,
    /// What the training cost a device.
    pub claim: Option<Claim>,
    /// What the federated evaluation cost a device.
    pub metrics_claim: Option<Claim>,
    /// Each method's figures, the one in question first.
    pub methods: Vec<Assessed>,
    /// The first method against each other.
    pub comparisons: Vec<Compared>,
    /// Listeners' habits: whether they come back, as the data has it.
    pub habits: Vec<(String, Interval)>,
    /// The same by private sums; `None` where the first method is no model that devices could load.
    pub federated: Option<Vec<FederatedFigure>>,
}

/// One method's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessed {
    /// The method, or the model's file.
    pub name: String,
    /// What it is, in words.
    pub settings: String,
    /// Accuracy, and figures of all lists together.
    pub measured: Measured,
    /// NDCG@10 over the catalogue by groups of listeners, under the name of what divides them.
    pub groups: Vec<(String, Groups)>,
    /// What its lists are like.
    pub lists: Lists,
}

/// The first method against another, listener by listener: NDCG@10 over the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The other method.
    pub with: String,
    /// How much better the first is.
    pub paired: Paired,
    /// p after Holm's correction over all comparisons of this assessment.
    pub p_of_all: f64,
}

/// Evaluates a scenario's methods, or models that are there already; the first method's model comes along.
pub fn run(scenario: &Scenario, settings: &AssessSettings) -> Result<(Assessment, Option<Model>)> {
    scenario.check()?;
    scenario.on_threads(|| Assessor { experiment: Experiment::new(scenario)?, scenario, settings }.run())
}

struct Assessor<'a> {
    experiment: Experiment<'a>,
    scenario: &'a Scenario,
    settings: &'a AssessSettings,
}

/// A method with its scorer.
struct Method {
    name: String,
    settings: String,
    scorer: Box<dyn Scorer>,
    // What devices can load.
    model: Option<Model>,
    trained: Option<Trained>,
}

impl Assessor<'_> {
    fn run(&self) -> Result<(Assessment, Option<Model>)> {
        let (experiment, population) = (&self.experiment, &self.experiment.population);
        let methods = if self.settings.models.is_empty() { self.learn()? } else { self.load()? };
        let evaluation = self.scenario.evaluation(Part::Test);
        let listeners = evaluation::listeners(population, &evaluation);
        let lister = Lister::new(experiment, &listeners);
        let group_of = self.groups(&listeners);
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, ASSESS_STREAM, 0));
        let (mut assessed, mut ndcg) = (Vec::new(), Vec::new());
        let bar = progress::steps(methods.len() as u64, "measuring methods");
        for method in &methods {
            let measured = evaluation::evaluate(population, method.scorer.as_ref(), &evaluation)?;
            let lists = lister.lists(method.scorer.as_ref(), &mut rng);
            // The same listeners in the same order.
            let values = measured.ndcg_full_by_listener.clone();
            let by = |(name, of): &(String, Vec<usize>), rng: &mut ChaCha8Rng| {
                (name.clone(), Groups::new(&values, of, GROUP_NAMES.len(), rng))
            };
            let groups = group_of.iter().map(|group| by(group, &mut rng)).collect();
            let (name, settings) = (method.name.clone(), method.settings.clone());
            assessed.push(Assessed { name, settings, measured, groups, lists });
            ndcg.push(values);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let main = &methods[0];
        let spent = main.trained.as_ref().and_then(|trained| trained.rho_spent);
        let claim = self.scenario.claim(experiment.target, spent);
        let metrics = main.model.as_ref().map(|model| self.federated(model)).transpose()?;
        let (federated, metrics_claim) = metrics.map_or((None, None), |(figures, claim)| (Some(figures), claim));
        let fallback = main.trained.as_ref().and_then(|trained| trained.fallback.clone());
        let notes = match self.settings.models.is_empty() {
            true => experiment.notes(claim.as_ref(), fallback),
            false => vec!["What these models cost in privacy is told where they were trained.".to_owned()],
        };
        let assessment = Assessment {
            scenario: self.scenario.clone(),
            notes,
            policy: self.scenario.policy()?,
            devices: (population.devices(), experiment.federation.population),
            tracks: population.tracks,
            examples: population.train.total(),
            summary: population.summary.clone(),
            listeners: listeners.len(),
            model_sha256: main.model.as_ref().map(Model::sha256),
            claim,
            metrics_claim,
            comparisons: compare(&assessed, &ndcg, &mut rng),
            methods: assessed,
            habits: self.habits(&mut rng),
            federated,
        };
        Ok((assessment, methods.into_iter().next().and_then(|main| main.model)))
    }

    fn learn(&self) -> Result<Vec<Method>> {
        let schedule = self.experiment.main_schedule();
        let learn = |method: crate::methods::Method| {
            let learnt = self.experiment.learn(method, &schedule)?;
            // What fedmf learns scores by vectors that stay on its devices.
            let model = learnt.trained.as_ref().filter(|_| method == crate::methods::Method::Sordino);
            Ok(Method {
                name: method.name().to_owned(),
                settings: learnt.settings,
                scorer: learnt.scorer,
                model: model.map(|trained| trained.model.clone()),
                trained: learnt.trained,
            })
        };
        self.experiment.methods().into_iter().map(learn).collect()
    }

    fn load(&self) -> Result<Vec<Method>> {
        let load = |path: &PathBuf| {
            let model = read_model(path)?;
            let tracks = self.experiment.population.tracks;
            if model.tracks() != tracks {
                let problem = format!(
                    "is of {} tracks, but the data has {tracks}: give the data it was trained on",
                    model.tracks()
                );
                return Err(Error::file(path, problem));
            }
            let settings = match model.dimensions() {
                0 => "popularity".to_owned(),
                d => format!("embeddings of {d} dimensions"),
            };
            let scorer = Box::new(model.clone());
            Ok(Method { name: path.display().to_string(), settings, scorer, model: Some(model), trained: None })
        };
        self.settings.models.iter().map(load).collect()
    }

    // Thirds of listeners by what may decide how well they are served.
    fn groups(&self, listeners: &[usize]) -> Vec<(String, Vec<usize>)> {
        let population = &self.experiment.population;
        let popularity = population.popularity();
        let by = |value: &dyn Fn(usize) -> f64| {
            thirds(&listeners.iter().map(|&listener| value(listener)).collect::<Vec<_>>())
        };
        let mainstream = |listener: usize| {
            let history = population.train.of(listener);
            history.iter().map(|e| math::ln(popularity[e.track.row()].max(1.0))).sum::<f64>()
                / history.len().max(1) as f64
        };
        let mut groups = vec![
            ("tracks learnt from".to_owned(), by(&|listener| population.train.of(listener).len() as f64)),
            ("mainstream taste".to_owned(), by(&mainstream)),
        ];
        if self.experiment.dataset.has_clock {
            // The oldest account last.
            groups.push(("age of account".to_owned(), by(&|listener| -(population.joined[listener].0 as f64))));
        }
        groups
    }

    // Over all devices that can tell, tested or not.
    fn habits(&self, rng: &mut ChaCha8Rng) -> Vec<(String, Interval)> {
        let population = &self.experiment.population;
        (METRICS.len() - HABITS..METRICS.len())
            .filter_map(|metric| {
                let place = metric - (METRICS.len() - HABITS);
                let values: Vec<f64> =
                    population.habits.iter().filter_map(|habits| habits.values()[place]).map(f64::from).collect();
                (!values.is_empty()).then(|| (METRICS[metric].to_owned(), bootstrap_mean(&values, rng)))
            })
            .collect()
    }
}

fn compare(assessed: &[Assessed], ndcg: &[Vec<f64>], rng: &mut ChaCha8Rng) -> Vec<Compared> {
    let pairs: Vec<Paired> = ndcg[1..].iter().map(|other| paired(&ndcg[0], other, rng)).collect();
    let adjusted = holm(&pairs.iter().map(|pair| pair.p).collect::<Vec<_>>());
    assessed[1..]
        .iter()
        .zip(pairs)
        .zip(adjusted)
        .map(|((other, paired), p_of_all)| Compared { with: other.name.clone(), paired, p_of_all })
        .collect()
}

fn read_model(path: &Path) -> Result<Model> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    Model::from_bytes(&bytes).map_err(|e| Error::file(path, format!("is no model of ours: {e}")))
}

/// The thirds' names, under whatever divides listeners.
pub const GROUP_NAMES: [&str; 3] = ["least", "middle", "most"];
const ASSESS_STREAM: u64 = 911;
