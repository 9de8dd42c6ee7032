//! The results as a table for the terminal.

use super::LargeResults;
use crate::report::{bars, claim_line, experiment_page};
use std::fmt::Write;

/// The table.
pub fn text(results: &LargeResults) -> String {
    let mut out = String::new();
    let ((simulated, population), (tracks, liked)) = (results.devices, results.tracks);
    let _ = writeln!(
        out,
        "{simulated} devices, standing for {population}; {tracks} tracks, of which anybody has liked {liked}; {} blocks of at \
         most {} tracks",
        results.blocks, results.settings.rows
    );
    let _ = writeln!(out, "{}", claim_line(results.claim.as_ref(), "", " over all of it"));
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let (values, bytes) = results.vector;
    let _ = writeln!(
        out,
        "a device sends {values} values, {:.2} MB, and holds {:.2} MB; the whole table would be {} values, {:.2} MB",
        mb(bytes),
        mb(results.device_bytes),
        results.whole_values,
        mb(bytes * results.whole_values / values.max(1))
    );
    let _ = writeln!(out, "\n{:24} {:>26} {:>10} {:>12} {:>10}", "", "NDCG@10", "HR@10", "recall@20", "coverage");
    for (name, measured) in &results.scorers {
        let ndcg = measured.metrics["ndcg@10_full"];
        let _ = writeln!(
            out,
            "{name:24} {:>26} {:>10.4} {:>12.4} {:>10.4}",
            format!("{:.4} [{:.4} {:.4}]", ndcg.mean, ndcg.low, ndcg.high),
            measured.metrics["hr@10_full"].mean,
            measured.metrics["recall@20_full"].mean,
            measured.lists["coverage@10_full"]
        );
    }
    let ((ahead, noise), shipped) = (results.ahead, if results.shipped { "the table" } else { "popularity" });
    let _ = writeln!(
        out,
        "\nby what devices hold out, the table is ahead by {ahead:.4} with noise of {noise:.4}: {shipped} is shipped"
    );
    out
}

/// The page.
pub fn page(results: &LargeResults) -> String {
    let ndcg = |(name, measured): &(String, crate::evaluation::Measured)| {
        (name.clone(), measured.metrics["ndcg@10_full"].mean)
    };
    let heights: Vec<(String, f64)> = results.scorers.iter().map(ndcg).collect();
    let quality = bars(("scorer", "NDCG@10"), &heights);
    experiment_page("Sordino: a catalogue larger than a vector", &[("Quality", &quality)], &text(results))
}
