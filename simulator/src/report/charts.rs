//! Charts that fill the width they have: shapes are stretched, lines and letters are not. Colours come from the page, so that
//! charts are dark where the page is.

use super::page::escape;
use sordino_shared::evaluate::{Interval, Reliability};
use sordino_shared::math;
use std::fmt::Write;

/// A named series of points.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    // Low and high of each point; none where nothing is known of them.
    intervals: Vec<(f64, f64)>,
}

/// A bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    name: String,
    value: f64,
    interval: Option<(f64, f64)>,
}

impl Series {
    /// Without intervals.
    pub(crate) fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, intervals: Vec::new() }
    }

    /// Of means with their intervals.
    pub(crate) fn means(name: impl Into<String>, points: impl IntoIterator<Item = (f64, Interval)>) -> Self {
        let (points, intervals) = points.into_iter().map(|(x, of)| ((x, of.mean), (of.low, of.high))).unzip();
        Self { name: name.into(), points, intervals }
    }
}

impl Bar {
    /// A value without an interval.
    pub(crate) fn new(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, interval: None }
    }

    /// A mean with its interval.
    pub(crate) fn mean(name: impl Into<String>, of: Interval) -> Self {
        Self { name: name.into(), value: of.mean, interval: (of.low < of.high).then_some((of.low, of.high)) }
    }
}

/// Lines with markers over a numeric axis, or over places with labels; below them which is which.
pub(crate) fn lines(title: (&str, &str), series: &[Series], labels: Option<&[String]>) -> String {
    let points = || series.iter().flat_map(|s| s.points.iter().copied());
    if points().next().is_none() {
        return "<p>There is nothing to draw.</p>".to_owned();
    }
    let ends = || series.iter().flat_map(|s| s.intervals.iter().flat_map(|&(low, high)| [low, high]));
    let (x0, x1) = range(points().map(|p| p.0), if labels.is_some() { 0.06 } else { 0.03 });
    let (low, y1) = range(points().map(|p| p.1).chain(ends()), 0.08);
    let y0 = if points().all(|p| p.1 >= 0.0) { low.max(0.0) } else { low };
    let (x, y) = (|v: f64| 100.0 * (v - x0) / (x1 - x0), |v: f64| 100.0 * (y1 - v) / (y1 - y0));
    let mut shapes = String::new();
    for (number, s) in series.iter().enumerate() {
        let mut way = String::new();
        for &(px, py) in &s.points {
            let _ = write!(way, "{}{:.3},{:.3}", if way.is_empty() { 'M' } else { 'L' }, x(px), y(py));
        }
        let of = number % COLOURS;
        let _ = write!(shapes, "<path class=\"line c{of}\" d=\"{way}\"/>");
        for (&(px, _), &(low, high)) in s.points.iter().zip(&s.intervals).filter(|(_, (low, high))| low < high) {
            let _ = write!(
                shapes,
                "<path class=\"interval c{of}\" d=\"M{0:.3},{1:.3}L{0:.3},{2:.3}\"/>",
                x(px),
                y(low),
                y(high)
            );
        }
        for &(px, py) in &s.points {
            // A line of no length with round ends: a dot that is round however the picture is stretched.
            let _ = write!(shapes, "<path class=\"dot c{of}\" d=\"M{:.3},{:.3}h0\"/>", x(px), y(py));
        }
    }
    let across = match labels {
        Some(labels) => labels.iter().enumerate().map(|(place, label)| (x(place as f64), label.clone())).collect(),
        None => ticks(x0, x1).into_iter().map(|(v, label)| (x(v), label)).collect::<Vec<_>>(),
    };
    let within = |of: &(f64, String)| (-0.01..=100.01).contains(&of.0);
    let across: Vec<(f64, String)> = across.into_iter().filter(within).collect();
    let up: Vec<(f64, String)> = ticks(y0, y1).into_iter().map(|(v, label)| (y(v), label)).filter(within).collect();
    format!("{}{}", frame(title, &shapes, &across, &up), legend(series))
}

/// Bars with names, a row each, with their values and intervals.
pub(crate) fn bars(title: (&str, &str), bars: &[Bar]) -> String {
    let ends = bars.iter().map(|bar| bar.interval.map_or(bar.value, |(_, high)| high.max(bar.value)));
    let most = ends.fold(0.0, f64::max).max(1e-12);
    let percent = |value: f64| 100.0 * (value / most).clamp(0.0, 1.0);
    let mut out = format!(
        "<div class=bars role=table aria-label=\"{0} by {1}\"><div class=bar role=row><span role=columnheader>{1}</span>\
         <span></span><span role=columnheader>{0}</span></div>",
        escape(title.1),
        escape(title.0)
    );
    for bar in bars {
        let whisker = bar.interval.map_or(String::new(), |(low, high)| {
            let (low, high) = (percent(low), percent(high));
            format!("<i class=whisker style=\"left:{low:.2}%;width:{:.2}%\"></i>", (high - low).max(0.0))
        });
        let _ = write!(
            out,
            "<div class=bar role=row><span role=rowheader>{}</span><span class=track><i class=full style=\"width:{:.2}%\"></i>\
             {whisker}</span><span role=cell>{}</span></div>",
            escape(&bar.name),
            percent(bar.value),
            figure(bar.value)
        );
    }
    out.push_str("</div>");
    out
}

