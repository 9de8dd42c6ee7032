//! What a person reads: a table in the terminal, and one HTML page that opens anywhere.

mod charts;
mod early;
mod map;
mod page;
mod text;

pub(crate) use charts::{Series, bars, lines, reliability};
pub use early::Early;
pub(crate) use page::experiment_page;
pub use page::{comparison_page, page};
pub use text::{comparison_text, text};

use crate::output::{MethodResult, Results};
use sordino_shared::privacy::accountant::Claim;

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

/// What a device spends, said before any figure of an experiment.
pub(crate) fn claim_line(claim: Option<&Claim>, before: &str, over: &str) -> String {
    match claim {
        Some(c) => format!("{before}epsilon {:.3} at delta {:.1e} for one device{over}", c.epsilon, c.delta),
        None => "without noise: this run promises no privacy".to_owned(),
    }
}

fn protocol_words(results: &Results) -> &'static str {
    use crate::population::Protocol;
    match results.scenario.protocol {
        Protocol::Loo => "leave one out, ranked over the whole catalogue",
        Protocol::Loo99 => "leave one out, ranked among 99 tracks drawn at random",
        Protocol::Time => "a split in time, ranked over the whole catalogue",
        Protocol::Hash => "a tenth of each listener's tracks, ranked over the whole catalogue",
    }
}
