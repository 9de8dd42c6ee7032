//! A scenario: everything that decides what a run does, read from TOML and changed by flags.

use crate::error::{Error, Result};
use crate::evaluation;
use crate::federation::{Federation, Fidelity, MaskSettings, NoiseFrom};
use crate::methods::Method;
use crate::population::Protocol;
use crate::world::WorldSettings;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sordino_client::label::LabelPolicy;
use sordino_shared::model::Hyperparameters;
use sordino_shared::plan::Rotation;
use sordino_shared::privacy::accountant::correlated::Strategy;
use sordino_shared::privacy::accountant::{self, Claim, Target};
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_shared::workload::GradientSettings;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A number, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auto {
    /// The planner chooses.
    #[default]
    Auto,
    /// Chosen.
    Given(usize),
}

/// An epsilon, or `inf` for no noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epsilon(pub Option<f64>);

/// A scenario. Every field has a default, and unknown ones are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// `synthetic`, or KIND:PATH.
    pub data: String,
    /// Whether a row of a user's own file that cannot be read refuses the file.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// How test tracks are chosen.
    pub protocol: Protocol,
    /// The method that the run is about.
    pub method: Method,
    /// Methods to compare with.
    pub baselines: Vec<Method>,
    /// Dimensions.
    pub dim: Auto,
    /// Embedding rounds; 100 for fedmf.
    pub rounds: Auto,
    /// The whole training's epsilon for one device.
    pub epsilon: Epsilon,
    /// Its delta; by default 1e-6 or a tenth of 1/N, whichever is smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// N; the simulated devices where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub population: Option<usize>,
    /// C.
    pub cohort: usize,
    /// Who adds the noise.
    pub mode: Mode,
    /// How simulated noise comes about.
    pub fidelity: Fidelity,
    /// Where single devices draw from in device and protocol fidelity.
    pub noise_from: NoiseFrom,
    /// The law of the devices' noise.
    pub mechanism: Mechanism,
    /// Whether large blocks are rotated: fewer bits for more arithmetic.
    pub rotation: Rotation,
    /// Share of a cohort that is sure to be honest and to survive.
    pub honest_fraction: f64,
    /// Devices drawn for each round; all where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices_per_round: Option<usize>,
    /// Seed of everything.
    pub seed: u64,
    /// Threads; all cores where 0.
    pub threads: usize,
    /// Epsilons of the curve of privacy against quality in the report; none for no curve.
    pub curve: Vec<f64>,
    /// Listeners evaluated at most.
    pub evaluate_listeners: usize,
    /// Whether validation quality is measured after each round.
    pub measure_rounds: bool,
    /// A label policy's file; the default policy where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// Weights of the embeddings' loss.
    pub model: Hyperparameters,
    /// Settings of fedmf.
    pub fedmf: GradientSettings,
    /// What masked rounds assume of their devices, in protocol fidelity.
    pub masks: MaskSettings,
    /// The synthetic world.
    pub world: WorldSettings,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            data: "synthetic".into(),
            strict: false,
            protocol: Protocol::Loo,
            method: Method::Sordino,
            baselines: vec![Method::Popularity, Method::Ials],
            dim: Auto::Auto,
            rounds: Auto::Auto,
            epsilon: Epsilon(Some(4.0)),
            delta: None,
            population: None,
            cohort: 10_000,
            mode: Mode::Secure,
            fidelity: Fidelity::Learning,
            noise_from: NoiseFrom::Seed,
            mechanism: Mechanism::DiscreteGaussian,
            rotation: Rotation::None,
            honest_fraction: 1.0,
            devices_per_round: None,
            seed: 1,
            threads: 0,
            curve: vec![1.0, 2.0, 4.0, 8.0],
            evaluate_listeners: 20_000,
            measure_rounds: true,
            labels: None,
            model: Hyperparameters::default(),
            fedmf: GradientSettings::default(),
            masks: MaskSettings::default(),
            world: WorldSettings::default(),
        }
    }
}

