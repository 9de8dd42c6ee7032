//! Speed of the privacy engine on one core: samplers, encoding, accounting.
//!
//! `cargo run --release -p sordino-shared --example privacy_speed`
//!
//! With arguments `epsilon RATE NOISE_MULTIPLIER STEPS DELTA` it prints one epsilon and the seconds that it took, for
//! comparisons with other accountants (docs/benchmarks.md).

use sordino_shared::math;
use sordino_shared::plan::{BlockLayout, PlanRequest, Rotation, RoundPlan};
use sordino_shared::privacy::accountant::loss::{self, Mechanism as LossMechanism};
use sordino_shared::privacy::{
    Clipped, DeviceGenerator, Law, Mechanism, Noised, Rounded, Sampler, SamplerKind, Samplers, central_release, rounded,
};
use sordino_shared::workload::{Block, Statistics};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "epsilon") {
        return one_epsilon(&arguments[1..]);
    }
    samplers();
    encoding();
    accounting();
}

fn one_epsilon(arguments: &[String]) {
    let number = |i: usize| arguments[i].parse::<f64>().expect("RATE NOISE_MULTIPLIER STEPS DELTA");
    let mechanism = LossMechanism::PoissonGaussian { rate: number(0), noise_multiplier: number(1) };
    let start = Instant::now();
    let epsilon = loss::epsilon(&[(mechanism, number(2) as u64)], number(3));
    println!("{epsilon} {}", start.elapsed().as_secs_f64());
}

fn samplers() {
    let mut rng = DeviceGenerator::from_operating_system().expect("randomness");
    println!("million samples a second");
    for (mechanism, kind) in [
        (Mechanism::DiscreteGaussian, SamplerKind::Table),
        (Mechanism::Skellam, SamplerKind::Table),
        (Mechanism::DiscreteGaussian, SamplerKind::Exact),
    ] {
        for deviation in [1u64, 16, 100, 1000] {
            let law = Law { mechanism, variance: deviation * deviation };
            let start = Instant::now();
            let sampler = Sampler::of_kind(law, kind).expect("a sampler");
            let set_up = start.elapsed().as_secs_f64() * 1000.0;
            let mut values = vec![0i64; 1 << 17];
            let rounds = if kind == SamplerKind::Table { 200 } else { 8 };
            let seconds = seconds(rounds, || sampler.add(&mut values, &mut rng));
            let rate = values.len() as f64 / seconds / 1e6;
            println!("  {law}, {kind:?}: {rate:.1}, set-up {set_up:.2} ms");
        }
    }
    let mut values = vec![0i64; 20_000];
    let opendp = seconds(1, || central_release(256, &mut values).expect("noise"));
    println!("  OpenDP, deviation 16: {:.3}", 20_000.0 / opendp / 1e6);
}

fn encoding() {
    println!("milliseconds for 131,072 values, one core");
    for rotation in [Rotation::None, Rotation::Hadamard] {
        let plan = RoundPlan::new(PlanRequest {
            honest_fraction: 0.6,
            rho: Some(0.5),
            ..PlanRequest::new(1000, vec![BlockLayout { rotation, ..BlockLayout::new("values", 131_072, 1, 1.0) }])
        })
        .expect("a valid plan");
        let samplers = Samplers::new(&plan).expect("samplers");
        let mut rng = DeviceGenerator::from_operating_system().expect("randomness");
        let values: Vec<f32> = (0..131_072).map(|i| math::sin_f32(i as f32) * 0.004).collect();
        let statistics = Statistics { blocks: vec![Block::Dense(values)] };
        let clip = seconds(50, || Clipped::new(statistics.clone(), &plan));
        let clipped = Clipped::new(statistics, &plan);
        let round = seconds(50, || Rounded::new(&clipped, &plan, &mut rng));
        let rounded = Rounded::new(&clipped, &plan, &mut rng);
        let noise = seconds(50, || Noised::new(&rounded, &samplers, &mut rng));
        println!(
            "  {rotation:?}, {} bits: clip {:.2}, rotate and round {:.2}, noise {:.2}, all {:.2}",
            plan.bits(),
            clip * 1e3,
            round * 1e3,
            noise * 1e3,
            (clip + round + noise) * 1e3
        );
    }
}

fn accounting() {
    println!("milliseconds for one epsilon");
    for (rate, noise_multiplier, steps) in [(0.001, 0.8, 500u64), (0.01, 1.0, 10_000), (0.001, 0.6, 10_000)] {
        let mechanism = LossMechanism::PoissonGaussian { rate, noise_multiplier };
        let mut epsilon = 0.0;
        let seconds = seconds(5, || epsilon = loss::epsilon(&[(mechanism, steps)], 1e-6));
        println!(
            "  q {rate}, z {noise_multiplier}, {steps} steps: {:.1} (epsilon {})",
            seconds * 1e3,
            rounded::up(epsilon, 4)
        );
    }
}

fn seconds<T>(runs: u32, mut run: impl FnMut() -> T) -> f64 {
    std::hint::black_box(run());
    let start = Instant::now();
    for _ in 0..runs {
        std::hint::black_box(run());
    }
    start.elapsed().as_secs_f64() / f64::from(runs)
}
