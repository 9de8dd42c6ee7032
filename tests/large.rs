//! Promise: what a device sends and holds is bounded by the plan, not by the catalogue, and blocks cost little of what one vector of
//! everything would learn.

use sordino_simulator::large::{LargeResults, LargeSettings, run};
use sordino_simulator::scenario::{Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;

fn scenario(tracks: usize, listeners: usize) -> Scenario {
    let world = WorldSettings { listeners, tracks, artists: tracks / 5, ..WorldSettings::default() };
    Scenario { world, population: Some(1_000_000), evaluate_listeners: 500, ..Scenario::default() }
}

fn learn(scenario: &Scenario, settings: &LargeSettings) -> LargeResults {
    run(scenario, settings).expect("a run").0
}

fn ndcg(results: &LargeResults, name: &str) -> f64 {
    results.scorers.iter().find(|(known, _)| known == name).expect("a scorer of this name").1.metrics["ndcg@10_full"]
        .mean
}

#[test]
fn a_million_tracks_cost_a_device_what_fifty_thousand_do() {
    let settings = LargeSettings { tower_rounds: 1, whole_up_to: 0, ..LargeSettings::default() };
    let of = |tracks: usize| {
        let few = Scenario { evaluate_listeners: 10, ..scenario(tracks, 1500) };
        learn(&few, &settings)
    };
    let (small, large) = (of(50_000), of(1_000_000));
    assert_eq!((small.blocks, large.blocks), (4, 62));
    assert_eq!(large.vector.0, small.vector.0);
    assert_eq!(large.vector.0, 16_384 * 16 + 16 * 17 / 2);
    assert_eq!(large.device_bytes, small.device_bytes);
    assert!(large.device_bytes < 2_000_000, "{}", large.device_bytes);
    assert!(large.whole_values > 60 * large.vector.0);
    // Smaller groups stand for fewer devices, whose sums need no more bits.
    assert!(large.vector.1 <= small.vector.1, "{} and {}", large.vector.1, small.vector.1);
}

#[test]
fn blocks_learn_nearly_what_one_vector_does() {
    let settings = LargeSettings { rows: 150, buckets: 1024, ..LargeSettings::default() };
    for epsilon in [None, Some(4.0)] {
        let results = learn(&Scenario { epsilon: Epsilon(epsilon), ..scenario(600, 6000) }, &settings);
        let (blocks, whole) = (ndcg(&results, "tower and blocks"), ndcg(&results, "the same in one vector"));
        assert_eq!(results.blocks, 4);
        assert!(blocks > 0.85 * whole && blocks > 1.3 * ndcg(&results, "popularity, by blocks"), "{blocks} {whole}");
        assert!(results.shipped, "{:?}", results.ahead);
        match epsilon {
            None => assert!(results.claim.is_none()),
            Some(epsilon) => assert!((results.claim.expect("a claim").epsilon - epsilon).abs() < 1e-6),
        }
    }
}

#[test]
fn one_and_three_threads_learn_the_same_blocks() {
    let settings = LargeSettings { rows: 100, buckets: 256, tower_rounds: 3, ..LargeSettings::default() };
    let of = |threads: usize| run(&Scenario { threads, ..scenario(300, 400) }, &settings).expect("a run").1.sha256();
    assert_eq!(of(3), of(1));
}
