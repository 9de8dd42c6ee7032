//! Rounds over a simulated population, by the device's and the coordinator's own code.

mod masked;
mod noise;
mod poison;

pub use masked::MaskSettings;
pub use noise::SumNoise;
pub use poison::{Bound, Lie, Poison};

use masked::MaskedRound;
use sordino_shared::math;

use crate::error::{Error, Result};
use crate::population::Population;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_client::train::{Randomness, take_part};
use sordino_coordinator::correlated::CorrelatedNoise;
use sordino_coordinator::training::{rotation_seed, step_seed};
use sordino_shared::model::Solver;
use sordino_shared::plan::{BlockLayout, PlanRequest, Rotation, RoundPlan};
use sordino_shared::privacy::accountant::correlated::Strategy;
use sordino_shared::privacy::{Mechanism, Mode, Noised, Samplers, Sum, decode};
use sordino_shared::random::{distinct_below, mix};
use sordino_shared::secagg::MaskedSum;
use sordino_shared::workload::{Contribution, Device, DeviceHalf, Workload};

/// How the noise of a simulated sum comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Fidelity {
    /// One draw for the sum: the same distribution, far fewer draws.
    Learning,
    /// Each device draws its own share.
    Device,
    /// Each device draws its own share and masks its vector; the sum is opened by the whole protocol.
    Protocol,
}

/// Where the shares of single devices are drawn from in [`Fidelity::Device`] and [`Fidelity::Protocol`].
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
    /// What masked rounds assume of their devices.
    pub masks: MaskSettings,
    /// Devices drawn for each round; all where `None`.
    pub devices_per_round: Option<usize>,
    /// Whether large blocks are rotated.
    pub rotation: Rotation,
    /// In mode `central-mf`, how the noise is correlated.
    pub strategy: Option<Strategy>,
    /// Devices that lie, in learning fidelity; none elsewhere.
    pub poison: Option<Poison>,
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

