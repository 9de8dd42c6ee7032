//! Convolution of losses by FFT, both directions in one complex transform.

use super::mechanism::{Losses, Mechanism};
use super::tilt::Tilted;
use super::window::{Window, log_moment, orders, releases};
use crate::math;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// A composed loss distribution, bounded from above.
#[derive(Clone, Debug)]
pub(super) struct Composed {
    first: i64,
    step: f64,
    masses: Vec<f64>,
    infinite: f64,
    rounding: Rounding,
}

// What the transforms' rounding may add to a delta: `e^(log_at_zero - tilt epsilon)`.
#[derive(Clone, Copy, Debug)]
struct Rounding {
    log_at_zero: f64,
    tilt: f64,
}

impl Rounding {
    fn at(self, epsilon: f64) -> f64 {
        math::exp(self.log_at_zero - self.tilt * epsilon)
    }
}

impl Composed {
    fn certain(infinite: f64) -> Self {
        let rounding = Rounding { log_at_zero: f64::NEG_INFINITY, tilt: 0.0 };
        Self { first: 0, step: 1.0, masses: vec![1.0 - infinite], infinite, rounding }
    }

    fn loss(&self, index: usize) -> f64 {
        (self.first + index as i64) as f64 * self.step
    }

    fn or(self, other: Self, delta: f64) -> Self {
        if other.epsilon(delta) < self.epsilon(delta) { other } else { self }
    }

    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let start = ((epsilon / self.step).floor() as i64 + 1 - self.first).clamp(0, self.masses.len() as i64) as usize;
        let sum: f64 = self.masses[start..]
            .iter()
            .enumerate()
            .map(|(i, mass)| mass * -math::exp_m1(epsilon - self.loss(start + i)).min(0.0))
            .sum();
        (sum + self.infinite + self.rounding.at(epsilon)).min(1.0)
    }

    pub(super) fn epsilon(&self, delta: f64) -> f64 {
        if self.infinite > delta {
            return f64::INFINITY;
        }
        // From the top, with u the masses above a point and w the same weighted with e^(point - loss), so that nothing grows:
        // delta(e) = infinite + u - e^(e - point) w until the next point, and what rounding adds, which is the most at the
        // point. Where it passes delta, e is solved for.
        let (mut u, mut w) = (0.0f64, 0.0f64);
        let fall = math::exp(-self.step);
        for i in (0..self.masses.len()).rev() {
            let loss = self.loss(i);
            let told = self.infinite + self.rounding.at(loss);
            if told + u - w > delta {
                let above = loss + math::ln((told + u - delta) / w);
                return if w > 0.0 { above.min(loss + self.step).max(0.0) } else { f64::INFINITY };
            }
            if loss < 0.0 {
                break;
            }
            u += self.masses[i];
            w = (w + self.masses[i]) * fall;
        }
        // All of it lies above the lowest point kept, where delta(0) is still too large only if that point is positive.
        let lowest = self.loss(0);
        let told = self.infinite + self.rounding.at((lowest - self.step).max(0.0));
        if lowest > 0.0 && told + u - w > delta {
            return (lowest - self.step + math::ln((told + u - delta) / w)).max(0.0);
        }
        0.0
    }
}

pub(super) fn compose(history: &[(Mechanism, u64)], delta: f64) -> [Composed; 2] {
    let history: Vec<(Mechanism, u64)> = history.iter().copied().filter(|(_, count)| *count > 0).collect();
    if history.is_empty() {
        return [Composed::certain(0.0), Composed::certain(0.0)];
    }
    let unbounded = history.iter().any(|(mechanism, _)| mechanism.is_unbounded());
    let Some(grid) = (!unbounded).then(|| Grid::of(&history, delta)).flatten() else {
        return [Composed::certain(1.0), Composed::certain(1.0)];
    };
    let fine = discretise(&history, grid.step, grid.negligible);
    let plain = grid.compose(&history, &fine, [0.0, 0.0]);
    // Where rounding counts beside delta, as it does for a small delta over many releases, the losses are composed again, tilted
    // towards those that delta is about. Both are bounds: the smaller one counts.
    if plain.iter().all(|of| of.rounding.at(0.0) <= ROUNDED * delta) {
        return plain;
    }
    let tilts = [0, 1].map(|of| grid.tilt(&history, &fine[of], plain[of].epsilon(delta), delta));
    let [remove, add] = grid.compose(&history, &fine, tilts);
    let [plain_remove, plain_add] = plain;
    [plain_remove.or(remove, delta), plain_add.or(add, delta)]
}

