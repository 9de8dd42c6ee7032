//! What is said before the whole result is known: one line, on standard error, so that standard output stays whole.

use crate::experiment::Measured;
use std::sync::{Mutex, PoisonError};

/// Hears a run's results one by one and makes the line of the first.
#[derive(Debug, Default)]
pub struct Early {
    heard: Mutex<Vec<String>>,
}

impl Early {
    /// The line to print now, if any: once the method that the run is about has one to stand beside, or stands alone, and
    /// something is still to come.
    pub fn hear(&self, measured: Measured<'_>) -> Option<String> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(figure(&measured));
        let is_alone = !measured.to_come.iter().any(|next| !LATER.contains(next));
        let is_due = heard.len() == PAIR || (heard.len() < PAIR && is_alone);
        (is_due && !measured.to_come.is_empty())
            .then(|| format!("first result: {}; to come: {}", heard.join(", "), measured.to_come.join(", ")))
    }
}

fn figure(measured: &Measured<'_>) -> String {
    let metrics = &measured.result.measured.metrics;
    let known = metrics.get("ndcg@10").map(|i| format!(" {:.4} ±{:.4}", i.mean, (i.high - i.low) / 2.0));
    format!("{} NDCG@10{}", measured.method, known.unwrap_or_default())
}

// A result, and what it is held against.
const PAIR: usize = 2;
// What is no method to stand beside.
const LATER: [&str; 2] = ["truth", "curve"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Measured as Figures;
    use crate::output::MethodResult;
    use sordino_shared::evaluate::Interval;
    use std::collections::BTreeMap;

    fn result(mean: f64) -> MethodResult {
        let interval = Interval { mean, low: mean - 0.003, high: mean + 0.003, listeners: 9 };
        MethodResult {
            measured: Figures {
                metrics: BTreeMap::from([("ndcg@10".to_owned(), interval)]),
                lists: BTreeMap::new(),
                by_activity: Vec::new(),
                ndcg_by_listener: Vec::new(),
                ndcg_full_by_listener: Vec::new(),
                exposure: Vec::new(),
                without_test: 0,
            },
            seconds_training: 0.0,
            device_updates_per_second: None,
            peak_rss_bytes: 0,
            rounds: Vec::new(),
            dimensions: 0,
            settings: String::new(),
        }
    }

    fn lines(stages: &[&str]) -> Vec<Option<String>> {
        let early = Early::default();
        let tell = |place: usize| {
            let result = result(0.0833 - 0.04 * place as f64);
            early.hear(Measured { method: stages[place], result: &result, to_come: &stages[place + 1..] })
        };
        (0..stages.iter().filter(|stage| **stage != "curve").count()).map(tell).collect()
    }

    #[test]
    fn the_first_result_is_told_once_and_beside_another() {
        let told = lines(&["sordino", "popularity", "ials", "truth", "curve"]);
        let line = "first result: sordino NDCG@10 0.0833 ±0.0030, popularity NDCG@10 0.0433 ±0.0030; to come: ials, \
                    truth, curve";
        assert_eq!(told, [None, Some(line.to_owned()), None, None]);
    }

    #[test]
    fn what_stands_alone_is_told_alone_and_what_is_all_is_not_told_twice() {
        let told = lines(&["sordino", "curve"]);
        assert_eq!(told, [Some("first result: sordino NDCG@10 0.0833 ±0.0030; to come: curve".to_owned())]);
        assert_eq!(lines(&["sordino"]), [None]);
        assert_eq!(lines(&["sordino", "popularity"]), [None, None]);
    }
}
