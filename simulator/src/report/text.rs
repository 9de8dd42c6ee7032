//! Tables for the terminal.

use super::{COLUMNS, ordered, protocol_words};
use crate::output::Results;
use std::fmt::Write;

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
    line(&mut out, &format!("protocol: {}\n", protocol_words(results)));
    out.push_str(&table(results));
    if !results.curve.is_empty() {
        line(&mut out, "\nprivacy against quality (NDCG@10):");
        for point in &results.curve {
            let epsilon = point.epsilon.map_or("no noise".to_owned(), |e| format!("epsilon {e}"));
            let learnt = match point.dimensions {
                0 => "popularity alone".to_owned(),
                d => format!("d = {d}"),
            };
            line(&mut out, &format!("  {epsilon:12} {:.4}  {learnt}", point.ndcg));
        }
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
        out.push_str(&table(results));
    }
    out
}

fn table(results: &Results) -> String {
    let mut out = format!("{:12}", "method");
    for (title, _) in COLUMNS {
        let _ = write!(out, " {title:>15}");
    }
    let _ = writeln!(out, " {:>9} {:>10}", "seconds", "updates/s");
    for (name, method) in ordered(results) {
        let _ = write!(out, "{name:12}");
        for (_, figure) in COLUMNS {
            let interval = method.measured.metrics.get(figure);
            let cell = interval.map_or("-".to_owned(), |i| format!("{:.4} ±{:.4}", i.mean, (i.high - i.low) / 2.0));
            let _ = write!(out, " {cell:>15}");
        }
        let updates = method.device_updates_per_second.map_or("-".to_owned(), |u| format!("{u:.0}"));
        let _ = writeln!(out, " {:>9.3} {updates:>10}", method.seconds_training);
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
