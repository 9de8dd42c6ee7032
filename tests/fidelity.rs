//! One draw for the sum and one for each device: the same distribution, and the variance that the plan promises.

use sordino_client::label::LabelPolicy;
use sordino_shared::model::{Example, Hyperparameters, Solver};
use sordino_shared::plan::{BlockLayout, Rotation};
use sordino_shared::privacy::{Mechanism, Mode, Samplers};
use sordino_shared::workload::{Block, Device, DeviceHalf, Popularity, Statistics, Workload};
use sordino_simulator::experiment::dataset;
use sordino_simulator::federation::{Federation, Fidelity, MaskSettings, NoiseFrom, SumNoise};
use sordino_simulator::population::{Population, Protocol};
use sordino_tests::small;

// Sends nothing: what comes out of the sum is its noise.
struct Silence;

impl DeviceHalf for Silence {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("silence", 4000, 1, 1.0)]
    }

    fn contribute(&self, _: Device<'_>, _: &mut impl rand_core::Rng) -> Statistics {
        Statistics { blocks: vec![Block::Dense(vec![0.0; 4000])] }
    }
}

impl Workload for Silence {
    fn apply(&mut self, _: Vec<Vec<f64>>, _: &[f64], _: f64) {}
}

fn population() -> Population {
    let mut scenario = small();
    scenario.world.listeners = 40;
    let dataset = dataset(&scenario).expect("a world");
    Population::build(&dataset, &LabelPolicy::default(), Protocol::Loo, 1).expect("a population")
}

fn federation(fidelity: Fidelity, mode: Mode, noise_from: NoiseFrom) -> Federation {
    Federation {
        mode,
        mechanism: Mechanism::DiscreteGaussian,
        rotation: Rotation::None,
        fidelity,
        noise_from,
        simulated: 40,
        population: 40_000,
        cohort: 10_000,
        honest_fraction: 1.0,
        masks: MaskSettings::default(),
        devices_per_round: None,
        strategy: None,
        poison: None,
        seed: 5,
    }
}

fn noise(fidelity: Fidelity, mode: Mode, from: NoiseFrom, population: &Population) -> (Vec<f64>, f64) {
    let mut memories = vec![Vec::new(); population.devices()];
    let outcome = federation(fidelity, mode, from)
        .run(&Silence, Some(0.1), population, &mut memories, 0, &mut SumNoise::Independent)
        .expect("a round");
    (outcome.sum.into_iter().flatten().collect(), outcome.deviations[0])
}

fn deviation(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
}

// The largest distance between two empirical distributions.
fn kolmogorov_smirnov(a: &mut [f64], b: &mut [f64]) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let share = |sorted: &[f64], v: f64| sorted.partition_point(|&x| x <= v) as f64 / sorted.len() as f64;
    a.iter().chain(b.iter()).map(|&v| (share(a, v) - share(b, v)).abs()).fold(0.0, f64::max)
}

#[test]
fn both_fidelities_have_the_same_distribution_and_the_promised_variance() {
    let population = population();
    for mode in [Mode::Secure, Mode::Local] {
        let (mut sum, promised) = noise(Fidelity::Learning, mode, NoiseFrom::Seed, &population);
        let (mut shares, same) = noise(Fidelity::Device, mode, NoiseFrom::Seed, &population);
        assert_eq!(promised, same);
        // A standard error of a deviation from 4,000 draws is 1.1 %.
        for values in [&sum, &shares] {
            assert!((deviation(values) / promised - 1.0).abs() < 0.06, "{mode:?}: {} {promised}", deviation(values));
        }
        // c(1e-6) sqrt(2 / 4000) = 2.7 * .0224
        let distance = kolmogorov_smirnov(&mut sum, &mut shares);
        assert!(distance < 0.06, "{mode:?}: {distance}");
    }
}

