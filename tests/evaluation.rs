//! Promise: evaluation means the same wherever it is done. What devices measure of themselves, added up in private, is what somebody
//! with all their data would have measured, to within the noise that was paid for; and a model's file measures like the training it
//! came from.

use sordino_simulator::assess::{self, AssessSettings, Assessment};
use sordino_simulator::experiment;
use sordino_simulator::methods::Method;
use sordino_simulator::scenario::{Epsilon, Scenario};
use sordino_simulator::world::WorldSettings;
use std::path::PathBuf;

fn scenario() -> Scenario {
    Scenario {
        world: WorldSettings { listeners: 2000, tracks: 400, artists: 80, ..WorldSettings::default() },
        population: Some(50_000),
        baselines: vec![Method::Popularity],
        curve: Vec::new(),
        measure_rounds: false,
        ..Scenario::default()
    }
}

fn assess(models: Vec<PathBuf>, metrics_epsilon: Option<f64>) -> Assessment {
    assess::run(&scenario(), &AssessSettings { models, metrics_epsilon }).expect("an assessment").0
}

#[test]
fn private_sums_agree_with_the_exact_means_within_their_noise() {
    let (silent, noisy) = (assess(Vec::new(), None), assess(Vec::new(), Some(1.0)));
    let figures = |assessment: &Assessment| assessment.federated.clone().expect("a model that devices can load");
    for figure in figures(&silent) {
        let federated = figure.federated.expect("no noise drowns anything");
        // What rounding to the grid leaves of some hundred values.
        assert!((federated - figure.central).abs() < 1e-3 * figure.central.max(1.0), "{figure:?}");
    }
    let told: Vec<_> =
        figures(&noisy).into_iter().filter_map(|f| Some((f.central, f.federated?, f.deviation?))).collect();
    assert!(told.len() > 20, "{}", told.len());
    let scores: Vec<f64> =
        told.iter().map(|(central, federated, deviation)| (federated - central) / deviation).collect();
    assert!(scores.iter().all(|z| z.abs() < 4.5), "{scores:?}");
    let spread = (scores.iter().map(|z| z * z).sum::<f64>() / scores.len() as f64).sqrt();
    assert!(spread > 0.5 && spread < 1.6, "the deviation that is told is the noise's own: {spread}");
    assert!(
        noisy.metrics_claim.is_some_and(|claim| (claim.epsilon - 1.0).abs() < 1e-6) && silent.metrics_claim.is_none()
    );
}

#[test]
fn devices_measure_what_the_evaluation_measures() {
    let assessment = assess(Vec::new(), None);
    let metrics = &assessment.methods[0].measured.metrics;
    for figure in assessment.federated.expect("a model").iter().filter(|f| f.group == "all") {
        if let Some(central) = metrics.get(&format!("{}_full", figure.metric)) {
            assert!((figure.central - central.mean).abs() < 1e-6, "{figure:?} and {central:?}");
        }
    }
    let (better, other) = (&assessment.comparisons[0], &assessment.methods[1]);
    assert!(better.with == other.name && better.paired.difference.mean > 0.0 && better.p_of_all < 0.05);
    let groups = &assessment.methods[0].groups;
    assert!(groups.iter().all(|(_, g)| g.parts.iter().map(|p| p.listeners).sum::<usize>() == assessment.listeners));
}

#[test]
fn a_models_file_measures_like_its_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bin");
    let (results, model) = experiment::run(&scenario()).expect("a run");
    std::fs::write(&path, model.expect("a model").to_bytes()).expect("written");
    let assessment = assess(vec![path.clone()], None);
    assert_eq!(assessment.methods[0].measured.metrics, results.methods["sordino"].measured.metrics);
    assert_eq!(assessment.model_sha256, results.model_sha256);
    let card = assess::of_assessment(&assessment).expect("a card").to_markdown();
    assert!(card.contains(&results.model_sha256.expect("a model")) && card.contains("gap"));
    let smaller = Scenario { world: WorldSettings { tracks: 300, ..scenario().world }, ..scenario() };
    let refused = assess::run(&smaller, &AssessSettings { models: vec![path], metrics_epsilon: Some(1.0) });
    let told = refused.expect_err("another catalogue").to_string();
    assert!(told.contains("400 tracks") && told.contains("300"), "{told}");
    let unloved = Scenario { epsilon: Epsilon(None), ..scenario() };
    let missing = AssessSettings { models: vec![folder.path().join("none.bin")], metrics_epsilon: None };
    assert!(assess::run(&unloved, &missing).is_err());
}
