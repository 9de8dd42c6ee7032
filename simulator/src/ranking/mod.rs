//! The ranker, trained federatedly on earlier days and measured on later ones, beside what a central trainer would get.

mod data;
mod measure;
mod text;
mod train;

pub use measure::{Measured, SkipMeasured};
pub use text::{page, text};

use crate::budget::Budget;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::experiment;
use crate::federation::Federation;
use crate::methods::{self, Scorer};
use crate::population::{Population, Protocol};
use crate::progress;
use crate::scenario::{Auto, Scenario, read_toml, to_toml};
use data::{Days, Facts, Split};
use serde::{Deserialize, Serialize};
use sordino_client::ranking::{Group, Knowledge, Listing, Outcome, input_of};
use sordino_shared::evaluate::Reliability;
use sordino_shared::model::{Calibration, EmbeddingModel, Model, Ranker, Shown, logistic};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::mix;
use sordino_shared::workload::{Cells, RankingSettings, RateEstimate, Rates};
use std::collections::BTreeMap;
use std::path::Path;

/// Settings of a ranking experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RankSettings {
    /// Days at the end that are tested on; `auto`: the fewest that hold a tenth of all outcomes.
    pub test_days: Auto,
    /// Days after those that are left out altogether: settings are chosen by days that no figure is reported on.
    pub left_out_days: usize,
    /// What is asked of a track that was shown.
    pub outcome: Outcome,
    /// Rounds of the ranker.
    pub rounds: usize,
    /// Steps of the rankers that are trained centrally for comparison.
    pub central_rounds: usize,
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
            test_days: Auto::Auto,
            left_out_days: 0,
            outcome: Outcome::Heard { seconds: 18.0 },
            rounds: 100,
            central_rounds: 300,
            rates_clip: 4.0,
            centre: 0.3,
            ranking: RankingSettings::default(),
        }
    }
}

impl RankSettings {
    /// Reads settings.
    ///
    /// # Errors
    /// A sentence where the file cannot be read or a field is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "holds no ranker's settings")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        to_toml(self)
    }

    fn check(&self) -> Result<()> {
        if self.rounds == 0 || self.central_rounds == 0 || self.test_days == Auto::Given(0) {
            return Err(Error::input("--ranker-rounds, central_rounds and --test-days must be at least 1"));
        }
        let ranking = &self.ranking;
        if !(ranking.hidden.iter().all(|width| (1..=512).contains(width)) && ranking.passes <= 100) {
            return Err(Error::input("a ranker's hidden layers are from 1 to 512 wide, and passes are at most 100"));
        }
        let positive = [self.rates_clip, ranking.rate, f64::from(ranking.device_rate), ranking.clip.clip];
        let seconds = match self.outcome {
            Outcome::Heard { seconds } => seconds,
            Outcome::Kept => 1.0,
        };
        let shares = [self.centre, ranking.averaged, ranking.clip.quantile];
        if positive.iter().any(|value| !(value.is_finite() && *value > 0.0))
            || shares.iter().any(|share| !(0.0..=1.0).contains(share))
            || !(ranking.pairwise.is_finite() && ranking.pairwise >= 0.0 && seconds.is_finite() && seconds >= 0.0)
        {
            return Err(Error::input(
                "of the ranker's settings, clips and rates must be above zero, shares between 0 and 1, seconds and the \
                 pairwise loss at least 0",
            ));
        }
        Ok(())
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
    /// Days tested on.
    pub test_days: i64,
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

/// Shares of a device's rho: zCDP adds up over releases (Bun and Steinke 2016), so they may not come to more than all of it.
const SHARES: Shares = Shares { embeddings: 0.3, rates: 0.3, ranker: 0.2, skips: 0.15, calibration: 0.05 };
const _: () = assert!(SHARES.total() <= 1.0 + 1e-12, "the shares of a budget are at most the budget");

struct Shares {
    embeddings: f64,
    rates: f64,
    ranker: f64,
    skips: f64,
    calibration: f64,
}

impl Shares {
    const fn total(&self) -> f64 {
        self.embeddings + self.rates + self.ranker + self.skips + self.calibration
    }
}

/// Runs the experiment; the ranker of what was shown comes with the results.
pub fn run(scenario: &Scenario, settings: &RankSettings) -> Result<(RankResults, Ranker)> {
    scenario.on_threads(|| Experiment::new(scenario, settings)?.run())
}

struct Experiment<'a> {
    scenario: &'a Scenario,
    settings: &'a RankSettings,
    dataset: Dataset,
    days: Days,
    budget: Budget,
}

