//! The results as a table, for the terminal and for a page.

use super::{Case, PoisonResults};
use crate::output::Provenance;
use crate::report::{Figures, Series, Table, claim_line, experiment_page, lines, with_interval};

/// The table.
pub fn text(results: &PoisonResults) -> String {
    figures(results).text()
}

fn figures(results: &PoisonResults) -> Figures {
    let mut out = Figures::default();
    let ((simulated, population), (pushed, known)) = (results.devices, &results.pushed);
    out.say(format!(
        "{simulated} devices, standing for {population}; pushed: '{pushed}', which {known} listeners know; figures over {} \
         listeners who never lie",
        results.listeners
    ));
    out.say(claim_line(results.claim.as_ref(), "each training: ", ""));
    let titles = ["liars", "NDCG@10", "NDCG@10 lost", "exposure", "shipped"];
    let mut table = Table::of(&["what liars do", "what bounds them"]).with(titles);
    for case in &results.cases {
        let shipped = if case.dimensions > 0 { format!("d = {}", case.dimensions) } else { "popularity".to_owned() };
        table.row([
            case.lie.clone(),
            case.bound.clone(),
            format!("{:.1} %", 100.0 * case.share),
            format!("{:.4}", case.ndcg.mean),
            with_interval(&case.lost.difference),
            format!("{:.4}", case.exposure),
            shipped,
        ]);
    }
    out.table(table);
    out.say("NDCG@10 is over the catalogue; exposure is the share of listeners whose ten tracks have the pushed one.");
    out
}

/// The page.
pub fn page(results: &PoisonResults, made: &Provenance) -> String {
    let shares: Vec<String> = results.settings.shares.iter().map(|share| format!("{} %", 100.0 * share)).collect();
    // Case by case, the shares in their order.
    let series = |of: &dyn Fn(String, &[&Case]) -> Series| -> Vec<Series> {
        let lying: Vec<&Case> = results.cases.iter().filter(|case| case.share > 0.0).collect();
        let name = |cases: &[&Case]| format!("{}; bound: {}", cases[0].lie, cases[0].bound);
        lying.chunks(shares.len()).map(|cases| of(name(cases), cases)).collect()
    };
    let exposed = |name: String, cases: &[&Case]| {
        Series::new(name, cases.iter().enumerate().map(|(place, case)| (place as f64, case.exposure)).collect())
    };
    let accurate = |name: String, cases: &[&Case]| {
        Series::means(name, cases.iter().enumerate().map(|(place, case)| (place as f64, case.ndcg)))
    };
    let axes = ("devices that lie", "share of lists with the pushed track");
    let exposure = lines(axes, &series(&exposed), Some(&shares));
    let ndcg = lines(("devices that lie", "NDCG@10"), &series(&accurate), Some(&shares));
    let pictures = [("Exposure of the pushed track", exposure.as_str()), ("Accuracy for everybody else", &ndcg)];
    experiment_page(
        "Sordino: devices that lie",
        (&results.scenario, results.devices),
        made,
        &pictures,
        &figures(results),
    )
}
