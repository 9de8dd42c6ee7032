//! Catalogues larger than a vector: a tower that gives every track a place, and blocks that improve the places of tracks which
//! enough devices have heard. Measured beside popularity, the tower alone and, where a vector can still hold it, the whole table.

mod text;

pub use text::{page, text};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::evaluation::{Measured, Part, evaluate};
use crate::experiment;
use crate::federation::Outcome;
use crate::methods::Scorer;
use crate::population::Population;
use crate::progress;
use crate::scenario::{Scenario, read_toml, to_toml};
use ndarray::{Array2, Axis, Slice};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sordino_shared::model::{Example, Features, Model, Prior, Solver, Tower};
use sordino_shared::plan::CatalogueBlocks;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::random::mix;
use sordino_shared::workload::{
    Adaptive, BlockFactors, BlockPlays, Comparison, DeviceHalf, Factors, Popularity, PopularityEstimate, TowerDescent,
    TowerSettings, Workload,
};
use std::path::Path;
use std::sync::Arc;

/// How the catalogue is learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LargeSettings {
    /// Rows of a block: tracks that one vector holds.
    pub rows: usize,
    /// Buckets of the tower.
    pub buckets: usize,
    /// Dimensions of tower and table.
    pub dimensions: usize,
    /// Rounds of the tower.
    pub tower_rounds: usize,
    /// What is spent on the tower, on popularity, on the table's rows, and on asking whether they are better than popularity.
    pub shares: [f64; 4],
    /// The tower's own settings.
    pub tower: TowerSettings,
    /// The table is also learnt whole, in one block, where the catalogue has no more tracks than this.
    pub whole_up_to: usize,
}

impl Default for LargeSettings {
    fn default() -> Self {
        Self {
            rows: 16_384,
            buckets: 4096,
            dimensions: 16,
            tower_rounds: 20,
            shares: [0.3, 0.2, 0.48, 0.02],
            tower: TowerSettings::default(),
            whole_up_to: 50_000,
        }
    }
}

impl LargeSettings {
    /// Reads a file of settings.
    ///
    /// # Errors
    /// A sentence where the file cannot be read or a field is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "holds no settings of a large catalogue")
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        to_toml(self)
    }

    fn check(&self) -> Result<()> {
        if [self.rows, self.buckets, self.dimensions, self.tower_rounds, self.tower.negatives].contains(&0)
            || self.dimensions > 512
        {
            return Err(Error::input(
                "rows, buckets, rounds and negatives must be at least 1, and dimensions 1 to 512",
            ));
        }
        crate::cold_start::check_tower(&self.tower)?;
        let shares: f64 = self.shares.iter().sum();
        if self.shares.iter().any(|share| !(*share > 0.0 && share.is_finite())) || shares > 1.0 + 1e-9 {
            return Err(Error::input("the four shares of the budget must be above 0, and together at most 1"));
        }
        Ok(())
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LargeResults {
    /// What was run.
    pub scenario: Scenario,
    /// And how.
    pub settings: LargeSettings,
    /// Devices simulated, and how many they stand for.
    pub devices: (usize, usize),
    /// Tracks, and those that any device has liked.
    pub tracks: (usize, usize),
    /// Blocks.
    pub blocks: usize,
    /// The price of all of it for one device.
    pub claim: Option<Claim>,
    /// A device's largest vector: values, and bytes on the wire.
    pub vector: (usize, usize),
    /// What a device holds in the round of that vector, in bytes: the vector, the tower's places, the shared system.
    pub device_bytes: usize,
    /// Values of a vector that holds the whole table.
    pub whole_values: usize,
    /// How far devices found the table ahead of popularity on what they hold out, and the deviation of that figure's noise; what is
    /// not ahead by twice that is not shipped.
    pub ahead: (f64, f64),
    /// Whether the table is shipped; popularity is else.
    pub shipped: bool,
    /// Figures by scorer.
    pub scorers: Vec<(String, Measured)>,
}

/// Learns a scenario's catalogue in blocks; the model comes along.
pub fn run(scenario: &Scenario, settings: &LargeSettings) -> Result<(LargeResults, Model)> {
    scenario.on_threads(|| Experiment::new(scenario, settings)?.run())
}

struct Experiment<'a> {
    scenario: &'a Scenario,
    settings: &'a LargeSettings,
    population: Population,
    features: Arc<Features>,
    budget: Budget,
}

/// The table learnt in blocks, and what a device sent and held for it.
struct Learnt {
    factors: Factors,
    vector: (usize, usize),
    held: usize,
}

