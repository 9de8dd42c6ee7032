//! Mode `central`: the coordinator, trusted with the exact sum, adds independent discrete Gaussian noise to it.

use rand_core::Rng;
use sordino_shared::plan::RoundPlan;
use sordino_shared::privacy::{Law, Mechanism, NoiseError, Sampler, Sum, central_release};

/// Adds the plan's noise to the sum, all shares at once: OpenDP's sampler for small blocks, ours for the rest.
///
/// # Errors
/// [`NoiseError`]; then the sum must not be released.
pub fn add_noise(sum: &mut Sum, plan: &RoundPlan, rng: &mut impl Rng) -> Result<(), NoiseError> {
    for (values, block) in sum.blocks_mut().iter_mut().zip(plan.blocks()) {
        let variance = block.local_variance.saturating_mul(plan.honest() as u64);
        match (variance, values.len()) {
            (0, _) => {}
            (_, 0..SMALL) => central_release(variance, values)?,
            _ => Sampler::new(Law { mechanism: Mechanism::DiscreteGaussian, variance })?.add(values, rng),
        }
    }
    Ok(())
}

// Up to here OpenDP takes less than a millisecond.
const SMALL: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use sordino_shared::math;
    use sordino_shared::plan::{BlockLayout, PlanRequest};
    use sordino_shared::privacy::Mode;

    #[test]
    fn small_and_large_blocks_get_the_plans_noise() {
        let block = |name, rows| BlockLayout::new(name, rows, 1, 1.0);
        let plan = RoundPlan::new(PlanRequest {
            mode: Mode::Central,
            rho: Some(0.5),
            ..PlanRequest::new(100, vec![block("small", 50), block("large", 5000)])
        })
        .expect("a valid plan");
        let mut sum = Sum::new(&plan);
        add_noise(&mut sum, &plan, &mut ChaCha8Rng::seed_from_u64(1)).expect("noise");
        for (values, block) in sum.blocks().iter().zip(plan.blocks()) {
            let deviation = (values.iter().map(|&v| math::powi(v as f64, 2)).sum::<f64>() / values.len() as f64).sqrt();
            let ratio = deviation * block.grid / block.sum_deviation(100);
            // Six standard errors.
            let tolerance = 6.0 / (2.0 * values.len() as f64).sqrt();
            assert!((ratio - 1.0).abs() < tolerance, "{}: {ratio}", block.layout.name);
        }
    }
}
