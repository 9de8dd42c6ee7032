//! The loss of one release of each mechanism, on a grid.

use crate::math;
use std::f64::consts::SQRT_2;

/// A mechanism with the neighbouring relation that its parameters are stated for. Noise is in units of the sensitivity
/// where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mechanism {
    /// Each device takes part with probability `rate`, by itself and in secret; Gaussian noise of deviation
    /// `noise_multiplier` sensitivities. Add-or-remove-one.
    PoissonGaussian {
        /// q, the probability of taking part.
        rate: f64,
        /// z, deviation over sensitivity.
        noise_multiplier: f64,
    },
    /// Laplace noise; sensitivity 1 in L1.
    Laplace {
        /// Scale over sensitivity.
        scale: f64,
    },
    /// Discrete Laplace noise: mass proportional to `exp(-inverse_scale |k|)`.
    DiscreteLaplace {
        /// One over the scale.
        inverse_scale: f64,
        /// Sensitivity, a whole number.
        sensitivity: u32,
    },
    /// With probability `noise` the answer is uniform over all choices, else it is the truth. Replace-one.
    RandomisedResponse {
        /// Probability of a uniform answer.
        noise: f64,
        /// Number of choices.
        choices: u32,
    },
    /// Discrete Gaussian noise on *one* count. For vectors no scalar pair is known to dominate: use zCDP.
    DiscreteGaussian {
        /// The parameter sigma.
        deviation: f64,
        /// Sensitivity, a whole number.
        sensitivity: u32,
    },
    /// Skellam noise on *one* count.
    Skellam {
        /// Its variance.
        variance: f64,
        /// Sensitivity, a whole number.
        sensitivity: u32,
    },
}

/// Masses of losses `h (first + i)` under P, and of infinite loss.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    pub(super) first: i64,
    pub(super) masses: Vec<f64>,
    pub(super) infinite: f64,
}

impl Mechanism {
    /// One release's losses in both directions on a grid of step `h`. Mass of at most `negligible` may be told outright.
    pub(super) fn losses(&self, h: f64, negligible: f64) -> [Losses; 2] {
        let one = match *self {
            Self::PoissonGaussian { rate, noise_multiplier } => {
                return poisson_gaussian(rate, noise_multiplier, h, negligible);
            }
            Self::Laplace { scale } => laplace(scale, h),
            _ => from_atoms(&told_tails(self.atoms(), negligible), h),
        };
        [one.clone(), one]
    }

    /// A step of the grid at which one release's losses are well resolved.
    pub(super) fn resolution(&self) -> f64 {
        match *self {
            // The deviation of one loss is about q sqrt(e^(1/z^2) - 1) where that is small.
            Self::PoissonGaussian { rate, noise_multiplier } if rate > 0.0 => {
                rate * math::exp_m1(math::powi(noise_multiplier, -2)).min(3.0).sqrt() / 14.0
            }
            _ => f64::INFINITY,
        }
    }

    /// Whether a release tells everything, whatever delta, or has more outcomes than are listed here.
    pub(super) fn is_unbounded(&self) -> bool {
        match *self {
            Self::PoissonGaussian { rate, noise_multiplier } => rate > 0.0 && noise_multiplier <= 0.0,
            Self::Laplace { scale } => scale * MOST_LOSS <= 1.0,
            Self::DiscreteLaplace { inverse_scale, sensitivity } => {
                !inverse_scale.is_finite() || sensitivity > MOST_ATOMS
            }
            Self::RandomisedResponse { noise, .. } => noise <= 0.0,
            Self::DiscreteGaussian { deviation, sensitivity } => {
                deviation <= 0.0 || deviation * 40.0 > f64::from(MOST_ATOMS) || sensitivity > MOST_ATOMS
            }
            Self::Skellam { variance, sensitivity } => {
                variance <= 0.0 || variance.sqrt() * 40.0 > f64::from(MOST_ATOMS) || sensitivity > MOST_ATOMS
            }
        }
    }

