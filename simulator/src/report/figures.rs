//! Sentences and tables once, for the terminal and for the page.

use super::page::escape;
use std::fmt::Write;

/// A table: its columns are as wide as what is in them, and figures stand at the right.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    head: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

#[derive(Clone, Debug)]
enum Part {
    Sentence(String),
    Title(String),
    Table(Table),
}

/// What is told of an experiment, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(Vec<Part>);

impl Table {
    /// A table whose rows have names in columns with these titles.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self { head: names.iter().map(|name| ((*name).to_owned(), Side::Left)).collect(), rows: Vec::new() }
    }

    /// With columns of figures.
    pub(crate) fn with<T: Into<String>>(mut self, titles: impl IntoIterator<Item = T>) -> Self {
        self.head.extend(titles.into_iter().map(|title| (title.into(), Side::Right)));
        self
    }

    /// With a column of words.
    pub(crate) fn with_words(mut self, title: &str) -> Self {
        self.head.push((title.to_owned(), Side::Left));
        self
    }

    /// A row: as many cells as there are columns.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        debug_assert_eq!(cells.len(), self.head.len(), "a cell for each column: {cells:?}");
        self.rows.push(cells);
    }

    /// For the terminal.
    pub(crate) fn text(&self) -> String {
        let titles: Vec<String> = self.head.iter().map(|(title, _)| title.clone()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&titles).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..titles.len())
            .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut out = String::new();
        for line in lines {
            let cells = line.iter().zip(&self.head).zip(&widths).map(|((cell, (_, side)), &width)| match side {
                Side::Left => format!("{cell:width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
            let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        out
    }

    /// For a page. On a narrow screen each row becomes a list of its cells, which repeat the columns' titles.
    pub(crate) fn html(&self) -> String {
        let side = |side: Side| if side == Side::Left { " class=words" } else { "" };
        let mut out = String::from("<table><thead><tr>");
        for (title, of) in &self.head {
            let _ = write!(out, "<th scope=col{}>{}</th>", side(*of), escape(title));
        }
        out.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            out.push_str("<tr>");
            for (cell, (title, of)) in row.iter().zip(&self.head) {
                let title = escape(title);
                let _ = write!(out, "<td{} data-title=\"{title}\"><span>{}</span></td>", side(*of), cell_html(cell));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table>");
        out
    }
}

// What is uncertain of a figure stands in smaller letters.
fn cell_html(cell: &str) -> String {
    let at = [" ±", " ["].iter().filter_map(|mark| cell.find(mark)).min();
    match at {
        Some(at) => format!("{} <small>{}</small>", escape(&cell[..at]), escape(&cell[at + 1..])),
        None => escape(cell),
    }
}

impl Figures {
    /// A sentence, or a line.
    pub(crate) fn say(&mut self, sentence: impl Into<String>) {
        self.0.push(Part::Sentence(sentence.into()));
    }

    /// What the next part is about.
    pub(crate) fn title(&mut self, title: impl Into<String>) {
        self.0.push(Part::Title(title.into()));
    }

    /// A table.
    pub(crate) fn table(&mut self, table: Table) {
        self.0.push(Part::Table(table));
    }

    /// For the terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let mut before: Option<&Part> = None;
        for part in &self.0 {
            let together = matches!(
                (before, part),
                (None | Some(Part::Title(_)), _) | (Some(Part::Sentence(_)), Part::Sentence(_))
            );
            let apart = !together;
            if apart {
                out.push('\n');
            }
            match part {
                Part::Sentence(text) | Part::Title(text) => {
                    let _ = writeln!(out, "{text}");
                }
                Part::Table(table) => out.push_str(&table.text()),
            }
            before = Some(part);
        }
        out
    }

    /// For a page.
    pub(crate) fn html(&self) -> String {
        let of = |part: &Part| match part {
            Part::Sentence(text) => format!("<p>{}</p>", escape(text)),
            Part::Title(text) => format!("<h3>{}</h3>", escape(text)),
            Part::Table(table) => table.html(),
        };
        self.0.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_never_run_together() {
        for (name, figure) in [("a", "1"), ("a very long name of a method", "1234567890123456789.1234"), ("ä", "±")] {
            let mut table = Table::of(&["method"]).with(["NDCG@10", "updates a second"]).with_words("end");
            table.row([name, figure, figure, "held"]);
            table.row(["b", "0.5 ±0.1", "-", ""]);
            let text = table.text();
            let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
            for (line, cells) in [(1, [name, figure, figure, "held"]), (2, ["b", "0.5 ±0.1", "-", ""])] {
                let words: String = lines[line].iter().collect();
                let seen: Vec<&str> = words.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
                assert_eq!(seen, cells.into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>(), "{text}");
            }
            // Figures end where their title ends.
            let title = lines[0].iter().collect::<String>().find("NDCG@10").expect("a title") + "NDCG@10".len();
            assert!(lines[1][title - 1] != ' ' && lines[1].get(title) == Some(&' '), "{text}");
        }
    }

    #[test]
    fn cells_are_escaped_and_named() {
        let mut table = Table::of(&["a<b"]).with(["x \"y\""]);
        table.row(["<script>", "0.5 [0.4, 0.6]"]);
        let html = table.html();
        assert!(html.contains("data-title=\"x &quot;y&quot;\"") && html.contains("&lt;script&gt;"), "{html}");
        assert!(html.contains("0.5 <small>[0.4, 0.6]</small>"), "{html}");
    }

    #[test]
    fn parts_stand_apart_and_sentences_together() {
        let mut figures = Figures::default();
        figures.say("one");
        figures.say("two");
        figures.title("three");
        figures.table(Table::of(&["four"]));
        figures.say("five");
        assert_eq!(figures.text(), "one\ntwo\n\nthree\nfour\n\nfive\n");
        assert_eq!(figures.html().matches("<p>").count(), 3);
    }
}
