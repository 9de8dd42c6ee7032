//! A rollout's policy: its stages, margins and errors, as a file says them, and whether a fleet can be judged by it at all.

use super::gate::Gate;
use super::observed::Guardrail;
use super::sight::{Expected, smallest};
use crate::round::{Timing, Trust};
use serde::{Deserialize, Serialize};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_shared::rollout::{CLIP, Share};
use std::collections::BTreeMap;
use thiserror::Error;

/// A policy. Every field but the name has a default, and unknown ones are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The rollout's name, part of its buckets.
    pub name: String,
    /// Stages, each larger than the one before; the whole fleet comes after the last.
    #[serde(default = "default_stages")]
    pub stages: Vec<Stage>,
    /// How much worse each guardrail may be, where not as by default.
    #[serde(default)]
    pub margins: BTreeMap<Guardrail, f64>,
    /// Guardrails that are left to the abort rule, and to the device's own fallback, where a stage cannot see their margins; in the last
    /// stage too.
    #[serde(default = "default_watched")]
    pub watched: Vec<Guardrail>,
    /// The share of an arm's devices that contribute to a stage, once each.
    #[serde(default = "default_contributing")]
    pub contributing: f64,
    /// Deviation of the noise in each value of a release.
    #[serde(default = "default_noise")]
    pub noise: f64,
    /// Chance, in each stage, to promote a candidate that is worse by a margin.
    #[serde(default = "default_error")]
    pub promote_error: f64,
    /// Chance, over all stages, guardrails and looks, to abort one that does no harm.
    #[serde(default = "default_error")]
    pub abort_error: f64,
    /// The fewest devices of an arm that anything is claimed of, and of a round whose sum is opened. The error rates hold from about
    /// 1,000 on.
    #[serde(default = "default_least")]
    pub least_devices: f64,
    /// Hours that a device's report covers; so long it must have been in its stage.
    #[serde(default = "default_report")]
    pub report_hours: u32,
    /// A listener who skipped a larger share of tracks in the four weeks before, in percent, counts among those who are served worst. Take
    /// what makes that a tenth of the fleet.
    #[serde(default = "default_worst")]
    pub worst_percent: u32,
    /// Delta of what devices spend.
    #[serde(default = "default_delta")]
    pub delta: f64,
    /// Devices that are kept back once all others have the candidate.
    #[serde(default)]
    pub holdback: Holdback,
    /// What is assumed of the devices of a round.
    #[serde(default)]
    pub cohort: Trust,
    /// When rounds of metrics happen, and how long their steps may take.
    #[serde(default)]
    pub schedule: Timing,
}

/// Devices that are kept back: the only control once all others have the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Holdback {
    /// Their share, in parts of a million; 0 for none.
    pub share: Share,
    /// For how long.
    pub days: u32,
}

impl Default for Holdback {
    fn default() -> Self {
        Self { share: Share::parts_per_million(50_000).expect("at most a half"), days: 90 }
    }
}

/// One stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The share of devices that have the candidate, in parts of a million; as many are the control.
    pub share: Share,
    /// Releases, each of them a look.
    #[serde(default = "default_looks")]
    pub looks: usize,
    /// Hours that the stage lasts at least.
    #[serde(default = "default_dwell")]
    pub dwell_hours: u32,
    /// Whether somebody has to say yes before the next.
    #[serde(default)]
    pub manual: bool,
    /// Whether it serves nobody: devices of one arm try the candidate on what their listeners play, those of the other what they have.
    #[serde(default)]
    pub shadow: bool,
}

/// What a stage sees of one guardrail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Which.
    pub guardrail: Guardrail,
    /// The smallest harm that the stage finds in four of five cases.
    pub smallest: f64,
    /// How much worse it may be.
    pub margin: f64,
    /// Whether it is a condition to go on; it is left to the abort rule else.
    pub decides: bool,
}

/// Why a policy does not do.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// No stages, or not in order.
    #[error(
        "stages must be there and grow, only the first may be a shadow, and each needs at least one look: no device ever leaves a \
         candidate's arm"
    )]
    Stages,
    /// A number out of its range.
    #[error(
        "`{0}` is out of its range: shares and errors lie above 0, errors at most at a half, and noise and margins are not below 0"
    )]
    Range(&'static str),
    /// Too few devices.
    #[error(
        "the stage of {parts} parts of a million brings {devices:.0} devices an arm, and {least:.0} are needed: {}",
        larger(*fleet)
    )]
    TooFew {
        /// The stage's share.
        parts: u32,
        /// What it brings.
        devices: f64,
        /// What is needed.
        least: f64,
        /// Devices of the fleet.
        fleet: usize,
    },
    /// The last stage cannot see a margin.
    #[error(
        "the last stage cannot see that: of '{}' it finds {:.3} points in four of five cases, and the margin is {:.3}: widen the margin, take \
         fewer looks or more devices, or put it under `watched`",
        guardrail.name(), 100.0 * smallest, 100.0 * margin
    )]
    Blind {
        /// Of what.
        guardrail: Guardrail,
        /// What it sees.
        smallest: f64,
        /// What is asked for.
        margin: f64,
    },
}

