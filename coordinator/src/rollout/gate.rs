//! The gate of a stage: pass, breach, or inconclusive, which holds.

use super::observed::{Estimate, Guardrail, Observed};
use super::sequence;
use super::spending::Known;
use serde::{Deserialize, Serialize};

/// What a gate asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// Looks that are planned.
    pub looks: usize,
    /// Devices an arm that all of them together should bring.
    pub planned_devices: f64,
    /// Chance, over all looks, to promote a candidate that is worse by a margin.
    pub promote_error: f64,
    /// Chance, over all guardrails and all looks, to abort a candidate that does no harm.
    pub abort_error: f64,
    /// Devices an arm, at least.
    pub least_devices: f64,
    /// The guardrails, with how much worse each may be; one without a margin is no condition to promote, and aborts all the same.
    pub margins: Vec<(Guardrail, Option<f64>)>,
    /// Harm that is put up with before it aborts.
    pub abort_above: f64,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            looks: 5,
            planned_devices: 5000.0,
            promote_error: 0.05,
            abort_error: 0.05,
            least_devices: 1000.0,
            margins: Guardrail::ALL.map(|guardrail| (guardrail, Some(guardrail.margin()))).to_vec(),
            abort_above: 0.0,
        }
    }
}

/// What is decided at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No guardrail is worse by its margin: promote.
    Pass,
    /// Some guardrail is worse: abort.
    Breach,
    /// Not known: hold where one is.
    Inconclusive,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    /// Every guardrail is above its bound.
    AllAbove,
    /// No guardrail is a condition here; all looks are over, and none did harm.
    OnlyWatched,
    /// This one is worse, whenever one had looked.
    Harm {
        /// Which.
        guardrail: Guardrail,
    },
    /// This one is not above its bound yet.
    NotYet {
        /// The one that is furthest from it.
        guardrail: Guardrail,
    },
    /// The planned looks are over and not every guardrail was above its bound: ask somebody.
    LooksAreOver {
        /// The one that is furthest from it.
        guardrail: Guardrail,
    },
    /// Fewer devices in an arm than the least that anything is claimed of.
    TooFew,
    /// Devices do not fall into arms alike, so the arms cannot be compared.
    ArmsDiffer,
    /// Nothing was released.
    NoData,
}

/// One guardrail at a look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Which.
    pub guardrail: Guardrail,
    /// What was seen.
    pub estimate: Estimate,
    /// How much worse it may be; `None` where it is no condition to promote.
    pub margin: Option<f64>,
    /// (good + margin) / error.
    pub z: Option<f64>,
    /// What z must reach to promote; `None` after the planned looks.
    pub bound: Option<f64>,
    /// How much worse it is at least, at every look with the error of the abort rule.
    pub harm_at_least: f64,
}

/// A look's decision with all that it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The look, from 1.
    pub look: usize,
    /// What is decided.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The share of the planned devices at each look so far.
    pub shares: Vec<f64>,
    /// Guardrail by guardrail; empty where there was nothing to judge.
    pub judged: Vec<Judged>,
}

impl Gate {
    /// Decides at a look. `earlier` are the shares of the planned devices at the looks before, as they were decided with.
    pub fn decide(&self, earlier: &[f64], observed: &Observed) -> Decision {
        self.decide_with(&mut Known::default(), earlier, observed)
    }

