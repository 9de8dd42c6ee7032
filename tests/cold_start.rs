//! The content tower over whole populations: it places tracks that nobody heard, keeps its budget, and gives the same bits on any
//! number of threads.

use sordino_simulator::cold_start::{ColdResults, ColdSettings, run};
use sordino_simulator::scenario::{Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;
use sordino_tests::small;

fn settings() -> ColdSettings {
    let small = ColdSettings { buckets: 256, dimensions: 8, rounds: 15, central_rounds: 15, ..ColdSettings::default() };
    ColdSettings { held_out: 0.2, cut: 10, ..small }
}

fn world(epsilon: Option<f64>) -> Scenario {
    let world = WorldSettings { listeners: 300, tracks: 400, artists: 60, ..WorldSettings::default() };
    Scenario { world, epsilon: Epsilon(epsilon), population: epsilon.map(|_| 100_000), ..small() }
}

fn recall(results: &ColdResults, name: &str) -> f64 {
    results.recall.iter().find(|(known, _)| known == name).expect("a scorer of this name").1.mean
}

#[test]
fn tracks_that_nobody_heard_find_their_listeners() {
    let (results, _) = run(&world(None), &settings()).expect("a run");
    let ours = recall(&results, "tower, federated without noise");
    let (chance, central) = (recall(&results, "chance"), recall(&results, "tower, central"));
    assert!(ours > 1.5 * chance && ours > 0.8 * central, "{ours} {chance} {central}");
    assert_eq!(results.tracks, (320, 80));
    assert!(results.claim.is_none());
}

#[test]
fn the_tower_spends_its_budget_and_noise_costs_quality_not_more() {
    let of = |epsilon: f64| run(&world(Some(epsilon)), &settings()).expect("a run").0;
    let (much, little) = (of(4.0), of(0.05));
    let claim = much.claim.as_ref().expect("a claim");
    assert!(claim.epsilon <= 4.0 * (1.0 + 1e-9) && claim.epsilon > 3.99, "{}", claim.epsilon);
    // What is public is left where the noise drowns all else.
    let start = recall(&much, "directions of the catalogue");
    assert!(recall(&much, "Sordino") > start && recall(&little, "Sordino") > 0.7 * start);
}

#[test]
fn one_and_three_threads_give_the_same_tower() {
    let of = |threads: usize, seed: u64| {
        let (results, tower) = run(&Scenario { threads, seed, ..world(Some(4.0)) }, &settings()).expect("a run");
        (tower.to_bytes(), format!("{:?}", results.recall))
    };
    let alone = of(1, 1);
    assert_eq!(of(3, 1), alone);
    assert_ne!(of(3, 2).0, alone.0);
}
