//! The report: one HTML page, its plots inside it, without a script.

use super::charts::{Series, bars, lines};
use super::{COLUMNS, ordered, protocol_words};
use crate::output::Results;
use sordino_shared::evaluate::Interval;
use sordino_shared::math;
use std::fmt::Write;

/// The page of one run.
pub fn page(results: &Results) -> String {
    let mut body = String::from("<h1>Sordino: a simulated federation</h1>");
    body.push_str(&notes(results));
    section(&mut body, "Quality", &format!("{}{}", quality_words(results), table(results)));
    section(&mut body, "Quality per round", &rounds(results));
    section(&mut body, "Privacy against quality", &curve(results));
    section(&mut body, "Privacy", &privacy(results));
    section(&mut body, "Popularity bias", &bias(results));
    section(&mut body, "Groups of listeners", &groups(results));
    if let Some(catalogue) = &results.catalogue {
        let words = "<p>Tracks grouped by the direction of their embeddings; the plane shows the two axes in which the groups \
                     differ most. The 500 most heard; larger circles were heard by more.</p>";
        section(&mut body, "The catalogue", &format!("{words}{}", super::map::map(catalogue)));
    }
    section(&mut body, "The data", &data(results));
    section(&mut body, "The run", &run(results));
    wrap(&body)
}

/// One page for several runs.
pub fn comparison_page(all: &[(String, Results)]) -> String {
    let mut body = String::from("<h1>Sordino: scenarios side by side</h1>");
    let ndcg =
        |r: &Results| r.methods.get(r.scenario.method.name()).map_or(0.0, |m| mean(&m.measured.metrics, "ndcg@10"));
    let heights: Vec<(String, f64)> = all.iter().map(|(name, r)| (name.clone(), ndcg(r))).collect();
    section(&mut body, "NDCG@10 of each scenario's own method", &bars(("scenario", "NDCG@10"), &heights));
    for (name, results) in all {
        section(&mut body, name, &format!("{}{}", notes(results), table(results)));
    }
    wrap(&body)
}

/// A page of an experiment beside `run`: pictures, and the tables of the terminal below them.
pub(crate) fn experiment_page(title: &str, pictures: &[(&str, &str)], tables: &str) -> String {
    let mut body = format!("<h1>{}</h1>", escape(title));
    pictures.iter().for_each(|(title, picture)| section(&mut body, title, picture));
    section(&mut body, "Figures", &format!("<div class=wide><pre>{}</pre></div>", escape(tables)));
    wrap(&body)
}

fn notes(results: &Results) -> String {
    results.notes.iter().map(|note| format!("<p class=note>{}</p>", escape(note))).collect()
}

fn quality_words(results: &Results) -> String {
    format!(
        "<p>Protocol: {}. Ties count against us. ± is half of a 95 % bootstrap interval over listeners. {} listeners had \
         no track to test with.</p>",
        protocol_words(results),
        results.methods.values().next().map_or(0, |m| m.measured.without_test),
    )
}

fn table(results: &Results) -> String {
    let mut out = String::from("<div class=wide><table><tr><th>method</th>");
    COLUMNS.iter().for_each(|(title, _)| out.push_str(&format!("<th>{title}</th>")));
    out.push_str("<th>coverage@10</th><th>Gini@10</th><th>seconds</th><th>updates/s</th></tr>");
    for (name, method) in ordered(results) {
        let _ = write!(out, "<tr title=\"{}\"><td>{name}</td>", escape(&method.settings));
        for (_, figure) in COLUMNS {
            let cell = method.measured.metrics.get(figure).map_or(String::new(), figure_cell);
            let _ = write!(out, "<td>{cell}</td>");
        }
        let list = |figure: &str| method.measured.lists.get(figure).copied().unwrap_or(0.0);
        let updates = method.device_updates_per_second.map_or("–".to_owned(), |u| format!("{u:.0}"));
        let _ = write!(
            out,
            "<td>{:.3}</td><td>{:.3}</td><td>{:.2}</td><td>{updates}</td></tr>",
            list("coverage@10"),
            list("gini@10"),
            method.seconds_training
        );
    }
    out.push_str("</table></div><ul>");
    for (name, method) in ordered(results) {
        let _ = write!(out, "<li><b>{name}</b>: {}</li>", escape(&method.settings));
    }
    out.push_str("</ul>");
    out
}

