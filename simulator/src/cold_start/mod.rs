//! Tracks that nobody has heard: held out whole, placed by the content tower from what is public of them, and recommended.

mod text;

pub use text::{page, text};

use crate::budget::Budget;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::experiment;
use crate::population::{Population, Protocol, Used};
use crate::progress;
use crate::scenario::{Scenario, read_toml, to_toml};
use ndarray::{Array2, ArrayView1};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sordino_shared::evaluate::{Interval, Judged, bootstrap_mean};
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Features, Tower};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::{distinct_below, mix, unit_f64};
use sordino_shared::workload::{Adaptive, Device, DeviceHalf, TowerDescent, TowerSettings, Workload, Workspace};
use std::path::Path;
use std::sync::Arc;

/// Settings of a cold-start experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColdSettings {
    /// The share of the catalogue that is held out.
    pub held_out: f64,
    /// How many recommendations recall counts.
    pub cut: usize,
    /// Buckets that features are hashed into.
    pub buckets: usize,
    /// d of the tower.
    pub dimensions: usize,
    /// How far apart the first places lie.
    pub spread: f64,
    /// Rounds of the tower.
    pub rounds: usize,
    /// Most steps of the tower that is trained centrally; the best is kept.
    pub central_rounds: usize,
    /// The tower's training.
    pub tower: TowerSettings,
}

impl Default for ColdSettings {
    fn default() -> Self {
        Self {
            held_out: 0.1,
            cut: 100,
            buckets: 8192,
            dimensions: 32,
            spread: 3.0,
            rounds: 30,
            central_rounds: 60,
            tower: TowerSettings::default(),
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ColdResults {
    /// What was run.
    pub scenario: Scenario,
    /// And how.
    pub settings: ColdSettings,
    /// Devices simulated, and what they stand for.
    pub devices: (usize, usize),
    /// Tracks to learn from, and tracks held out.
    pub tracks: (usize, usize),
    /// Held-out tracks of which nothing is public.
    pub bare: usize,
    /// The tower's price for one device.
    pub claim: Option<Claim>,
    /// Recall at the cut over listeners who heard a held-out track, scorer by scorer.
    pub recall: Vec<(String, Interval)>,
}

impl ColdSettings {
    /// Reads settings.
    ///
    /// # Errors
    /// A sentence where the file cannot be read or a field is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "holds no settings of a cold start")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        to_toml(self)
    }

    fn check(&self) -> Result<()> {
        if !(self.held_out > 0.0 && self.held_out < 1.0) {
            return Err(Error::input("--held-out must be above 0 and below 1: it is a share of the catalogue"));
        }
        if !(1..=1 << 22).contains(&self.buckets) || !(1..=512).contains(&self.dimensions) {
            return Err(Error::input("a tower has from 1 to 4194304 buckets and from 1 to 512 dimensions"));
        }
        if [self.cut, self.rounds, self.central_rounds].contains(&0) || !is_positive(self.spread) {
            return Err(Error::input("of a cold start's settings, counts and spread must be above zero"));
        }
        check_tower(&self.tower)
    }
}

/// Whether a tower can be trained with these settings.
pub(crate) fn check_tower(tower: &TowerSettings) -> Result<()> {
    let is_possible = tower.negatives > 0
        && [tower.rate, tower.clip.clip, tower.clip.rate].into_iter().all(is_positive)
        && (0.0..=1.0).contains(&tower.clip.quantile)
        && tower.clip.share > 0.0
        && tower.clip.share < 1.0;
    if !is_possible {
        return Err(Error::input(
            "of a tower's settings, negatives, rates and clip must be above zero, the clip's quantile and share between 0 and 1",
        ));
    }
    Ok(())
}

fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// Runs the experiment; the tower comes with the results.
pub fn run(scenario: &Scenario, settings: &ColdSettings) -> Result<(ColdResults, Tower)> {
    scenario.on_threads(|| Experiment::new(scenario, settings)?.run())
}

struct Experiment<'a> {
    scenario: &'a Scenario,
    settings: &'a ColdSettings,
    features: Arc<Features>,
    catalogue: Arc<Vec<u32>>,
    held: Vec<u32>,
    population: Population,
    budget: Budget,
}

impl<'a> Experiment<'a> {
    fn new(scenario: &'a Scenario, settings: &'a ColdSettings) -> Result<Self> {
        settings.check()?;
        let dataset = experiment::dataset(scenario)?;
        let all = Population::build(&dataset, &scenario.policy()?, Protocol::Hash, scenario.seed)?;
        let (held, catalogue) = split(&dataset, settings.held_out, scenario.seed)?;
        let is_held = |track: TrackId| held.binary_search(&track.0).is_ok();
        let population = all.split_by_track(|track| if is_held(track) { Used::ToTest } else { Used::ToLearn });
        let devices = population.devices();
        let budget = Budget::new(scenario, devices)?;
        let features = Arc::new(Features::hashed(&dataset.content, &dataset.titles, settings.buckets));
        if catalogue.iter().all(|&track| features.row(track as usize).is_empty()) {
            return Err(Error::input(
                "nothing is public of these tracks, neither tags nor titles: a cold start needs one of them, see docs/data.md",
            ));
        }
        Ok(Self { scenario, settings, features, catalogue: Arc::new(catalogue), held, population, budget })
    }

