//! Weak labels held against what listeners said: counted privately, fitted, and measured on devices that were not counted.

mod text;

pub use text::text;

use crate::error::{Error, Result};
use crate::experiment;
use crate::federation::Federation;
use crate::population::Population;
use crate::scenario::Scenario;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::event::EventKind;
use sordino_client::label::{LabelKind, LabelPolicy, Said, label, said};
use sordino_client::quality::{BotVerdict, Checks, ValidEvent, check};
use sordino_shared::evaluate::{Reliability, auc, calibration_error, reliability};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Approval, PlayBands, Shown};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::mix;
use sordino_shared::workload::{Cells, RateEstimate, Rates, Workload};

/// Settings of the counting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelSettings {
    /// Bands of what was played.
    pub bands: PlayBands,
    /// L2 norm of a device's counts of what it said.
    pub said_clip: f64,
    /// L2 norm of a device's counts of all that it played.
    pub played_clip: f64,
    /// Parts that devices are dealt into; each is measured with what the others gave.
    pub folds: u64,
}

impl Default for LabelSettings {
    fn default() -> Self {
        Self { bands: PlayBands::default(), said_clip: 1.0, played_clip: 2.0, folds: 5 }
    }
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelResults {
    /// What was run.
    pub scenario: Scenario,
    /// And how.
    pub settings: LabelSettings,
    /// Devices simulated, and what they stand for.
    pub devices: (usize, usize),
    /// Plays of known length, those that a yes came after, those that a no came after.
    pub plays: (usize, usize, usize),
    /// The price of one counting for one device.
    pub claim: Option<Claim>,
    /// Each scorer's figures.
    pub scorers: Vec<(String, LabelMeasured)>,
    /// Yes after a play: what was foretold and what came true.
    pub reliability: Vec<Reliability>,
    /// Its expected calibration error.
    pub calibration_error: f64,
    /// By rule of the policy: its name, plays that it decided, how often a yes came after all of them, and how often after
    /// those that anything was said of; from the private counts.
    pub rules: Vec<Rule>,
}

/// A rule of the policy, and what listeners said after plays that it decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule; `no rule` for plays that none speaks of.
    pub name: String,
    /// Its label.
    pub label: LabelKind,
    /// Plays that something was said of, by noised count.
    pub said: f64,
    /// The share of yes among them, shrunk.
    pub yes: f64,
}

/// A scorer's figures: means over the folds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelMeasured {
    /// Like against dislike.
    pub like_dislike: f64,
    /// The standard error of that mean, from the folds' differences.
    pub like_dislike_error: f64,
    /// Like, add_to_playlist and the rest: a yes against all other plays.
    pub yes_all: f64,
}

struct Play {
    said: Said,
    grade: LabelKind,
    rule: usize,
}

struct Experiment<'a> {
    settings: &'a LabelSettings,
    policy: LabelPolicy,
    // By device.
    plays: Vec<Vec<Play>>,
    federation: Federation,
    seed: u64,
}

/// Runs the experiment.
pub fn run(scenario: &Scenario, settings: &LabelSettings) -> Result<LabelResults> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(scenario.threads)
        .build()
        .map_err(|e| Error::input(format!("--threads {} cannot be started: {e}", scenario.threads)))?;
    pool.install(|| run_here(scenario, settings))
}

