//! Plans: what is refused, and what their integers promise.

use super::*;
use crate::math;
use crate::privacy::Samplers;
use crate::privacy::accountant::correlated::Strategy;
use proptest::prelude::*;

fn request() -> PlanRequest {
    PlanRequest {
        mode: Mode::Secure,
        mechanism: Mechanism::DiscreteGaussian,
        rotation_seed: 1,
        strategy: None,
        cohort: 1000,
        honest_fraction: 0.9,
        rho: Some(0.1),
        blocks: vec![BlockLayout::new("rows", 100, 8, 1.0)],
        simulated_noise_scale: 1.0,
    }
}

#[test]
fn the_honest_noise_alone_keeps_the_budget() {
    let plan = RoundPlan::new(request()).expect("a valid plan");
    let block = &plan.blocks()[0];
    let honest_variance = block.local_variance as f64 * 900.0;
    let rho = block.bound_squared as f64 / (2.0 * honest_variance);
    assert!(rho <= 0.1 && rho > 0.0995, "{rho}");
    assert!(block.bound_squared as f64 * math::powi(block.grid, 2) < 1.02);
}

#[test]
fn local_plans_carry_the_whole_noise_on_each_device() {
    let plan = RoundPlan::new(PlanRequest { mode: Mode::Local, ..request() }).expect("a valid plan");
    let block = &plan.blocks()[0];
    // Replace-one: twice the bound.
    let rho = 4.0 * block.bound_squared as f64 / (2.0 * block.local_variance as f64);
    assert!(rho <= 0.1 && rho > 0.0995, "{rho}");
}

#[test]
fn what_cannot_hold_is_refused() {
    assert_eq!(RoundPlan::new(PlanRequest { cohort: 0, ..request() }).err(), Some(Error::EmptyCohort));
    assert_eq!(RoundPlan::new(PlanRequest { rho: Some(0.0), ..request() }).err(), Some(Error::Budget(0.0)));
    assert!(RoundPlan::new(PlanRequest { honest_fraction: 0.0, ..request() }).is_err());
    let nobody = RoundPlan::new(PlanRequest { cohort: 10, honest_fraction: 0.05, ..request() });
    assert_eq!(nobody.err(), Some(Error::NobodyHonest { cohort: 10, fraction: 0.05 }));
    let strategy = Some(Strategy::new(8, 2));
    assert_eq!(RoundPlan::new(PlanRequest { strategy, ..request() }).err(), Some(Error::StrategyMode(Mode::Secure)));
    let none = RoundPlan::new(PlanRequest { mode: Mode::CentralMf, ..request() });
    assert_eq!(none.err(), Some(Error::StrategyMode(Mode::CentralMf)));
    let mut empty = request();
    assert_eq!(RoundPlan::new(PlanRequest { rho: Some(1e18), ..request() }).err(), Some(Error::Grid("rows")));
    empty.blocks[0].clip = f64::NAN;
    assert_eq!(RoundPlan::new(empty).err(), Some(Error::Block("rows")));
}

proptest! {
    // Whatever is asked for: a plan that can be built has noise that is wide, honest and enough, and sums that fit.
    #[test]
    fn plans_that_can_be_built_hold(
        cohort in 1usize..20_000,
        honest_fraction in 1e-4f64..=1.0,
        log_rho in -12.0f64..4.0,
        rows in 1usize..5000,
        log_clip in -6.0f64..6.0,
        mode in prop_oneof![Just(Mode::Secure), Just(Mode::Local), Just(Mode::Central)],
        mechanism in prop_oneof![Just(Mechanism::DiscreteGaussian), Just(Mechanism::Skellam)],
        rotation in prop_oneof![Just(Rotation::None), Just(Rotation::Hadamard)],
    ) {
        let block = BlockLayout { rotation, ..BlockLayout::new("b", rows, 1, math::exp(log_clip)) };
        let rho = math::exp(log_rho);
        let asked = PlanRequest {
            mode, mechanism, cohort, honest_fraction, rho: Some(rho), blocks: vec![block], ..request()
        };
        if let Ok(plan) = RoundPlan::new(asked) {
            let block = &plan.blocks()[0];
            prop_assert!(plan.honest() >= 1);
            prop_assert!(block.local_variance as f64 >= math::powi(LEAST_DEVIATION, 2) * 0.999);
            prop_assert!(plan.rho_with(plan.honest()) <= rho * (1.0 + 1e-9), "{} {rho}", plan.rho_with(plan.honest()));
            prop_assert!(plan.rho_with(plan.honest()) >= rho * 0.99);
            prop_assert!(plan.wrap_probability() <= WRAP_PROBABILITY);
            prop_assert!(block.length >= rows && plan.bits() <= MAX_BITS);
            prop_assert!(mode.trusts_coordinator() || Samplers::new(&plan).is_ok());
        }
    }
}

// Only whole devices, and none that is not sure to be honest.
#[test]
fn honest_devices_are_counted_down() {
    for (cohort, fraction, honest) in
        [(100, 0.8, 80), (99, 0.8, 79), (1000, 0.999, 999), (10_000, 0.5, 5000), (7, 0.99, 6), (12, 1.0, 12)]
    {
        let blocks = vec![BlockLayout::new("rows", 4, 2, 1.0)];
        let request = PlanRequest { rho: Some(0.1), honest_fraction: fraction, ..PlanRequest::new(cohort, blocks) };
        assert_eq!(RoundPlan::new(request).expect("a plan").honest(), honest, "{fraction} of {cohort}");
    }
}
