//! Stage: add. In: [`Noised`] vectors. Out: one [`Sum`] modulo 2^b.
//!
//! Integer addition modulo a power of two is associative and commutative, so any order and any number of threads give
//! the same bits, and pairwise masks cancel in the same arithmetic.

use super::{Noised, Rounded};
use crate::plan::RoundPlan;

/// A running sum of devices' vectors, one dense vector a block, in wrapping 64-bit integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    blocks: Vec<Vec<i64>>,
    widths: Vec<usize>,
    devices: usize,
}

impl Sum {
    /// An empty sum in the plan's shape.
    pub fn new(plan: &RoundPlan) -> Self {
        let blocks = plan.blocks().iter().map(|block| vec![0; block.length]).collect();
        let widths = plan.blocks().iter().map(|block| block.layout.width).collect();
        Self { blocks, widths, devices: 0 }
    }

    /// A sum of `devices` vectors whose values came as residues modulo 2^b, block after block.
    pub(crate) fn from_residues(plan: &RoundPlan, devices: usize, mut residues: impl Iterator<Item = u32>) -> Self {
        let mut sum = Self::new(plan);
        for block in &mut sum.blocks {
            block.iter_mut().zip(&mut residues).for_each(|(value, residue)| *value = i64::from(residue));
        }
        sum.devices = devices;
        sum
    }

    /// Devices in the sum.
    pub fn devices(&self) -> usize {
        self.devices
    }

    /// Adds one device's vector.
    pub fn add(&mut self, noised: &Noised) {
        self.devices += 1;
        for (sum, block) in self.blocks.iter_mut().zip(noised.blocks()) {
            add_all(sum, block);
        }
    }

    /// Adds one device's vector before its noise, for simulations that draw the noise of the whole sum at once.
    pub fn add_rounded(&mut self, rounded: &Rounded) {
        self.devices += 1;
        self.add_rounded_again(rounded);
    }

    /// Adds a vector that is counted already, as a device does which sends more than it may.
    pub fn add_rounded_again(&mut self, rounded: &Rounded) {
        for ((sum, block), &width) in self.blocks.iter_mut().zip(rounded.blocks()).zip(&self.widths) {
            match &block.rows {
                None => sum.iter_mut().zip(&block.values).for_each(|(s, &v)| *s = s.wrapping_add(i64::from(v))),
                Some(rows) => {
                    for (&row, values) in rows.iter().zip(block.values.chunks_exact(width)) {
                        let start = row as usize * width;
                        let row = &mut sum[start..start + width];
                        row.iter_mut().zip(values).for_each(|(s, &v)| *s = s.wrapping_add(i64::from(v)));
                    }
                }
            }
        }
    }

    /// Adds another sum of the same plan.
    pub fn merge(&mut self, other: &Self) {
        self.devices += other.devices;
        for (sum, block) in self.blocks.iter_mut().zip(&other.blocks) {
            add_all(sum, block);
        }
    }

    /// The blocks as they stand, for adding noise to the whole sum in simulations and in `central` mode.
    pub fn blocks_mut(&mut self) -> &mut [Vec<i64>] {
        &mut self.blocks
    }

    /// The blocks as they stand, whose low b bits are the sum.
    pub fn blocks(&self) -> &[Vec<i64>] {
        &self.blocks
    }
}

fn add_all(sum: &mut [i64], values: &[i64]) {
    sum.iter_mut().zip(values).for_each(|(s, &v)| *s = s.wrapping_add(v));
}