impl Policy {
    /// The default policy under a name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            stages: default_stages(),
            margins: BTreeMap::new(),
            watched: default_watched(),
            contributing: default_contributing(),
            noise: default_noise(),
            promote_error: default_error(),
            abort_error: default_error(),
            least_devices: default_least(),
            report_hours: default_report(),
            worst_percent: default_worst(),
            delta: default_delta(),
            holdback: Holdback::default(),
            cohort: Trust::default(),
            schedule: Timing::default(),
        }
    }

    /// A policy for a fleet of so many devices, as the default one where that does. Where its first stage brings an arm too few devices for
    /// anything to be claimed, it begins with 5 % (a fleet of fewer than 333,334 devices), or with 25 % (of fewer than 66,667). Where the last stage cannot see how often listeners skip, or
    /// how well tracks are ranked, it becomes half of the devices; other guardrails that it cannot see are watched. [`Policy::plan`]
    /// refuses what is left.
    pub fn for_fleet(name: &str, devices: usize) -> Self {
        let default = Self::named(name);
        let first = |least: u32| {
            let larger: Vec<Stage> = default.stages.iter().filter(|s| u32::from(s.share) >= least).copied().collect();
            // The shadow tries the candidate on as many as the first stage that serves.
            let shadow = default.stages.iter().filter(|stage| stage.shadow);
            let shadow = shadow.filter_map(|stage| Some(Stage { share: larger.first()?.share, ..*stage }));
            let serving = larger.iter().filter(|stage| !stage.shadow).copied();
            Self { stages: shadow.chain(serving).collect(), ..default.clone() }
        };
        let has_enough = |policy: &Self| !matches!(policy.plan(devices), Err(Error::TooFew { .. }));
        let mut policy = [10_000, 50_000].map(first).into_iter().find(has_enough).unwrap_or_else(|| first(250_000));
        for _ in 0..=Guardrail::ALL.len() {
            let Err(Error::Blind { guardrail, .. }) = policy.plan(devices) else { break };
            match (guardrail, policy.stages.last_mut()) {
                (Guardrail::SkipRate | Guardrail::Ndcg, Some(last)) => {
                    last.share = Share::parts_per_million(500_000).expect("at most a half");
                }
                (guardrail, _) => policy.watched.push(guardrail),
            }
        }
        policy
    }

    /// What is wrong with the policy by itself.
    ///
    /// # Errors
    /// [`enum@Error`], the first that is found.
    pub fn check(&self) -> Result<(), Error> {
        let serving: Vec<&Stage> = self.stages.iter().skip_while(|stage| stage.shadow).collect();
        let grows = serving.windows(2).all(|pair| pair[0].share < pair[1].share);
        let shadows = self.stages.len() - serving.len();
        if serving.is_empty()
            || !grows
            || shadows > 1
            || serving.iter().any(|stage| stage.shadow)
            || self.stages.iter().any(|stage| stage.looks == 0 || u32::from(stage.share) == 0)
        {
            return Err(Error::Stages);
        }
        let error = |error: f64| error > 0.0 && error <= 0.5;
        let ranges = [
            ("contributing", self.contributing > 0.0 && self.contributing <= 1.0),
            ("noise", self.noise >= 0.0 && self.noise.is_finite()),
            ("promote_error", error(self.promote_error)),
            ("abort_error", error(self.abort_error)),
            ("least_devices", self.least_devices >= 1.0 && self.least_devices.is_finite()),
            ("worst_percent", self.worst_percent <= 100),
            ("delta", self.delta > 0.0 && self.delta <= 1e-3),
            ("report_hours", self.report_hours <= MOST_REPORT_HOURS),
            ("holdback.days", self.holdback.days <= MOST_HOLDBACK_DAYS),
            ("margins", self.margins.values().all(|margin| *margin >= 0.0 && margin.is_finite())),
        ];
        ranges.iter().find(|(_, fits)| !fits).map_or(Ok(()), |(name, _)| Err(Error::Range(name)))
    }

    /// What each stage of a fleet of so many devices sees; a fleet that the last stage cannot judge is refused.
    ///
    /// # Errors
    /// [`enum@Error`], the first that is found.
    pub fn plan(&self, devices: usize) -> Result<Vec<Vec<Seen>>, Error> {
        self.check()?;
        for (stage, gate) in (0..self.stages.len()).map(|stage| (stage, self.gate(stage, devices))) {
            if gate.planned_devices < gate.least_devices {
                let (parts, least) = (u32::from(self.stages[stage].share), gate.least_devices);
                return Err(Error::TooFew { parts, devices: gate.planned_devices, least, fleet: devices });
            }
        }
        let seen = self.sight(devices);
        let blind =
            seen.last().into_iter().flatten().find(|s| s.smallest > s.margin && !self.watched.contains(&s.guardrail));
        match blind {
            Some(s) => Err(Error::Blind { guardrail: s.guardrail, smallest: s.smallest, margin: s.margin }),
            None => Ok(seen),
        }
    }

    /// What each stage of a fleet sees, whether that is enough or not.
    pub fn sight(&self, devices: usize) -> Vec<Vec<Seen>> {
        let of_stage = |stage: usize| {
            let gate = self.gate(stage, devices);
            let of = |&(guardrail, margin): &(Guardrail, Option<f64>)| Seen {
                guardrail,
                smallest: smallest(&gate, guardrail, Expected::of(guardrail), self.noise, OFTEN),
                margin: self.margin(guardrail),
                decides: margin.is_some(),
            };
            gate.margins.iter().map(of).collect()
        };
        (0..self.stages.len()).map(of_stage).collect()
    }

    /// The gate of a stage. What an early stage cannot see is no condition to go on to a larger one: there it only aborts. In the last
    /// stage all decide, seen or not, but those that are watched.
    pub fn gate(&self, stage: usize, devices: usize) -> Gate {
        let Stage { share, looks, shadow, .. } = self.stages[stage];
        let gate = Gate {
            looks,
            planned_devices: devices as f64 * f64::from(u32::from(share)) / 1e6 * self.contributing,
            promote_error: self.promote_error,
            abort_error: self.abort_error / self.stages.len() as f64,
            least_devices: self.least_devices,
            margins: Vec::new(),
            ..Gate::default()
        };
        let is_last = stage + 1 == self.stages.len();
        let margins = Guardrail::ALL.map(|guardrail| {
            let margin = self.margin(guardrail);
            let seen = smallest(&gate, guardrail, Expected::of(guardrail), self.noise, SURE);
            // What nobody is served nobody skips.
            let told = !shadow || matches!(guardrail, Guardrail::Ndcg | Guardrail::Slow | Guardrail::LoadFailure);
            let decides = told && (seen <= margin || is_last && !self.watched.contains(&guardrail));
            (guardrail, decides.then_some(margin))
        });
        Gate { margins: margins.to_vec(), ..gate }
    }

    /// Devices of one round of metrics of a stage: all devices are asked, in whatever arm or none, so that taking part tells nothing.
    pub fn cohort_devices(&self, stage: usize, devices: usize) -> u32 {
        let all = devices as f64 * self.contributing / self.stages[stage].looks as f64;
        all.round().clamp(1.0, f64::from(u32::MAX)) as u32
    }

    /// rho that one contribution costs a device; infinite without noise.
    pub fn rho(&self) -> f64 {
        if self.noise > 0.0 { CLIP * CLIP / (2.0 * self.noise * self.noise) } else { f64::INFINITY }
    }

    /// What a device spends on a whole rollout, one contribution a stage.
    pub fn claim(&self) -> Claim {
        Claim::new(self.rho() * self.stages.len() as f64, self.delta, Mode::Secure, Mechanism::default())
    }

    fn margin(&self, guardrail: Guardrail) -> f64 {
        self.margins.get(&guardrail).copied().unwrap_or(guardrail.margin())
    }
}

