//! Tasks: what is to be learnt, from whom, at what price, as an operator writes it down; and a task under way.

use crate::planner::{Fleet, Schedule};
use crate::round::{Deadlines, Setting};
use crate::store::{Aggregate, TaskRow};
use crate::training::{Training, public_chance, rotation_seed};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sordino_shared::control::PlanTerms;
use sordino_shared::model::{Content, Hyperparameters, Model};
use sordino_shared::privacy::accountant::{Claim, Target};
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_shared::secagg::Assumptions;
use sordino_shared::workload::Broadcast;
use thiserror::Error;

/// Why a task cannot be.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no TOML, or has keys that are not known.
    #[error("the task cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A value that cannot be.
    #[error("{0}")]
    Value(String),
}

/// A task file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// Its name, for good.
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

/// When rounds happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Seconds from the end of one round to the opening of the next.
    pub pause_seconds: u32,
    /// Seconds for keys.
    pub advertise_seconds: u32,
    /// Seconds for shares.
    pub share_seconds: u32,
    /// Seconds for vectors.
    pub upload_seconds: u32,
    /// Seconds for signatures.
    pub agree_seconds: u32,
    /// Seconds for the shares that open the sum.
    pub unmask_seconds: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pause_seconds: 3600,
            advertise_seconds: 600,
            share_seconds: 120,
            upload_seconds: 600,
            agree_seconds: 120,
            unmask_seconds: 120,
        }
    }
}

impl TaskFile {
    /// Reads and checks a task.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let task: Self = toml::from_str(text)?;
        let value = |text: String| Err(Error::Value(text));
        let named = !task.name.is_empty()
            && task.name.len() <= 64
            && task.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !named {
            return value(format!(
                "name '{}' must have 1 to 64 letters, digits, dots, dashes or underscores",
                task.name
            ));
        }
        if !(1..=MOST_TRACKS).contains(&task.catalogue.tracks) {
            return value(format!("catalogue.tracks must be 1 to {MOST_TRACKS}, not {}", task.catalogue.tracks));
        }
        Target::new(task.privacy.epsilon, task.privacy.delta)
            .map_err(|error| Error::Value(format!("privacy: {error}")))?;
        let cohort = &task.cohort;
        task.assumptions().degree(cohort.devices).map_err(|error| Error::Value(format!("cohort: {error}")))?;
        if !(cohort.over_selection >= 1.0 && cohort.over_selection <= 10.0) {
            return value(format!("cohort.over_selection must be 1 to 10, not {}", cohort.over_selection));
        }
        if task.training.dimensions.is_some_and(|d| d == 0 || d > task.catalogue.tracks) {
            return value("training.dimensions must be at least 1 and at most the number of tracks".into());
        }
        let t = &task.schedule;
        if [t.advertise_seconds, t.share_seconds, t.upload_seconds, t.agree_seconds, t.unmask_seconds].contains(&0) {
            return value("each step of the schedule needs at least a second".into());
        }
        Ok(task)
    }

    fn assumptions(&self) -> Assumptions {
        let CohortSettings { colluding, dropping, security_bits, .. } = self.cohort;
        Assumptions { security_bits, colluding, dropping }
    }

    fn honest_fraction(&self) -> f64 {
        1.0 - self.cohort.colluding - self.cohort.dropping
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
            honest_fraction: self.honest_fraction(),
            tracks: self.catalogue.tracks,
            mode: Mode::Secure,
            rho: Some(self.rho()),
            has_content,
            dimensions: self.training.dimensions,
            rounds: self.training.rounds,
        })
    }

    fn deadlines(&self) -> Deadlines {
        let ms = |seconds: u32| i64::from(seconds) * 1000;
        let t = &self.schedule;
        Deadlines {
            advertise_ms: ms(t.advertise_seconds),
            share_ms: ms(t.share_seconds),
            upload_ms: ms(t.upload_seconds),
            agree_ms: ms(t.agree_seconds),
            unmask_ms: ms(t.unmask_seconds),
        }
    }
}

