//! The rates as tables, for the terminal and for a page.

use super::RolloutResults;
use crate::output::Provenance;
use crate::report::{Bar, Figures, Table, bars, head, plain_page};

/// The tables.
pub fn text(results: &RolloutResults) -> String {
    figures(results).text()
}

fn figures(results: &RolloutResults) -> Figures {
    let (mut out, settings) = (Figures::default(), &results.settings);
    out.say(format!(
        "{} devices, {:.0} % of an arm contribute to a stage; noise of {} in each value of a release: rho {} a contribution",
        settings.devices,
        100.0 * settings.contributing,
        settings.noise,
        sordino_shared::privacy::rounded::up(results.rho, 4)
    ));
    out.title(
        "what a stage sees in four of five cases, in points; * is left to the abort rule there, since its margin would be missed \
         too often",
    );
    let names = results.sight.first().into_iter().flatten().map(|of| of.guardrail.name());
    let mut table = Table::of(&["stage"]).with(names);
    for (share, seen) in settings.stages.iter().zip(&results.sight) {
        let cells = seen.iter().map(|of| format!("{:.3}{}", 100.0 * of.smallest, if of.decides { "" } else { "*" }));
        table.row(std::iter::once(format!("{} %", 100.0 * share)).chain(cells));
    }
    out.table(table);
    let mut table = Table::of(&[&format!("{} rollouts of each", settings.runs)]).with([
        "aborted, %",
        "promoted, %",
        "held, %",
        "aborted in 3 looks, %",
        "exposed",
        "aborted, noise left out",
        "promoted, noise left out",
    ]);
    for rates in &results.rates {
        table.row([
            rates.candidate.name.clone(),
            share(rates.aborted, settings.runs),
            share(rates.promoted, settings.runs),
            share(rates.held, settings.runs),
            share(rates.aborted_soon, settings.runs),
            format!("{:.2} %", 100.0 * rates.exposed),
            format!("{:.1} %", 100.0 * rates.aborted_without_noise),
            format!("{:.1} %", 100.0 * rates.promoted_without_noise),
        ]);
    }
    out.table(table);
    out.say("± is 1.96 standard errors of this many rollouts, in points. Exposed: the share of the fleet that had the candidate.");
    out
}

fn share(share: f64, runs: usize) -> String {
    format!("{:.1} ±{:.1}", 100.0 * share, 100.0 * error(share, runs))
}

// Half of the interval of a share over so many rollouts.
fn error(share: f64, runs: usize) -> f64 {
    1.96 * (share * (1.0 - share) / runs.max(1) as f64).sqrt()
}

/// The page.
pub fn page(results: &RolloutResults, made: &Provenance) -> String {
    let of = |value: fn(&super::Ends) -> f64| -> Vec<Bar> {
        let bar = |rates: &super::Ends| {
            let (share, error) = (value(rates), error(value(rates), results.settings.runs));
            let (low, high) = ((share - error).max(0.0), (share + error).min(1.0));
            Bar::mean(
                &rates.candidate.name,
                sordino_shared::evaluate::Interval { mean: share, low, high, listeners: 0 },
            )
        };
        results.rates.iter().map(bar).collect()
    };
    let aborted = bars(("candidate", "share aborted"), &of(|rates| rates.aborted));
    let promoted = bars(("candidate", "share promoted"), &of(|rates| rates.promoted));
    let pictures = [("Aborted", aborted.as_str()), ("Promoted through all stages", &promoted)];
    let data = format!(
        "simulated sums of {} devices, {} rollouts of each candidate",
        results.settings.devices, results.settings.runs
    );
    plain_page("Sordino: rollouts", &head(made, &data, Some(results.settings.seed)), &pictures, &figures(results))
}
