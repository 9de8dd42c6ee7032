//! A training of track embeddings: popularity, then subspace iteration, then factors, then a
//! private comparison with popularity that decides what is shipped.
//!
//! A state machine without I/O: [`Training::round`] says what devices are to do next, [`Training::apply`] takes the
//! decoded sum, [`Training::model`] gives the model.

use crate::planner::Schedule;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sordino_shared::model::{Hyperparameters, Model, Prior};
use sordino_shared::plan::BlockLayout;
use sordino_shared::random::mix;
use sordino_shared::workload::{
    Broadcast, Comparison, Device, DeviceHalf, Factors, Popularity, PopularityEstimate, Statistics, Subspace, Workload,
};

/// The seed of a step's own choices: public, and different at every step.
pub fn step_seed(seed: u64, step: u64) -> u64 {
    mix(seed, STEP_STREAM, step)
}

/// The seed of the rotations' signs in one cohort of a step.
pub fn rotation_seed(seed: u64, step: u64, cohort: u64) -> u64 {
    mix(step_seed(seed, step), ROTATION_STREAM, cohort)
}

/// The coordinator's own chance at a step: where a table starts. It is published with the table, so it need not be secret,
/// and the same seed gives the same training after a restart.
pub fn public_chance(seed: u64, step: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed, COORDINATOR_STREAM, step))
}

const STEP_STREAM: u64 = 301;
const ROTATION_STREAM: u64 = 305;
const COORDINATOR_STREAM: u64 = 501;

/// What devices do in a round of a training.
#[derive(Clone, Debug)]
pub enum Round {
    /// The popularity release.
    Popularity(Popularity),
    /// Stage A.
    Subspace(Subspace),
    /// Stage B.
    Factors(Factors),
    /// The comparison with popularity.
    Comparison(Comparison),
}

/// The training's state.
#[derive(Clone, Debug)]
pub struct Training {
    schedule: Schedule,
    hyperparameters: Hyperparameters,
    // Public features of the tracks (tracks x features).
    content: Array2<f64>,
    round: Round,
    popularity: Option<PopularityEstimate>,
    // Where it goes on from an earlier training, that one's table (tracks x d).
    earlier: Option<Array2<f64>>,
    done: usize,
}

impl Training {
    /// A training over a catalogue with these content features (tracks x features, zero of them where there are none).
    pub fn new(schedule: Schedule, content: Array2<f64>, hyperparameters: Hyperparameters) -> Self {
        let round = Round::Popularity(Popularity::new(content.nrows(), hyperparameters));
        Self { schedule, hyperparameters, content, round, popularity: None, earlier: None, done: 0 }
    }

    /// A training that goes on from an earlier one's table (tracks x d): after the popularity release come factors at once.
    ///
    /// # Panics
    /// Where the schedule has rounds of subspace iteration, or the table is of another catalogue.
    pub fn going_on(
        schedule: Schedule,
        content: Array2<f64>,
        hyperparameters: Hyperparameters,
        earlier: Array2<f64>,
    ) -> Self {
        assert_eq!(schedule.subspace_rounds, 0, "an earlier table takes the subspace's place");
        assert_eq!(earlier.nrows(), content.nrows(), "one row a track");
        Self { earlier: Some(earlier), ..Self::new(schedule, content, hyperparameters) }
    }

    /// The next round with its share of rho, or `None` when the training is over.
    pub fn round(&self) -> Option<(&Round, f64)> {
        let shares = self.schedule.shares;
        if self.done >= self.all_releases() {
            return None;
        }
        let share = match self.round {
            Round::Popularity(_) => shares.popularity,
            Round::Subspace(_) => shares.subspace / self.schedule.subspace_rounds as f64,
            Round::Factors(_) => shares.factors / self.schedule.factor_rounds as f64,
            Round::Comparison(_) => shares.comparison,
        };
        Some((&self.round, share))
    }

    /// Releases so far, the popularity release among them.
    pub fn releases(&self) -> usize {
        self.done
    }

    /// Releases of the whole training.
    pub fn all_releases(&self) -> usize {
        match self.schedule.rounds() {
            0 => 1,
            // Popularity before them, the comparison after.
            rounds => rounds + 2,
        }
    }