/// A histogram: a bar for each class, in their order.
pub(crate) fn histogram(title: (&str, &str), classes: &[(String, f64)]) -> String {
    let most = classes.iter().map(|class| class.1).fold(0.0, f64::max).max(1e-12) * 1.08;
    let wide = 100.0 / classes.len().max(1) as f64;
    let mut shapes = String::new();
    for (place, (_, value)) in classes.iter().enumerate() {
        let (x, height) = (wide * (place as f64 + 0.14), 100.0 * value / most);
        let _ = write!(
            shapes,
            "<rect class=\"full c0\" x=\"{x:.3}\" y=\"{:.3}\" width=\"{:.3}\" height=\"{height:.3}\"/>",
            100.0 - height,
            wide * 0.72
        );
    }
    let across: Vec<(f64, String)> =
        classes.iter().enumerate().map(|(place, class)| (wide * (place as f64 + 0.5), class.0.clone())).collect();
    let up: Vec<(f64, String)> =
        ticks(0.0, most).into_iter().map(|(v, label)| (100.0 - 100.0 * v / most, label)).collect();
    frame(title, &shapes, &across, &up)
}

/// Probabilities against what came true, beside the line of perfect calibration.
pub(crate) fn reliability(bins: &[Reliability]) -> String {
    let of = |value: fn(&Reliability) -> f64| bins.iter().map(|bin| (bin.probability, value(bin))).collect();
    let series = [Series::new("came true", of(|bin| bin.rate)), Series::new("perfect", of(|bin| bin.probability))];
    lines(("probability", "share that came true"), &series, None)
}

fn frame(title: (&str, &str), shapes: &str, across: &[(f64, String)], up: &[(f64, String)]) -> String {
    let mut grid = String::new();
    let mut marks = String::new();
    for (at, label) in up {
        let _ = write!(grid, "<path class=grid d=\"M0,{at:.3}H100\"/>");
        let _ = write!(marks, "<span class=up style=\"top:{at:.2}%\">{}</span>", escape(label));
    }
    for (place, (at, label)) in across.iter().enumerate() {
        // Where there is little room, every other one is left out.
        let spare = if across.len() > 6 && place % 2 == 1 { " spare" } else { "" };
        let _ = write!(marks, "<span class=\"across{spare}\" style=\"left:{at:.2}%\">{}</span>", escape(label));
    }
    format!(
        "<figure class=chart role=img aria-label=\"{0} by {1}\"><p class=axis>{0}</p><div class=plot>\
         <svg viewBox=\"0 0 100 100\" preserveAspectRatio=none aria-hidden=true>{grid}{shapes}</svg>{marks}</div>\
         <p class=\"axis x\">{1}</p></figure>",
        escape(title.1),
        escape(title.0)
    )
}

// Beside the picture and not in it, where it would hide points.
fn legend(series: &[Series]) -> String {
    if series.len() < 2 {
        return String::new();
    }
    let entry = |(number, s): (usize, &Series)| {
        format!("<span><i class=\"key c{}\"></i>{}</span> ", number % COLOURS, escape(&s.name))
    };
    format!("<p class=legend>{}</p>", series.iter().enumerate().map(entry).collect::<String>())
}

// Round numbers from one end to the other, with as many digits as tell them apart.
fn ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 5.0;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = math::powi(10.0, math::log10(rough).floor() as i32);
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|of| of * power).find(|step| *step >= rough).unwrap_or(rough);
    let digits = (-math::log10(step).floor()).max(0.0) as usize;
    let first = (low / step).ceil() as i64;
    (first..)
        .map(|k| k as f64 * step)
        .take_while(|value| *value <= high + step * 1e-9)
        .map(|value| (value, format!("{value:.digits$}")))
        .collect()
}

// Four digits for shares and the like, none for large numbers.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

fn range(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    let pad = ((high - low) * margin).max(high.abs() * 0.02).max(1e-6);
    (low - pad, high + pad)
}

// Colours of the page's style, told apart by most kinds of colour vision.
const COLOURS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_told_apart() {
        for (low, high) in [(0.0, 1.0), (0.05, 0.09), (0.0, 179_079.0), (-0.3, 0.4), (3.0, 3.001), (0.0, 1e-9)] {
            let ticks = ticks(low, high);
            assert!((3..=8).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[0].1 != pair[1].1), "{ticks:?}");
        }
        assert!(ticks(1.0, 1.0).is_empty() && ticks(0.0, f64::NAN).is_empty());
    }

    #[test]
    fn intervals_are_drawn_and_names_escaped() {
        let of = |mean: f64| Interval { mean, low: mean - 0.1, high: mean + 0.1, listeners: 9 };
        let picture = lines(
            ("x", "y"),
            &[Series::means("<b>", [(0.0, of(0.5)), (1.0, of(0.6))]), Series::new("c", vec![(0.0, 0.1)])],
            None,
        );
        assert_eq!(picture.matches("class=\"interval").count(), 2);
        assert!(picture.contains("&lt;b&gt;") && !picture.contains("<b>") && !picture.contains("NaN"));
        assert!(bars(("method", "NDCG@10"), &[Bar::mean("a", of(0.5))]).contains("whisker"));
        for empty in [lines(("x", "y"), &[], None), bars(("x", "y"), &[]), histogram(("x", "y"), &[])] {
            assert!(!empty.contains("NaN") && !empty.contains("inf"), "{empty}");
        }
    }
}
