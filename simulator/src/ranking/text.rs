//! The results as tables, for the terminal and for a page.

use super::RankResults;
use crate::output::Provenance;
use crate::report::{Bar, Figures, Table, bars, claim_line, experiment_page, reliability, with_interval};

/// The tables.
pub fn text(results: &RankResults) -> String {
    figures(results).text()
}

fn figures(results: &RankResults) -> Figures {
    let mut out = Figures::default();
    let (simulated, population) = results.devices;
    out.say(format!(
        "{simulated} devices, standing for {population}; {} outcomes to learn from, {} on the last {} days to test with",
        results.outcomes.0, results.outcomes.1, results.test_days
    ));
    let over = " over all of it; everything else below is without noise";
    out.say(claim_line(results.claim.as_ref(), "Sordino: ", over));
    let titles = ["AUC", "AUC within a day's list", "NDCG@5", "log loss, nats", "calibration error"];
    let mut table = Table::of(&["what was shown"]).with(titles);
    let shown = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    for (name, m) in &results.scorers {
        table.row([
            name.clone(),
            format!("{:.4}", m.auc),
            with_interval(&m.auc_within),
            format!("{:.4}", m.ndcg_at_5),
            shown(m.log_loss, 4),
            shown(m.calibration_error, 3),
        ]);
    }
    out.table(table);
    let mut table = Table::of(&["lost without"]).with(["AUC", "AUC within a day's list"]);
    for (group, (auc, within)) in &results.groups {
        table.row([group.name().to_owned(), format!("{auc:.4}"), format!("{within:.4}")]);
    }
    out.table(table);
    let mut table = Table::of(&["the next skip"]).with(["AUC", "accuracy", "mean average accuracy"]);
    for (name, m) in &results.skips {
        let figures = [m.auc, m.accuracy, m.mean_average_accuracy].map(|value| format!("{value:.4}"));
        table.row(std::iter::once(name.clone()).chain(figures));
    }
    out.table(table);
    let mut table = Table::of(&[]).with(["probability", "came true", "outcomes"]);
    for bin in &results.reliability {
        table.row([format!("{:.3}", bin.probability), format!("{:.3}", bin.rate), bin.count.to_string()]);
    }
    out.table(table);
    out
}

/// The page.
pub fn page(results: &RankResults, made: &Provenance) -> String {
    let heights: Vec<Bar> = results.scorers.iter().map(|(name, m)| Bar::new(name, m.auc)).collect();
    let shown = bars(("what was shown", "AUC"), &heights);
    let within: Vec<Bar> = results.scorers.iter().map(|(name, m)| Bar::mean(name, m.auc_within)).collect();
    let within = bars(("what was shown", "AUC within a day's list"), &within);
    let reliable = reliability(&results.reliability);
    let pictures = [
        ("How well scorers tell what pleases", shown.as_str()),
        ("The same within a day's list", &within),
        ("Reliability", &reliable),
    ];
    experiment_page("Sordino: the ranker", (&results.scenario, results.devices), made, &pictures, &figures(results))
}
