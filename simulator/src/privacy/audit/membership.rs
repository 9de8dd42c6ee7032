//! Membership inference on released models: a small likelihood-ratio attack (Carlini et al. 2022). A look, not a proof.

use super::statistics::{Guess, one_run_epsilon};
use crate::error::Result;
use crate::experiment::dataset;
use crate::methods;
use crate::population::Population;
use crate::scenario::Scenario;
use crate::world::WorldSettings;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use sordino_shared::math;
use sordino_shared::model::Solver;
use sordino_shared::privacy::accountant::Target;
use sordino_shared::random::mix;

/// What the attack reached.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Epsilon of the training; `None` without noise.
    pub epsilon: Option<f64>,
    /// Area under the attacker's curve: 0.5 is guessing.
    pub auc: f64,
    /// Share of members found when one in a hundred others is accused too.
    pub found_at_one_percent: f64,
    /// The one-run bound over all guesses. The attacker knows a device's other coins, which the theorem does not allow:
    /// read it as a hint.
    pub suggested_epsilon: f64,
}

/// Trains `shadows` models on random halves of a small population, and asks of each device and model whether it was in.
pub(super) fn attack(epsilon: Option<f64>, shadows: usize, seed: u64) -> Result<Membership> {
    let scenario = Scenario {
        world: WorldSettings { listeners: 100, tracks: 120, artists: 30, ..WorldSettings::default() },
        seed,
        ..Scenario::default()
    };
    let data = dataset(&scenario)?;
    let population = Population::build(&data, &scenario.policy()?, scenario.protocol, seed)?;
    let content = methods::content_of(&data);
    let target = epsilon.map(|epsilon| Target::new(epsilon, DELTA)).transpose();
    let target = target.map_err(|e| crate::error::Error::input(e.to_string()))?;
    let rho = target.map(|t| t.rho(scenario.mechanism));
    let runs: Vec<(Vec<bool>, Vec<f64>)> = (0..shadows)
        .into_par_iter()
        .map(|shadow| {
            let mut rng = ChaCha8Rng::seed_from_u64(mix(seed, 21, shadow as u64));
            let members: Vec<bool> = (0..population.devices()).map(|_| rng.next_u32() & 1 == 1).collect();
            let scenario = Scenario { seed: mix(seed, 22, shadow as u64), ..scenario.clone() };
            let federation = scenario.federation(population.devices(), population.devices());
            let half = population.with_only(&members);
            // Dimensions are given: the attack is on a model that says something, noise or not.
            let schedule =
                methods::schedule(&federation, population.tracks, content.ncols() > 0, rho, Some(8), Some(2));
            let model =
                methods::train_sordino(&federation, &half, &content, schedule, rho, scenario.model, &|_| None)?.model;
            let mut solver = Solver::default();
            let mut scores = Vec::new();
            let fits = (0..population.devices())
                .map(|device| {
                    let own = population.train.of(device);
                    model.score(own, &mut solver, &mut scores);
                    own.iter().map(|e| f64::from(scores[e.track.row()])).sum::<f64>() / own.len().max(1) as f64
                })
                .collect();
            Ok((members, fits))
        })
        .collect::<Result<_>>()?;
    let mut guesses = Vec::with_capacity(shadows * population.devices());
    for device in 0..population.devices() {
        for (number, (members, fits)) in runs.iter().enumerate() {
            let others = |inside: bool| -> Vec<f64> {
                let same = |(other, (m, _)): &(usize, &(Vec<bool>, Vec<f64>))| *other != number && m[device] == inside;
                runs.iter().enumerate().filter(same).map(|(_, (_, fits))| fits[device]).collect()
            };
            let (within, without) = (others(true), others(false));
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let (mean_in, mean_out) = (mean(&within), mean(&without));
            // One variance for both: few shadows do not tell two apart, and two would put noise into the tails.
            let squares: f64 = within.iter().map(|v| math::powi(v - mean_in, 2)).sum::<f64>()
                + without.iter().map(|v| math::powi(v - mean_out, 2)).sum::<f64>();
            let variance = squares / (within.len() + without.len()).saturating_sub(2).max(1) as f64 + 1e-12;
            let distance = |mean: f64| math::powi(fits[device] - mean, 2);
            let score = (distance(mean_out) - distance(mean_in)) / (2.0 * variance);
            guesses.push(Guess { inside: members[device], score });
        }
    }
    Ok(Membership {
        epsilon,
        auc: auc(&guesses),
        found_at_one_percent: found(&guesses, 0.01),
        suggested_epsilon: one_run_epsilon(&guesses, 0.01, DELTA, 0.95),
    })
}

fn auc(guesses: &[Guess]) -> f64 {
    let mut sorted: Vec<&Guess> = guesses.iter().collect();
    sorted.sort_by(|a, b| a.score.total_cmp(&b.score));
    let (mut outside, mut pairs) = (0.0, 0.0);
    for guess in &sorted {
        if guess.inside { pairs += outside } else { outside += 1.0 }
    }
    pairs / (outside * (sorted.len() as f64 - outside)).max(1.0)
}

fn found(guesses: &[Guess], false_alarms: f64) -> f64 {
    let mut outside: Vec<f64> = guesses.iter().filter(|g| !g.inside).map(|g| g.score).collect();
    outside.sort_by(f64::total_cmp);
    let threshold = outside[((1.0 - false_alarms) * (outside.len() - 1) as f64) as usize];
    let inside: Vec<&Guess> = guesses.iter().filter(|g| g.inside).collect();
    inside.iter().filter(|g| g.score > threshold).count() as f64 / inside.len().max(1) as f64
}

const DELTA: f64 = 1e-5;
