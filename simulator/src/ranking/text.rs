//! The results as a table for the terminal.

use super::RankResults;
use crate::report::{bars, claim_line, experiment_page, reliability};
use std::fmt::Write;

/// The tables.
pub fn text(results: &RankResults) -> String {
    let mut out = String::new();
    let (simulated, population) = results.devices;
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!(
        "{simulated} devices, standing for {population}; {} outcomes to learn from, {} on the last {} days to test with",
        results.outcomes.0, results.outcomes.1, results.test_days
    ));
    let over = " over all of it; everything else below is without noise";
    line(claim_line(results.claim.as_ref(), "Sordino: ", over));
    line(String::new());
    line(format!(
        "{:24} {:>6} {:>26} {:>7} {:>9} {:>6}",
        "what was shown", "AUC", "AUC within a day's list", "NDCG@5", "log loss", "ECE"
    ));
    let shown = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    for (name, m) in &results.scorers {
        let within = format!("{:.4} [{:.4}, {:.4}]", m.auc_within.mean, m.auc_within.low, m.auc_within.high);
        line(format!(
            "{name:24} {:>6.4} {within:>26} {:>7.4} {:>9} {:>6}",
            m.auc,
            m.ndcg_at_5,
            shown(m.log_loss, 4),
            shown(m.calibration_error, 3)
        ));
    }
    line(String::new());
    line(format!("{:24} {:>6} {:>26}", "lost without", "AUC", "AUC within"));
    for (group, (auc, within)) in &results.groups {
        line(format!("{:24} {auc:>6.4} {within:>26.4}", group.name()));
    }
    line(String::new());
    line(format!("{:24} {:>6} {:>9} {:>22}", "the next skip", "AUC", "accuracy", "mean average accuracy"));
    for (name, m) in &results.skips {
        line(format!("{name:24} {:>6.4} {:>9.4} {:>22.4}", m.auc, m.accuracy, m.mean_average_accuracy));
    }
    let _ = writeln!(out);
    let _ = writeln!(out, "probability  came true  outcomes");
    for bin in &results.reliability {
        let _ = writeln!(out, "{:>11.3}  {:>9.3}  {:>8}", bin.probability, bin.rate, bin.count);
    }
    out
}

/// The page.
pub fn page(results: &RankResults) -> String {
    let heights: Vec<(String, f64)> = results.scorers.iter().map(|(name, m)| (name.clone(), m.auc)).collect();
    let shown = bars(("what was shown", "AUC"), &heights);
    let reliable = reliability(&results.reliability);
    let pictures = [("How well scorers tell what pleases", shown.as_str()), ("Reliability", &reliable)];
    experiment_page("Sordino: the ranker", &pictures, &text(results))
}
