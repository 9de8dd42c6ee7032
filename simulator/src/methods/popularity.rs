//! Popularity among the training examples, counted centrally and without noise.

use crate::population::Population;
use sordino_shared::model::Model;

/// Counts listeners by track.
pub fn train(population: &Population) -> Model {
    Model::Popularity(population.popularity().into_iter().map(|count| count as f32).collect())
}
