//! Canaries through the real pipeline: devices whose whole vector points along one value of its own, each in or out by the
//! toss of a coin. The attacker sees the sum and knows all but the coins (Steinke, Nasr and Jagielski 2023, white box).
//!
//! A [`Fault`] plants one bug. The claim is always the honest one, so the audit must notice.

use super::statistics::{Guess, delta_of};
use crate::error::{Error, Result};
use crate::progress;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use sordino_client::train::{Randomness, take_part};
use sordino_coordinator::central;
use sordino_coordinator::correlated::CorrelatedNoise;
use sordino_shared::model::Solver;
use sordino_shared::plan::{BlockLayout, PlanRequest, Rotation, RoundPlan};
use sordino_shared::privacy::accountant::correlated::{Strategy, square_root};
use sordino_shared::privacy::accountant::{Claim, loss};
use sordino_shared::privacy::{Mechanism, Mode, Samplers, Sum, decode};
use sordino_shared::random::{distinct_below, mix, unit_f64};
use sordino_shared::workload::{Block, Contribution, Device, DeviceHalf, Statistics, Workload};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Devices draw noise of half the deviation.
    NoiseHalved,
    /// One device of the cohort adds none.
    OneWithoutNoise,
    /// The vector is clipped after its noise instead of before.
    ClipAfterNoise,
    /// Vectors are weighted after they were clipped.
    WeightsUncapped,
    /// Every round draws the same noise.
    ConstantSeed,
    /// A sample is claimed, but everybody takes part.
    SamplingNotDone,
    /// The noise of devices that dropped is counted.
    DroppedCounted,
    /// Replace-one is claimed with the sensitivity of zero-out.
    ReplaceOneAtClip,
    /// Devices come back one round too early.
    SeparationOffByOne,
}

/// What is audited.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The mode.
    pub mode: Mode,
    /// The noise's law.
    pub mechanism: Mechanism,
    /// Devices in one sum.
    pub cohort: usize,
    /// Share of them that is honest and survives; the others bring nothing.
    pub honest_fraction: f64,
    /// rho of the claim.
    pub rho: f64,
    /// Probability of taking part, where the claim is amplified.
    pub rate: Option<f64>,
    /// Whether the block is rotated.
    pub rotation: Rotation,
    /// Whether devices use their own entry point and the operating system's randomness.
    pub device_randomness: bool,
    /// The bug, if any.
    pub fault: Option<Fault>,
}

struct Canary {
    length: usize,
    rotation: Rotation,
}

impl DeviceHalf for Canary {
    fn layout(&self) -> Vec<BlockLayout> {
        let rotation = self.rotation;
        vec![BlockLayout { rotation, ..BlockLayout::new("canary", self.length, 1, 1.0) }]
    }

    // The memory holds the canary's value and how far it goes along it.
    fn contribute(&self, device: Device<'_>, _: &mut impl Rng) -> Statistics {
        let (row, value) = (device.memory[0] as u32, device.memory[1]);
        Statistics { blocks: vec![Block::Rows { rows: vec![row], values: vec![value] }] }
    }
}

impl Workload for Canary {
    fn apply(&mut self, _: Vec<Vec<f64>>, _: &[f64], _: f64) {}
}

// Far longer than the clip: clipping has something to do.
const RAW: f32 = 3.0;

// A decoded sum, and each canary's value in it with its coin.
type Seen = (Vec<f64>, Vec<(usize, bool)>);

impl Setup {
    /// The claimed epsilon at this delta.
    pub fn claim(&self, delta: f64) -> f64 {
        match self.amplified() {
            Some(mechanism) => loss::epsilon(&[(mechanism, 1)], delta),
            None => Claim::new(self.rho, delta, self.mode, self.mechanism).epsilon,
        }
    }

    /// The claimed delta at an epsilon, for all epsilons.
    pub fn curve(&self) -> Box<dyn Fn(f64) -> f64> {
        let rho = self.rho;
        match self.amplified() {
            Some(mechanism) => {
                let loss = loss::PrivacyLoss::compose(&[(mechanism, 1)], 1e-6);
                Box::new(move |epsilon| loss.delta(epsilon))
            }
            None => Box::new(move |epsilon| delta_of(rho, epsilon)),
        }
    }

    fn amplified(&self) -> Option<loss::Mechanism> {
        let noise_multiplier = (0.5 / self.rho).sqrt();
        self.rate.map(|rate| loss::Mechanism::PoissonGaussian { rate, noise_multiplier })
    }

    /// The claimed mu; nothing where a sample was drawn, whose curve is no Gaussian's.
    pub fn claimed_mu(&self) -> Option<f64> {
        self.rate.is_none().then(|| (2.0 * self.rho).sqrt())
    }

