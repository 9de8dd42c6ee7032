//! Convolution of losses by FFT, both directions in one complex transform.

use super::mechanism::{Losses, Mechanism};
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
}

impl Composed {
    fn certain(infinite: f64) -> Self {
        Self { first: 0, step: 1.0, masses: vec![1.0 - infinite], infinite }
    }

    fn loss(&self, index: usize) -> f64 {
        (self.first + index as i64) as f64 * self.step
    }

    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let start = ((epsilon / self.step).floor() as i64 + 1 - self.first).clamp(0, self.masses.len() as i64) as usize;
        let sum: f64 = self.masses[start..]
            .iter()
            .enumerate()
            .map(|(i, mass)| mass * -math::exp_m1(epsilon - self.loss(start + i)).min(0.0))
            .sum();
        (sum + self.infinite).min(1.0)
    }

    pub(super) fn epsilon(&self, delta: f64) -> f64 {
        if self.infinite > delta {
            return f64::INFINITY;
        }
        // From the top, with u the masses above a point and w the same weighted with e^(point - loss), so that nothing grows:
        // delta(e) = infinite + u - e^(e - point) w until the next point. Where it passes delta, e is solved for.
        let (mut u, mut w) = (0.0f64, 0.0f64);
        let fall = math::exp(-self.step);
        for i in (0..self.masses.len()).rev() {
            let loss = self.loss(i);
            if self.infinite + u - w > delta {
                return (loss + math::ln((self.infinite + u - delta) / w)).max(0.0);
            }
            if loss < 0.0 {
                break;
            }
            u += self.masses[i];
            w = (w + self.masses[i]) * fall;
        }
        // All of it lies above the lowest point kept, where delta(0) is still too large only if that point is positive.
        let lowest = self.loss(0);
        if lowest > 0.0 && self.infinite + u - w > delta {
            return (lowest - self.step + math::ln((self.infinite + u - delta) / w)).max(0.0);
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
    let cells = convolve(&history, &fine, grid.size);
    [0, 1].map(|direction| grid.bound(&history, &fine[direction], direction, &cells))
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

    // One direction's composition, with all that the transform cannot know added to infinite loss.
    fn bound(
        &self,
        history: &[(Mechanism, u64)],
        losses: &[Losses],
        direction: usize,
        cells: &[Complex<f64>],
    ) -> Composed {
        let window = &self.windows[direction];
        let first = (window.low / self.step).floor() as i64 - 2;
        let mut masses = vec![0.0; self.size];
        let mut squares = 0.0;
        for (i, mass) in around(first, self.size).zip(&mut masses) {
            let value = if direction == 0 { cells[i].re } else { cells[i].im } / self.size as f64;
            squares += value * value;
            *mass = value.max(0.0);
        }
        let log_told_by_none: f64 =
            history.iter().zip(losses).map(|((_, count), l)| *count as f64 * math::ln_1p(-l.infinite)).sum();
        // Errors of the spectrum: a unit in the last place for each of the transform's passes, raised to the power of the
        // releases. Parseval carries them over to the masses, Cauchy and Schwarz to their sum.
        let relative = f64::EPSILON * math::log2(self.size as f64) * (2.0 + releases(history));
        let rounding = relative * (squares * self.size as f64).sqrt();
        let top = (first + self.size as i64) as f64 * self.step;
        let beyond = window.tail_above(history, losses, self.step, top);
        Composed { first, step: self.step, masses, infinite: -math::exp_m1(log_told_by_none) + beyond + rounding }
    }
}

// The composed cells: remove in the real part, add in the imaginary part, which makes one complex transform of two real ones.
// Both are scaled by the number of cells.
fn convolve(history: &[(Mechanism, u64)], losses: &[Vec<Losses>; 2], size: usize) -> Vec<Complex<f64>> {
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

fn releases(history: &[(Mechanism, u64)]) -> f64 {
    history.iter().map(|(_, count)| *count as f64).sum()
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

// Losses between which all but a given share of the composition lies, on each side, by Chernoff's bound.
struct Window {
    low: f64,
    high: f64,
    // The order at which the upper bound is best.
    order: f64,
}

impl Window {
    fn of(history: &[(Mechanism, u64)], losses: &[Losses], step: f64, tail: f64) -> Self {
        let log_tail = -math::ln(tail);
        let bound = |sign: f64| {
            let (mut best, mut order, mut worse) = (f64::INFINITY, 1.0, 0);
            // The bound has one minimum over the orders.
            for exponent in -12..=40 {
                let t = math::powf(2f64, f64::from(exponent) / 2.0);
                let candidate = (log_moment(history, losses, step, sign * t) + log_tail) / t;
                if candidate < best {
                    (best, order, worse) = (candidate, t, 0);
                } else {
                    worse += 1;
                    if worse > 3 {
                        break;
                    }
                }
            }
            (best, order)
        };
        let lowest: f64 = history.iter().zip(losses).map(|((_, count), l)| *count as f64 * l.first as f64 * step).sum();
        let highest = highest(history, losses, step) + step;
        let (high, order) = bound(1.0);
        Self { low: (-bound(-1.0).0).max(lowest), high: high.min(highest), order }
    }

    // Upper bound on the mass of the composition at `top` and above.
    fn tail_above(&self, history: &[(Mechanism, u64)], losses: &[Losses], step: f64, top: f64) -> f64 {
        if highest(history, losses, step) < top {
            return 0.0;
        }
        math::exp(log_moment(history, losses, step, self.order) - self.order * top).min(1.0)
    }
}

// The largest finite loss of the composition.
fn highest(history: &[(Mechanism, u64)], losses: &[Losses], step: f64) -> f64 {
    let last = |l: &Losses| (l.first + l.masses.len() as i64 - 1) as f64 * step;
    history.iter().zip(losses).map(|((_, count), l)| *count as f64 * last(l)).sum()
}

// ln E[e^(t L)] of the whole composition.
fn log_moment(history: &[(Mechanism, u64)], losses: &[Losses], step: f64, t: f64) -> f64 {
    let one = |l: &Losses| {
        // From the outermost cell with mass on the side that the order pulls towards: it decides, and e^(t step) from cell to
        // cell saves the exponentials.
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
    };
    history.iter().zip(losses).map(|((_, count), l)| *count as f64 * one(l)).sum()
}

// What the window may leave out, as a share of delta.
const TAIL: f64 = 1e-6;
// The spread of all releases' cells, in parts of the window.
const SPREAD: f64 = 3e-5;
const LANES: usize = 16;
const LEAST_CELLS: f64 = (1 << 14) as f64;
const MOST_CELLS: f64 = (1 << 21) as f64;
const COARSE_CELLS: usize = 2000;