/// What devices are told before they rank, learnt with or without noise.
struct Learnt {
    embeddings: Option<EmbeddingModel>,
    rates: RateEstimate,
    facts: Facts,
}

impl<'a> Experiment<'a> {
    fn new(scenario: &'a Scenario, settings: &'a RankSettings) -> Result<Self> {
        settings.check()?;
        let dataset = experiment::dataset(scenario)?;
        let days = Days::new(&dataset, settings)?;
        let devices = days.devices.len();
        let budget = Budget::new(scenario, devices)?;
        Ok(Self { scenario, settings, dataset, days, budget })
    }

    fn run(&self) -> Result<(RankResults, Ranker)> {
        let outcome = self.settings.outcome;
        let exact = self.learn(false)?;
        let mut scorers = Vec::new();
        let plain = self.days.split(&exact.knowledge(&self.days), outcome, Listing::Day);
        let by_input = |split: &Split, name: &str| one_feature(split.test.iter().flatten(), name);
        scorers.push(("track's rate, exact".to_owned(), self.by_scores(&plain, by_input(&plain, TRACK_RATE))));
        scorers.push(("embeddings, exact".to_owned(), self.by_scores(&plain, by_input(&plain, AFFINITY))));
        for (name, hidden) in
            [("logistic, central", vec![]), ("network, central", self.settings.ranking.hidden.clone())]
        {
            let ranker = self.central(name, &plain.train, hidden);
            scorers.push((name.to_owned(), self.by_ranker(&plain, &ranker, None)));
        }
        for (name, hidden) in
            [("logistic, federated", vec![]), ("network, federated", self.settings.ranking.hidden.clone())]
        {
            let ranker = self.federated(name, &plain.train, hidden, None, RANKER_STREAM)?;
            scorers.push((name.to_owned(), self.by_ranker(&plain, &ranker, None)));
        }
        // What is not looked at again makes room.
        let (private, split) = if self.budget.is_private() {
            drop(plain);
            let learnt = self.learn(true)?;
            let split = self.days.split(&learnt.knowledge(&self.days), outcome, Listing::Day);
            (Some(learnt), split)
        } else {
            (None, plain)
        };
        let ranker = self.federated(
            "Sordino",
            &split.train,
            self.settings.ranking.hidden.clone(),
            self.budget.share(SHARES.ranker),
            RANKER_STREAM,
        )?;
        let calibration = self.calibrate(&split, &ranker)?;
        scorers.push(("Sordino".to_owned(), self.by_ranker(&split, &ranker, Some(&calibration))));
        let reliability = measure::reliability_of(&split.test, &ranker, &calibration);
        let groups = measure::shares_of_groups(&split.test, &ranker, self.scenario.seed);
        let outcomes = (split.train.shown.total(), split.test.iter().map(Vec::len).sum());
        drop(split);
        let skips = self.skips(&exact, private.as_ref().unwrap_or(&exact))?;
        let results = RankResults {
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            devices: (self.days.devices.len(), self.budget.federation().population),
            test_days: self.days.test_days,
            outcomes,
            claim: self.budget.claim(),
            scorers,
            reliability,
            groups,
            skips,
        };
        Ok((results, ranker))
    }