    // (mass under P, mass under Q) of each outcome of a discrete mechanism.
    fn atoms(&self) -> Vec<(f64, f64)> {
        match *self {
            Self::DiscreteLaplace { inverse_scale, sensitivity } => {
                let steps = i64::from(sensitivity);
                let centre = math::tanh(0.5 * inverse_scale);
                let below = (1.0 + centre) / 2.0;
                let at = |k: i64| centre * math::exp(-inverse_scale * k.abs() as f64);
                // Outcomes at most 0 and at least the sensitivity share one loss each.
                let far = math::exp(-inverse_scale * steps as f64) * below;
                let mut atoms = vec![(below, far), (far, below)];
                atoms.extend((1..steps).map(|k| (at(k), at(k - steps))));
                atoms
            }
            Self::RandomisedResponse { noise, choices } => {
                let lie = noise / f64::from(choices);
                let truth = 1.0 - noise + lie;
                let rest = f64::from(choices.saturating_sub(2)) * lie;
                vec![(truth, lie), (lie, truth), (rest, rest)]
            }
            Self::DiscreteGaussian { deviation, sensitivity } => {
                let reach = (deviation * 40.0).ceil() as i64 + i64::from(sensitivity) + 5;
                let weight = |k: i64| math::exp(-math::powi(k as f64, 2) / (2.0 * deviation * deviation));
                shifted(weight, reach, sensitivity)
            }
            Self::Skellam { variance, sensitivity } => {
                let reach = crate::privacy::skellam_tail(variance, -640.0).ceil() as i64 + i64::from(sensitivity);
                let weights = skellam_weights(variance, reach as usize + 2);
                shifted(|k| weights[k.unsigned_abs() as usize], reach, sensitivity)
            }
            Self::PoissonGaussian { .. } | Self::Laplace { .. } => Vec::new(),
        }
    }
}

// The outcomes of the largest and of the smallest losses, as far as they weigh `negligible`, become told outright: they would
// make the grid wide and empty.
fn told_tails(mut atoms: Vec<(f64, f64)>, negligible: f64) -> Vec<(f64, f64)> {
    let loss = |atom: &(f64, f64)| if atom.1 > 0.0 { math::ln(atom.0 / atom.1) } else { f64::INFINITY };
    atoms.retain(|atom| atom.0 > 0.0);
    atoms.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let (mut from, mut to, mut told) = (0, atoms.len(), 0.0);
    while from < to && told + atoms[from].0 <= 0.5 * negligible {
        told += atoms[from].0;
        from += 1;
    }
    while from < to && told + atoms[to - 1].0 <= negligible {
        told += atoms[to - 1].0;
        to -= 1;
    }
    let mut kept = atoms[from..to].to_vec();
    kept.push((told, 0.0));
    kept
}

// A symmetric law against itself shifted by the sensitivity. Outcomes that only one of the two reaches are below 1e-270
// and count as told.
fn shifted(weight: impl Fn(i64) -> f64, reach: i64, sensitivity: u32) -> Vec<(f64, f64)> {
    let total: f64 = (-reach..=reach).map(&weight).sum();
    let mass = |k: i64| if k.abs() > reach { 0.0 } else { weight(k) / total };
    let shift = i64::from(sensitivity);
    (-reach..=reach + shift).map(|k| (mass(k), mass(k - shift))).collect()
}

// e^-v I_k(v) for k = 0.., up to a factor, by Miller's downward recurrence: all terms are positive.
fn skellam_weights(variance: f64, count: usize) -> Vec<f64> {
    let mut weights = vec![0.0; count];
    let (mut above, mut here) = (0.0f64, 1e-280f64);
    for k in (1..=2 * count + 50).rev() {
        let below = above + 2.0 * k as f64 / variance * here;
        (above, here) = (here, below);
        if k <= count {
            weights[k - 1] = here;
        }
        if here > 1e200 {
            above *= 1e-200;
            here *= 1e-200;
            weights.iter_mut().for_each(|w| *w *= 1e-200);
        }
    }
    let largest = weights[0];
    weights.iter_mut().for_each(|w| *w /= largest);
    weights
}

// Splits a cell's masses under P and Q onto the cell's ends at losses e and e + h: a + b = p, and a e^-e + b e^-(e + h) = q.
fn split(p: f64, q: f64, low: f64, h: f64) -> (f64, f64) {
    let upper = ((p - q * math::exp(low)) / -math::exp_m1(-h)).clamp(0.0, p);
    (p - upper, upper)
}

