//! The literature's federated matrix factorisation, through the same private sum.

use super::{RoundLog, Scorer, Trained, Watch};
use crate::error::Result;
use crate::federation::Federation;
use crate::population::Population;
use crate::progress;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sordino_shared::model::{Example, Hyperparameters, Model, Solver};
use sordino_shared::random::mix;
use sordino_shared::workload::{Adaptive, GradientDescent, GradientSettings, Workload};
use std::time::Instant;

/// The table with the vector that each device keeps.
pub struct Personal {
    workload: GradientDescent,
    memories: Vec<Vec<f32>>,
    // A seed, where vectors are found anew from the whole history instead of kept.
    reconstructs: Option<u64>,
}

impl Scorer for Personal {
    fn score(&self, listener: usize, history: &[Example], _solver: &mut Solver, scores: &mut Vec<f32>) {
        match self.reconstructs {
            None => self.workload.score(&self.memories[listener], scores),
            Some(seed) => {
                let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, FOUND_STREAM, listener as u64));
                self.workload.score(&self.workload.reconstruct(history, &mut rng), scores);
            }
        }
    }
}

/// Runs `rounds` rounds; a device's budget is shared out evenly over them, or pays for all of them together where noise is
/// correlated.
pub fn train(
    federation: &Federation,
    population: &Population,
    d: usize,
    rounds: usize,
    rho: Option<f64>,
    settings: GradientSettings,
    watch: &Watch<'_>,
) -> Result<(Personal, Trained)> {
    let mut rng = ChaCha8Rng::seed_from_u64(mix(federation.seed, START_STREAM, 0));
    let workload = GradientDescent::new(population.tracks, d, settings, &mut rng);
    let reconstructs = (settings.reconstruction_passes > 0).then_some(federation.seed);
    let descent = Descent { federation, population, rounds, rho, watch, reconstructs };
    let (personal, logs) = match settings.adaptive_clip {
        None => descent.run(workload, |workload| workload)?,
        Some(clip) => descent.run(Adaptive::new(workload, clip), Adaptive::inner)?,
    };
    let model = Model::Embedding(personal.workload.model(Hyperparameters::default()));
    let seconds = logs.iter().map(|log| log.seconds).sum();
    let updates = logs.iter().map(|log| log.devices).sum();
    let trained = Trained { model, rounds: logs, seconds, updates, rho_spent: rho, fallback: None };
    Ok((personal, trained))
}

struct Descent<'a> {
    federation: &'a Federation,
    population: &'a Population,
    rounds: usize,
    rho: Option<f64>,
    watch: &'a Watch<'a>,
    reconstructs: Option<u64>,
}

impl Descent<'_> {
    fn run<W: Workload>(
        &self,
        mut workload: W,
        inner: impl Fn(&W) -> &GradientDescent,
    ) -> Result<(Personal, Vec<RoundLog>)> {
        let memories = vec![Vec::new(); self.population.devices()];
        let mut personal = Personal { workload: inner(&workload).clone(), memories, reconstructs: self.reconstructs };
        let mut noise = self.federation.sum_noise();
        let share = self.rho.map(|rho| rho / self.rounds as f64);
        let rho = if self.federation.strategy.is_some() { self.rho } else { share };
        let mut logs = Vec::with_capacity(self.rounds);
        let bar = progress::steps(self.rounds as u64, "rounds of federated descent");
        for round in 0..self.rounds {
            let start = Instant::now();
            let memories = &mut personal.memories;
            let outcome = self.federation.run(&workload, rho, self.population, memories, round, &mut noise)?;
            workload.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
            let seconds = start.elapsed().as_secs_f64();
            let measure = round % 10 == 9 || round + 1 == self.rounds;
            if measure {
                personal.workload = inner(&workload).clone();
            }
            logs.push(RoundLog {
                round,
                kind: "gradient".to_owned(),
                devices: outcome.devices,
                rho: share,
                clipped: outcome.clipped,
                bits: outcome.bits,
                values: outcome.values,
                validation_ndcg: if measure { (self.watch)(&personal) } else { None },
                seconds,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok((personal, logs))
    }
}

const START_STREAM: u64 = 511;
const FOUND_STREAM: u64 = 512;
