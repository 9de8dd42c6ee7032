//! The results as a table, for the terminal and for a page.

use super::ColdResults;
use crate::output::Provenance;
use crate::report::{Bar, Figures, Table, bars, claim_line, experiment_page, with_interval};

/// The table.
pub fn text(results: &ColdResults) -> String {
    figures(results).text()
}

fn figures(results: &ColdResults) -> Figures {
    let mut out = Figures::default();
    let ((simulated, population), (known, held)) = (results.devices, results.tracks);
    out.say(format!(
        "{simulated} devices, standing for {population}; {known} tracks to learn from, {held} held out whole, of {} of them \
         nothing is public",
        results.bare
    ));
    let over = " over all rounds; everything else below is without noise";
    out.say(claim_line(results.claim.as_ref(), "Sordino: ", over));
    let mut table = Table::of(&["held-out tracks ranked by"]).with([format!("recall@{}", results.settings.cut)]);
    for (name, recall) in &results.recall {
        table.row([name.clone(), with_interval(recall)]);
    }
    out.table(table);
    let listeners = results.recall.first().map_or(0, |(_, recall)| recall.listeners);
    out.say(format!("over {listeners} listeners who heard a held-out track; intervals of 95 % over listeners"));
    out
}

/// The page.
pub fn page(results: &ColdResults, made: &Provenance) -> String {
    let heights: Vec<Bar> = results.recall.iter().map(|(name, recall)| Bar::mean(name, *recall)).collect();
    let axis = format!("recall@{}", results.settings.cut);
    let recall = bars(("ranked by", &axis), &heights);
    let pictures = [("How many of the held-out tracks are found", recall.as_str())];
    let title = "Sordino: tracks that nobody has heard";
    experiment_page(title, (&results.scenario, results.devices), made, &pictures, &figures(results))
}
