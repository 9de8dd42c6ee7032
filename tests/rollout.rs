//! Promise: gates err no more often than they say, whatever is watched and however often, and a method that forgets the noise of its
//! sums is found out.

use sordino_simulator::rollout::{Ends, RolloutResults, RolloutSettings, run};

const RUNS: usize = 1500;

fn rates<'a>(results: &'a RolloutResults, name: &str) -> &'a Ends {
    results.rates.iter().find(|rates| rates.candidate.name == name).expect("a candidate of this name")
}

// Three standard errors of a share over this many rollouts.
fn slack(share: f64) -> f64 {
    3.0 * (share * (1.0 - share) / RUNS as f64).sqrt()
}

#[test]
fn gates_keep_their_errors_and_see_what_is_bad() {
    for devices in [1_000_000, 10_000_000] {
        let results = run(&RolloutSettings { devices, runs: RUNS, ..RolloutSettings::default() }).expect("rollouts");
        let fine = rates(&results, "the same model");
        assert!(fine.aborted <= 0.05 + slack(0.05), "{fine:?}");
        assert!(fine.promoted > 0.7, "{fine:?}");
        let margin = rates(&results, "skips worse by the margin");
        assert!(margin.promoted <= 0.05 + slack(0.05), "{margin:?}");
        for bad in ["badly broken", "skips worse by two points", "unfair to a tenth", "decaying"] {
            let bad = rates(&results, bad);
            assert!(bad.promoted < 0.01 && bad.aborted > 0.95, "{bad:?}");
        }
        // The negative control: without the sums' noise in the variance the same model is taken for a bad one.
        assert!(fine.aborted_without_noise > 0.2, "{fine:?}");
    }
}

#[test]
fn what_was_not_seen_is_not_passed() {
    // A thousand devices an arm and look: noise hides two points of skips, and nobody is told otherwise.
    let blind = RolloutSettings { devices: 66_700, stages: vec![0.25], runs: RUNS, ..RolloutSettings::default() };
    let results = run(&blind).expect("rollouts");
    for name in ["skips worse by the margin", "skips worse by two points", "badly broken"] {
        let bad = rates(&results, name);
        assert!(bad.promoted <= 0.05 + slack(0.05), "{bad:?}");
    }
    assert!(rates(&results, "the same model").held > 0.9, "nobody knows, so it is held");
    assert!(rates(&results, "badly broken").aborted > 0.95);
}

#[test]
fn the_same_seed_rolls_out_the_same() {
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| run(&RolloutSettings { runs: 60, ..RolloutSettings::default() }).expect("rollouts"))
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn fleets_that_cannot_be_judged_are_refused() {
    let refused = |settings: RolloutSettings| run(&settings).expect_err("refused").to_string();
    assert!(refused(RolloutSettings { devices: 50_000, ..RolloutSettings::default() }).contains("first stage"));
    assert!(refused(RolloutSettings { stages: vec![0.25, 0.05], ..RolloutSettings::default() }).contains("grow"));
    assert!(refused(RolloutSettings { stages: vec![0.6], ..RolloutSettings::default() }).contains("0.5"));
}
