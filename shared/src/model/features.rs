//! What is public of tracks, hashed into buckets: all that a tower looks at.
//!
//! Features are metadata (tags, artist, year) and the words of the title. A feature's bucket is given by the first bytes of its
//! name's SHA-256, so that everybody finds the same one without a list of all names. Features that share a bucket share what is
//! learnt of it (Weinberger et al. 2009).

use super::{Content, Example, Tally};
use crate::linalg::thin_svd;
use crate::math;
use crate::random::unit_f64;
use ndarray::Array2;
use rand_core::Rng;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One sparse row a track, of length 1; tracks of which nothing is known have an empty one.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    buckets: usize,
    ends: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl Features {
    /// Hashes a catalogue's content and titles. Rare features count more, by the logarithm of one over their share of the
    /// catalogue (inverse document frequency, Spärck Jones 1972); words of titles count half.
    ///
    /// # Panics
    /// Without buckets, or with more than 2^32 of them.
    pub fn hashed(content: &Content, titles: &[String], buckets: usize) -> Self {
        assert!(buckets > 0 && buckets <= u32::MAX as usize, "buckets are numbered by 32 bits");
        let bucket = |name: &str| {
            let digest = Sha256::digest(name.as_bytes());
            let head = digest.first_chunk().expect("a digest is longer than eight bytes");
            (u64::from_le_bytes(*head) % buckets as u64) as u32
        };
        let named: Vec<u32> = content.names.iter().map(|name| bucket(name)).collect();
        let mut rows: Vec<BTreeMap<u32, f32>> = (0..titles.len())
            .into_par_iter()
            .map(|track| {
                let mut row = BTreeMap::<u32, f32>::new();
                for &(feature, value) in content.rows.get(track).map_or(&[][..], Vec::as_slice) {
                    *row.entry(named[feature as usize]).or_default() += value;
                }
                for word in words(&titles[track]) {
                    *row.entry(bucket(&format!("word {word}"))).or_default() += WORD;
                }
                row
            })
            .collect();
        let mut uses = vec![0usize; buckets];
        rows.iter().flat_map(BTreeMap::keys).for_each(|&bucket| uses[bucket as usize] += 1);
        let rarity: Vec<f32> =
            uses.iter().map(|&uses| math::ln_f32(titles.len() as f32 / uses.max(1) as f32)).collect();
        let (mut ends, mut entries) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &mut rows {
            row.iter_mut().for_each(|(&bucket, value)| *value *= rarity[bucket as usize]);
            let length = row.values().map(|v| v * v).sum::<f32>().sqrt();
            if length > 0.0 {
                entries.extend(row.iter().map(|(&bucket, value)| (bucket, value / length)));
            }
            ends.push(entries.len());
        }
        Self { buckets, ends, entries }
    }

    /// The number of buckets.
    pub fn buckets(&self) -> usize {
        self.buckets
    }

    /// The number of tracks.
    pub fn tracks(&self) -> usize {
        self.ends.len()
    }

    /// A track's features: buckets, ascending, with their values.
    pub fn row(&self, track: usize) -> &[(u32, f32)] {
        let start = track.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[start..self.ends[track]]
    }

    /// What a listener's tracks have in common: the sum of their features, weighted by confidence, scaled to length 1. Buckets
    /// ascend.
    pub fn profile(&self, examples: impl Iterator<Item = Example>) -> Vec<(u32, f32)> {
        let mut sum = Tally::new(self.buckets);
        for example in examples {
            for &(bucket, value) in self.row(example.track.row()) {
                sum.add(bucket, example.confidence * value);
            }
        }
        let mut profile = sum.entries();
        let length = profile.iter().map(|(_, v)| v * v).sum::<f32>().sqrt();
        profile.iter_mut().for_each(|(_, v)| *v = if length > 0.0 { *v / length } else { 0.0 });
        profile
    }

    /// The `d` directions (buckets x d, orthonormal) along which tracks differ most, each track counting by its weight:
    /// leading right singular vectors by orthogonal iteration (Golub and Van Loan, section 8.2.4). Nothing of any listener is
    /// in them but what is in the weights.
    pub fn directions(&self, d: usize, weights: &[f64], rng: &mut impl Rng) -> Array2<f64> {
        let mut basis = Array2::from_shape_fn((self.buckets, d), |_| unit_f64(rng) - 0.5);
        // No more than 32, each of which holds a whole sum.
        let block = BLOCK.max(self.tracks().div_ceil(32));
        for _ in 0..ITERATIONS {
            basis = thin_svd(&basis).0;
            // Fixed blocks, added in order: the same bits on any number of threads.
            let parts: Vec<Array2<f64>> = (0..self.tracks().div_ceil(block))
                .into_par_iter()
                .map(|part| self.pass_through(&basis, part * block..((part + 1) * block).min(self.tracks()), weights))
                .collect();
            basis = parts.into_iter().fold(Array2::zeros((self.buckets, d)), |sum, part| sum + part);
        }
        thin_svd(&basis).0
    }

    // F' W F Q over some tracks.
    fn pass_through(&self, basis: &Array2<f64>, tracks: std::ops::Range<usize>, weights: &[f64]) -> Array2<f64> {
        let mut sum = Array2::zeros(basis.dim());
        let mut projected = vec![0.0; basis.ncols()];
        for track in tracks {
            projected.fill(0.0);
            for &(bucket, value) in self.row(track) {
                projected.iter_mut().zip(basis.row(bucket as usize)).for_each(|(p, q)| *p += f64::from(value) * q);
            }
            for &(bucket, value) in self.row(track) {
                let scale = weights[track] * f64::from(value);
                sum.row_mut(bucket as usize)
                    .iter_mut()
                    .zip(&projected)
                    .for_each(|(s, p): (&mut f64, _)| *s += scale * p);
            }
        }
        sum
    }
}

