//! Stage: retrieve. In: a model and a listener. Out: the best tracks of the whole catalogue, and a queue of them.
//!
//! A device keeps two bytes a dimension and one scale a row. The scan goes over the first byte of each and is exact all the same:
//! what it leaves out has a bound, every track that could be among the best within that bound is scored again by both bytes, and
//! the rest cannot be among them.

mod queue;

pub use queue::{Candidate, Filters, QueueRules, queue};

use ndarray::Array2;
use sordino_shared::ids::TrackId;
use sordino_shared::linalg::dot_f32;
use sordino_shared::model::{EmbeddingModel, Example, Model, Solver};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Track embeddings in two bytes a dimension and one scale a row: within 1/65,000 of a row's largest value of what the model has.
#[derive(Clone, Debug)]
pub struct Index {
    dimensions: usize,
    // Dimensions rounded up to whole vector registers; the rest is zero.
    stride: usize,
    rows: Vec<i8>,
    // What the first bytes leave out, in 1/256 of their steps.
    rests: Vec<i8>,
    scales: Vec<f32>,
}

impl Index {
    /// Quantises a model's table.
    ///
    /// # Panics
    /// For more than 2,048 dimensions, whose sums would not fit 32 bits.
    pub fn new(model: &EmbeddingModel) -> Self {
        let dimensions = model.dimensions();
        assert!(dimensions <= MOST_DIMENSIONS, "sums of more dimensions do not fit 32 bits");
        let stride = dimensions.next_multiple_of(LANES);
        let mut rows = vec![0i8; model.tracks() * stride];
        let mut rests = Vec::with_capacity(model.tracks() * dimensions);
        let mut scales = Vec::with_capacity(model.tracks());
        for (track, to) in rows.chunks_exact_mut(stride).enumerate() {
            let row = model.row(track);
            let largest = row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let scale = largest / ROW_STEPS;
            for (to, value) in to.iter_mut().zip(row) {
                let steps = if scale > 0.0 { value / scale } else { 0.0 };
                let whole = steps.round();
                *to = whole as i8;
                // A cast keeps within a byte.
                rests.push(((steps - whole) * REST_STEPS).round() as i8);
            }
            scales.push(scale);
        }
        Self { dimensions, stride, rows, rests, scales }
    }

    /// The number of tracks.
    pub fn tracks(&self) -> usize {
        self.scales.len()
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        self.rows.len() + self.rests.len() + self.scales.len() * size_of::<f32>()
    }

    /// A track's embedding, by both bytes.
    pub fn row(&self, track: TrackId) -> impl Iterator<Item = f32> + '_ {
        let (at, scale) = (track.row(), self.scales[track.row()]);
        let rests = &self.rests[at * self.dimensions..(at + 1) * self.dimensions];
        let values = self.rows[at * self.stride..].iter().zip(rests);
        values.map(move |(&whole, &rest)| scale * (f32::from(whole) + f32::from(rest) / REST_STEPS))
    }

    /// How well a track suits a listener's place.
    pub fn score(&self, track: TrackId, place: &[f32]) -> f32 {
        self.row(track).zip(place).map(|(y, x)| x * y).sum()
    }

    /// The `most` best tracks for a listener's place among those `allowed`, best first, equal scores in the order of tracks.
    ///
    /// # Panics
    /// Where the place has another number of dimensions.
    pub fn top(&self, place: &[f32], most: usize, allowed: impl Fn(TrackId) -> bool) -> Vec<(TrackId, f32)> {
        assert_eq!(place.len(), self.dimensions, "a listener's place has the table's dimensions");
        let query = Query::new(place, self.stride);
        let mut best = Best::new(most);
        let mut candidates = Vec::new();
        for (track, (row, &scale)) in self.rows.chunks_exact(self.stride).zip(&self.scales).enumerate() {
            let (score, slack) = (scale * query.unit * query.product(row) as f32, scale * query.slack);
            if score + slack >= best.least && allowed(TrackId(track as u32)) {
                best.push(score - slack);
                candidates.push((TrackId(track as u32), score + slack));
            }
        }
        let near = candidates.into_iter().filter(|(_, at_most)| *at_most >= best.least);
        first(most, near.map(|(track, _)| (track, self.score(track, place))))
    }
}