/// A task under way: its training stands where its aggregates led it.
pub struct Task {
    /// Its file.
    pub file: TaskFile,
    /// The seed of its public randomness.
    pub seed: u64,
    training: Training,
    rho_spent: f64,
}

impl Task {
    /// The task as it stands: what was learnt is learnt again from the stored aggregates, to the bit.
    ///
    /// # Errors
    /// [`enum@Error`].
    pub fn new(row: &TaskRow, content: &Content, aggregates: &[Aggregate]) -> Result<Self, Error> {
        let file = TaskFile::parse(&row.text)?;
        let content: Array2<f64> = content.dense(file.catalogue.tracks, MOST_FEATURES);
        let training = Training::new(file.plan(content.ncols() > 0), content, Hyperparameters::default());
        let mut task = Self { file, seed: row.seed, training, rho_spent: 0.0 };
        aggregates.iter().for_each(|aggregate| task.learn(aggregate));
        Ok(task)
    }

    /// The next round: its setting under this number and what devices load; `None` where everything is learnt.
    pub fn next(&self, number: u64) -> Option<(Setting, Broadcast)> {
        let (round, share) = self.training.round()?;
        let step = self.steps();
        let setting = Setting {
            task: self.file.name.clone(),
            number,
            step,
            plan: PlanTerms {
                cohort: self.file.cohort.devices,
                honest_fraction: self.file.honest_fraction(),
                rho: self.file.rho() * share,
                rotation_seed: rotation_seed(self.seed, step, 0),
                least_rotated: self.file.training.least_rotated,
                skellam: self.file.privacy.mechanism == Mechanism::Skellam,
            },
            assumptions: self.file.assumptions(),
            offered: (f64::from(self.file.cohort.devices) * self.file.cohort.over_selection).ceil() as u32,
            deadlines: self.file.deadlines(),
        };
        Some((setting, round.broadcast()))
    }

    /// Steps of the training done.
    pub fn steps(&self) -> u64 {
        self.training.releases() as u64
    }

    /// What the next round is called in reports.
    pub fn kind(&self) -> Option<&'static str> {
        self.training.round().map(|(round, _)| round.name())
    }

    /// Learns from an opened sum.
    pub fn learn(&mut self, aggregate: &Aggregate) {
        let mut chance = public_chance(self.seed, aggregate.step);
        let devices = aggregate.devices as f64;
        self.training.apply(aggregate.sum.clone(), &aggregate.deviations, devices, &mut chance);
        self.rho_spent += aggregate.rho;
    }

    /// The model as it stands.
    pub fn model(&self) -> Model {
        self.training.model()
    }

    /// What a device has spent on the task, as a claim.
    pub fn spent(&self) -> Option<Claim> {
        let Price { delta, mechanism, .. } = self.file.privacy;
        (self.rho_spent > 0.0).then(|| Claim::new(self.rho_spent, delta, Mode::Secure, mechanism))
    }

    /// How far the embeddings were ahead of popularity, once devices were asked.
    pub fn verdict(&self) -> Option<(f64, f64)> {
        self.training.verdict()
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

const MOST_TRACKS: usize = 10_000_000;
/// The commonest features; rarer ones describe too few tracks to be told from noise.
pub const MOST_FEATURES: usize = 32;

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
        let example = include_str!("../tasks/example.toml");
        let task = TaskFile::parse(example).expect("the example");
        assert!(task.plan(false).rounds() > 0, "it learns something");
        for (from, to, reason) in [
            ("devices = 200", "devices = 2", "cohort"),
            ("tracks = 60", "tracks = 0", "tracks"),
            ("tracks = 60", "tracks = 60\nsongs = 3", "unknown field"),
            ("delta = 1e-5", "delta = 2.0", "delta"),
            ("name = \"example\"", "name = \"a b\"", "letters"),
        ] {
            let text = example.replace(from, to);
            assert_ne!(text, example, "{from}");
            let error = TaskFile::parse(&text).expect_err("refused").to_string();
            assert!(error.contains(reason), "{to}: {error}");
        }
    }
}
