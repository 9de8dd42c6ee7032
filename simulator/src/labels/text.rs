//! The results as tables for the terminal.

use super::LabelResults;
use crate::report::{bars, claim_line, experiment_page, reliability};
use std::fmt::Write;

/// The tables.
pub fn text(results: &LabelResults) -> String {
    let mut out = String::new();
    let ((simulated, population), (plays, yes, no)) = (results.devices, results.plays);
    let _ = writeln!(
        out,
        "{simulated} devices, standing for {population}; {plays} plays of known length, a yes after {yes}, a no after {no}"
    );
    let _ = writeln!(
        out,
        "{}",
        claim_line(results.claim.as_ref(), "Sordino: ", " and one counting; everything else below is without noise")
    );
    let _ = writeln!(out, "\n{:24} {:>22} {:>16}", "AUC of", "like against dislike", "yes against all");
    for (name, m) in &results.scorers {
        let explicit = format!("{:.4} +-{:.4}", m.like_dislike, m.like_dislike_error);
        let _ = writeln!(out, "{name:24} {explicit:>22} {:>16.4}", m.yes_all);
    }
    let _ = writeln!(
        out,
        "\n{:38} {:16} {:>8} {:>6} {:>9} {:>7} {:>10}",
        "rule of the policy", "label", "said", "yes", "plays", "yes", "confidence"
    );
    for rule in results.rules.iter().filter(|rule| rule.said >= 1.0 || rule.plays >= 1.0) {
        let confidence = if rule.confidence > 0.0 { format!("{:.2}", rule.confidence) } else { "-".to_owned() };
        let _ = writeln!(
            out,
            "{:38} {:16} {:>8.0} {:>6.3} {:>9.0} {:>7.4} {confidence:>10}",
            rule.name,
            rule.label.name(),
            rule.said,
            rule.yes,
            rule.plays,
            rule.yes_of_plays
        );
    }
    let _ = writeln!(out, "\na yes after a play, expected calibration error {:.4}", results.calibration_error);
    let _ = writeln!(out, "probability  came true  plays");
    for bin in &results.reliability {
        let _ = writeln!(out, "{:>11.4}  {:>9.4}  {:>5}", bin.probability, bin.rate, bin.count);
    }
    out
}

/// The page.
pub fn page(results: &LabelResults) -> String {
    let heights: Vec<(String, f64)> = results.scorers.iter().map(|(name, m)| (name.clone(), m.like_dislike)).collect();
    let told = bars(("score", "AUC of like against dislike"), &heights);
    let reliable = reliability(&results.reliability);
    let pictures = [("How well scores tell a like from a dislike", told.as_str()), ("Reliability", &reliable)];
    experiment_page("Sordino: weak labels", &pictures, &text(results))
}