fn figure_cell(interval: &Interval) -> String {
    format!("{:.4} <small>±{:.4}</small>", interval.mean, (interval.high - interval.low) / 2.0)
}

fn rounds(results: &Results) -> String {
    let series: Vec<Series> = results
        .methods
        .iter()
        .map(|(name, method)| Series {
            name: name.clone(),
            points: method.rounds.iter().filter_map(|r| r.validation_ndcg.map(|ndcg| (r.round as f64, ndcg))).collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.is_empty() {
        return "<p>No round was measured.</p>".to_owned();
    }
    let mut out = lines(("round (0: the popularity release)", "NDCG@10 on validation tracks"), &series, None);
    out.push_str("<p>Measured by the simulator, which sees the devices' held-out tracks; no device sends this.</p>");
    if let Some(method) = results.methods.get("sordino") {
        out.push_str("<table><tr><th>round</th><th>kind</th><th>devices</th><th>values</th><th>bits</th><th>rho</th>");
        out.push_str("<th>clipped</th><th>seconds</th></tr>");
        for r in &method.rounds {
            let clipped: Vec<String> = r.clipped.iter().map(|c| format!("{:.0} %", 100.0 * c)).collect();
            let _ = write!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td></tr>",
                r.round,
                r.kind,
                r.devices,
                r.values,
                r.bits,
                r.rho.map_or("–".to_owned(), |rho| format!("{rho:.4}")),
                clipped.join(", "),
                r.seconds
            );
        }
        out.push_str("</table>");
    }
    out
}

fn curve(results: &Results) -> String {
    if results.curve.is_empty() {
        return "<p>Not run: --curve gives the epsilons to try.</p>".to_owned();
    }
    let labels: Vec<String> =
        results.curve.iter().map(|p| p.epsilon.map_or("no noise".to_owned(), |e| format!("{e}"))).collect();
    let points = results.curve.iter().enumerate().map(|(i, p)| (i as f64, p.ndcg)).collect();
    let mut series = vec![Series { name: "sordino".into(), points }];
    for name in ["popularity", "ials"] {
        if let Some(method) = results.methods.get(name) {
            let ndcg = mean(&method.measured.metrics, "ndcg@10");
            let points = (0..results.curve.len()).map(|i| (i as f64, ndcg)).collect();
            series.push(Series { name: format!("{name} (central, no privacy)"), points });
        }
    }
    let mut out = lines(("epsilon of one device", "NDCG@10"), &series, Some(&labels));
    let alone: Vec<&String> =
        results.curve.iter().zip(&labels).filter(|(p, _)| p.dimensions == 0).map(|p| p.1).collect();
    if !alone.is_empty() {
        let names: Vec<&str> = alone.iter().map(|s| s.as_str()).collect();
        let _ = write!(out, "<p>At epsilon {} the model is private popularity alone.</p>", names.join(", "));
    }
    out
}

fn privacy(results: &Results) -> String {
    let Some(claim) = &results.claim else { return "<p>Nothing is promised: no noise was added.</p>".to_owned() };
    let mut out = format!(
        "<table><tr><th>what</th><th>value</th></tr>\
         <tr><td>epsilon claimed, by zCDP, for discrete noise</td><td>{:.4}</td></tr>\
         <tr><td>the same noise were it continuous (Balle and Wang; not claimed)</td><td>{:.4}</td></tr>\
         <tr><td>delta</td><td>{:.1e}</td></tr><tr><td>rho spent by a device</td><td>{:.5}</td></tr>\
         <tr><td>neighbouring relation, of devices</td><td>{:?}</td></tr><tr><td>mode</td><td>{:?}</td></tr></table>",
        claim.epsilon, claim.epsilon_if_continuous, claim.delta, claim.rho, claim.adjacency, claim.mode
    );
    if let Some(schedule) = &results.schedule {
        let s = schedule.shares;
        let _ = write!(
            out,
            "<p>Shares of the budget: popularity {:.0} %, subspace {:.0} %, factors {:.0} %, comparison {:.0} %. {}.</p>",
            100.0 * s.popularity,
            100.0 * s.subspace,
            100.0 * s.factors,
            100.0 * s.comparison,
            escape(&schedule.reasons.join("; "))
        );
    }
    out
}

fn bias(results: &Results) -> String {
    // Most of what is listed comes from a sliver of the catalogue: cuts that grow show the head.
    let cuts = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
    let labels: Vec<String> = cuts.iter().map(|cut| format!("{}", cut * 100.0)).collect();
    let concentration = |name: String, descending: &[f64]| {
        let total: f64 = descending.iter().sum();
        let share = |cut: f64| descending.iter().take((descending.len() as f64 * cut).ceil() as usize).sum::<f64>();
        let points = cuts.iter().enumerate().map(|(i, &cut)| (i as f64, share(cut) / total.max(1.0))).collect();
        Series { name, points }
    };
    let mut series = vec![concentration("training data".into(), &results.popularity)];
    for (name, method) in &results.methods {
        let mut exposure: Vec<f64> = method.measured.exposure.iter().map(|&count| f64::from(count)).collect();
        exposure.sort_by(|a, b| b.total_cmp(a));
        series.push(concentration(format!("lists of {name}"), &exposure));
    }
    let mut out =
        lines(("most frequent tracks, % of the catalogue", "share of plays or of list places"), &series, Some(&labels));
    out.push_str(
        "<table><tr><th>method</th><th>coverage@10</th><th>Gini@10</th><th>mean popularity of what is listed</th>",
    );
    out.push_str("<th>places outside the top fifth</th></tr>");
    for (name, method) in ordered(results) {
        let list = |figure: &str| method.measured.lists.get(figure).copied().unwrap_or(0.0);
        let _ = write!(
            out,
            "<tr><td>{name}</td><td>{:.3}</td><td>{:.3}</td><td>{:.1}</td><td>{:.1} %</td></tr>",
            list("coverage@10_full"),
            list("gini@10_full"),
            list("mean_popularity@10_full"),
            100.0 * list("tail_share@10_full")
        );
    }
    out.push_str("</table><p>Lists of 10 over the whole catalogue.</p>");
    out
}

fn groups(results: &Results) -> String {
    let mut out = String::from(
        "<table><tr><th>NDCG@10 full</th><th>least active third</th><th>middle</th><th>most active</th></tr>",
    );
    for (name, method) in ordered(results) {
        let cells: String =
            method.measured.by_activity.iter().map(|i| format!("<td>{}</td>", figure_cell(i))).collect();
        let _ = write!(out, "<tr><td>{name}</td>{cells}</tr>");
    }
    out.push_str("</table><p>Activity: the number of training tracks.</p>");
    out
}

fn data(results: &Results) -> String {
    let s = &results.summary;
    let mut out = format!(
        "<p>{}: {} devices, {} tracks, {} training examples, {} sessions. Of {} events {} were kept. {} devices had \
         nothing to learn from; {} were withheld as bots.</p>",
        escape(&results.scenario.data),
        s.devices,
        results.tracks,
        results.examples,
        s.sessions,
        s.tally.seen,
        s.tally.kept(),
        s.silent,
        s.flagged.values().sum::<u64>()
    );
    let mut rows: Vec<(String, u64)> =
        s.tally.rejected.iter().map(|(r, &n)| (format!("turned away: {}", r.words()), n)).collect();
    rows.extend(results.passed_over.iter().map(|(r, n)| (format!("passed over: {r}"), *n)));
    rows.extend(s.flagged.iter().map(|(rule, &n)| (format!("withheld: {rule:?}"), n)));
    rows.extend(s.kinds.iter().map(|(kind, &n)| (format!("events: {}", kind.name()), n)));
    rows.extend(s.labels.iter().map(|(kind, &n)| (format!("labels: {}", kind.name()), n)));
    out.push_str("<table><tr><th>what</th><th>count</th></tr>");
    rows.iter().for_each(|(what, n)| out.push_str(&format!("<tr><td>{}</td><td>{n}</td></tr>", escape(what))));
    out.push_str("</table>");
    let doubling = |i: usize| if i == 0 { "0".to_owned() } else { format!("{}", 1u64 << (i - 1)) };
    let named = |values: &[u64], name: &dyn Fn(usize) -> String| -> Vec<(String, f64)> {
        values.iter().enumerate().map(|(i, &n)| (name(i), n as f64)).collect()
    };
    if s.ratios.iter().any(|&n| n > 0) {
        let tenths = |i: usize| format!("{:.1}", i as f64 / 10.0);
        out.push_str(&bars(("played ratio, from", "plays"), &named(&s.ratios, &tenths)));
    }
    out.push_str(&bars(("plays of a listener, from", "listeners"), &named(&s.plays_by_listener, &doubling)));
    out.push_str(&bars(
        ("training tracks of a listener, from", "listeners"),
        &named(&results.history_classes, &doubling),
    ));
    if s.sessions > 0 {
        let length = |i: usize| if i == 11 { "12+".to_owned() } else { (i + 1).to_string() };
        out.push_str(&bars(("events in a session", "sessions"), &named(&s.session_lengths, &length)));
    }
    let tail: Vec<(f64, f64)> = results
        .popularity
        .iter()
        .enumerate()
        .filter(|(i, p)| **p > 0.0 && (*i < 50 || i % 20 == 0))
        .map(|(i, p)| (math::log10((i + 1) as f64), math::log10(*p)))
        .collect();
    let series = [Series { name: "tracks".into(), points: tail }];
    let labels: Vec<String> = (0..7).map(|i| format!("{}", 10u64.pow(i))).collect();
    out.push_str(&lines(("rank of the track by popularity", "log10 of its listeners"), &series, Some(&labels)));
    out
}

fn run(results: &Results) -> String {
    format!(
        "<p>Seed {}, {} threads, model SHA-256 <code>{}</code>.</p><pre>{}</pre>",
        results.scenario.seed,
        results.threads,
        results.model_sha256.as_deref().unwrap_or("none"),
        escape(&results.scenario.to_toml())
    )
}

fn mean(metrics: &std::collections::BTreeMap<String, Interval>, name: &str) -> f64 {
    metrics.get(name).map_or(0.0, |i| i.mean)
}

fn section(body: &mut String, title: &str, content: &str) {
    let _ = write!(body, "<section><h2>{}</h2>{content}</section>", escape(title));
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn wrap(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Sordino report</title><style>{STYLE}</style><main>{body}</main></html>\n"
    )
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#f5f5f3;margin:0}\
main{max-width:960px;margin:auto;padding:16px 24px}h1{font-size:24px}h2{font-size:18px;margin:0 0 8px}\
section{background:#fff;border:1px solid #ddd;border-radius:6px;padding:16px 20px;margin:16px 0}\
.note{background:#fff8e1;border-left:4px solid #e0a800;padding:8px 12px;margin:8px 0}\
table{border-collapse:collapse;font-size:13px;margin:8px 0}th,td{padding:3px 9px;text-align:right;border-bottom:1px solid #eee}\
th:first-child,td:first-child{text-align:left}small{color:#777}.wide{overflow-x:auto}svg{max-width:100%;height:auto}\
pre{background:#f5f5f3;padding:10px;overflow-x:auto;font-size:12px}";
