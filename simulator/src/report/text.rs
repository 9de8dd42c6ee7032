//! Tables for the terminal.

use super::{Table, quality_table, tested};
use crate::output::Results;

/// A run's notes, data and table.
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for note in &results.notes {
        line(&mut out, note);
    }
    let tally = &results.summary.tally;
    line(
        &mut out,
        &format!(
            "\ndata: {}: {} devices, {} tracks, {} training examples; {} events, {} turned away; {} devices withheld as \
             bots",
            results.scenario.data,
            results.devices,
            results.tracks,
            results.examples,
            tally.seen,
            tally.rejected.values().sum::<u64>(),
            results.summary.flagged.values().sum::<u64>(),
        ),
    );
    for (reason, count) in &tally.rejected {
        line(&mut out, &format!("  turned away: {count} x {}", reason.words()));
    }
    for (reason, count) in &results.passed_over {
        line(&mut out, &format!("  passed over: {count} x {reason}"));
    }
    if let Some(schedule) = &results.schedule {
        line(&mut out, &format!("plan: {}", schedule.reasons.join("; ")));
    }
    line(&mut out, &format!("{}\n", tested(results)));
    out.push_str(&quality_table(results, false).text());
    if !results.curve.is_empty() {
        line(&mut out, "\nprivacy against quality:");
        let mut table = Table::of(&["  epsilon"]).with(["NDCG@10"]).with_words("what is learnt");
        for point in &results.curve {
            let epsilon = point.epsilon.map_or("  no noise".to_owned(), |e| format!("  {e}"));
            let learnt = match point.dimensions {
                0 => "popularity alone".to_owned(),
                d => format!("d = {d}"),
            };
            table.row([epsilon, format!("{:.4}", point.ndcg), learnt]);
        }
        out.push_str(&table.text());
    }
    out
}

/// Several runs, one row a method of each.
pub fn comparison_text(all: &[(String, Results)]) -> String {
    let mut out = String::new();
    for (name, results) in all {
        line(&mut out, &format!("\n{name}"));
        for note in &results.notes {
            line(&mut out, &format!("  {note}"));
        }
        out.push_str(&quality_table(results, false).text());
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
