use super::*;
use crate::math;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

fn gaussian(variance: u64) -> Law {
    Law { mechanism: Mechanism::DiscreteGaussian, variance }
}

fn skellam(variance: u64) -> Law {
    Law { mechanism: Mechanism::Skellam, variance }
}

fn draws(law: Law, kind: SamplerKind, count: usize, seed: u64) -> Vec<i64> {
    let mut values = vec![0; count];
    Sampler::of_kind(law, kind).expect("a sampler").add(&mut values, &mut ChaCha8Rng::seed_from_u64(seed));
    values
}

#[test]
fn laws_out_of_reach_are_refused() {
    assert!(matches!(Sampler::new(gaussian(0)), Err(NoiseError::NoVariance)));
    assert!(matches!(Sampler::new(gaussian(1 << 44)), Err(NoiseError::TooWide(_))));
    assert!(matches!(Sampler::new(skellam(1 << 40)), Err(NoiseError::TooWide(_))));
    assert!(matches!(Sampler::of_kind(skellam(100), SamplerKind::Exact), Err(NoiseError::TooWide(_))));
    assert!(central_release(0, &mut [1]).is_err());
    let widest = Sampler::new(skellam(largest_exact_variance(Mechanism::Skellam))).expect("the widest Skellam law");
    assert_eq!(widest.kind(), SamplerKind::Table);
    assert_eq!(Sampler::new(gaussian((1 << 44) - 1)).expect("the widest").kind(), SamplerKind::Exact);
}

#[test]
fn the_same_seed_gives_the_same_stream() {
    for kind in [SamplerKind::Table, SamplerKind::Exact] {
        assert_eq!(draws(gaussian(100), kind, 700, 3), draws(gaussian(100), kind, 700, 3));
        assert_ne!(draws(gaussian(100), kind, 700, 3), draws(gaussian(100), kind, 700, 4));
    }
}

#[test]
fn noise_is_added_to_what_is_there() {
    let sampler = Sampler::new(gaussian(4)).expect("a sampler");
    let mut with = vec![1000i64; 600];
    sampler.add(&mut with, &mut ChaCha8Rng::seed_from_u64(1));
    let alone = draws(gaussian(4), SamplerKind::Table, 600, 1);
    assert!(with.iter().zip(&alone).all(|(a, b)| a - 1000 == *b));
}

// Thresholds against probabilities computed in another way: in double precision, term by term.
#[test]
fn thresholds_are_the_cumulative_probabilities() {
    for variance in [1u64, 7, 256, 40_000] {
        let table = table::Table::new(gaussian(variance)).expect("a table");
        let weight = |k: f64| math::exp(-k * k / (2.0 * variance as f64));
        let total: f64 = weight(0.0) + 2.0 * (1..5000).map(|k| weight(f64::from(k))).sum::<f64>();
        let mut sum = 0.0;
        for (k, got) in table.probabilities().enumerate() {
            sum += if k == 0 { 1.0 } else { 2.0 } * weight(k as f64) / total;
            assert!((got - sum).abs() < 1e-12, "{variance} {k}: {got} {sum}");
        }
    }
    // Skellam with variance 2: e^-2 I_k(2) (Abramowitz and Stegun 1964, table 9.8).
    let table = table::Table::new(skellam(2)).expect("a table");
    let cumulative: Vec<f64> = table.probabilities().take(3).collect();
    let expected = [0.308_508_322_553_671, 0.215_269_289_248_3, 0.093_239_033_304_7];
    assert!((cumulative[0] - expected[0]).abs() < 1e-10, "{}", cumulative[0]);
    assert!((cumulative[1] - cumulative[0] - 2.0 * expected[1]).abs() < 1e-9, "{cumulative:?}");
    assert!((cumulative[2] - cumulative[1] - 2.0 * expected[2]).abs() < 1e-9, "{cumulative:?}");
}

#[test]
fn moments_are_the_laws() {
    for (law, kind) in [
        (gaussian(400), SamplerKind::Table),
        (gaussian(400), SamplerKind::Exact),
        (gaussian(1_000_000_000_000), SamplerKind::Exact),
        (skellam(400), SamplerKind::Table),
        (skellam(3), SamplerKind::Table),
    ] {
        let n = 200_000;
        let values = draws(law, kind, n, 11);
        let variance = law.variance as f64;
        let mean = values.iter().map(|&v| v as f64).sum::<f64>() / n as f64;
        let second = values.iter().map(|&v| math::powi(v as f64, 2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 6.0 * (variance / n as f64).sqrt(), "{law}: mean {mean}");
        // The variance of a square is 2 variance^2, and for Skellam one variance more.
        let spread = ((2.0 * variance * variance + variance) / n as f64).sqrt();
        assert!((second - variance).abs() < 6.0 * spread, "{law}: second moment {second}");
    }
}

#[test]
fn skellam_tails_are_bounds() {
    for variance in [2.0f64, 400.0] {
        let values = draws(skellam(variance as u64), SamplerKind::Table, 200_000, 5);
        for log_probability in [-2.0f64, -5.0] {
            let t = skellam_tail(variance, log_probability);
            let beyond = values.iter().filter(|v| v.unsigned_abs() as f64 >= t).count() as f64 / 200_000.0;
            assert!(beyond <= math::exp(log_probability), "{variance} {log_probability}: {beyond}");
        }
    }
}

// Of a sum: each draw of each device.
#[test]
fn distances_add_up_over_values_and_devices() {
    use crate::plan::{BlockLayout, PlanRequest};
    let layout = vec![BlockLayout::new("rows", 30, 2, 1.0), BlockLayout::new("count", 1, 1, 0.5)];
    let plan = RoundPlan::new(PlanRequest { rho: Some(0.5), ..PlanRequest::new(10, layout) }).expect("a plan");
    let samplers = Samplers::new(&plan).expect("samplers");
    let values: usize = plan.blocks().iter().map(|block| block.length).sum();
    for devices in [1, 7, 1000] {
        let (found, expected) = (samplers.distance(&plan, devices), table::DISTANCE * (values * devices) as f64);
        assert!(found > 0.0 && (found / expected - 1.0).abs() < 1e-12, "{devices}: {found} {expected}");
    }
}
