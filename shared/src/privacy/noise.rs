//! Stage: noise. In: [`Rounded`]. Out: [`Noised`].
//!
//! Every value of every block gets discrete Gaussian noise, played or not: noise on the touched rows only would tell
//! which tracks were played.

use super::Rounded;
use crate::plan::RoundPlan;
use opendp::core::Measurement;
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_gaussian;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;
use thiserror::Error;

/// A device's vector with its share of the noise: dense, in grid units, one vector a block.
#[derive(Clone, Debug)]
pub struct Noised {
    blocks: Vec<Vec<i64>>,
}

impl Noised {
    /// Adds noise of the plan's local variance to every value. A plan without noise adds none.
    pub fn new(rounded: &Rounded, plan: &RoundPlan, source: &mut impl NoiseSource) -> Result<Self, NoiseError> {
        let mut blocks = Vec::with_capacity(plan.blocks().len());
        for (block, block_plan) in rounded.blocks().iter().zip(plan.blocks()) {
            let width = block_plan.layout.width;
            let mut dense = vec![0i64; block_plan.layout.len()];
            match &block.rows {
                None => dense.iter_mut().zip(&block.values).for_each(|(d, &v)| *d = i64::from(v)),
                Some(rows) => {
                    for (&row, values) in rows.iter().zip(block.values.chunks_exact(width)) {
                        let start = row as usize * width;
                        dense[start..start + width].iter_mut().zip(values).for_each(|(d, &v)| *d = i64::from(v));
                    }
                }
            }
            if block_plan.local_variance > 0 {
                source.add_noise(block_plan.local_variance, &mut dense)?;
            }
            blocks.push(dense);
        }
        Ok(Self { blocks })
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Vec<i64>] {
        &self.blocks
    }
}

/// Draws from the discrete Gaussian N_Z(0, variance), exactly.
pub trait NoiseSource {
    /// Adds one independent draw to each value.
    fn add_noise(&mut self, variance: u64, values: &mut [i64]) -> Result<(), NoiseError>;
}

/// No noise could be drawn; nothing must be sent.
#[derive(Debug, Error)]
#[error("no noise could be drawn, so nothing is sent: {0}")]
pub struct NoiseError(pub String);

/// OpenDP's exact sampler, keyed by the operating system: what a device uses.
///
/// About 6 microseconds a value (docs/benchmarks.md).
#[derive(Debug, Default)]
pub struct ExactNoise;

impl NoiseSource for ExactNoise {
    fn add_noise(&mut self, variance: u64, values: &mut [i64]) -> Result<(), NoiseError> {
        let noised = gaussian(variance, values.len())?
            .invoke(&values.to_vec())
            .map_err(|error| NoiseError(error.to_string()))?;
        values.copy_from_slice(&noised);
        Ok(())
    }
}

type GaussianMeasurement =
    Measurement<VectorDomain<AtomDomain<i64>>, L2Distance<f64>, ZeroConcentratedDivergence, Vec<i64>>;

fn gaussian(variance: u64, length: usize) -> Result<GaussianMeasurement, NoiseError> {
    // The square root is rounded up to the next float: never less noise than the plan says.
    let scale = (variance as f64).sqrt().next_up();
    let domain = VectorDomain::new(AtomDomain::<i64>::default()).with_size(length);
    make_gaussian(domain, L2Distance::<f64>::default(), scale, None).map_err(|e| NoiseError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // OpenDP's own word on what one release costs.
    fn opendp_rho(variance: u64, length: usize, sensitivity: f64) -> f64 {
        gaussian(variance, length).expect("a measurement").map(&sensitivity).expect("a price")
    }

    #[test]
    fn opendp_agrees_with_the_plan_on_the_price() {
        for (variance, bound_squared) in [(256u64, 100u64), (10_000, 5_000)] {
            let ours = bound_squared as f64 / (2.0 * variance as f64);
            let theirs = opendp_rho(variance, 10, (bound_squared as f64).sqrt());
            assert!((theirs / ours - 1.0).abs() < 1e-9, "{theirs} {ours}");
        }
    }

    #[test]
    fn exact_noise_has_the_variance_asked_for() {
        let mut values = vec![7i64; 20_000];
        ExactNoise.add_noise(400, &mut values).expect("noise");
        let mean = values.iter().map(|&v| v as f64 - 7.0).sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|&v| (v as f64 - 7.0).powi(2)).sum::<f64>() / 20_000.0;
        // Six standard errors: 20 / sqrt(n) and 400 sqrt(2 / n).
        assert!(mean.abs() < 0.85, "{mean}");
        assert!((variance - 400.0).abs() < 24.0, "{variance}");
    }
}
