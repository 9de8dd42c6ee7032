//! What is signed of a version and of a rollout, off the server.

use crate::ids::TrackId;
use crate::model::{Example, Model, Solver};
use crate::rollout::Share;
use serde::{Deserialize, Serialize};

/// The file of the version with this release counter.
pub(super) fn model_path(counter: u64) -> String {
    format!("models/{counter}")
}

/// The file of the rollout of this name: its policy.
pub(super) fn rollout_path(name: &str) -> String {
    format!("rollouts/{name}")
}

/// What is signed of a version, beside its hash and length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Its place among all that were ever signed; it only grows. Old weights that come back get a new one.
    pub release_counter: u64,
    /// Its number at the coordinator that made it.
    pub version: u64,
    /// The version that it follows.
    pub parent: Option<u64>,
    /// The task that learnt it, or where it was imported from.
    pub task: String,
    /// The round that it came from.
    pub train_round: Option<u64>,
    /// The oldest runtime that can serve it: [`RUNTIME`] of the device must be this or above.
    pub min_runtime: u32,
    /// What a device has spent on its task, as decimal digits: metadata has no fractions.
    pub dp_epsilon: Option<String>,
    /// Its delta.
    pub dp_delta: Option<String>,
    /// Hash of the plan of its last round, in hexadecimal.
    pub plan: Option<String>,
    /// SHA-256 of its model card.
    pub card: Option<String>,
    /// Questions whose answers are known.
    pub probes: Vec<Probe>,
}

/// A question whose answer is known: it is signed with the version, and every device asks it before the version serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// A listener's tracks; none for a stranger.
    pub history: Vec<u32>,
    /// The track that scores highest for it, among those outside the history; `None` where nobody knows beforehand.
    pub best: Option<u32>,
}

/// What is signed of a rollout, beside its policy's hash: the server chooses among these stages, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutTerms {
    /// The candidate's release counter.
    pub candidate: u64,
    /// The salt of its buckets, 32 hexadecimal digits.
    pub salt: String,
    /// Its stages, in order.
    pub stages: Vec<StageTerms>,
    /// Hours that a device's report covers; so long it must have been in the stage.
    pub report_hours: u32,
    /// A listener who skipped a larger share of tracks in the four weeks before, in percent, counts among those who are served worst.
    pub worst_percent: u32,
}

/// A stage as devices need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTerms {
    /// The share of devices that have the candidate; as many are the control.
    pub share: Share,
    /// Whether it serves nobody: the devices try the candidate on what their listeners play.
    pub shadow: bool,
}

impl Probe {
    /// Asks a model: fills `scores`, one a track, and gives the track that scores highest outside the history. Of several that are alike the first.
    pub fn ask(&self, model: &Model, solver: &mut Solver, scores: &mut Vec<f32>) -> Option<u32> {
        let mut history: Vec<Example> =
            self.history.iter().map(|&track| Example { track: TrackId(track), confidence: 1.0 }).collect();
        history.retain(|example| example.track.row() < model.tracks());
        history.sort_by_key(|example| example.track);
        model.score(&history, solver, scores);
        let candidates = (0..scores.len() as u32).filter(|track| !self.history.contains(track));
        candidates.max_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]).then(b.cmp(&a)))
    }
}

impl RolloutTerms {
    pub(super) fn salt(&self) -> Option<[u8; 16]> {
        let digits = self.salt.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut salt = [0; 16];
        for (byte, pair) in salt.iter_mut().zip(self.salt.as_bytes().as_chunks::<2>().0) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(salt)
    }
}

/// What this program can serve. It is raised when models get a form or a meaning that older programs do not know.
pub const RUNTIME: u32 = 1;
