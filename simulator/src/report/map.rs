//! The plane of the catalogue as SVG, and its groups as a table.

use super::Table;
use super::page::escape;
use crate::catalogue::CatalogueMap;
use std::fmt::Write;

/// A circle a track, sized by its listeners, coloured by its group; the best known of each group by name.
pub(super) fn map(map: &CatalogueMap) -> String {
    let range = |of: fn(&crate::catalogue::Point) -> f32| {
        let (least, most) = map.points.iter().map(of).fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(v), b.max(v)));
        (least, f32::max(most - least, 1e-6))
    };
    let ((x0, width), (y0, height)) = (range(|p| p.x), range(|p| p.y));
    let most = map.points.iter().map(|p| p.heard).fold(1.0, f64::max);
    let place = |p: &crate::catalogue::Point| (30.0 + 860.0 * (p.x - x0) / width, 530.0 - 500.0 * (p.y - y0) / height);
    let mut out = String::from(
        "<div class=plane><svg viewBox=\"0 0 920 560\" role=img aria-label=\"tracks on a plane, by the groups of the table below\">",
    );
    for point in map.points.iter().rev() {
        let (x, y) = place(point);
        let _ = write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\" fill=\"{}\" fill-opacity=\".65\"><title>{}: {}</title></circle>",
            2.0 + 7.0 * (point.heard / most).sqrt(),
            colour(point.group),
            escape(&point.title),
            escape(map.groups.get(point.group).map_or("", |group| &group.name)),
        );
    }
    let mut named = vec![0; map.groups.len()];
    let mut placed = Vec::new();
    for point in &map.points {
        if named.get(point.group).is_none_or(|count| *count >= NAMED) {
            continue;
        }
        let (x, y) = place(point);
        // A name that would lie over another is left out; the next of the group may have room.
        if placed
            .iter()
            .any(|(at, height): &(f32, f32)| (at - x).abs() < NAME_WIDTH && (height - y).abs() < NAME_HEIGHT)
        {
            continue;
        }
        placed.push((x, y));
        named[point.group] += 1;
        // Names stay inside of the picture.
        let anchor = if x > 640.0 { ("end", x - 8.0) } else { ("start", x + 8.0) };
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{}\">{}</text>",
            anchor.1,
            y + 4.0,
            anchor.0,
            escape(&point.title),
        );
    }
    out.push_str("</svg></div>");
    let mut table =
        Table::of(&["kind, by its most telling tags"]).with(["tracks", "share of plays"]).with_words("best known");
    for group in &map.groups {
        let name = if group.name.is_empty() { "nothing is public of its tracks" } else { &group.name };
        let share = format!("{:.1} %", 100.0 * group.share);
        table.row([name, &group.tracks.to_string(), &share, &group.examples.join(", ")]);
    }
    // A mark before each name, in the colour of its tracks.
    let html = table.html();
    let mut rows = html.split("<tr><td class=words");
    out.push_str(rows.next().unwrap_or_default());
    for (number, row) in rows.enumerate() {
        let mark = format!("<span><i class=key style=\"background:{}\"></i>", colour(number));
        let _ = write!(out, "<tr><td class=words{}", row.replacen("<span>", &mark, 1));
    }
    out
}

fn colour(group: usize) -> String {
    // Ten hues around the circle; neighbours differ in brightness too.
    format!("hsl({},62%,{}%)", group * 36 % 360, if group.is_multiple_of(2) { 45 } else { 60 })
}

// Tracks of each group that are named.
const NAMED: usize = 2;
// Room for a name, in the picture's units.
const NAME_WIDTH: f32 = 190.0;
const NAME_HEIGHT: f32 = 14.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{Kind, Point};

    #[test]
    fn names_are_escaped_and_every_track_is_there() {
        let kind = Kind { name: "a<b".to_owned(), tracks: 2, share: 1.0, examples: vec!["x & y".to_owned()] };
        let point = |x: f32| Point { title: "<script>".to_owned(), group: 0, x, y: 0.0, heard: 3.0 };
        let svg = map(&CatalogueMap { groups: vec![kind], points: vec![point(0.0), point(1.0), point(2.0)] });
        assert!(!svg.contains("<script>") && svg.contains("a&lt;b") && svg.contains("x &amp; y"));
        assert_eq!((svg.matches("<circle cx").count(), svg.matches("<text").count()), (3, 2));
        assert_eq!(svg.matches("class=key").count(), 1);
        assert!(!svg.contains("NaN"));
        assert!(!map(&CatalogueMap { groups: Vec::new(), points: Vec::new() }).contains("NaN"));
    }
}
