//! The same figures as a fleet would measure them: each device on what it holds out itself, the means by private sums.

use super::Assessor;
use crate::error::{Error, Result};
use crate::federation::Federation;
use crate::population::Population;
use crate::progress;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::model::{Model, Solver};
use sordino_shared::privacy::accountant::{Claim, Target};
use sordino_shared::random::mix;
use sordino_shared::workload::{METRICS, Metrics, Workload};

/// One metric of one group, measured both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FederatedFigure {
    /// The metric.
    pub metric: String,
    /// The group, in words.
    pub group: String,
    /// Over the same devices, with all their values at hand.
    pub central: f64,
    /// By private sums; `None` where noise drowns the number of devices.
    pub federated: Option<f64>,
    /// The deviation that the noise gives it.
    pub deviation: Option<f64>,
    /// Devices that could tell.
    pub devices: usize,
}

impl Assessor<'_> {
    /// One round of metrics, of a model that is already there.
    pub(super) fn federated(&self, model: &Model) -> Result<(Vec<FederatedFigure>, Option<Claim>)> {
        let experiment = &self.experiment;
        let target = self.settings.metrics_epsilon.map(|epsilon| {
            let delta = experiment.target.map_or(DELTA, |target| target.delta());
            Target::new(epsilon, delta).map_err(|e| Error::input(format!("--metrics-epsilon: {e}")))
        });
        let target = target.transpose()?;
        let figures = measure(
            &experiment.federation,
            &experiment.population,
            model,
            target.map(|t| t.rho(self.scenario.mechanism)),
        )?;
        let claim = self.scenario.claim(target, target.map(|t| t.rho(self.scenario.mechanism)));
        Ok((figures, claim))
    }
}

// Measures a model on the population's test tracks by one private sum of cost `rho`, beside the exact means.
fn measure(
    federation: &Federation,
    population: &Population,
    model: &Model,
    rho: Option<f64>,
) -> Result<Vec<FederatedFigure>> {
    let population = population.held_out_is_tested();
    let mut workload = Metrics::new(model.clone(), BOUNDS.to_vec());
    let exact = exact(&workload, &population);
    // One release, of everybody, whose noise belongs to no correlated series.
    let federation = Federation {
        seed: mix(federation.seed, METRICS_STREAM, 0),
        devices_per_round: None,
        strategy: None,
        ..federation.clone()
    };
    let mut memories = vec![Vec::new(); population.devices()];
    let outcome = federation.run(&workload, rho, &population, &mut memories, 0, &mut federation.sum_noise())?;
    workload.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
    let estimate = workload.estimate().expect("an applied release has an estimate");
    let mut figures = Vec::new();
    for (metric, name) in METRICS.iter().enumerate() {
        for group in std::iter::once(None).chain((0..estimate.groups()).map(Some)) {
            let (sum, devices) = exact
                .iter()
                .filter(|(of, _)| group.is_none_or(|group| group == *of))
                .filter_map(|(_, values)| values[metric])
                .fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
            if devices == 0 {
                continue;
            }
            let mean = estimate.mean(metric, group);
            figures.push(FederatedFigure {
                metric: (*name).to_owned(),
                group: group.map_or_else(|| "all".to_owned(), group_name),
                central: sum / f64::from(devices),
                federated: mean.map(|(mean, _)| mean),
                deviation: mean.map(|(_, deviation)| deviation),
                devices: devices as usize,
            });
        }
    }
    Ok(figures)
}

// Each device's group and values, in double precision.
fn exact(workload: &Metrics, population: &Population) -> Vec<(usize, [Option<f64>; METRICS.len()])> {
    let bar = progress::steps(population.devices() as u64, "devices measure themselves");
    let values = (0..population.devices())
        .into_par_iter()
        .map_init(Solver::default, |solver, device| {
            let (examples, measures) = (population.train.of(device), workload.device());
            let tracks = (examples, population.validation.of(device), population.test.of(device));
            let values = measures.measure(tracks, &population.habits[device], solver);
            bar.inc(1);
            (measures.group(examples.len()), Metrics::in_units(values))
        })
        .collect();
    bar.finish_and_clear();
    values
}

fn group_name(group: usize) -> String {
    match (group.checked_sub(1).map(|below| BOUNDS[below]), BOUNDS.get(group)) {
        (None, Some(upper)) => format!("under {upper} tracks"),
        (Some(lower), Some(upper)) => format!("{lower} to {} tracks", upper - 1),
        (Some(lower), None) => format!("{lower} tracks and more"),
        (None, None) => "all".to_owned(),
    }
}

// Public, so that a device's group is its own affair: a light and a heavy listener of the sets at hand.
const BOUNDS: [usize; 2] = [10, 50];
const METRICS_STREAM: u64 = 917;
const DELTA: f64 = 1e-6;
