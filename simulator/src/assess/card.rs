//! Model cards of what was trained or evaluated here.

use super::{Assessment, GROUP_NAMES};
use crate::error::Result;
use crate::evaluation::Measured;
use crate::output::Results;
use crate::population::Summary;
use crate::report::words;
use crate::scenario::Scenario;
use sordino_client::label::LabelPolicy;
use sordino_shared::evaluate::Interval;
use sordino_shared::model::{CardFigure, ModelCard};
use sordino_shared::privacy::rounded;

/// The card of a run's model; `None` where the run has no model.
pub fn of_run(results: &Results) -> Result<Option<ModelCard>> {
    let Some(sha256) = results.model_sha256.clone() else { return Ok(None) };
    let method = &results.methods[results.scenario.method.name()];
    let figures = ["least active", "middle", "most active"].iter().zip(&method.measured.by_activity);
    let groups = figures.map(|(name, value)| CardFigure { name: format!("NDCG@10, {name} third"), value: *value });
    Ok(Some(ModelCard {
        model: model(&results.scenario, method.dimensions, &method.settings),
        sha256,
        data: data(&results.scenario, &results.summary, results.tracks, results.examples),
        labels: labels(&results.scenario.policy()?),
        metrics: metrics(&method.measured),
        groups: groups.collect(),
        privacy: results.notes.clone(),
        limits: limits(&results.scenario, results.devices < results.population),
    }))
}

/// The card of an assessment's first method; `None` where that has no model.
pub fn of_assessment(results: &Assessment) -> Option<ModelCard> {
    let (sha256, first) = (results.model_sha256.clone()?, results.methods.first()?);
    let groups = first.groups.iter().flat_map(|(by, groups)| {
        let parts = GROUP_NAMES.iter().zip(&groups.parts);
        let parts =
            parts.map(move |(name, value)| CardFigure { name: format!("NDCG@10, {by}: {name}"), value: *value });
        parts.chain([CardFigure { name: format!("NDCG@10, {by}: gap"), value: groups.gap }])
    });
    let mut metrics = metrics(&first.measured);
    let kinds = first.lists.kinds.iter().map(|kinds| ("kinds' divergence from the history".to_owned(), kinds.plain));
    let rules = first.lists.constrained.iter().map(|rule| (format!("NDCG@10 lost to: {}", rule.rule), rule.cost));
    metrics.extend(kinds.chain(rules).map(|(name, value)| CardFigure { name, value }));
    let mut privacy = results.notes.clone();
    privacy.extend(results.metrics_claim.as_ref().map(|claim| {
        format!(
            "Measuring it by private sums costs a device epsilon {} at delta {} more, under the same assumptions.",
            rounded::up(claim.epsilon, 3),
            rounded::up_small(claim.delta)
        )
    }));
    let (simulated, population) = results.devices;
    Some(ModelCard {
        model: format!("{}: {}", first.name, first.settings),
        sha256,
        data: data(&results.scenario, &results.summary, results.tracks, results.examples),
        labels: labels(&results.policy),
        metrics,
        groups: groups.collect(),
        privacy,
        limits: limits(&results.scenario, simulated < population),
    })
}

fn model(scenario: &Scenario, dimensions: usize, settings: &str) -> String {
    let kind = match dimensions {
        0 => "Private popularity, the same for everybody".to_owned(),
        d => format!("Track embeddings of {d} dimensions with private popularity beside them"),
    };
    format!("{kind}; trained by {} ({settings})", scenario.method.name())
}

fn data(scenario: &Scenario, summary: &Summary, tracks: usize, examples: usize) -> Vec<String> {
    let withheld: u64 = summary.flagged.values().sum();
    let kept: u64 = summary.kinds.values().sum();
    // Only the kind: a path is nobody's business.
    let source = scenario.data.split(':').next().unwrap_or_default();
    vec![
        format!("source: {source}; {} devices, {tracks} tracks, {examples} training examples", summary.devices),
        format!(
            "{kept} events kept; {withheld} devices withheld as bots, {} without anything to learn from",
            summary.silent
        ),
        format!("held out: {}; what is held out never trains", words::protocol(scenario.protocol)),
    ]
}

fn labels(policy: &LabelPolicy) -> Vec<String> {
    let mut lines = vec![format!("policy version {}, the first rule that speaks of an event decides", policy.version)];
    lines.extend(policy.rules.iter().enumerate().map(|(place, rule)| {
        let confidence = policy.confidence_of(rule.label, Some(place));
        let weight = if confidence > 0.0 { format!(", confidence {confidence}") } else { String::new() };
        format!("{}: {}{weight}", rule.name, rule.label.name())
    }));
    lines
}

fn metrics(measured: &Measured) -> Vec<CardFigure> {
    let shown = measured.metrics.iter().filter(|(name, _)| name.ends_with("_full") || name.as_str() == "ndcg@10");
    let mut figures: Vec<CardFigure> =
        shown.map(|(name, value)| CardFigure { name: name.clone(), value: *value }).collect();
    let listeners = measured.metrics.get("ndcg@10").map_or(0, |value| value.listeners);
    figures.extend(measured.lists.iter().map(|(name, &mean)| CardFigure {
        name: name.clone(),
        value: Interval { mean, low: mean, high: mean, listeners },
    }));
    figures
}

fn limits(scenario: &Scenario, scaled: bool) -> Vec<String> {
    let mut limits = vec![
        "Measured by what listeners chose themselves, not by what they chose among recommendations: offline figures do not \
         tell an effect on anybody."
            .to_owned(),
        "Listeners differ from those of the data; groups other than those above were not looked at.".to_owned(),
        "It recommends music. It says nothing of a person that anything else should be decided by.".to_owned(),
        "A malicious device's influence is bounded by the clip only as far as devices run genuine code.".to_owned(),
    ];
    if scenario.data == "synthetic" {
        limits.push("The listeners are synthetic: figures compare methods and promise nothing for people.".to_owned());
    }
    if scaled {
        limits.push("The noise was scaled to more devices than were simulated.".to_owned());
    }
    limits
}
