//! A fleet through a rollout, device by device and hour by hour: listeners who come when it is their evening, phones that ask at night,
//! some of them days late, some that join later, and listeners who leave for good, the sooner the less they are served.
//!
//! Arms, gates and the course are the coordinator's and the devices' own code ([`Controller`], [`sordino_shared::rollout::Bucket`]); sums are added in the clear and
//! noised, as masks cancel. What no real rollout knows is known here: who left because of the candidate.

mod phone;
mod text;

pub use text::{page, text};

use crate::error::{Error, Result};
use crate::progress;
use crate::scenario::{self, read_toml};
use indicatif::ProgressBar;
use phone::{Hour, Phone};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_coordinator::rollout::controller::{Actor, Release};
use sordino_coordinator::rollout::explain::standing;
use sordino_coordinator::rollout::{Controller, Event, Guardrail, Input, Phase, Policy, Stage};
use sordino_shared::random::mix;
use sordino_shared::rollout::{Arm, CellSums, Share};
use std::collections::BTreeMap;
use std::path::Path;

/// A fleet and its ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSettings {
    /// Devices, those that join later with them.
    pub devices: usize,
    /// The share that joins later, within thirty days.
    pub late: f64,
    /// Chance that a phone asks in a night.
    pub asks: f64,
    /// Chance in a day that a listener who is served as usual leaves for good.
    pub leaving: f64,
    /// How much more likely that is where satisfaction is a tenth lower, as a factor.
    pub leaving_factor: f64,
    /// Stages, as shares; the first may be in the shadow.
    pub stages: Vec<f64>,
    /// Whether the first stage is in the shadow.
    pub shadow: bool,
    /// Looks of a stage.
    pub looks: usize,
    /// Hours that a stage lasts at least.
    pub dwell_hours: u32,
    /// The share of devices that contribute to a stage.
    pub contributing: f64,
    /// Deviation of the noise in each value of a release.
    pub noise: f64,
    /// Margins, where not as by default.
    pub margins: BTreeMap<Guardrail, f64>,
    /// Guardrails that are left to the abort rule.
    pub watched: Vec<Guardrail>,
    /// Days after which a rollout that has not ended is given up.
    pub days: u32,
    /// Fleets for each candidate.
    pub runs: usize,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            devices: 200_000,
            late: 0.2,
            asks: 0.8,
            leaving: 0.003,
            leaving_factor: 2.0,
            stages: vec![0.05, 0.05, 0.25, 0.5],
            shadow: true,
            looks: 5,
            dwell_hours: 48,
            contributing: 0.3,
            noise: 10.0,
            // What a fleet of this size can see.
            margins: [
                (Guardrail::SkipRate, 0.02),
                (Guardrail::Ndcg, 0.02),
                (Guardrail::Return, 0.03),
                (Guardrail::WorstSkipRate, 0.06),
            ]
            .into(),
            watched: vec![Guardrail::Crash, Guardrail::LoadFailure, Guardrail::Slow],
            days: 60,
            runs: 2,
            seed: 1,
        }
    }
}

/// What a version does to a fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Added to every listener's skip rate.
    pub skips: f64,
    /// Added to that of the tenth who is served worst, beyond that.
    pub worst_skips: f64,
    /// Added to the skip rate with every day that the version serves.
    pub decay: f64,
    /// Chance of a crash in a day that it serves, beyond the usual.
    pub crashes: f64,
    /// Share of devices where it does not load; they fall back by themselves.
    pub not_loading: f64,
    /// Added to the share of slow inferences.
    pub slow: f64,
}

