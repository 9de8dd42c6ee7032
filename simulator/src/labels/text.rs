//! The rates as tables, for the terminal and for a page.

use super::LabelResults;
use crate::output::Provenance;
use crate::report::{Bar, Figures, Table, bars, claim_line, experiment_page, reliability};
use sordino_shared::evaluate::Interval;

/// The tables.
pub fn text(results: &LabelResults) -> String {
    figures(results).text()
}

fn figures(results: &LabelResults) -> Figures {
    let mut out = Figures::default();
    let ((simulated, population), (plays, yes, no)) = (results.devices, results.plays);
    out.say(format!(
        "{simulated} devices, standing for {population}; {plays} plays of known length, a yes after {yes}, a no after {no}"
    ));
    let over = " and one counting; everything else below is without noise";
    out.say(claim_line(results.claim.as_ref(), "Sordino: ", over));
    let mut table = Table::of(&["AUC of"]).with(["like against dislike", "yes against all"]);
    for (name, m) in &results.scorers {
        let explicit = format!("{:.4} ±{:.4}", m.like_dislike, m.like_dislike_error);
        table.row([name.clone(), explicit, format!("{:.4}", m.yes_all)]);
    }
    out.table(table);
    let mut table = Table::of(&["rule of the policy", "label"]).with([
        "plays with a word",
        "of these yes",
        "all plays",
        "of these yes",
        "confidence",
    ]);
    for rule in results.rules.iter().filter(|rule| rule.said >= 1.0 || rule.plays >= 1.0) {
        table.row([
            rule.name.clone(),
            rule.label.name().replace('_', " "),
            format!("{:.0}", rule.said),
            format!("{:.3}", rule.yes),
            format!("{:.0}", rule.plays),
            format!("{:.4}", rule.yes_of_plays),
            if rule.confidence > 0.0 { format!("{:.2}", rule.confidence) } else { "-".to_owned() },
        ]);
    }
    out.table(table);
    out.title(format!("a yes after a play, expected calibration error {:.4}", results.calibration_error));
    let mut table = Table::of(&[]).with(["probability", "came true", "plays"]);
    for bin in &results.reliability {
        table.row([format!("{:.4}", bin.probability), format!("{:.4}", bin.rate), bin.count.to_string()]);
    }
    out.table(table);
    out
}

/// The page.
pub fn page(results: &LabelResults, made: &Provenance) -> String {
    let interval = |mean: f64, error: f64| Interval { mean, low: mean - error, high: mean + error, listeners: 0 };
    let heights: Vec<Bar> = results
        .scorers
        .iter()
        .map(|(name, m)| Bar::mean(name, interval(m.like_dislike, m.like_dislike_error)))
        .collect();
    let told = bars(("score", "AUC of like against dislike"), &heights);
    let reliable = reliability(&results.reliability);
    let pictures = [("How well scores tell a like from a dislike", told.as_str()), ("Reliability", &reliable)];
    experiment_page("Sordino: weak labels", (&results.scenario, results.devices), made, &pictures, &figures(results))
}
