//! Weak labels held against what listeners said: counted privately, fitted, and measured on devices that were not counted.

mod text;

pub use text::{page, text};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::experiment;
use crate::population::Population;
use crate::progress;
use crate::scenario::{Scenario, read_toml, to_toml};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::event::EventKind;
use sordino_client::label::{self, LabelKind, LabelPolicy, Said, said};
use sordino_client::quality::{BotVerdict, Checks, ValidEvent, check};
use sordino_shared::evaluate::{Reliability, auc, calibration_error, reliability};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Approval, Inputs, PlayBands, Shown};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::mix;
use sordino_shared::workload::{Cells, RateEstimate, Rates};
use std::path::Path;

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

impl LabelSettings {
    /// Reads settings.
    ///
    /// # Errors
    /// A sentence where the file cannot be read or a field is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "holds no settings of labels")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        to_toml(self)
    }

    fn check(&self) -> Result<()> {
        let rising =
            |edges: &[f32]| edges.iter().all(|edge| edge.is_finite()) && edges.windows(2).all(|pair| pair[0] < pair[1]);
        if !(rising(&self.bands.fractions) && rising(&self.bands.seconds) && self.bands.cells() <= MOST_CELLS) {
            return Err(Error::input(format!("edges of bands must rise, and make at most {MOST_CELLS} cells")));
        }
        if self.folds < 2 || [self.said_clip, self.played_clip].iter().any(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return Err(Error::input("labels need clips above zero and at least 2 folds"));
        }
        Ok(())
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
    /// By rule of the policy, from the private counts.
    pub rules: Vec<Rule>,
    /// The policy with the confidences that follow.
    pub policy: LabelPolicy,
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
    /// Plays that it decided, by noised count.
    pub plays: f64,
    /// The share of them that a yes came after, shrunk.
    pub yes_of_plays: f64,
    /// The confidence that follows for an example; 0 where the rule does not say yes.
    pub confidence: f32,
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

/// What is asked of a play.
#[derive(Clone, Copy)]
enum Asked {
    /// Yes or no, where something was said.
    YesOrNo,
    /// Whether a yes came.
    Yes,
}

/// Both fits of one counting.
struct Fitted {
    said: Approval,
    played: Approval,
}

impl Fitted {
    fn score(&self, play: &Play, asked: Asked) -> f32 {
        let approval = match asked {
            Asked::YesOrNo => &self.said,
            Asked::Yes => &self.played,
        };
        approval.log_odds(play.said.fraction, play.said.seconds)
    }
}

/// What came out over all folds.
struct CrossFitted {
    // Figures of each scorer.
    scorers: Vec<(String, LabelMeasured)>,
    // Probabilities of a yes, each from devices outside its fold, with what came true.
    foretold: Vec<(f32, bool)>,
}

/// A scorer's figures on one fold; `None` without both kinds of plays.
struct Aucs {
    like_dislike: Option<f64>,
    yes_all: Option<f64>,
}

fn aucs(plays: &[&Play], score: impl Fn(&Play, Asked) -> f32) -> Aucs {
    let explicit = plays.iter().filter_map(|play| match play.said.action? {
        EventKind::Like => Some((score(play, Asked::YesOrNo), true)),
        EventKind::Dislike => Some((score(play, Asked::YesOrNo), false)),
        _ => None,
    });
    let all = plays.iter().map(|play| (score(play, Asked::Yes), play.said.approves() == Some(true)));
    Aucs { like_dislike: auc(&explicit.collect::<Vec<_>>()), yes_all: auc(&all.collect::<Vec<_>>()) }
}

struct Experiment<'a> {
    settings: &'a LabelSettings,
    policy: LabelPolicy,
    // By device.
    plays: Vec<Vec<Play>>,
    budget: Budget,
    seed: u64,
}

/// Runs the experiment.
pub fn run(scenario: &Scenario, settings: &LabelSettings) -> Result<LabelResults> {
    scenario.on_threads(|| run_here(scenario, settings))
}

