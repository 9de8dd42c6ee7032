//! The real sets, where they are: they load, and what is learnt from them beats popularity.

use sordino_simulator::experiment::run;
use sordino_simulator::methods::Method;
use sordino_simulator::population::Protocol;
use sordino_simulator::scenario::{Auto, Epsilon, Scenario};

fn scenario(kind: &str, folder: &str) -> Option<Scenario> {
    let path = sordino_tests::reference(folder)?;
    Some(Scenario {
        data: format!("{kind}:{}", path.display()),
        protocol: Protocol::Loo99,
        epsilon: Epsilon(None),
        dim: Auto::Given(16),
        rounds: Auto::Given(3),
        baselines: vec![Method::Popularity],
        curve: Vec::new(),
        measure_rounds: false,
        evaluate_listeners: 3000,
        ..Scenario::default()
    })
}

fn beats_popularity(scenario: &Scenario) {
    let (results, _) = run(scenario).expect("a run");
    let interval = |method: &str| results.methods[method].measured.metrics["ndcg@10"];
    let (ours, popularity) = (interval("sordino"), interval("popularity"));
    assert!(ours.low > popularity.high, "{}: {ours:?} {popularity:?}", scenario.data);
}

#[test]
fn movielens() {
    let Some(scenario) = scenario("movielens", "movielens-latest-small") else { return };
    beats_popularity(&scenario);
}

#[test]
fn kuairand() {
    let Some(scenario) = scenario("kuairand", "kuairand-pure") else { return };
    beats_popularity(&scenario);
    let (results, _) = run(&Scenario { method: Method::Popularity, ..scenario }).expect("a run");
    assert!(!results.summary.tally.rejected.is_empty(), "the set is known to have bad rows");
}

#[test]
fn lastfm() {
    let Some(scenario) = scenario("lastfm", "lastfm-hetrec") else { return };
    beats_popularity(&scenario);
    let time = run(&Scenario { protocol: Protocol::Time, ..scenario });
    assert!(time.expect_err("no dates").to_string().contains("no dates"));
}