impl Scenario {
    /// Reads a scenario's file.
    pub fn read(path: &Path) -> Result<Self> {
        read_toml(path, "is no scenario")
    }

    /// The scenario as TOML.
    pub fn to_toml(&self) -> String {
        to_toml(self)
    }

    /// Runs something on the scenario's threads.
    pub fn on_threads<R: Send>(&self, run: impl FnOnce() -> Result<R> + Send) -> Result<R> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|e| Error::input(format!("--threads {} cannot be started: {e}", self.threads)))?;
        pool.install(run)
    }

    /// How many devices so many simulated ones stand for.
    pub fn stands_for(&self, simulated: usize) -> Result<usize> {
        let population = self.population.unwrap_or(simulated);
        if population < simulated {
            return Err(Error::input(format!(
                "--population {population} is fewer than the {simulated} devices simulated: it says how many they stand for"
            )));
        }
        Ok(population)
    }

    /// Checks what can be checked before the data is there.
    pub fn check(&self) -> Result<()> {
        if let Some(epsilon) = self.epsilon.0 {
            Target::new(epsilon, self.delta.unwrap_or(1e-6)).map_err(|error| match error {
                accountant::Error::Epsilon(_) => Error::input(format!("{error}, or `inf` for a run without noise")),
                error => Error::input(error.to_string()),
            })?;
        } else if let Some(delta) = self.delta {
            Target::new(1.0, delta).map_err(|e| Error::input(e.to_string()))?;
        }
        for &epsilon in &self.curve {
            Target::new(epsilon, 1e-6).map_err(|e| Error::input(format!("in the curve: {e}")))?;
        }
        // Beyond these there is nothing that noise could be made for.
        let far = |epsilon: &&f64| !(LEAST_EPSILON..=MOST_EPSILON).contains(*epsilon);
        if let Some(epsilon) = self.epsilon.0.iter().chain(&self.curve).find(far) {
            return Err(Error::input(format!(
                "epsilon {epsilon:e} is no budget to train with: choose from {LEAST_EPSILON} to {MOST_EPSILON}, or `inf` for a \
                 run without noise"
            )));
        }
        if self.threads > MOST_THREADS {
            return Err(Error::input(format!("--threads must be at most {MOST_THREADS}; 0 takes all that there are")));
        }
        if self.fedmf.negatives > MOST_NEGATIVES {
            return Err(Error::input(format!("fedmf.negatives must be at most {MOST_NEGATIVES} for each track")));
        }
        if self.rounds == Auto::Given(0) {
            return Err(Error::input("--rounds must be at least 1, or `auto`"));
        }
        if self.dim == Auto::Given(0) {
            return Err(Error::input("--dim must be at least 1, or `auto`"));
        }
        if let Auto::Given(dim) = self.dim
            && dim > MOST_DIMENSIONS
        {
            return Err(Error::input(format!("--dim {dim} is more than {MOST_DIMENSIONS}: choose fewer dimensions")));
        }
        if self.cohort == 0 {
            return Err(Error::input("--cohort must be at least 1 device"));
        }
        if self.population == Some(0) || self.devices_per_round == Some(0) {
            return Err(Error::input("--population and devices_per_round must be at least 1"));
        }
        if !(self.honest_fraction > 0.0 && self.honest_fraction <= 1.0) {
            return Err(Error::input(format!(
                "honest_fraction must be above 0 and at most 1, not {}",
                self.honest_fraction
            )));
        }
        if self.evaluate_listeners == 0 {
            return Err(Error::input("evaluate_listeners must be at least 1"));
        }
        if self.mode == Mode::CentralMf && self.method != Method::Fedmf {
            return Err(Error::input(
                "mode central-mf is for methods of many gradient rounds: choose --method fedmf, or another mode",
            ));
        }
        if let Some(adaptive) = &self.fedmf.adaptive_clip {
            let fits = |v: f64| v > 0.0 && v < 1.0;
            let positive = adaptive.clip > 0.0 && adaptive.clip.is_finite() && adaptive.rate > 0.0;
            if !(positive && adaptive.rate.is_finite() && fits(adaptive.quantile) && fits(adaptive.share)) {
                return Err(Error::input(
                    "fedmf.adaptive_clip needs a positive clip and rate, and a quantile and a share between 0 and 1",
                ));
            }
        }
        self.check_masks()?;
        self.check_model()?;
        self.world.fault().map_or(Ok(()), |fault| Err(Error::input(fault)))
    }

    /// The label policy.
    pub fn policy(&self) -> Result<LabelPolicy> {
        let Some(path) = &self.labels else { return Ok(LabelPolicy::default()) };
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        LabelPolicy::from_toml(&text).map_err(|e| Error::file(path, e.to_string()))
    }

    /// The federation of `simulated` devices that stand for `population`.
    pub fn federation(&self, simulated: usize, population: usize) -> Federation {
        Federation {
            mode: self.mode,
            mechanism: self.mechanism,
            rotation: self.rotation,
            fidelity: self.fidelity,
            noise_from: self.noise_from,
            simulated,
            population,
            cohort: self.cohort.min(population),
            honest_fraction: self.honest_share(),
            masks: self.masks,
            devices_per_round: self.devices_per_round,
            strategy: self.strategy(simulated),
            poison: None,
            seed: self.seed,
        }
    }

    /// The share of a cohort that is counted on: what was chosen, and under masks no more than they assume.
    pub fn honest_share(&self) -> f64 {
        match self.fidelity {
            Fidelity::Protocol => self.honest_fraction.min(self.masks.honest_fraction()),
            Fidelity::Learning | Fidelity::Device => self.honest_fraction,
        }
    }

    /// How noise is correlated in mode `central-mf`: devices take turns, in as many groups as rounds of
    /// `devices_per_round` need to pass once through the population.
    fn strategy(&self, devices: usize) -> Option<Strategy> {
        if self.mode != Mode::CentralMf {
            return None;
        }
        let separation = devices / self.devices_per_round.unwrap_or(devices).clamp(1, devices.max(1));
        Some(Strategy::new(self.rounds.given().unwrap_or(DESCENT_ROUNDS), separation as u32))
    }

    /// The privacy target once the population is known.
    pub fn target(&self, population: usize) -> Result<Option<Target>> {
        let delta = self.delta.unwrap_or_else(|| (0.1 / population as f64).min(1e-6));
        let target = self.epsilon.0.map(|epsilon| Target::new(epsilon, delta));
        target.transpose().map_err(|e| Error::input(e.to_string()))
    }

    /// What may be claimed of rho that a device has spent; `None` without noise.
    pub fn claim(&self, target: Option<Target>, rho: Option<f64>) -> Option<Claim> {
        let (target, rho) = target.zip(rho)?;
        Some(Claim::new(rho, target.delta(), self.mode, self.mechanism))
    }

    /// Evaluation settings for a part.
    pub fn evaluation(&self, part: evaluation::Part) -> evaluation::Settings {
        evaluation::Settings { part, most_listeners: self.evaluate_listeners, seed: self.seed }
    }

    fn check_masks(&self) -> Result<()> {
        if self.fidelity != Fidelity::Protocol {
            return Ok(());
        }
        if self.mode != Mode::Secure {
            return Err(Error::input("--fidelity protocol masks vectors, which is for --mode secure"));
        }
        if self.epsilon.0.is_none() {
            return Err(Error::input(
                "--fidelity protocol needs noise: masks do not make a sum private that has none; give an epsilon",
            ));
        }
        self.masks.check()
    }

    fn check_model(&self) -> Result<()> {
        let positive = [
            ("model.background", self.model.background),
            ("model.listener_ridge", self.model.listener_ridge),
            ("model.track_ridge", self.model.track_ridge),
            ("model.full_weight_tracks", self.model.full_weight_tracks),
            ("fedmf.listener_rate", f64::from(self.fedmf.listener_rate)),
            ("fedmf.table_rate", self.fedmf.table_rate),
            ("fedmf.clip", self.fedmf.clip),
        ];
        match positive.into_iter().find(|(_, v)| !(*v > 0.0 && v.is_finite())) {
            Some((name, value)) => Err(Error::input(format!("{name} must be a positive number, not {value}"))),
            None if self.fedmf.listener_rate > 1e6 || self.fedmf.table_rate > 1e6 => {
                Err(Error::input("fedmf's rates must be at most 1000000: larger steps lead nowhere"))
            }
            None => Ok(()),
        }
    }
}

