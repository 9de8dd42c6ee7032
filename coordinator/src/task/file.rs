//! A task as an operator writes it down: what is to be learnt, from whom, at what price.

use super::Error;
use crate::planner::{Fleet, Schedule};
use crate::round::{Timing, Trust};
use serde::{Deserialize, Serialize};
use sordino_shared::plain::{is_name, shown};
use sordino_shared::privacy::accountant::Target;
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_shared::rollout::rollout_of;

/// A task file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// Its name, for good; none that begins with `rollout-`.
    pub name: String,
    /// What is learnt.
    pub workload: WorkloadKind,
    /// The tracks.
    pub catalogue: Catalogue,
    /// The price.
    pub privacy: Price,
    /// Who takes part in a round.
    pub cohort: CohortSettings,
    /// How much is learnt; what is left out is planned.
    #[serde(default)]
    pub training: TrainingSettings,
    /// When rounds happen, and how long their steps may take.
    #[serde(default)]
    pub schedule: Timing,
}

/// What is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkloadKind {
    /// Track embeddings: popularity, subspace, factors, and a comparison at the end.
    Embedding,
}

/// The tracks of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// How many there are.
    pub tracks: usize,
    /// Their public features: a JSON file with `names` and `rows`, beside the task's.
    #[serde(default)]
    pub content: Option<String>,
}

/// What a device spends on the whole task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Epsilon.
    pub epsilon: f64,
    /// Delta.
    pub delta: f64,
    /// The noise's law.
    #[serde(default)]
    pub mechanism: Mechanism,
}

/// Who takes part in a round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortSettings {
    /// Devices in one sum.
    pub devices: u32,
    /// The largest share that colludes with the coordinator.
    #[serde(default = "a_tenth")]
    pub colluding: f64,
    /// The largest share that drops out.
    #[serde(default = "a_tenth")]
    pub dropping: f64,
    /// Bits of security of the graph of neighbours.
    #[serde(default = "bits")]
    pub security_bits: u32,
    /// How many devices a round is offered to, for each one that it takes.
    #[serde(default = "over_selection")]
    pub over_selection: f64,
}

/// How much is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingSettings {
    /// Dimensions of the embeddings.
    pub dimensions: Option<usize>,
    /// Embedding rounds.
    pub rounds: Option<usize>,
    /// Blocks of at least so many values are rotated; none where it is 0.
    pub least_rotated: u64,
    /// Seed of the task's public randomness; drawn when the task is added where there is none.
    pub seed: Option<u64>,
}

impl TaskFile {
    /// Reads and checks a task.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let task: Self = toml::from_str(text)?;
        let value = |text: String| Err(Error::Value(text));
        if !is_name(&task.name, MOST_NAME) {
            return value(format!(
                "name '{}' must have 1 to {MOST_NAME} letters, digits, dots, dashes or underscores",
                shown(&task.name)
            ));
        }
        if rollout_of(&task.name).is_some() {
            return value(format!(
                "name '{}' begins as those of rollouts' tasks do, and ledgers would not tell them apart: choose another",
                task.name
            ));
        }
        if !(1..=MOST_TRACKS).contains(&task.catalogue.tracks) {
            return value(format!("catalogue.tracks must be 1 to {MOST_TRACKS}, not {}", task.catalogue.tracks));
        }
        Target::new(task.privacy.epsilon, task.privacy.delta)
            .map_err(|error| Error::Value(format!("privacy: {error}")))?;
        let cohort = &task.cohort;
        task.cohort
            .trust()
            .assumptions()
            .degree(cohort.devices)
            .map_err(|error| Error::Value(format!("cohort: {error}")))?;
        if !(cohort.over_selection >= 1.0 && cohort.over_selection <= 10.0) {
            return value(format!("cohort.over_selection must be 1 to 10, not {}", cohort.over_selection));
        }
        if task.training.dimensions.is_some_and(|d| d == 0 || d > task.catalogue.tracks) {
            return value("training.dimensions must be at least 1 and at most the number of tracks".into());
        }
        if !task.schedule.has_time() {
            return value("each step of the schedule needs at least a second".into());
        }
        Ok(task)
    }

    fn target(&self) -> Target {
        Target::new(self.privacy.epsilon, self.privacy.delta).expect("checked when it was read")
    }

    /// rho of one device over the whole task.
    pub fn rho(&self) -> f64 {
        self.target().rho(self.privacy.mechanism)
    }

    /// What is planned for it.
    pub fn plan(&self, has_content: bool) -> Schedule {
        let devices = self.cohort.devices as usize;
        Schedule::new(&Fleet {
            devices,
            cohort: devices,
            honest_fraction: self.cohort.trust().honest_fraction(),
            tracks: self.catalogue.tracks,
            mode: Mode::Secure,
            rho: Some(self.rho()),
            has_content,
            dimensions: self.training.dimensions,
            rounds: self.training.rounds,
        })
    }
}

impl CohortSettings {
    /// What is assumed of its devices.
    pub fn trust(&self) -> Trust {
        let Self { colluding, dropping, security_bits, over_selection, .. } = *self;
        Trust { colluding, dropping, security_bits, over_selection }
    }
}

fn a_tenth() -> f64 {
    0.1
}

fn bits() -> u32 {
    64
}

fn over_selection() -> f64 {
    1.3
}

// Shorter than terms allow: the names of rollouts' tasks have more before them.
const MOST_NAME: usize = 64;
const MOST_TRACKS: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_valid() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tasks");
        let mut samples = 0;
        for file in std::fs::read_dir(folder).expect("a folder") {
            let path = file.expect("a file").path();
            let text = std::fs::read_to_string(&path).expect("text");
            TaskFile::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            samples += 1;
        }
        assert!(samples >= 2);
    }

    #[test]
    fn the_example_is_valid_and_faults_have_reasons() {
        let example = include_str!("../../tasks/example.toml");
        let task = TaskFile::parse(example).expect("the example");
        assert!(task.plan(false).rounds() > 0, "it learns something");
        for (from, to, reason) in [
            ("devices = 200", "devices = 2", "cohort"),
            ("tracks = 60", "tracks = 0", "tracks"),
            ("tracks = 60", "tracks = 60\nsongs = 3", "unknown field"),
            ("delta = 1e-5", "delta = 2.0", "delta"),
            ("name = \"example\"", "name = \"a b\"", "letters"),
            ("name = \"example\"", "name = \"rollout-spring\"", "choose another"),
        ] {
            let text = example.replace(from, to);
            assert_ne!(text, example, "{from}");
            let error = TaskFile::parse(&text).expect_err("refused").to_string();
            assert!(error.contains(reason), "{to}: {error}");
        }
    }
}
