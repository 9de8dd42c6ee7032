//! A model's card (Mitchell et al. 2019): what it was learnt from, how good it is and for whom, what it cost in privacy, and what it
//! must not be used for. As Markdown for people and as JSON for scripts.

use crate::evaluate::Interval;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The card of one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// What the model is, in words.
    pub model: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What it was learnt from.
    pub data: Vec<String>,
    /// What counted as liking.
    pub labels: Vec<String>,
    /// How good it is.
    pub metrics: Vec<CardFigure>,
    /// For whom: one metric by groups.
    pub groups: Vec<CardFigure>,
    /// What it cost, and against whom that holds.
    pub privacy: Vec<String>,
    /// What is not known of it, and what it is not for.
    pub limits: Vec<String>,
}

/// A figure of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardFigure {
    /// Its name.
    pub name: String,
    /// Its value with a 95 % interval; the ends are the mean where none was reckoned.
    pub value: Interval,
}

impl ModelCard {
    /// The card for people.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("# Model card\n\n{}\n\nSHA-256 `{}`\n", self.model, self.sha256);
        let list = |out: &mut String, title: &str, lines: &[String]| {
            let _ = write!(out, "\n## {title}\n\n");
            for line in lines {
                let _ = writeln!(out, "- {line}");
            }
        };
        let table = |out: &mut String, title: &str, figures: &[CardFigure]| {
            let _ = write!(out, "\n## {title}\n\n| | value | 95 % interval | listeners |\n|---|---|---|---|\n");
            for CardFigure { name, value } in figures {
                let interval = if value.low < value.high {
                    format!("{:.4} to {:.4}", value.low, value.high)
                } else {
                    String::new()
                };
                let _ = writeln!(out, "| {name} | {:.4} | {interval} | {} |", value.mean, value.listeners);
            }
        };
        list(&mut out, "Data", &self.data);
        list(&mut out, "Labels", &self.labels);
        table(&mut out, "Metrics", &self.metrics);
        table(&mut out, "Groups", &self.groups);
        list(&mut out, "Privacy", &self.privacy);
        list(&mut out, "Limits", &self.limits);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_all_that_it_knows() {
        let value = Interval { mean: 0.25, low: 0.2, high: 0.3, listeners: 7 };
        let figure = |name: &str| CardFigure { name: name.into(), value };
        let card = ModelCard {
            model: "embeddings".into(),
            sha256: "ab".into(),
            data: vec!["plays".into()],
            labels: vec!["likes".into()],
            metrics: vec![figure("NDCG@10")],
            groups: vec![figure("light")],
            privacy: vec!["epsilon 4".into()],
            limits: vec!["none for children".into()],
        };
        let text = card.to_markdown();
        for part in
            ["embeddings", "`ab`", "- plays", "- likes", "| NDCG@10 | 0.2500 | 0.2000 to 0.3000 | 7 |", "| light"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(text.contains("- epsilon 4") && text.contains("- none for children"));
        let json = serde_json::to_string(&card).expect("a form in JSON");
        assert_eq!(serde_json::from_str::<ModelCard>(&json).expect("its own form"), card);
    }
}
