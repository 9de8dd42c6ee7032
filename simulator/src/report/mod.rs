//! What a person reads: a table in the terminal, and one HTML page that opens anywhere.

mod charts;
mod early;
mod figures;
mod map;
mod page;
mod sections;
mod text;
pub(crate) mod words;

pub(crate) use charts::{Bar, Series, bars, lines, reliability};
pub use early::Early;
pub(crate) use figures::{Figures, Table};
pub use page::{comparison_page, page};
pub(crate) use page::{experiment_page, head, plain_page};
pub use text::{comparison_text, text};

use crate::output::{MethodResult, Results};
use sordino_shared::evaluate::Interval;
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::privacy::rounded;

/// Columns of the tables: title, figure.
const COLUMNS: [(&str, &str); 6] = [
    ("HR@10", "hr@10"),
    ("NDCG@10", "ndcg@10"),
    ("MRR", "mrr"),
    ("recall@20", "recall@20"),
    ("NDCG@10 full", "ndcg@10_full"),
    ("recall@20 full", "recall@20_full"),
];

/// Methods in the order of their NDCG, best first, the world's truth at the top.
fn ordered(results: &Results) -> Vec<(&str, &MethodResult)> {
    let ndcg = |m: &MethodResult| m.measured.metrics.get("ndcg@10").map_or(0.0, |i| i.mean);
    let mut methods: Vec<(&str, &MethodResult)> = results.methods.iter().map(|(n, m)| (n.as_str(), m)).collect();
    methods.sort_by(|a, b| ndcg(b.1).total_cmp(&ndcg(a.1)));
    methods
}

/// The methods' figures; with what lists do to the catalogue where there is room for it.
fn quality_table(results: &Results, with_lists: bool) -> Table {
    let lists: &[(&str, &str)] =
        if with_lists { &[("coverage@10", "coverage@10"), ("Gini@10", "gini@10")] } else { &[] };
    let titles = COLUMNS.iter().chain(lists).map(|(title, _)| *title).chain(["seconds", "updates/s"]);
    let mut table = Table::of(&["method"]).with(titles);
    for (name, method) in ordered(results) {
        let mut row = vec![name.to_owned()];
        row.extend(COLUMNS.iter().map(|(_, figure)| cell(method.measured.metrics.get(*figure))));
        row.extend(
            lists.iter().map(|(_, of)| method.measured.lists.get(*of).map_or("-".to_owned(), |v| format!("{v:.3}"))),
        );
        row.push(format!("{:.3}", method.seconds_training));
        row.push(method.device_updates_per_second.map_or("-".to_owned(), |u| format!("{u:.0}")));
        table.row(row);
    }
    table
}

/// A mean with half of its interval.
fn cell(of: Option<&Interval>) -> String {
    of.map_or("-".to_owned(), |i| format!("{:.4} ±{:.4}", i.mean, (i.high - i.low) / 2.0))
}

/// A mean with its interval, as experiments print it.
pub(crate) fn with_interval(of: &Interval) -> String {
    if of.low == of.high {
        format!("{:.4}", of.mean)
    } else {
        format!("{:.4} [{:.4}, {:.4}]", of.mean, of.low, of.high)
    }
}

/// Who is tested, and why others are not.
fn tested(results: &Results) -> String {
    let protocol = results.scenario.protocol;
    let of = |m: &MethodResult| (m.measured.metrics.get("ndcg@10").map_or(0, |i| i.listeners), m.measured.without_test);
    let (tested, without) = results.methods.values().next().map_or((0, 0), of);
    let mut words =
        format!("Protocol: {}. {tested} of {} listeners are tested", words::protocol(protocol), results.devices);
    if without > 0 {
        words += &format!("; {without} have no track to test with: {}", words::untested(protocol));
    }
    let left = results.devices.saturating_sub(tested + without);
    if left > 0 {
        words += &format!(
            "; {left} more were left out by lot (evaluate_listeners = {})",
            results.scenario.evaluate_listeners
        );
    }
    words + "."
}

/// What a device spends, said before any figure of an experiment.
pub(crate) fn claim_line(claim: Option<&Claim>, before: &str, over: &str) -> String {
    match claim {
        Some(c) => format!(
            "{before}epsilon {} at delta {} for one device{over}",
            rounded::up(c.epsilon, 3),
            rounded::up_small(c.delta)
        ),
        None => "without noise: this run promises no privacy".to_owned(),
    }
}