impl Outcome {
    /// With another cohort's outcome.
    fn and(mut self, other: Self) -> Self {
        for (block, other) in self.sum.iter_mut().zip(&other.sum) {
            block.iter_mut().zip(other).for_each(|(value, more)| *value += more);
        }
        let devices = self.devices + other.devices;
        let shares = [self.devices, other.devices].map(|part| part as f64 / devices.max(1) as f64);
        for (clipped, more) in self.clipped.iter_mut().zip(&other.clipped) {
            *clipped = *clipped * shares[0] + more * shares[1];
        }
        self.deviations
            .iter_mut()
            .zip(&other.deviations)
            .for_each(|(deviation, more)| *deviation = math::hypot(*deviation, *more));
        Self { devices, bits: self.bits.max(other.bits), ..self }
    }
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
        let seed = step_seed(self.seed, round as u64);
        let chosen = self.choose(population.devices(), seed, round);
        if self.fidelity != Fidelity::Protocol {
            let plan = self.plan(workload, rho, chosen.len(), rotation_seed(self.seed, round as u64, 0))?;
            return self.run_cohort(workload, &plan, population, memories, &chosen, (round, seed), noise);
        }
        // Under masks a cohort is what it is: no larger than the limit, each with a plan and a sum of its own.
        let cohorts = chosen.len().div_ceil(self.cohort).max(1);
        let mut total: Option<Outcome> = None;
        for (number, devices) in chosen.chunks(chosen.len().div_ceil(cohorts).max(1)).enumerate() {
            let stands_for = (self.participants() * devices.len()).div_ceil(chosen.len());
            let rotation_seed = rotation_seed(self.seed, round as u64, number as u64);
            let plan = self.plan_for(workload, rho, devices.len(), stands_for, rotation_seed)?;
            let outcome = self.run_cohort(workload, &plan, population, memories, devices, (round, seed), noise)?;
            total = Some(match total {
                None => outcome,
                Some(total) => total.and(outcome),
            });
        }
        total.ok_or_else(|| Error::input("a round needs at least one device"))
    }

    /// Runs one round over some of the devices, which stand for their share of the population. They send what others of the same
    /// round do not, so their noise is their own.
    ///
    /// # Errors
    /// A sentence where there is no device.
    pub fn run_group(
        &self,
        workload: &impl DeviceHalf,
        rho: Option<f64>,
        population: &Population,
        group: &[usize],
        (round, number): (usize, usize),
    ) -> Result<Outcome> {
        if group.is_empty() {
            return Err(Error::input("a round needs at least one device: take fewer blocks, or more devices"));
        }
        let seed = mix(step_seed(self.seed, round as u64), GROUP_STREAM, number as u64);
        let stands_for =
            (self.population as u128 * group.len() as u128 / self.simulated.max(1) as u128).max(1) as usize;
        let rotation_seed = rotation_seed(self.seed, round as u64, number as u64);
        let plan = self.plan_for(workload, rho, group.len(), stands_for.max(group.len()), rotation_seed)?;
        let mut memories = vec![Vec::new(); population.devices()];
        let noise = &mut SumNoise::Independent;
        self.run_cohort(workload, &plan, population, &mut memories, group, (round, seed), noise)
    }

    #[expect(clippy::too_many_arguments, reason = "the round's whole setting, from its two callers")]
    fn run_cohort(
        &self,
        workload: &impl DeviceHalf,
        plan: &RoundPlan,
        population: &Population,
        memories: &mut [Vec<f32>],
        chosen: &[usize],
        (round, seed): (usize, u64),
        noise: &mut SumNoise,
    ) -> Result<Outcome> {
        let draws_own = self.fidelity != Fidelity::Learning && !self.mode.trusts_coordinator();
        let samplers = if draws_own { Some(Samplers::new(plan)?) } else { None };
        let masked = match self.fidelity {
            Fidelity::Protocol => Some(MaskedRound::begin(plan, self.masks, chosen, round, seed)?),
            _ => None,
        };
        let pieces = chosen.len().div_ceil(CHUNK).max(1);
        let shards = rayon::current_num_threads().min(pieces).max(1);
        let mut slots: Vec<Option<Vec<f32>>> = Vec::new();
        slots.resize_with(chosen.len(), || None);
        for (slot, &device) in slots.iter_mut().zip(chosen) {
            *slot = Some(std::mem::take(&mut memories[device]));
        }
        let per_shard = chosen.len().div_ceil(shards).max(1);
        let parts: Vec<Result<Part>> = chosen
            .par_chunks(per_shard)
            .zip(slots.par_chunks_mut(per_shard))
            .enumerate()
            .map(|(shard, (devices, slots))| {
                let mut part = Part::new(plan, masked.as_ref());
                let mut solver = Solver::default();
                for (at, (&device, slot)) in devices.iter().zip(slots).enumerate() {
                    let at = shard * per_shard + at;
                    if masked.as_ref().is_some_and(|masked| !masked.uploads(at)) {
                        continue;
                    }
                    let memory = slot.get_or_insert_default();
                    let view = Device {
                        examples: population.train.of(device),
                        held_out: population.validation.of(device),
                        aside: population.test.of(device),
                        habits: population.habits[device],
                        shown: population.shown.of(device),
                        ..Device::new(memory, &mut solver)
                    };
                    let Some(samplers) = &samplers else {
                        let rng = &mut device_generator(seed, device);
                        let (contribution, again) = match &self.poison {
                            None => (Contribution::new(workload, plan, view, rng), 0),
                            Some(poison) => poison.contribute(workload, plan, view, rng, device),
                        };
                        part.sum.add_rounded(&contribution.rounded);
                        (0..again).for_each(|_| part.sum.add_rounded_again(&contribution.rounded));
                        part.count(contribution.shortened);
                        continue;
                    };
                    let (noised, shortened) = self.noised(workload, plan, samplers, view, seed, device)?;
                    part.count(shortened);
                    match (&masked, &mut part.masked) {
                        (Some(round), Some(sum)) => round.upload(at, &noised, sum),
                        _ => part.sum.add(&noised),
                    }
                }
                Ok(part)
            })
            .collect();
        for (slot, &device) in slots.into_iter().zip(chosen) {
            memories[device] = slot.unwrap_or_default();
        }
        let mut total = Part::new(plan, masked.as_ref());
        for part in parts {
            total.merge(&part?);
        }
        let Part { mut sum, masked: masked_sum, clipped } = total;
        if let (Some(masked), Some(masked_sum)) = (masked, masked_sum) {
            sum = masked.finish(masked_sum, plan)?;
        }
        if !draws_own {
            noise.add(&mut sum, plan, mix(seed, NOISE_STREAM, u64::MAX));
        }
        let devices = sum.devices();
        Ok(Outcome {
            sum: decode(&sum, plan),
            deviations: plan.blocks().iter().map(|b| b.sum_deviation(devices)).collect(),
            devices,
            clipped: clipped.into_iter().map(|c| c as f64 / devices.max(1) as f64).collect(),
            bits: plan.bits(),
            values: plan.values(),
        })
    }

    /// One device's vector with its own share of the noise, and which of its blocks were clipped.
    fn noised(
        &self,
        workload: &impl DeviceHalf,
        plan: &RoundPlan,
        samplers: &Samplers,
        view: Device<'_>,
        seed: u64,
        device: usize,
    ) -> Result<(Noised, Vec<bool>)> {
        match self.noise_from {
            NoiseFrom::Seed => Ok(seeded(workload, plan, samplers, view, seed, device)),
            NoiseFrom::Device => {
                let mut randomness = Randomness::from_operating_system()?;
                let part = take_part(workload, plan, samplers, view, &mut randomness);
                Ok((part.noised, part.shortened))
            }
        }
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
        self.plan_for(workload, rho, simulated, self.participants(), rotation_seed)
    }

    /// As [`Self::plan`], of devices that stand for `participants`.
    fn plan_for(
        &self,
        workload: &impl DeviceHalf,
        rho: Option<f64>,
        simulated: usize,
        participants: usize,
        rotation_seed: u64,
    ) -> Result<RoundPlan> {
        let (n, population) = (simulated as f64, participants as f64);
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

/// What one thread has added up.
struct Part {
    sum: Sum,
    masked: Option<MaskedSum>,
    // For each block, how many devices' was clipped.
    clipped: Vec<usize>,
}

impl Part {
    fn new(plan: &RoundPlan, masked: Option<&MaskedRound>) -> Self {
        Self { sum: Sum::new(plan), masked: masked.map(MaskedRound::part), clipped: vec![0; plan.blocks().len()] }
    }

    fn count(&mut self, shortened: Vec<bool>) {
        self.clipped.iter_mut().zip(shortened).for_each(|(count, short)| *count += usize::from(short));
    }

    fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        if let (Some(masked), Some(other)) = (&mut self.masked, &other.masked) {
            masked.merge(other);
        }
        self.clipped.iter_mut().zip(&other.clipped).for_each(|(count, more)| *count += more);
    }
}

/// A statistical generator is enough to simulate with, and five times as fast as a device's.
/// A simulated device's vector in a round of this seed ([`step_seed`]), from seeded generators, and which of its blocks were
/// clipped. For comparing a federation between processes with a simulated one.
pub fn seeded(
    workload: &impl DeviceHalf,
    plan: &RoundPlan,
    samplers: &Samplers,
    view: Device<'_>,
    seed: u64,
    device: usize,
) -> (Noised, Vec<bool>) {
    let contribution = Contribution::new(workload, plan, view, &mut device_generator(seed, device));
    let mut noise = ChaCha8Rng::seed_from_u64(mix(seed, NOISE_STREAM, device as u64));
    (contribution.noised(samplers, &mut noise), contribution.shortened)
}

fn device_generator(seed: u64, device: usize) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(mix(seed, DEVICE_STREAM, device as u64))
}

const DEVICE_STREAM: u64 = 302;
const NOISE_STREAM: u64 = 303;
const CHOICE_STREAM: u64 = 304;
const GROUP_STREAM: u64 = 306;
const LEAST_ROTATED: usize = 256;
// Devices below which a further accumulator costs more than it saves.
const CHUNK: usize = 16;