// Skellam noise and rotated blocks come out of the same rounds with the same deviation.
#[test]
fn the_second_mechanism_and_rotation_keep_the_promised_variance() {
    let population = population();
    let base = federation(Fidelity::Device, Mode::Secure, NoiseFrom::Seed);
    for federation in [
        Federation { mechanism: Mechanism::Skellam, ..base.clone() },
        Federation { rotation: Rotation::Hadamard, ..base.clone() },
        Federation { mechanism: Mechanism::Skellam, rotation: Rotation::Hadamard, ..base },
    ] {
        let mut memories = vec![Vec::new(); population.devices()];
        let outcome = federation
            .run(&Silence, Some(0.1), &population, &mut memories, 0, &mut SumNoise::Independent)
            .expect("a round");
        let ratio = deviation(&outcome.sum[0]) / outcome.deviations[0];
        assert!(outcome.sum[0].len() == 4000 && (ratio - 1.0).abs() < 0.06, "{federation:?}: {ratio}");
    }
}

#[test]
fn devices_with_randomness_of_their_own_agree() {
    let population = population();
    let (mut ours, promised) = noise(Fidelity::Device, Mode::Secure, NoiseFrom::Seed, &population);
    let (mut theirs, _) = noise(Fidelity::Device, Mode::Secure, NoiseFrom::Device, &population);
    assert!((deviation(&theirs) / promised - 1.0).abs() < 0.06);
    assert!(kolmogorov_smirnov(&mut ours, &mut theirs) < 0.06);
}

#[test]
fn the_noise_on_the_average_follows_cohorts_and_population() {
    let population = population();
    let n = population.devices() as f64;
    let deviation = |devices: usize, cohort: usize| {
        let federation =
            Federation { population: devices, cohort, ..federation(Fidelity::Learning, Mode::Secure, NoiseFrom::Seed) };
        let plan = federation.plan(&Silence, Some(0.1), population.devices(), 1).expect("a plan");
        plan.blocks()[0].sum_deviation(population.devices())
    };
    let full = (1.0f64 / 0.2).sqrt();
    for (devices, cohort, cohorts) in [(40_000, 40_000, 1.0f64), (40_000, 10_000, 4.0), (45_000, 10_000, 5.0)] {
        let expected = full * cohorts.sqrt() * n / devices as f64;
        let got = deviation(devices, cohort);
        assert!(got >= expected && got < expected * 1.02, "{devices} {cohort}: {got} {expected}");
    }
}

// A round of some devices stands for as many of the population, and its sum carries the whole noise of a cohort.
#[test]
fn a_round_of_some_devices_has_no_less_noise() {
    let secure = federation(Fidelity::Learning, Mode::Secure, NoiseFrom::Seed);
    let whole = Federation { population: 40, cohort: 40, ..secure };
    let some = Federation { devices_per_round: Some(10), ..whole.clone() };
    let deviation = |federation: &Federation, devices: usize| {
        let plan = federation.plan(&Silence, Some(0.1), devices, 1).expect("a plan");
        plan.blocks()[0].sum_deviation(devices)
    };
    let full = (1.0f64 / 0.2).sqrt();
    assert_eq!((whole.participants(), some.participants()), (40, 10));
    assert!(deviation(&whole, 40) >= full && deviation(&some, 10) >= full, "{}", deviation(&some, 10));
}

#[test]
fn a_track_that_nobody_played_gets_noise_too() {
    let workload = Popularity::new(200, Hyperparameters::default());
    let statistics = workload.contribute(
        Device {
            examples: &[Example { track: sordino_shared::ids::TrackId(3), confidence: 1.0 }],
            ..Device::new(&mut Vec::new(), &mut Solver::default())
        },
        &mut sordino_tests::rng(1),
    );
    let plan =
        federation(Fidelity::Device, Mode::Secure, NoiseFrom::Seed).plan(&workload, Some(0.1), 40, 1).expect("a plan");
    let clipped = sordino_shared::privacy::Clipped::new(statistics, &plan);
    let rounded = sordino_shared::privacy::Rounded::new(&clipped, &plan, &mut sordino_tests::rng(2));
    let samplers = Samplers::new(&plan).expect("samplers");
    let noised = sordino_shared::privacy::Noised::new(&rounded, &samplers, &mut sordino_tests::rng(3));
    let touched = noised.blocks()[0].iter().filter(|&&v| v != 0).count();
    assert!(touched > 180, "dense noise leaves hardly a value at zero: {touched} of 200");
}
