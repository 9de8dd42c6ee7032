//! The ledger in plain words.

use super::super::{Mode, rounded};
use super::{History, Record};
use crate::plain::shown;
use crate::rollout::rollout_of;
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
    text.push_str(&format!(
        "Privacy spent: epsilon {} of {} (delta {:e}). Budget left: {} %.\n",
        rounded::up(balance.epsilon, 3),
        rounded::down(balance.epsilon_limit, 3),
        balance.delta,
        rounded::share_left(balance.rho, balance.rho_limit, 0)
    ));
    if balance.rho >= balance.rho_limit {
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
                    format!("{} % of the budget", rounded::share_spent(spend.charged, balance.rho_limit, 1))
                };
                let of = match rollout_of(&spend.task) {
                    Some(rollout) => format!("rollout '{}', stage {}", shown(rollout), spend.round),
                    None => format!("'{}', round {}", shown(&spend.task), spend.round),
                };
                let (values, what) = (spend.values, shown(&spend.what));
                format!("{}  {of}: {values} noisy numbers ({what}), {trust}; {cost}", date(spend.at))
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
