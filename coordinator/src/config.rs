//! The coordinator's settings: one TOML file in its folder, whose every key is known.

use serde::{Deserialize, Serialize};
use sordino_shared::privacy::ledger::{self, Policy};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why settings cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// No file, or no right to it.
    #[error("{path} cannot be read: {fault}; `sordino-coordinator init` makes a folder")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// It is no TOML, or has keys that are not known.
    #[error("{path}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A value that cannot be.
    #[error("{0}")]
    Value(String),
    /// A budget that cannot be kept.
    #[error("privacy: {0}")]
    Budget(String),
}

/// All settings. Each section has defaults; an empty file is a valid one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// Who may take part.
    pub enrolment: Enrolment,
    /// What the population may spend.
    pub privacy: Privacy,
    /// How contributions are made durable.
    pub flush: Flush,
    /// What a peer may take.
    pub limits: Limits,
    /// Which versions serve.
    pub registry: Registry,
}

/// Which versions serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Whether every version serves all devices as soon as it is made, signed by the people's keys in the folder: for trials, since whoever
    /// has this machine can then make every device run anything.
    pub automatic: bool,
}

/// Where the coordinator listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// For devices, over UDP.
    pub address: SocketAddr,
    /// For the operator's page and for metrics, over TCP; loopback only.
    pub admin: SocketAddr,
    /// The population that it serves.
    pub population: String,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([0, 0, 0, 0], 4433)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9464)),
            population: "default".into(),
        }
    }
}

/// Who may take part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// Days that a certificate holds; at most 7.
    pub certificate_days: u32,
    /// Hours that must pass from enrolment to the first contribution.
    pub least_age_hours: u32,
    /// A program that is given a device's attestation on its standard input and its key as its only argument, and says by
    /// its exit status whether it is to be believed. Without one nothing is asked of the platform.
    pub attestation: Option<PathBuf>,
    /// Seconds after which a revocation is known at the latest; at most 60.
    pub refresh_seconds: u32,
}

impl Default for Enrolment {
    fn default() -> Self {
        Self { certificate_days: 7, least_age_hours: 24, attestation: None, refresh_seconds: 10 }
    }
}

/// What the population may spend over all tasks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// Epsilon of one device over everything.
    pub epsilon: f64,
    /// Delta.
    pub delta: f64,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { epsilon: 8.0, delta: 1e-6 }
    }
}

/// How contributions are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flush {
    /// The most contributions of one transaction.
    pub entries: usize,
    /// How long a contribution waits for others.
    pub linger_ms: u64,
    /// The most bytes of contributions in memory.
    pub pending_mb: u32,
}

impl Default for Flush {
    fn default() -> Self {
        Self { entries: 128, linger_ms: 5, pending_mb: 64 }
    }
}

/// What a peer may take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address; an office or a carrier may stand behind one.
    pub connections_per_address: usize,
    /// Handshakes under way from which on an address must prove itself first.
    pub handshakes: usize,
    /// Seconds for a handshake.
    pub handshake_seconds: u64,
    /// Seconds after which a request must come at `least_rate` or faster.
    pub grace_seconds: u64,
    /// Bytes a second.
    pub least_rate: u64,
    /// Seconds for which a request waits for a step's outcome before the device is told to ask again.
    pub hold_seconds: u64,
    /// Seconds without a sign of life after which a connection is given up.
    pub idle_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 256,
            handshakes: 1024,
            handshake_seconds: 10,
            grace_seconds: 10,
            least_rate: 4096,
            hold_seconds: 20,
            idle_seconds: 60,
        }
    }
}

