//! Rounds over a simulated population, by the device's and the coordinator's own code.

mod noise;

pub use noise::SumNoise;

use crate::error::{Error, Result};
use crate::population::Population;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::train::{Randomness, take_part};
use sordino_coordinator::correlated::CorrelatedNoise;
use sordino_shared::model::Solver;
use sordino_shared::plan::{BlockLayout, PlanRequest, Rotation, RoundPlan};
use sordino_shared::privacy::accountant::correlated::Strategy;
use sordino_shared::privacy::{Mechanism, Mode, Samplers, Sum, decode};
use sordino_shared::random::{distinct_below, mix};
use sordino_shared::workload::{Contribution, Device, Workload};

/// How the noise of a simulated sum comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Fidelity {
    /// One draw for the sum: the same distribution, far fewer draws.
    Learning,
    /// Each device draws its own share.
    Device,
}

/// Where the shares of single devices are drawn from in [`Fidelity::Device`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseFrom {
    /// The device's samplers on a seeded generator: the same seed gives the same bits.
    #[default]
    Seed,
    /// The device's own entry point, on the operating system's generator: no two runs are the same.
    Device,
}

/// What the federation is, and what it stands for.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Who adds the noise.
    pub mode: Mode,
    /// The noise's law.
    pub mechanism: Mechanism,
    /// One draw or many.
    pub fidelity: Fidelity,
    /// Where single devices draw from.
    pub noise_from: NoiseFrom,
    /// Devices simulated.
    pub simulated: usize,
    /// N: devices that the simulated ones stand for.
    pub population: usize,
    /// C: devices in one secure cohort.
    pub cohort: usize,
    /// Share of a cohort that is sure to be honest and to survive.
    pub honest_fraction: f64,
    /// Devices drawn for each round; all where `None`.
    pub devices_per_round: Option<usize>,
    /// Whether large blocks are rotated.
    pub rotation: Rotation,
    /// In mode `central-mf`, how the noise is correlated.
    pub strategy: Option<Strategy>,
    /// The seed of everything that is drawn.
    pub seed: u64,
}

/// What a round gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The decoded sum, one vector a block.
    pub sum: Vec<Vec<f64>>,
    /// The deviation of its noise, by block.
    pub deviations: Vec<f64>,
    /// Devices in it.
    pub devices: usize,
    /// Share of devices whose block was clipped, by block.
    pub clipped: Vec<f64>,
    /// Width of the sum's integers.
    pub bits: u32,
    /// Values in a device's vector.
    pub values: usize,
}

impl Federation {
    /// Runs one round over the population, devices in parallel. `memories` holds what devices keep from round to round,
    /// `noise` what the coordinator keeps of the noise that it adds; where that is correlated, `rho` is the cost of all
    /// rounds together.
    ///
    /// The sum is of integers, and every device and every chunk of noise has a generator of its own, so the result does
    /// not depend on the number of threads.
    pub fn run(
        &self,
        workload: &impl Workload,
        rho: Option<f64>,
        population: &Population,
        memories: &mut [Vec<f32>],
        round: usize,
        noise: &mut SumNoise,
    ) -> Result<Outcome> {
        let seed = mix(self.seed, ROUND_STREAM, round as u64);
        let chosen = self.choose(population.devices(), seed, round);
        let plan = self.plan(workload, rho, chosen.len(), mix(seed, ROTATION_STREAM, 0))?;
        let draws_own = self.fidelity == Fidelity::Device && !self.mode.trusts_coordinator();
        let samplers = if draws_own { Some(Samplers::new(&plan)?) } else { None };
        let pieces = chosen.len().div_ceil(CHUNK).max(1);
        let shards = rayon::current_num_threads().min(pieces).max(1);
        let mut slots: Vec<Option<Vec<f32>>> = Vec::new();
        slots.resize_with(chosen.len(), || None);
        for (slot, &device) in slots.iter_mut().zip(&chosen) {
            *slot = Some(std::mem::take(&mut memories[device]));
        }
        let per_shard = chosen.len().div_ceil(shards).max(1);
        let parts: Vec<Result<(Sum, Vec<usize>)>> = chosen
            .par_chunks(per_shard)
            .zip(slots.par_chunks_mut(per_shard))
            .map(|(devices, slots)| {
                let mut sum = Sum::new(&plan);
                let mut clipped = vec![0usize; plan.blocks().len()];
                let mut solver = Solver::default();
                for (&device, slot) in devices.iter().zip(slots) {
                    // A statistical generator is enough to simulate with, and five times as fast as a device's.
                    let mut rng = Xoshiro256PlusPlus::seed_from_u64(mix(seed, DEVICE_STREAM, device as u64));
                    let memory = slot.get_or_insert_default();
                    let view = Device {
                        examples: population.train.of(device),
                        held_out: population.validation.of(device),
                        memory,
                        solver: &mut solver,
                    };
                    let shortened = match (&samplers, self.noise_from) {
                        (None, _) => {
                            let contribution = Contribution::new(workload, &plan, view, &mut rng);
                            sum.add_rounded(&contribution.rounded);
                            contribution.shortened
                        }
                        (Some(samplers), NoiseFrom::Seed) => {
                            let contribution = Contribution::new(workload, &plan, view, &mut rng);
                            let mut noise = ChaCha8Rng::seed_from_u64(mix(seed, NOISE_STREAM, device as u64));
                            sum.add(&contribution.noised(samplers, &mut noise));
                            contribution.shortened
                        }
                        (Some(samplers), NoiseFrom::Device) => {
                            let mut randomness = Randomness::from_operating_system()?;
                            let part = take_part(workload, &plan, samplers, view, &mut randomness);
                            sum.add(&part.noised);
                            part.shortened
                        }
                    };
                    clipped.iter_mut().zip(shortened).for_each(|(count, short)| *count += usize::from(short));
                }
                Ok((sum, clipped))
            })
            .collect();
        for (slot, &device) in slots.into_iter().zip(&chosen) {
            memories[device] = slot.unwrap_or_default();
        }
        let mut parts = parts.into_iter();
        let (mut sum, mut clipped) = parts.next().transpose()?.unwrap_or_else(|| (Sum::new(&plan), Vec::new()));
        for part in parts {
            let (other, counts) = part?;
            sum.merge(&other);
            clipped.iter_mut().zip(counts).for_each(|(c, n)| *c += n);
        }
        if !draws_own {
            noise.add(&mut sum, &plan, mix(seed, NOISE_STREAM, u64::MAX));
        }
        let devices = chosen.len();
        Ok(Outcome {
            sum: decode(&sum, &plan),
            deviations: plan.blocks().iter().map(|b| b.sum_deviation(devices)).collect(),
            devices,
            clipped: clipped.into_iter().map(|c| c as f64 / devices.max(1) as f64).collect(),
            bits: plan.bits(),
            values: plan.values(),
        })
    }

