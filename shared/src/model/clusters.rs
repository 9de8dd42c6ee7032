//! Kinds of music: tracks grouped by the direction of their embeddings, named by their commonest tags.

use super::Content;
use crate::linalg::{dot_f32, thin_svd};
use crate::math;
use crate::random::unit_f64;
use ndarray::{Array2, ArrayView2, Axis};
use rand_core::Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Tracks in groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// Unit-length centres, one row a group.
    pub centres: Array2<f32>,
    /// Each track's group; `None` for tracks whose embedding is zero.
    pub of: Vec<Option<u32>>,
}

impl Clusters {
    /// Spherical k-means (Dhillon and Modha 2001) from centres that are drawn far apart (Arthur and Vassilvitskii 2007), each
    /// track counting by its weight. Fewer groups where there are fewer tracks with a direction and a weight.
    ///
    /// # Panics
    /// Without one weight a track.
    pub fn new(table: ArrayView2<'_, f32>, weights: &[f64], groups: usize, rng: &mut impl Rng) -> Self {
        assert_eq!(table.nrows(), weights.len(), "one weight a track");
        let directions = directions(table);
        let row = |track: usize| directions.row(track).to_slice().expect("rows are in order");
        let counted: Vec<usize> =
            (0..weights.len()).filter(|&t| weights[t] > 0.0 && dot_f32(row(t), row(t)) > 0.5).collect();
        let mut centres: Vec<Vec<f32>> = Vec::new();
        // How far each track is from the nearest centre so far.
        let mut far = vec![1.0f64; counted.len()];
        while centres.len() < groups.min(counted.len()) {
            let total: f64 = counted.iter().zip(&far).map(|(&t, far)| weights[t] * far).sum();
            if total <= 0.0 {
                break;
            }
            let mut left = unit_f64(rng) * total;
            let drawn = counted.iter().zip(&far).position(|(&t, far)| {
                left -= weights[t] * far;
                left < 0.0
            });
            let centre = row(counted[drawn.unwrap_or(counted.len() - 1)]).to_vec();
            far.iter_mut()
                .zip(&counted)
                .for_each(|(far, &t)| *far = far.min(f64::from(1.0 - dot_f32(row(t), &centre)).max(0.0)));
            centres.push(centre);
        }
        let nearest = |centres: &[Vec<f32>], track: usize| {
            let by_score = |a: &(usize, f32), b: &(usize, f32)| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0));
            centres.iter().map(|c| dot_f32(c, row(track))).enumerate().max_by(by_score).map(|(group, _)| group as u32)
        };
        for _ in 0..ROUNDS {
            let groups: Vec<Option<u32>> = counted.par_iter().map(|&track| nearest(&centres, track)).collect();
            let mut sums = vec![vec![0.0f64; table.ncols()]; centres.len()];
            for (&track, group) in counted.iter().zip(groups) {
                let sum = &mut sums[group.unwrap_or_default() as usize];
                sum.iter_mut().zip(row(track)).for_each(|(sum, &v)| *sum += weights[track] * f64::from(v));
            }
            for (centre, sum) in centres.iter_mut().zip(sums) {
                let length = sum.iter().map(|v| v * v).sum::<f64>().sqrt();
                // An empty group stays where it was.
                if length > 0.0 {
                    centre.iter_mut().zip(sum).for_each(|(c, v)| *c = (v / length) as f32);
                }
            }
        }
        let of = (0..weights.len())
            .into_par_iter()
            .map(|track| if dot_f32(row(track), row(track)) > 0.5 { nearest(&centres, track) } else { None })
            .collect();
        let flat: Vec<f32> = centres.iter().flatten().copied().collect();
        let centres = Array2::from_shape_vec((centres.len(), table.ncols()), flat).expect("whole rows");
        Self { centres, of }
    }

    /// Names of the groups: their `words` most telling tags, those whose share of the group's weight is most above their share
    /// of all, each by how much it then tells (its share times the logarithm of the quotient).
    pub fn names(&self, content: &Content, weights: &[f64], words: usize) -> Vec<Vec<String>> {
        let groups = self.centres.nrows();
        let mut within = vec![BTreeMap::<u32, f64>::new(); groups];
        let mut overall = BTreeMap::<u32, f64>::new();
        let (mut totals, mut all) = (vec![0.0; groups], 0.0);
        for ((group, row), &weight) in self.of.iter().zip(&content.rows).zip(weights) {
            let Some(group) = group.map(|group| group as usize) else { continue };
            totals[group] += weight;
            all += weight;
            for &(feature, _) in row {
                *within[group].entry(feature).or_default() += weight;
                *overall.entry(feature).or_default() += weight;
            }
        }
        let name = |(counts, total): (&BTreeMap<u32, f64>, &f64)| {
            let telling = |(&feature, &count): (&u32, &f64)| {
                let (share, usual) = (count / f64::max(*total, 1e-12), overall[&feature] / f64::max(all, 1e-12));
                (share * math::ln(share / usual), feature)
            };
            let mut features: Vec<(f64, u32)> = counts.iter().map(telling).filter(|(tells, _)| *tells > 0.0).collect();
            features.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            features.into_iter().take(words).map(|(_, feature)| content.names[feature as usize].clone()).collect()
        };
        within.iter().zip(&totals).map(name).collect()
    }

    /// Places of tracks on a plane (tracks x 2): their directions along the two axes in which the groups' centres differ most.
    pub fn plane(&self, table: ArrayView2<'_, f32>) -> Array2<f32> {
        let directions = directions(table);
        let centres = self.centres.mapv(f64::from);
        let Some(mean) = centres.mean_axis(Axis(0)) else { return Array2::zeros((table.nrows(), 2)) };
        let (_, _, axes) = thin_svd(&(&centres - &mean));
        let axis = |k: usize| (k < axes.ncols()).then(|| axes.column(k).mapv(|v| v as f32).to_vec());
        let axes = [axis(0), axis(1)];
        Array2::from_shape_fn((table.nrows(), 2), |(track, k)| {
            let row = directions.row(track);
            axes[k].as_ref().map_or(0.0, |axis| dot_f32(row.to_slice().expect("rows are in order"), axis))
        })
    }
}

