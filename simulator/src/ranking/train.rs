//! The ranker's rounds, and the same network trained centrally.

use super::data::Split;
use super::{CALIBRATION_STREAM, Experiment, RANKER_STREAM, SHARES, measure};
use crate::error::Result;
use crate::population::Population;
use crate::progress;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use sordino_client::ranking::WIDTH;
use sordino_shared::model::{Calibration, NetworkBlock, Ranker, Shown};
use sordino_shared::random::mix;
use sordino_shared::workload::{Adaptive, Cells, Ranking, RankingSettings, Rates, Workload, loss_gradient};

impl Experiment<'_> {
    /// The ranker by rounds of the private sum.
    pub(super) fn federated(
        &self,
        what: &str,
        shown: &Population,
        hidden: Vec<usize>,
        rho: Option<f64>,
        stream: u64,
    ) -> Result<Ranker> {
        let settings = RankingSettings { hidden, ..self.settings.ranking.clone() };
        let rounds = self.settings.rounds;
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, stream, 0));
        let ranker = Ranker::new(WIDTH, &settings.hidden, &mut rng);
        let clip = settings.clip;
        let mut ranking = Adaptive::new(Ranking::new(ranker, settings, rounds), clip);
        let bar = progress::steps(rounds as u64, what);
        self.budget.train_under(&bar, &mut ranking, shown, rounds, rho, (stream, 2))?;
        bar.finish_and_clear();
        Ok(ranking.inner().ranker())
    }

    /// The same network by the same loss, from everybody's outcomes in one place: no clip, no noise, and a validation
    /// tenth to stop by. Where there are very many outcomes, steps take turns with parts of the devices.
    pub(super) fn central(&self, what: &str, shown: &Population, hidden: Vec<usize>) -> Ranker {
        let settings = RankingSettings { hidden, averaged: 0.05, ..self.settings.ranking.clone() };
        let mut rng = ChaCha8Rng::seed_from_u64(mix(self.scenario.seed, RANKER_STREAM, 0));
        let ranker = Ranker::new(WIDTH, &settings.hidden, &mut rng);
        let of = |device: &usize| shown.shown.of(*device);
        let (kept, held): (Vec<usize>, Vec<usize>) = (0..shown.devices()).partition(|device| device % 10 != 0);
        let held: Vec<&[Shown]> = held.iter().map(of).collect();
        let outcomes: usize = kept.iter().map(|device| of(device).len()).sum();
        let mut parts = vec![Vec::new(); (outcomes / OUTCOMES_A_STEP).max(1)];
        for device in kept {
            let part = mix(self.scenario.seed, PARTS_STREAM, device as u64) % parts.len() as u64;
            parts[part as usize].push(of(&device));
        }
        let mut ranking = Ranking::new(ranker, settings, self.settings.central_rounds);
        let mut best: Option<(f64, Ranker)> = None;
        let bar = progress::steps(self.settings.central_rounds as u64, what);
        for round in 0..self.settings.central_rounds {
            let part = &parts[round % parts.len()];
            ranking.apply(vec![self.gradient(&ranking, part)], &[0.0], part.len() as f64);
            if round % 10 == 9 {
                let candidate = ranking.current().clone();
                let loss = measure::log_loss_of(&held, &candidate);
                if best.as_ref().is_none_or(|(least, _)| loss < *least) {
                    best = Some((loss, candidate));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        best.map_or_else(|| ranking.ranker(), |(_, ranker)| ranker)
    }

    // The sum of the devices' gradients, by fixed chunks that are added in order.
    fn gradient(&self, ranking: &Ranking, devices: &[&[Shown]]) -> Vec<f64> {
        let (network, count) = (ranking.network(), ranking.current().parameters().len());
        let sums: Vec<Vec<f32>> = devices
            .par_chunks(64)
            .map_init(NetworkBlock::default, |block, devices| {
                let mut sum = vec![0.0; count];
                for shown in devices {
                    loss_gradient(network, shown, self.settings.ranking.pairwise, block, &mut sum);
                }
                sum
            })
            .collect();
        sums.into_iter().fold(vec![0.0; count], |mut total, part| {
            total.iter_mut().zip(part).for_each(|(total, part): (&mut f64, f32)| *total += f64::from(part));
            total
        })
    }

    pub(super) fn calibrate(&self, split: &Split, ranker: &Ranker) -> Result<Calibration> {
        let mut counts =
            Rates::new(Cells::Scores(ranker.clone(), STEPS), self.settings.centre, self.settings.rates_clip);
        self.budget.train(
            &mut counts,
            &split.train,
            1,
            self.budget.share(SHARES.calibration),
            (CALIBRATION_STREAM, 1),
        )?;
        Ok(Calibration::new(counts.estimate().expect("a sum was applied")))
    }
}

// Steps of probability that are counted for calibration.
const STEPS: usize = 20;
// More outcomes than this make a step no better, only longer.
const OUTCOMES_A_STEP: usize = 100_000;
const PARTS_STREAM: u64 = 605;
