//! Evaluation: how good a ranking is, what it does to the catalogue, and how sure we are.
//!
//! docs/metrics.md says which library's convention each figure follows.

mod beyond;
mod bootstrap;
mod outcomes;
mod ranking;

pub use beyond::Exposure;
pub use bootstrap::{Interval, bootstrap_mean};
pub use outcomes::{Reliability, auc, average_accuracy, calibration_error, log_loss, reliability};
pub use ranking::{Gain, Judged, Ties};