impl<'a> Experiment<'a> {
    fn new(scenario: &'a Scenario, settings: &'a LargeSettings) -> Result<Self> {
        settings.check()?;
        let dataset = experiment::dataset(scenario)?;
        let population = Population::build(&dataset, &scenario.policy()?, scenario.protocol, scenario.seed)?;
        let features = Features::hashed(&dataset.content, &dataset.titles, settings.buckets);
        if (0..features.tracks()).all(|track| features.row(track).is_empty()) {
            return Err(Error::input(
                "nothing is public of these tracks, neither tags nor titles: a tower needs one of them, see docs/data.md",
            ));
        }
        let budget = Budget::new(scenario, population.devices())?;
        Ok(Self { scenario, settings, population, features: Arc::new(features), budget })
    }

    fn run(&self) -> Result<(LargeResults, Model)> {
        let tracks = self.population.tracks;
        let tower = self.tower()?;
        let blocks = CatalogueBlocks::new(tracks, self.settings.rows, mix(self.scenario.seed, KEY_STREAM, 0));
        let learnt = self.learn(&tower, &blocks, &self.budget)?;
        let table = Model::Embedding(learnt.factors.model().clone());
        let popularity = Model::Popularity(learnt.factors.model().popularity().to_vec());
        let by_tower = ByTower { rows: tower.rows(&self.features), tower, features: Arc::clone(&self.features) };
        let mut scorers = vec![
            ("popularity, by blocks".to_owned(), self.measure(&popularity)?),
            ("tower alone".to_owned(), self.measure(&by_tower)?),
            ("tower and blocks".to_owned(), self.measure(&table)?),
        ];
        let mut comparison = Comparison::new(table, popularity);
        let share = self.budget.share(self.settings.shares[3]);
        self.budget.train(&mut comparison, &self.population, 1, share, (COMPARISON_STREAM, 0))?;
        let whole = CatalogueBlocks::new(tracks, tracks, 0);
        if tracks <= self.settings.whole_up_to && blocks.count() > 1 {
            let other = self.learn(&by_tower.tower, &whole, &self.budget.again())?;
            let model = Model::Embedding(other.factors.model().clone());
            scorers.push(("the same in one vector".to_owned(), self.measure(&model)?));
        }
        let results = LargeResults {
            scenario: self.scenario.clone(),
            settings: self.settings.clone(),
            devices: (self.population.devices(), self.budget.federation().population),
            tracks: (tracks, self.population.popularity().iter().filter(|&&heard| heard > 0.0).count()),
            blocks: blocks.count(),
            claim: self.budget.claim(),
            vector: learnt.vector,
            device_bytes: learnt.held,
            whole_values: tracks * self.settings.dimensions
                + self.settings.dimensions * (self.settings.dimensions + 1) / 2,
            ahead: comparison.verdict().expect("an applied comparison has a verdict"),
            shipped: comparison.winner().dimensions() > 0,
            scorers,
        };
        Ok((results, comparison.winner().clone()))
    }