impl Config {
    /// Reads and checks the settings in a coordinator's folder.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn load(folder: &Path) -> Result<Self, Error> {
        Self::parse(&text(folder)?, &folder.join(FILE)).map_err(|error| match error {
            Error::Budget(reason) => {
                let folder = crate::files::quoted(folder);
                Error::Budget(format!(
                    "{reason}; `sordino-coordinator budget set --epsilon 8 --why \"...\" {folder}` sets one"
                ))
            }
            error => error,
        })
    }

    /// Reads the settings in a coordinator's folder as they are: for whoever is about to put them right.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Syntax`].
    pub fn read(folder: &Path) -> Result<Self, Error> {
        Self::decode(&text(folder)?, &folder.join(FILE))
    }

    /// Reads and checks settings.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let config = Self::decode(text, path)?;
        config.check()?;
        Ok(config)
    }

    fn decode(text: &str, path: &Path) -> Result<Self, Error> {
        let syntax = |error: toml::de::Error| Error::Syntax { path: path.to_owned(), reason: error.to_string() };
        toml::from_str(text).map_err(syntax)
    }

    /// Whether all values can be.
    ///
    /// # Errors
    /// [`Error::Value`], [`Error::Budget`].
    pub fn check(&self) -> Result<(), Error> {
        let value = |text: String| Err(Error::Value(text));
        if !self.listen.admin.ip().is_loopback() {
            return value(format!(
                "listen.admin must be a loopback address, not {}: use a tunnel to reach it",
                self.listen.admin
            ));
        }
        if self.listen.population.is_empty() || self.listen.population.len() > 64 {
            return value("listen.population needs 1 to 64 bytes".into());
        }
        if !(1..=7).contains(&self.enrolment.certificate_days) {
            return value(format!(
                "enrolment.certificate_days must be 1 to 7, not {}",
                self.enrolment.certificate_days
            ));
        }
        if !(1..=60).contains(&self.enrolment.refresh_seconds) {
            return value(format!("enrolment.refresh_seconds must be 1 to 60, not {}", self.enrolment.refresh_seconds));
        }
        let positive = [
            ("flush.entries", self.flush.entries),
            ("flush.pending_mb", self.flush.pending_mb as usize),
            ("limits.connections", self.limits.connections),
            ("limits.connections_per_address", self.limits.connections_per_address),
            ("limits.handshake_seconds", self.limits.handshake_seconds as usize),
            ("limits.least_rate", self.limits.least_rate as usize),
            ("limits.hold_seconds", self.limits.hold_seconds as usize),
            ("limits.idle_seconds", self.limits.idle_seconds as usize),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, number)| *number == 0) {
            return value(format!("{name} must be at least 1"));
        }
        check_budget(self.privacy.epsilon, self.privacy.delta).map_err(Error::Budget)?;
        let seconds = [
            ("limits.handshake_seconds", self.limits.handshake_seconds),
            ("limits.grace_seconds", self.limits.grace_seconds),
            ("limits.idle_seconds", u64::from(self.limits.idle_seconds)),
        ];
        if let Some((name, _)) = seconds.iter().find(|(_, number)| *number > MOST_SECONDS) {
            return value(format!("{name} must be at most {MOST_SECONDS}"));
        }
        if self.limits.hold_seconds > 25 {
            return value("limits.hold_seconds must be at most 25: devices wait 60 seconds for an answer".into());
        }
        Ok(())
    }
}

/// Whether a budget, or a task's price, can be kept at all.
///
/// # Errors
/// In a sentence that says which can.
pub fn check_budget(epsilon: f64, delta: f64) -> Result<(), String> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(format!("epsilon must be a positive number, not {epsilon}: try 8"));
    }
    Policy::new(epsilon, delta).check().map_err(|error| match error {
        ledger::Error::Policy(error) => error.to_string(),
        error => error.to_string(),
    })
}

/// The settings' text.
///
/// # Errors
/// [`Error::Read`].
pub(crate) fn text(folder: &Path) -> Result<String, Error> {
    let path = folder.join(FILE);
    std::fs::read_to_string(&path).map_err(|fault| Error::Read { path, fault })
}

