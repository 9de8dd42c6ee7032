//! Devices on the command line: one with its folder ([`single`]), or many in one process ([`swarm`]).

pub mod single;
pub mod swarm;
