//! A federation between a server and devices over QUIC, and the simulator: the same model, to the bit.

use sordino_client::label::LabelPolicy;
use sordino_coordinator::planner::{Fleet, Schedule};
use sordino_coordinator::store::{Store, verify};
use sordino_device::swarm;
use sordino_shared::model::Hyperparameters;
use sordino_shared::plan::Rotation;
use sordino_shared::privacy::accountant::Target;
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_shared::secagg::digest;
use sordino_simulator::experiment::dataset;
use sordino_simulator::federation::{Federation, Fidelity, MaskSettings, NoiseFrom};
use sordino_simulator::methods;
use sordino_simulator::population::{Population, Protocol};
use sordino_tests::small;
use sordino_tests::trial::{Trial, run, seeded_vectors};
use std::sync::Arc;
use tokio::sync::watch;

const SEED: u64 = 11;
const EPSILON: f64 = 30.0;
const DELTA: f64 = 1e-6;

fn population(listeners: usize) -> Arc<Population> {
    let mut scenario = small();
    scenario.seed = SEED;
    scenario.world.listeners = listeners;
    scenario.world.tracks = 60;
    let dataset = dataset(&scenario).expect("a world");
    Arc::new(Population::build(&dataset, &LabelPolicy::default(), Protocol::Loo, SEED).expect("a population"))
}

fn task(devices: usize) -> String {
    format!(
        "name = \"test\"\nworkload = \"embedding\"\n[catalogue]\ntracks = 60\n[privacy]\nepsilon = {EPSILON:?}\ndelta = {DELTA:?}\n\
         [cohort]\ndevices = {devices}\n[training]\ndimensions = 4\nrounds = 3\nseed = {SEED}\nleast_rotated = 256\n\
         [schedule]\npause_seconds = 0\nadvertise_seconds = 60\nshare_seconds = 60\nupload_seconds = 60\nagree_seconds = 60\n\
         unmask_seconds = 60\n"
    )
}

/// The same training in the simulator.
fn simulated(population: &Population) -> Vec<u8> {
    let devices = population.devices();
    let masks = MaskSettings::default();
    let federation = Federation {
        mode: Mode::Secure,
        mechanism: Mechanism::DiscreteGaussian,
        fidelity: Fidelity::Device,
        noise_from: NoiseFrom::Seed,
        simulated: devices,
        population: devices,
        cohort: devices,
        honest_fraction: masks.honest_fraction(),
        masks,
        devices_per_round: None,
        rotation: Rotation::Hadamard,
        strategy: None,
        poison: None,
        seed: SEED,
    };
    let rho = Target::new(EPSILON, DELTA).expect("a target").rho(Mechanism::DiscreteGaussian);
    let schedule = Schedule::new(&Fleet {
        devices,
        cohort: devices,
        honest_fraction: masks.honest_fraction(),
        tracks: 60,
        mode: Mode::Secure,
        rho: Some(rho),
        has_content: false,
        dimensions: Some(4),
        rounds: Some(3),
    });
    let content = sordino_shared::model::Content::default().dense(60, 32);
    let watch = |_: &dyn methods::Scorer| None;
    let trained = methods::train_sordino(
        &federation,
        population,
        &content,
        schedule,
        Some(rho),
        Hyperparameters::default(),
        &watch,
    );
    trained.expect("a training").model.to_bytes()
}

#[test]
fn the_model_is_the_simulators_to_the_bit() {
    let population = population(40);
    let trial = Trial::new(|_| ());
    trial.task(&task(population.devices()));
    run(async {
        let server = trial.serve().await;
        let federation = trial.federation(server.address().expect("a port"));
        let (endpoint, devices) = trial.devices(&federation, seeded_vectors(&population, SEED)).await;
        let (seen, _) = watch::channel(None);
        let tally = swarm::run(&endpoint, &federation, devices, &seen).await.expect("it ends");
        let done = tally.done.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(done, 5 * population.devices() as u64, "everybody took part in every round");
        server.stop().await;
    });
    let store = trial.store();
    let version = store.versions().expect("a store").pop().expect("a version");
    let expected = simulated(&population);
    assert_eq!(version.digest, sordino_shared::control::hexadecimal(&digest(&expected)));
    let exported = std::fs::read(trial.path().join("models").join(&version.digest)).expect("its file");
    assert_eq!(exported, expected);
    verify(&store.audit().expect("a log")).expect("an unbroken log");
    // The population has paid for every round what each of its devices has.
    let balance = trial.balance();
    let rho: f64 = store.aggregates("test").expect("sums").iter().map(|aggregate| aggregate.rho).sum();
    assert_eq!(balance.releases, 5);
    assert!((balance.rho - rho).abs() < 1e-9 && balance.epsilon <= EPSILON, "{balance:?} {rho}");
}
