//! The results as a table for the terminal.

use super::{Case, PoisonResults};
use crate::report::{Series, claim_line, experiment_page, lines};
use std::fmt::Write;

/// The table.
pub fn text(results: &PoisonResults) -> String {
    let mut out = String::new();
    let ((simulated, population), (pushed, known)) = (results.devices, &results.pushed);
    let _ = writeln!(
        out,
        "{simulated} devices, standing for {population}; pushed: '{pushed}', which {known} listeners know; figures over {} \
         listeners who never lie",
        results.listeners
    );
    let _ = writeln!(out, "{}", claim_line(results.claim.as_ref(), "each training: ", ""));
    let _ = writeln!(
        out,
        "\n{:22} {:36} {:>7} {:>8} {:>26} {:>9} {:>9}",
        "what liars do", "what bounds them", "liars", "NDCG@10", "lost", "exposure", "shipped"
    );
    for case in &results.cases {
        let lost = &case.lost.difference;
        let shipped = if case.dimensions > 0 { format!("d = {}", case.dimensions) } else { "charts".to_owned() };
        let _ = writeln!(
            out,
            "{:22} {:36} {:>5.1} % {:>8.4} {:>26} {:>9.4} {:>9}",
            case.lie,
            case.bound,
            100.0 * case.share,
            case.ndcg.mean,
            format!("{:.4} [{:.4} {:.4}]", lost.mean, lost.low, lost.high),
            case.exposure,
            shipped
        );
    }
    let _ = writeln!(
        out,
        "\nNDCG@10 is over the catalogue; exposure is the share of listeners whose ten tracks have the pushed one."
    );
    out
}

/// The page.
pub fn page(results: &PoisonResults) -> String {
    let shares: Vec<String> = results.settings.shares.iter().map(|share| format!("{} %", 100.0 * share)).collect();
    // Case by case, the shares in their order.
    let series = |value: &dyn Fn(&Case) -> f64| -> Vec<Series> {
        let lying: Vec<&Case> = results.cases.iter().filter(|case| case.share > 0.0).collect();
        lying
            .chunks(shares.len())
            .map(|cases| Series {
                name: format!("{}; bound: {}", cases[0].lie, cases[0].bound),
                points: cases.iter().enumerate().map(|(place, case)| (place as f64, value(case))).collect(),
            })
            .collect()
    };
    let exposure =
        lines(("devices that lie", "share of lists with the pushed track"), &series(&|c| c.exposure), Some(&shares));
    let ndcg = lines(("devices that lie", "NDCG@10"), &series(&|c| c.ndcg.mean), Some(&shares));
    let pictures = [("Exposure of the pushed track", exposure.as_str()), ("Accuracy for everybody else", &ndcg)];
    experiment_page("Sordino: devices that lie", &pictures, &text(results))
}
