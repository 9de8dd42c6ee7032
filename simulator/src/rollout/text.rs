//! The rates as a table for the terminal.

use super::RolloutResults;
use crate::report::{bars, experiment_page};
use std::fmt::Write;

/// The table.
pub fn text(results: &RolloutResults) -> String {
    let (mut out, settings) = (String::new(), &results.settings);
    let _ = writeln!(
        out,
        "{} devices, {:.0} % of an arm contribute to a stage; noise of {} in each value of a release: rho {:.4} a contribution",
        settings.devices,
        100.0 * settings.contributing,
        settings.noise,
        results.rho
    );
    let _ = writeln!(
        out,
        "\nwhat a stage sees in four of five cases, in points; * is left to the abort rule there, since its margin would be missed too often"
    );
    for (share, seen) in settings.stages.iter().zip(&results.sight) {
        let _ = write!(out, "  {:>4} %", 100.0 * share);
        for of in seen {
            let _ = write!(
                out,
                "  {} {:.3}{}",
                of.guardrail.name(),
                100.0 * of.smallest,
                if of.decides { "" } else { "*" }
            );
        }
        out.push('\n');
    }
    let _ = writeln!(
        out,
        "\n{:28} {:>9} {:>9} {:>9} {:>13} {:>9} {:>24}",
        format!("{} rollouts of each", settings.runs),
        "aborted",
        "promoted",
        "held",
        "in 3 looks",
        "exposed",
        "noise left out: ab., pr."
    );
    for rates in &results.rates {
        let _ = writeln!(
            out,
            "{:28} {:>9} {:>9} {:>9} {:>13} {:>9} {:>24}",
            rates.candidate.name,
            share(rates.aborted, settings.runs),
            share(rates.promoted, settings.runs),
            share(rates.held, settings.runs),
            share(rates.aborted_soon, settings.runs),
            format!("{:.2} %", 100.0 * rates.exposed),
            format!("{:.1} % {:.1} %", 100.0 * rates.aborted_without_noise, 100.0 * rates.promoted_without_noise)
        );
    }
    let _ = writeln!(out, "\n+- is 1.96 standard errors of this many rollouts, in points.");
    out
}

fn share(share: f64, runs: usize) -> String {
    let error = 196.0 * (share * (1.0 - share) / runs as f64).sqrt();
    format!("{:.1}+-{:.1}", 100.0 * share, error)
}

/// The page.
pub fn page(results: &RolloutResults) -> String {
    let of = |value: fn(&super::Ends) -> f64| -> Vec<(String, f64)> {
        results.rates.iter().map(|rates| (rates.candidate.name.clone(), value(rates))).collect()
    };
    let aborted = bars(("candidate", "share aborted"), &of(|rates| rates.aborted));
    let promoted = bars(("candidate", "share promoted"), &of(|rates| rates.promoted));
    let pictures = [("Aborted", aborted.as_str()), ("Promoted through all stages", &promoted)];
    experiment_page("Sordino: rollouts", &pictures, &text(results))
}
