//! What a fleet can hope for, before it spends anything: dimensions, rounds and how the budget is shared out.
//!
//! *Rule* (heuristic: the spectral norm of a random matrix, Davidson and Szarek 2001): component k of the listeners'
//! second moments stands out of the noise if `lambda_k > nu (sqrt(rows) + sqrt(d))`, where nu is the deviation of the
//! noise on the mean over devices. Shrinkage by popularity leaves fewer rows in play than the catalogue has: `rows` is a
//! quarter of them. The spectra of a new fleet are not known: the
//! plan prints a range over two reference catalogues and decides by their geometric mean.

use serde::{Deserialize, Serialize};
use sordino_shared::privacy::Mode;

/// What is known of a fleet and what its operator asks for.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// N: devices that take part.
    pub devices: usize,
    /// C: devices in one secure cohort.
    pub cohort: usize,
    /// Share of each cohort that is sure to be honest and to survive.
    pub honest_fraction: f64,
    /// m: tracks in the catalogue.
    pub tracks: usize,
    /// Who adds the noise.
    pub mode: Mode,
    /// zCDP budget of one device for the whole training; `None` for none at all.
    pub rho: Option<f64>,
    /// Whether tracks have content features.
    pub has_content: bool,
    /// Dimensions, where the operator has chosen them.
    pub dimensions: Option<usize>,
    /// Embedding rounds, where the operator has chosen them.
    pub rounds: Option<usize>,
}

/// A training, planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// d.
    pub dimensions: usize,
    /// Rounds of subspace iteration; 0 with `factor_rounds` 0 means popularity alone.
    pub subspace_rounds: usize,
    /// Rounds of factors by sufficient statistics.
    pub factor_rounds: usize,
    /// How the budget is shared out.
    pub shares: Shares,
    /// Deviation of the noise on the mean over devices, were the whole budget one release of unit norm.
    pub noise_floor: f64,
    /// Components expected to stand out, on the least and on the most favourable reference catalogue.
    pub components: (usize, usize),
    /// The same in words.
    pub reasons: Vec<String>,
}

/// Shares of rho; they add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// The popularity release.
    pub popularity: f64,
    /// All rounds of subspace iteration.
    pub subspace: f64,
    /// All rounds of factors.
    pub factors: f64,
    /// The comparison with popularity at the end.
    pub comparison: f64,
}

impl Schedule {
    /// Embedding rounds; the popularity release before them is not counted.
    pub fn rounds(&self) -> usize {
        self.subspace_rounds + self.factor_rounds
    }

    /// Plans a training.
    pub fn new(fleet: &Fleet) -> Self {
        let noise_floor = noise_floor(fleet);
        let asked = fleet.dimensions.unwrap_or(MOST_DIMENSIONS).min(fleet.tracks);
        // Catalogues are long-tailed: rows of hardly any plays are shrunk away and carry no noise into the spectrum.
        let rows = fleet.tracks as f64 / 4.0;
        let floor = subspace_floor(noise_floor, rows, asked);
        let components = (learnable(&SPARSE, floor), learnable(&DENSE, floor));
        let expected = learnable_between(floor);
        let needed = if fleet.has_content { 1 } else { LEAST_WITHOUT_CONTENT };
        let mut reasons = vec![outlook(fleet, noise_floor, components)];
        let chosen = fleet.dimensions.is_some() && fleet.rounds.is_some();
        if fleet.rho.is_some() && expected < needed && !chosen {
            reasons.push(format!(
                "popularity only: {expected} component{} expected, {needed} needed; more devices, larger cohorts or a \
                 larger epsilon would help",
                if expected == 1 { "" } else { "s" }
            ));
            return Self {
                dimensions: 0,
                subspace_rounds: 0,
                factor_rounds: 0,
                shares: Shares { popularity: 1.0, subspace: 0.0, factors: 0.0, comparison: 0.0 },
                noise_floor,
                components,
                reasons,
            };
        }
        let dimensions = fleet.dimensions.unwrap_or(if expected >= 2 { 32 } else { 16 }).min(fleet.tracks);
        let (subspace_rounds, factor_rounds) = mix(fleet, expected);
        let learning = 1.0 - POPULARITY_SHARE - COMPARISON_SHARE;
        let subspace = if factor_rounds == 0 { learning } else { SUBSPACE_SHARE };
        let shares = Shares {
            popularity: POPULARITY_SHARE,
            subspace,
            factors: learning - subspace,
            comparison: COMPARISON_SHARE,
        };
        reasons.push(format!(
            "{dimensions} dimensions, {}, then {factor_rounds} of factors",
            match subspace_rounds {
                1 => "1 round of subspace iteration".to_owned(),
                rounds => format!("{rounds} rounds of subspace iteration"),
            }
        ));
        Self { dimensions, subspace_rounds, factor_rounds, shares, noise_floor, components, reasons }
    }
}

// What the noise leaves to be learnt, in words.
fn outlook(fleet: &Fleet, noise_floor: f64, (least, most): (usize, usize)) -> String {
    if fleet.rho.is_none() {
        return "no noise: what can be learnt is limited by the data alone".to_owned();
    }
    let components = match (least, most) {
        (0, 0) => "no component of taste is expected to stand out of it".to_owned(),
        (1, 1) => "1 component of taste is expected to stand out of it".to_owned(),
        (least, most) if least == most => format!("{most} components of taste are expected to stand out of it"),
        (least, most) => format!("{least} to {most} components of taste are expected to stand out of it"),
    };
    format!("noise on a mean of unit norm: {noise_floor:.2e}; {components}")
}

