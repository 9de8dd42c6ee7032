//! What a device tells of a rollout: one cell of a private sum, by arm and by how well its listener is served.
//!
//! A device writes a count of 1, six values in [0, 1] and the squares of the first two into exactly one cell, or nothing: its vector is at
//! most sqrt(1 + 6 + 2) = 3 long by construction. Which cell it is stays under the mask; the coordinator learns sums over all.

use super::Arm;
use crate::plan::BlockLayout;
use crate::workload::{Block, Device, DeviceHalf, Statistics};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One day of one device, each value in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DayReport {
    /// The share of tracks that were skipped.
    pub skip_rate: f32,
    /// NDCG@10 of what was played in the list that was served.
    pub ndcg: f32,
    /// Whether the listener came back within 24 hours.
    pub returned: f32,
    /// Whether the application crashed.
    pub crashed: f32,
    /// The share of inferences over 50 ms.
    pub slow: f32,
    /// Whether the model did not load.
    pub not_loaded: f32,
}

/// What a device writes into a rollout's sum. It prints nothing: which cell it is tells the device's arm.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Cells {
    cell: Option<(usize, DayReport)>,
}

/// A round of a rollout's metrics: what every device loads for it. In itself it says nothing of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsRound {
    /// The rollout.
    pub rollout: String,
    /// The stage, from 0.
    pub stage: usize,
}

/// Sums over the devices of one cell, noise and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CellSums {
    /// Devices.
    pub count: f64,
    /// In the order of [`DayReport`].
    pub values: [f64; 6],
    /// Squares of skip rate and NDCG.
    pub squares: [f64; 2],
}

impl CellSums {
    /// With another cell's sums.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            count: self.count + other.count,
            values: std::array::from_fn(|at| self.values[at] + other.values[at]),
            squares: std::array::from_fn(|at| self.squares[at] + other.squares[at]),
        }
    }
}

impl Cells {
    /// Of a device in this arm, which is served worst, a tenth of all, or not; in no arm it sends zeros, so that taking part tells nothing.
    pub fn new(arm: Option<Arm>, is_served_worst: bool, report: DayReport) -> Self {
        let cell = arm.map(|arm| {
            let first = match arm {
                Arm::Treatment => 0,
                Arm::Control => GROUPS,
            };
            (first + usize::from(!is_served_worst), report)
        });
        Self { cell }
    }

    /// The decoded sum, cell by cell: treatment and control, each by the worst served and the rest.
    pub fn read(sum: &[f64]) -> [[CellSums; GROUPS]; 2] {
        let cell = |number: usize| {
            let values = &sum[number * VALUES..(number + 1) * VALUES];
            CellSums {
                count: values[0],
                values: std::array::from_fn(|at| values[1 + at]),
                squares: std::array::from_fn(|at| values[7 + at]),
            }
        };
        std::array::from_fn(|arm| std::array::from_fn(|group| cell(arm * GROUPS + group)))
    }

    fn statistics(&self) -> Statistics {
        let Some((cell, report)) = self.cell else {
            return Statistics { blocks: vec![Block::Rows { rows: Vec::new(), values: Vec::new() }] };
        };
        let DayReport { skip_rate, ndcg, returned, crashed, slow, not_loaded } = report;
        // One value that is no number does not take the others with it.
        let kept = [skip_rate, ndcg, returned, crashed, slow, not_loaded]
            .map(|value| if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) });
        let mut values = vec![1.0];
        values.extend(kept);
        values.extend(kept[..2].iter().map(|value| value * value));
        Statistics { blocks: vec![Block::Rows { rows: vec![cell as u32], values }] }
    }
}

impl DeviceHalf for MetricsRound {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("rollout", 2 * GROUPS, VALUES, CLIP)]
    }

    fn contribute(&self, device: Device<'_>, _rng: &mut impl Rng) -> Statistics {
        device.rollout.statistics()
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cells(..)")
    }
}

/// Values of a cell: the count, six values, two squares.
pub const VALUES: usize = 9;
const GROUPS: usize = 2;
/// The most that a device's vector is long: sqrt(1 + 6 + 2), with room for rounding. What a release costs follows from it.
pub const CLIP: f64 = 3.001;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn sent(cells: Cells) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let round = MetricsRound { rollout: "spring".into(), stage: 0 };
        let mut workspace = Workspace::default();
        let statistics = round.contribute(Device { rollout: cells, ..workspace.device() }, &mut rng);
        let mut dense = vec![0.0; 4 * VALUES];
        statistics.blocks[0].copy_to(VALUES, &mut dense);
        dense
    }

    #[test]
    fn a_device_writes_one_cell_within_its_bound() {
        let worst = DayReport { skip_rate: 9.0, ndcg: 1.0, returned: 1.0, crashed: 1.0, slow: 1.0, not_loaded: 1.0 };
        for (arm, is_worst, cell) in
            [(Arm::Treatment, true, 0), (Arm::Treatment, false, 1), (Arm::Control, true, 2), (Arm::Control, false, 3)]
        {
            let dense = sent(Cells::new(Some(arm), is_worst, worst));
            let filled: Vec<usize> = (0..4).filter(|&at| dense[at * VALUES] != 0.0).collect();
            assert_eq!(filled, [cell]);
            let length = dense.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
            assert!((length - 3.0).abs() < 1e-6 && length <= CLIP, "{length}");
        }
        assert!(sent(Cells::new(None, false, worst)).iter().all(|value| *value == 0.0));
        let odd = sent(Cells::new(Some(Arm::Control), false, DayReport { slow: f32::NAN, ..DayReport::default() }));
        assert_eq!(odd.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn what_was_written_is_read() {
        let report =
            DayReport { skip_rate: 0.5, ndcg: 0.25, returned: 1.0, crashed: 0.0, slow: 0.125, not_loaded: 0.0 };
        let sum: Vec<f64> = sent(Cells::new(Some(Arm::Control), true, report)).iter().map(|&v| f64::from(v)).collect();
        let read = Cells::read(&sum);
        let expected = CellSums { count: 1.0, values: [0.5, 0.25, 1.0, 0.0, 0.125, 0.0], squares: [0.25, 0.0625] };
        assert_eq!(read[1][0], expected);
        assert_eq!(read[0], [CellSums::default(); 2]);
    }
}
