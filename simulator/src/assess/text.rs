//! The assessment as tables for the terminal.

use super::{Assessed, Assessment, GROUP_NAMES};
use crate::report::{Series, bars, experiment_page, lines};
use sordino_shared::evaluate::Interval;
use std::fmt::Write;

/// The tables.
pub fn text(results: &Assessment) -> String {
    let mut out = String::new();
    let ((simulated, population), tracks) = (results.devices, results.tracks);
    let _ = writeln!(
        out,
        "{simulated} devices, standing for {population}; {tracks} tracks, {} training examples; listeners tested: {}",
        results.examples, results.listeners
    );
    results.notes.iter().for_each(|note| {
        let _ = writeln!(out, "{note}");
    });
    table(&mut out, "accuracy", &ACCURACY, results, |method, name| method.measured.metrics.get(name).copied());
    table(&mut out, "what lists do to the catalogue", &CATALOGUE, results, |method, name| {
        let mean = *method.measured.lists.get(name)?;
        Some(Interval { mean, low: mean, high: mean, listeners: 0 })
    });
    comparisons(&mut out, results);
    groups(&mut out, results);
    lists(&mut out, results);
    let _ = writeln!(out, "\nlisteners' habits, as the data has them");
    if results.habits.is_empty() {
        let _ = writeln!(out, "  unknown: these plays have no clock");
    }
    for (name, value) in &results.habits {
        let _ = writeln!(out, "  {name:24} {} over {} listeners", interval(value), value.listeners);
    }
    federated(&mut out, results);
    out
}

/// The page.
pub fn page(results: &Assessment) -> String {
    let ndcg = |method: &Assessed| method.measured.metrics.get("ndcg@10_full").map_or(0.0, |value| value.mean);
    let heights: Vec<(String, f64)> =
        results.methods.iter().map(|method| (method.name.clone(), ndcg(method))).collect();
    let accuracy = bars(("method", "NDCG@10 over the catalogue"), &heights);
    let mut pictures = vec![("Accuracy".to_owned(), accuracy)];
    for (place, (by, _)) in results.methods[0].groups.iter().enumerate() {
        let of = |method: &Assessed| Series {
            name: method.name.clone(),
            points: method.groups[place]
                .1
                .parts
                .iter()
                .enumerate()
                .map(|(third, part)| (third as f64, part.mean))
                .collect(),
        };
        let series: Vec<Series> = results.methods.iter().map(of).collect();
        let names = GROUP_NAMES.map(str::to_owned);
        pictures.push((format!("Thirds of listeners by {by}"), lines(("third", "NDCG@10"), &series, Some(&names))));
    }
    let pictures: Vec<(&str, &str)> =
        pictures.iter().map(|(title, picture)| (title.as_str(), picture.as_str())).collect();
    experiment_page("Sordino: an evaluation", &pictures, &text(results))
}

fn table(
    out: &mut String,
    title: &str,
    names: &[&str],
    results: &Assessment,
    figure: impl Fn(&Assessed, &str) -> Option<Interval>,
) {
    let _ = write!(out, "\n{title:24}");
    names.iter().for_each(|name| {
        let _ = write!(out, " {name:>23}");
    });
    for method in &results.methods {
        let _ = write!(out, "\n{:24}", method.name);
        for name in names {
            let _ =
                write!(out, " {:>23}", figure(method, name).map_or_else(|| "-".to_owned(), |value| interval(&value)));
        }
    }
    out.push('\n');
}

fn comparisons(out: &mut String, results: &Assessment) {
    let Some(first) = results.methods.first().filter(|_| !results.comparisons.is_empty()) else { return };
    let _ = writeln!(out, "\n{} against the others, NDCG@10 over the catalogue, listener by listener", first.name);
    for other in &results.comparisons {
        let difference = interval(&other.paired.difference);
        let _ = writeln!(
            out,
            "  against {:24} {difference:>24}  p {:.4}, of all comparisons {:.4}",
            other.with, other.paired.p, other.p_of_all
        );
    }
}

fn groups(out: &mut String, results: &Assessment) {
    let _ = writeln!(out, "\nNDCG@10 over the catalogue by thirds of listeners");
    for method in &results.methods {
        for (by, groups) in &method.groups {
            let _ = write!(out, "  {:16} {by:20}", method.name);
            for (name, part) in GROUP_NAMES.iter().zip(&groups.parts) {
                let _ = write!(out, " {name} {:.4}", part.mean);
            }
            let _ = writeln!(out, "  gap {}  worst/best {:.2}", interval(&groups.gap), groups.worst_to_best());
        }
    }
}

fn lists(out: &mut String, results: &Assessment) {
    let _ = writeln!(out, "\nwhat lists of ten are like, and what rules cost in NDCG@10 over the catalogue");
    for method in &results.methods {
        if let Some(diversity) = &method.lists.diversity {
            let _ = writeln!(out, "  {:16} distance within a list {}", method.name, interval(diversity));
        }
        if let Some(kinds) = &method.lists.kinds {
            let (plain, calibrated) = (interval(&kinds.plain), interval(&kinds.calibrated));
            let _ = writeln!(
                out,
                "  {:16} kinds' divergence from the history {plain}, calibrated {calibrated}",
                method.name
            );
        }
        for rule in &method.lists.constrained {
            let _ = writeln!(
                out,
                "  {:16} {:40} {:.4}, costs {}; tail {:.2}",
                method.name,
                rule.rule,
                rule.ndcg.mean,
                interval(&rule.cost),
                rule.tail_share
            );
        }
    }
}

fn federated(out: &mut String, results: &Assessment) {
    let Some(figures) = &results.federated else { return };
    let _ = match &results.metrics_claim {
        Some(claim) => writeln!(
            out,
            "\nthe same by private sums, epsilon {:.3} at delta {:.1e} for one device on top of the training's",
            claim.epsilon, claim.delta
        ),
        None => writeln!(out, "\nthe same by sums without noise: this promises no privacy"),
    };
    let _ = writeln!(out, "  {:24} {:20} {:>9} {:>9} {:>9} {:>8}", "", "", "central", "sums", "noise", "devices");
    for figure in figures {
        let or_drowned = |value: Option<f64>| value.map_or_else(|| "drowned".to_owned(), |value| format!("{value:.4}"));
        let _ = writeln!(
            out,
            "  {:24} {:20} {:>9.4} {:>9} {:>9} {:>8}",
            figure.metric,
            figure.group,
            figure.central,
            or_drowned(figure.federated),
            or_drowned(figure.deviation),
            figure.devices
        );
    }
}

fn interval(value: &Interval) -> String {
    if value.low == value.high {
        return format!("{:.4}", value.mean);
    }
    format!("{:.4} [{:.4} {:.4}]", value.mean, value.low, value.high)
}

const ACCURACY: [&str; 5] = ["ndcg@10_full", "hr@10_full", "recall@20_full", "mrr_full", "ndcg@10"];
const CATALOGUE: [&str; 5] =
    ["coverage@10_full", "gini@10_full", "mean_popularity@10_full", "tail_share@10_full", "novelty@10_full"];
