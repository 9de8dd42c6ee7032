//! The stream as a table, for the terminal and for a page with a picture.

use super::StreamResults;
use crate::output::Provenance;
use crate::report::{Figures, Series, Table, claim_line, experiment_page, lines};

/// The table.
pub fn text(results: &StreamResults) -> String {
    figures(results).text()
}

fn figures(results: &StreamResults) -> Figures {
    let mut out = Figures::default();
    let step = results.step_days;
    out.say(format!(
        "{} steps of {step} day{}; {} devices stand behind the whole stream; NDCG@10 over the catalogue, on what listeners like next",
        results.steps.len(),
        if step == 1 { "" } else { "s" },
        results.population
    ));
    let over = " over the whole stream, by each way of keeping up";
    out.say(claim_line(results.claim.as_ref(), "", over));
    let columns = ["devices", "joined", "tested", "new tracks, share"].into_iter().map(str::to_owned);
    let ways = results.ways.iter().map(|way| format!("NDCG@10, {way}"));
    let mut table = Table::of(&["day"]).with(columns.chain(ways)).with_words("d of once, anew, going on");
    for at in &results.steps {
        let mut row = vec![
            at.day.to_string(),
            at.devices.to_string(),
            at.joined.to_string(),
            at.tested.to_string(),
            format!("{:.3}", at.new_tracks),
        ];
        row.extend(at.ndcg.iter().map(|ndcg| format!("{:.4}", ndcg.mean)));
        row.push(at.dimensions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        table.row(row);
    }
    let mean = |way: usize| {
        let later = results.steps.get(1..).unwrap_or_default();
        later.iter().map(|at| at.ndcg[way].mean).sum::<f64>() / later.len().max(1) as f64
    };
    let mut last = vec!["mean after the first".to_owned()];
    last.extend(["", "", "", ""].map(str::to_owned));
    last.extend((0..results.ways.len()).map(|way| format!("{:.4}", mean(way))));
    last.push(String::new());
    table.row(last);
    out.table(table);
    out
}

/// The page.
pub fn page(results: &StreamResults, made: &Provenance) -> String {
    let of = |(way, name): (usize, &String)| {
        Series::means(name, results.steps.iter().map(|at| (at.day as f64, at.ndcg[way])))
    };
    let series: Vec<Series> = results.ways.iter().enumerate().map(of).collect();
    let chart = lines(("days since the stream began", "NDCG@10"), &series, None);
    let devices = results.steps.last().map_or(0, |at| at.devices);
    let pictures = [("Quality by day", chart.as_str())];
    let of = (&results.scenario, (devices, results.population));
    experiment_page("Sordino: a stream of listening", of, made, &pictures, &figures(results))
}