    /// Embeddings and rates from the earlier days.
    fn learn(&self, private: bool) -> Result<Learnt> {
        let share = |share: f64| self.budget.share(share).filter(|_| private);
        let earlier = self.days.earlier(&self.dataset);
        let population = Population::build(&earlier, &self.scenario.policy()?, Protocol::Hash, self.scenario.seed)?;
        let content = methods::content_of(&earlier);
        // Devices without a positive label send nothing to the embeddings, in the fleet as here.
        let (devices, all) = (population.devices(), self.days.devices.len());
        let fleet = self.budget.federation();
        let stands_for = (fleet.population as u128 * devices as u128 / all as u128) as usize;
        let federation = Federation { simulated: devices, population: stands_for, ..fleet.clone() };
        let schedule = methods::schedule(
            &federation,
            population.tracks,
            content.ncols() > 0,
            share(SHARES.embeddings),
            self.scenario.dim.given(),
            self.scenario.rounds.given(),
        );
        let (rho, model) = (share(SHARES.embeddings), self.scenario.model);
        let bar = progress::steps((2 + schedule.subspace_rounds + schedule.factor_rounds) as u64, "embeddings");
        let watch = |_: &dyn Scorer| {
            bar.inc(1);
            None
        };
        let trained = methods::train_sordino(&federation, &population, &content, schedule, rho, model, &watch)?;
        bar.finish_and_clear();
        self.budget.pay(trained.rho_spent);
        let embeddings = match trained.model {
            Model::Embedding(model) => Some(model),
            Model::Popularity(_) => None,
        };
        let shown = Population::of_shown(self.dataset.tracks(), self.days.plain(self.settings.outcome));
        let mut rates =
            Rates::new(Cells::Numbered(self.dataset.tracks()), self.settings.centre, self.settings.rates_clip);
        self.budget.train(&mut rates, &shown, 1, share(SHARES.rates), (mix(RATES_STREAM, 0, 0), 1))?;
        let rates = rates.estimate().cloned().expect("a sum was applied");
        let facts = Facts::new(&self.dataset, &self.days, &rates);
        Ok(Learnt { embeddings, rates, facts })
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
        for (name, feature) in [("embeddings, exact", AFFINITY), ("the last track's outcome", LAST_PLEASED)] {
            let earlier = each.train.shown.all();
            let threshold = measure::best_threshold(earlier, &one_feature(earlier.iter(), feature));
            let scores = [&each, &halves].map(|split| one_feature(split.test.iter().flatten(), feature));
            let measured = measure::skips((&each.test, &scores[0]), (&halves.test, &scores[1]), threshold);
            all.push((name.to_owned(), measured));
        }
        let by_ranker = |ranker: &Ranker, [each, halves]: &[Vec<Vec<Shown>>; 2]| {
            let scores = [each, halves].map(|test| measure::scores_of(test, ranker));
            // Log-odds: even odds are the threshold.
            measure::skips((each, &scores[0]), (halves, &scores[1]), 0.0)
        };
        // Both kinds of lists are learnt from, so that long waits since the last outcome are known too.
        let (train, test) = each.joined(halves);
        all.push(("network, central".to_owned(), by_ranker(&self.central("skips, central", &train, hidden()), &test)));
        drop((train, test));
        let (each, halves) = both(private);
        let (train, test) = each.joined(halves);
        let share = self.budget.share(SHARES.skips);
        let ranker = self.federated("skips, Sordino", &train, hidden(), share, SKIP_STREAM)?;
        all.push(("Sordino".to_owned(), by_ranker(&ranker, &test)));
        Ok(all)
    }
}

fn one_feature<'a>(shown: impl Iterator<Item = &'a Shown>, name: &str) -> Vec<f32> {
    let input = input_of(name).expect("a feature of this name");
    shown.map(|shown| shown.features.get(input)).collect()
}

impl Learnt {
    fn knowledge(&self, days: &Days) -> Knowledge<'_> {
        Knowledge {
            tracks: &self.facts.tracks,
            artists: &self.facts.artists,
            shrinkage: self.rates.shrinkage,
            counted: days.counted,
            counted_until: days.test_from,
            embeddings: self.embeddings.as_ref(),
        }
    }
}

// Features that are scorers by themselves.
const AFFINITY: &str = "listener.track";
const TRACK_RATE: &str = "log-odds of the track's rate";
const LAST_PLEASED: &str = "the last track pleased";
const RANKER_STREAM: u64 = 601;
const RATES_STREAM: u64 = 602;
const CALIBRATION_STREAM: u64 = 603;
const SKIP_STREAM: u64 = 604;
