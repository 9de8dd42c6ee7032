//! The ranker over whole populations: it learns, keeps its budget, and gives the same bits on any number of threads.

use sordino_simulator::ranking::{RankResults, RankSettings, run};
use sordino_simulator::scenario::{Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;
use sordino_tests::small;

fn settings() -> RankSettings {
    RankSettings { rounds: 40, central_rounds: 10, ..RankSettings::default() }
}

fn world(epsilon: Option<f64>) -> Scenario {
    let world = WorldSettings { listeners: 300, tracks: 150, artists: 40, ..WorldSettings::default() };
    Scenario { world, epsilon: Epsilon(epsilon), ..small() }
}

fn auc(results: &RankResults, name: &str) -> f64 {
    results.scorers.iter().find(|(known, _)| known == name).expect("a scorer of this name").1.auc
}

#[test]
fn it_ranks_better_than_the_tracks_rate_and_knows_its_odds() {
    let (results, _) = run(&world(None), &settings()).expect("a run");
    let (ours, rate) = (auc(&results, "Sordino"), auc(&results, "track's rate, exact"));
    assert!(ours > rate + 0.02, "{ours} {rate}");
    let error = results.scorers.last().expect("ours").1.calibration_error.expect("probabilities");
    // Fifteen bins of a hundred outcomes each: chance alone brings .04.
    assert!(error < 0.08, "{error}");
    assert!(results.claim.is_none());
}

#[test]
fn the_ranker_spends_no_more_than_its_budget() {
    let scenario = Scenario { population: Some(100_000), ..world(Some(2.0)) };
    let claim = run(&scenario, &settings()).expect("a run").0.claim.expect("a claim");
    assert!(claim.epsilon <= 2.0 * (1.0 + 1e-9) && claim.epsilon > 1.99, "{}", claim.epsilon);
}

#[test]
fn one_and_three_threads_give_the_same_ranker() {
    let of = |threads: usize, seed: u64| {
        let scenario = Scenario { threads, seed, population: Some(100_000), ..world(Some(4.0)) };
        let (results, ranker) = run(&scenario, &settings()).expect("a run");
        (ranker.to_bytes(), format!("{:?}", (results.scorers, results.skips)))
    };
    let alone = of(1, 1);
    assert_eq!(of(3, 1), alone);
    assert_ne!(of(3, 2).0, alone.0);
}
