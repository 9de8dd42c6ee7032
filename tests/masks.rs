//! Rounds under masks: the same bits as without them, and what a drop-out changes.

use rand_core::Rng;
use sordino_client::label::LabelPolicy;
use sordino_shared::plan::BlockLayout;
use sordino_shared::privacy::Mechanism;
use sordino_shared::workload::{Block, Device, DeviceHalf, Statistics, Workload};
use sordino_simulator::experiment::dataset;
use sordino_simulator::federation::{Federation, Fidelity, MaskSettings, Outcome, SumNoise};
use sordino_simulator::population::{Population, Protocol};
use sordino_simulator::scenario::Scenario;
use sordino_tests::small;

// Two blocks that say something about each device.
struct Plays;

impl DeviceHalf for Plays {
    fn layout(&self) -> Vec<BlockLayout> {
        vec![BlockLayout::new("plays", 500, 1, 2.0), BlockLayout::new("one", 1, 1, 1.0)]
    }

    fn contribute(&self, device: Device<'_>, rng: &mut impl Rng) -> Statistics {
        let mut plays = vec![0.0; 500];
        device.examples.iter().for_each(|example| plays[example.track.row() % 500] += example.confidence);
        plays[0] += (rng.next_u32() % 7) as f32;
        Statistics { blocks: vec![Block::Dense(plays), Block::Dense(vec![1.0])] }
    }
}

impl Workload for Plays {
    fn apply(&mut self, _: Vec<Vec<f64>>, _: &[f64], _: f64) {}
}

fn population(listeners: usize) -> Population {
    let mut scenario = small();
    scenario.world.listeners = listeners;
    let dataset = dataset(&scenario).expect("a world");
    Population::build(&dataset, &LabelPolicy::default(), Protocol::Loo, 1).expect("a population")
}

fn round(population: &Population, change: impl FnOnce(&mut Federation)) -> Result<Outcome, String> {
    let scenario = Scenario { honest_fraction: 0.75, seed: 11, ..Scenario::default() };
    let mut federation = scenario.federation(population.devices(), population.devices());
    change(&mut federation);
    let mut memories = vec![Vec::new(); population.devices()];
    federation
        .run(&Plays, Some(0.2), population, &mut memories, 3, &mut SumNoise::Independent)
        .map_err(|error| error.to_string())
}

fn bits(outcome: &Outcome) -> Vec<u64> {
    outcome.sum.iter().flatten().map(|value| value.to_bits()).collect()
}

// On the complete graph and on a sparse one, for both laws of the noise.
#[test]
fn masks_change_no_bit_of_the_sum() {
    for listeners in [60, 330] {
        let population = population(listeners);
        for mechanism in Mechanism::ALL {
            let with = |fidelity| {
                move |federation: &mut Federation| {
                    federation.fidelity = fidelity;
                    federation.mechanism = mechanism;
                }
            };
            let plain = round(&population, with(Fidelity::Device)).expect("a round");
            let masked = round(&population, with(Fidelity::Protocol)).expect("a round");
            assert_eq!(bits(&plain), bits(&masked), "{listeners} {mechanism}");
            assert_eq!((plain.devices, plain.bits, &plain.clipped), (masked.devices, masked.bits, &masked.clipped));
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let population = population(330);
    let masks = MaskSettings { drop_out: 0.06, ..MaskSettings::default() };
    let protocol = |federation: &mut Federation| {
        federation.fidelity = Fidelity::Protocol;
        federation.masks = masks;
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| round(&population, protocol).expect("a round"))
    };
    let alone = on(1);
    assert!(alone.devices < population.devices(), "somebody dropped out before the upload");
    assert!(alone.devices as f64 > 0.9 * population.devices() as f64);
    assert_eq!(bits(&alone), bits(&on(3)));
    // The count of the survivors is in the sum, under its noise.
    let counted = alone.sum[1][0];
    assert!((counted - alone.devices as f64).abs() < 6.0 * alone.deviations[1], "{counted} {}", alone.devices);
}

#[test]
fn cohorts_no_larger_than_the_limit() {
    let population = population(100);
    let outcome = round(&population, |federation| {
        federation.fidelity = Fidelity::Protocol;
        federation.cohort = 40;
    });
    let outcome = outcome.expect("three cohorts");
    assert_eq!(outcome.devices, population.devices());
    let one = round(&population, |federation| federation.fidelity = Fidelity::Protocol).expect("one cohort");
    // Each of three sums carries the whole noise.
    let ratio = outcome.deviations[0] / one.deviations[0];
    assert!((ratio - 3f64.sqrt()).abs() < 0.1, "{ratio}");
}

#[test]
fn rounds_that_cannot_be_masked_say_why() {
    let population = population(100);
    let refused = |change: fn(&mut Federation)| {
        round(&population, |federation| {
            federation.fidelity = Fidelity::Protocol;
            change(federation);
        })
        .expect_err("refused")
    };
    let lost = refused(|federation| federation.masks.drop_out = 0.6);
    assert!(lost.contains("given up") && lost.contains("masks.drop_out"), "{lost}");
    let honest = refused(|federation| federation.honest_fraction = 1.0);
    assert!(honest.contains("honest share"), "{honest}");
}
