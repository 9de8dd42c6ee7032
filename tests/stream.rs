//! Promise: a model can keep up with listeners and music that change, within one budget for the whole stream.

use sordino_simulator::scenario::{Auto, Epsilon, Scenario};
use sordino_simulator::stream::{StreamResults, StreamSettings, run};
use sordino_simulator::world::WorldSettings;

fn stream(world: WorldSettings, epsilon: Option<f64>, threads: usize) -> (StreamResults, String) {
    let world = WorldSettings { listeners: 3000, tracks: 500, artists: 100, days: 24, ..world };
    let scenario =
        Scenario { world, threads, epsilon: Epsilon(epsilon), population: Some(200_000), ..Scenario::default() };
    let settings = StreamSettings { step_days: Auto::Given(2), steps: 6, ..StreamSettings::default() };
    let (results, model) = run(&scenario, &settings).expect("a stream");
    (results, model.sha256())
}

fn later(results: &StreamResults, way: &str, from: usize) -> f64 {
    let way = results.ways.iter().position(|known| known == way).expect("a way of this name");
    let steps = &results.steps[from..];
    steps.iter().map(|step| step.ndcg[way].mean).sum::<f64>() / steps.len() as f64
}

#[test]
fn what_goes_on_keeps_up_where_fashion_and_music_change() {
    // Fashion changes on day 14; the stream begins on day 12.
    let changing = WorldSettings {
        joining_days: 20.0,
        new_tracks: 0.3,
        fashion_day: Some(14),
        fashion_share: 0.8,
        ..WorldSettings::default()
    };
    let (results, _) = stream(changing, None, 0);
    let (once, on) = (later(&results, "once", 2), later(&results, "going on", 2));
    assert!(on > 1.1 * once, "{on} {once}");
    assert!(results.steps.iter().skip(1).any(|step| step.joined > 50), "listeners come");
    assert!(results.steps[0].new_tracks > 0.0, "tracks appear");
}

#[test]
fn the_whole_stream_spends_one_budget_on_any_number_of_threads() {
    let (results, model) = stream(WorldSettings::default(), Some(4.0), 1);
    let claim = results.claim.expect("a claim");
    assert!((claim.epsilon - 4.0).abs() < 1e-6, "{}", claim.epsilon);
    assert_eq!(stream(WorldSettings::default(), Some(4.0), 3).1, model);
}