// What helps a fleet whose stage is too small: one that is proposed, if there is one.
fn larger(fleet: usize) -> String {
    match Policy::for_fleet("proposed", fleet).plan(fleet) {
        Err(Error::TooFew { .. }) => "so small a fleet has no such stage; let versions serve all devices at once, by \
             `sordino-coordinator rollout serve VERSION --why \"...\"`, or lower `least_devices`, below which errors are more likely"
            .to_owned(),
        _ => format!(
            "take a larger first stage, as `sordino-coordinator rollout plan --devices {fleet}` proposes"
        ),
    }
}

fn default_stages() -> Vec<Stage> {
    [(10_000, 24, false, true), (10_000, 24, false, false), (50_000, 48, false, false), (250_000, 48, true, false)]
        .into_iter()
        .filter_map(|(parts, dwell_hours, manual, shadow)| {
            let share = Share::parts_per_million(parts)?;
            Some(Stage { share, looks: default_looks(), dwell_hours, manual, shadow })
        })
        .collect()
}

fn default_watched() -> Vec<Guardrail> {
    vec![Guardrail::Crash, Guardrail::LoadFailure]
}

fn default_contributing() -> f64 {
    0.3
}

fn default_noise() -> f64 {
    10.0
}

fn default_error() -> f64 {
    0.05
}