fn from_atoms(atoms: &[(f64, f64)], h: f64) -> Losses {
    let mut infinite = 0.0;
    let mut finite: Vec<(i64, f64, f64)> = Vec::with_capacity(atoms.len());
    for &(p, q) in atoms {
        if p <= 0.0 {
            continue;
        }
        if q <= 0.0 || math::ln(p / q) > MOST_LOSS {
            infinite += p;
            continue;
        }
        // Losses below the floor are lifted to it, which can only raise the bound.
        finite.push(((math::ln(p / q).max(-MOST_LOSS) / h).floor() as i64, p, q));
    }
    let first = finite.iter().map(|f| f.0).min().unwrap_or(0);
    let last = finite.iter().map(|f| f.0).max().unwrap_or(0) + 1;
    let mut masses = vec![0.0; (last - first + 1) as usize];
    for (cell, p, q) in finite {
        let (low, high) = split(p, q, cell as f64 * h, h);
        masses[(cell - first) as usize] += low;
        masses[(cell - first) as usize + 1] += high;
    }
    Losses { first, masses, infinite }
}

// Cells of a loss that moves from one outcome to the next without jumps: `p` and `q` give the masses of losses in a cell.
fn from_cells(first: i64, last: i64, h: f64, mut cell: impl FnMut(i64) -> (f64, f64)) -> Vec<f64> {
    let mut masses = vec![0.0; (last - first + 2) as usize];
    for i in first..=last {
        let (p, q) = cell(i);
        let (low, high) = split(p, q, i as f64 * h, h);
        masses[(i - first) as usize] += low;
        masses[(i - first) as usize + 1] += high;
    }
    masses
}

// The mixture's loss at x is ln(1 - q + q exp((2x - 1) / (2 z^2))), rising in x from ln(1 - q). With P
// and Q exchanged it is minus that: one set of cells serves both directions.
fn poisson_gaussian(rate: f64, z: f64, h: f64, negligible: f64) -> [Losses; 2] {
    if rate <= 0.0 {
        let nothing = Losses { first: 0, masses: vec![1.0], infinite: 0.0 };
        return [nothing.clone(), nothing];
    }
    let floor = math::ln_1p(-rate);
    let loss = |x: f64| {
        let exponent = (2.0 * x - 1.0) / (2.0 * z * z);
        if exponent > 30.0 {
            exponent + math::ln(rate + (1.0 - rate) * math::exp(-exponent))
        } else {
            math::ln_1p(rate * math::exp_m1(exponent))
        }
    };
    // The outcome whose loss this is.
    let outcome = |loss: f64| {
        if loss <= floor {
            return f64::NEG_INFINITY;
        }
        let ratio = if loss > 30.0 {
            loss - math::ln(rate) + math::ln_1p((rate - 1.0) * math::exp(-loss))
        } else {
            math::ln_1p(math::exp_m1(loss) / rate)
        };
        z * z * ratio + 0.5
    };
    // Outcomes further out than this have at most `negligible` mass under either law.
    let reach = z * (-2.0 * math::ln(negligible)).sqrt();
    let (lowest, highest) = (loss(-reach).max(floor).max(-MOST_LOSS), loss(1.0 + reach).min(MOST_LOSS));
    let first = (lowest / h).floor() as i64;
    let last = (highest / h).floor() as i64;
    let count = (last - first + 1) as usize;
    let edge = |x: f64| Edge { plain: Tail::at(x / z), shifted: Tail::at((x - 1.0) / z) };
    let masses_between = |from: &Edge, to: &Edge| {
        let plain = from.plain.until(to.plain);
        (plain, (1.0 - rate) * plain + rate * from.shifted.until(to.shifted))
    };
    // Below the lowest cell all losses are raised to it, where P is the mixture; where P is the plain law they would be
    // lowered by that, so they are told unless the loss itself ends in the cell.
    let bottom = edge(f64::NEG_INFINITY);
    let ends = floor >= first as f64 * h;
    let lower = if ends { bottom } else { edge(outcome(first as f64 * h).max(-reach)) };
    let beyond = edge(f64::INFINITY);
    let mut remove = Losses { first, masses: vec![0.0; count + 1], infinite: 0.0 };
    let mut add = Losses { first: -last - 1, masses: vec![0.0; count + 1], infinite: 0.0 };
    let mut from = bottom;
    for cell in 0..count {
        let low = (first + cell as i64) as f64 * h;
        let to = edge(outcome(low + h));
        let (plain, mixed) = masses_between(&from, &to);
        let (down, up) = split(mixed, plain, low, h);
        remove.masses[cell] += down;
        remove.masses[cell + 1] += up;
        // The same outcomes with the loss's sign turned: cells run the other way.
        let (plain, mixed) = if cell == 0 { masses_between(&lower, &to) } else { (plain, mixed) };
        let (down, up) = split(plain, mixed, -(low + h), h);
        add.masses[count - 1 - cell] += down;
        add.masses[count - cell] += up;
        from = to;
    }
    // What lies above the highest cell: told where P is the mixture, raised to the lowest cell where it is the plain law.
    let (plain, mixed) = masses_between(&from, &beyond);
    remove.infinite = mixed;
    add.masses[0] += plain;
    add.infinite = masses_between(&bottom, &lower).0;
    [remove, add]
}

