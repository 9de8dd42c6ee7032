//! What a stage can see: the smallest harm that it would find, before anything is spent on it.

use super::gate::Gate;
use super::normal::upper_quantile;
use super::observed::Guardrail;
use super::spending;
use serde::{Deserialize, Serialize};
use sordino_shared::math;

/// What one expects of a guardrail before anything is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The mean.
    pub mean: f64,
    /// The deviation over devices.
    pub deviation: f64,
}

impl Expected {
    /// What is assumed where nothing is known: skips .35 with deviation .25, NDCG .3 with .3, a return .4, a crash .002, slow inferences
    /// .01, load failures .001. Shadow measures them again.
    pub fn of(guardrail: Guardrail) -> Self {
        let rate = |mean: f64| Self { mean, deviation: (mean * (1.0 - mean)).sqrt() };
        match guardrail {
            Guardrail::SkipRate | Guardrail::WorstSkipRate => Self { mean: 0.35, deviation: 0.25 },
            Guardrail::Ndcg => Self { mean: 0.3, deviation: 0.3 },
            Guardrail::Return => rate(0.4),
            Guardrail::Crash => rate(0.002),
            Guardrail::Slow => rate(0.01),
            Guardrail::LoadFailure => rate(0.001),
        }
    }
}

/// The smallest difference that a gate finds with this chance, from .5 to 1, through the noise of its sums: of deviation `noise` in each
/// release.
pub fn smallest(gate: &Gate, guardrail: Guardrail, expected: Expected, noise: f64, chance: f64) -> f64 {
    let share = if guardrail == Guardrail::WorstSkipRate { WORST_SHARE } else { 1.0 };
    let groups = if guardrail == Guardrail::WorstSkipRate { 1.0 } else { 2.0 };
    let n = (gate.planned_devices * share).max(1.0);
    let variance = groups * gate.looks as f64 * noise * noise * (1.0 + expected.mean * expected.mean);
    let error = (2.0 * math::powi(expected.deviation, 2) / n + 2.0 * variance / (n * n)).sqrt();
    // The last look's bound stands for all looks: it asks for a little more than one look would.
    let shares: Vec<f64> = (1..=gate.looks).map(|look| look as f64 / gate.looks as f64).collect();
    let last = spending::bounds(gate.promote_error, &shares).last().copied().unwrap_or_default();
    (last + upper_quantile(1.0 - chance)) * error
}

const WORST_SHARE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    // Close to the table of the design for a million devices, whose formula has one cell an arm and leaves the count's noise out.
    #[test]
    fn larger_stages_see_more() {
        let see = |devices: f64, guardrail: Guardrail| {
            let gate = Gate { planned_devices: devices, ..Gate::default() };
            100.0 * smallest(&gate, guardrail, Expected::of(guardrail), 10.0, 0.8)
        };
        let skip: Vec<f64> = [3000.0, 15_000.0, 75_000.0].iter().map(|&n| see(n, Guardrail::SkipRate)).collect();
        assert!(
            (3.1..=4.5).contains(&skip[0]) && (0.85..=1.15).contains(&skip[1]) && (0.3..=0.4).contains(&skip[2]),
            "{skip:?}"
        );
        assert!(see(75_000.0, Guardrail::WorstSkipRate) > see(75_000.0, Guardrail::SkipRate));
        assert!(see(3000.0, Guardrail::Crash) > 2.0, "a small stage is blind for crashes");
    }
}