    fn plan(&self, length: usize, strategy: Option<Strategy>) -> Result<RoundPlan> {
        let scale = match self.fault {
            Some(Fault::NoiseHalved | Fault::ReplaceOneAtClip) => 0.5,
            _ => 1.0,
        };
        let honest_fraction = if self.fault == Some(Fault::DroppedCounted) { 1.0 } else { self.honest_fraction };
        RoundPlan::new(PlanRequest {
            mode: self.mode,
            mechanism: self.mechanism,
            rotation_seed: 11,
            strategy,
            honest_fraction,
            rho: Some(self.rho),
            simulated_noise_scale: scale,
            ..PlanRequest::new(self.cohort, Canary { length, rotation: self.rotation }.layout())
        })
        .map_err(|error| Error::input(error.to_string()))
    }

    /// At least `canaries` guesses.
    pub fn attack(&self, canaries: usize, seed: u64) -> Result<Vec<Guess>> {
        match self.mode {
            Mode::CentralMf => self.attack_correlated(canaries, seed),
            _ => self.attack_sums(canaries, seed),
        }
    }

    fn attack_sums(&self, canaries: usize, seed: u64) -> Result<Vec<Guess>> {
        let honest = ((self.cohort as f64 * self.honest_fraction).floor() as usize).max(1);
        let length = self.cohort.max(8);
        let plan = self.plan(length, None)?;
        let samplers = Samplers::new(&plan)?;
        let per_sum = if self.mode == Mode::Local { 1 } else { honest };
        let bar = progress::steps(canaries.div_ceil(per_sum) as u64, "sums with canaries");
        let sums: Vec<Seen> = (0..canaries.div_ceil(per_sum))
            .into_par_iter()
            .map(|number| {
                let sum = self.one_sum(&plan, &samplers, length, per_sum, seed, number as u64);
                bar.inc(1);
                sum
            })
            .collect::<Result<_>>()?;
        bar.finish_and_clear();
        // Noise that comes back in every sum is seen in their mean, and taken off.
        let mut mean = vec![0.0; length];
        for (sum, _) in &sums {
            mean.iter_mut().zip(sum).for_each(|(m, v)| *m += v / sums.len() as f64);
        }
        let guess = |sum: &[f64], (row, inside): (usize, bool)| Guess { inside, score: sum[row] - mean[row] };
        Ok(sums.iter().flat_map(|(sum, coins)| coins.iter().map(|&coin| guess(sum, coin))).collect())
    }

    // One sum with its canaries' coins.
    fn one_sum(
        &self,
        plan: &RoundPlan,
        samplers: &Samplers,
        length: usize,
        devices: usize,
        seed: u64,
        number: u64,
    ) -> Result<Seen> {
        let workload = Canary { length, rotation: self.rotation };
        let mut coins = ChaCha8Rng::seed_from_u64(mix(seed, 1, number));
        let mut sum = Sum::new(plan);
        let mut answers = Vec::with_capacity(devices);
        let mut solver = Solver::default();
        let mut clipped_late = vec![0.0; length];
        for (device, row) in distinct_below(&mut coins, length, devices).into_iter().enumerate() {
            let inside = coins.next_u32() & 1 == 1;
            answers.push((row, inside));
            let drawn =
                self.rate.is_none_or(|rate| unit_f64(&mut coins) < rate) || self.fault == Some(Fault::SamplingNotDone);
            let value = match (inside && drawn, self.mode) {
                (true, _) => RAW,
                // Replace-one: the neighbour points the other way.
                (false, Mode::Local) => -RAW,
                (false, _) => 0.0,
            };
            let mut memory = vec![row as f32, value];
            let view = Device::new(&mut memory, &mut solver);
            if self.device_randomness {
                let part = take_part(&workload, plan, samplers, view, &mut Randomness::from_operating_system()?);
                sum.add(&part.noised);
                continue;
            }
            let noise_seed = if self.fault == Some(Fault::ConstantSeed) { 0 } else { number };
            let mut rng = ChaCha8Rng::seed_from_u64(mix(mix(seed, 2, noise_seed), 3, device as u64));
            let contribution = Contribution::new(&workload, plan, view, &mut rng);
            if self.fault == Some(Fault::ClipAfterNoise) {
                clipped_late
                    .iter_mut()
                    .zip(clip_after_noise(&contribution, plan, samplers, &mut rng))
                    .for_each(|(s, v)| *s += v);
                continue;
            }
            if self.mode == Mode::Central || (self.fault == Some(Fault::OneWithoutNoise) && device == 0) {
                sum.add_rounded(&contribution.rounded);
            } else {
                sum.add(&contribution.noised(samplers, &mut rng));
            }
            // A weight of three on the clipped vector adds it twice more.
            if self.fault == Some(Fault::WeightsUncapped) {
                sum.add_rounded(&contribution.rounded);
                sum.add_rounded(&contribution.rounded);
            }
        }
        if self.mode == Mode::Central {
            central::add_noise(&mut sum, plan, &mut ChaCha8Rng::seed_from_u64(mix(seed, 4, number)))?;
        }
        let mut decoded = decode(&sum, plan).swap_remove(0);
        decoded.iter_mut().zip(&clipped_late).for_each(|(value, late)| *value += late);
        Ok((decoded, answers))
    }

