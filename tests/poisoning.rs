//! Promise: a few devices that lie cannot do what they like. What holds a row down holds down what they can buy for a track, and
//! costs nobody anything.

use sordino_simulator::poisoning::{Case, PoisonResults, PoisonSettings, run};
use sordino_simulator::scenario::{Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;

fn trial(threads: usize) -> PoisonResults {
    let world = WorldSettings { listeners: 4000, tracks: 600, artists: 120, ..WorldSettings::default() };
    let scenario =
        Scenario { world, threads, epsilon: Epsilon(Some(4.0)), population: Some(100_000), ..Scenario::default() };
    run(&scenario, &PoisonSettings { shares: vec![0.005, 0.1], ..PoisonSettings::default() }).expect("trials")
}

fn case<'a>(results: &'a PoisonResults, lie: &str, bound: &str, share: f64) -> &'a Case {
    let found = results.cases.iter().find(|c| c.lie == lie && c.bound.starts_with(bound) && c.share == share);
    found.expect("a case of this name")
}

#[test]
fn rows_that_are_held_down_hold_down_what_liars_buy() {
    let results = trial(0);
    let clean = &results.cases[0];
    let (held, free) =
        (case(&results, "one row takes all", "rows", 0.005), case(&results, "one row takes all", "the vector", 0.005));
    assert!(free.exposure > 2.0 * held.exposure && free.exposure > clean.exposure + 0.01, "{free:?} {held:?}");
    // One liar in two hundred who keeps to the length is not felt.
    let flipped = case(&results, "signs are flipped", "rows", 0.005);
    assert!(flipped.lost.difference.mean < 0.1 * clean.ndcg.mean, "{flipped:?}");
    // Nothing holds a device to its length whose code is not genuine: the figures have to say so.
    let unbounded = case(&results, "signs are flipped", "none", 0.1);
    assert!(unbounded.ndcg.mean < 0.6 * clean.ndcg.mean, "{unbounded:?}");
    assert!(results.claim.as_ref().is_some_and(|claim| (claim.epsilon - 4.0).abs() < 1e-6));
    assert_eq!(trial(1).cases, results.cases);
}
