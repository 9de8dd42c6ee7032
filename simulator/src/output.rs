//! What a run leaves behind: JSON for scripts, and a folder that is there whole or not at all.

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
use std::path::{Path, PathBuf};

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
    let temporary = beside(path);
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

/// Refuses a folder that holds something which no run of ours left there.
pub fn check_folder(folder: &Path) -> Result<()> {
    if folder.is_file() {
        return Err(Error::file(folder, "is a file: name a folder with --out"));
    }
    let is_empty = fs::read_dir(folder).map(|mut entries| entries.next().is_none()).unwrap_or(true);
    if is_empty
        || [RESULTS, RANKING, COLD_START, LABELS, ASSESSMENT, POISONING, STREAM, LARGE, ROLLOUT, FLEET]
            .iter()
            .any(|name| folder.join(name).is_file())
    {
        return Ok(());
    }
    Err(Error::file(folder, "holds files that no run left there: name another folder with --out"))
}

/// Writes a run's folder. An earlier run's folder is replaced, once the new one is whole.
pub fn write_folder(folder: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    check_folder(folder)?;
    let failed = |source| Error::Output { path: folder.to_owned(), source };
    let temporary = beside(folder);
    let written = fs::create_dir_all(&temporary)
        .and_then(|()| files.iter().try_for_each(|(name, bytes)| fs::write(temporary.join(name), bytes)))
        .and_then(|()| if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) })
        .and_then(|()| fs::rename(&temporary, folder));
    written.map_err(|source| {
        let _ = fs::remove_dir_all(&temporary);
        failed(source)
    })
}

/// Reads the results of a run's folder.
pub fn read_folder(folder: &Path) -> Result<Results> {
    let path = folder.join(RESULTS);
    let text = fs::read_to_string(&path)
        .map_err(|e| Error::file(&path, format!("cannot be read: {e}; name the folder of a finished run")))?;
    serde_json::from_str(&text).map_err(|e| Error::file(&path, format!("is not the result of a run: {e}")))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.partial-{}", std::process::id()))
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