fn directions(table: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut directions = table.as_standard_layout().to_owned();
    for mut row in directions.axis_iter_mut(Axis(0)) {
        let length = row.dot(&row).sqrt();
        if length > 0.0 {
            row.mapv_inplace(|v| v / length);
        }
    }
    directions
}

const ROUNDS: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    // Three directions with something beside them; every tenth track is zero.
    fn table() -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        Array2::from_shape_fn((60, 5), |(track, k)| {
            let main = f32::from(u8::from(track % 3 == k)) * (1.0 + (track % 7) as f32);
            if track % 10 == 9 { 0.0 } else { main + 0.1 * unit_f64(&mut rng) as f32 }
        })
    }

    #[test]
    fn groups_are_found_and_named() {
        let weights: Vec<f64> = (0..60).map(|t| 1.0 + (t % 4) as f64).collect();
        let clusters = Clusters::new(table().view(), &weights, 3, &mut ChaCha8Rng::seed_from_u64(1));
        for track in 0..60 {
            assert_eq!(clusters.of[track].is_none(), track % 10 == 9);
            let first = clusters.of.iter().skip(track % 3).step_by(3).flatten().next();
            assert!(clusters.of[track].is_none() || clusters.of[track].as_ref() == first, "{track}");
        }
        let content = Content {
            names: ["all", "metal", "jazz", "folk"].map(str::to_owned).to_vec(),
            rows: (0..60).map(|t| vec![(0, 1.0), (1 + t % 3, 1.0)]).collect(),
        };
        let names = clusters.names(&content, &weights, 2);
        for (track, kind) in ["metal", "jazz", "folk"].iter().enumerate() {
            let group = clusters.of[track].expect("a group") as usize;
            assert_eq!(names[group], [kind.to_string()], "a tag of all tells nothing");
        }
        // The same on the plane: tracks of a group lie together.
        let plane = clusters.plane(table().view());
        let apart = |a: usize, b: usize| {
            let along = |axis| f64::from(plane[(a, axis)] - plane[(b, axis)]);
            math::hypot(along(0), along(1))
        };
        assert!(apart(0, 3) < 0.3 && apart(0, 1) > 0.7 && apart(1, 2) > 0.7, "{plane}");
    }

    #[test]
    fn fewer_tracks_than_groups_and_none_at_all() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let two = Array2::from_shape_vec((2, 2), vec![1.0, 0.0, 0.0, 1.0]).expect("two rows");
        let clusters = Clusters::new(two.view(), &[1.0, 1.0], 5, &mut rng);
        assert_eq!(clusters.centres.nrows(), 2);
        assert_ne!(clusters.of[0], clusters.of[1]);
        let none = Clusters::new(Array2::zeros((3, 2)).view(), &[1.0; 3], 5, &mut rng);
        assert_eq!((none.centres.nrows(), none.of), (0, vec![None; 3]));
        assert_eq!(
            Clusters { of: vec![None; 3], centres: none.centres }.plane(Array2::zeros((3, 2)).view()),
            Array2::<f32>::zeros((3, 2))
        );
    }
}