/// Settings with another budget: the operator's own lines and comments stay as they are where that can be.
///
/// # Errors
/// [`Error::Syntax`] where they cannot be read.
pub(crate) fn with_budget(text: &str, epsilon: f64, delta: f64, path: &Path) -> Result<String, Error> {
    let wanted = Config { privacy: Privacy { epsilon, delta }, ..Config::decode(text, path)? };
    let edited = edit(text, &[("epsilon", epsilon), ("delta", delta)]);
    if Config::decode(&edited, path).is_ok_and(|config| config == wanted) {
        return Ok(edited);
    }
    Ok(toml::to_string(&wanted).expect("plain settings"))
}

// Line by line: a number in `[privacy]` is put in the place of the one that is there, or right under the section's name.
fn edit(text: &str, numbers: &[(&str, f64)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let name = |line: &str| line.split('#').next().unwrap_or_default().trim().replace(' ', "");
    let begin = lines.iter().position(|line| name(line) == "[privacy]").unwrap_or_else(|| {
        lines.push("[privacy]".to_owned());
        lines.len() - 1
    });
    for (key, number) in numbers.iter().rev() {
        let end = lines.iter().skip(begin + 1).position(|line| line.trim_start().starts_with('['));
        let end = end.map_or(lines.len(), |after| begin + 1 + after);
        let is_key = |line: &String| line.split_once('=').is_some_and(|(left, _)| left.trim() == *key);
        match (begin + 1..end).find(|&at| is_key(&lines[at])) {
            Some(at) => {
                let comment = lines[at].find('#').map(|at_comment| lines[at][at_comment..].to_owned());
                let comment = comment.map(|comment| format!(" {comment}")).unwrap_or_default();
                lines[at] = format!("{key} = {number:?}{comment}");
            }
            None => lines.insert(begin + 1, format!("{key} = {number:?}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The settings' place in a coordinator's folder.
pub const FILE: &str = "coordinator.toml";

// An hour: whoever takes longer is not there.
const MOST_SECONDS: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_written_as_they_are_read() {
        let text = toml::to_string(&Config::default()).expect("plain settings");
        assert_eq!(Config::parse(&text, Path::new("x")).expect("valid"), Config::default());
        assert_eq!(Config::parse("", Path::new("x")).expect("valid"), Config::default());
    }

    #[test]
    fn another_budget_leaves_the_other_lines_alone() {
        let path = Path::new("x");
        for text in [
            "",
            "[privacy]\n",
            "[privacy]\ndelta = 1e-5 # small\n\n[listen]\npopulation = \"eu\" # ours\n",
            "# ours\n[listen]\npopulation = \"eu\"\n",
            "[ privacy ]\nepsilon=3\n",
            "privacy = { epsilon = 3.0 }\n",
            "privacy.epsilon = 3.0\n",
        ] {
            let edited = with_budget(text, 2.5, 1e-7, path).expect("valid");
            let expected = Privacy { epsilon: 2.5, delta: 1e-7 };
            let before = Config::parse(text, path).expect("valid");
            assert_eq!(Config::parse(&edited, path).expect("valid"), Config { privacy: expected, ..before }, "{text}");
            assert!(text.contains("# ours") == edited.contains("# ours"), "{edited}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_reason() {
        for (text, reason) in [
            ("[listen]\nadmin = \"0.0.0.0:9464\"", "loopback"),
            ("[listen]\nport = 3", "unknown field"),
            ("[enrolment]\ncertificate_days = 30", "1 to 7"),
            ("[enrolment]\nrefresh_seconds = 0", "1 to 60"),
            ("[flush]\nentries = 0", "at least 1"),
            ("[limits]\nhold_seconds = 60", "at most 25"),
            ("[privacy]\nepsilon = 60", "up to epsilon 37.5"),
            ("[privacy]\nepsilon = 0", "positive number"),
            ("[privacy]\ndelta = 1.5", "between 0 and 1"),
            ("[limits]\ngrace_seconds = 9223372036854775807", "at most"),
        ] {
            let error = Config::parse(text, Path::new("x")).expect_err("refused").to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