// All releases' losses, in both directions.
fn discretise(history: &[(Mechanism, u64)], step: f64, negligible: f64) -> [Vec<Losses>; 2] {
    let (remove, add) = history.iter().map(|(mechanism, _)| mechanism.losses(step, negligible).into()).unzip();
    [remove, add]
}

// The cells that a composition is computed on. Each direction's wrap around into its own window; mass that wraps down from
// above the window is what the tail bound pays for, mass that wraps up from below only adds.
struct Grid {
    windows: [Window; 2],
    size: usize,
    step: f64,
    negligible: f64,
}

impl Grid {
    // A coarse pass finds the windows. `None` where only absurdly coarse cells would reach across them.
    fn of(history: &[(Mechanism, u64)], delta: f64) -> Option<Self> {
        let releases = releases(history);
        let tail = delta * TAIL;
        let negligible = (tail / releases).max(1e-300);
        let resolution = history.iter().map(|(m, _)| m.resolution()).fold(f64::INFINITY, f64::min);
        let mut coarse_step = coarse_step(history, negligible);
        loop {
            let coarse = discretise(history, coarse_step, negligible);
            let windows = coarse.map(|losses| Window::of(history, &losses, coarse_step, tail));
            let width = windows.iter().map(|w| w.high - w.low).fold(0.0, f64::max) + 4.0 * coarse_step;
            // Each release's loss is spread over a cell, which adds up to h^2 / 8 to the mean loss: together a small part of
            // it.
            let finest = resolution.min((SPREAD * width / releases).sqrt()).min(coarse_step);
            let size = fft_size((width / finest).clamp(LEAST_CELLS, MOST_CELLS));
            let step = (width / (size as f64 - 8.0)).max(1e-9);
            // Wider cells have longer tails: a window holds for steps up to the one that it was found with.
            if step <= coarse_step {
                return Some(Self { windows, size, step, negligible });
            }
            if step > 1.0 {
                return None;
            }
            coarse_step = 1.5 * step;
        }
    }

    // Both directions, each tilted by its order: a loss L of one release has the mass `m e^(tilt L)` over the sum of all these.
    // What comes out is tilted by the same order, and is turned back. Errors of the transforms are in proportion to the tilted
    // masses, so after it they are small where the masses are.
    fn compose(&self, history: &[(Mechanism, u64)], losses: &[Vec<Losses>; 2], tilts: [f64; 2]) -> [Composed; 2] {
        let tilted =
            [0, 1].map(|of| losses[of].iter().map(|l| Tilted::new(l, self.step, tilts[of])).collect::<Vec<_>>());
        let cells = convolve(history, &tilted, self.size);
        [0, 1].map(|of| self.bound(history, &losses[of], &tilted[of], (of, tilts[of]), &cells))
    }

    // The order of a tilt with which least is added to the delta at about this epsilon. A tilt makes the errors of rounding
    // small there; too much of it, and what wraps around from above the window, which it lifts by e^(tilt width), counts.
    fn tilt(&self, history: &[(Mechanism, u64)], losses: &[Losses], epsilon: f64, delta: f64) -> f64 {
        let width = self.size as f64 * self.step;
        let moments: Vec<(f64, f64)> = orders().map(|t| (t, log_moment(history, losses, self.step, t))).collect();
        // E[max(0, 1 - e^(epsilon - L))] is at most E[e^(t (L - epsilon))] t^t / (1 + t)^(1 + t) (Canonne, Kamath and Steinke
        // 2020).
        let log_share = |t: f64| -math::ln(delta) - math::ln_1p(t) - t * math::ln_1p(1.0 / t);
        let epsilon = moments.iter().map(|&(t, moment)| (moment + log_share(t)) / t).fold(epsilon, f64::min).max(0.0);
        let added = |place: usize| {
            let (tilt, moment) = moments[place];
            let wrapped = moments[place + 1..].iter().map(|&(t, moment)| moment - t * (epsilon + width) + tilt * width);
            let rounded = math::ln(self.rounding(history, tilt)) + moment - tilt * epsilon;
            rounded.max(wrapped.fold(f64::INFINITY, f64::min))
        };
        let places = (0..moments.len() - 1).min_by(|&a, &b| added(a).total_cmp(&added(b)));
        places.map_or(0.0, |place| moments[place].0)
    }