    /// The same, by bounds that may be known already.
    pub fn decide_with(&self, known: &mut Known, earlier: &[f64], observed: &Observed) -> Decision {
        let look = earlier.len() + 1;
        let mut shares = earlier.to_vec();
        let unclear =
            |reason, shares| Decision { look, verdict: Verdict::Inconclusive, reason, shares, judged: Vec::new() };
        if observed.releases == 0 {
            return unclear(Reason::NoData, shares);
        }
        // The last planned look has all that there will be, whatever was planned.
        let before = earlier.last().copied().unwrap_or(0.0);
        let share = match self.looks.saturating_sub(look) {
            0 => 1.0,
            // However many came: each look has a share of its own, or the looks would never be over.
            to_come => {
                let share = self.share(look, observed.devices()).max(before + LEAST_STEP);
                let share = share.min(1.0 - LEAST_STEP * to_come as f64);
                if share > before { share } else { f64::midpoint(before, 1.0) }
            }
        };
        if look <= self.looks && share > before {
            shares.push(share);
        }
        if observed.devices() < self.least_devices {
            return unclear(Reason::TooFew, shares);
        }
        if observed.imbalance() > IMBALANCE {
            return unclear(Reason::ArmsDiffer, shares);
        }
        // Beyond the planned looks nothing is promoted by itself.
        let bound = match look <= self.looks {
            true => Some(known.last_bound(self.promote_error, &shares)),
            false => None,
        };
        let reach = sequence::bound(
            self.abort_error / self.margins.len().max(1) as f64,
            observed.devices() / self.planned_devices,
        );
        let judged: Vec<Judged> = self
            .margins
            .iter()
            .map(|&(guardrail, margin)| {
                let estimate = observed.estimate(guardrail);
                let z = margin.map(|margin| (estimate.good + margin) / estimate.error);
                Judged { guardrail, estimate, margin, z, bound, harm_at_least: -estimate.good - reach * estimate.error }
            })
            .collect();
        let worst = judged.iter().max_by(|a, b| a.harm_at_least.total_cmp(&b.harm_at_least));
        let furthest = judged.iter().filter_map(|j| Some((j.guardrail, j.z?))).min_by(|a, b| a.1.total_cmp(&b.1));
        let is_over = look >= self.looks;
        let (verdict, reason) = match (worst, furthest) {
            (Some(worst), _) if worst.harm_at_least > self.abort_above => {
                (Verdict::Breach, Reason::Harm { guardrail: worst.guardrail })
            }
            (_, Some((_, z))) if bound.is_some_and(|bound| z >= bound) => (Verdict::Pass, Reason::AllAbove),
            (_, Some((guardrail, _))) if is_over => (Verdict::Inconclusive, Reason::LooksAreOver { guardrail }),
            (_, Some((guardrail, _))) => (Verdict::Inconclusive, Reason::NotYet { guardrail }),
            (Some(_), None) if is_over => (Verdict::Pass, Reason::OnlyWatched),
            (Some(worst), None) => (Verdict::Inconclusive, Reason::NotYet { guardrail: worst.guardrail }),
            (None, None) => (Verdict::Inconclusive, Reason::NoData),
        };
        Decision { look, verdict, reason, shares, judged }
    }
}

impl Gate {
    // As planned, where the devices that came are near enough to the plan; else what came (the error that is spent follows).
    fn share(&self, look: usize, devices: f64) -> f64 {
        let (planned, seen) = (look as f64 / self.looks as f64, devices / self.planned_devices);
        if (seen / planned - 1.0).abs() <= NEAR_THE_PLAN { planned } else { seen }
    }
}