/// Rounds of gradient descent where none are given.
pub const DESCENT_ROUNDS: usize = 100;
// The Gram matrix of more would not fit a phone's cache, and no fleet of ours has that many components above its noise.
const MOST_DIMENSIONS: usize = 512;
const LEAST_EPSILON: f64 = 1e-3;
const MOST_EPSILON: f64 = 1000.0;
const MOST_THREADS: usize = 1024;
const MOST_NEGATIVES: usize = 10_000;

/// Reads a file of settings; `is_none` says what it is not, where it cannot be read as one.
pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(path: &Path, is_none: &str) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    toml::from_str(&text).map_err(|e| Error::file(path, format!("{is_none}: {}", e.to_string().trim())))
}

/// Settings as TOML.
pub(crate) fn to_toml(settings: &impl Serialize) -> String {
    toml::to_string(settings).expect("every field of the settings has a form in TOML")
}

impl Auto {
    /// The number, where one was chosen.
    pub fn given(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Given(number) => Some(number),
        }
    }
}

impl FromStr for Auto {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Given).map_err(|_| format!("'{text}' is neither a whole number nor `auto`")),
        }
    }
}

impl FromStr for Epsilon {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse::<f64>() {
            Ok(value) if value == f64::INFINITY => Ok(Self(None)),
            Ok(value) => Ok(Self(Some(value))),
            Err(_) => Err(format!("'{text}' is neither a number nor `inf`")),
        }
    }
}

