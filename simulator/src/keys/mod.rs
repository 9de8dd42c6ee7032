//! Every key of every file that the simulator reads: one list, of which `settings` prints files and docs/scenarios.md is made.

mod experiments;
mod others;
mod page;
mod scenario;
#[cfg(test)]
mod tests;

pub use page::{file, page};

/// A key of a file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in its section.
    pub name: &'static str,
    /// What kind of value it has.
    pub kind: &'static str,
    /// A value that it can have, as TOML.
    pub example: &'static str,
    /// What it decides.
    pub meaning: &'static str,
}

/// A section of a file.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name; empty for the keys at the top.
    pub name: &'static str,
    /// What it is about; empty where the file says it.
    pub about: &'static str,
    /// Its keys, in their order.
    pub keys: &'static [Key],
}

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// What `settings` calls it.
    pub name: &'static str,
    /// A title.
    pub title: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// How it is given to a command.
    pub used: &'static str,
    /// Its sections.
    pub sections: &'static [Section],
    /// What it says where nothing is said, as TOML; `None` where some keys must be given.
    pub defaults: Option<fn() -> String>,
    /// A whole file, to begin with.
    pub example: &'static str,
    /// Whether a text is such a file.
    pub check: fn(&str) -> Result<(), String>,
}

/// All of them.
pub const FILES: [File; 11] = [
    scenario::SCENARIO,
    experiments::STREAM,
    experiments::RANKER,
    experiments::LABELS,
    experiments::COLD_START,
    experiments::LARGE,
    experiments::POISON,
    experiments::ROLLOUT,
    experiments::FLEET,
    others::POLICY,
    others::PLAN,
];

const fn key(name: &'static str, kind: &'static str, example: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, example, meaning }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<(), String> {
    toml::from_str::<T>(text).map(drop).map_err(|fault| fault.to_string())
}

// The clip of a descent, which several files have.
const CLIP_KEYS: &[Key] = &[
    key("clip", "number", "2.0", "the clip of the first round"),
    key("quantile", "0 to 1", "0.9", "the share of devices that should not be clipped"),
    key("rate", "number", "0.2", "how fast the clip moves, in e-foldings a round at most"),
    key("share", "0 to 1", "0.01", "what the count of clipped devices takes of a round's rho"),
];
const TOWER_KEYS: &[Key] = &[
    key("negatives", "whole number", "256", "tracks that held-back ones are picked among"),
    key("rate", "number", "0.02", "the coordinator's step"),
];