fn default_least() -> f64 {
    1000.0
}

fn default_report() -> u32 {
    24
}

// Of a skip rate of mean .35 and deviation .25 a tenth is above this.
fn default_worst() -> u32 {
    70
}

fn default_delta() -> f64 {
    1e-6
}

fn default_looks() -> usize {
    5
}

fn default_dwell() -> u32 {
    48
}

// A guardrail is a condition to go on where the stage would hardly ever miss a harm of its margin: else a candidate that is fine would be
// held for want of sight.
const SURE: f64 = 0.95;
const OFTEN: f64 = 0.8;
const MOST_REPORT_HOURS: u32 = 24 * 7;
const MOST_HOLDBACK_DAYS: u32 = 366;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleets_are_planned_or_refused() {
        let policy = Policy::named("spring");
        let seen = policy.plan(1_000_000).expect("a fleet that can be judged");
        assert_eq!(seen.len(), 4);
        let decides = |stage: usize| seen[stage].iter().filter(|s| s.decides).count();
        assert!(decides(0) == 0 && decides(1) == 0 && decides(3) == 5, "{} {}", decides(1), decides(3));
        assert!(matches!(policy.plan(100_000), Err(Error::TooFew { .. })));
        let alone = Policy { stages: policy.stages[3..].to_vec(), ..policy.clone() };
        let Err(blind) = alone.plan(66_700) else { panic!("noise hides more than the margins") };
        assert!(blind.to_string().contains("cannot see that"), "{blind}");
        let widened = Policy { margins: Guardrail::ALL.map(|guardrail| (guardrail, 0.2)).into(), ..alone };
        assert!(widened.plan(66_700).is_ok());
    }

    #[test]
    fn small_fleets_begin_with_larger_stages() {
        let policy = |devices| {
            let policy = Policy::for_fleet("spring", devices);
            policy.check().expect("a policy");
            policy
        };
        let shares = |devices| policy(devices).stages.iter().map(|s| u32::from(s.share)).collect::<Vec<_>>();
        assert_eq!(policy(1_000_000), Policy::named("spring"));
        assert_eq!(shares(333_334), [10_000, 10_000, 50_000, 250_000]);
        assert_eq!(shares(333_333), [50_000, 50_000, 250_000]);
        assert_eq!(shares(66_667)[..2], [50_000, 50_000]);
        assert_eq!(shares(66_666).len(), 2, "a shadow and one stage");
        // What is proposed can be judged, and by what listeners feel first.
        for devices in [150_000, 200_000, 333_333, 333_334, 500_000] {
            let policy = policy(devices);
            let seen = policy.plan(devices).unwrap_or_else(|error| panic!("{devices}: {error}"));
            let decides = |of| seen.last().is_some_and(|stage| stage.iter().any(|s| s.guardrail == of && s.decides));
            assert!(decides(Guardrail::SkipRate) && decides(Guardrail::Ndcg), "{devices}");
        }
        let words = |devices| policy(1_000_000).plan(devices).expect_err("1 % is too little").to_string();
        assert!(words(200_000).contains("`sordino-coordinator rollout plan --devices 200000` proposes"));
        let small = words(3_000);
        assert!(
            small.contains("rollout serve") && !small.contains("proposes"),
            "what does not help is not named: {small}"
        );
    }

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        let policy = Policy::named("spring");
        let mut shrinking = policy.clone();
        shrinking.stages.reverse();
        assert_eq!(shrinking.check(), Err(Error::Stages));
        let mut two = policy.clone();
        two.stages[1].shadow = true;
        assert_eq!(two.check(), Err(Error::Stages));
        let only = Policy { stages: policy.stages[..1].to_vec(), ..policy.clone() };
        assert_eq!(only.check(), Err(Error::Stages), "a shadow alone serves nobody");
        assert_eq!(Policy { noise: f64::NAN, ..policy.clone() }.check(), Err(Error::Range("noise")));
        assert_eq!(Policy { abort_error: 0.0, ..policy.clone() }.check(), Err(Error::Range("abort_error")));
        let margins = [(Guardrail::Ndcg, -1.0)].into();
        assert_eq!(Policy { margins, ..policy }.check(), Err(Error::Range("margins")));
    }
}
