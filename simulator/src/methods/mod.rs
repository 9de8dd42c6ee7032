//! What can be compared: Sordino, plain federated descent, a central factorisation, popularity.

mod fedmf;
mod ials;
mod popularity;
mod scoring;
mod sordino;

pub use fedmf::train as train_fedmf;
pub use ials::{Ials, IalsSettings, Tuned, train as train_ials, tune as tune_ials};
pub use popularity::train as train_popularity;
pub use sordino::{Trained, content_of, schedule, train as train_sordino, train_rounds};

use serde::{Deserialize, Serialize};
use sordino_shared::model::{Example, Model, Solver};

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Federated subspace iteration and factors under the private sum.
    Sordino,
    /// Plain federated descent, as in the literature.
    Fedmf,
    /// The same without vectors that are kept: each round finds its own anew.
    Fedrecon,
    /// Central implicit-feedback least squares, which sees everybody's data.
    Ials,
    /// The same list for everybody.
    Popularity,
}

impl Method {
    /// The method's name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sordino => "sordino",
            Self::Fedmf => "fedmf",
            Self::Fedrecon => "fedrecon",
            Self::Ials => "ials",
            Self::Popularity => "popularity",
        }
    }
}

/// Scores all tracks for a listener.
pub trait Scorer: Sync {
    /// Writes one score a track. `listener` is the device's place in the population, `history` its training examples.
    fn score(&self, listener: usize, history: &[Example], solver: &mut Solver, scores: &mut Vec<f32>);

    /// The same scores, to the bit, by a way that pays where many listeners are scored.
    fn for_many(&self) -> Option<Box<dyn Scorer + '_>> {
        None
    }
}

impl Scorer for Model {
    fn score(&self, _listener: usize, history: &[Example], solver: &mut Solver, scores: &mut Vec<f32>) {
        Self::score(self, history, solver, scores);
    }

    fn for_many(&self) -> Option<Box<dyn Scorer + '_>> {
        scoring::Many::of(self).map(|many| Box::new(many) as Box<dyn Scorer>)
    }
}

/// A round, as it is logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundLog {
    /// The round, from 0.
    pub round: usize,
    /// What was learnt.
    pub kind: String,
    /// Devices in the sum.
    pub devices: usize,
    /// rho that a device spent on it; `None` without noise.
    pub rho: Option<f64>,
    /// Share of devices clipped, by block.
    pub clipped: Vec<f64>,
    /// Width of the sum's integers.
    pub bits: u32,
    /// Values in a device's vector.
    pub values: usize,
    /// NDCG@10 on validation tracks after the round, where it was measured.
    pub validation_ndcg: Option<f64>,
    /// Seconds in the round, without the measuring.
    pub seconds: f64,
}

/// Called after each round with the model as it stands; returns its quality on validation tracks, if it is measured.
pub type Watch<'a> = dyn Fn(&dyn Scorer) -> Option<f64> + 'a;