/// How one fleet fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The candidate.
    pub candidate: String,
    /// The fleet's number.
    pub run: usize,
    /// Where the rollout stands at the end, in words.
    pub end: String,
    /// Whether the candidate was taken back.
    pub aborted: bool,
    /// Whether all devices had it in the end.
    pub full: bool,
    /// Days from the start to the end.
    pub days: f64,
    /// The stage, from 1, in which it ended.
    pub stage: usize,
    /// The share of the fleet that the candidate ever served, before all had it.
    pub exposed: f64,
    /// Devices that went back by themselves, asking nobody.
    pub fell_back: usize,
    /// Contributions that were summed.
    pub contributions: usize,
    /// Listeners who left, of a thousand in a day, where the candidate served and in the control arm; `None` where there were none such. Nobody
    /// but a simulation knows.
    pub leaving: [Option<f64>; 2],
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetResults {
    /// The fleet.
    pub settings: FleetSettings,
    /// Candidate by candidate, fleet by fleet.
    pub outcomes: Vec<Outcome>,
}

impl FleetSettings {
    /// Reads a file of settings.
    ///
    /// # Errors
    /// A sentence where the file cannot be read or a field is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "holds no settings of a fleet")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        scenario::to_toml(self)
    }

    fn policy(&self) -> Result<Policy> {
        let shares = self.stages.iter().enumerate().map(|(number, &share)| {
            let share = Share::parts_per_million((share * 1e6).round() as u32).ok_or_else(|| {
                Error::input("stages are shares of at most 0.5, since as many devices are the control")
            })?;
            let shadow = self.shadow && number == 0;
            Ok(Stage { share, looks: self.looks, dwell_hours: self.dwell_hours, manual: false, shadow })
        });
        let policy = Policy {
            stages: shares.collect::<Result<_>>()?,
            margins: self.margins.clone(),
            watched: self.watched.clone(),
            contributing: self.contributing,
            noise: self.noise,
            ..Policy::named("fleet")
        };
        policy.plan(self.devices).map_err(|error| Error::input(error.to_string()))?;
        let odds = [self.late, self.asks, self.leaving];
        if odds.iter().any(|odds| !(0.0..=1.0).contains(odds)) || self.leaving_factor < 1.0 || self.runs == 0 {
            return Err(Error::input(
                "`late`, `asks` and `leaving` are chances, `leaving_factor` is at least 1, and `runs` too",
            ));
        }
        Ok(policy)
    }
}

/// The candidates: two that are fine, and what can be wrong with the others.
pub fn candidates() -> Vec<(&'static str, Effect)> {
    let none = Effect::default();
    vec![
        ("the same model", none),
        ("two points better", Effect { skips: -0.02, ..none }),
        ("four points worse", Effect { skips: 0.04, ..none }),
        ("badly broken", Effect { skips: 0.2, crashes: 0.05, not_loading: 0.1, slow: 0.1, ..none }),
        ("unfair to a tenth", Effect { worst_skips: 0.2, ..none }),
        ("decaying", Effect { decay: 0.02, ..none }),
    ]
}

/// Rolls every candidate out through its fleets.
///
/// # Errors
/// Where a setting makes no sense.
pub fn run(settings: &FleetSettings) -> Result<FleetResults> {
    let policy = settings.policy()?;
    let candidates = candidates();
    let all: Vec<(usize, usize)> =
        (0..candidates.len()).flat_map(|candidate| (0..settings.runs).map(move |run| (candidate, run))).collect();
    let hours = SETTLED + settings.days * 24;
    let bar = progress::steps(all.len() as u64 * u64::from(hours), "hours of fleets");
    let roll = |&(candidate, run): &(usize, usize)| {
        let (name, effect) = candidates[candidate];
        // The same fleet for every candidate.
        let seed = mix(settings.seed, FLEET_STREAM, run as u64);
        let mut fleet = Fleet::new(settings, &policy, effect, seed);
        fleet.run(&bar);
        // Rollouts may be over before their last day.
        bar.inc(u64::from(hours.saturating_sub(fleet.hour)));
        Outcome { candidate: name.to_owned(), run, ..fleet.outcome() }
    };
    let outcomes = all.par_iter().map(roll).collect();
    bar.finish_and_clear();
    Ok(FleetResults { outcomes, settings: settings.clone() })
}

