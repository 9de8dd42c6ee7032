//! One device's update in the factors round, by part: 100 tracks out of 3,706, 32 dimensions, one core.
//!
//! `cargo run --release -p sordino-simulator --example device_update`

use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sordino_shared::ids::TrackId;
use sordino_shared::model::{Example, Hyperparameters, Prior, Solver};
use sordino_shared::plan::{PlanRequest, RoundPlan};
use sordino_shared::privacy::{Clipped, DeviceGenerator, Noised, Rounded, Samplers, central_release};
use sordino_shared::random::{distinct_below, unit_f64};
use sordino_shared::workload::{Device, DeviceHalf, Factors, PopularityEstimate};
use std::time::Instant;

const TRACKS: usize = 3706;
const DIMENSIONS: usize = 32;

fn main() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let table = Array2::from_shape_fn((TRACKS, DIMENSIONS), |_| unit_f64(&mut rng) - 0.4);
    let popularity = PopularityEstimate { tracks: vec![10.0; TRACKS], total_weight: 100.0, devices: 1000.0 };
    let prior = Prior::new(&popularity.tracks, &Array2::zeros((TRACKS, 0)));
    let workload = Factors::new(table, popularity, prior, Hyperparameters::default());
    let mut tracks = distinct_below(&mut rng, TRACKS, 100);
    tracks.sort_unstable();
    let examples: Vec<Example> =
        tracks.into_iter().map(|t| Example { track: TrackId(t as u32), confidence: 1.0 }).collect();
    let plan = RoundPlan::new(PlanRequest { rho: Some(0.1), ..PlanRequest::new(10_000, workload.layout()) })
        .expect("a valid plan");
    let mut solver = Solver::default();
    let statistics = |solver: &mut Solver, rng: &mut ChaCha8Rng| {
        workload.contribute(Device { examples: &examples, ..Device::new(&mut Vec::new(), solver) }, rng)
    };
    println!("values: {}, bits: {}", plan.values(), plan.bits());
    time("solve and statistics", 2000, || statistics(&mut solver, &mut rng));
    let raw = statistics(&mut solver, &mut rng);
    time("clip", 2000, || Clipped::new(raw.clone(), &plan));
    let clipped = Clipped::new(raw, &plan);
    time("round", 2000, || Rounded::new(&clipped, &plan, &mut rng));
    let rounded = Rounded::new(&clipped, &plan, &mut rng);
    let samplers = Samplers::new(&plan).expect("samplers");
    let mut own = DeviceGenerator::from_operating_system().expect("randomness");
    time("noise", 200, || Noised::new(&rounded, &samplers, &mut own));
    let variance = plan.blocks()[0].local_variance;
    time("noise, OpenDP's exact sampler", 1, || central_release(variance, &mut vec![0; plan.values()]));
}

fn time<T>(what: &str, runs: u32, mut run: impl FnMut() -> T) {
    let start = Instant::now();
    for _ in 0..runs {
        std::hint::black_box(run());
    }
    println!("{what}: {:.4} ms", start.elapsed().as_secs_f64() * 1000.0 / f64::from(runs));
}