fn run_here(scenario: &Scenario, settings: &LabelSettings) -> Result<LabelResults> {
    let dataset = experiment::dataset(scenario)?;
    let policy = scenario.policy()?;
    let checks = Checks { tracks: dataset.tracks(), now: dataset.now, dated: dataset.has_clock };
    let plays: Vec<Vec<Play>> = (0..dataset.devices())
        .into_par_iter()
        .map(|device| check(dataset.events(device).into_owned(), &checks).0)
        .filter(|events| !events.is_empty() && BotVerdict::of(events).broken.is_empty())
        .map(|events| graded(&events, &policy))
        .collect();
    let count = |of: &dyn Fn(&Said) -> bool| plays.iter().flatten().filter(|play| of(&play.said)).count();
    let totals = (count(&|_| true), count(&|s| s.approves() == Some(true)), count(&|s| s.approves() == Some(false)));
    if totals.1 < LEAST_SAID || totals.2 < LEAST_SAID {
        return Err(Error::input(format!(
            "labels are held against what listeners say: here a yes came after {} plays of known length and a no after {}, \
             and {LEAST_SAID} of each are needed",
            totals.1, totals.2
        )));
    }
    let devices = plays.len();
    let population = scenario.population.unwrap_or(devices);
    if population < devices {
        return Err(Error::input(format!(
            "--population {population} is fewer than the {devices} devices simulated: it says how many they stand for"
        )));
    }
    let target = scenario.target(population)?;
    let rho = target.as_ref().map(|target| target.rho(scenario.mechanism));
    let federation = scenario.federation(devices, population);
    let experiment = Experiment { settings, policy, plays, federation, seed: scenario.seed };
    let claim = match (rho, target) {
        (Some(rho), Some(target)) => Some(Claim::new(rho, target.delta(), scenario.mode, scenario.mechanism)),
        _ => None,
    };
    let (scorers, foretold) = experiment.measure(rho)?;
    let bins = reliability(&foretold, BINS);
    Ok(LabelResults {
        scenario: scenario.clone(),
        settings: settings.clone(),
        devices: (devices, population),
        plays: totals,
        claim,
        scorers,
        calibration_error: calibration_error(&bins),
        reliability: bins,
        rules: experiment.rules(rho)?,
    })
}

fn graded(events: &[ValidEvent], policy: &LabelPolicy) -> Vec<Play> {
    let plays: Vec<ValidEvent> = events
        .iter()
        .filter(|valid| {
            let event = valid.event();
            event.kind.is_listening() && event.played_fraction().is_some() && event.track_seconds.is_some()
        })
        .copied()
        .collect();
    let rules = plays.iter().map(|play| policy.first_rule(play.event()).unwrap_or(policy.rules.len()));
    let grades = label(&plays, policy);
    said(events)
        .into_iter()
        .zip(grades)
        .zip(rules)
        .map(|((said, label), rule)| Play { said, grade: label.kind, rule })
        .collect()
}