    /// The noise on sums, before the first round.
    pub fn sum_noise(&self) -> SumNoise {
        match &self.strategy {
            None => SumNoise::Independent,
            Some(strategy) => SumNoise::Correlated(CorrelatedNoise::new(strategy)),
        }
    }

    /// Devices that the members of one round stand for: all N, or their share where a round draws some.
    pub fn participants(&self) -> usize {
        let drawn = self.devices_per_round.unwrap_or(self.simulated).min(self.simulated);
        (self.population as u128 * drawn as u128 / self.simulated.max(1) as u128).max(1) as usize
    }

    /// The plan of a simulated round of `simulated` devices.
    ///
    /// P participants in cohorts of C give ceil(P/C) sums, each with its own noise. On the average over the simulated
    /// devices that is the noise of one sum times sqrt(ceil(P/C)) n/P, n being the devices simulated in the round.
    pub fn plan(
        &self,
        workload: &impl Workload,
        rho: Option<f64>,
        simulated: usize,
        rotation_seed: u64,
    ) -> Result<RoundPlan> {
        let (n, population) = (simulated as f64, self.participants() as f64);
        let scale = match self.mode {
            Mode::Secure => (population / self.cohort as f64).ceil().sqrt() * n / population,
            Mode::Central | Mode::CentralMf => n / population,
            Mode::Local => (n / population).sqrt(),
        };
        RoundPlan::new(PlanRequest {
            mode: self.mode,
            mechanism: self.mechanism,
            rotation_seed,
            strategy: self.strategy,
            cohort: simulated,
            honest_fraction: self.honest_fraction,
            rho,
            blocks: workload.layout().into_iter().map(|block| self.rotated(block)).collect(),
            simulated_noise_scale: scale,
        })
        .map_err(|error| Error::input(format!("the round cannot be planned: {error}")))
    }

    // Small blocks have little to gain and would be padded for it.
    fn rotated(&self, block: BlockLayout) -> BlockLayout {
        let rotation = if block.len() >= LEAST_ROTATED { self.rotation } else { Rotation::None };
        BlockLayout { rotation, ..block }
    }

    fn choose(&self, devices: usize, seed: u64, round: usize) -> Vec<usize> {
        // Under correlated noise each device keeps its distance from one participation to the next: groups take turns.
        if let Some(strategy) = &self.strategy {
            let groups = strategy.limits.separation as usize;
            return (round % groups..devices).step_by(groups).collect();
        }
        match self.devices_per_round {
            Some(count) if count < devices => {
                let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, CHOICE_STREAM, 0));
                let mut chosen = distinct_below(&mut rng, devices, count);
                chosen.sort_unstable();
                chosen
            }
            _ => (0..devices).collect(),
        }
    }
}

const ROUND_STREAM: u64 = 301;
const DEVICE_STREAM: u64 = 302;
const NOISE_STREAM: u64 = 303;
const CHOICE_STREAM: u64 = 304;
const ROTATION_STREAM: u64 = 305;
const LEAST_ROTATED: usize = 256;
// Devices below which a further accumulator costs more than it saves.
const CHUNK: usize = 16;
