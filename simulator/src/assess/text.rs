//! The assessment as tables, for the terminal and for a page.

use super::{Assessed, Assessment, GROUP_NAMES};
use crate::output::Provenance;
use crate::report::{Bar, Figures, Series, Table, bars, experiment_page, lines, with_interval};
use sordino_shared::evaluate::Interval;
use sordino_shared::privacy::rounded;

/// The tables.
pub fn text(results: &Assessment) -> String {
    figures(results).text()
}

fn figures(results: &Assessment) -> Figures {
    let mut out = Figures::default();
    let ((simulated, population), tracks) = (results.devices, results.tracks);
    out.say(format!(
        "{simulated} devices, standing for {population}; {tracks} tracks, {} training examples; listeners tested: {}",
        results.examples, results.listeners
    ));
    results.notes.iter().for_each(|note| out.say(note));
    out.table(table("accuracy", &ACCURACY, results, |method, name| method.measured.metrics.get(name).copied()));
    out.table(table("what lists do to the catalogue", &CATALOGUE, results, |method, name| {
        let mean = *method.measured.lists.get(name)?;
        Some(Interval { mean, low: mean, high: mean, listeners: 0 })
    }));
    comparisons(&mut out, results);
    groups(&mut out, results);
    lists(&mut out, results);
    out.title("listeners' habits, as the data has them");
    if results.habits.is_empty() {
        out.say("unknown: these plays have no clock");
    } else {
        let mut table = Table::of(&["habit"]).with(["mean", "listeners"]);
        for (name, value) in &results.habits {
            table.row([name.clone(), with_interval(value), value.listeners.to_string()]);
        }
        out.table(table);
    }
    federated(&mut out, results);
    out
}

/// The page.
pub fn page(results: &Assessment, made: &Provenance) -> String {
    let ndcg = |method: &Assessed| match method.measured.metrics.get("ndcg@10_full") {
        Some(value) => Bar::mean(&method.name, *value),
        None => Bar::new(&method.name, 0.0),
    };
    let heights: Vec<Bar> = results.methods.iter().map(ndcg).collect();
    let accuracy = bars(("method", "NDCG@10 over the catalogue"), &heights);
    let mut pictures = vec![("Accuracy".to_owned(), accuracy)];
    for (place, (by, _)) in results.methods[0].groups.iter().enumerate() {
        let of = |method: &Assessed| {
            let parts = method.groups[place].1.parts.iter().enumerate();
            Series::means(&method.name, parts.map(|(third, part)| (third as f64, *part)))
        };
        let series: Vec<Series> = results.methods.iter().map(of).collect();
        let names = GROUP_NAMES.map(str::to_owned);
        pictures.push((format!("Thirds of listeners by {by}"), lines(("third", "NDCG@10"), &series, Some(&names))));
    }
    let pictures: Vec<(&str, &str)> =
        pictures.iter().map(|(title, picture)| (title.as_str(), picture.as_str())).collect();
    let of = (&results.scenario, results.devices);
    experiment_page("Sordino: an evaluation", of, made, &pictures, &figures(results))
}

fn table(
    title: &str,
    columns: &[(&str, &str)],
    results: &Assessment,
    figure: impl Fn(&Assessed, &str) -> Option<Interval>,
) -> Table {
    let mut table = Table::of(&[title]).with(columns.iter().map(|(title, _)| *title));
    for method in &results.methods {
        let cells = columns
            .iter()
            .map(|(_, name)| figure(method, name).map_or_else(|| "-".to_owned(), |value| with_interval(&value)));
        table.row(std::iter::once(method.name.clone()).chain(cells));
    }
    table
}

