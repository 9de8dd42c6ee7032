//! Sordino's coordinator, the part that decides: what a fleet can learn ([`planner`]), and what comes next in a training
//! ([`training`]). It sees decoded sums and nothing of any device.
//!
//! Everything here is a value: no socket, no clock, no file. The server that drives it over the network is a thin shell
//! around the same types.

pub mod planner;
pub mod training;