/// One fleet under way.
struct Fleet<'a> {
    settings: &'a FleetSettings,
    policy: &'a Policy,
    effect: Effect,
    phones: Vec<Phone>,
    controller: Controller,
    hour: u32,
    // The round of metrics that collects, if one does.
    round: Option<Round>,
    chance: ChaCha8Rng,
    contributions: usize,
}

struct Round {
    stage: usize,
    sums: [[CellSums; 2]; 2],
    devices: u32,
    closes: u32,
}

impl<'a> Fleet<'a> {
    fn new(settings: &'a FleetSettings, policy: &'a Policy, effect: Effect, seed: u64) -> Self {
        let phones = (0..settings.devices).map(|number| Phone::new(settings, seed, number)).collect();
        let controller = Controller::new(policy.clone(), settings.devices);
        let chance = ChaCha8Rng::seed_from_u64(mix(seed, NOISE_STREAM, 0));
        Self { settings, policy, effect, phones, controller, hour: 0, round: None, chance, contributions: 0 }
    }

    fn run(&mut self, bar: &ProgressBar) {
        let operator = Actor { name: "operator".into(), may_promote: true, may_abort: true, may_skip: false };
        // Listeners have a past by then, which no candidate has touched.
        while self.hour < SETTLED {
            self.turn();
            bar.inc(1);
        }
        self.feed(Input::Start(operator));
        while !self.is_over() && self.hour < SETTLED + self.settings.days * 24 {
            self.turn();
            bar.inc(1);
            self.feed(Input::Tick);
            self.measure();
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.controller.phase(), Phase::Full | Phase::Aborted | Phase::Held(_))
    }

    fn now(&self) -> i64 {
        i64::from(self.hour) * 3_600_000
    }

    fn feed(&mut self, input: Input) {
        // What comes when the rollout has gone on is not judged.
        let events: Vec<Event> = self.controller.decide(self.now(), input).unwrap_or_default();
        events.iter().for_each(|event| self.controller.apply(event));
    }

    // An hour of every phone.
    fn turn(&mut self) {
        let stage = self.controller.stage().map(|number| (number, self.policy.stages[number]));
        let hour = Hour {
            hour: self.hour,
            stage,
            is_full: *self.controller.phase() == Phase::Full,
            report_hours: self.policy.report_hours,
            effect: self.effect,
            settings: self.settings,
        };
        for number in 0..self.phones.len() {
            let phone = &mut self.phones[number];
            if phone.lives(&hour)
                && let Some(round) = &mut self.round
                && let Some((arm, group, report)) = phone.contributes(&hour, round.stage)
            {
                if let Some(arm) = arm {
                    let cell = &mut round.sums[usize::from(arm == Arm::Control)][group];
                    cell.count += 1.0;
                    for (sum, value) in cell.values.iter_mut().zip(report) {
                        *sum += value;
                    }
                    for (sum, value) in cell.squares.iter_mut().zip(report) {
                        *sum += value * value;
                    }
                }
                round.devices += 1;
                self.contributions += 1;
                if round.devices >= self.policy.cohort_devices(round.stage, self.settings.devices) {
                    round.closes = self.hour;
                    self.close();
                }
            }
        }
        self.hour += 1;
    }

    // Opens a round that is due, and closes one whose time is over.
    fn measure(&mut self) {
        if self.round.as_ref().is_some_and(|round| round.closes <= self.hour) {
            self.close();
        }
        if self.round.is_none()
            && let Some((stage, _, due)) = self.controller.next_look()
            && due <= self.now()
        {
            let closes = self.hour + ROUND_HOURS;
            self.round = Some(Round { stage, sums: Default::default(), devices: 0, closes });
        }
    }

    fn close(&mut self) {
        let Some(mut round) = self.round.take() else { return };
        if f64::from(round.devices) < self.policy.least_devices || self.controller.stage() != Some(round.stage) {
            return;
        }
        let mut noise = || -> f64 {
            let normal: f64 = StandardNormal.sample(&mut self.chance);
            self.policy.noise * normal
        };
        for cell in round.sums.iter_mut().flatten() {
            cell.count += noise();
            cell.values.iter_mut().chain(&mut cell.squares).for_each(|value| *value += noise());
        }
        let noise_variance = self.policy.noise * self.policy.noise;
        self.feed(Input::Release(Box::new(Release { sums: round.sums, noise_variance })));
    }

