//! Sordino's own training, simulated.

use super::{RoundLog, Watch};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::federation::Federation;
use crate::population::Population;
use crate::progress;
use ndarray::Array2;
use sordino_coordinator::planner::{Fleet, Schedule};
use sordino_coordinator::training::{Training, public_chance};
use sordino_shared::model::{Hyperparameters, Model};
use std::time::Instant;

/// What a federated training gave.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// Its rounds, the popularity release among them.
    pub rounds: Vec<RoundLog>,
    /// Seconds in rounds, without measuring between them.
    pub seconds: f64,
    /// Device updates over all rounds.
    pub updates: usize,
    /// rho that a device spent.
    pub rho_spent: Option<f64>,
    /// Why popularity is all there is, where it is.
    pub fallback: Option<String>,
}

/// The content features that the training uses (tracks x features).
pub fn content_of(dataset: &Dataset) -> Array2<f64> {
    dataset.content.dense(dataset.tracks(), MOST_FEATURES)
}

/// Plans the training of a federation.
pub fn schedule(
    federation: &Federation,
    tracks: usize,
    has_content: bool,
    rho: Option<f64>,
    dimensions: Option<usize>,
    rounds: Option<usize>,
) -> Schedule {
    Schedule::new(&Fleet {
        devices: federation.participants(),
        cohort: federation.cohort,
        honest_fraction: federation.honest_fraction,
        tracks,
        mode: federation.mode,
        rho,
        has_content,
        dimensions,
        rounds,
    })
}

/// Runs the training over the population.
pub fn train(
    federation: &Federation,
    population: &Population,
    content: &Array2<f64>,
    schedule: Schedule,
    rho: Option<f64>,
    hyperparameters: Hyperparameters,
    watch: &Watch<'_>,
) -> Result<Trained> {
    let training = Training::new(schedule, content.clone(), hyperparameters);
    train_rounds(federation, population, training, rho, watch)
}

/// Runs the rounds of a training over the population.
pub fn train_rounds(
    federation: &Federation,
    population: &Population,
    mut training: Training,
    rho: Option<f64>,
    watch: &Watch<'_>,
) -> Result<Trained> {
    let mut memories = vec![Vec::new(); population.devices()];
    let mut trained = Trained {
        model: Model::Popularity(Vec::new()),
        rounds: Vec::new(),
        seconds: 0.0,
        updates: 0,
        rho_spent: rho.map(|_| 0.0),
        fallback: None,
    };
    let mut noise = federation.sum_noise();
    let bar = progress::steps(training.all_releases() as u64, "rounds of Sordino's training");
    while let Some((round, share)) = training.round() {
        let start = Instant::now();
        let (number, kind) = (training.releases(), round.name());
        let round_rho = rho.map(|rho| rho * share);
        let outcome = federation.run(round, round_rho, population, &mut memories, number, &mut noise)?;
        let mut rng = public_chance(federation.seed, number as u64);
        training.apply(outcome.sum, &outcome.deviations, outcome.devices as f64, &mut rng);
        let seconds = start.elapsed().as_secs_f64();
        trained.seconds += seconds;
        trained.updates += outcome.devices;
        if let (Some(spent), Some(rho)) = (&mut trained.rho_spent, round_rho) {
            *spent += rho;
        }
        trained.rounds.push(RoundLog {
            round: number,
            kind: kind.to_owned(),
            devices: outcome.devices,
            rho: round_rho,
            clipped: outcome.clipped,
            bits: outcome.bits,
            values: outcome.values,
            validation_ndcg: watch(&training.model()),
            seconds,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let start = Instant::now();
    trained.model = training.model();
    trained.seconds += start.elapsed().as_secs_f64();
    if trained.model.dimensions() == 0 {
        trained.fallback = Some(fallback(training.verdict()));
    }
    Ok(trained)
}

// Why popularity is all there is.
fn fallback(verdict: Option<(f64, f64)>) -> String {
    let Some((ahead, noise)) = verdict else {
        return "the planner expects nothing to stand out of the noise".to_owned();
    };
    let apart = match ahead {
        ahead if ahead > 0.0 => format!("ahead by {ahead:.4}"),
        ahead if ahead < 0.0 => format!("behind by {:.4}", -ahead),
        _ => "neither ahead nor behind".to_owned(),
    };
    match noise > 0.0 {
        true => format!(
            "on held-out tracks the embeddings were {apart}, and to be shipped they must be ahead by more than twice the noise of \
             {noise:.4}"
        ),
        false => format!("on held-out tracks the embeddings were {apart}, and to be shipped they must be ahead"),
    }
}

// The commonest features; rarer ones describe too few tracks to be told from noise.
const MOST_FEATURES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_noise_says_nothing_of_noise() {
        assert!(
            !fallback(Some((-0.01, 0.0))).contains("noise")
                && fallback(Some((-0.01, 0.0))).contains("behind by 0.0100")
        );
        assert!(
            fallback(Some((0.01, 0.02))).contains("ahead by 0.0100") && fallback(Some((0.01, 0.02))).contains("0.0200")
        );
        assert!(fallback(None).contains("noise") && fallback(Some((0.0, 0.0))).contains("neither"));
    }
}
