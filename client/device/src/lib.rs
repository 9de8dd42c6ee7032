//! Devices on the command line: one with its folder ([`single`]), or many in one process ([`swarm`]).

pub mod cli;
pub mod single;
pub mod swarm;
pub mod words;