    /// Learns from the decoded sum of the round, which `devices` devices are in; `deviations` is the noise by block.
    pub fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64, rng: &mut impl Rng) {
        self.done += 1;
        match &mut self.round {
            Round::Popularity(workload) => {
                workload.apply(sum, deviations, devices);
                let estimate = workload.estimate().cloned().expect("an applied release has an estimate");
                self.popularity = Some(estimate.clone());
                let prior = Prior::new(&estimate.tracks, &self.content);
                if let Some(table) = self.earlier.take() {
                    self.round = Round::Factors(Factors::new(table, estimate, prior, self.hyperparameters));
                } else if self.schedule.rounds() > 0 {
                    let d = self.schedule.dimensions;
                    self.round = Round::Subspace(Subspace::new(&estimate, &self.content, prior, d, rng));
                }
            }
            Round::Subspace(workload) => workload.apply(sum, deviations, devices),
            Round::Factors(workload) => workload.apply(sum, deviations, devices),
            Round::Comparison(workload) => workload.apply(sum, deviations, devices),
        }
        let embedding_rounds = self.schedule.rounds();
        if self.done == embedding_rounds + 1 && embedding_rounds > 0 {
            self.round = Round::Comparison(Comparison::new(self.model(), self.popularity_model()));
        } else if self.done == self.schedule.subspace_rounds + 1 && matches!(self.round, Round::Subspace(_)) {
            self.round = Round::Factors(self.factors());
        }
    }

    /// The model as it stands: popularity before the first embedding round, the winner after the comparison.
    pub fn model(&self) -> Model {
        match &self.round {
            Round::Popularity(_) => self.popularity_model(),
            Round::Subspace(_) if self.done <= 1 => self.popularity_model(),
            Round::Subspace(_) => Model::Embedding(self.factors().model().clone()),
            Round::Factors(workload) => Model::Embedding(workload.model().clone()),
            Round::Comparison(workload) if workload.verdict().is_none() => workload.candidate().clone(),
            Round::Comparison(workload) => workload.winner().clone(),
        }
    }

    /// How far the embeddings were ahead of popularity, and the deviation of that figure's noise.
    pub fn verdict(&self) -> Option<(f64, f64)> {
        match &self.round {
            Round::Comparison(workload) => workload.verdict(),
            _ => None,
        }
    }

    fn popularity_model(&self) -> Model {
        let tracks = self.popularity.as_ref().map(|p| p.tracks.as_slice()).unwrap_or_default();
        Model::Popularity(tracks.iter().map(|&f| f as f32).collect())
    }

    // Stage B from where stage A stands.
    fn factors(&self) -> Factors {
        let (Round::Subspace(subspace), Some(popularity)) = (&self.round, &self.popularity) else {
            unreachable!("factors follow a subspace, which follows the popularity");
        };
        let prior = Prior::new(&popularity.tracks, &self.content);
        Factors::new(subspace.table(), popularity.clone(), prior, self.hyperparameters)
    }
}

impl DeviceHalf for Round {
    fn layout(&self) -> Vec<BlockLayout> {
        match self {
            Self::Popularity(w) => w.layout(),
            Self::Subspace(w) => w.layout(),
            Self::Factors(w) => w.layout(),
            Self::Comparison(w) => w.layout(),
        }
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        match self {
            Self::Popularity(w) => w.contribute(device, rng),
            Self::Subspace(w) => w.contribute(device, rng),
            Self::Factors(w) => w.contribute(device, rng),
            Self::Comparison(w) => w.contribute(device, rng),
        }
    }
}

impl Workload for Round {
    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        match self {
            Self::Popularity(w) => w.apply(sum, deviations, devices),
            Self::Subspace(w) => w.apply(sum, deviations, devices),
            Self::Factors(w) => w.apply(sum, deviations, devices),
            Self::Comparison(w) => w.apply(sum, deviations, devices),
        }
    }
}

impl Round {
    /// What devices load for it.
    pub fn broadcast(&self) -> Broadcast {
        match self {
            Self::Popularity(w) => Broadcast::Popularity(w.device().clone()),
            Self::Subspace(w) => Broadcast::Subspace(w.device().clone()),
            Self::Factors(w) => Broadcast::Factors(w.device().clone()),
            Self::Comparison(w) => Broadcast::Comparison(w.device().clone()),
        }
    }

    /// What the round is called in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Popularity(_) => "popularity",
            Self::Subspace(_) => "subspace",
            Self::Factors(_) => "factors",
            Self::Comparison(_) => "comparison",
        }
    }
}
