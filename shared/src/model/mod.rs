//! Models: what the coordinator learns and a device ranks with.

mod approval;
mod calibration;
mod card;
mod clusters;
mod embedding;
mod features;
mod inputs;
mod network;
mod ranker;
mod shrinkage;
mod tally;
mod tower;

pub use approval::{Approval, PlayBands};
pub use calibration::Calibration;
pub use card::{CardFigure, ModelCard};
pub use clusters::Clusters;
pub use embedding::{EmbeddingModel, Hyperparameters, Solver};
pub use features::Features;
pub use inputs::Inputs;
pub use network::{Block as NetworkBlock, Network};
pub use ranker::{Pass, Ranker, Shown, logistic};
pub use shrinkage::{Prior, shrink_rows};
pub(crate) use tally::Tally;
pub use tower::Tower;

use crate::bytes::{self, Reader, put_f32s, put_f64s};
use crate::ids::TrackId;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
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

    /// The model's bytes: kind, tracks, dimensions as u64, the listeners' four weights as f64 where there are dimensions,
    /// then popularity and table as f32, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = NAME.to_vec();
        let kind = u64::from(self.dimensions() > 0);
        for number in [kind, self.tracks() as u64, self.dimensions() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        match self {
            Self::Popularity(weights) => put_f32s(&mut bytes, weights),
            Self::Embedding(model) => {
                put_f64s(&mut bytes, &model.hyperparameters().to_array());
                put_f32s(&mut bytes, model.popularity());
                put_f32s(&mut bytes, model.table());
            }
        }
        bytes
    }

    /// Reads [`Model::to_bytes`].
    ///
    /// # Errors
    /// [`bytes::Error`]; nothing is allocated that the bytes do not hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::new(bytes, NAME)?;
        let (kind, tracks, dimensions) = (reader.number()?, reader.number()?, reader.number()?);
        let model = match (kind, dimensions) {
            (0, 0) => Self::Popularity(reader.f32s(tracks)?),
            (1, 1..) => {
                let hyperparameters = Hyperparameters::from_slice(&reader.f64s(4)?)?;
                let popularity = reader.f32s(tracks)?;
                let table = reader.f32s(tracks.checked_mul(dimensions).ok_or(bytes::Error::Length)?)?;
                let table = Array2::from_shape_vec((tracks, dimensions), table).map_err(|_| bytes::Error::Length)?;
                Self::Embedding(EmbeddingModel::new(table, popularity, hyperparameters))
            }
            _ => return Err(bytes::Error::Kind),
        };
        reader.end()?;
        Ok(model)
    }

    /// SHA-256 of [`Model::to_bytes`], in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.to_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A catalogue's public content features, one row a track: genres, tags, years and the like.
///
/// They are the same for everybody and known without any listener, so using them costs no privacy.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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

const NAME: &[u8; 8] = b"SORDINO2";
// A feature of fewer tracks than this describes single tracks, not a kind of music.
const MIN_USES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_come_back_and_spoilt_ones_do_not() {
        let table = Array2::from_shape_fn((5, 3), |(i, k)| (i * 3 + k) as f32 - 4.0);
        let h = Hyperparameters { background: 0.1, ..Hyperparameters::default() };
        let embedding = Model::Embedding(EmbeddingModel::new(table, vec![1.0, 2.0, 3.0, 4.0, 5.0], h));
        for model in [Model::Popularity(vec![3.0, 1.0]), embedding] {
            let bytes = model.to_bytes();
            let again = Model::from_bytes(&bytes).expect("its own bytes");
            assert_eq!(again.to_bytes(), bytes);
            assert_eq!((again.tracks(), again.dimensions()), (model.tracks(), model.dimensions()));
            for length in 0..bytes.len() {
                assert!(Model::from_bytes(&bytes[..length]).is_err(), "{length}");
            }
            let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
            assert_eq!(Model::from_bytes(&longer).err(), Some(bytes::Error::Length));
            let mut endless = bytes.clone();
            endless[16..24].fill(0xff);
            assert!(Model::from_bytes(&endless).is_err());
            let mut nan = bytes;
            let end = nan.len();
            nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            assert_eq!(Model::from_bytes(&nan).err(), Some(bytes::Error::Number));
        }
    }
}
