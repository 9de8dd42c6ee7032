//! The ranker, trained federatedly on earlier days and measured on later ones, beside what a central trainer would get.

mod data;
mod measure;
mod text;

pub use measure::{Measured, SkipMeasured};
pub use text::text;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::experiment;
use crate::federation::Federation;
use crate::methods;
use crate::population::{Population, Protocol};
use crate::scenario::Scenario;
use data::{Days, Facts, Split};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::ranking::{Group, Knowledge, Listing, Outcome, WIDTH};
use sordino_shared::evaluate::Reliability;
use sordino_shared::model::{Calibration, EmbeddingModel, Model, Pass, Ranker, Shown, logistic};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::mix;
use sordino_shared::workload::{
    Adaptive, Cells, Ranking, RankingSettings, RateEstimate, Rates, Workload, loss_gradient,
};
use std::collections::BTreeMap;

/// Settings of a ranking experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankSettings {
    /// Days at the end that are tested on.
    pub test_days: usize,
    /// What is asked of a track that was shown.
    pub outcome: Outcome,
    /// Rounds of the ranker.
    pub rounds: usize,
    /// L2 norm of a device's counts.
    pub rates_clip: f64,
    /// A public guess of how often tracks please.
    pub centre: f64,
    /// The ranker's training.
    pub ranking: RankingSettings,
}

impl Default for RankSettings {
    fn default() -> Self {
        Self {
            test_days: 2,
            outcome: Outcome::Heard { seconds: 18.0 },
            rounds: 100,
            rates_clip: 4.0,
            centre: 0.3,
            ranking: RankingSettings::default(),
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RankResults {
    /// What was run.
    pub scenario: Scenario,
    /// And how.
    pub settings: RankSettings,
    /// Devices simulated, and what they stand for.
    pub devices: (usize, usize),
    /// Outcomes trained on and tested on.
    pub outcomes: (usize, usize),
    /// The whole training's price for one device.
    pub claim: Option<Claim>,
    /// Each scorer's figures, in the order of the table.
    pub scorers: Vec<(String, Measured)>,
    /// The private ranker's reliability diagram.
    pub reliability: Vec<Reliability>,
    /// How much AUC, and AUC within lists, is lost where a group of features is shuffled among the test's outcomes.
    pub groups: BTreeMap<Group, (f64, f64)>,
    /// The next skip: each scorer's figures.
    pub skips: Vec<(String, SkipMeasured)>,
}

/// Shares of a device's budget: embeddings, rates, the two rankers, calibration.
const SHARES: Shares = Shares { embeddings: 0.3, rates: 0.3, ranker: 0.2, skips: 0.15, calibration: 0.05 };

struct Shares {
    embeddings: f64,
    rates: f64,
    ranker: f64,
    skips: f64,
    calibration: f64,
}

/// Runs the experiment.
pub fn run(scenario: &Scenario, settings: &RankSettings) -> Result<RankResults> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(scenario.threads)
        .build()
        .map_err(|e| Error::input(format!("--threads {} cannot be started: {e}", scenario.threads)))?;
    pool.install(|| Experiment::new(scenario, settings)?.run())
}

struct Experiment<'a> {
    scenario: &'a Scenario,
    settings: &'a RankSettings,
    dataset: Dataset,
    days: Days,
    federation: Federation,
    rho: Option<f64>,
}

/// What devices are told before they rank, learnt with or without noise.
struct Learnt {
    embeddings: Option<EmbeddingModel>,
    rates: RateEstimate,
    facts: Facts,
}

impl<'a> Experiment<'a> {
    fn new(scenario: &'a Scenario, settings: &'a RankSettings) -> Result<Self> {
        if settings.rounds == 0 || settings.test_days == 0 {
            return Err(Error::input("--rounds and --test-days must be at least 1"));
        }
        let dataset = experiment::dataset(scenario)?;
        let days = Days::new(&dataset, settings)?;
        let devices = days.devices.len();
        let population = scenario.population.unwrap_or(devices);
        if population < devices {
            return Err(Error::input(format!(
                "--population {population} is fewer than the {devices} devices simulated: it says how many they stand for"
            )));
        }
        let federation = scenario.federation(devices, population);
        let rho = scenario.target(population)?.map(|target| target.rho(scenario.mechanism));
        Ok(Self { scenario, settings, dataset, days, federation, rho })
    }

