//! Where a composition's losses lie: Chernoff's bounds from the moments of single releases.

use super::mechanism::{Losses, Mechanism};
use crate::math;

/// Losses between which all but a given share of the composition lies, on each side, by Chernoff's bound.
pub(super) struct Window {
    pub(super) low: f64,
    pub(super) high: f64,
    // The order at which the upper bound is best, and the share that it was found for.
    order: f64,
    tail: f64,
}

impl Window {
    /// At cells of this width; holds for narrower ones.
    pub(super) fn of(history: &[(Mechanism, u64)], losses: &[Losses], step: f64, tail: f64) -> Self {
        let log_tail = -math::ln(tail);
        let of = |l: &Losses| (l.first, l.first + l.masses.len() as i64 - 1);
        let sum = |cell: fn((i64, i64)) -> i64| -> f64 {
            history.iter().zip(losses).map(|((_, count), l)| *count as f64 * cell(of(l)) as f64 * step).sum()
        };
        // On a finer grid the outermost losses of each release may lie up to a cell of this one further out.
        let spread = releases(history) * step;
        let Chernoff { loss: high, order } = Chernoff::of(history, losses, step, log_tail, 1.0);
        let low = -Chernoff::of(history, losses, step, log_tail, -1.0).loss;
        Self { low: low.max(sum(|cells| cells.0) - spread), high: high.min(sum(|cells| cells.1) + spread), order, tail }
    }

    /// Upper bound on the mass of the composition at `top` and above.
    pub(super) fn tail_above(&self, history: &[(Mechanism, u64)], losses: &[Losses], step: f64, top: f64) -> f64 {
        if highest(history, losses, step) < top {
            return 0.0;
        }
        let at = |order: f64| math::exp(log_moment(history, losses, step, order) - order * top).min(1.0);
        let found = at(self.order);
        // The order was found with wider cells; it is nearly always the one.
        if found <= self.tail { found } else { orders().map(at).fold(found, f64::min) }
    }
}

/// Orders of moments that are tried.
pub(super) fn orders() -> impl Iterator<Item = f64> {
    (-12..=40).map(|exponent| math::powf(2f64, f64::from(exponent) / 2.0))
}

// Chernoff's bound: the loss beyond which no more than a share lies on this grid or a finer one, and the order at which that is
// best.
struct Chernoff {
    loss: f64,
    order: f64,
}

impl Chernoff {
    // `log_share` is minus the logarithm of the share; above where the sign is 1, below where it is -1.
    fn of(history: &[(Mechanism, u64)], losses: &[Losses], step: f64, log_share: f64, sign: f64) -> Self {
        // Losses are spread over a cell in a way that keeps masses under both laws, which raises the moment of order t by at
        // most 1 + t (t + 1) h^2 / 8, and moves none further than h. Losses that lie on this grid may lie between the points of a
        // finer one.
        let spread = |order: f64| releases(history) * step.min((1.0 + order) * step * step / 8.0);
        let (mut best, mut worse) = (Self { loss: f64::INFINITY, order: 1.0 }, 0);
        // The bound has one minimum over the orders.
        for order in orders() {
            let loss = (log_moment(history, losses, step, sign * order) + log_share) / order + spread(order);
            if loss < best.loss {
                (best, worse) = (Self { loss, order }, 0);
            } else {
                worse += 1;
                if worse > 3 {
                    break;
                }
            }
        }
        best
    }
}

// The largest finite loss of the composition.
fn highest(history: &[(Mechanism, u64)], losses: &[Losses], step: f64) -> f64 {
    let last = |l: &Losses| (l.first + l.masses.len() as i64 - 1) as f64 * step;
    history.iter().zip(losses).map(|((_, count), l)| *count as f64 * last(l)).sum()
}

/// ln E[e^(t L)] of the whole composition.
pub(super) fn log_moment(history: &[(Mechanism, u64)], losses: &[Losses], step: f64, t: f64) -> f64 {
    history.iter().zip(losses).map(|((_, count), l)| *count as f64 * log_moment_of(l, step, t)).sum()
}

/// ln E[e^(t L)] of one release.
pub(super) fn log_moment_of(l: &Losses, step: f64, t: f64) -> f64 {
    // From the outermost cell with mass on the side that the order pulls towards: it decides, and e^(t step) from cell to cell
    // saves the exponentials.
    let factor = math::exp(-(t * step).abs());
    let sum = |masses: &mut dyn Iterator<Item = &f64>| {
        masses.fold((0.0f64, 1.0f64), |(sum, weight), mass| (sum + mass * weight, weight * factor)).0
    };
    let (outermost, sum) = if t > 0.0 {
        let last = l.masses.iter().rposition(|&m| m > 0.0).unwrap_or(0);
        (last, sum(&mut l.masses[..=last].iter().rev()))
    } else {
        let first = l.masses.iter().position(|&m| m > 0.0).unwrap_or(0);
        (first, sum(&mut l.masses[first..].iter()))
    };
    t * (l.first + outermost as i64) as f64 * step + math::ln(sum)
}

/// How many releases there are.
pub(super) fn releases(history: &[(Mechanism, u64)]) -> f64 {
    history.iter().map(|(_, count)| *count as f64).sum()
}
