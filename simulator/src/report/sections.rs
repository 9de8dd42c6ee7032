//! The parts of a run's page.

use super::charts::{Series, histogram};
use super::figures::Table;
use super::page::{drawn, escape, level};
use super::{cell, ordered, words};
use crate::output::Results;
use sordino_shared::math;
use sordino_shared::privacy::rounded;
use std::fmt::Write;

/// How quality grew.
pub(super) fn rounds(results: &Results) -> String {
    let series: Vec<Series> = results
        .methods
        .iter()
        .map(|(name, method)| {
            let measured = |r: &crate::methods::RoundLog| Some((r.round as f64, r.validation_ndcg?));
            Series::new(name, method.rounds.iter().filter_map(measured).collect())
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.is_empty() {
        return "<p>No round was measured.</p>".to_owned();
    }
    let mut out = drawn(("round (0: the popularity release)", "NDCG@10 on validation tracks"), &series, None);
    out.push_str(
        "<p>Measured by the simulator, which sees the devices' held-out tracks; no device sends this. Rounds are \
                  measured once each, without intervals.</p>",
    );
    if let Some(method) = results.methods.get("sordino") {
        let titles = ["devices", "values a device", "bits a value", "rho", "devices clipped, by block", "seconds"];
        let mut table = Table::of(&["round", "kind"]).with(titles);
        for r in &method.rounds {
            let clipped: Vec<String> = r.clipped.iter().map(|c| format!("{:.0} %", 100.0 * c)).collect();
            table.row([
                r.round.to_string(),
                r.kind.clone(),
                words::count(r.devices as u64),
                words::count(r.values as u64),
                r.bits.to_string(),
                r.rho.map_or("–".to_owned(), |rho| rounded::up(rho, 4)),
                if clipped.is_empty() { "–".to_owned() } else { clipped.join(", ") },
                format!("{:.3}", r.seconds),
            ]);
        }
        out.push_str(&table.html());
    }
    out
}

/// What more privacy costs in quality.
pub(super) fn curve(results: &Results) -> String {
    if results.curve.is_empty() {
        return "<p>Not run: --curve gives the epsilons to try.</p>".to_owned();
    }
    let labels: Vec<String> =
        results.curve.iter().map(|p| p.epsilon.map_or("no noise".to_owned(), |e| format!("{e}"))).collect();
    let interval = |p: &crate::output::CurvePoint| sordino_shared::evaluate::Interval {
        mean: p.ndcg,
        low: p.interval.0,
        high: p.interval.1,
        listeners: 0,
    };
    let points = results.curve.iter().enumerate().map(|(i, p)| (i as f64, interval(p)));
    let mut series = vec![Series::means("sordino", points)];
    for name in ["popularity", "ials"] {
        if let Some(ndcg) = results.methods.get(name).and_then(|method| method.measured.metrics.get("ndcg@10")) {
            series.push(level(&format!("{name} (central, no privacy)"), *ndcg, results.curve.len()));
        }
    }
    let mut out = drawn(("epsilon of one device", "NDCG@10"), &series, Some(&labels));
    out.push_str("<p>Upright lines are 95 % intervals over listeners.</p>");
    let alone: Vec<&str> =
        results.curve.iter().zip(&labels).filter(|(p, _)| p.dimensions == 0).map(|p| p.1.as_str()).collect();
    if !alone.is_empty() {
        let _ = write!(out, "<p>At epsilon {} the model is private popularity alone.</p>", alone.join(", "));
    }
    out
}

/// What is promised.
pub(super) fn privacy(results: &Results) -> String {
    let Some(claim) = &results.claim else { return "<p>Nothing is promised: no noise was added.</p>".to_owned() };
    let mut table = Table::of(&["what"]).with_words("value");
    table.row(["epsilon claimed, by zCDP, for discrete noise", &rounded::up(claim.epsilon, 4)]);
    table.row([
        "the same noise were it continuous (Balle and Wang; not claimed)",
        &rounded::up(claim.epsilon_if_continuous, 4),
    ]);
    table.row(["delta", &rounded::up_small(claim.delta)]);
    table.row(["rho (zCDP) spent by a device", &rounded::up(claim.rho, 5)]);
    table.row(["neighbours", words::adjacency(claim.adjacency)]);
    table.row(["mode", words::mode(claim.mode)]);
    let mut out = table.html();
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

/// What lists do to the catalogue.
pub(super) fn bias(results: &Results) -> String {
    // Most of what is listed comes from a sliver of the catalogue: cuts that grow show the head.
    let cuts = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
    let labels: Vec<String> = cuts.iter().map(|cut| format!("{} %", cut * 100.0)).collect();
    let concentration = |name: String, descending: &[f64]| {
        let total: f64 = descending.iter().sum();
        let share = |cut: f64| descending.iter().take((descending.len() as f64 * cut).ceil() as usize).sum::<f64>();
        Series::new(name, cuts.iter().enumerate().map(|(i, &cut)| (i as f64, share(cut) / total.max(1.0))).collect())
    };
    let mut series = vec![concentration("training data".into(), &results.popularity)];
    for (name, method) in &results.methods {
        let mut exposure: Vec<f64> = method.measured.exposure.iter().map(|&count| f64::from(count)).collect();
        exposure.sort_by(|a, b| b.total_cmp(a));
        series.push(concentration(format!("lists of {name}"), &exposure));
    }
    let axes = ("most frequent tracks, share of the catalogue", "share of plays or of list places");
    let mut out = drawn(axes, &series, Some(&labels));
    let mut table = Table::of(&["method"]).with([
        "coverage@10",
        "Gini@10",
        "mean popularity of what is listed, listeners",
        "places outside the top fifth",
    ]);
    for (name, method) in ordered(results) {
        let list = |figure: &str| method.measured.lists.get(figure).copied().unwrap_or(0.0);
        table.row([
            name.to_owned(),
            format!("{:.3}", list("coverage@10_full")),
            format!("{:.3}", list("gini@10_full")),
            format!("{:.1}", list("mean_popularity@10_full")),
            format!("{:.1} %", 100.0 * list("tail_share@10_full")),
        ]);
    }
    out.push_str(&table.html());
    out.push_str("<p>Lists of 10 over the whole catalogue. Coverage: the share of tracks that are in any list. Gini: 0 where all \
                  tracks are listed alike, 1 where one has all places.</p>");
    out
}

/// For whom it is good.
pub(super) fn groups(results: &Results) -> String {
    let mut table =
        Table::of(&["NDCG@10 over the catalogue"]).with(["least active third", "middle third", "most active third"]);
    for (name, method) in ordered(results).into_iter().filter(|(_, method)| method.measured.by_activity.len() == 3) {
        let cells = method.measured.by_activity.iter().map(|i| cell(Some(i)));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    format!("{}<p>Activity: the number of training tracks.</p>", table.html())
}

/// What came in.
pub(super) fn data(results: &Results) -> String {
    let s = &results.summary;
    let mut out = format!(
        "<p>{}: {} devices, of which {} take part; {} had nothing to learn from, {} were withheld as bots. {} tracks, {} \
         training examples, {} sessions. Of {} events {} were kept.</p>",
        escape(&results.scenario.data),
        words::count(s.devices),
        words::count(results.devices as u64),
        words::count(s.silent),
        words::count(s.flagged.values().sum()),
        words::count(results.tracks as u64),
        words::count(results.examples as u64),
        words::count(s.sessions),
        words::count(s.tally.seen),
        words::count(s.tally.kept())
    );
    let mut rows: Vec<(String, u64)> =
        s.tally.rejected.iter().map(|(r, &n)| (format!("events turned away: {}", r.words()), n)).collect();
    rows.extend(results.passed_over.iter().map(|(r, n)| (format!("rows passed over: {r}"), *n)));
    rows.extend(s.flagged.iter().map(|(rule, &n)| (format!("devices withheld: {}", words::rule(*rule)), n)));
    rows.extend(s.kinds.iter().map(|(kind, &n)| (format!("events: {}", kind.name().replace('_', " ")), n)));
    rows.extend(s.labels.iter().map(|(kind, &n)| (format!("labels: {}", kind.name().replace('_', " ")), n)));
    let mut table = Table::of(&["what"]).with(["count"]);
    rows.into_iter().for_each(|(what, n)| table.row([what, words::count(n)]));
    out.push_str(&table.html());
    let doubling = |i: usize| if i == 0 { "0".to_owned() } else { format!("{}", 1u64 << (i - 1)) };
    let named = |values: &[u64], name: &dyn Fn(usize) -> String| -> Vec<(String, f64)> {
        values.iter().enumerate().map(|(i, &n)| (name(i), n as f64)).collect()
    };
    if s.ratios.iter().any(|&n| n > 0) {
        let tenths = |i: usize| format!("{:.1}", i as f64 / 10.0);
        out.push_str(&histogram(("played share of a track, from", "plays"), &named(&s.ratios, &tenths)));
    }
    out.push_str(&histogram(("plays of a listener, from", "listeners"), &named(&s.plays_by_listener, &doubling)));
    let classes = named(&results.history_classes, &doubling);
    out.push_str(&histogram(("training tracks of a listener, from", "listeners"), &classes));
    if s.sessions > 0 {
        let length = |i: usize| if i == 11 { "12+".to_owned() } else { (i + 1).to_string() };
        out.push_str(&histogram(("events in a session", "sessions"), &named(&s.session_lengths, &length)));
    }
    let tail: Vec<(f64, f64)> = results
        .popularity
        .iter()
        .enumerate()
        .filter(|(i, p)| **p > 0.0 && (*i < 50 || i % 20 == 0))
        .map(|(i, p)| (math::log10((i + 1) as f64), math::log10(*p)))
        .collect();
    let labels: Vec<String> = (0..7).map(|i| format!("{}", 10u64.pow(i))).collect();
    let axes = ("rank of the track by popularity", "its listeners, as a power of ten");
    out.push_str(&drawn(axes, &[Series::new("tracks", tail)], Some(&labels)));
    out
}
