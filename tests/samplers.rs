//! The device's samplers against exact probabilities and against OpenDP's, a million draws each, at alpha = 1e-6.

use sordino_shared::math;
use sordino_shared::privacy::{Law, Mechanism, Sampler, SamplerKind, central_release};
use sordino_tests::rng;
use std::collections::BTreeMap;

const DRAWS: usize = 1_000_000;

fn draws(law: Law, kind: SamplerKind, seed: u64) -> Vec<i64> {
    let mut values = vec![0; DRAWS];
    Sampler::of_kind(law, kind).expect("a sampler").add(&mut values, &mut rng(seed));
    values
}

fn counts(values: &[i64], cell: impl Fn(i64) -> i64) -> BTreeMap<i64, f64> {
    let mut counts = BTreeMap::new();
    values.iter().for_each(|&v| *counts.entry(cell(v)).or_default() += 1.0);
    counts
}

// Upper 1e-6 point of chi-square, by Wilson and Hilferty (1931): 4.753 is the normal's.
fn limit(freedom: usize) -> f64 {
    let k = freedom as f64;
    k * math::powi(1.0 - 2.0 / (9.0 * k) + 4.753 * (2.0 / (9.0 * k)).sqrt(), 3)
}

// Cells of a tenth of a deviation or of one value, the tails together where fewer than ten are expected.
fn against_exact(values: &[i64], weight: impl Fn(i64) -> f64, deviation: f64) {
    let width = ((deviation / 10.0) as i64).max(1);
    let reach = (12.0 * deviation) as i64 + 30;
    let total: f64 = (-reach..=reach).map(&weight).sum();
    let mut expected = BTreeMap::<i64, f64>::new();
    for k in -reach..=reach {
        *expected.entry(k.div_euclid(width)).or_default() += weight(k) / total * DRAWS as f64;
    }
    let (low, high) = {
        let common: Vec<i64> = expected.iter().filter(|(_, e)| **e >= 10.0).map(|(c, _)| *c).collect();
        (common[0], common[common.len() - 1])
    };
    let cell = |c: i64| c.clamp(low, high);
    let mut merged = BTreeMap::<i64, f64>::new();
    expected.iter().for_each(|(&c, e)| *merged.entry(cell(c)).or_default() += e);
    let seen = counts(values, |v| cell(v.div_euclid(width)));
    let statistic: f64 = merged.iter().map(|(c, e)| math::powi(seen.get(c).copied().unwrap_or(0.0) - e, 2) / e).sum();
    assert!(statistic < limit(merged.len() - 1), "{statistic} on {} cells", merged.len());
    // And the two sides are equally likely.
    let positive = values.iter().filter(|&&v| v > 0).count() as f64;
    let negative = values.iter().filter(|&&v| v < 0).count() as f64;
    assert!((positive - negative).abs() < 5.0 * (positive + negative).sqrt(), "{positive} {negative}");
}

fn gaussian_weight(variance: u64) -> impl Fn(i64) -> f64 {
    move |k| math::exp(-math::powi(k as f64, 2) / (2.0 * variance as f64))
}

#[test]
fn both_samplers_follow_the_discrete_gaussian() {
    for variance in [1u64, 9, 2500, 1_000_000] {
        let law = Law { mechanism: Mechanism::DiscreteGaussian, variance };
        for kind in [SamplerKind::Table, SamplerKind::Exact] {
            against_exact(&draws(law, kind, variance), gaussian_weight(variance), (variance as f64).sqrt());
        }
    }
}

// e^-v I_k(v) by its integral, (1/pi) int_0^pi e^(v (cos t - 1)) cos(k t) dt: the trapezoid rule is exact to rounding.
#[test]
fn the_table_follows_the_skellam_law() {
    for variance in [1u64, 9, 400] {
        let law = Law { mechanism: Mechanism::Skellam, variance };
        let points = 4096;
        let weight = |k: i64| {
            let at = |i: i32| {
                let t = std::f64::consts::PI * f64::from(i) / f64::from(points);
                math::exp(variance as f64 * (math::cos(t) - 1.0)) * math::cos(k as f64 * t)
            };
            let ends = 0.5 * (at(0) + at(points));
            ((ends + (1..points).map(at).sum::<f64>()) / f64::from(points)).max(0.0)
        };
        against_exact(&draws(law, SamplerKind::Table, variance), weight, (variance as f64).sqrt());
    }
}

#[test]
fn both_samplers_agree_with_opendp() {
    for variance in [4u64, 10_000] {
        let mut theirs = vec![0i64; DRAWS];
        central_release(variance, &mut theirs).expect("noise");
        let deviation = (variance as f64).sqrt();
        let cell = |v: i64| ((v as f64 * 4.0 / deviation).floor() as i64).clamp(-16, 16);
        let expected = counts(&theirs, cell);
        for kind in [SamplerKind::Table, SamplerKind::Exact] {
            let law = Law { mechanism: Mechanism::DiscreteGaussian, variance };
            let seen = counts(&draws(law, kind, 7), cell);
            let statistic: f64 = (-16..=16)
                .map(|c| (seen.get(&c).copied().unwrap_or(0.0), expected.get(&c).copied().unwrap_or(0.0)))
                .filter(|(a, b)| a + b > 0.0)
                .map(|(a, b)| math::powi(a - b, 2) / (a + b))
                .sum();
            assert!(statistic < limit(32), "variance {variance}, {kind:?}: {statistic}");
        }
    }
}