// The standard normal's smaller tail at a point.
#[derive(Clone, Copy)]
struct Tail {
    above: bool,
    mass: f64,
}

#[derive(Clone, Copy)]
struct Edge {
    plain: Tail,
    shifted: Tail,
}

impl Tail {
    fn at(x: f64) -> Self {
        Self { above: x >= 0.0, mass: 0.5 * math::erfc(x.abs() / SQRT_2) }
    }

    // The mass from here to a later point, without cancellation in the tails.
    fn until(self, later: Self) -> f64 {
        match (self.above, later.above) {
            (true, _) => (self.mass - later.mass).max(0.0),
            (false, false) => (later.mass - self.mass).max(0.0),
            (false, true) => 1.0 - self.mass - later.mass,
        }
    }
}

// P = Laplace at 0, Q = at 1: losses 1/b for x <= 0, -1/b for x >= 1, (1 - 2x)/b between.
fn laplace(scale: f64, h: f64) -> Losses {
    let most = 1.0 / scale;
    let atoms = from_atoms(&[(0.5, 0.5 * math::exp(-most)), (0.5 * math::exp(-most), 0.5)], h);
    let first = (-most / h).floor() as i64;
    let last = (most / h).floor() as i64;
    let outcome = |loss: f64| ((1.0 - loss * scale) / 2.0).clamp(0.0, 1.0);
    let mut masses = from_cells(first, last, h, |i| {
        let (from, to) = (outcome((i + 1) as f64 * h), outcome(i as f64 * h));
        // Integrals of e^(-x/b) / 2b and e^((x-1)/b) / 2b.
        let width = -math::exp_m1(-(to - from) * most);
        (0.5 * math::exp(-from * most) * width, 0.5 * math::exp((to - 1.0) * most) * width)
    });
    for (i, mass) in atoms.masses.iter().enumerate() {
        masses[(atoms.first + i as i64 - first) as usize] += mass;
    }
    Losses { first, masses, infinite: 0.0 }
}

// Losses beyond this are told outright; e^-600 is far below every delta.
const MOST_LOSS: f64 = 600.0;
// Outcomes of a discrete mechanism that are listed one by one.
const MOST_ATOMS: u32 = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    // Nothing is lost on the way to the grid, tails told outright included: both laws have mass 1, of which Q's shows as
    // sum of masses times e^-loss where nothing is told.
    #[test]
    fn no_mass_is_lost() {
        let mechanisms = [
            Mechanism::PoissonGaussian { rate: 0.1, noise_multiplier: 0.7 },
            Mechanism::PoissonGaussian { rate: 1.0, noise_multiplier: 1.0 },
            Mechanism::Laplace { scale: 1.5 },
            Mechanism::DiscreteLaplace { inverse_scale: 0.4, sensitivity: 3 },
            Mechanism::RandomisedResponse { noise: 0.3, choices: 5 },
            Mechanism::DiscreteGaussian { deviation: 2.0, sensitivity: 1 },
            Mechanism::Skellam { variance: 5.0, sensitivity: 2 },
        ];
        for mechanism in mechanisms {
            for (step, negligible) in [(0.01, 0.05), (0.003, 1e-12)] {
                for losses in mechanism.losses(step, negligible) {
                    let total: f64 = losses.masses.iter().sum::<f64>() + losses.infinite;
                    assert!((total - 1.0).abs() < 1e-9, "{mechanism:?} {step}: {total}");
                    assert!(losses.infinite <= 2.0 * negligible && losses.masses.iter().all(|&m| m >= 0.0));
                    let other: f64 = (losses.first..)
                        .zip(&losses.masses)
                        .map(|(i, mass)| mass * math::exp(-(i as f64) * step))
                        .sum();
                    // A lowest loss that was lifted takes some of Q's mass away, never more than there is.
                    assert!(other <= 1.0 + 1e-6, "{mechanism:?} {step}: {other}");
                    if negligible < 1e-9 {
                        assert!(other > 0.999, "{mechanism:?} {step}: {other}");
                    }
                }
            }
        }
    }
}
