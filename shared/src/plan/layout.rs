//! What a device's vector looks like, before the plan says how much noise it gets.

use serde::{Deserialize, Serialize};

/// Whether a block is rotated before it is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rotation {
    /// Values go as they are; rows of zeros cost nothing until their noise.
    #[default]
    None,
    /// Randomised Hadamard rotation, padded to a power of two: spreads each vector over all values, which saves bits
    /// where single values can be large.
    Hadamard,
}

/// Names one block of the flat vector that a device sends, and how the round's privacy is shared out to it.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockLayout {
    /// The block's name, for reports.
    pub name: &'static str,
    /// Rows of the block.
    pub rows: usize,
    /// Values a row.
    pub width: usize,
    /// The L2 norm that one device's block may have.
    pub clip: f64,
    /// The L2 norm that one of its rows may have: what one device can say of one track. It bounds nobody's privacy, which `clip` does,
    /// but what a made-up history can do.
    pub row_clip: f64,
    /// The block's share of the round's rho, relative to the other blocks' shares.
    pub share: f64,
    /// Whether the block is rotated.
    pub rotation: Rotation,
}

impl BlockLayout {
    /// A block with the whole of its round's share, not rotated, whose rows may be as long as itself; fields are set from there.
    pub fn new(name: &'static str, rows: usize, width: usize, clip: f64) -> Self {
        Self { name, rows, width, clip, row_clip: clip, share: 1.0, rotation: Rotation::None }
    }

    /// The same with each row held to [`ROW_SHARE`] of the clip: for blocks of one row a track.
    pub fn by_track(self) -> Self {
        Self { row_clip: ROW_SHARE * self.clip, ..self }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.rows * self.width
    }

    /// Whether the block has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How much of a device's vector one track may have. A quarter costs no accuracy on any set at hand, and holds the exposure that
/// one liar in a hundred can buy for a track to a tenth and less (docs/benchmarks.md, "Devices that lie").
pub const ROW_SHARE: f64 = 0.25;