    // Whole tasks under correlated noise: the attacker undoes the correlation and looks along each canary's own column.
    fn attack_correlated(&self, canaries: usize, seed: u64) -> Result<Vec<Guess>> {
        let strategy = Strategy::new(ROUNDS, SEPARATION);
        let gap = if self.fault == Some(Fault::SeparationOffByOne) { SEPARATION - 1 } else { SEPARATION } as usize;
        let length = TASK_CANARIES;
        let plan = self.plan(length, Some(strategy))?;
        let coefficients = square_root(strategy.bands);
        let undo = |rounds: &[f64]| -> Vec<f64> {
            (0..rounds.len())
                .map(|t| coefficients.iter().take(t + 1).enumerate().map(|(lag, c)| c * rounds[t - lag]).sum())
                .collect()
        };
        let bar = progress::steps(canaries.div_ceil(length) as u64, "tasks with canaries");
        let tasks: Vec<Vec<Guess>> = (0..canaries.div_ceil(length))
            .into_par_iter()
            .map(|task| {
                let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, 5, task as u64));
                let workload = Canary { length, rotation: self.rotation };
                let mut noise = CorrelatedNoise::new(&strategy);
                let coins: Vec<bool> = (0..length).map(|_| rng.next_u32() & 1 == 1).collect();
                let takes_part = |row: usize, round: usize| {
                    let start = row % gap;
                    round >= start
                        && (round - start).is_multiple_of(gap)
                        && (round - start) / gap < strategy.limits.most as usize
                };
                let mut solver = Solver::default();
                let mut sums: Vec<Vec<f64>> = Vec::with_capacity(ROUNDS);
                for round in 0..ROUNDS {
                    let mut sum = Sum::new(&plan);
                    for (row, _) in coins.iter().enumerate().filter(|&(row, &inside)| inside && takes_part(row, round))
                    {
                        let mut memory = vec![row as f32, RAW];
                        let view = Device::new(&mut memory, &mut solver);
                        sum.add_rounded(&Contribution::new(&workload, &plan, view, &mut rng).rounded);
                    }
                    noise.add(&mut sum, &plan, &mut rng);
                    sums.push(decode(&sum, &plan).swap_remove(0));
                }
                let guess = |row: usize| {
                    let seen = undo(&sums.iter().map(|sum| sum[row]).collect::<Vec<_>>());
                    let column =
                        undo(&(0..ROUNDS).map(|t| f64::from(u8::from(takes_part(row, t)))).collect::<Vec<_>>());
                    let length: f64 = column.iter().map(|c| c * c).sum::<f64>().sqrt();
                    // Divided by the length that the claim stands for, so that columns of all starts compare.
                    Guess {
                        inside: coins[row],
                        score: seen.iter().zip(&column).map(|(s, c)| s * c).sum::<f64>() / length,
                    }
                };
                bar.inc(1);
                (0..length).map(guess).collect()
            })
            .collect();
        bar.finish_and_clear();
        Ok(tasks.into_iter().flatten().collect())
    }
}

// The wrong order: the raw vector, three times as long as its clip, gets its noise first and is clipped with it. In value
// units.
fn clip_after_noise(
    contribution: &Contribution,
    plan: &RoundPlan,
    samplers: &Samplers,
    rng: &mut impl Rng,
) -> Vec<f64> {
    let block = &plan.blocks()[0];
    let clipped = contribution.rounded.blocks()[0].to_dense();
    let noised = contribution.noised(samplers, rng);
    let raw: Vec<f64> =
        noised.blocks()[0].iter().zip(&clipped).map(|(&v, &c)| v as f64 + (f64::from(RAW) - 1.0) * c as f64).collect();
    let norm = raw.iter().map(|v| v * v).sum::<f64>().sqrt();
    let scale = ((block.bound_squared as f64).sqrt() / norm).min(1.0);
    raw.into_iter().map(|v| v * scale * block.grid).collect()
}

const ROUNDS: usize = 16;
const SEPARATION: u32 = 4;
const TASK_CANARIES: usize = 1000;
