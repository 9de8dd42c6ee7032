//! What a run leaves behind: JSON for scripts, and a folder that is there whole or not at all.

pub mod folder;
mod manifest;
#[cfg(test)]
mod tests;

pub use manifest::{Entry, MANIFEST, Manifest, Provenance};

use crate::catalogue::CatalogueMap;
use crate::error::{Error, Result};
use crate::evaluation::Measured;
use crate::methods::RoundLog;
use crate::population::Summary;
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sordino_coordinator::planner::Schedule;
use sordino_shared::privacy::accountant::Claim;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Everything that is known of a run when it is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What was asked for.
    pub scenario: Scenario,
    /// What has to be said before any figure.
    pub notes: Vec<String>,
    /// Devices simulated.
    pub devices: usize,
    /// Tracks.
    pub tracks: usize,
    /// Training examples.
    pub examples: usize,
    /// N.
    pub population: usize,
    /// Threads.
    pub threads: usize,
    /// Embedding rounds that were run.
    pub rounds: usize,
    /// SHA-256 of the main method's model.
    pub model_sha256: Option<String>,
    /// What is claimed; `None` where there was no noise.
    pub claim: Option<Claim>,
    /// What the planner decided.
    pub schedule: Option<Schedule>,
    /// Data on the way in.
    pub summary: Summary,
    /// Rows passed over by the loader.
    pub passed_over: Vec<(String, u64)>,
    /// Listeners by number of training tracks, in classes of doubling width.
    pub history_classes: Vec<u64>,
    /// Training popularity of tracks, descending.
    pub popularity: Vec<f64>,
    /// The catalogue as the main method's model sees it; `None` where popularity is all there is.
    #[serde(default)]
    pub catalogue: Option<CatalogueMap>,
    /// Results by method.
    pub methods: BTreeMap<String, MethodResult>,
    /// (epsilon, NDCG@10, what was learnt); the last entry is without noise where that was run.
    pub curve: Vec<CurvePoint>,
}

/// One point of privacy against quality.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// `None` without noise.
    pub epsilon: Option<f64>,
    /// NDCG@10 over the protocol's candidates.
    pub ndcg: f64,
    /// Its interval.
    pub interval: (f64, f64),
    /// Dimensions learnt; 0 where popularity was all.
    pub dimensions: usize,
}

/// One method's results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodResult {
    /// What was measured on test tracks.
    pub measured: Measured,
    /// Seconds of training.
    pub seconds_training: f64,
    /// Device updates a second; `None` for what has no devices.
    pub device_updates_per_second: Option<f64>,
    /// Largest memory of the process during the method; 0 where the system does not tell.
    pub peak_rss_bytes: u64,
    /// Rounds.
    pub rounds: Vec<RoundLog>,
    /// Dimensions of the model; 0 where it has none.
    pub dimensions: usize,
    /// Settings in words.
    pub settings: String,
}

impl Results {
    /// The JSON that scripts read. Its keys stay as they are.
    pub fn to_json(&self) -> Value {
        let methods: Map<String, Value> = self.methods.iter().map(|(name, m)| (name.clone(), m.to_json())).collect();
        json!({
            "run": {
                "seed": self.scenario.seed,
                "epsilon": self.claim.as_ref().map(|c| c.epsilon),
                "epsilon_target": self.scenario.epsilon.0,
                "delta": self.claim.as_ref().map(|c| c.delta),
                "rounds": self.rounds,
                "devices": self.devices,
                "population": self.population,
                "cohort": self.scenario.cohort,
                "mode": self.scenario.mode,
                "fidelity": self.scenario.fidelity,
                "threads": self.threads,
                "model_sha256": self.model_sha256,
                "notes": self.notes,
            },
            "methods": methods,
        })
    }
}

impl MethodResult {
    fn to_json(&self) -> Value {
        let mut out = Map::new();
        for (name, interval) in &self.measured.metrics {
            out.insert(name.clone(), json!(interval.mean));
        }
        for (name, value) in &self.measured.lists {
            out.insert(name.clone(), json!(value));
        }
        out.insert("seconds_training".into(), json!(self.seconds_training));
        out.insert("device_updates_per_second".into(), json!(self.device_updates_per_second));
        out.insert("peak_rss_bytes".into(), json!(self.peak_rss_bytes));
        out.insert("intervals".into(), json!(self.measured.metrics));
        out.insert("ndcg@10_by_activity".into(), json!(self.measured.by_activity));
        Value::Object(out)
    }
}

/// Writes a file by way of a temporary one beside it, so that it is there whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::Output { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = folder::beside(path);
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

