//! Plots as SVG text, to stand inside a page.

use super::page::escape;
use plotters::coord::Shift;
use plotters::prelude::*;
use sordino_shared::evaluate::Reliability;

/// A named series of points.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Lines with markers over a numeric axis, and below them which is which.
pub(crate) fn lines(title: (&str, &str), series: &[Series], x_labels: Option<&[String]>) -> String {
    let picture = draw(|root| {
        let all = || series.iter().flat_map(|s| s.points.iter().copied());
        let (x0, x1) = range(all().map(|p| p.0), 0.04);
        let (y0, y1) = range(all().map(|p| p.1), 0.1);
        let mut builder = ChartBuilder::on(root);
        builder.margin(12).x_label_area_size(44).y_label_area_size(64);
        let mut chart = builder.build_cartesian_2d(x0..x1, y0.max(0.0)..y1)?;
        let label = |x: &f64| match x_labels {
            Some(labels) if (x - x.round()).abs() < 1e-6 => labels.get(x.round() as usize).cloned().unwrap_or_default(),
            Some(_) => String::new(),
            None if (x1 - x0) < 2.0 => format!("{x:.2}"),
            None => format!("{x:.0}"),
        };
        let count = x_labels.map_or(8, |labels| labels.len());
        chart
            .configure_mesh()
            .x_labels(count)
            .x_label_formatter(&label)
            .y_label_formatter(&|y| format!("{y:.3}"))
            .x_desc(title.0)
            .y_desc(title.1)
            .light_line_style(TRANSPARENT)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (number, s) in series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let style = ShapeStyle::from(&colour).stroke_width(2);
            chart.draw_series(LineSeries::new(s.points.iter().copied(), style))?;
            chart.draw_series(s.points.iter().map(|&p| Circle::new(p, 3, colour.filled())))?;
        }
        Ok(())
    });
    format!("{picture}{}", legend(series))
}

// Beside the picture and not in it, where it would hide points.
fn legend(series: &[Series]) -> String {
    if series.len() < 2 {
        return String::new();
    }
    let entry = |(number, s): (usize, &Series)| {
        let RGBColor(red, green, blue) = COLOURS[number % COLOURS.len()];
        format!("<span style=\"color:rgb({red},{green},{blue})\">&#9679;</span> {} &ensp; ", escape(&s.name))
    };
    format!("<p>{}</p>", series.iter().enumerate().map(entry).collect::<String>())
}

/// Bars with a name below each.
pub(crate) fn bars(title: (&str, &str), bars: &[(String, f64)]) -> String {
    draw(|root| {
        let most = bars.iter().map(|b| b.1).fold(0.0, f64::max).max(1e-12) * 1.08;
        let mut builder = ChartBuilder::on(root);
        builder.margin(12).x_label_area_size(44).y_label_area_size(64);
        let mut chart = builder.build_cartesian_2d(-0.5..bars.len() as f64 - 0.5, 0.0..most)?;
        let label = |x: &f64| {
            let whole = (x - x.round()).abs() < 1e-6 && *x >= -0.25;
            if whole { bars.get(x.round() as usize).map(|b| b.0.clone()).unwrap_or_default() } else { String::new() }
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(bars.len() * 2 + 1)
            .x_label_formatter(&label)
            .y_label_formatter(&|y| if most < 2.0 { format!("{y:.2}") } else { format!("{y:.0}") })
            .x_desc(title.0)
            .y_desc(title.1)
            .light_line_style(TRANSPARENT)
            .label_style(("sans-serif", 13))
            .draw()?;
        chart.draw_series(bars.iter().enumerate().map(|(i, (_, value))| {
            let x = i as f64;
            Rectangle::new([(x - 0.36, 0.0), (x + 0.36, *value)], COLOURS[0].filled())
        }))?;
        Ok(())
    })
}

/// Probabilities against what came true, beside the line of perfect calibration.
pub(crate) fn reliability(bins: &[Reliability]) -> String {
    let of = |value: fn(&Reliability) -> f64| bins.iter().map(|bin| (bin.probability, value(bin))).collect();
    let series = [
        Series { name: "came true".to_owned(), points: of(|bin| bin.rate) },
        Series { name: "perfect".to_owned(), points: of(|bin| bin.probability) },
    ];
    lines(("probability", "share that came true"), &series, None)
}

fn draw(paint: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Outcome) -> String {
    let mut svg = String::new();
    let outcome = {
        let root = SVGBackend::with_string(&mut svg, (640, 340)).into_drawing_area();
        root.fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| paint(&root))
            .and_then(|()| root.present().map_err(Into::into))
    };
    match outcome {
        Ok(()) => svg,
        Err(error) => format!("<p>This plot could not be drawn: {error}</p>"),
    }
}

fn range(values: impl Iterator<Item = f64>, margin: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if !low.is_finite() {
        return (0.0, 1.0);
    }
    let pad = ((high - low) * margin).max(high.abs() * 0.02).max(1e-6);
    (low - pad, high + pad)
}

// Told apart by most kinds of colour vision (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 120),
];
