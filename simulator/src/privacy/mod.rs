//! Reckoning with privacy for people: what a plan promises and to whom, and the audit that tries to catch the code lying.

pub mod audit;
pub mod explain;