impl Experiment<'_> {
    fn fold(&self, device: usize) -> u64 {
        mix(self.seed, FOLD_STREAM, device as u64) % self.settings.folds
    }

    /// Counts in cells: what `of` gives for the plays of devices in the round.
    fn count(
        &self,
        cells: usize,
        (clip, centre): (f64, f64),
        rho: Option<f64>,
        stream: u64,
        of: impl Fn(usize, &Play) -> Option<Shown>,
    ) -> Result<RateEstimate> {
        let shown = self
            .plays
            .iter()
            .enumerate()
            .map(|(device, plays)| plays.iter().filter_map(|play| of(device, play)).collect::<Vec<Shown>>());
        let population = Population::of_shown(cells, shown);
        let mut rates = Rates::new(Cells::Numbered(cells), centre, clip);
        let federation = Federation { seed: mix(self.federation.seed, stream, 0), ..self.federation.clone() };
        let mut memories = vec![Vec::new(); population.devices()];
        let outcome = federation.run(&rates, rho, &population, &mut memories, 0, &mut federation.sum_noise())?;
        rates.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
        Ok(rates.estimate().cloned().expect("a sum was applied"))
    }

    /// Yes or no among what was said, and yes among all plays, fitted to devices outside the fold.
    fn fit(&self, fold: u64, rho: Option<f64>) -> Result<(Approval, Approval)> {
        let bands = &self.settings.bands;
        let inside = |device: usize| self.fold(device) != fold;
        let said = self.count(
            bands.cells(),
            (self.settings.said_clip, SAID_CENTRE),
            rho.map(|rho| rho * SHARES[0]),
            SAID_STREAM + fold,
            |device, play| {
                let yes = play.said.approves().filter(|_| inside(device))?;
                Some(play.said.counted(bands, yes))
            },
        )?;
        let played = self.count(
            bands.cells(),
            (self.settings.played_clip, PLAYED_CENTRE),
            rho.map(|rho| rho * SHARES[1]),
            PLAYED_STREAM + fold,
            |device, play| inside(device).then(|| play.said.counted(bands, play.said.approves() == Some(true))),
        )?;
        Ok((Approval::fit(bands.clone(), &said), Approval::fit(bands.clone(), &played)))
    }

    // Figures of each scorer, and the private probabilities of a yes with what came true.
    #[expect(clippy::type_complexity, reason = "two lists that are made in one pass")]
    fn measure(&self, rho: Option<f64>) -> Result<(Vec<(String, LabelMeasured)>, Vec<(f32, bool)>)> {
        let mut names = vec!["played fraction", "the policy's grade", "counts, exact"];
        if rho.is_some() {
            names.push("Sordino");
        }
        let mut values = vec![(Vec::new(), Vec::new()); names.len()];
        let mut foretold = Vec::new();
        for fold in 0..self.settings.folds {
            let exact = self.fit(fold, None)?;
            let private = match rho {
                None => None,
                Some(_) => Some(self.fit(fold, rho)?),
            };
            let plays: Vec<&Play> = (0..self.plays.len())
                .filter(|&device| self.fold(device) == fold)
                .flat_map(|device| &self.plays[device])
                .collect();
            let fitted = private.as_ref().unwrap_or(&exact);
            foretold.extend(plays.iter().map(|play| {
                let said = &play.said;
                (fitted.1.probability(said.fraction, said.seconds), said.approves() == Some(true))
            }));
            let by = |approval: &(Approval, Approval), all: bool, said: &Said| {
                let approval = if all { &approval.1 } else { &approval.0 };
                approval.log_odds(said.fraction, said.seconds)
            };
            for (name, (said_values, all_values)) in names.iter().zip(&mut values) {
                let score = |play: &Play, all: bool| match *name {
                    "played fraction" => play.said.fraction,
                    "the policy's grade" => play.grade as u8 as f32,
                    "counts, exact" => by(&exact, all, &play.said),
                    _ => by(fitted, all, &play.said),
                };
                let explicit: Vec<(f32, bool)> = plays
                    .iter()
                    .filter_map(|play| match play.said.action? {
                        EventKind::Like => Some((score(play, false), true)),
                        EventKind::Dislike => Some((score(play, false), false)),
                        _ => None,
                    })
                    .collect();
                let all: Vec<(f32, bool)> =
                    plays.iter().map(|play| (score(play, true), play.said.approves() == Some(true))).collect();
                said_values.extend(auc(&explicit));
                all_values.extend(auc(&all));
            }
        }
        let measured = |(said, all): &(Vec<f64>, Vec<f64>)| {
            let (mean, error) = mean_with_error(said);
            LabelMeasured { like_dislike: mean, like_dislike_error: error, yes_all: mean_with_error(all).0 }
        };
        let scorers = names.iter().map(|&name| name.to_owned()).zip(values.iter().map(measured)).collect();
        Ok((scorers, foretold))
    }

    fn rules(&self, rho: Option<f64>) -> Result<Vec<Rule>> {
        let count = self.policy.rules.len() + 1;
        let clips = (self.settings.said_clip, SAID_CENTRE);
        let counts = self.count(count, clips, rho.map(|rho| rho * SHARES[2]), RULE_STREAM, |_, play| {
            let pleased = play.said.approves()?;
            Some(Shown { track: TrackId(play.rule as u32), features: Vec::new(), pleased, weight: 1.0, list: 0 })
        })?;
        let named = self.policy.rules.iter().map(|rule| (rule.name.clone(), rule.label));
        let named = named.chain([("no rule".to_owned(), LabelKind::Neutral)]);
        let rule = |(number, (name, label)): (usize, (String, LabelKind))| Rule {
            name,
            label,
            said: counts.cells[number].shown,
            yes: counts.rate(number),
        };
        Ok(named.enumerate().map(rule).collect())
    }
}

fn mean_with_error(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / f64::max(n - 1.0, 1.0) / n).sqrt())
}

// What a device spends on what it said, on all that it played, and on the rules: together all of its rho (zCDP adds up).
const SHARES: [f64; 3] = [0.7, 0.2, 0.1];
const _: () =
    assert!(SHARES[0] + SHARES[1] + SHARES[2] <= 1.0 + 1e-12, "the shares of a budget are at most the budget");
// Public guesses of the rates.
const SAID_CENTRE: f64 = 0.9;
const PLAYED_CENTRE: f64 = 0.03;
const LEAST_SAID: usize = 20;
const BINS: usize = 15;
const FOLD_STREAM: u64 = 801;
const RULE_STREAM: u64 = 802;
const SAID_STREAM: u64 = 810;
const PLAYED_STREAM: u64 = 1_000_810;
