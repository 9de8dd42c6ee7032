//! Whole federations in one process, by the code that devices and the coordinator run.
//!
//! Data ([`loaders`] or the synthetic [`world`]) becomes a [`population`] of devices; [`federation`] runs rounds over it;
//! [`methods`] are what can be compared; [`evaluation`] measures; [`report`] shows.

pub mod assess;
pub mod budget;
pub mod catalogue;
pub mod cli;
pub mod cold_start;
pub mod dataset;
pub mod error;
pub mod evaluation;
pub mod experiment;
pub mod federation;
pub mod fleet;
pub mod keys;
pub mod labels;
pub mod large;
pub mod loaders;
pub mod methods;
pub mod output;
pub mod poisoning;
pub mod population;
pub mod privacy;
pub mod progress;
pub mod ranking;
pub mod report;
pub mod rollout;
pub mod scenario;
pub mod stream;
pub mod world;
