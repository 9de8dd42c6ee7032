//! The stream as a table for the terminal and as a page with a picture.

use super::StreamResults;
use crate::report::{Series, claim_line, experiment_page, lines};
use std::fmt::Write;

/// The table.
pub fn text(results: &StreamResults) -> String {
    let mut out = String::new();
    let step = results.step_days;
    let _ = writeln!(
        out,
        "{} steps of {step} days; {} devices stand behind the whole stream; NDCG@10 over the catalogue, on what listeners like next",
        results.steps.len(),
        results.population
    );
    let _ = writeln!(
        out,
        "{}",
        claim_line(results.claim.as_ref(), "", " over the whole stream, by each way of keeping up")
    );
    let _ = write!(out, "\n{:>5} {:>8} {:>7} {:>8} {:>10}", "day", "devices", "joined", "tested", "new tracks");
    results.ways.iter().for_each(|way| {
        let _ = write!(out, " {way:>10}");
    });
    out.push_str("   d of once, anew, going on\n");
    for at in &results.steps {
        let _ =
            write!(out, "{:>5} {:>8} {:>7} {:>8} {:>10.3}", at.day, at.devices, at.joined, at.tested, at.new_tracks);
        at.ndcg.iter().for_each(|ndcg| {
            let _ = write!(out, " {:>10.4}", ndcg.mean);
        });
        let _ = writeln!(out, "   {:?}", at.dimensions);
    }
    let _ = write!(out, "\n{:>42}", "mean over the steps after the first");
    for way in 0..results.ways.len() {
        let later = &results.steps[1..];
        let mean = later.iter().map(|at| at.ndcg[way].mean).sum::<f64>() / later.len().max(1) as f64;
        let _ = write!(out, " {mean:>10.4}");
    }
    out.push('\n');
    out
}

/// The page.
pub fn page(results: &StreamResults) -> String {
    let series: Vec<Series> = results
        .ways
        .iter()
        .enumerate()
        .map(|(way, name)| Series {
            name: name.clone(),
            points: results.steps.iter().map(|at| (at.day as f64, at.ndcg[way].mean)).collect(),
        })
        .collect();
    let chart = lines(("days since the stream began", "NDCG@10"), &series, None);
    experiment_page("Sordino: a stream of listening", &[("Quality by day", &chart)], &text(results))
}
