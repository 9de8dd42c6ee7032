//! A workload whose clip follows a quantile of its devices' norms.

use super::{Block, Device, DeviceHalf, Statistics, Workload};
use crate::plan::BlockLayout;
use crate::privacy::AdaptiveClip;
use rand_core::Rng;

/// Workloads of one block whose clip may change from round to round.
pub trait Reclip: Workload {
    /// Takes the clip of the next round.
    fn set_clip(&mut self, clip: f64);
}

/// Adds the count of devices that were not clipped to a workload's rounds, and moves the clip by it.
#[derive(Clone, Debug)]
pub struct Adaptive<W> {
    inner: W,
    clip: AdaptiveClip,
}

impl<W: Reclip> Adaptive<W> {
    /// Starts from the clip given.
    pub fn new(mut inner: W, clip: AdaptiveClip) -> Self {
        inner.set_clip(clip.clip);
        Self { inner, clip }
    }

    /// The workload.
    pub fn inner(&self) -> &W {
        &self.inner
    }

    /// The clip of the next round.
    pub fn clip(&self) -> f64 {
        self.clip.clip
    }
}

impl<W: Reclip> DeviceHalf for Adaptive<W> {
    fn layout(&self) -> Vec<BlockLayout> {
        let mut layout = self.inner.layout();
        let shares: f64 = layout.iter().map(|block| block.share).sum();
        let share = shares * self.clip.share / (1.0 - self.clip.share);
        // +-1/2: half the sensitivity of a bit.
        layout.push(BlockLayout { share, ..BlockLayout::new("unclipped", 1, 1, 0.5) });
        layout
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        let mut statistics = self.inner.contribute(device, rng);
        let squares = statistics.blocks[0].values().iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let bit = if squares.sqrt() <= self.clip.clip { 0.5 } else { -0.5 };
        statistics.blocks.push(Block::Dense(vec![bit]));
        statistics
    }
}

impl<W: Reclip> Workload for Adaptive<W> {
    fn apply(&mut self, mut sum: Vec<Vec<f64>>, deviations: &[f64], devices: f64) {
        let count = sum.pop().and_then(|block| block.first().copied()).unwrap_or(0.0);
        self.inner.apply(sum, &deviations[..deviations.len() - 1], devices);
        self.clip.update(count / devices.max(1.0) + 0.5);
        self.inner.set_clip(self.clip.clip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workspace;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[derive(Clone)]
    struct Fixed(f32, f64);

    impl DeviceHalf for Fixed {
        fn layout(&self) -> Vec<BlockLayout> {
            vec![BlockLayout::new("fixed", 1, 1, self.1)]
        }

        fn contribute(&self, _: Device<'_>, _: &mut impl Rng) -> Statistics {
            Statistics { blocks: vec![Block::Dense(vec![self.0])] }
        }
    }

    impl Workload for Fixed {
        fn apply(&mut self, sum: Vec<Vec<f64>>, deviations: &[f64], _: f64) {
            assert_eq!((sum.len(), deviations.len()), (1, 1));
        }
    }

    impl Reclip for Fixed {
        fn set_clip(&mut self, clip: f64) {
            self.1 = clip;
        }
    }

    #[test]
    fn the_count_says_who_was_clipped_and_the_clip_follows() {
        for (norm, bit) in [(0.05f32, 0.5f32), (0.2, -0.5)] {
            let mut workload = Adaptive::new(Fixed(norm, 1.0), AdaptiveClip::default());
            assert_eq!(workload.layout()[0].clip, 0.1);
            let mut workspace = Workspace::default();
            let device = workspace.device();
            let statistics = workload.contribute(device, &mut ChaCha8Rng::seed_from_u64(1));
            assert_eq!(statistics.blocks[1].values(), &[bit]);
            workload.apply(vec![vec![0.0], vec![f64::from(bit) * 10.0]], &[0.0, 0.0], 10.0);
            assert_eq!(workload.clip() > 0.1, bit < 0.0);
            assert_eq!(workload.layout()[0].clip, workload.clip());
        }
        let layout = Adaptive::new(Fixed(1.0, 1.0), AdaptiveClip::default()).layout();
        assert!((layout[1].share / (layout[0].share + layout[1].share) - 0.01).abs() < 1e-12);
    }
}
