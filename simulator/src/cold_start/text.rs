//! The results as a table for the terminal.

use super::ColdResults;
use crate::report::{bars, claim_line, experiment_page};
use std::fmt::Write;

/// The table.
pub fn text(results: &ColdResults) -> String {
    let mut out = String::new();
    let ((simulated, population), (known, held)) = (results.devices, results.tracks);
    let _ = writeln!(
        out,
        "{simulated} devices, standing for {population}; {known} tracks to learn from, {held} held out whole, of {} of them \
         nothing is public",
        results.bare
    );
    let _ = writeln!(
        out,
        "{}",
        claim_line(results.claim.as_ref(), "Sordino: ", " over all rounds; everything else below is without noise")
    );
    let _ = writeln!(out, "\n{:42} {:>26}", "held-out tracks ranked by", format!("recall@{}", results.settings.cut));
    for (name, recall) in &results.recall {
        let value = format!("{:.4} [{:.4}, {:.4}]", recall.mean, recall.low, recall.high);
        let _ = writeln!(out, "{name:42} {value:>26}");
    }
    let listeners = results.recall.first().map_or(0, |(_, recall)| recall.listeners);
    let _ = writeln!(out, "\nover {listeners} listeners who heard a held-out track; intervals of 95 % over listeners");
    out
}

/// The page.
pub fn page(results: &ColdResults) -> String {
    let heights: Vec<(String, f64)> = results.recall.iter().map(|(name, recall)| (name.clone(), recall.mean)).collect();
    let recall = bars(("scorer", "recall@100"), &heights);
    let pictures = [("How many of the held-out tracks are found", recall.as_str())];
    experiment_page("Sordino: tracks that nobody has heard", &pictures, &text(results))
}
