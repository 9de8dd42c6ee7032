//! The results as a table, for the terminal and for a page.

use super::LargeResults;
use crate::output::Provenance;
use crate::report::{Bar, Figures, Table, bars, claim_line, experiment_page, with_interval};

/// The table.
pub fn text(results: &LargeResults) -> String {
    figures(results).text()
}

fn figures(results: &LargeResults) -> Figures {
    let mut out = Figures::default();
    let ((simulated, population), (tracks, liked)) = (results.devices, results.tracks);
    out.say(format!(
        "{simulated} devices, standing for {population}; {tracks} tracks, of which anybody has liked {liked}; {} blocks of at \
         most {} tracks",
        results.blocks, results.settings.rows
    ));
    out.say(claim_line(results.claim.as_ref(), "", " over all of it"));
    let mb = |bytes: usize| bytes as f64 / 1e6;
    let (values, bytes) = results.vector;
    out.say(format!(
        "a device sends {values} values, {:.2} MB, and holds {:.2} MB; the whole table would be {} values, {:.2} MB",
        mb(bytes),
        mb(results.device_bytes),
        results.whole_values,
        mb(bytes * results.whole_values / values.max(1))
    ));
    let mut table = Table::of(&["ranked by"]).with(["NDCG@10", "HR@10", "recall@20", "coverage@10"]);
    for (name, measured) in &results.scorers {
        table.row([
            name.clone(),
            with_interval(&measured.metrics["ndcg@10_full"]),
            format!("{:.4}", measured.metrics["hr@10_full"].mean),
            format!("{:.4}", measured.metrics["recall@20_full"].mean),
            format!("{:.4}", measured.lists["coverage@10_full"]),
        ]);
    }
    out.table(table);
    let ((ahead, noise), shipped) = (results.ahead, if results.shipped { "the table" } else { "popularity" });
    let noise = if noise > 0.0 { format!("with noise of {noise:.4}") } else { "without noise".to_owned() };
    out.say(format!(
        "by what devices hold out, the table is ahead by {ahead:.4} (NDCG@10), {noise}: {shipped} is shipped"
    ));
    out
}

/// The page.
pub fn page(results: &LargeResults, made: &Provenance) -> String {
    let ndcg =
        |(name, measured): &(String, crate::evaluation::Measured)| Bar::mean(name, measured.metrics["ndcg@10_full"]);
    let heights: Vec<Bar> = results.scorers.iter().map(ndcg).collect();
    let quality = bars(("ranked by", "NDCG@10"), &heights);
    let pictures = [("Quality", quality.as_str())];
    let title = "Sordino: a catalogue larger than a vector";
    experiment_page(title, (&results.scenario, results.devices), made, &pictures, &figures(results))
}