fn run_here(scenario: &Scenario, settings: &LabelSettings) -> Result<LabelResults> {
    settings.check()?;
    let dataset = experiment::dataset(scenario)?;
    let policy = scenario.policy()?;
    let checks = Checks { tracks: dataset.tracks(), now: dataset.now, dated: dataset.has_clock };
    let bar = progress::steps(dataset.devices() as u64, "plays");
    let plays: Vec<Vec<Play>> = (0..dataset.devices())
        .into_par_iter()
        .inspect(|_| bar.inc(1))
        .map(|device| check(dataset.events(device).into_owned(), &checks).0)
        .filter(|events| !events.is_empty() && BotVerdict::of(events).broken.is_empty())
        .map(|events| graded(&events, &policy))
        .collect();
    bar.finish_and_clear();
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
    let experiment =
        Experiment { settings, policy, plays, budget: Budget::new(scenario, devices)?, seed: scenario.seed };
    let CrossFitted { scorers, foretold } = experiment.measure()?;
    let (rules, policy) = experiment.rules()?;
    let bins = reliability(&foretold, BINS);
    Ok(LabelResults {
        scenario: scenario.clone(),
        settings: settings.clone(),
        devices: (devices, experiment.budget.federation().population),
        plays: totals,
        claim: experiment.budget.claim(),
        scorers,
        calibration_error: calibration_error(&bins),
        reliability: bins,
        rules,
        policy,
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
    let grades = label::label(&plays, policy);
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
        (budget, rho, stream): (&Budget, Option<f64>, u64),
        of: impl Fn(usize, &Play) -> Option<Shown>,
    ) -> Result<RateEstimate> {
        let shown = self
            .plays
            .iter()
            .enumerate()
            .map(|(device, plays)| plays.iter().filter_map(|play| of(device, play)).collect::<Vec<Shown>>());
        let population = Population::of_shown(cells, shown);
        let mut rates = Rates::new(Cells::Numbered(cells), centre, clip);
        budget.train(&mut rates, &population, 1, rho, (stream, 0))?;
        Ok(rates.estimate().cloned().expect("a sum was applied"))
    }

    /// Yes or no among what was said, and yes among all plays, fitted to devices outside the fold.
    fn fit(&self, fold: u64, budget: &Budget, private: bool) -> Result<Fitted> {
        let bands = &self.settings.bands;
        let inside = |device: usize| self.fold(device) != fold;
        let share = |share: f64| budget.share(share).filter(|_| private);
        let said = self.count(
            bands.cells(),
            (self.settings.said_clip, SAID_CENTRE),
            (budget, share(SHARES[0]), SAID_STREAM + fold),
            |device, play| {
                let yes = play.said.approves().filter(|_| inside(device))?;
                Some(play.said.counted(bands, yes))
            },
        )?;
        let played = self.count(
            bands.cells(),
            (self.settings.played_clip, PLAYED_CENTRE),
            (budget, share(SHARES[1]), PLAYED_STREAM + fold),
            |device, play| inside(device).then(|| play.said.counted(bands, play.said.approves() == Some(true))),
        )?;
        Ok(Fitted { said: Approval::fit(bands.clone(), &said), played: Approval::fit(bands.clone(), &played) })
    }

    fn measure(&self) -> Result<CrossFitted> {
        let mut folds = Vec::new();
        let mut foretold = Vec::new();
        let bar = progress::steps(self.settings.folds, "parts of the devices");
        for fold in 0..self.settings.folds {
            let exact = self.fit(fold, &self.budget, false)?;
            // A fleet counts once: the first fold is what is claimed, the others are other fleets'.
            let other = self.budget.again();
            let budget = if fold == 0 { &self.budget } else { &other };
            let private = if budget.is_private() { Some(self.fit(fold, budget, true)?) } else { None };
            let plays: Vec<&Play> = (0..self.plays.len())
                .filter(|&device| self.fold(device) == fold)
                .flat_map(|device| &self.plays[device])
                .collect();
            let fitted = private.as_ref().unwrap_or(&exact);
            foretold.extend(plays.iter().map(|play| {
                let said = &play.said;
                (fitted.played.probability(said.fraction, said.seconds), said.approves() == Some(true))
            }));
            let fraction = |play: &Play, _: Asked| play.said.fraction;
            let grade = |play: &Play, _: Asked| play.grade as u8 as f32;
            let mut scorers = vec![
                ("played fraction", aucs(&plays, fraction)),
                ("the policy's grade", aucs(&plays, grade)),
                ("counts, exact", aucs(&plays, |play, asked| exact.score(play, asked))),
            ];
            if let Some(private) = &private {
                scorers.push(("Sordino", aucs(&plays, |play, asked| private.score(play, asked))));
            }
            folds.push(scorers);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let names = folds.first().into_iter().flatten().map(|(name, _)| *name).enumerate();
        let scorers = names.map(|(at, name)| {
            let of = |value: fn(&Aucs) -> Option<f64>| {
                folds.iter().filter_map(|fold| value(&fold[at].1)).collect::<Vec<f64>>()
            };
            let (mean, error) = mean_with_error(&of(|aucs| aucs.like_dislike));
            let yes_all = mean_with_error(&of(|aucs| aucs.yes_all)).0;
            (name.to_owned(), LabelMeasured { like_dislike: mean, like_dislike_error: error, yes_all })
        });
        Ok(CrossFitted { scorers: scorers.collect(), foretold })
    }

    // Rules by private counts, and the policy that follows from them.
    fn rules(&self) -> Result<(Vec<Rule>, LabelPolicy)> {
        let count = self.policy.rules.len() + 1;
        let share = self.budget.share(SHARES[2] / 2.0);
        let shown = |play: &Play, pleased| Shown {
            track: TrackId(play.rule as u32),
            features: Inputs::default(),
            pleased,
            weight: 1.0,
            list: 0,
        };
        let clips = (self.settings.said_clip, SAID_CENTRE);
        let said = self.count(count, clips, (&self.budget, share, RULE_STREAM), |_, play| {
            Some(shown(play, play.said.approves()?))
        })?;
        let clips = (self.settings.played_clip, PLAYED_CENTRE);
        let played = self.count(count, clips, (&self.budget, share, RULE_STREAM + 1), |_, play| {
            Some(shown(play, play.said.approves() == Some(true)))
        })?;
        let seen = |number: usize| {
            let cell = &played.cells[number];
            let told = cell.shown >= LEAST_PLAYS + LEAST_DEVIATIONS * cell.variance.sqrt();
            (if told { cell.shown } else { 0.0 }, played.rate(number))
        };
        let policy = self.policy.calibrated(&(0..count - 1).map(seen).collect::<Vec<_>>());
        let named = self.policy.rules.iter().enumerate().filter(|(_, rule)| rule.is_about_plays());
        let named = named.map(|(number, rule)| (number, rule.name.clone(), rule.label));
        let rest = (count - 1, "no rule".to_owned(), LabelKind::Neutral);
        let rule = |(number, name, label): (usize, String, LabelKind)| Rule {
            name,
            label,
            said: said.cells[number].shown,
            yes: said.rate(number),
            plays: played.cells[number].shown,
            yes_of_plays: played.rate(number),
            confidence: policy.confidence_of(label, Some(number)),
        };
        Ok((named.chain([rest]).map(rule).collect(), policy))
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
const MOST_CELLS: usize = 10_000;
const LEAST_SAID: usize = 20;
const BINS: usize = 15;
// Plays of a rule, beyond what noise makes up, from which its confidence is read off them.
const LEAST_PLAYS: f64 = 100.0;
const LEAST_DEVIATIONS: f64 = 10.0;
const FOLD_STREAM: u64 = 801;
const RULE_STREAM: u64 = 802;
const SAID_STREAM: u64 = 810;
const PLAYED_STREAM: u64 = 1_000_810;
