//! A confidence sequence: a lower bound of harm that holds at every look, however often and whenever one looks.
//!
//! The score of a mean without harm is a Brownian motion S in its information I. By Ville's inequality the chance that
//! `M = 2 sqrt(rho / (I + rho)) exp(S^2 / (2 (I + rho))) Phi(S / sqrt(I + rho))` ever reaches 1/alpha is at most alpha: M is the mixture
//! of likelihood ratios over positive drifts with a half-normal weight (Robbins 1970; Howard et al. 2021, one-sided normal
//! mixture). For means of many devices this holds asymptotically (Waudby-Smith et al. 2021): nothing is claimed below about a
//! thousand devices in an arm.

use super::normal::{bisect, upper_tail};
use sordino_shared::math;

/// How high Z must be at a share of the information, so that the chance to be there at any time is at most `alpha` without harm. It is
/// lowest where the share is 1.
pub fn bound(alpha: f64, share: f64) -> f64 {
    // The weight's width that makes the bound lowest at 1, as for two-sided sequences at twice the error.
    let log = -2.0 * math::ln(2.0 * alpha);
    let rho = 1.0 / (log + math::ln(log + 1.0));
    let (share, whole) = (share.max(1e-9), share.max(1e-9) + rho);
    let log_mixture = |z: f64| {
        std::f64::consts::LN_2
            + 0.5 * math::ln(rho / whole)
            + z * z * share / (2.0 * whole)
            + math::ln(1.0 - upper_tail(z * (share / whole).sqrt()))
    };
    bisect((0.0, 60.0), |z| log_mixture(z) < -math::ln(alpha))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    // Looked at a hundred times over five times the information that it was made for.
    #[test]
    fn looking_often_does_not_raise_the_error() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let bounds: Vec<f64> = (1..=100).map(|look| bound(0.05, 0.05 * f64::from(look))).collect();
        let (runs, mut crossed) = (20_000, 0);
        for _ in 0..runs {
            let mut score = 0.0;
            crossed += u32::from(bounds.iter().enumerate().any(|(look, bound)| {
                let step: f64 = StandardNormal.sample(&mut rng);
                score += step * 0.05f64.sqrt();
                score / (0.05 * (look + 1) as f64).sqrt() > *bound
            }));
        }
        let rate = f64::from(crossed) / f64::from(runs);
        // At most alpha, three standard errors of .0015 allowed; and not so low that it would be of no use.
        assert!(rate < 0.05 + 0.0046 && rate > 0.015, "{rate}");
    }

    #[test]
    fn it_is_narrower_than_the_two_sided_one() {
        // Waudby-Smith et al. 2021, equation 13 used on one side, with its own rho.
        let alpha = 0.05f64;
        let r = -2.0 * math::ln(alpha) + math::ln(-2.0 * math::ln(alpha) + 1.0);
        let two_sided = (2.0 * (r + 1.0) / r * math::ln((r + 1.0).sqrt() / alpha)).sqrt();
        let ours = bound(alpha, 1.0);
        assert!(ours < 0.97 * two_sided && ours > 2.2, "{ours} {two_sided}");
        assert!(bound(alpha, 0.2) > bound(alpha, 1.0) && bound(alpha, 30.0) > bound(alpha, 1.0));
    }
}
