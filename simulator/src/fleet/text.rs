//! Fleets as a table and as a page.

use super::{FleetResults, Outcome};
use crate::report::{bars, experiment_page};
use std::fmt::Write;

/// The table.
pub fn text(results: &FleetResults) -> String {
    let settings = &results.settings;
    let mut out = format!(
        "{} devices, {:.0} % of them join later; {:.0} % ask in a night; noise of {} in each value of a release\n\n\
         {:20} {:>5} {:>6} {:>6} {:>9} {:>10} {:>14} {:>19}  end\n",
        settings.devices,
        100.0 * settings.late,
        100.0 * settings.asks,
        settings.noise,
        "candidate",
        "fleet",
        "days",
        "stage",
        "exposed",
        "fell back",
        "contributions",
        "left, per 1000 days"
    );
    for of in &results.outcomes {
        let _ = writeln!(
            out,
            "{:20} {:>5} {:>6.1} {:>6} {:>9} {:>10} {:>14} {:>19}  {}",
            of.candidate,
            of.run + 1,
            of.days,
            of.stage,
            format!("{:.2} %", 100.0 * of.exposed),
            of.fell_back,
            of.contributions,
            of.leaving.map(rate).join(" against "),
            of.end
        );
    }
    let _ = writeln!(
        out,
        "\nexposed: the share of the fleet that the candidate ever served before it was decided. Left: listeners with the candidate, and in the\n\
         control arm; no real rollout knows it, since devices do not say that they were left."
    );
    out
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"))
}

/// The page.
pub fn page(results: &FleetResults) -> String {
    let mean = |value: fn(&Outcome) -> f64| -> Vec<(String, f64)> {
        let names: Vec<&String> = results.outcomes.iter().map(|of| &of.candidate).collect();
        let mut distinct = names.clone();
        distinct.dedup();
        let of = |name: &String| {
            let values: Vec<f64> = results.outcomes.iter().filter(|of| of.candidate == *name).map(value).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        distinct.into_iter().map(|name| (name.clone(), of(name))).collect()
    };
    let days = bars(("candidate", "days until it was decided"), &mean(|of| of.days));
    let exposed = bars(("candidate", "share of the fleet that it served"), &mean(|of| of.exposed));
    let pictures = [("Days", days.as_str()), ("Exposed", &exposed)];
    experiment_page("Sordino: a fleet through rollouts", &pictures, &text(results))
}