    // What the transforms' rounding is in the sum of the masses above an epsilon, per root of the sum of their squares: a unit in
    // the last place for each of the transform's passes, raised to the power of the releases. Parseval carries the errors of the
    // spectrum over to the masses, Cauchy and Schwarz to their sum, each turned back by at least as much as the cells in between.
    fn rounding(&self, history: &[(Mechanism, u64)], tilt: f64) -> f64 {
        let size = self.size as f64;
        let counted = if tilt > 0.0 { size.min(-1.0 / math::exp_m1(-2.0 * tilt * self.step)) } else { size };
        f64::EPSILON * math::log2(size) * (2.0 + releases(history)) * counted.sqrt()
    }

    // One direction's composition, with all that the transform cannot know added to infinite loss.
    fn bound(
        &self,
        history: &[(Mechanism, u64)],
        losses: &[Losses],
        tilted: &[Tilted],
        (direction, tilt): (usize, f64),
        cells: &[Complex<f64>],
    ) -> Composed {
        let window = &self.windows[direction];
        let first = (window.low / self.step).floor() as i64 - 2;
        let log_sum: f64 = history.iter().zip(tilted).map(|((_, count), of)| *count as f64 * of.log_sum).sum();
        // Exponents are right to a unit in their last place, of which each release has one and the end another.
        let exponents: f64 = history.iter().zip(tilted).map(|((_, count), of)| *count as f64 * of.exponent).sum();
        let mut masses = vec![0.0; self.size];
        let mut squares = 0.0;
        for ((i, mass), place) in around(first, self.size).zip(&mut masses).zip(first..) {
            let value = if direction == 0 { cells[i].re } else { cells[i].im } / self.size as f64;
            // Both directions share a transform, and its errors.
            squares += cells[i].norm_sqr() / (self.size as f64 * self.size as f64);
            *mass = value.max(0.0);
            if tilt > 0.0 && *mass > 0.0 {
                let back = tilt * place as f64 * self.step;
                let error = 4.0 * f64::EPSILON * (exponents + log_sum.abs() + back.abs());
                *mass = (*mass * (1.0 + error) * math::exp(log_sum - back)).min(1.0);
            }
        }
        let log_told_by_none: f64 =
            history.iter().zip(losses).map(|((_, count), l)| *count as f64 * math::ln_1p(-l.infinite)).sum();
        let log_at_zero = math::ln(self.rounding(history, tilt) * squares.sqrt()) + log_sum;
        let top = (first + self.size as i64) as f64 * self.step;
        let beyond = window.tail_above(history, losses, self.step, top);
        let infinite = -math::exp_m1(log_told_by_none) + beyond;
        Composed { first, step: self.step, masses, infinite, rounding: Rounding { log_at_zero, tilt } }
    }
}

// The composed cells: remove in the real part, add in the imaginary part, which makes one complex transform of two real ones.
// Both are scaled by the number of cells.
fn convolve(history: &[(Mechanism, u64)], losses: &[Vec<Tilted>; 2], size: usize) -> Vec<Complex<f64>> {
    let mut planner = FftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(size);
    let mut spectra = [0, 1].map(|_| vec![Complex::new(1.0, 0.0); size / 2 + 1]);
    for (number, (_, count)) in history.iter().enumerate() {
        let [remove, add] = [&losses[0][number], &losses[1][number]];
        let mut cells = vec![Complex::new(0.0, 0.0); size];
        around(remove.first, size).zip(&remove.masses).for_each(|(i, mass)| cells[i].re += mass);
        around(add.first, size).zip(&add.masses).for_each(|(i, mass)| cells[i].im += mass);
        forward.process(&mut cells);
        // (X + conj X(-k)) / 2 and (X - conj X(-k)) / 2i
        let mirror = |k: usize| cells[(size - k) % size].conj();
        multiply_powers(&mut spectra[0], |k| (cells[k] + mirror(k)) * 0.5, *count);
        multiply_powers(&mut spectra[1], |k| (cells[k] - mirror(k)) * Complex::new(0.0, -0.5), *count);
    }
    let mut cells: Vec<Complex<f64>> = (0..size)
        .map(|k| {
            let at = |half: &[Complex<f64>]| if k <= size / 2 { half[k] } else { half[size - k].conj() };
            at(&spectra[0]) + at(&spectra[1]) * Complex::new(0.0, 1.0)
        })
        .collect();
    planner.plan_fft_inverse(size).process(&mut cells);
    cells
}