    // Places along the catalogue's own directions, improved by what devices tell.
    fn tower(&self) -> Result<Tower> {
        let (settings, tracks) = (self.settings, self.population.tracks);
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, TOWER_STREAM, 0));
        let start = self.features.directions(settings.dimensions, &vec![1.0; tracks], &mut rng) * SPREAD;
        let catalogue = Arc::new((0..tracks as u32).collect());
        let features = Arc::clone(&self.features);
        let rounds = settings.tower_rounds;
        let descent = TowerDescent::new(Tower::new(&start), features, catalogue, settings.tower.clone(), rounds);
        let mut workload = Adaptive::new(descent, settings.tower.clip);
        let share = self.budget.share(settings.shares[0]);
        self.budget.train(&mut workload, &self.population, rounds, share, (TOWER_STREAM, 1))?;
        Ok(workload.inner().tower().clone())
    }

    // Two releases: popularity, then rows. In each a device sends the one block that public chance draws for it.
    fn learn(&self, tower: &Tower, blocks: &CatalogueBlocks, budget: &Budget) -> Result<Learnt> {
        let (h, tracks, d) = (self.scenario.model, self.population.tracks, self.settings.dimensions);
        let plays = |block| BlockPlays::new(*blocks, block, h);
        let gathered = self.gather(blocks, 1, budget, budget.share(self.settings.shares[1]), 0, plays)?;
        let mut popularity = Popularity::new(tracks, h);
        let devices = self.population.devices() as f64;
        popularity.apply(gathered.sum, &gathered.deviations, devices);
        let estimate: PopularityEstimate = popularity.estimate().cloned().expect("an applied release has an estimate");

        let rows = tower.rows(&self.features).slice_axis(Axis(1), Slice::from(..d)).mapv(f64::from);
        let prior = Prior::new(&estimate.tracks, &rows);
        let mut factors = Factors::new(rows.clone(), estimate, prior, h);
        let places = Arc::new(self.places(tower, &rows, &factors));
        let part = |block| BlockFactors::new(&factors, Arc::clone(&places), Arc::clone(&self.features), *blocks, block);
        let gathered = self.gather(blocks, d, budget, budget.share(self.settings.shares[2]), 1, part)?;
        let first = part(0);
        let vector = (gathered.values, (gathered.values * gathered.bits as usize).div_ceil(8));
        let held = gathered.values * size_of::<f32>() + first.held_bytes();
        factors.apply(gathered.sum, &gathered.deviations, devices);
        Ok(Learnt { factors, vector, held })
    }

    // The tower's places in the units of the coordinator's table, which is scaled as a whole.
    fn places(&self, tower: &Tower, rows: &Array2<f64>, factors: &Factors) -> Array2<f32> {
        let (d, square) = (self.settings.dimensions, |sum: f64, v: f64| sum + v * v);
        let scaled = factors.model().table().iter().fold(0.0, |sum, &v| square(sum, f64::from(v)));
        let plain = rows.iter().fold(0.0, |sum, &v| square(sum, v));
        let scale = if plain > 0.0 { (scaled / plain).sqrt() as f32 } else { 0.0 };
        let table =
            Array2::from_shape_vec((tower.buckets(), d + 1), tower.parameters().to_vec()).expect("rows of d + 1");
        table.slice_axis(Axis(1), Slice::from(..d)).mapv(|v| v * scale)
    }

    // The sums of all blocks, put back in the order of tracks and scaled to all devices.
    fn gather<W: DeviceHalf>(
        &self,
        blocks: &CatalogueBlocks,
        width: usize,
        budget: &Budget,
        rho: Option<f64>,
        release: usize,
        part: impl Fn(usize) -> W,
    ) -> Result<Outcome> {
        let (devices, seed) = (self.population.devices(), mix(self.scenario.seed, DRAW_STREAM, release as u64));
        let mut groups = vec![Vec::new(); blocks.count()];
        (0..devices)
            .for_each(|device| groups[blocks.drawn(seed, u64::from(self.population.origin[device]))].push(device));
        let mut sums = vec![vec![0.0; self.population.tracks * width], Vec::new()];
        let mut all: Option<Outcome> = None;
        let (mut largest, mut squares) = (0.0f64, 0.0);
        let bar = progress::steps(groups.len() as u64, "blocks of the catalogue");
        for (block, group) in groups.iter().enumerate() {
            let place = (release + FIRST_RELEASE, block);
            let mut outcome = budget.federation().run_group(&part(block), rho, &self.population, group, place)?;
            let scale = devices as f64 / outcome.devices.max(1) as f64;
            for (row, values) in outcome.sum[0].chunks_exact(width).enumerate() {
                let Some(track) = blocks.track(block, row) else { continue };
                let to = &mut sums[0][track.row() * width..][..width];
                to.iter_mut().zip(values).for_each(|(to, value)| *to = value * scale);
            }
            // The largest noise of any block counts for all, so that none is trusted too much.
            largest = largest.max(outcome.deviations[0] * scale);
            squares += outcome.deviations[1] * outcome.deviations[1];
            sums[1].resize(outcome.sum[1].len(), 0.0);
            sums[1].iter_mut().zip(&outcome.sum[1]).for_each(|(to, value)| *to += value);
            outcome.sum.clear();
            all.get_or_insert(outcome);
            bar.inc(1);
        }
        bar.finish_and_clear();
        // Each device is in one block's sum, so that all sums together cost it one release.
        budget.pay(rho);
        let outcome = all.ok_or_else(|| Error::input("a catalogue without tracks has no blocks"))?;
        Ok(Outcome { sum: sums, deviations: vec![largest, squares.sqrt()], devices, ..outcome })
    }

    fn measure(&self, scorer: &dyn Scorer) -> Result<Measured> {
        evaluate(&self.population, scorer, &self.scenario.evaluation(Part::Test))
    }
}

/// The tower as a recommender of its own.
struct ByTower {
    tower: Tower,
    rows: Array2<f32>,
    features: Arc<Features>,
}

impl Scorer for ByTower {
    fn score(&self, _listener: usize, history: &[Example], _solver: &mut Solver, scores: &mut Vec<f32>) {
        let place = self.tower.listener(&self.features, history);
        scores.clear();
        scores
            .extend(self.rows.outer_iter().map(|row| Tower::score(&place, row.to_slice().expect("rows are in order"))));
    }
}

// How far apart the catalogue's directions put tracks to begin with.
const SPREAD: f64 = 1.0;
const KEY_STREAM: u64 = 941;
const TOWER_STREAM: u64 = 942;
const DRAW_STREAM: u64 = 943;
const COMPARISON_STREAM: u64 = 944;
// Rounds of blocks have randomness apart from the tower's.
const FIRST_RELEASE: usize = 10_000;
