//! Track embeddings of a catalogue that is larger than a vector, block by block ([`CatalogueBlocks`]).
//!
//! A device solves for its listener from what is public of its own tracks alone, by a content tower's places, so that it needs no
//! table: then one step of factors gives every track of the block its row, and tracks that too few have heard keep the place that
//! the tower gives them. What a device holds and sends is bounded by the plan (rows of a block, buckets of the tower), not by the
//! catalogue. The coordinator puts the blocks' sums together and takes the step of [`Factors`] and [`super::Popularity`].

use super::factors::{ROWS_FILL, pack};
use super::{Block, Device, DeviceHalf, Factors, Statistics};
use crate::ids::TrackId;
use crate::linalg::dot_f32;
use crate::math;
use crate::model::{EmbeddingModel, Example, Features, Hyperparameters};
use crate::plan::{BlockLayout, CatalogueBlocks};
use ndarray::Array2;
use rand_core::Rng;
use std::sync::Arc;

/// The popularity of one block's tracks.
#[derive(Clone, Debug)]
pub struct BlockPlays {
    blocks: CatalogueBlocks,
    block: usize,
    hyperparameters: Hyperparameters,
}

impl BlockPlays {
    /// Of one of the blocks.
    pub fn new(blocks: CatalogueBlocks, block: usize, hyperparameters: Hyperparameters) -> Self {
        Self { blocks, block, hyperparameters }
    }
}

impl DeviceHalf for BlockPlays {
    fn layout(&self) -> Vec<BlockLayout> {
        let largest_weight = 1.0 / self.hyperparameters.full_weight_tracks.sqrt();
        vec![
            BlockLayout { share: 0.98, ..BlockLayout::new("plays", self.blocks.rows(), 1, 1.0).by_track() },
            BlockLayout { share: 0.02, ..BlockLayout::new("weight", 1, 1, largest_weight) },
        ]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let weight = match device.examples {
            [] => 0.0,
            examples => self.hyperparameters.device_weight(examples),
        };
        let own = in_block(&self.blocks, self.block, device.examples);
        let (rows, values) =
            own.iter().map(|(row, at)| (*row, (weight * f64::from(device.examples[*at].confidence)) as f32)).unzip();
        Statistics { blocks: vec![Block::Rows { rows, values }, Block::Dense(vec![weight as f32])] }
    }
}

/// One step of factors for one block's tracks.
#[derive(Clone, Debug)]
pub struct BlockFactors {
    blocks: CatalogueBlocks,
    block: usize,
    // Of a catalogue without tracks: what listeners solve with.
    shared: Arc<EmbeddingModel>,
    // Places of features (buckets x d), in the units of the coordinator's table.
    places: Arc<Array2<f32>>,
    features: Arc<Features>,
    listener_clip: f64,
}

impl BlockFactors {
    /// Of one of the blocks, by a coordinator whose table stands where `places` (buckets x d) put the tracks. Of `features` a
    /// device needs the rows of its own tracks.
    pub fn new(
        factors: &Factors,
        places: Arc<Array2<f32>>,
        features: Arc<Features>,
        blocks: CatalogueBlocks,
        block: usize,
    ) -> Self {
        let regression = factors.device();
        let shared = Arc::new(regression.model.excerpt(Array2::zeros((0, regression.model.dimensions()))));
        Self { blocks, block, shared, places, features, listener_clip: regression.listener_clip }
    }

    /// What a device holds beside its vector, in bytes: places of features, and the shared system.
    pub fn held_bytes(&self) -> usize {
        let d = self.shared.dimensions();
        self.places.len() * size_of::<f32>() + d * d * size_of::<f64>()
    }
}

impl DeviceHalf for BlockFactors {
    fn layout(&self) -> Vec<BlockLayout> {
        let d = self.shared.dimensions();
        let largest_weight = 1.0 / self.shared.hyperparameters().full_weight_tracks.sqrt();
        let rows_clip = ROWS_FILL * self.listener_clip;
        let moments_clip = math::powi(self.listener_clip, 2) * largest_weight;
        vec![
            BlockLayout { share: 0.95, ..BlockLayout::new("rows", self.blocks.rows(), d, rows_clip).by_track() },
            BlockLayout { share: 0.05, ..BlockLayout::new("moments", 1, d * (d + 1) / 2, moments_clip) },
        ]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        let d = self.shared.dimensions();
        let examples = device.examples;
        let mut table = Array2::zeros((examples.len(), d));
        for (mut row, example) in table.outer_iter_mut().zip(examples) {
            for &(bucket, value) in self.features.row(example.track.row()) {
                row.scaled_add(value, &self.places.row(bucket as usize));
            }
        }
        // The device's own catalogue: its tracks, numbered as they come.
        let own = self.shared.excerpt(table);
        let numbered = |(number, e): (usize, &Example)| Example { track: TrackId(number as u32), ..*e };
        let renumbered: Vec<Example> = examples.iter().enumerate().map(numbered).collect();
        let mut x = device.solver.solve(&own, &renumbered).to_vec();
        let norm = x.iter().map(|&v| math::powi(f64::from(v), 2)).sum::<f64>().sqrt();
        if norm > self.listener_clip {
            let scale = (self.listener_clip / norm) as f32;
            x.iter_mut().for_each(|v| *v *= scale);
        }
        let weight = match examples {
            [] => 0.0,
            examples => self.shared.hyperparameters().device_weight(examples) as f32,
        };
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for (row, at) in in_block(&self.blocks, self.block, examples) {
            let score = dot_f32(own.row(at), &x);
            let factor = weight * examples[at].confidence * (score - 1.0).clamp(-1.0, 1.0);
            rows.push(row);
            values.extend(x.iter().map(|v| v * factor));
        }
        Statistics { blocks: vec![Block::Rows { rows, values }, Block::Dense(pack(&x, weight))] }
    }
}

