//! Models: what the coordinator learns and a device ranks with.

mod embedding;
mod shrinkage;

pub use embedding::{EmbeddingModel, Hyperparameters, Solver};
pub use shrinkage::{Prior, shrink_rows};

use crate::ids::TrackId;
use ndarray::Array2;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// One track that a listener gave a positive weak label, with the confidence of that label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Example {
    /// The track.
    pub track: TrackId,
    /// The confidence c >= 0 of the label: how much more a mistake here costs than one on a track never heard.
    pub confidence: f32,
}

/// What a release carries: embeddings where they could be learnt, else the popularity of tracks alone.
#[derive(Clone, Debug)]
pub enum Model {
    /// A weight for each track, the same for every listener.
    Popularity(Vec<f32>),
    /// Track embeddings, with popularity beside them for listeners without history.
    Embedding(EmbeddingModel),
}

impl Model {
    /// The number of tracks.
    pub fn tracks(&self) -> usize {
        match self {
            Self::Popularity(weights) => weights.len(),
            Self::Embedding(model) => model.tracks(),
        }
    }

    /// The number of dimensions; 0 for popularity.
    pub fn dimensions(&self) -> usize {
        match self {
            Self::Popularity(_) => 0,
            Self::Embedding(model) => model.dimensions(),
        }
    }

    /// Writes a score for each track into `scores` (length: tracks), for the listener with this history.
    pub fn score(&self, history: &[Example], solver: &mut Solver, scores: &mut Vec<f32>) {
        match self {
            Self::Popularity(weights) => scores.clone_from(weights),
            Self::Embedding(model) => model.score(history, solver, scores),
        }
    }

    /// The model's bytes: kind, tracks, dimensions as u64, then popularity and table as f32, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, popularity, table) = match self {
            Self::Popularity(weights) => (0u64, weights.as_slice(), None),
            Self::Embedding(model) => (1, model.popularity(), Some(model.table())),
        };
        let mut bytes = b"SORDINO1".to_vec();
        for number in [kind, self.tracks() as u64, self.dimensions() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let values = popularity.iter().chain(table.into_iter().flat_map(|t| t.iter()));
        bytes.extend(values.flat_map(|v| v.to_le_bytes()));
        bytes
    }

    /// SHA-256 of [`Model::to_bytes`], in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.to_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A catalogue's public content features, one row a track: genres, tags, years and the like.
///
/// They are the same for everybody and known without any listener, so using them costs no privacy.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Content {
    /// The features' names, one a column.
    pub names: Vec<String>,
    /// For each track the columns that are set, with their values.
    pub rows: Vec<Vec<(u32, f32)>>,
}

impl Content {
    /// The `limit` most common features as a dense matrix (tracks x at most `limit`), each row scaled to length 1.
    pub fn dense(&self, tracks: usize, limit: usize) -> Array2<f64> {
        let mut uses = vec![0usize; self.names.len()];
        for &(column, _) in self.rows.iter().flatten() {
            uses[column as usize] += 1;
        }
        let mut order: Vec<usize> = (0..uses.len()).filter(|&c| uses[c] >= MIN_USES.min(tracks)).collect();
        order.sort_by_key(|&c| (std::cmp::Reverse(uses[c]), c));
        order.truncate(limit);
        let mut place = vec![None; self.names.len()];
        for (position, &column) in order.iter().enumerate() {
            place[column] = Some(position);
        }
        let mut out = Array2::zeros((tracks, order.len()));
        for (track, row) in self.rows.iter().enumerate().take(tracks) {
            for &(column, value) in row {
                if let Some(position) = place[column as usize] {
                    out[(track, position)] = f64::from(value);
                }
            }
            let norm = out.row(track).dot(&out.row(track)).sqrt();
            if norm > 0.0 {
                out.row_mut(track).mapv_inplace(|v| v / norm);
            }
        }
        out
    }
}

// A feature of fewer tracks than this describes single tracks, not a kind of music.
const MIN_USES: usize = 5;
