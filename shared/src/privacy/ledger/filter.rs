//! Whether a release still fits, by OpenDP's privacy filter over its fully adaptive odometer.
//!
//! Rogers, Roth, Ullman and Vadhan (2016): a filter stops a composition whose mechanisms are chosen as it goes before it
//! passes its budget. For zCDP that costs nothing over plain addition (Feldman and Zrnic 2021). Our releases enter as
//! measurements with our own privacy map, `rho d^2` for d devices.

use opendp::combinators::{CompositionMeasure, make_fully_adaptive_composition, make_privacy_filter};
use opendp::core::{Function, Measurement, PrivacyMap};
use opendp::domains::{AtomDomain, VectorDomain};
use opendp::error::Fallible;
use opendp::measures::ZeroConcentratedDivergence;
use opendp::metrics::L2Distance;

/// Whether `cost` after `history` stays within `limit`.
pub(super) fn fits(history: &[f64], cost: f64, limit: f64) -> bool {
    try_fits(history, cost, limit).unwrap_or(false)
}

/// The history's sum as OpenDP composes it: rounded up.
pub(super) fn sum(history: &[f64]) -> f64 {
    ZeroConcentratedDivergence.compose(history.to_vec()).unwrap_or(f64::INFINITY)
}

fn try_fits(history: &[f64], cost: f64, limit: f64) -> Fallible<bool> {
    if !(cost >= 0.0 && cost.is_finite()) {
        return Ok(false);
    }
    let domain = VectorDomain::new(AtomDomain::<i64>::default()).with_size(1);
    let metric = L2Distance::<f64>::default();
    let odometer = make_fully_adaptive_composition::<_, _, _, Vec<i64>>(
        domain.clone(),
        metric.clone(),
        ZeroConcentratedDivergence,
    )?;
    let mut filter = make_privacy_filter(odometer, 1.0, limit)?.invoke(&vec![0i64])?;
    let mut release = |rho: f64| -> Fallible<bool> {
        let measurement = Measurement::new(
            domain.clone(),
            metric.clone(),
            ZeroConcentratedDivergence,
            Function::new(|x: &Vec<i64>| x.clone()),
            PrivacyMap::new(move |d: &f64| d * d * rho),
        )?;
        Ok(filter.invoke(measurement).is_ok())
    };
    // What was spent enters as one release: the filter need not replay years of rounds.
    let spent = sum(history);
    if spent > 0.0 && !release(spent)? {
        // Rebased to less than was spent: nothing fits any more.
        return Ok(false);
    }
    release(cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_lets_pass_up_to_the_limit() {
        assert!(fits(&[], 0.81, 0.81) && !fits(&[], 0.811, 0.81));
        assert!(fits(&[0.3, 0.3], 0.2, 0.81) && !fits(&[0.3, 0.3], 0.3, 0.81));
        assert!(fits(&[0.3], 0.0, 0.81));
        assert!(!fits(&[0.5, 0.5], 0.0, 0.81), "already past the limit");
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(!fits(&[], bad, 1.0));
        }
    }

    #[test]
    fn sums_are_rounded_up() {
        assert!(sum(&[0.1; 10]) >= 1.0);
        assert_eq!(sum(&[]), 0.0);
    }
}
