//! Labels against what listeners said: order, budget, and the same bits on any number of threads.

use sordino_client::label::LabelPolicy;
use sordino_simulator::labels::{LabelResults, LabelSettings, run};
use sordino_simulator::scenario::{Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;
use sordino_tests::{reference, small};

fn world(epsilon: Option<f64>) -> Scenario {
    let world = WorldSettings { listeners: 2_000, tracks: 200, artists: 40, ..WorldSettings::default() };
    Scenario { world, epsilon: Epsilon(epsilon), population: epsilon.map(|_| 100_000), ..small() }
}

fn like_dislike(results: &LabelResults, name: &str) -> f64 {
    results.scorers.iter().find(|(known, _)| known == name).expect("a scorer of this name").1.like_dislike
}

#[test]
fn counts_order_plays_and_spend_their_budget() {
    let results = run(&world(Some(4.0)), &LabelSettings::default()).expect("a run");
    assert!(like_dislike(&results, "Sordino") > 0.9 && like_dislike(&results, "counts, exact") > 0.9);
    assert!(results.calibration_error < 0.02, "{}", results.calibration_error);
    let claim = results.claim.expect("a claim");
    assert!(claim.epsilon <= 4.0 * (1.0 + 1e-9) && claim.epsilon > 3.99, "{}", claim.epsilon);
    let yes = |name: &str| results.rules.iter().find(|rule| rule.name == name).expect("a rule of this name").yes;
    assert!(yes("full play") > yes("skip under 10 s") + 0.3);
    // In this world a yes follows what was played whole; the policy that is written says so and can be read again.
    let policy = LabelPolicy::from_toml(&results.policy.to_toml()).expect("a policy");
    let own = |name: &str| policy.rules.iter().find(|rule| rule.name == name).expect("a rule of this name").confidence;
    assert!(own("full play") > own("half play") && own("half play").is_some() && own("like").is_none());
}

#[test]
fn one_and_three_threads_count_the_same() {
    let of = |threads: usize, seed: u64| {
        let results = run(&Scenario { threads, seed, ..world(Some(4.0)) }, &LabelSettings::default()).expect("a run");
        format!("{:?}", (results.scorers, results.reliability, results.rules))
    };
    assert_eq!(of(3, 1), of(1, 1));
    assert_ne!(of(3, 2), of(1, 1));
}

// The played ratio alone orders likes above dislikes with an AUC of .764 on this set.
#[test]
fn on_real_plays_counts_are_above_the_played_ratio() {
    let Some(folder) = reference("kuairand-pure") else { return };
    let data = format!("kuairand:{}", folder.display());
    let scenario = Scenario { data, epsilon: Epsilon(None), ..Scenario::default() };
    let results = run(&scenario, &LabelSettings::default()).expect("a run");
    let (ours, fraction) = (like_dislike(&results, "counts, exact"), like_dislike(&results, "played fraction"));
    assert!(ours > 0.764 && ours > fraction - 0.005, "{ours} {fraction}");
}
