//! A federation with a budget: the rounds of an experiment go through it, and what it claims is what they cost.

use crate::error::{Error, Result};
use crate::federation::Federation;
use crate::population::Population;
use crate::scenario::Scenario;
use indicatif::ProgressBar;
use sordino_shared::privacy::Mode;
use sordino_shared::privacy::accountant::{Claim, Target};
use sordino_shared::random::mix;
use sordino_shared::workload::Workload;
use std::sync::{Mutex, PoisonError};

/// A federation, what one of its devices may spend, and what it has spent.
#[derive(Debug)]
pub struct Budget {
    federation: Federation,
    target: Option<Target>,
    rho: Option<f64>,
    // zCDP adds up over releases (Bun and Steinke 2016, lemma 1.7).
    spent: Mutex<f64>,
}

impl Budget {
    /// Of a scenario with so many simulated devices.
    ///
    /// # Errors
    /// A sentence where they are to stand for fewer than they are, or where noise would be correlated over rounds of one kind:
    /// these experiments have rounds of several.
    pub fn new(scenario: &Scenario, devices: usize) -> Result<Self> {
        if scenario.mode == Mode::CentralMf {
            return Err(Error::input("mode central-mf is for `run` with --method fedmf: choose another mode here"));
        }
        let population = scenario.stands_for(devices)?;
        let target = scenario.target(population)?;
        Ok(Self {
            federation: scenario.federation(devices, population),
            target,
            rho: target.map(|target| target.rho(scenario.mechanism)),
            spent: Mutex::default(),
        })
    }

    /// The same budget with nothing spent, for what a fleet would do instead and not as well.
    pub fn again(&self) -> Self {
        Self { federation: self.federation.clone(), spent: Mutex::default(), ..*self }
    }

    /// The federation.
    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// A share of all that a device may spend; `None` without noise.
    pub fn share(&self, share: f64) -> Option<f64> {
        self.rho.map(|rho| rho * share)
    }

    /// Whether there is noise.
    pub fn is_private(&self) -> bool {
        self.rho.is_some()
    }

    /// Notes what releases have cost that did not go through [`Self::train`].
    pub fn pay(&self, rho: Option<f64>) {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += rho.unwrap_or(0.0);
    }

    /// Runs rounds of a workload, which share `rho` alike; without noise where that is `None`. `stream` keeps their randomness
    /// apart from others'.
    pub fn train(
        &self,
        workload: &mut impl Workload,
        population: &Population,
        rounds: usize,
        rho: Option<f64>,
        stream: (u64, u64),
    ) -> Result<()> {
        self.train_under(&ProgressBar::hidden(), workload, population, rounds, rho, stream)
    }

    /// As [`Self::train`], with a bar that moves by one at each round.
    pub fn train_under(
        &self,
        bar: &ProgressBar,
        workload: &mut impl Workload,
        population: &Population,
        rounds: usize,
        rho: Option<f64>,
        stream: (u64, u64),
    ) -> Result<()> {
        let federation = Federation { seed: mix(self.federation.seed, stream.0, stream.1), ..self.federation.clone() };
        let mut memories = vec![Vec::new(); population.devices()];
        let mut noise = federation.sum_noise();
        let each = rho.map(|rho| rho / rounds as f64);
        for round in 0..rounds {
            let outcome = federation.run(workload, each, population, &mut memories, round, &mut noise)?;
            workload.apply(outcome.sum, &outcome.deviations, outcome.devices as f64);
            self.pay(each);
            bar.inc(1);
        }
        Ok(())
    }