    fn run(&self) -> Result<RankResults> {
        let outcome = self.settings.outcome;
        let exact = self.learn(None)?;
        let mut scorers = Vec::new();
        let plain = self.days.split(&exact.knowledge(&self.days), outcome, Listing::Day);
        let by_input = |split: &Split, input: usize| split.test.iter().flatten().map(|s| s.features[input]).collect();
        scorers.push(("track's rate, exact".to_owned(), self.by_scores(&plain, by_input(&plain, TRACK_RATE))));
        scorers.push(("embeddings, exact".to_owned(), self.by_scores(&plain, by_input(&plain, AFFINITY))));
        for (name, hidden) in
            [("logistic, central", vec![]), ("network, central", self.settings.ranking.hidden.clone())]
        {
            let ranker = self.central(&plain, hidden);
            scorers.push((name.to_owned(), self.by_ranker(&plain, &ranker, None)));
        }
        for (name, hidden) in
            [("logistic, federated", vec![]), ("network, federated", self.settings.ranking.hidden.clone())]
        {
            let ranker = self.federated(&plain, hidden, None, RANKER_STREAM)?;
            scorers.push((name.to_owned(), self.by_ranker(&plain, &ranker, None)));
        }
        let private = match self.rho {
            None => None,
            Some(rho) => {
                let learnt = self.learn(Some(rho))?;
                let split = self.days.split(&learnt.knowledge(&self.days), outcome, Listing::Day);
                Some((learnt, split))
            }
        };
        let (knowing, split) = private.as_ref().map_or((&exact, &plain), |(learnt, split)| (learnt, split));
        let ranker = self.federated(
            split,
            self.settings.ranking.hidden.clone(),
            self.rho.map(|rho| rho * SHARES.ranker),
            RANKER_STREAM,
        )?;
        let calibration = self.calibrate(split, &ranker)?;
        scorers.push(("Sordino".to_owned(), self.by_ranker(split, &ranker, Some(&calibration))));
        let reliability = measure::reliability_of(&split.test, &ranker, &calibration);
        let groups = measure::shares_of_groups(&split.test, &ranker, self.scenario.seed);
        let skips = self.skips(&exact, knowing)?;
        let claim = match (self.rho, self.scenario.target(self.federation.population)?) {
            (Some(rho), Some(target)) => {
                Some(Claim::new(rho, target.delta(), self.scenario.mode, self.scenario.mechanism))
            }
            _ => None,
        };
        Ok(RankResults {
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            devices: (self.days.devices.len(), self.federation.population),
            outcomes: (split.train.iter().map(Vec::len).sum(), split.test.iter().map(Vec::len).sum()),
            claim,
            scorers,
            reliability,
            groups,
            skips,
        })
    }

    /// Embeddings and rates from the earlier days.
    fn learn(&self, rho: Option<f64>) -> Result<Learnt> {
        let earlier = self.days.earlier(&self.dataset);
        let population = Population::build(&earlier, &self.scenario.policy()?, Protocol::Hash, self.scenario.seed)?;
        let content = methods::content_of(&earlier);
        let share = rho.map(|rho| rho * SHARES.embeddings);
        let federation = Federation { simulated: population.devices(), ..self.federation.clone() };
        let schedule = methods::schedule(
            &federation,
            population.tracks,
            content.ncols() > 0,
            share,
            self.scenario.dim.given(),
            self.scenario.rounds.given(),
        );
        let trained =
            methods::train_sordino(&federation, &population, &content, schedule, share, self.scenario.model, &|_| {
                None
            })?;
        let embeddings = match trained.model {
            Model::Embedding(model) => Some(model),
            Model::Popularity(_) => None,
        };
        let shown = Population::of_shown(self.dataset.tracks(), self.days.plain(self.settings.outcome));
        let mut rates =
            Rates::new(Cells::Tracks(self.dataset.tracks()), self.settings.centre, self.settings.rates_clip);
        self.round(&mut rates, &shown, rho.map(|rho| rho * SHARES.rates), mix(RATES_STREAM, 0, 0))?;
        let rates = rates.estimate().cloned().expect("a sum was applied");
        let facts = Facts::new(&self.dataset, &self.days, &rates);
        Ok(Learnt { embeddings, rates, facts })
    }