// nu for one release of unit norm with the whole budget.
fn noise_floor(fleet: &Fleet) -> f64 {
    let Some(rho) = fleet.rho else { return 0.0 };
    let devices = fleet.devices as f64;
    let cohorts = match fleet.mode {
        Mode::Secure => (devices / fleet.cohort as f64).ceil(),
        Mode::Central | Mode::CentralMf => 1.0,
        Mode::Local => devices,
    };
    let honest = if fleet.mode == Mode::Local { 1.0 } else { fleet.honest_fraction };
    fleet.mode.adjacency().factor() * (cohorts / (2.0 * rho * honest)).sqrt() / devices
}

fn subspace_floor(noise: f64, rows: f64, dimensions: usize) -> f64 {
    noise / SUBSPACE_SHARE.sqrt() * (rows.sqrt() + (dimensions as f64).sqrt())
}

fn mix(fleet: &Fleet, expected: usize) -> (usize, usize) {
    match (fleet.rounds, fleet.rho) {
        (Some(rounds), _) if rounds <= 1 => (rounds, 0),
        (Some(rounds), Some(_)) => (1, rounds - 1),
        (Some(rounds), None) => (1 + usize::from(rounds >= 5), rounds - 1 - usize::from(rounds >= 5)),
        (None, None) => (2, 6),
        (None, Some(_)) if expected >= 2 => (1, 2),
        (None, Some(_)) => (1, 1),
    }
}

fn learnable(spectrum: &[(usize, f64); 7], floor: f64) -> usize {
    spectrum.iter().take_while(|(_, lambda)| *lambda > floor).last().map_or(0, |&(k, _)| k)
}

fn learnable_between(floor: f64) -> usize {
    let mut middle = SPARSE;
    middle.iter_mut().zip(&DENSE).for_each(|(m, d)| m.1 = (m.1 * d.1).sqrt());
    learnable(&middle, floor)
}

// (k, lambda_k) of a film set with 3.7k tracks and of listening counts over 17.6k artists, damping exponent .3.
const DENSE: [(usize, f64); 7] =
    [(1, 0.0661), (2, 0.0148), (4, 0.0104), (8, 0.0061), (16, 0.0032), (32, 0.0019), (64, 0.0012)];
const SPARSE: [(usize, f64); 7] =
    [(1, 0.0249), (2, 0.0112), (4, 0.0053), (8, 0.0032), (16, 0.0019), (32, 0.0015), (64, 0.0011)];

const MOST_DIMENSIONS: usize = 32;
const LEAST_WITHOUT_CONTENT: usize = 2;
// How the shares were chosen: docs/decisions.md.
const POPULARITY_SHARE: f64 = 0.1;
const SUBSPACE_SHARE: f64 = 0.2;
// One value a device is measured so well that little is enough.
const COMPARISON_SHARE: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(devices: usize, rho: Option<f64>) -> Fleet {
        Fleet {
            devices,
            cohort: 10_000,
            honest_fraction: 1.0,
            tracks: 4000,
            mode: Mode::Secure,
            rho,
            has_content: false,
            dimensions: None,
            rounds: None,
        }
    }

    #[test]
    fn more_devices_learn_more_and_few_learn_nothing() {
        let rho = Some(0.088);
        let few = Schedule::new(&fleet(500, rho));
        assert_eq!((few.rounds(), few.shares.popularity), (0, 1.0));
        let many = Schedule::new(&fleet(1_000_000, rho));
        assert_eq!((many.dimensions, many.rounds()), (32, 3));
        assert!(Schedule::new(&fleet(100_000, rho)).components.0 <= many.components.0);
    }

    #[test]
    fn shares_add_up_and_choices_are_kept() {
        for rounds in [1, 2, 3, 10] {
            for rho in [None, Some(0.1)] {
                let schedule = Schedule::new(&Fleet { rounds: Some(rounds), dimensions: Some(8), ..fleet(100, rho) });
                assert_eq!((schedule.rounds(), schedule.dimensions), (rounds, 8));
                let Shares { popularity, subspace, factors, comparison } = schedule.shares;
                assert!((popularity + subspace + factors + comparison - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn reasons_are_sentences_about_the_fleet_at_hand() {
        let without = Schedule::new(&fleet(1000, None)).reasons.join("; ");
        assert!(without.contains("no noise") && !without.contains("stand out"), "{without}");
        let drowned = Schedule::new(&fleet(100, Some(0.01))).reasons.join("; ");
        assert!(drowned.contains("no component of taste") && drowned.contains("0 components expected"), "{drowned}");
        let many = Schedule::new(&fleet(1_000_000_000, Some(1.0))).reasons.join("; ");
        assert!(many.contains("64 components of taste are") && !many.contains("64 to 64"), "{many}");
        assert!(many.contains("1 round of subspace iteration"), "{many}");
    }

    #[test]
    fn local_noise_is_far_worse() {
        let secure = Schedule::new(&fleet(100_000, Some(0.1))).noise_floor;
        let local = Schedule::new(&Fleet { mode: Mode::Local, ..fleet(100_000, Some(0.1)) }).noise_floor;
        assert!((local / secure - 2.0 * 10_000f64.sqrt()).abs() < 1e-6, "{}", local / secure);
    }
}
