//! Sordino's coordinator, the part that decides: what a fleet can learn ([`planner`]), and what comes next in a training
//! ([`training`]), what correlated noise a trusted coordinator adds ([`correlated`]), and what each population has spent
//! ([`ledger`]), and whether a new model may go to more devices ([`rollout`]). It sees decoded sums and nothing of any device.
//!
//! Everything here is a value, but for the ledgers' files: no socket, no clock. The server that drives it over the network is a thin shell
//! around the same types.

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod authority;
#[cfg(feature = "server")]
pub mod budget;
pub mod central;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
pub mod correlated;
#[cfg(feature = "server")]
mod files;
pub mod ledger;
pub mod planner;
#[cfg(feature = "server")]
pub mod registry;
pub mod rollout;
pub mod round;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod settings;
pub mod store;
#[cfg(feature = "server")]
pub mod task;
pub mod training;
