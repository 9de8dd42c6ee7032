//! Thousands of rollouts: how often the gates are wrong, how often they are right, and how many devices a bad candidate reaches.
//!
//! Sums are drawn, not devices: the values of many devices add up to what the central limit has them add up to, rates to binomial
//! counts, and every value gets the noise of its release. The gates are the coordinator's own code.

mod text;

pub use text::{page, text};

use crate::error::{Error, Result};
use crate::scenario::{self, read_toml};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Binomial, Distribution, StandardNormal};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_coordinator::rollout::policy::Seen;
use sordino_coordinator::rollout::sight::Expected;
use sordino_coordinator::rollout::spending::Known;
use sordino_coordinator::rollout::{Gate, Guardrail, Observed, Policy, Stage, Verdict};
use sordino_shared::random::mix;
use sordino_shared::rollout::{CLIP, CellSums, Share};
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

/// What a candidate changes, as harm: rates and means of its arm against those of the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What it is.
    pub name: String,
    /// What is added to skip rate, NDCG, return, crash, slow inferences and load failure.
    pub change: [f64; 6],
    /// What is added to the skip rate of the tenth that is served worst, beyond that.
    pub worst_skips: f64,
    /// What is added to the skip rate with every look of a stage.
    pub decay: f64,
    /// Whether it ought to be promoted.
    pub is_fine: bool,
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

    fn check(&self, gates: &[Gate]) -> Result<()> {
        if self.runs == 0 {
            return Err(Error::input("`runs` must be at least 1"));
        }
        match gates.first().filter(|gate| gate.planned_devices < gate.least_devices) {
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

/// The candidates that are tried: two that are fine, and what can be wrong with the others.
pub fn candidates() -> Vec<Candidate> {
    let plain = |name: &str| Candidate {
        name: name.to_owned(),
        change: [0.0; 6],
        worst_skips: 0.0,
        decay: 0.0,
        is_fine: false,
    };
    vec![
        Candidate { is_fine: true, ..plain("the same model") },
        Candidate { change: [-0.01, 0.01, 0.0, 0.0, 0.0, 0.0], is_fine: true, ..plain("one point better") },
        Candidate { change: [0.01, 0.0, 0.0, 0.0, 0.0, 0.0], ..plain("skips worse by the margin") },
        Candidate { change: [0.02, 0.0, 0.0, 0.0, 0.0, 0.0], ..plain("skips worse by two points") },
        Candidate { change: [0.0, 0.0, 0.0, 0.004, 0.0, 0.0], ..plain("three times the crashes") },
        Candidate { change: [0.1, -0.1, -0.1, 0.01, 0.1, 0.02], ..plain("badly broken") },
        Candidate { worst_skips: 0.08, ..plain("unfair to a tenth") },
        Candidate { decay: 0.006, ..plain("decaying") },
    ]
}

/// Rolls every candidate out, again and again.
pub fn run(settings: &RolloutSettings) -> Result<RolloutResults> {
    let policy = settings.policy()?;
    let gates: Vec<Gate> = (0..policy.stages.len()).map(|stage| policy.gate(stage, settings.devices)).collect();
    settings.check(&gates)?;
    Ok(RolloutResults {
        rho: if settings.noise > 0.0 { CLIP * CLIP / (2.0 * settings.noise * settings.noise) } else { f64::INFINITY },
        sight: policy.sight(settings.devices),
        rates: candidates().into_iter().enumerate().map(|(number, of)| rates(settings, &gates, of, number)).collect(),
        settings: settings.clone(),
    })
}

/// How one rollout ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct End {
    verdict: Verdict,
    // The stage, from 0, and the look in it, from 1.
    stage: usize,
    look: usize,
}

fn rates(settings: &RolloutSettings, gates: &[Gate], candidate: Candidate, number: usize) -> Ends {
    let all = |forgets_noise: bool| -> Vec<End> {
        (0..settings.runs)
            .into_par_iter()
            .map_init(Known::default, |known, run| {
                let seed = mix(settings.seed, RUN_STREAM + number as u64, run as u64);
                roll(settings, gates, &candidate, known, forgets_noise, &mut ChaCha8Rng::seed_from_u64(seed))
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

// One rollout: stages until one does not pass.
fn roll(
    settings: &RolloutSettings,
    gates: &[Gate],
    candidate: &Candidate,
    known: &mut Known,
    forgets_noise: bool,
    rng: &mut ChaCha8Rng,
) -> End {
    let variance = settings.noise * settings.noise;
    let mut end = End { verdict: Verdict::Inconclusive, stage: 0, look: 0 };
    for (stage, gate) in gates.iter().enumerate() {
        let (mut observed, mut shares) = (Observed::default(), Vec::new());
        end = End { verdict: Verdict::Inconclusive, stage, look: 0 };
        for look in 1..=settings.looks {
            let release = release(settings, gate.planned_devices / settings.looks as f64, candidate, look, rng);
            observed = observed.and(&release, if forgets_noise { 0.0 } else { variance });
            let decision = gate.decide_with(known, &shares, &observed);
            shares = decision.shares;
            end = End { verdict: decision.verdict, stage, look };
            if end.verdict != Verdict::Inconclusive {
                break;
            }
        }
        if end.verdict != Verdict::Pass {
            return end;
        }
    }
    end
}

// The sums of one release: both arms, those who are served worst and the rest.
fn release(
    settings: &RolloutSettings,
    devices: f64,
    candidate: &Candidate,
    look: usize,
    rng: &mut ChaCha8Rng,
) -> [[CellSums; 2]; 2] {
    let normal = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
    [true, false].map(|treated| {
        WORST.map(|(share, is_worst)| {
            // Who comes is chance.
            let count = (devices * share + (devices * share).sqrt() * normal(rng)).max(0.0).round();
            let change = |at: usize| match (treated, at) {
                (false, _) => 0.0,
                (true, 0) => {
                    candidate.change[0]
                        + candidate.decay * look as f64
                        + if is_worst { candidate.worst_skips } else { 0.0 }
                }
                (true, at) => candidate.change[at],
            };
            let mut cell = CellSums { count, ..CellSums::default() };
            for (at, guardrail) in VALUES.iter().enumerate() {
                let expected = Expected::of(*guardrail);
                let mean = (expected.mean + change(at)).clamp(0.0, 1.0);
                if at < 2 {
                    let shape = Shape::new(mean, expected.deviation);
                    let (value, square) = shape.sums(count, normal(rng), normal(rng));
                    (cell.values[at], cell.squares[at]) = (value, square);
                } else {
                    let drawn = Binomial::new(count as u64, mean).map_or(0, |binomial| binomial.sample(rng));
                    cell.values[at] = drawn as f64;
                }
            }
            cell.count += settings.noise * normal(rng);
            cell.values.iter_mut().chain(&mut cell.squares).for_each(|value| *value += settings.noise * normal(rng));
            cell
        })
    })
}

/// A device's value between 0 and 1: a beta distribution of this mean and deviation, by its first four moments.
struct Shape {
    // Of the value, of its square, and of both together.
    means: [f64; 2],
    variances: [f64; 2],
    covariance: f64,
}

impl Shape {
    fn new(mean: f64, deviation: f64) -> Self {
        let mean = mean.clamp(0.01, 0.99);
        let total = (mean * (1.0 - mean) / (deviation * deviation) - 1.0).max(0.05);
        let a = mean * total;
        // E[x^k] = product of (a + i) / (a + b + i).
        let mut moments = [1.0; 5];
        for k in 1..5 {
            moments[k] = moments[k - 1] * (a + (k - 1) as f64) / (total + (k - 1) as f64);
        }
        let [_, one, two, three, four] = moments;
        Self { means: [one, two], variances: [two - one * one, four - two * two], covariance: three - one * two }
    }

    // The sums of values and of squares over so many devices, from two normal draws.
    fn sums(&self, count: f64, first: f64, second: f64) -> (f64, f64) {
        let deviation = (count * self.variances[0]).sqrt();
        let slope = self.covariance / self.variances[0].max(1e-12);
        let rest = (count * (self.variances[1] - slope * self.covariance).max(0.0)).sqrt();
        let value = count * self.means[0] + deviation * first;
        (value, count * self.means[1] + slope * deviation * first + rest * second)
    }
}

// Shares of the devices, and whether they are served worst.
const WORST: [(f64, bool); 2] = [(0.1, true), (0.9, false)];
const VALUES: [Guardrail; 6] = [
    Guardrail::SkipRate,
    Guardrail::Ndcg,
    Guardrail::Return,
    Guardrail::Crash,
    Guardrail::Slow,
    Guardrail::LoadFailure,
];
const RUN_STREAM: u64 = 951;

#[cfg(test)]
mod tests {
    use super::*;

    // Against draws of single values: the beta distribution of mean .35 and deviation .25.
    #[test]
    fn sums_have_the_moments_of_single_devices() {
        let shape = Shape::new(0.35, 0.25);
        assert!((shape.means[0] - 0.35).abs() < 1e-12 && (shape.variances[0] - 0.0625).abs() < 1e-12);
        assert!((shape.means[1] - (0.0625 + 0.1225)).abs() < 1e-12);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
        let runs = 20_000;
        let sums: Vec<(f64, f64)> = (0..runs).map(|_| shape.sums(1000.0, draw(), draw())).collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| sums.iter().map(of).sum::<f64>() / f64::from(runs);
        let (x, y) = (mean(&|s| s.0), mean(&|s| s.1));
        let covariance = mean(&|s| (s.0 - x) * (s.1 - y)) / 1000.0;
        assert!((x - 350.0).abs() < 0.3 && (covariance / shape.covariance - 1.0).abs() < 0.05, "{x} {covariance}");
    }
}