/// Refuses a folder that no run can write into without touching what is not its own.
pub fn check_folder(folder: &Path) -> Result<()> {
    folder::check(folder).map(|kept| tell(folder, &kept))
}

/// The same, and that figures for scripts can be written: into a file of its own, that is none of the folder's.
pub fn check_places(out: &Path, json: Option<&Path>) -> Result<()> {
    check_folder(out)?;
    let Some(json) = json.filter(|json| !is_standard_output(json)) else { return Ok(()) };
    let here = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let plain = |path: &Path| {
        here(path).components().fold(std::path::PathBuf::new(), |mut whole, part| {
            match part {
                std::path::Component::ParentDir => drop(whole.pop()),
                part => whole.push(part),
            }
            whole
        })
    };
    if plain(json).starts_with(plain(out)) {
        return Err(Error::file(
            json,
            "is among a run's own files, which has its figures already: name a file outside of --out",
        ));
    }
    if json.is_dir() {
        return Err(Error::file(json, "is a folder: name a file with --json"));
    }
    Ok(())
}

/// Writes a run's folder in the place of an earlier run's; whose files are in the way keeps them, and is told.
pub fn write_folder(folder: &Path, made: &Provenance, files: &[(&str, Vec<u8>)]) -> Result<()> {
    folder::write(folder, made, files).map(|kept| tell(folder, &kept))
}

/// Writes some of a run's files anew.
pub fn renew_folder(folder: &Path, made: &Provenance, files: &[(&str, Vec<u8>)]) -> Result<()> {
    folder::renew(folder, made, files).map(|kept| tell(folder, &kept))
}

fn tell(folder: &Path, kept: &[folder::Kept]) {
    for (name, now) in kept {
        let folder = folder.display();
        if name == now {
            eprintln!("note: {folder}/{name} was changed since a run wrote it: it stays as it is");
        } else {
            eprintln!("note: {folder}/{name} is not as a run wrote it: it is kept as {now}");
        }
    }
}

/// Writes what a command was asked for: into a file, whole or not at all, or to standard output where the name is `-`.
pub fn write_to(path: &Path, bytes: &[u8]) -> Result<()> {
    if !is_standard_output(path) {
        return write_whole(path, bytes);
    }
    say(&String::from_utf8_lossy(bytes));
    Ok(())
}

/// Whether a name means standard output.
pub fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}

/// Prints what people read: to standard output, or to standard error where scripts read the figures there.
pub fn tell_people(json: Option<&Path>, text: &str) {
    use std::io::Write;
    if json.is_some_and(is_standard_output) {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    } else {
        say(text);
    }
}

/// Reads the results of a run's folder.
pub fn read_folder(folder: &Path) -> Result<Results> {
    let text = folder::read(folder, RESULTS)?;
    let path = folder.join(RESULTS);
    serde_json::from_str(&text).map_err(|e| Error::file(&path, format!("is not the result of a run: {e}")))
}

/// The file that holds [`Results`].
pub const RESULTS: &str = "results.json";
/// The file that holds [`crate::ranking::RankResults`].
pub const RANKING: &str = "ranking.json";
/// The file that holds [`crate::cold_start::ColdResults`].
pub const COLD_START: &str = "cold-start.json";
/// The file that holds [`crate::labels::LabelResults`].
pub const LABELS: &str = "labels.json";

/// The file that holds [`crate::assess::Assessment`].
pub const ASSESSMENT: &str = "assessment.json";

/// The file that holds [`crate::poisoning::PoisonResults`].
pub const POISONING: &str = "poisoning.json";

/// The file that holds [`crate::stream::StreamResults`].
pub const STREAM: &str = "stream.json";

/// The file that holds [`crate::large::LargeResults`].
pub const LARGE: &str = "large.json";

/// The file that holds [`crate::rollout::RolloutResults`].
pub const ROLLOUT: &str = "rollout.json";
/// Name of the file with the results of a fleet.
pub const FLEET: &str = "fleet.json";

/// The files of which each experiment leaves one.
pub const RESULT_FILES: [&str; 10] =
    [RESULTS, RANKING, COLD_START, LABELS, ASSESSMENT, POISONING, STREAM, LARGE, ROLLOUT, FLEET];

/// Forgets the process' peak of memory, where the system allows it.
pub fn reset_peak_memory() {
    // A convenience of Linux; elsewhere the peak is that of the whole run, or unknown.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The process' peak of memory in bytes; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|v| v.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Prints to standard output. A reader that has gone away, such as `head`, is no error.
pub fn say(text: &str) {
    use std::io::Write;
    // Nothing can be done about an output that is gone, and nothing depends on it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
