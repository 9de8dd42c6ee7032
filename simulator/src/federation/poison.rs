//! Devices that lie, in simulations: what they send instead of their vector, and what bounds it.
//!
//! Under a mask nobody sees a vector, so a bound on it holds only where the device's code is genuine (docs/privacy.md, section 8).
//! [`Bound`] is that assumption: with genuine code a liar can only make up a history; with none it can send what it likes.

use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sordino_shared::ids::TrackId;
use sordino_shared::math;
use sordino_shared::plan::{BlockLayout, RoundPlan};
use sordino_shared::workload::{Block, Contribution, Device, DeviceHalf, Statistics};

/// What liars do to their vector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lie {
    /// Nothing: the history itself is made up.
    Nothing,
    /// Every value with the other sign.
    Flip,
    /// All of the vector's length in one track's row.
    Push(u32),
}

/// What a liar's vector is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Nothing: it sends so many times the length that is allowed.
    None {
        /// How many times.
        times: usize,
    },
    /// Each block's length, and not that of its rows.
    Norm,
    /// Both, as by genuine code.
    Rows,
}

/// Who lies, how, and what bounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Poison {
    /// Whether each device lies.
    pub liars: Vec<bool>,
    /// How.
    pub lie: Lie,
    /// Within which bound.
    pub bound: Bound,
}

impl Poison {
    /// One device's contribution, and how many times more it is added than it may be.
    pub(super) fn contribute(
        &self,
        workload: &impl DeviceHalf,
        plan: &RoundPlan,
        view: Device<'_>,
        rng: &mut impl Rng,
        device: usize,
    ) -> (Contribution, usize) {
        if !self.liars[device] || self.lie == Lie::Nothing {
            return (Contribution::new(workload, plan, view, rng), 0);
        }
        let bent = Bent { inner: workload, lie: self.lie };
        match self.bound {
            Bound::Rows => (Contribution::new(&bent, plan, view, rng), 0),
            Bound::Norm => (Contribution::new(&bent, &plan.with_long_rows(), view, rng), 0),
            // What leaves here is as long as it may be; sent so many times, it is so many times as long.
            Bound::None { times } => (Contribution::new(&bent, &plan.with_long_rows(), view, rng), times - 1),
        }
    }
}

/// A workload whose vector is bent on the way.
struct Bent<'a, W> {
    inner: &'a W,
    lie: Lie,
}

impl<W: DeviceHalf> DeviceHalf for Bent<'_, W> {
    fn layout(&self) -> Vec<BlockLayout> {
        self.inner.layout()
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        let mut statistics = self.inner.contribute(device, rng);
        for (block, layout) in statistics.blocks.iter_mut().zip(self.inner.layout()) {
            match self.lie {
                Lie::Nothing => {}
                Lie::Flip => block.values_mut().iter_mut().for_each(|v| *v = -*v),
                Lie::Push(track) => push(block, TrackId(track), &layout),
            }
        }
        statistics
    }
}

// All of the block's clip in the track's row, in the row's own direction; other blocks stay.
fn push(block: &mut Block, track: TrackId, layout: &BlockLayout) {
    let Block::Rows { rows, values } = block else { return };
    let Some(place) = rows.iter().position(|&row| row == track.0) else { return };
    let mut row = values[place * layout.width..(place + 1) * layout.width].to_vec();
    scale_to(&mut row, layout.clip);
    *block = Block::Rows { rows: vec![track.0], values: row };
}

fn scale_to(row: &mut [f32], wanted: f64) {
    let length = length(row);
    if length > 0.0 {
        row.iter_mut().for_each(|v| *v = (f64::from(*v) * wanted / length) as f32);
    }
}

fn length(row: &[f32]) -> f64 {
    row.iter().map(|v| math::powi(f64::from(*v), 2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        Block::Rows { rows: vec![2, 5, 7], values: vec![0.3, 0.0, 0.0, 0.4, 0.1, 0.0] }
    }

    fn layout() -> BlockLayout {
        BlockLayout::new("rows", 10, 2, 2.0)
    }

    #[test]
    fn a_push_is_as_long_as_the_clip_and_one_row() {
        let mut pushed = block();
        push(&mut pushed, TrackId(5), &layout());
        assert_eq!(pushed, Block::Rows { rows: vec![5], values: vec![0.0, 2.0] });
        let mut unknown = block();
        push(&mut unknown, TrackId(6), &layout());
        assert_eq!(unknown, block());
    }
}
