//! The content tower: a track's place from what is public of it, so that tracks never heard have one too.

use super::{Example, Features};
use crate::bytes::{self, Reader, put_f32s};
use crate::linalg::dot_f32;
use ndarray::{Array2, Axis};
use rayon::prelude::*;

/// One row a bucket of features: d values for the place, and one for how much tracks with the feature please everybody.
///
/// A track's row is the sum of its features' rows; a listener's place is the first d values of the profile's row, its profile
/// being what its tracks have in common. The score is their product plus the track's last value.
#[derive(Clone, Debug, PartialEq)]
pub struct Tower {
    table: Array2<f32>,
}

impl Tower {
    /// From places (buckets x d), appeal being 0.
    pub fn new(places: &Array2<f64>) -> Self {
        let (buckets, d) = places.dim();
        let at = |(bucket, k)| if k < d { places[(bucket, k)] as f32 } else { 0.0 };
        Self { table: Array2::from_shape_fn((buckets, d + 1), at) }
    }

    /// The number of buckets.
    pub fn buckets(&self) -> usize {
        self.table.nrows()
    }

    /// d.
    pub fn dimensions(&self) -> usize {
        self.table.ncols() - 1
    }

    /// All values, row by row.
    pub fn parameters(&self) -> &[f32] {
        self.table.as_slice().expect("towers are built in row order")
    }

    /// All values, to be moved.
    pub fn parameters_mut(&mut self) -> &mut [f32] {
        self.table.as_slice_mut().expect("towers are built in row order")
    }

    /// The row of some features: d values of place, and the appeal.
    pub fn embed(&self, features: &[(u32, f32)]) -> Vec<f32> {
        let mut row = vec![0.0; self.table.ncols()];
        self.add(features, &mut row);
        row
    }

    /// The rows of a whole catalogue (tracks x d + 1).
    ///
    /// # Panics
    /// Where the features have another number of buckets.
    pub fn rows(&self, features: &Features) -> Array2<f32> {
        assert_eq!(features.buckets(), self.buckets(), "features are hashed for the tower");
        let mut rows = Array2::zeros((features.tracks(), self.table.ncols()));
        rows.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(track, mut row)| {
            self.add(features.row(track), row.as_slice_mut().expect("in row order"));
        });
        rows
    }

    /// The place of a listener with this history: d values.
    pub fn listener(&self, features: &Features, history: &[Example]) -> Vec<f32> {
        let mut row = self.embed(&features.profile(history.iter().copied()));
        row.truncate(self.dimensions());
        row
    }

    /// How well a track's row suits a listener's place.
    pub fn score(listener: &[f32], row: &[f32]) -> f32 {
        dot_f32(listener, &row[..listener.len()]) + row[listener.len()]
    }

    fn add(&self, features: &[(u32, f32)], row: &mut [f32]) {
        for &(bucket, value) in features {
            row.iter_mut().zip(self.table.row(bucket as usize)).for_each(|(sum, w)| *sum += value * w);
        }
    }

    /// The tower's bytes: its name, buckets and d as u64, then the table as f32, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = NAME.to_vec();
        for number in [self.buckets(), self.dimensions()] {
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
        put_f32s(&mut bytes, self.parameters());
        bytes
    }

    /// From [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`bytes::Error`] where the bytes are cut, too many or no finite numbers; nothing is allocated that they do not hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, bytes::Error> {
        let mut reader = Reader::new(bytes, NAME)?;
        let (buckets, d) = (reader.number()?, reader.number()?);
        let width = d.checked_add(1).filter(|_| buckets > 0 && d > 0).ok_or(bytes::Error::Number)?;
        let table = reader.f32s(buckets.checked_mul(width).ok_or(bytes::Error::Length)?)?;
        reader.end()?;
        Ok(Self { table: Array2::from_shape_vec((buckets, width), table).map_err(|_| bytes::Error::Length)? })
    }
}

const NAME: &[u8; 8] = b"SORDTOW1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::model::Content;

    fn tower() -> (Tower, Features) {
        let content = Content {
            names: vec!["tag metal".to_owned(), "tag jazz".to_owned()],
            rows: vec![vec![(0, 1.0)], vec![(1, 1.0)], vec![(0, 1.0), (1, 1.0)], vec![]],
        };
        let features = Features::hashed(&content, &vec![String::new(); 4], 16);
        (Tower::new(&Array2::from_shape_fn((16, 3), |(i, k)| (i * 3 + k) as f64 * 0.1 - 1.0)), features)
    }

    #[test]
    fn rows_are_sums_and_scores_are_products() {
        let (mut tower, features) = tower();
        tower.parameters_mut().iter_mut().skip(3).step_by(4).for_each(|appeal| *appeal = 0.5);
        let rows = tower.rows(&features);
        for track in 0..4 {
            let row = rows.row(track);
            assert_eq!(row.to_vec(), tower.embed(features.row(track)));
            let sum: f32 = features.row(track).iter().map(|(_, value)| 0.5 * value).sum();
            assert!((row[3] - sum).abs() < 1e-6, "the appeal");
        }
        let listener = tower.listener(&features, &[Example { track: TrackId(0), confidence: 2.0 }]);
        let by_hand: f32 = (0..3).map(|k| rows[(0, k)] * rows[(2, k)]).sum::<f32>() + rows[(2, 3)];
        assert!((Tower::score(&listener, rows.row(2).as_slice().expect("a row")) - by_hand).abs() < 1e-5);
        assert_eq!(tower.listener(&features, &[]), [0.0; 3], "a listener without history is told nothing but appeal");
    }

    #[test]
    fn bytes_come_back_and_spoilt_ones_do_not() {
        let (tower, _) = tower();
        let bytes = tower.to_bytes();
        assert_eq!(Tower::from_bytes(&bytes).expect("its own bytes"), tower);
        for length in 0..bytes.len() {
            assert!(Tower::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let changed = |at: usize, value: u64| {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            Tower::from_bytes(&bytes)
        };
        assert!(changed(8, u64::MAX).is_err() && changed(16, u64::MAX).is_err());
        assert!(changed(8, 0).is_err() && changed(16, 0).is_err());
        let nan = (u64::from(f32::NAN.to_bits()) << 32) | u64::from(f32::NAN.to_bits());
        assert!(changed(24, nan).is_err());
    }
}