    fn outcome(&self) -> Outcome {
        let phase = self.controller.phase();
        let ever = self.phones.iter().filter(|phone| phone.ever_served()).count();
        let mut left = [(0.0, 0.0); 2];
        for phone in &self.phones {
            for (all, (gone, days)) in left.iter_mut().zip(phone.left()) {
                *all = (all.0 + gone, all.1 + days);
            }
        }
        Outcome {
            candidate: String::new(),
            run: 0,
            end: standing(&self.controller),
            aborted: *phase == Phase::Aborted,
            full: *phase == Phase::Full,
            days: f64::from(self.hour.saturating_sub(SETTLED)) / 24.0,
            stage: self.last_stage() + 1,
            exposed: ever as f64 / self.phones.len() as f64,
            fell_back: self.phones.iter().filter(|phone| phone.has_fallen_back()).count(),
            contributions: self.contributions,
            leaving: left.map(|(gone, days)| (days > 0.0).then(|| 1000.0 * gone / days)),
        }
    }

    // Where it stands, or stood when it ended.
    fn last_stage(&self) -> usize {
        self.phones.iter().filter_map(Phone::stage).max().unwrap_or(0)
    }
}

const FLEET_STREAM: u64 = 971;
const NOISE_STREAM: u64 = 972;
// Four weeks before the rollout.
const SETTLED: u32 = 28 * 24;
// A night in every place of the earth.
const ROUND_HOURS: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> FleetSettings {
        FleetSettings {
            devices: 40_000,
            stages: vec![0.5],
            shadow: false,
            noise: 3.0,
            runs: 1,
            ..FleetSettings::default()
        }
    }

    #[test]
    fn a_broken_candidate_comes_back_and_makes_listeners_leave() {
        // Listeners who are quick to leave: the candidate is there for a day.
        let settings = FleetSettings { leaving_factor: 8.0, ..small() };
        let policy = settings.policy().expect("a policy");
        let broken = Effect { skips: 0.3, not_loading: 0.1, ..Effect::default() };
        let mut fleet = Fleet::new(&settings, &policy, broken, 1);
        fleet.run(&ProgressBar::hidden());
        let outcome = fleet.outcome();
        assert!(outcome.aborted, "{outcome:?}");
        assert!(outcome.fell_back > 1000 && outcome.exposed > 0.2 && outcome.exposed < 0.5, "{outcome:?}");
        let [Some(treated), Some(control)] = outcome.leaving else { panic!("{outcome:?}") };
        assert!(treated > 1.2 * control, "{outcome:?}");
        // The same seed, the same fleet.
        let mut again = Fleet::new(&settings, &policy, broken, 1);
        again.run(&ProgressBar::hidden());
        assert_eq!(again.outcome(), outcome);
    }

    #[test]
    fn in_the_shadow_nobody_is_served() {
        let settings = FleetSettings { stages: vec![0.25, 0.5], shadow: true, ..small() };
        let policy = settings.policy().expect("a policy");
        let slow = Effect { slow: 0.5, skips: 0.3, ..Effect::default() };
        let mut fleet = Fleet::new(&settings, &policy, slow, 2);
        fleet.run(&ProgressBar::hidden());
        let outcome = fleet.outcome();
        assert!(outcome.aborted && outcome.stage == 1 && outcome.exposed == 0.0, "{outcome:?}");
        assert_eq!(outcome.leaving[0], None);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        assert!(FleetSettings { stages: vec![0.7], ..small() }.policy().is_err());
        assert!(FleetSettings { asks: 1.5, ..small() }.policy().is_err());
        assert!(FleetSettings { devices: 100, ..small() }.policy().is_err());
    }
}
