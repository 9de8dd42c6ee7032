//! What the listeners of a swarm heard, through the device's own pipeline.

use super::Vectors;
use sordino_client::label::LabelPolicy;
use sordino_client::part::{Error, Round};
use sordino_client::train::{Randomness, take_part};
use sordino_shared::evaluate::{Gain, Judged};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Example, Model, Solver};
use sordino_shared::privacy::{NoiseError, Noised, Samplers};
use sordino_shared::workload::{Device, Workspace};
use sordino_simulator::experiment;
use sordino_simulator::population::{Population, Protocol};
use sordino_simulator::scenario::Scenario;

/// Listeners' examples and what they hold out.
pub struct Listening {
    population: Population,
    devices: usize,
}

impl Listening {
    /// Listeners of a data set, as many as there are devices.
    ///
    /// # Errors
    /// Where the data cannot be read or has too few listeners.
    pub fn new(data: &str, devices: usize, tracks: usize, seed: u64) -> anyhow::Result<Self> {
        let mut scenario = Scenario { data: data.to_owned(), seed, ..Scenario::default() };
        scenario.world.tracks = tracks;
        // Some are bots or like nothing, and take part in nothing.
        scenario.world.listeners = devices + devices / 4 + 20;
        scenario.world.artists = scenario.world.artists.min(tracks / 5).max(1);
        let dataset = experiment::dataset(&scenario)?;
        let population = Population::build(&dataset, &LabelPolicy::default(), Protocol::Loo, seed)?;
        anyhow::ensure!(
            population.devices() >= devices,
            "the data has {} listeners with something to learn from, fewer than {devices} devices",
            population.devices()
        );
        Ok(Self { population, devices })
    }

    /// How many devices.
    pub fn devices(&self) -> usize {
        self.devices
    }

    /// How many tracks.
    pub fn tracks(&self) -> usize {
        self.population.tracks
    }

    /// The population that they are the first of.
    pub fn population(&self) -> &Population {
        &self.population
    }

    /// Examples over all devices.
    pub fn examples(&self) -> usize {
        (0..self.devices).map(|device| self.population.train.of(device).len()).sum()
    }

    /// How a device of the swarm comes to its vectors: as any device does, with the operating system's randomness.
    pub fn vectors(&self, device: usize) -> Vectors {
        let examples: Vec<Example> = self.population.train.of(device).to_vec();
        let held_out: Vec<TrackId> = self.population.validation.of(device).to_vec();
        Box::new(move |round| vector(round, &examples, &held_out))
    }
}

fn vector(round: &Round, examples: &[Example], held_out: &[TrackId]) -> Result<Noised, Error> {
    let noise = |error: NoiseError| Error::Participation(error.into());
    let tracks = round.broadcast.tracks();
    let known = |track: TrackId| track.row() < tracks;
    let examples: Vec<Example> = examples.iter().copied().filter(|example| known(example.track)).collect();
    let held_out: Vec<TrackId> = held_out.iter().copied().filter(|track| known(*track)).collect();
    let samplers = Samplers::new(&round.plan).map_err(noise)?;
    let mut randomness = Randomness::from_operating_system().map_err(noise)?;
    let mut workspace = Workspace::default();
    let device = Device { examples: &examples, held_out: &held_out, ..workspace.device() };
    Ok(take_part(&round.broadcast, &round.plan, &samplers, device, &mut randomness).noised)
}

/// NDCG@10 over the catalogue of the tracks that the listeners held out for a test.
pub fn ndcg(model: &Model, listening: &Listening) -> f64 {
    let population = &listening.population;
    let (mut sum, mut count) = (0.0, 0usize);
    let (mut solver, mut scores) = (Solver::default(), Vec::new());
    for device in 0..listening.devices {
        let (train, test) = (population.train.of(device), population.test.of(device));
        if test.is_empty() || model.tracks() != population.tracks {
            continue;
        }
        model.score(train, &mut solver, &mut scores);
        let mut known = vec![false; scores.len()];
        train.iter().for_each(|example| known[example.track.row()] = true);
        population.validation.of(device).iter().chain(test).for_each(|track| known[track.row()] = true);
        let relevant: Vec<f32> = test.iter().map(|track| scores[track.row()]).collect();
        let others = scores.iter().zip(&known).filter(|(_, known)| !**known).map(|(&score, _)| score);
        sum += Judged::from_scores(&relevant, others).ndcg(Some(10), Gain::Binary);
        count += 1;
    }
    sum / count.max(1) as f64
}