    fn round(&self, workload: &mut impl Workload, shown: &Population, rho: Option<f64>, stream: u64) -> Result<()> {
        let federation = Federation { seed: mix(self.federation.seed, stream, 1), ..self.federation.clone() };
        let mut memories = vec![Vec::new(); shown.devices()];
        let outcome = federation.run(workload, rho, shown, &mut memories, 0, &mut federation.sum_noise())?;
        workload.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
        Ok(())
    }

    /// The ranker by rounds of the private sum.
    fn federated(&self, split: &Split, hidden: Vec<usize>, rho: Option<f64>, stream: u64) -> Result<Ranker> {
        let shown = Population::of_shown(self.dataset.tracks(), split.train.iter().cloned());
        let settings = RankingSettings { hidden, ..self.settings.ranking.clone() };
        let rounds = self.settings.rounds;
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, stream, 0));
        let ranker = Ranker::new(WIDTH, &settings.hidden, &mut rng);
        let clip = settings.clip;
        let mut ranking = Adaptive::new(Ranking::new(ranker, settings, rounds), clip);
        let mut memories = vec![Vec::new(); shown.devices()];
        let federation = Federation { seed: mix(self.federation.seed, stream, 2), ..self.federation.clone() };
        let mut noise = federation.sum_noise();
        let each = if federation.strategy.is_some() { rho } else { rho.map(|rho| rho / rounds as f64) };
        for round in 0..rounds {
            let outcome = federation.run(&ranking, each, &shown, &mut memories, round, &mut noise)?;
            ranking.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
        }
        Ok(ranking.inner().ranker())
    }

    /// The same network by the same loss, from everybody's outcomes in one place: no clip, no noise, and a validation
    /// tenth to stop by.
    fn central(&self, split: &Split, hidden: Vec<usize>) -> Ranker {
        let settings = RankingSettings { hidden, averaged: 0.05, ..self.settings.ranking.clone() };
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, RANKER_STREAM, 0));
        let ranker = Ranker::new(WIDTH, &settings.hidden, &mut rng);
        let (kept, held): (Vec<_>, Vec<_>) = split.train.iter().enumerate().partition(|(device, _)| device % 10 != 0);
        let pooled = |part: &[(usize, &Vec<Shown>)]| part.iter().map(|(_, list)| (*list).clone()).collect::<Vec<_>>();
        let (kept, held) = (pooled(&kept), pooled(&held));
        let mut ranking = Ranking::new(ranker, settings, CENTRAL_ROUNDS);
        let mut best: Option<(f64, Ranker)> = None;
        for round in 0..CENTRAL_ROUNDS {
            let current = ranking.current().clone();
            let sum = kept
                .par_chunks(512)
                .map(|devices| {
                    let (mut pass, mut sum) = (Pass::default(), vec![0.0; current.parameters().len()]);
                    for shown in devices {
                        loss_gradient(&current, shown, self.settings.ranking.pairwise, &mut pass, &mut sum);
                    }
                    sum
                })
                .collect::<Vec<Vec<f32>>>()
                .into_iter()
                .fold(vec![0.0; current.parameters().len()], |mut total, part| {
                    total.iter_mut().zip(part).for_each(|(total, part): (&mut f64, f32)| *total += f64::from(part));
                    total
                });
            ranking.apply(vec![sum], &[0.0], kept.len() as f64);
            if round % 10 == 9 {
                let candidate = ranking.current().clone();
                let loss = measure::log_loss_of(&held, &candidate);
                if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                    best = Some((loss, candidate));
                }
            }
        }
        best.map_or_else(|| ranking.ranker(), |(_, ranker)| ranker)
    }

    fn calibrate(&self, split: &Split, ranker: &Ranker) -> Result<Calibration> {
        let shown = Population::of_shown(self.dataset.tracks(), split.train.iter().cloned());
        let mut counts =
            Rates::new(Cells::Scores(ranker.clone(), STEPS), self.settings.centre, self.settings.rates_clip);
        self.round(&mut counts, &shown, self.rho.map(|rho| rho * SHARES.calibration), CALIBRATION_STREAM)?;
        Ok(Calibration::new(counts.estimate().expect("a sum was applied")))
    }

    fn by_scores(&self, split: &Split, scores: Vec<f32>) -> Measured {
        measure::measure(&split.test, &scores, None, self.scenario.seed)
    }

    fn by_ranker(&self, split: &Split, ranker: &Ranker, calibration: Option<&Calibration>) -> Measured {
        let scores = measure::scores_of(&split.test, ranker);
        let probabilities = scores.iter().map(|&score| {
            let probability = logistic(score);
            calibration.map_or(probability, |calibration| calibration.apply(probability))
        });
        let probabilities: Vec<f32> = probabilities.collect();
        measure::measure(&split.test, &scores, Some(&probabilities), self.scenario.seed)
    }

    /// The next skip, track by track, and the second half of a sitting from its first.
    fn skips(&self, exact: &Learnt, private: &Learnt) -> Result<Vec<(String, SkipMeasured)>> {
        let mut all = Vec::new();
        let both = |learnt: &Learnt| {
            let knowledge = learnt.knowledge(&self.days);
            let each = self.days.split(&knowledge, Outcome::Kept, Listing::Each);
            (each, self.days.split(&knowledge, Outcome::Kept, Listing::HalfSession))
        };
        let (each, halves) = both(exact);
        let hidden = || self.settings.ranking.hidden.clone();
        let by_input = |input: usize| {
            let of = |split: &Split| split.test.iter().flatten().map(|s| s.features[input]).collect::<Vec<f32>>();
            measure::skips(&each.test, &of(&each), &halves.test, &of(&halves))
        };
        all.push(("embeddings, exact".to_owned(), by_input(AFFINITY)));
        all.push(("the last track's outcome".to_owned(), by_input(LAST_PLEASED)));
        let by_ranker = |ranker: &Ranker, each: &Split, halves: &Split| {
            let scores = [each, halves].map(|split| measure::scores_of(&split.test, ranker));
            measure::skips(&each.test, &scores[0], &halves.test, &scores[1])
        };
        // Both kinds of lists are learnt from, so that long waits since the last outcome are known too.
        all.push((
            "network, central".to_owned(),
            by_ranker(&self.central(&each.with(&halves), hidden()), &each, &halves),
        ));
        let (each, halves) = both(private);
        let rho = self.rho.map(|rho| rho * SHARES.skips);
        let ranker = self.federated(&each.with(&halves), hidden(), rho, SKIP_STREAM)?;
        all.push(("Sordino".to_owned(), by_ranker(&ranker, &each, &halves)));
        Ok(all)
    }
}

impl Learnt {
    fn knowledge(&self, days: &Days) -> Knowledge<'_> {
        Knowledge {
            tracks: &self.facts.tracks,
            artists: &self.facts.artists,
            shrinkage: self.rates.shrinkage,
            counted_until: days.test_from,
            embeddings: self.embeddings.as_ref(),
        }
    }
}

// Places among the features.
const AFFINITY: usize = 0;
const TRACK_RATE: usize = 3;
const LAST_PLEASED: usize = 17;
// Steps of probability that are counted for calibration.
const STEPS: usize = 20;
const CENTRAL_ROUNDS: usize = 300;
const RANKER_STREAM: u64 = 601;
const RATES_STREAM: u64 = 602;
const CALIBRATION_STREAM: u64 = 603;
const SKIP_STREAM: u64 = 604;
