//! Rollouts on a fleet that is made up: how often a policy's gates are wrong, and how often right, before anybody is asked.
//!
//! Sums are drawn, not devices: the values of many devices add up to what the central limit has them add up to, rates to binomial
//! counts, and every value gets the noise of its release. The gates are those of real rollouts.

use super::gate::{Gate, Verdict};
use super::observed::{Guardrail, Observed};
use super::policy::Policy;
use super::sight::Expected;
use super::spending::Known;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Binomial, Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use sordino_shared::random::mix;
use sordino_shared::rollout::CellSums;

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

/// How one rollout ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// What the last gate said; inconclusive where it holds.
    pub verdict: Verdict,
    /// The stage, from 0.
    pub stage: usize,
    /// The look in it, from 1.
    pub look: usize,
}

/// A fleet that a policy is tried on.
#[derive(Clone, Debug)]
pub struct Fleet {
    noise: f64,
    stages: Vec<Rehearsed>,
}

#[derive(Clone, Debug)]
struct Rehearsed {
    gate: Gate,
    looks: usize,
    is_shadow: bool,
}

/// The chance of one rollout of one candidate.
pub fn chance(seed: u64, candidate: usize, run: usize) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed, RUN_STREAM + candidate as u64, run as u64))
}

impl Fleet {
    /// Of so many devices, which come as the policy expects.
    pub fn new(policy: &Policy, devices: usize) -> Self {
        let stage = |(number, stage): (usize, &super::policy::Stage)| Rehearsed {
            gate: policy.gate(number, devices),
            looks: stage.looks,
            is_shadow: stage.shadow,
        };
        Self { noise: policy.noise, stages: policy.stages.iter().enumerate().map(stage).collect() }
    }

    /// One rollout: stages until one does not pass. `forgets_noise` leaves the sums' noise out of the gates' errors, as a method does that
    /// knows of none.
    pub fn roll(&self, candidate: &Candidate, known: &mut Known, forgets_noise: bool, rng: &mut ChaCha8Rng) -> End {
        let variance = if forgets_noise { 0.0 } else { self.noise * self.noise };
        let mut end = End { verdict: Verdict::Inconclusive, stage: 0, look: 0 };
        for (stage, Rehearsed { gate, looks, .. }) in self.stages.iter().enumerate() {
            let (mut observed, mut shares) = (Observed::default(), Vec::new());
            end = End { verdict: Verdict::Inconclusive, stage, look: 0 };
            for look in 1..=*looks {
                let release = self.release(stage, candidate, look, rng);
                observed = observed.and(&release, variance);
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

    /// The sums of one release: both arms, those who are served worst and the rest. In the shadow a candidate changes nothing but what
    /// devices find when they try it.
    pub fn release(
        &self,
        stage: usize,
        candidate: &Candidate,
        look: usize,
        rng: &mut ChaCha8Rng,
    ) -> [[CellSums; 2]; 2] {
        let Rehearsed { gate, looks, is_shadow } = &self.stages[stage];
        let (devices, is_shadow) = (gate.planned_devices / *looks as f64, *is_shadow);
        let normal = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
        [true, false].map(|treated| {
            WORST.map(|(share, is_worst)| {
                // Who comes is chance.
                let count = (devices * share + (devices * share).sqrt() * normal(rng)).max(0.0).round();
                let change = |at: usize| match (treated, at) {
                    (false, _) => 0.0,
                    (true, 0 | 2 | 3) if is_shadow => 0.0,
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
                cell.count += self.noise * normal(rng);
                cell.values.iter_mut().chain(&mut cell.squares).for_each(|value| *value += self.noise * normal(rng));
                cell
            })
        })
    }
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
