//! Sums do not wrap at the plan's width, and do at far fewer bits; rotation needs fewer bits for the same promise.

use sordino_shared::plan::{BlockLayout, PlanRequest, Rotation, RoundPlan, WRAP_PROBABILITY};
use sordino_shared::privacy::{Mechanism, Samplers, Sum, decode};
use sordino_shared::workload::{Block, Contribution, Device, DeviceHalf, Statistics, Workload, Workspace};
use sordino_tests::rng;

const LENGTH: usize = 512;

// Every device sends the same longest vector: the worst case for the range.
struct Aligned(Rotation);

impl DeviceHalf for Aligned {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout { rotation: self.0, ..BlockLayout::new("aligned", LENGTH, 1, 1.0) }]
    }

    fn contribute(&self, _: Device<'_>, _: &mut impl rand_core::Rng) -> Statistics {
        let mut values = vec![0.0; LENGTH];
        values[17] = 1.0;
        Statistics { blocks: vec![Block::Dense(values)] }
    }
}

impl Workload for Aligned {
    fn apply(&mut self, _: Vec<Vec<f64>>, _: &[f64], _: f64) {}
}

fn plan(rotation: Rotation, mechanism: Mechanism, cohort: usize) -> RoundPlan {
    RoundPlan::new(PlanRequest {
        mechanism,
        rotation_seed: 5,
        honest_fraction: 0.6,
        rho: Some(0.5),
        ..PlanRequest::new(cohort, Aligned(rotation).layout())
    })
    .expect("a valid plan")
}

#[test]
fn aligned_devices_do_not_wrap_and_the_sum_is_what_was_sent() {
    for mechanism in [Mechanism::DiscreteGaussian, Mechanism::Skellam] {
        for rotation in [Rotation::None, Rotation::Hadamard] {
            let cohort = 200;
            let plan = plan(rotation, mechanism, cohort);
            assert!(plan.wrap_probability() <= WRAP_PROBABILITY);
            let samplers = Samplers::new(&plan).expect("samplers");
            let mut generator = rng(3);
            let mut sum = Sum::new(&plan);
            let workload = Aligned(rotation);
            for _ in 0..cohort {
                let mut workspace = Workspace::default();
                let device = workspace.device();
                sum.add(&Contribution::new(&workload, &plan, device, &mut generator).noised(&samplers, &mut generator));
            }
            let decoded = decode(&sum, &plan).swap_remove(0);
            let noise = plan.blocks()[0].sum_deviation(cohort);
            assert!((decoded[17] - cohort as f64).abs() < 7.0 * noise, "{} {noise}", decoded[17]);
            let others = decoded.iter().enumerate().filter(|(i, _)| *i != 17).map(|(_, v)| v * v).sum::<f64>();
            let deviation = (others / (LENGTH - 1) as f64).sqrt();
            // Rounding adds up to a quarter of a grid step squared a device to the noise.
            assert!((deviation / noise - 1.0).abs() < 0.2, "{deviation} {noise}");
            // The plan is no wider than it needs to be: two bits less, and the aligned value alone does not fit.
            let largest = sum.blocks()[0].iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
            assert!(largest < 1 << (plan.bits() - 1), "{largest} {}", plan.bits());
            if rotation == Rotation::None {
                assert!(largest >= 1 << (plan.bits() - 3), "{largest} {}", plan.bits());
            }
        }
    }
}

#[test]
fn rotation_saves_bits_in_large_cohorts() {
    let bits = |rotation| plan(rotation, Mechanism::DiscreteGaussian, 100_000).bits();
    assert!(bits(Rotation::Hadamard) < bits(Rotation::None), "{} {}", bits(Rotation::Hadamard), bits(Rotation::None));
}
