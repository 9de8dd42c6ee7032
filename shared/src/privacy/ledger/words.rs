//! The ledger in plain words.

use super::super::Mode;
use super::{History, Record};
use crate::plain::shown;
use chrono::DateTime;

pub(super) fn describe(ledger: &History) -> String {
    let balance = ledger.balance();
    let mut text = match ledger.spends().last() {
        None => "Nothing has been sent so far.\n".to_owned(),
        Some(last) => format!(
            "{} sent so far, the last one on {}.\n",
            if balance.releases == 1 {
                "1 contribution was".to_owned()
            } else {
                format!("{} contributions were", balance.releases)
            },
            date(last.at)
        ),
    };
    let left = (1.0 - balance.rho / balance.rho_limit).max(0.0);
    text.push_str(&format!(
        "Privacy spent: epsilon {:.3} of {:.3} (delta {:e}). Budget left: {:.0} %.\n",
        balance.epsilon,
        balance.epsilon_limit,
        balance.delta,
        100.0 * left
    ));
    if left == 0.0 {
        text.push_str("The budget is used up: this device takes part in nothing more.\n");
    }
    for record in ledger.records() {
        let line = match record {
            Record::Policy { at, policy, reason } => {
                format!("{}  rule: {policy} ({})", date(*at), shown(reason))
            }
            Record::Spend(spend) => {
                let trust = match spend.mode {
                    Mode::Secure => "noise from many devices, hidden in a sum",
                    Mode::Local => "all noise added on this device",
                    Mode::Central | Mode::CentralMf => "noise added by the server, which is trusted with the sum",
                };
                let cost = if spend.charged == 0.0 {
                    "paid for before".to_owned()
                } else {
                    format!("{:.1} % of the budget", 100.0 * spend.charged / balance.rho_limit)
                };
                format!(
                    "{}  '{}', round {}: {} noisy numbers ({}), {trust}; {cost}",
                    date(spend.at),
                    shown(&spend.task),
                    spend.round,
                    spend.values,
                    shown(&spend.what)
                )
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn date(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds)
        .map_or_else(|| "an unknown time".to_owned(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}