/// A listener's place in two bytes a dimension.
struct Query {
    values: Vec<i16>,
    unit: f32,
    // How far a quantised product may be off, in units of the row's scale.
    slack: f32,
}

impl Query {
    fn new(place: &[f32], stride: usize) -> Self {
        let (largest, sum) =
            place.iter().fold((0.0f32, 0.0f32), |(most, sum), value| (most.max(value.abs()), sum + value.abs()));
        let unit = largest / QUERY_STEPS;
        let mut values = vec![0i16; stride];
        if unit > 0.0 {
            values.iter_mut().zip(place).for_each(|(to, value)| *to = (value / unit).round() as i16);
        }
        // |x.y - x'.y'| <= |x - x'| |y'| + |x| |y - y'|, coordinate by coordinate: half a unit times at most 127 steps, and
        // |x| times half a step, which is the most that a rest can be. Sums in single precision are off by less than the last factor.
        let d = place.len() as f32;
        let slack = (0.5 * unit * ROW_STEPS * d + 0.5 * sum) * (1.0 + 2e-4 * d);
        Self { values, unit, slack }
    }

    // Whole arrays, which compilers turn into multiply-and-add of 16-bit lanes.
    fn product(&self, row: &[i8]) -> i32 {
        let (rows, queries) = (row.as_chunks::<LANES>().0, self.values.as_chunks::<LANES>().0);
        let mut sums = [0i32; LANES];
        for (row, query) in rows.iter().zip(queries) {
            for lane in 0..LANES {
                sums[lane] += i32::from(row[lane]) * i32::from(query[lane]);
            }
        }
        sums.iter().sum()
    }
}

/// The best lower bounds so far.
struct Best {
    most: usize,
    // Bits of the bounds, in an order of whole numbers.
    bounds: BinaryHeap<Reverse<i32>>,
    least: f32,
}

impl Best {
    fn new(most: usize) -> Self {
        let least = if most == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { most, bounds: BinaryHeap::with_capacity(most.min(1 << 16)), least }
    }

    fn push(&mut self, bound: f32) {
        if self.bounds.len() == self.most {
            if bound <= self.least {
                return;
            }
            self.bounds.pop();
        }
        self.bounds.push(Reverse(ordered(bound)));
        if self.bounds.len() == self.most {
            self.least = self.bounds.peek().map_or(f32::NEG_INFINITY, |least| unordered(least.0));
        }
    }
}