    fn run(&self) -> Result<(ColdResults, Tower)> {
        let seed = self.scenario.seed;
        let mut heard = vec![0.0f32; self.features.tracks()];
        for device in 0..self.population.devices() {
            self.population.test.of(device).iter().for_each(|track| heard[track.row()] += 1.0);
        }
        let start = self.start();
        let mut recall = vec![
            (
                "chance".to_owned(),
                self.recall(|device, track| {
                    unit_f64(&mut ChaCha8Rng::seed_from_u64(mix(seed, device as u64, u64::from(track)))) as f32
                }),
            ),
            ("how many heard it, which nobody can know".to_owned(), self.recall(|_, track| heard[track as usize])),
            ("features in common, nothing learnt".to_owned(), self.by_profile()),
            ("directions of the catalogue".to_owned(), self.by_tower(&start)),
            ("tower, central".to_owned(), self.by_tower(&self.central(&start))),
        ];
        let tower = self.federated("tower, federated", &start, None)?;
        recall.push(("tower, federated without noise".to_owned(), self.by_tower(&tower)));
        let tower = if self.budget.is_private() {
            let tower = self.federated("Sordino", &start, self.budget.share(1.0))?;
            recall.push(("Sordino".to_owned(), self.by_tower(&tower)));
            tower
        } else {
            tower
        };
        let results = ColdResults {
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            devices: (self.population.devices(), self.budget.federation().population),
            tracks: (self.catalogue.len(), self.held.len()),
            bare: self.held.iter().filter(|&&track| self.features.row(track as usize).is_empty()).count(),
            claim: self.budget.claim(),
            recall,
        };
        Ok((results, tower))
    }

