//! The ranker's rounds, and the same network trained centrally.

use super::data::Split;
use super::{CALIBRATION_STREAM, Experiment, RANKER_STREAM, SHARES, measure};
use crate::error::Result;
use crate::population::Population;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use sordino_client::ranking::WIDTH;
use sordino_shared::model::{Calibration, Pass, Ranker, Shown};
use sordino_shared::random::mix;
use sordino_shared::workload::{Adaptive, Cells, Ranking, RankingSettings, Rates, Workload, loss_gradient};

impl Experiment<'_> {
    /// The ranker by rounds of the private sum.
    pub(super) fn federated(&self, split: &Split, hidden: Vec<usize>, rho: Option<f64>, stream: u64) -> Result<Ranker> {
        let shown = Population::of_shown(self.dataset.tracks(), split.train.iter().cloned());
        let settings = RankingSettings { hidden, ..self.settings.ranking.clone() };
        let rounds = self.settings.rounds;
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, stream, 0));
        let ranker = Ranker::new(WIDTH, &settings.hidden, &mut rng);
        let clip = settings.clip;
        let mut ranking = Adaptive::new(Ranking::new(ranker, settings, rounds), clip);
        self.budget.train(&mut ranking, &shown, rounds, rho, (stream, 2))?;
        Ok(ranking.inner().ranker())
    }

    /// The same network by the same loss, from everybody's outcomes in one place: no clip, no noise, and a validation
    /// tenth to stop by.
    pub(super) fn central(&self, split: &Split, hidden: Vec<usize>) -> Ranker {
        let settings = RankingSettings { hidden, averaged: 0.05, ..self.settings.ranking.clone() };
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, RANKER_STREAM, 0));
        let ranker = Ranker::new(WIDTH, &settings.hidden, &mut rng);
        let (kept, held): (Vec<_>, Vec<_>) = split.train.iter().enumerate().partition(|(device, _)| device % 10 != 0);
        let pooled = |part: &[(usize, &Vec<Shown>)]| part.iter().map(|(_, list)| (*list).clone()).collect::<Vec<_>>();
        let (kept, held) = (pooled(&kept), pooled(&held));
        let mut ranking = Ranking::new(ranker, settings, self.settings.central_rounds);
        let mut best: Option<(f64, Ranker)> = None;
        for round in 0..self.settings.central_rounds {
            let current = ranking.current().clone();
            let sum = kept
                .par_chunks(512)
                .map(|devices| {
                    let (mut pass, mut sum) = (Pass::default(), vec![0.0; current.parameters().len()]);
                    for shown in devices {
                        loss_gradient(&current, shown, self.settings.ranking.pairwise, &mut pass, &mut sum);
                    }
                    sum
                })
                .collect::<Vec<Vec<f32>>>()
                .into_iter()
                .fold(vec![0.0; current.parameters().len()], |mut total, part| {
                    total.iter_mut().zip(part).for_each(|(total, part): (&mut f64, f32)| *total += f64::from(part));
                    total
                });
            ranking.apply(vec![sum], &[0.0], kept.len() as f64);
            if round % 10 == 9 {
                let candidate = ranking.current().clone();
                let loss = measure::log_loss_of(&held, &candidate);
                if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                    best = Some((loss, candidate));
                }
            }
        }
        best.map_or_else(|| ranking.ranker(), |(_, ranker)| ranker)
    }

    pub(super) fn calibrate(&self, split: &Split, ranker: &Ranker) -> Result<Calibration> {
        let shown = Population::of_shown(self.dataset.tracks(), split.train.iter().cloned());
        let mut counts =
            Rates::new(Cells::Scores(ranker.clone(), STEPS), self.settings.centre, self.settings.rates_clip);
        self.budget.train(&mut counts, &shown, 1, self.budget.share(SHARES.calibration), (CALIBRATION_STREAM, 1))?;
        Ok(Calibration::new(counts.estimate().expect("a sum was applied")))
    }
}

// Steps of probability that are counted for calibration.
const STEPS: usize = 20;