    /// What may be claimed of all that was spent; `None` without noise.
    pub fn claim(&self) -> Option<Claim> {
        let spent = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let target = self.target.as_ref().filter(|_| spent > 0.0)?;
        Some(Claim::new(spent, target.delta(), self.federation.mode, self.federation.mechanism))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Epsilon;
    use sordino_shared::ids::TrackId;
    use sordino_shared::model::{Inputs, Shown};
    use sordino_shared::workload::{Cells, Rates};

    const DEVICES: usize = 400;
    const CLIP: f64 = 1.0;

    fn budget(epsilon: Option<f64>) -> Budget {
        let scenario = Scenario { epsilon: Epsilon(epsilon), population: Some(1000), ..Scenario::default() };
        Budget::new(&scenario, DEVICES).expect("a budget")
    }

    // Counts of nothing: what comes out is noise.
    fn noise(budget: &Budget, rounds: usize, rho: Option<f64>) -> (f64, f64) {
        let silent = Population::of_shown(2000, vec![Vec::<Shown>::new(); DEVICES]);
        let mut rates = Rates::new(Cells::Numbered(2000), 0.5, CLIP);
        budget.train(&mut rates, &silent, rounds, rho, (1, 2)).expect("rounds");
        let cells = &rates.estimate().expect("counts").cells;
        let seen = cells.iter().map(|cell| cell.shown * cell.shown).sum::<f64>() / cells.len() as f64;
        (seen.sqrt(), cells[0].variance.sqrt())
    }

    // The sum of N devices has noise of deviation clip / sqrt(2 rho); n devices that stand for them, n / N of it.
    #[test]
    fn rounds_have_the_noise_that_they_pay_for() {
        let budget = budget(Some(4.0));
        let rho = budget.share(1.0).expect("noise");
        for (rounds, share) in [(1, 1.0), (1, 0.25), (4, 0.25)] {
            let (seen, _) = noise(&budget, rounds, budget.share(share));
            let expected = CLIP / (2.0 * rho * share / rounds as f64).sqrt() * DEVICES as f64 / 1000.0;
            assert!((seen / expected - 1.0).abs() < 0.1, "{rounds} rounds of {share}: {seen} and {expected}");
        }
        assert_eq!(noise(&budget, 1, None), (0.0, 0.0));
    }

    #[test]
    fn claims_are_of_what_was_spent() {
        let half = budget(Some(4.0));
        assert!(half.claim().is_none(), "nothing yet");
        noise(&half, 3, half.share(0.5));
        let claim = half.claim().expect("a claim").epsilon;
        assert!(claim > 2.0 && claim < 3.5, "{claim}");
        half.pay(half.share(0.5));
        assert!((half.claim().expect("a claim").epsilon - 4.0).abs() < 1e-6);
        noise(&half, 1, half.share(0.5));
        assert!(half.claim().expect("a claim").epsilon > 4.5, "more than the budget is said to be more");
        assert!(half.again().claim().is_none());
        let open = budget(None);
        noise(&open, 1, open.share(1.0));
        assert!(open.claim().is_none() && !open.is_private());
    }

    #[test]
    fn what_a_budget_cannot_hold_is_refused() {
        let correlated = Scenario { mode: Mode::CentralMf, ..Scenario::default() };
        assert!(Budget::new(&correlated, 10).is_err());
        let fewer = Scenario { population: Some(5), ..Scenario::default() };
        assert!(Budget::new(&fewer, 10).is_err());
    }

    // Silence keeps its place: a track that nobody was shown is not counted.
    #[test]
    fn what_devices_were_shown_arrives() {
        let budget = budget(None);
        let shown = Shown { track: TrackId(3), features: Inputs::default(), pleased: true, weight: 1.0, list: 0 };
        let population = Population::of_shown(5, vec![vec![shown]; DEVICES]);
        let mut rates = Rates::new(Cells::Numbered(5), 0.5, 2.0);
        budget.train(&mut rates, &population, 1, None, (1, 1)).expect("a round");
        let shown: Vec<f64> = rates.estimate().expect("counts").cells.iter().map(|cell| cell.shown.round()).collect();
        assert_eq!(shown, [0.0, 0.0, 0.0, DEVICES as f64, 0.0]);
    }
}