    // Places along the catalogue's own directions: public, so they cost no privacy.
    fn start(&self) -> Tower {
        let mut weights = vec![0.0; self.features.tracks()];
        self.catalogue.iter().for_each(|&track| weights[track as usize] = 1.0);
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, START_STREAM, 0));
        let directions: Array2<f64> = self.features.directions(self.settings.dimensions, &weights, &mut rng);
        Tower::new(&(directions * self.settings.spread))
    }

    fn descent(&self, start: &Tower, rounds: usize) -> TowerDescent {
        let (features, catalogue) = (Arc::clone(&self.features), Arc::clone(&self.catalogue));
        TowerDescent::new(start.clone(), features, catalogue, self.settings.tower.clone(), rounds)
    }

    fn federated(&self, what: &str, start: &Tower, rho: Option<f64>) -> Result<Tower> {
        let rounds = self.settings.rounds;
        let mut workload = Adaptive::new(self.descent(start, rounds), self.settings.tower.clip);
        let bar = progress::steps(rounds as u64, what);
        self.budget.train_under(&bar, &mut workload, &self.population, rounds, rho, (TOWER_STREAM, 0))?;
        bar.finish_and_clear();
        Ok(workload.inner().tower().clone())
    }

    /// The same tower by the same loss from everybody's tracks in one place, without clip or noise. It stops where the recall
    /// of tracks that a second holdout took from its own catalogue is best.
    fn central(&self, start: &Tower) -> Tower {
        let rounds = self.settings.central_rounds;
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, CENTRAL_STREAM, 0));
        let count = (self.catalogue.len() / 10).max(1);
        let mut second: Vec<u32> =
            distinct_below(&mut rng, self.catalogue.len(), count).into_iter().map(|at| self.catalogue[at]).collect();
        second.sort_unstable();
        let within = |tracks: &[u32], track: TrackId| tracks.binary_search(&track.0).is_ok();
        let population = self.population.split_by_track(|track| match () {
            () if within(&self.held, track) => Used::Not,
            () if within(&second, track) => Used::ToTest,
            () => Used::ToLearn,
        });
        let kept = self.catalogue.iter().copied().filter(|&track| !within(&second, TrackId(track))).collect();
        let inner = Experiment {
            population,
            catalogue: Arc::new(kept),
            held: second,
            features: Arc::clone(&self.features),
            budget: self.budget.again(),
            ..*self
        };
        let best = inner
            .steps("tower, when to stop", inner.descent(start, rounds), rounds, |tower| {
                let recalls = inner.recalls_by_tower(tower);
                Some(recalls.iter().sum::<f64>() / recalls.len().max(1) as f64)
            })
            .1;
        self.steps("tower, central", self.descent(start, rounds), best, |_| None).0
    }

    // Steps of central descent; with the step after which `judge` was best.
    fn steps(
        &self,
        what: &str,
        mut descent: TowerDescent,
        steps: usize,
        judge: impl Fn(&Tower) -> Option<f64>,
    ) -> (Tower, usize) {
        let (mut best, mut at) = (f64::NEG_INFINITY, steps);
        let width = self.settings.dimensions + 1;
        // Where there are very many devices, steps take turns with some of them.
        let mut turns = vec![Vec::new(); (self.population.devices() / DEVICES_A_STEP).max(1)];
        for device in 0..self.population.devices() {
            let turn = mix(self.scenario.seed, TURN_STREAM, device as u64) % turns.len() as u64;
            turns[turn as usize].push(device);
        }
        let bar = progress::steps(steps as u64, what);
        for step in 0..steps {
            let devices = &turns[step % turns.len()];
            // As many parts whatever the number of devices and threads: each holds a whole sum.
            let parts: Vec<Vec<f64>> = devices
                .par_chunks(devices.len().div_ceil(PARTS).max(1))
                .map(|devices| {
                    let (mut sum, mut workspace) = (vec![0.0; self.settings.buckets * width], Workspace::default());
                    for &device in devices {
                        let mut rng = ChaCha8Rng::seed_from_u64(mix(
                            self.scenario.seed,
                            CENTRAL_STREAM + step as u64,
                            device as u64,
                        ));
                        let device = Device { examples: self.population.train.of(device), ..workspace.device() };
                        let statistics = descent.contribute(device, &mut rng);
                        let block = &statistics.blocks[0];
                        for (&row, values) in
                            block.rows().unwrap_or_default().iter().zip(block.values().chunks_exact(width))
                        {
                            let to = &mut sum[row as usize * width..][..width];
                            to.iter_mut().zip(values).for_each(|(to, &value)| *to += f64::from(value));
                        }
                    }
                    sum
                })
                .collect();
            let mut total = vec![0.0; self.settings.buckets * width];
            parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(total, value)| *total += value));
            descent.apply(vec![total], &[0.0], devices.len() as f64);
            if let Some(value) = judge(descent.tower()).filter(|value| *value > best) {
                (best, at) = (value, step + 1);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        (descent.tower().clone(), at)
    }

    fn by_tower(&self, tower: &Tower) -> Interval {
        self.interval(&self.recalls_by_tower(tower))
    }

    fn recalls_by_tower(&self, tower: &Tower) -> Vec<f64> {
        let rows = tower.rows(&self.features);
        let places: Vec<Vec<f32>> = (0..self.population.devices())
            .into_par_iter()
            .map(|device| tower.listener(&self.features, self.population.train.of(device)))
            .collect();
        let row = |track: u32| -> ArrayView1<'_, f32> { rows.row(track as usize) };
        self.recalls(|device, track| Tower::score(&places[device], row(track).to_slice().expect("rows are in order")))
    }

    fn by_profile(&self) -> Interval {
        let profiles: Vec<Vec<(u32, f32)>> = (0..self.population.devices())
            .into_par_iter()
            .map(|device| self.features.profile(self.population.train.of(device).iter().copied()))
            .collect();
        self.recall(|device, track| {
            let of = |bucket: u32| profiles[device].binary_search_by_key(&bucket, |entry| entry.0).ok();
            let shared = self.features.row(track as usize).iter();
            shared.filter_map(|&(bucket, v)| of(bucket).map(|at| v * profiles[device][at].1)).sum()
        })
    }

    // The share of a listener's held-out tracks among as many recommended of all that are held out, of those that fit there;
    // ties count against us.
    fn recalls(&self, score: impl Fn(usize, u32) -> f32 + Sync) -> Vec<f64> {
        (0..self.population.devices())
            .into_par_iter()
            .filter_map(|device| {
                let test = self.population.test.of(device);
                // A device that has nothing left to go by is no listener of ours yet.
                if test.is_empty() || self.population.train.of(device).is_empty() {
                    return None;
                }
                let is_test = |track: u32| test.binary_search_by_key(&track, |t| t.0).is_ok();
                let relevant: Vec<f32> = test.iter().map(|track| score(device, track.0)).collect();
                let others = self.held.iter().filter(|&&track| !is_test(track)).map(|&track| score(device, track));
                let others: Vec<f32> = others.collect();
                let judged = Judged::from_scores(&relevant, others.iter().copied());
                let most = test.len().min(self.settings.cut) as f64;
                Some(judged.recall(self.settings.cut) * test.len() as f64 / most)
            })
            .collect()
    }

    fn recall(&self, score: impl Fn(usize, u32) -> f32 + Sync) -> Interval {
        self.interval(&self.recalls(score))
    }

    fn interval(&self, values: &[f64]) -> Interval {
        bootstrap_mean(values, &mut ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, BOOTSTRAP_STREAM, 0)))
    }
}

// Held-out tracks and the others, both ascending.
fn split(dataset: &Dataset, share: f64, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    let tracks = dataset.tracks();
    let count = (share * tracks as f64).round() as usize;
    if count == 0 || count >= tracks {
        return Err(Error::input(format!("--held-out {share} of {tracks} tracks leaves none on one side")));
    }
    let mut held: Vec<u32> = distinct_below(&mut ChaCha8Rng::seed_from_u64(mix(seed, SPLIT_STREAM, 0)), tracks, count)
        .into_iter()
        .map(|track| track as u32)
        .collect();
    held.sort_unstable();
    let rest = (0..tracks as u32).filter(|track| held.binary_search(track).is_err()).collect();
    Ok((held, rest))
}

const PARTS: usize = 16;
// More devices than this make a step no better, only longer.
const DEVICES_A_STEP: usize = 4096;
const TURN_STREAM: u64 = 705;
const SPLIT_STREAM: u64 = 701;
const START_STREAM: u64 = 702;
const TOWER_STREAM: u64 = 703;
const BOOTSTRAP_STREAM: u64 = 704;
const CENTRAL_STREAM: u64 = 710;