// Rows of the block that a device's examples have, ascending, with the examples' places.
fn in_block(blocks: &CatalogueBlocks, block: usize, examples: &[Example]) -> Vec<(u32, usize)> {
    let place = |(at, example): (usize, &Example)| {
        let (of, row) = blocks.place(example.track);
        (of == block).then_some((row as u32, at))
    };
    let mut rows: Vec<(u32, usize)> = examples.iter().enumerate().filter_map(place).collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Content, Prior};
    use crate::workload::{PopularityEstimate, Workspace};
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    const TRACKS: usize = 90;

    fn factors() -> (Factors, Arc<Array2<f32>>, Arc<Features>) {
        let names = (0..12).map(|tag| format!("tag {tag}")).collect();
        let rows = (0..TRACKS as u32).map(|t| vec![(t % 12, 1.0), (t * 7 % 12, 0.5)]).collect();
        let features = Arc::new(Features::hashed(&Content { names, rows }, &vec![String::new(); TRACKS], 16));
        let places = Array2::from_shape_fn((16, 3), |(bucket, k)| ((bucket * 5 + k * 3) % 7) as f64 - 3.0);
        let mut table = Array2::<f64>::zeros((TRACKS, 3));
        for track in 0..TRACKS {
            for &(bucket, value) in features.row(track) {
                table.row_mut(track).scaled_add(f64::from(value), &places.row(bucket as usize));
            }
        }
        let popularity = PopularityEstimate { tracks: vec![1.0; TRACKS], total_weight: 9.0, devices: 40.0 };
        let prior = Prior::new(&popularity.tracks, &Array2::zeros((TRACKS, 0)));
        let factors = Factors::new(table.clone(), popularity, prior, Hyperparameters::default());
        let scale = factors.model().table()[(4, 1)] / table[(4, 1)] as f32;
        (factors, Arc::new(places.mapv(|v| v as f32 * scale)), features)
    }

    // What all blocks' devices would send together is what one vector of the whole catalogue holds.
    #[test]
    fn blocks_together_are_the_whole_vector() {
        let (factors, places, features) = factors();
        let examples: Vec<Example> =
            [2, 11, 40, 41, 77].map(|t| Example { track: TrackId(t), confidence: 1.0 + (t % 3) as f32 }).to_vec();
        let (mut rng, mut workspace) = (ChaCha8Rng::seed_from_u64(1), Workspace::default());
        let whole = factors.contribute(Device { examples: &examples, ..workspace.device() }, &mut rng);
        let blocks = CatalogueBlocks::new(TRACKS, 20, 3);
        let mut seen = 0;
        for block in 0..blocks.count() {
            let part = BlockFactors::new(&factors, Arc::clone(&places), Arc::clone(&features), blocks, block);
            let sent = part.contribute(Device { examples: &examples, ..workspace.device() }, &mut rng);
            let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close(sent.blocks[1].values(), whole.blocks[1].values()));
            for (row, values) in sent.blocks[0].rows().expect("rows").iter().zip(sent.blocks[0].values().chunks(3)) {
                let track = blocks.track(block, *row as usize).expect("a track");
                let at = examples.iter().position(|e| e.track == track).expect("an own track");
                assert!(close(values, &whole.blocks[0].values()[3 * at..3 * at + 3]), "{track:?}");
                seen += 1;
            }
            assert_eq!(part.layout()[0].rows, 20, "as many rows whatever the catalogue");
        }
        assert_eq!(seen, examples.len());
    }

    #[test]
    fn plays_go_to_the_rows_of_the_block() {
        let blocks = CatalogueBlocks::new(TRACKS, 20, 3);
        let examples =
            [Example { track: TrackId(5), confidence: 1.0 }, Example { track: TrackId(60), confidence: 2.0 }];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut total = 0.0;
        for block in 0..blocks.count() {
            let plays = BlockPlays::new(blocks, block, Hyperparameters::default());
            let mut workspace = Workspace::default();
            let sent = plays.contribute(Device { examples: &examples, ..workspace.device() }, &mut rng);
            total += sent.blocks[0].values().iter().sum::<f32>();
            assert_eq!(sent.blocks[1].values(), [0.25], "every device tells its weight");
        }
        assert!((total - 0.75).abs() < 1e-6);
    }
}
