//! The report: one HTML page, its plots inside it, without a script and without a link that leads outside.

use super::charts::{Bar, Series, bars, lines};
use super::figures::Table;
use super::sections::{bias, curve, data, groups, privacy, rounds};
use super::{Figures, quality_table, words};
use crate::output::{Provenance, Results};
use crate::scenario::Scenario;
use sordino_shared::evaluate::Interval;
use std::fmt::Write;

/// The page of one run.
pub fn page(results: &Results, made: &Provenance) -> String {
    let size = format!(
        "{}: {} devices, {} tracks, {} training examples",
        data_words(&results.scenario.data),
        words::count(results.devices as u64),
        words::count(results.tracks as u64),
        words::count(results.examples as u64)
    );
    let mut body = notes(results);
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
    wrap("Sordino: a simulated federation", &head(made, &size, Some(results.scenario.seed)), &body)
}

/// One page for several runs.
pub fn comparison_page(all: &[(String, Results)], made: &Provenance) -> String {
    let mut body = String::new();
    let of = |name: &str, r: &Results| {
        let ndcg = r.methods.get(r.scenario.method.name()).and_then(|m| m.measured.metrics.get("ndcg@10"));
        ndcg.map_or_else(|| Bar::new(name, 0.0), |ndcg| Bar::mean(name, *ndcg))
    };
    let heights: Vec<Bar> = all.iter().map(|(name, r)| of(name, r)).collect();
    section(&mut body, "NDCG@10 of each scenario's own method", &bars(("scenario", "NDCG@10"), &heights));
    for (name, results) in all {
        section(&mut body, name, &format!("{}{}{}", notes(results), quality_words(results), table(results)));
    }
    let each = |(name, r): &(String, Results)| {
        format!(
            "{name}: {}, {} devices, seed {}",
            data_words(&r.scenario.data),
            words::count(r.devices as u64),
            r.scenario.seed
        )
    };
    let facts = all.iter().map(each).collect::<Vec<_>>().join("; ");
    wrap("Sordino: scenarios side by side", &head(made, &facts, None), &body)
}

/// A page of an experiment beside `run`: pictures, and the tables of the terminal below them.
pub(crate) fn experiment_page(
    title: &str,
    of: (&Scenario, (usize, usize)),
    made: &Provenance,
    pictures: &[(&str, &str)],
    figures: &Figures,
) -> String {
    let (scenario, (simulated, population)) = of;
    let stands = if population > simulated {
        format!(", standing for {}", words::count(population as u64))
    } else {
        String::new()
    };
    let data = format!("{}: {} devices{stands}", data_words(&scenario.data), words::count(simulated as u64));
    plain_page(title, &head(made, &data, Some(scenario.seed)), pictures, figures)
}

/// The same for what has no scenario.
pub(crate) fn plain_page(title: &str, head: &str, pictures: &[(&str, &str)], figures: &Figures) -> String {
    let mut body = String::new();
    pictures.iter().for_each(|(title, picture)| section(&mut body, title, picture));
    section(&mut body, "Figures", &figures.html());
    wrap(title, head, &body)
}

/// What a page begins with: where its figures are from.
pub(crate) fn head(made: &Provenance, data: &str, seed: Option<u64>) -> String {
    let or_unknown = |text: &str| if text.is_empty() { "not recorded".to_owned() } else { escape(text) };
    let mut facts = format!(
        "<dt>Made</dt><dd>{}</dd><dt>Program</dt><dd>sordino-simulator {}</dd><dt>Command</dt><dd><code>{}</code></dd>\
         <dt>Data</dt><dd>{}</dd>",
        or_unknown(&made.date),
        or_unknown(&made.version),
        or_unknown(&made.command),
        escape(data)
    );
    if let Some(seed) = seed {
        let _ = write!(facts, "<dt>Seed</dt><dd>{seed}</dd>");
    }
    format!("<dl>{facts}</dl>")
}

fn data_words(data: &str) -> String {
    if data == "synthetic" { "the built-in synthetic world".to_owned() } else { data.to_owned() }
}

fn notes(results: &Results) -> String {
    results.notes.iter().map(|note| format!("<p class=note>{}</p>", escape(note))).collect()
}

fn quality_words(results: &Results) -> String {
    format!(
        "<p>{} Ties count against us. ± is half of a 95 % interval over listeners.</p>",
        escape(&super::tested(results))
    )
}

fn table(results: &Results) -> String {
    let mut out = format!("<div class=many>{}</div>", quality_table(results, true).html());
    let mut settings = Table::of(&["method", "what it is", "settings"]);
    for (name, method) in super::ordered(results) {
        settings.row([name, words::method(name), method.settings.as_str()]);
    }
    out.push_str("<p>seconds: of training alone. updates/s: vectors of devices in a second of training.</p>");
    out.push_str(&settings.html());
    out
}

fn run(results: &Results) -> String {
    format!(
        "<p>{} threads, model SHA-256 <code>{}</code>. The scenario, to be run again with <code>--scenario config.toml</code>:</p>\
         <pre>{}</pre>",
        results.threads,
        results.model_sha256.as_deref().unwrap_or("none"),
        escape(&results.scenario.to_toml())
    )
}

/// A reference line from one end to the other.
pub(super) fn level(name: &str, of: Interval, places: usize) -> Series {
    Series::means(name, (0..places).map(|place| (place as f64, of)))
}

/// A picture of lines, with an explanation where there is none to draw.
pub(super) fn drawn(title: (&str, &str), series: &[Series], labels: Option<&[String]>) -> String {
    lines(title, series, labels)
}

fn section(body: &mut String, title: &str, content: &str) {
    let _ = write!(body, "<section><h2>{}</h2>{content}</section>", escape(title));
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn wrap(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <link rel=icon href=\"data:,\"><title>{0}</title><style>{STYLE}</style></head>\
         <body><main><header><h1>{0}</h1>{head}</header>{body}</main></body></html>\n",
        escape(title)
    )
}

const STYLE: &str = include_str!("style.css");