fn words(title: &str) -> Vec<String> {
    let mut words: Vec<String> =
        title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.sort_unstable();
    words.dedup();
    words
}

// A word of a title says less than a tag.
const WORD: f32 = 0.5;
const ITERATIONS: usize = 8;
const BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TrackId;
    use crate::random::mix;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn some() -> Features {
        let content = Content {
            names: ["tag metal", "tag jazz", "year 1999"].map(str::to_owned).to_vec(),
            rows: vec![vec![(0, 1.0), (2, 1.0)], vec![(1, 1.0)], vec![], vec![(0, 1.0)]],
        };
        let titles = ["Iron Maiden", "Jazz, jazz: and JAZZ", "", "iron fist"].map(str::to_owned);
        Features::hashed(&content, &titles, 1 << 16)
    }

    #[test]
    fn rows_are_unit_vectors_and_shared_words_meet() {
        let features = some();
        assert_eq!((features.tracks(), features.buckets()), (4, 1 << 16));
        for track in [0, 1, 3] {
            let length: f32 = features.row(track).iter().map(|(_, v)| v * v).sum();
            assert!((length - 1.0).abs() < 1e-5, "{track}: {length}");
            assert!(features.row(track).is_sorted_by_key(|(bucket, _)| *bucket));
        }
        assert!(features.row(2).is_empty(), "nothing is known of it");
        // Tag, jazz and and: words count once a title.
        assert_eq!(features.row(1).len(), 3);
        let shared = |a: usize, b: usize| {
            features.row(a).iter().filter(|(f, _)| features.row(b).iter().any(|(g, _)| f == g)).count()
        };
        // Metal and iron.
        assert_eq!((shared(0, 3), shared(0, 1)), (2, 0));
        let rare = features.row(0).iter().map(|(_, v)| v).fold(0.0f32, |a, &b| a.max(b));
        // A year of one track in four outweighs a tag of two.
        assert!((features.row(0).iter().filter(|(_, v)| *v == rare).count()) == 1);
    }

    #[test]
    fn profiles_add_up() {
        let features = some();
        let both = [(0, 1.0), (3, 2.0)].map(|(track, confidence)| Example { track: TrackId(track), confidence });
        let profile = features.profile(both.into_iter());
        assert!((profile.iter().map(|(_, v)| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
        let alone = features.profile(both[..1].iter().copied());
        assert!(alone.iter().zip(features.row(0)).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6));
        assert!(features.profile(std::iter::empty()).is_empty());
    }

    // Against the singular vectors of the dense matrix.
    #[test]
    fn directions_are_the_leading_singular_vectors() {
        let tracks = 60;
        let content = Content {
            names: (0..12).map(|i| format!("tag {i}")).collect(),
            rows: (0..tracks)
                .map(|t| {
                    (0..12)
                        .filter(|i| mix(1, t, *i).is_multiple_of(3) || t % 3 == *i)
                        .map(|i| (i as u32, 1.0))
                        .collect()
                })
                .collect(),
        };
        let features = Features::hashed(&content, &vec![String::new(); tracks as usize], 64);
        let weights: Vec<f64> = (0..tracks).map(|t| 1.0 + (t % 5) as f64).collect();
        let dense = Array2::from_shape_fn((tracks as usize, 64), |(t, bucket)| {
            let value = features.row(t).iter().find(|(b, _)| *b as usize == bucket).map_or(0.0, |(_, v)| f64::from(*v));
            value * weights[t].sqrt()
        });
        let (_, singular, right) = thin_svd(&dense);
        assert!(singular[0] > 1.05 * singular[1], "{singular}");
        let directions = features.directions(4, &weights, &mut ChaCha8Rng::seed_from_u64(1));
        let along = directions.t().dot(&right.column(0));
        assert!((along.dot(&along) - 1.0).abs() < 1e-3, "{along}");
        let gram = directions.t().dot(&directions);
        assert!((&gram - &Array2::<f64>::eye(4)).iter().all(|v| v.abs() < 1e-9), "{gram}");
    }
}
