//! A training of track embeddings: popularity, then subspace iteration, then factors.
//!
//! A state machine without I/O: [`Training::round`] says what devices are to do next, [`Training::apply`] takes the
//! decoded sum, [`Training::finish`] gives the model.

use crate::planner::{Schedule, stands_out};
use ndarray::Array2;
use rand_core::Rng;
use sordino_shared::model::{Hyperparameters, Model, Prior};
use sordino_shared::plan::BlockLayout;
use sordino_shared::workload::{Device, Factors, Popularity, PopularityEstimate, Statistics, Subspace, Workload};

/// What devices do in a round of a training.
#[derive(Clone, Debug)]
pub enum Round {
    /// The popularity release.
    Popularity(Popularity),
    /// Stage A.
    Subspace(Subspace),
    /// Stage B.
    Factors(Factors),
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
    done: usize,
    abandoned: bool,
}

impl Training {
    /// A training over a catalogue with these content features (tracks x features, zero of them where there are none).
    pub fn new(schedule: Schedule, content: Array2<f64>, hyperparameters: Hyperparameters) -> Self {
        let round = Round::Popularity(Popularity::new(content.nrows(), hyperparameters));
        Self { schedule, hyperparameters, content, round, popularity: None, done: 0, abandoned: false }
    }

    /// The next round with its share of rho, or `None` when the training is over.
    pub fn round(&self) -> Option<(&Round, f64)> {
        let [popularity, subspace, factors] = self.schedule.shares;
        if self.abandoned {
            return None;
        }
        let rounds = |count: usize, share: f64| share / count.max(1) as f64;
        match self.done {
            0 => Some((&self.round, popularity)),
            i if i <= self.schedule.subspace_rounds => {
                Some((&self.round, rounds(self.schedule.subspace_rounds, subspace)))
            }
            i if i <= self.schedule.rounds() => Some((&self.round, rounds(self.schedule.factor_rounds, factors))),
            _ => None,
        }
    }

    /// Releases so far, the popularity release among them.
    pub fn releases(&self) -> usize {
        self.done
    }

    /// Whether the training stopped early because nothing stood out of the noise.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Learns from the decoded sum of the round, which `devices` devices are in; `deviations` is the noise by block.
    pub fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64, rng: &mut impl Rng) {
        let share = self.round().map_or(0.0, |(_, share)| share);
        self.done += 1;
        match &mut self.round {
            Round::Popularity(workload) => {
                workload.apply(sum, deviations, devices);
                let estimate = workload.estimate().cloned().expect("an applied release has an estimate");
                self.popularity = Some(estimate.clone());
                if self.schedule.rounds() > 0 {
                    let prior = Prior::new(&estimate.tracks, &self.content);
                    let d = self.schedule.dimensions;
                    self.round = Round::Subspace(Subspace::new(&estimate, &self.content, prior, d, rng));
                }
            }
            Round::Subspace(workload) => {
                workload.apply(sum, deviations, devices);
                let tracks = self.popularity.as_ref().map_or(&[][..], |p| &p.tracks);
                self.abandoned = !stands_out(&self.schedule, workload.components(), tracks, share);
                if self.done > self.schedule.subspace_rounds && !self.abandoned {
                    self.round = Round::Factors(self.factors());
                }
            }
            Round::Factors(workload) => workload.apply(sum, deviations, devices),
        }
    }

    /// The model as it stands: popularity before the first embedding round and where the training was abandoned.
    pub fn model(&self) -> Model {
        let popularity = || {
            let estimate = self.popularity.as_ref().map(|p| p.tracks.as_slice()).unwrap_or_default();
            Model::Popularity(estimate.iter().map(|&f| f as f32).collect())
        };
        match &self.round {
            _ if self.abandoned => popularity(),
            Round::Popularity(_) => popularity(),
            Round::Subspace(_) if self.done <= 1 => popularity(),
            Round::Subspace(_) => Model::Embedding(self.factors().model().clone()),
            Round::Factors(workload) => Model::Embedding(workload.model().clone()),
        }
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

impl Workload for Round {
    fn layout(&self) -> Vec<BlockLayout> {
        match self {
            Self::Popularity(w) => w.layout(),
            Self::Subspace(w) => w.layout(),
            Self::Factors(w) => w.layout(),
        }
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        match self {
            Self::Popularity(w) => w.contribute(device, rng),
            Self::Subspace(w) => w.contribute(device, rng),
            Self::Factors(w) => w.contribute(device, rng),
        }
    }

    fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        match self {
            Self::Popularity(w) => w.apply(sum, deviations, devices),
            Self::Subspace(w) => w.apply(sum, deviations, devices),
            Self::Factors(w) => w.apply(sum, deviations, devices),
        }
    }
}

impl Round {
    /// What the round is called in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Popularity(_) => "popularity",
            Self::Subspace(_) => "subspace",
            Self::Factors(_) => "factors",
        }
    }
}
