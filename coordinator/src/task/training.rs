//! A task that trains track embeddings.

use super::Error;
use super::file::{Price, TaskFile};
use crate::round::Setting;
use crate::store::{Aggregate, TaskRow};
use crate::training::{Training, public_chance, rotation_seed};
use ndarray::Array2;
use sordino_shared::control::PlanTerms;
use sordino_shared::model::{Content, Hyperparameters, Model};
use sordino_shared::privacy::accountant::Claim;
use sordino_shared::privacy::{Mechanism, Mode};
use sordino_shared::workload::Broadcast;

/// A training under way: it stands where its aggregates led it.
pub struct TrainingTask {
    /// Its file.
    pub file: TaskFile,
    /// The seed of its public randomness.
    pub seed: u64,
    training: Training,
    rho_spent: f64,
}

impl TrainingTask {
    /// The training as it stands: what was learnt is learnt again from the stored aggregates, to the bit.
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
        let trust = self.file.cohort.trust();
        let setting = Setting {
            task: self.file.name.clone(),
            number,
            step,
            plan: PlanTerms {
                cohort: self.file.cohort.devices,
                honest_fraction: trust.honest_fraction(),
                rho: self.file.rho() * share,
                rotation_seed: rotation_seed(self.seed, step, 0),
                least_rotated: self.file.training.least_rotated,
                skellam: self.file.privacy.mechanism == Mechanism::Skellam,
            },
            assumptions: trust.assumptions(),
            offered: trust.offered(self.file.cohort.devices),
            deadlines: self.file.schedule.deadlines(),
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

/// The commonest features; rarer ones describe too few tracks to be told from noise.
pub const MOST_FEATURES: usize = 32;