// Multiplies each value by the power of its factor. By squaring, which is closer than logarithms, for some values at a time
// so that the compiler makes vectors of them.
fn multiply_powers(values: &mut [Complex<f64>], factor: impl Fn(usize) -> Complex<f64>, count: u64) {
    // Below e^-100 a power adds nothing that the error bound does not hold: (1 - x)^(n/2) <= e^(-x n / 2).
    let negligible = 200.0 / count as f64;
    for (number, chunk) in values.chunks_mut(LANES).enumerate() {
        let (mut re, mut im) = ([0.0f64; LANES], [0.0f64; LANES]);
        let mut any = false;
        for lane in 0..chunk.len() {
            let value = factor(number * LANES + lane);
            (re[lane], im[lane]) = (value.re, value.im);
            any |= 1.0 - value.norm_sqr() < negligible;
        }
        if !any {
            chunk.fill(Complex::new(0.0, 0.0));
            continue;
        }
        let (mut power_re, mut power_im) = ([1.0f64; LANES], [0.0f64; LANES]);
        let mut left = count;
        loop {
            if left & 1 == 1 {
                for i in 0..LANES {
                    (power_re[i], power_im[i]) =
                        (power_re[i] * re[i] - power_im[i] * im[i], power_re[i] * im[i] + power_im[i] * re[i]);
                }
            }
            left >>= 1;
            if left == 0 {
                break;
            }
            for i in 0..LANES {
                (re[i], im[i]) = (re[i] * re[i] - im[i] * im[i], 2.0 * re[i] * im[i]);
            }
        }
        for (lane, value) in chunk.iter_mut().enumerate() {
            *value *= Complex::new(power_re[lane], power_im[lane]);
        }
    }
}

// The places of cells `first`, `first + 1`, ... on a circle of this size.
fn around(first: i64, size: usize) -> impl Iterator<Item = usize> {
    let start = first.rem_euclid(size as i64) as usize;
    (start..size).chain((0..size).cycle())
}

// The next size that transforms fast: 2^k or 3 2^k.
fn fft_size(cells: f64) -> usize {
    let power = (cells.ceil() as usize).next_power_of_two();
    if power / 4 * 3 >= cells.ceil() as usize { power / 4 * 3 } else { power }
}

// A step at which one release has a few thousand cells, to find the window with.
fn coarse_step(history: &[(Mechanism, u64)], negligible: f64) -> f64 {
    let mut step = 1.0f64;
    // Losses of one release range over hundredths to hundreds; refine until every one has enough cells.
    loop {
        let fewest =
            history.iter().map(|(m, _)| m.losses(step, negligible)[0].masses.len()).min().unwrap_or(COARSE_CELLS);
        if fewest >= COARSE_CELLS || step < 1e-6 {
            return step;
        }
        step /= if fewest < COARSE_CELLS / 16 { 8.0 } else { 2.0 };
    }
}

// What the window may leave out, as a share of delta.
const TAIL: f64 = 1e-6;
// The spread of all releases' cells, in parts of the window.
const SPREAD: f64 = 3e-5;
// The most that rounding may add without a tilt, as a share of delta.
const ROUNDED: f64 = 1e-4;
const LANES: usize = 16;
const LEAST_CELLS: f64 = (1 << 14) as f64;
const MOST_CELLS: f64 = (1 << 21) as f64;
const COARSE_CELLS: usize = 2000;
