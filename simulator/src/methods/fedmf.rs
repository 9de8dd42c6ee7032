//! The literature's federated matrix factorisation, through the same private sum.

use super::{RoundLog, Scorer, Trained, Watch};
use crate::error::Result;
use crate::federation::Federation;
use crate::population::Population;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sordino_shared::model::{Example, Hyperparameters, Model, Solver};
use sordino_shared::random::mix;
use sordino_shared::workload::{GradientDescent, GradientSettings, Workload};
use std::time::Instant;

/// The table with the vector that each device keeps.
pub struct Personal {
    workload: GradientDescent,
    memories: Vec<Vec<f32>>,
}

impl Scorer for Personal {
    fn score(&self, listener: usize, _history: &[Example], _solver: &mut Solver, scores: &mut Vec<f32>) {
        self.workload.score(&self.memories[listener], scores);
    }
}

/// Runs `rounds` rounds; a device's budget is shared out evenly over them.
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
    let mut personal = Personal {
        workload: GradientDescent::new(population.tracks, d, settings, &mut rng),
        memories: vec![Vec::new(); population.devices()],
    };
    let (mut logs, mut seconds, mut updates) = (Vec::new(), 0.0, 0);
    let round_rho = rho.map(|rho| rho / rounds as f64);
    for round in 0..rounds {
        let start = Instant::now();
        let outcome = federation.run(&personal.workload, round_rho, population, &mut personal.memories, round)?;
        personal.workload.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
        let elapsed = start.elapsed().as_secs_f64();
        seconds += elapsed;
        updates += outcome.devices;
        let measure = round % 10 == 9 || round + 1 == rounds;
        logs.push(RoundLog {
            round,
            kind: "gradient".to_owned(),
            devices: outcome.devices,
            rho: round_rho,
            clipped: outcome.clipped,
            bits: outcome.bits,
            values: outcome.values,
            validation_ndcg: if measure { watch(&personal) } else { None },
            seconds: elapsed,
        });
    }
    let model = Model::Embedding(personal.workload.model(Hyperparameters::default()));
    let trained = Trained { model, rounds: logs, seconds, updates, rho_spent: rho, fallback: None };
    Ok((personal, trained))
}

const START_STREAM: u64 = 511;