// The order of floats as the order of whole numbers (as `f32::total_cmp` has it), there and back.
fn ordered(value: f32) -> i32 {
    let bits = value.to_bits() as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

fn unordered(key: i32) -> f32 {
    f32::from_bits((key ^ (((key >> 31) as u32) >> 1) as i32) as u32)
}

/// A model that is kept at hand as its index, for one listener.
#[derive(Clone, Debug)]
pub struct Recommender {
    known: Known,
    place: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Known {
    Popularity(Vec<f32>),
    Embeddings {
        index: Index,
        popularity: Vec<f32>,
        // The model without its rows: what listeners solve with.
        system: Box<EmbeddingModel>,
    },
}

impl Recommender {
    /// Quantises the model and solves for the listener with this history.
    pub fn new(model: Model, history: &[Example]) -> Self {
        let known = match model {
            Model::Popularity(weights) => Known::Popularity(weights),
            Model::Embedding(model) => Known::Embeddings {
                index: Index::new(&model),
                popularity: model.popularity().to_vec(),
                system: Box::new(model.excerpt(Array2::zeros((0, model.dimensions())))),
            },
        };
        let mut recommender = Self { known, place: Vec::new() };
        recommender.update(history, &mut Solver::default());
        recommender
    }

    /// Solves again, after the listener has heard more. Tracks that the model does not know say nothing.
    pub fn update(&mut self, history: &[Example], solver: &mut Solver) {
        self.place.clear();
        if let Known::Embeddings { index, system, .. } = &self.known {
            let known = || history.iter().filter(|example| example.track.row() < index.tracks());
            let values: Vec<f32> = known().flat_map(|example| index.row(example.track)).collect();
            let rows = Array2::from_shape_vec((known().count(), system.dimensions()), values).expect("whole rows");
            let numbered = known().enumerate().map(|(at, e)| Example { track: TrackId(at as u32), ..*e });
            let numbered: Vec<Example> = numbered.collect();
            self.place.extend_from_slice(solver.solve(&system.excerpt(rows), &numbered));
        }
    }

    /// The best tracks among those allowed, best first. A listener without history is given the popular ones.
    pub fn top(&self, most: usize, allowed: impl Fn(TrackId) -> bool) -> Vec<(TrackId, f32)> {
        match &self.known {
            Known::Embeddings { index, .. } if self.place.iter().any(|&value| value != 0.0) => {
                index.top(&self.place, most, allowed)
            }
            Known::Embeddings { popularity, .. } | Known::Popularity(popularity) => {
                first(most, scored(popularity).filter(|(track, _)| allowed(*track)))
            }
        }
    }

    /// Tracks like this one, by the cosine of their embeddings, best first, without itself; none where there are no embeddings
    /// or no such track.
    pub fn similar(&self, track: TrackId, most: usize) -> Vec<(TrackId, f32)> {
        let Known::Embeddings { index, .. } = &self.known else { return Vec::new() };
        if track.row() >= index.tracks() {
            return Vec::new();
        }
        let own: Vec<f32> = index.row(track).collect();
        let scale = dot_f32(&own, &own).sqrt();
        let cosine = |other: TrackId| {
            let (mut product, mut square) = (0.0, 0.0);
            for (x, y) in own.iter().zip(index.row(other)) {
                product += x * y;
                square += y * y;
            }
            let lengths: f32 = scale * f32::sqrt(square);
            if lengths > 0.0 { product / lengths } else { 0.0 }
        };
        let others = (0..index.tracks() as u32).map(TrackId).filter(|other| *other != track);
        first(most, others.map(|other| (other, cosine(other))))
    }

    /// Memory of index and popularity in bytes.
    pub fn bytes(&self) -> usize {
        match &self.known {
            Known::Popularity(weights) => weights.len() * size_of::<f32>(),
            Known::Embeddings { index, popularity, .. } => popularity.len() * size_of::<f32>() + index.bytes(),
        }
    }
}

fn scored(weights: &[f32]) -> impl Iterator<Item = (TrackId, f32)> {
    (0..).map(TrackId).zip(weights.iter().copied())
}

// Best first, equal scores in the order of tracks.
fn first(most: usize, all: impl Iterator<Item = (TrackId, f32)>) -> Vec<(TrackId, f32)> {
    let mut all: Vec<(TrackId, f32)> = all.collect();
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(most);
    all
}

const LANES: usize = 16;
const ROW_STEPS: f32 = 127.0;
const REST_STEPS: f32 = 256.0;
// 8,191 x 127 x 2,048 dimensions is below 2^31.
const QUERY_STEPS: f32 = 8191.0;
const MOST_DIMENSIONS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use sordino_shared::math;
    use sordino_shared::model::Hyperparameters;
    use sordino_shared::random::unit_f64;

    fn model(d: usize, table: &[f32]) -> EmbeddingModel {
        let tracks = table.len() / d;
        let table = Array2::from_shape_vec((tracks, d), table.to_vec()).expect("whole rows");
        let popularity = (0..tracks).map(|track| track as f32).collect();
        EmbeddingModel::new(table, popularity, Hyperparameters::default())
    }

    fn by_sorting(index: &Index, place: &[f32], most: usize, allowed: impl Fn(TrackId) -> bool) -> Vec<(TrackId, f32)> {
        let all = (0..index.tracks() as u32).map(TrackId).filter(|track| allowed(*track));
        let mut all: Vec<(TrackId, f32)> = all.map(|track| (track, index.score(track, place))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(most);
        all
    }

    proptest! {
        // Few different values make many ties; scales from tiny to huge.
        #[test]
        fn the_scan_is_exact(
            d in 1usize..40,
            tracks in 1usize..300,
            most in 0usize..20,
            levels in 1u32..6,
            power in -20i32..20,
            seed in 0u64..1000,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut value = || {
                let u = unit_f64(&mut rng) - 0.5;
                ((u * f64::from(levels)).round() * math::powi(2f64, power) + if levels > 3 { u } else { 0.0 }) as f32
            };
            let table: Vec<f32> = (0..d * tracks).map(|_| value()).collect();
            let place: Vec<f32> = (0..d).map(|_| value()).collect();
            let model = model(d, &table);
            let index = Index::new(&model);
            let allowed = |track: TrackId| !track.0.is_multiple_of(7) || seed % 2 == 0;
            let (found, expected) = (index.top(&place, most, allowed), by_sorting(&index, &place, most, allowed));
            prop_assert_eq!(found, expected);
            // And every score is what the model says, within a 256th of a step in each dimension and single precision.
            for track in 0..tracks {
                let row = model.row(track);
                let step = row.iter().fold(0.0f32, |most, v| most.max(v.abs())) / ROW_STEPS / REST_STEPS;
                let size: f32 = place.iter().map(|x| x.abs()).sum();
                let off = (index.score(TrackId(track as u32), &place) - dot_f32(row, &place)).abs();
                prop_assert!(off <= step * size * (1.01 + 0.02 * d as f32) + f32::MIN_POSITIVE, "{} {}", off, step * size);
            }
        }

        #[test]
        fn floats_keep_their_order(a in any::<f32>(), b in any::<f32>()) {
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
            prop_assert_eq!(unordered(ordered(a)).to_bits(), a.to_bits());
        }
    }

    #[test]
    fn few_tracks_are_scored_twice_and_memory_is_half() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let table: Vec<f32> = (0..32 * 5000).map(|_| (unit_f64(&mut rng) + unit_f64(&mut rng) - 1.0) as f32).collect();
        let model = model(32, &table);
        let index = Index::new(&model);
        assert_eq!(index.bytes(), 5000 * 68);
        let asked = std::cell::Cell::new(0);
        let place: Vec<f32> = table[..32].to_vec();
        let found = index.top(&place, 10, |_| {
            asked.set(asked.get() + 1);
            true
        });
        assert_eq!(found, by_sorting(&index, &place, 10, |_| true));
        assert!(asked.get() < 500, "{} of 5000 were near", asked.get());
    }

    #[test]
    fn strangers_get_what_is_popular_and_likeness_is_by_cosine() {
        let table = [1.0, 0.0, 5.0, 0.1, 0.0, 1.0, -1.0, 0.0];
        let mut recommender = Recommender::new(Model::Embedding(model(2, &table)), &[]);
        let tracks = |found: Vec<(TrackId, f32)>| found.into_iter().map(|(track, _)| track.0).collect::<Vec<u32>>();
        assert_eq!(tracks(recommender.top(2, |_| true)), [3, 2]);
        assert_eq!(tracks(recommender.similar(TrackId(0), 9)), [1, 2, 3]);
        recommender.update(&[Example { track: TrackId(0), confidence: 1.0 }], &mut Solver::default());
        assert_eq!(tracks(recommender.top(2, |track| track.0 != 0)), [1, 2]);
        assert_eq!(recommender.bytes(), 4 * 4 + 4 * 16 + 8 + 4 * 4);
        assert!(recommender.similar(TrackId(4), 9).is_empty(), "no such track");
        let popular = Recommender::new(Model::Popularity(vec![1.0, 3.0, 2.0]), &[]);
        assert_eq!(tracks(popular.top(2, |_| true)), [1, 2]);
        assert!(popular.similar(TrackId(0), 9).is_empty());
    }
}
