//! Same seed, same bits, on any number of threads.

use sordino_shared::plan::Rotation;
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_simulator::experiment::run;
use sordino_simulator::federation::Fidelity;
use sordino_simulator::methods::Method;
use sordino_simulator::scenario::Scenario;
use sordino_tests::small;

fn hash(scenario: &Scenario) -> (String, String) {
    let (results, _) = run(scenario).expect("a run");
    let figures = format!("{:?}", results.methods.values().map(|m| &m.measured).collect::<Vec<_>>());
    (results.model_sha256.expect("a federated model"), figures)
}

#[test]
fn one_two_and_seven_threads_give_the_same_model() {
    for (method, fidelity) in [
        (Method::Sordino, Fidelity::Learning),
        (Method::Fedmf, Fidelity::Learning),
        (Method::Sordino, Fidelity::Device),
    ] {
        let scenario = Scenario { method, fidelity, threads: 1, ..small() };
        let alone = hash(&scenario);
        for threads in [2, 7] {
            assert_eq!(hash(&Scenario { threads, ..scenario.clone() }), alone, "{method:?} {fidelity:?} {threads}");
        }
        assert_ne!(hash(&Scenario { seed: 2, ..scenario.clone() }).0, alone.0, "another seed, another model");
    }
}

#[test]
fn other_mechanisms_and_modes_do_not_depend_on_threads_either() {
    let scenarios = [
        Scenario { mechanism: Mechanism::Skellam, rotation: Rotation::Hadamard, fidelity: Fidelity::Device, ..small() },
        Scenario { method: Method::Fedmf, mode: Mode::CentralMf, devices_per_round: Some(40), ..small() },
    ];
    for scenario in scenarios {
        let alone = hash(&Scenario { threads: 1, ..scenario.clone() });
        assert_eq!(hash(&Scenario { threads: 2, ..scenario }), alone);
    }
}

#[test]
fn rounds_of_some_devices_are_reproducible_too() {
    let scenario = Scenario { devices_per_round: Some(40), threads: 1, ..small() };
    assert_eq!(hash(&scenario), hash(&Scenario { threads: 2, ..scenario.clone() }));
}
