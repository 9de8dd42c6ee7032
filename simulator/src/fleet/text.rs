//! Fleets as a table, for the terminal and for a page.

use super::{FleetResults, Outcome};
use crate::output::Provenance;
use crate::report::{Bar, Figures, Table, bars, head, plain_page};

/// The table.
pub fn text(results: &FleetResults) -> String {
    figures(results).text()
}

fn figures(results: &FleetResults) -> Figures {
    let (mut out, settings) = (Figures::default(), &results.settings);
    out.say(format!(
        "{} devices, {:.0} % of them join later; {:.0} % ask in a night; noise of {} in each value of a release",
        settings.devices,
        100.0 * settings.late,
        100.0 * settings.asks,
        settings.noise
    ));
    let titles = ["fleet", "days", "stage", "exposed", "fell back", "contributions", "left, per 1000 days"];
    let mut table = Table::of(&["candidate"]).with(titles).with_words("end");
    for of in &results.outcomes {
        table.row([
            of.candidate.clone(),
            (of.run + 1).to_string(),
            format!("{:.1}", of.days),
            of.stage.to_string(),
            format!("{:.2} %", 100.0 * of.exposed),
            of.fell_back.to_string(),
            of.contributions.to_string(),
            of.leaving.map(rate).join(" against "),
            of.end.to_string(),
        ]);
    }
    out.table(table);
    out.say(
        "exposed: the share of the fleet that the candidate ever served before it was decided. Left: listeners with the candidate,",
    );
    out.say("and in the control arm; no real rollout knows it, since devices do not say that they were left.");
    out
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"))
}

/// The page.
pub fn page(results: &FleetResults, made: &Provenance) -> String {
    let mean = |value: fn(&Outcome) -> f64| -> Vec<Bar> {
        let names: Vec<&String> = results.outcomes.iter().map(|of| &of.candidate).collect();
        let mut distinct = names.clone();
        distinct.dedup();
        let of = |name: &String| {
            let values: Vec<f64> = results.outcomes.iter().filter(|of| of.candidate == *name).map(value).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        distinct.into_iter().map(|name| Bar::new(name, of(name))).collect()
    };
    let days = bars(("candidate", "days until it was decided"), &mean(|of| of.days));
    let exposed = bars(("candidate", "share of the fleet that it served"), &mean(|of| of.exposed));
    let pictures = [("Days", days.as_str()), ("Exposed", &exposed)];
    let data = format!("a simulated fleet of {} devices", results.settings.devices);
    let head = head(made, &data, Some(results.settings.seed));
    plain_page("Sordino: a fleet through rollouts", &head, &pictures, &figures(results))
}