fn comparisons(out: &mut Figures, results: &Assessment) {
    let Some(first) = results.methods.first().filter(|_| !results.comparisons.is_empty()) else { return };
    out.title(format!("{} against the others, NDCG@10 over the catalogue, listener by listener", first.name));
    let mut table = Table::of(&["against"]).with(["difference", "p", "p, of all comparisons"]);
    for other in &results.comparisons {
        let difference = with_interval(&other.paired.difference);
        let [p, of_all] = [other.paired.p, other.p_of_all].map(|p| format!("{p:.4}"));
        table.row([other.with.clone(), difference, p, of_all]);
    }
    out.table(table);
}

fn groups(out: &mut Figures, results: &Assessment) {
    out.title("NDCG@10 over the catalogue by thirds of listeners");
    let mut table = Table::of(&["method", "thirds by"]).with(GROUP_NAMES).with(["gap", "worst/best"]);
    for method in &results.methods {
        for (by, groups) in &method.groups {
            let mut row = vec![method.name.clone(), by.clone()];
            row.extend(groups.parts.iter().map(|part| format!("{:.4}", part.mean)));
            row.push(with_interval(&groups.gap));
            row.push(format!("{:.2}", groups.worst_to_best()));
            table.row(row);
        }
    }
    out.table(table);
}

fn lists(out: &mut Figures, results: &Assessment) {
    out.title("what lists of ten are like, and what rules cost in NDCG@10 over the catalogue");
    let mut like = Table::of(&["method"]).with([
        "distance within a list",
        "kinds' divergence from the history",
        "the same, calibrated",
    ]);
    let mut rules = Table::of(&["method", "rule"]).with(["NDCG@10", "costs", "tail, share of places"]);
    for method in &results.methods {
        let kinds = method.lists.kinds.as_ref();
        let cells =
            [method.lists.diversity.as_ref(), kinds.map(|kinds| &kinds.plain), kinds.map(|kinds| &kinds.calibrated)];
        if cells.iter().any(Option::is_some) {
            let cells = cells.map(|cell| cell.map_or_else(|| "-".to_owned(), with_interval));
            like.row(std::iter::once(method.name.clone()).chain(cells));
        }
        for rule in &method.lists.constrained {
            rules.row([
                method.name.clone(),
                rule.rule.clone(),
                format!("{:.4}", rule.ndcg.mean),
                with_interval(&rule.cost),
                format!("{:.2}", rule.tail_share),
            ]);
        }
    }
    out.table(like);
    out.table(rules);
}

fn federated(out: &mut Figures, results: &Assessment) {
    let Some(figures) = &results.federated else { return };
    out.title(match &results.metrics_claim {
        Some(claim) => format!(
            "the same by private sums, epsilon {} at delta {} for one device on top of the training's",
            rounded::up(claim.epsilon, 3),
            rounded::up_small(claim.delta)
        ),
        None => "the same by sums without noise: this promises no privacy".to_owned(),
    });
    let mut table = Table::of(&["figure", "of"]).with(["central", "by sums", "noise of the sums", "devices"]);
    for figure in figures {
        let or_drowned = |value: Option<f64>| value.map_or_else(|| "drowned".to_owned(), |value| format!("{value:.4}"));
        table.row([
            figure.metric.to_string(),
            figure.group.to_string(),
            format!("{:.4}", figure.central),
            or_drowned(figure.federated),
            or_drowned(figure.deviation),
            figure.devices.to_string(),
        ]);
    }
    out.table(table);
}

// Titles and names of figures.
const ACCURACY: [(&str, &str); 5] = [
    ("NDCG@10 full", "ndcg@10_full"),
    ("HR@10 full", "hr@10_full"),
    ("recall@20 full", "recall@20_full"),
    ("MRR full", "mrr_full"),
    ("NDCG@10", "ndcg@10"),
];
const CATALOGUE: [(&str, &str); 5] = [
    ("coverage@10", "coverage@10_full"),
    ("Gini@10", "gini@10_full"),
    ("mean popularity@10, listeners", "mean_popularity@10_full"),
    ("tail@10, share of places", "tail_share@10_full"),
    ("novelty@10, bits", "novelty@10_full"),
];
