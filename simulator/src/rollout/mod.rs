//! Thousands of rollouts: how often the gates are wrong, how often they are right, and how many devices a bad candidate reaches.
//!
//! The rehearsal is the coordinator's own ([`sordino_coordinator::rollout::rehearsal`]), by many threads.

mod text;

pub use text::{page, text};

use crate::error::{Error, Result};
use crate::progress;
use crate::scenario::{self, read_toml};
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_coordinator::rollout::policy::Seen;
use sordino_coordinator::rollout::rehearsal::{Candidate, End, Fleet, candidates, chance};
use sordino_coordinator::rollout::spending::Known;
use sordino_coordinator::rollout::{Guardrail, Policy, Stage, Verdict};
use sordino_shared::rollout::Share;
use std::collections::BTreeMap;
use std::path::Path;

/// A fleet and the way of a candidate through it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutSettings {
    /// Devices.
    pub devices: usize,
    /// The share of an arm's devices that contribute to a stage, once each.
    pub contributing: f64,
    /// Shares of the devices that have the candidate, stage by stage; as many have it not and are watched.
    pub stages: Vec<f64>,
    /// Releases of a stage, which are its looks.
    pub looks: usize,
    /// Deviation of the noise in each value of a release.
    pub noise: f64,
    /// Chance to abort a candidate that does no harm, over all guardrails, looks and stages.
    pub abort_error: f64,
    /// Chance to promote one that is worse by a margin, in each stage.
    pub promote_error: f64,
    /// How much worse each guardrail may be, where not as by default.
    pub margins: BTreeMap<Guardrail, f64>,
    /// Guardrails that may be left to the abort rule, and to the device's own fallback, in the last stage too, where that cannot see
    /// their margins. All others decide there, seen or not: what was not seen is not passed.
    pub watched: Vec<Guardrail>,
    /// Rollouts of each candidate.
    pub runs: usize,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self {
            devices: 10_000_000,
            contributing: 0.3,
            stages: vec![0.01, 0.05, 0.25],
            looks: 5,
            noise: 10.0,
            abort_error: 0.05,
            promote_error: 0.05,
            margins: BTreeMap::new(),
            watched: vec![Guardrail::Crash, Guardrail::LoadFailure],
            runs: 10_000,
            seed: 1,
        }
    }
}

/// How rollouts of one candidate ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    /// The candidate.
    pub candidate: Candidate,
    /// The share that was aborted.
    pub aborted: f64,
    /// The share that passed every stage.
    pub promoted: f64,
    /// The share that was held, for somebody to decide.
    pub held: f64,
    /// The share that was aborted in the first stage's first three looks.
    pub aborted_soon: f64,
    /// The mean share of the fleet that had the candidate when it was decided.
    pub exposed: f64,
    /// The same where the gates forget the sums' noise: what a method errs by that knows no noise.
    pub aborted_without_noise: f64,
    /// The same for promotions.
    pub promoted_without_noise: f64,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutResults {
    /// The fleet.
    pub settings: RolloutSettings,
    /// rho that one contribution costs a device.
    pub rho: f64,
    /// What each stage sees.
    pub sight: Vec<Vec<Seen>>,
    /// Candidates.
    pub rates: Vec<Ends>,
}

impl RolloutSettings {
    /// Reads a file of settings.
    ///
    /// # Errors
    /// A sentence where the file cannot be read or a field is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "holds no settings of rollouts")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        scenario::to_toml(self)
    }

    fn check(&self, policy: &Policy) -> Result<()> {
        if !(1..=10_000_000).contains(&self.runs) {
            return Err(Error::input("`runs` must be from 1 to 10000000"));
        }
        if self.looks > MOST_LOOKS {
            return Err(Error::input(format!(
                "`looks` must be at most {MOST_LOOKS}: bounds for more take hours to reckon"
            )));
        }
        let first = policy.gate(0, self.devices);
        match Some(first).filter(|gate| gate.planned_devices < gate.least_devices) {
            Some(gate) => Err(Error::input(format!(
                "the first stage brings {:.0} devices an arm, and {:.0} are needed: take a larger first stage",
                gate.planned_devices, gate.least_devices
            ))),
            None => Ok(()),
        }
    }

    // The coordinator's own policy.
    fn policy(&self) -> Result<Policy> {
        let stage = |&share: &f64| {
            let share = Share::parts_per_million((share * 1e6).round() as u32).ok_or_else(|| {
                Error::input("stages are shares of at most 0.5, since as many devices are the control")
            })?;
            Ok(Stage { share, looks: self.looks, dwell_hours: 0, manual: false, shadow: false })
        };
        let policy = Policy {
            stages: self.stages.iter().map(stage).collect::<Result<_>>()?,
            margins: self.margins.clone(),
            watched: self.watched.clone(),
            contributing: self.contributing,
            noise: self.noise,
            promote_error: self.promote_error,
            abort_error: self.abort_error,
            ..Policy::named("simulated")
        };
        policy.check().map_err(|e| Error::input(e.to_string()))?;
        Ok(policy)
    }
}

const MOST_LOOKS: usize = 30;

/// Rolls every candidate out, again and again.
pub fn run(settings: &RolloutSettings) -> Result<RolloutResults> {
    let policy = settings.policy()?;
    settings.check(&policy)?;
    let fleet = Fleet::new(&policy, settings.devices);
    let candidates = candidates();
    // Each candidate with gates that know the noise, and with gates that forget it.
    let bar = progress::steps(2 * (candidates.len() * settings.runs) as u64, "rolling candidates out");
    let all = candidates.into_iter().enumerate().map(|(number, of)| rates(settings, &fleet, of, number, &bar));
    let rates = all.collect();
    bar.finish_and_clear();
    Ok(RolloutResults { rho: policy.rho(), sight: policy.sight(settings.devices), rates, settings: settings.clone() })
}

fn rates(settings: &RolloutSettings, fleet: &Fleet, candidate: Candidate, number: usize, bar: &ProgressBar) -> Ends {
    let all = |forgets_noise: bool| -> Vec<End> {
        (0..settings.runs)
            .into_par_iter()
            .map_init(Known::default, |known, run| {
                let end = fleet.roll(&candidate, known, forgets_noise, &mut chance(settings.seed, number, run));
                bar.inc(1);
                end
            })
            .collect()
    };
    let (knowing, forgetting) = (all(false), all(true));
    let share =
        |ends: &[End], of: &dyn Fn(&End) -> bool| ends.iter().filter(|end| of(end)).count() as f64 / ends.len() as f64;
    let is = |verdict: Verdict| move |end: &End| end.verdict == verdict;
    Ends {
        aborted: share(&knowing, &is(Verdict::Breach)),
        promoted: share(&knowing, &is(Verdict::Pass)),
        held: share(&knowing, &is(Verdict::Inconclusive)),
        aborted_soon: share(&knowing, &|end| end.verdict == Verdict::Breach && end.stage == 0 && end.look <= 3),
        exposed: knowing.iter().map(|end| settings.stages[end.stage]).sum::<f64>() / knowing.len() as f64,
        aborted_without_noise: share(&forgetting, &is(Verdict::Breach)),
        promoted_without_noise: share(&forgetting, &is(Verdict::Pass)),
        candidate,
    }
}