const NEAR_THE_PLAN: f64 = 0.3;
// Chi-squared with one degree of freedom at .001.
const IMBALANCE: f64 = 10.828;
const LEAST_STEP: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;
    use sordino_shared::rollout::CellSums;

    // An arm of so many devices, a tenth of them served worst, at these rates.
    fn arm(devices: f64, rates: [f64; 6]) -> [CellSums; 2] {
        [0.1, 0.9].map(|share| {
            let count = devices * share;
            let values = rates.map(|rate| rate * count);
            CellSums { count, values, squares: [0, 1].map(|at| count * (rates[at] * rates[at] + 0.0625)) }
        })
    }

    const BASE: [f64; 6] = [0.35, 0.3, 0.4, 0.002, 0.01, 0.001];

    fn gate() -> Gate {
        Gate { planned_devices: 500_000.0, ..Gate::default() }
    }

    fn decide(treatment: [f64; 6], devices: f64, earlier: &[f64]) -> Decision {
        let release = [arm(devices, treatment), arm(devices, BASE)];
        gate().decide(earlier, &Observed::default().and(&release, 100.0))
    }

    #[test]
    fn verdicts_by_hand() {
        let early = decide(BASE, 100_000.0, &[]);
        assert_eq!(early.verdict, Verdict::Inconclusive, "{early:?}");
        let late = decide(BASE, 500_000.0, &[0.2, 0.4, 0.6, 0.8]);
        assert_eq!((late.verdict, late.reason), (Verdict::Pass, Reason::AllAbove), "{late:?}");
        let crashes = [0.35, 0.3, 0.4, 0.006, 0.01, 0.001];
        let broken = decide(crashes, 100_000.0, &[]);
        assert_eq!((broken.verdict, broken.reason), (Verdict::Breach, Reason::Harm { guardrail: Guardrail::Crash }));
        // Worse by just the margin is neither.
        let at_margin = decide([0.36, 0.3, 0.4, 0.002, 0.01, 0.001], 8000.0, &[0.2, 0.4, 0.6, 0.8]);
        assert_eq!(at_margin.verdict, Verdict::Inconclusive);
        assert!(matches!(at_margin.reason, Reason::LooksAreOver { .. }), "{:?}", at_margin.reason);
    }

    // More devices than were planned, look after look: each has a share of its own, and after the planned looks they are over.
    #[test]
    fn more_devices_than_planned_are_no_fault() {
        let mut shares = Vec::new();
        let worse = [0.355, 0.3, 0.4, 0.002, 0.01, 0.001];
        for look in 1..=7 {
            let decision = decide(worse, 1_000_000.0 * f64::from(look), &shares);
            shares = decision.shares;
            assert_eq!((decision.look, shares.len()), (look.min(6) as usize, look.min(5) as usize));
            assert!(shares.windows(2).all(|pair| pair[0] < pair[1]), "{look}: {shares:?}");
        }
        assert_eq!(shares[4], 1.0);
        // Shares of a program that left none for the looks to come.
        assert_eq!(decide(BASE, 1e9, &[0.999999]).shares.len(), 2);
        assert_eq!(decide(BASE, 1e9, &[0.2, 0.4, 0.6, 0.999999]).verdict, Verdict::Pass);
    }

    #[test]
    fn what_is_only_watched_is_watched_for_all_looks() {
        let watched = Gate { margins: Guardrail::ALL.map(|guardrail| (guardrail, None)).to_vec(), ..gate() };
        let at = |earlier: &[f64]| {
            watched.decide(earlier, &Observed::default().and(&[arm(9e4, BASE), arm(9e4, BASE)], 100.0))
        };
        assert_eq!(at(&[0.2]).verdict, Verdict::Inconclusive);
        let last = at(&[0.2, 0.4, 0.6, 0.8]);
        assert_eq!((last.verdict, last.reason), (Verdict::Pass, Reason::OnlyWatched));
    }

    #[test]
    fn no_data_is_no_verdict() {
        assert_eq!(gate().decide(&[], &Observed::default()).reason, Reason::NoData);
        assert_eq!(decide(BASE, 900.0, &[]).reason, Reason::TooFew);
        let release = [arm(100_000.0, BASE), arm(90_000.0, BASE)];
        let uneven = gate().decide(&[], &Observed::default().and(&release, 100.0));
        assert_eq!((uneven.verdict, uneven.reason), (Verdict::Inconclusive, Reason::ArmsDiffer));
        // Nor is a look after the planned ones.
        let over = decide(BASE, 900_000.0, &[0.2, 0.4, 0.6, 0.8, 1.0]);
        assert_eq!(over.verdict, Verdict::Inconclusive);
        assert_eq!(over.shares.len(), 5);
    }

    #[test]
    fn the_unfair_are_seen_in_the_group_that_they_are_unfair_to() {
        let mut release = [arm(200_000.0, BASE), arm(200_000.0, BASE)];
        // Ten points more skips for the tenth, one less for the rest.
        release[0][0].values[0] *= 0.45 / 0.35;
        release[0][1].values[0] *= 0.34 / 0.35;
        let decision = gate().decide(&[], &Observed::default().and(&release, 100.0));
        assert_eq!(decision.reason, Reason::Harm { guardrail: Guardrail::WorstSkipRate });
    }
}
