//! Evaluation: how good a ranking is, what it does to the catalogue, and how sure we are.
//!
//! docs/metrics.md says which library's convention each figure follows.

mod beyond;
mod bootstrap;
mod groups;
mod habits;
mod kinds;
mod outcomes;
mod paired;
mod ranking;

pub use beyond::Exposure;
pub use bootstrap::{Interval, MANY, bootstrap_mean, bootstrap_means};
pub use groups::{Groups, thirds};
pub use habits::{HABITS, Habits, RETURN_DAYS};
pub use kinds::{calibrated, kind_shares, miscalibration, place_weight};
pub use outcomes::{Reliability, auc, average_accuracy, calibration_error, log_loss, reliability};
pub use paired::{Paired, holm, paired};
pub use ranking::{Gain, Judged, Ties};