impl Serialize for Auto {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Given(number) => serializer.serialize_u64(*number as u64),
        }
    }
}

impl Serialize for Epsilon {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_str("inf"),
            Some(epsilon) => serializer.serialize_f64(epsilon),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrWord {
    Whole(i64),
    Number(f64),
    Word(String),
}

impl NumberOrWord {
    fn parse<T: FromStr<Err = String>, E: serde::de::Error>(self) -> std::result::Result<T, E> {
        let text = match self {
            Self::Whole(v) => v.to_string(),
            Self::Number(v) => v.to_string(),
            Self::Word(v) => v,
        };
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        NumberOrWord::deserialize(deserializer)?.parse()
    }
}

impl<'de> Deserialize<'de> for Epsilon {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        NumberOrWord::deserialize(deserializer)?.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_survives_toml() {
        for scenario in [
            Scenario::default(),
            Scenario {
                dim: Auto::Given(16),
                rounds: Auto::Given(3),
                epsilon: Epsilon(None),
                delta: Some(1e-5),
                population: Some(100_000),
                ..Scenario::default()
            },
        ] {
            let text = scenario.to_toml();
            assert_eq!(toml::from_str::<Scenario>(&text).expect("its own form"), scenario, "{text}");
        }
        assert!(toml::from_str::<Scenario>("epsilom = 2").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let bad: [fn(&mut Scenario); 9] = [
            |s| s.epsilon = Epsilon(Some(0.0)),
            |s| s.epsilon = Epsilon(Some(f64::NAN)),
            |s| s.delta = Some(1.0),
            |s| s.rounds = Auto::Given(0),
            |s| s.dim = Auto::Given(0),
            |s| s.cohort = 0,
            |s| s.honest_fraction = 1.5,
            |s| s.model.background = -1.0,
            |s| s.world.bots = 2.0,
        ];
        assert!(Scenario::default().check().is_ok());
        for change in bad {
            let mut scenario = Scenario::default();
            change(&mut scenario);
            let error = scenario.check().expect_err("refused");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
