//! Stage: clip. In: [`Statistics`]. Out: [`Clipped`].

use crate::math;
use crate::plan::{BlockLayout, RoundPlan};
use crate::workload::{Block, Statistics};

/// A device's vector in which each block's L2 norm is at most the plan's clip, up to floating-point rounding.
///
/// The promise does not lean on that rounding: the integer check in [`super::Rounded`] is exact.
#[derive(Clone, Debug)]
pub struct Clipped {
    blocks: Vec<Block>,
    shortened: Vec<bool>,
    not_finite: usize,
}

impl Clipped {
    /// Clips each row of a block and then each block to its norm. Values that are not finite become zero first, and are counted.
    pub fn new(statistics: Statistics, plan: &RoundPlan) -> Self {
        assert_eq!(statistics.blocks.len(), plan.blocks().len(), "a workload's blocks are its plan's blocks");
        let mut blocks = statistics.blocks;
        let mut shortened = Vec::with_capacity(blocks.len());
        let mut not_finite = 0;
        for (block, block_plan) in blocks.iter_mut().zip(plan.blocks()) {
            let mut norm = square_sum(block.values()).sqrt();
            // Finite single-precision squares never overflow a double-precision sum.
            if !norm.is_finite() {
                for value in block.values_mut().iter_mut().filter(|v| !v.is_finite()) {
                    *value = 0.0;
                    not_finite += 1;
                }
                norm = square_sum(block.values()).sqrt();
            }
            let clip = block_plan.layout.clip;
            let were_long = clip_rows(block, &block_plan.layout);
            if were_long {
                norm = square_sum(block.values()).sqrt();
            }
            if norm > clip {
                let scale = (clip / norm) as f32;
                block.values_mut().iter_mut().for_each(|v| *v *= scale);
            }
            // Blocks that are as long as their clip by construction are not counted for a rounding error.
            shortened.push(were_long || norm > clip * (1.0 + 1e-6));
        }
        Self { blocks, shortened, not_finite }
    }

    /// The clipped blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// How many values were not finite and became zero.
    pub fn not_finite(&self) -> usize {
        self.not_finite
    }

    /// For each block, whether it or one of its rows was longer than its clip.
    pub fn shortened(&self) -> &[bool] {
        &self.shortened
    }
}

// Holds each row to its own norm; whether any was longer.
fn clip_rows(block: &mut Block, layout: &BlockLayout) -> bool {
    if layout.row_clip >= layout.clip {
        return false;
    }
    let mut were_long = false;
    for row in block.values_mut().chunks_exact_mut(layout.width) {
        let norm = square_sum(row).sqrt();
        if norm > layout.row_clip {
            let scale = (layout.row_clip / norm) as f32;
            row.iter_mut().for_each(|v| *v *= scale);
            were_long |= norm > layout.row_clip * (1.0 + 1e-6);
        }
    }
    were_long
}

// In eight running sums: a single one would wait for each addition in turn.
fn square_sum(values: &[f32]) -> f64 {
    let chunks = values.chunks_exact(8);
    let tail: f64 = chunks.remainder().iter().map(|&v| math::powi(f64::from(v), 2)).sum();
    let mut sums = [0.0f64; 8];
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BlockLayout, PlanRequest};

    #[test]
    fn rows_are_held_to_their_own_length_and_short_ones_stay() {
        let layout = BlockLayout::new("b", 4, 2, 2.0).by_track();
        assert_eq!(layout.row_clip, 0.5);
        let plan = RoundPlan::new(PlanRequest { rho: Some(0.1), ..PlanRequest::new(10, vec![layout.clone()]) });
        let clip = |plan: &RoundPlan, values: Vec<f32>| {
            let block = Block::Rows { rows: vec![1, 3], values };
            let clipped = Clipped::new(Statistics { blocks: vec![block] }, plan);
            (clipped.blocks()[0].values().to_vec(), clipped.shortened()[0])
        };
        let plan = plan.expect("a valid plan");
        let (values, were_long) = clip(&plan, vec![3.0, 4.0, 0.1, 0.2]);
        assert!((values[0] - 0.3).abs() < 1e-6 && (values[1] - 0.4).abs() < 1e-6 && were_long);
        assert_eq!(values[2..], [0.1, 0.2]);
        assert_eq!(clip(&plan, vec![0.3, 0.4, 0.0, 0.5]), (vec![0.3, 0.4, 0.0, 0.5], false));
        // A device whose code does not hold rows down is held to the block's length alone.
        let (values, _) = clip(&plan.with_long_rows(), vec![3.0, 4.0, 0.0, 0.0]);
        assert!((values[1] - 1.6).abs() < 1e-6, "{values:?}");
        // Rows longer than their block make no plan.
        let odd = BlockLayout { row_clip: 3.0, ..layout };
        assert!(RoundPlan::new(PlanRequest { rho: Some(0.1), ..PlanRequest::new(10, vec![odd]) }).is_err());
    }

    #[test]
    fn values_that_are_not_finite_become_zero_and_are_counted() {
        let layout = BlockLayout::new("b", 6, 1, 1.0);
        let plan =
            RoundPlan::new(PlanRequest { rho: Some(0.1), ..PlanRequest::new(10, vec![layout]) }).expect("a valid plan");
        let values = vec![f32::NAN, 0.6, f32::INFINITY, -0.8, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0];
        let clipped = Clipped::new(Statistics { blocks: vec![Block::Dense(values)] }, &plan);
        assert_eq!(clipped.not_finite(), 3);
        assert_eq!(clipped.blocks()[0].values()[..5], [0.0, 0.6, 0.0, -0.8, 0.0]);
        assert_eq!(clipped.shortened(), [false], "what is left has the clip's length");
        let huge = Clipped::new(Statistics { blocks: vec![Block::Dense(vec![f32::MAX; 6])] }, &plan);
        let norm = square_sum(huge.blocks()[0].values()).sqrt();
        assert!(huge.not_finite() == 0 && (norm - 1.0).abs() < 1e-5, "{norm}");
    }
}
