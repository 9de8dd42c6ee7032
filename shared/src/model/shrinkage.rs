//! Noise-aware shrinkage: an empirical-Bayes estimate of a table from its noisy rows.
//!
//! Each entry is observed as `truth + noise` with a noise variance that is known exactly. The truth's prior is normal:
//! its mean is a ridge regression on public features of the track (powers of log popularity, content), its variance is
//! estimated within bins of equal popularity. The posterior mean (Efron and Morris 1973; Fay and Herriot 1979) keeps
//! what stands out of the noise, and gives a track that few listeners played the place that its features suggest.
//! It sees released values only, so it costs no privacy.

use crate::linalg::{cholesky_solve, cross};
use crate::math;
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

/// What is known of the tracks before the rows are seen.
#[derive(Clone, Debug)]
pub struct Prior {
    features: Array2<f64>,
    // For each track its bin, bins being of equal size in popularity.
    bin: Vec<u32>,
}

impl Prior {
    /// Features from popularity (tracks) and content (tracks x any number, also zero).
    pub fn new(popularity: &[f64], content: &Array2<f64>) -> Self {
        let tracks = popularity.len();
        let mut log: Array1<f64> = popularity.iter().map(|p| math::ln(p.max(1e-9))).collect();
        let mean = log.mean().unwrap_or(0.0);
        let spread = log.std(0.0).max(1e-9);
        log.mapv_inplace(|v| (v - mean) / spread);
        let powers = Array2::from_shape_fn((tracks, POWERS), |(i, k)| math::powi(log[i], k as i32));
        let scaled = content * &log.view().insert_axis(Axis(1));
        let features = ndarray::concatenate(Axis(1), &[powers.view(), content.view(), scaled.view()])
            .expect("all have one row a track");
        let mut order: Vec<usize> = (0..tracks).collect();
        order.sort_by(|&i, &j| popularity[j].total_cmp(&popularity[i]).then(i.cmp(&j)));
        let mut bin = vec![0; tracks];
        for (place, &track) in order.iter().enumerate() {
            bin[track] = (place * BINS / tracks.max(1)) as u32;
        }
        Self { features, bin }
    }
}

/// Replaces noisy rows (tracks x d) by their posterior means, `variance` being the noise variance of each entry.
pub fn shrink_rows(rows: &mut Array2<f64>, variance: &Array2<f64>, prior: &Prior) {
    let (tracks, d) = rows.dim();
    if tracks == 0 || d == 0 {
        return;
    }
    let noise = noise_by_bin(variance, prior);
    let row_noise: Vec<f64> = variance.outer_iter().map(|row| row.sum()).collect();
    // Residual variance by (bin, column); it starts at what the rows show beyond their noise.
    let mut coefficients = Array2::zeros((prior.features.ncols(), d));
    let mut residual = excess(rows, &coefficients, &noise, prior);
    for _ in 0..ROUNDS {
        coefficients = regress(rows, &row_noise, &residual, prior);
        residual = excess(rows, &coefficients, &noise, prior);
    }
    let coefficients = regress(rows, &row_noise, &residual, prior);
    rows.axis_iter_mut(Axis(0)).into_par_iter().with_min_len(BLOCK).enumerate().for_each_init(
        || vec![0.0; d],
        |mean, (i, mut row)| {
            prior.mean(i, &coefficients, mean);
            let signal = residual.row(prior.bin[i] as usize);
            for (((value, &mean), &signal), &noise) in row.iter_mut().zip(mean.iter()).zip(signal).zip(variance.row(i))
            {
                let weight = if signal + noise > 0.0 { signal / (signal + noise) } else { 1.0 };
                *value = mean + (*value - mean) * weight;
            }
        },
    );
}

impl Prior {
    // The prior mean of one row.
    fn mean(&self, track: usize, coefficients: &Array2<f64>, mean: &mut [f64]) {
        mean.fill(0.0);
        for (&feature, row) in self.features.row(track).iter().zip(coefficients.outer_iter()) {
            if feature != 0.0 {
                mean.iter_mut().zip(row).for_each(|(m, &c)| *m += feature * c);
            }
        }
    }
}

// A ridge regression of the rows on the features, rows weighted by their mean precision: features x d.
fn regress(rows: &Array2<f64>, row_noise: &[f64], residual: &Array2<f64>, prior: &Prior) -> Array2<f64> {
    let (tracks, d) = rows.dim();
    let signal: Vec<f64> = residual.outer_iter().map(|row| row.sum()).collect();
    let mut weights: Array1<f64> =
        (0..tracks).map(|i| (row_noise[i] + signal[prior.bin[i] as usize]).max(f64::MIN_POSITIVE).recip()).collect();
    let scale = weights.mean().unwrap_or(1.0).recip();
    weights.mapv_inplace(|w| w * scale);
    let weighted = &prior.features * &weights.insert_axis(Axis(1));
    let mut system = cross(weighted.view(), prior.features.view());
    let ridge = RIDGE * tracks as f64;
    system.diag_mut().mapv_inplace(|v| v + ridge);
    let right = cross(weighted.view(), rows.view());
    let mut coefficients = Array2::zeros(right.dim());
    for k in 0..d {
        let mut a: Vec<f64> = system.iter().copied().collect();
        let mut b: Vec<f64> = right.column(k).iter().copied().collect();
        if cholesky_solve(&mut a, &mut b) {
            coefficients.column_mut(k).assign(&Array1::from(b));
        }
    }
    coefficients
}

// Mean noise variance by (bin, column).
fn noise_by_bin(variance: &Array2<f64>, prior: &Prior) -> Array2<f64> {
    by_bin(variance.nrows(), variance.ncols(), prior, |i, sums| {
        sums.iter_mut().zip(variance.row(i)).for_each(|(s, &v)| *s += v);
    })
}

// Mean square of what the features do not explain minus mean noise variance, never below a sliver of the noise.
fn excess(rows: &Array2<f64>, coefficients: &Array2<f64>, noise: &Array2<f64>, prior: &Prior) -> Array2<f64> {
    let d = rows.ncols();
    let mut square = by_bin(rows.nrows(), d, prior, |i, sums| {
        let mut mean = [0.0; MOST_ON_STACK];
        let mut large = Vec::new();
        let mean = if d <= MOST_ON_STACK {
            &mut mean[..d]
        } else {
            large.resize(d, 0.0);
            &mut large[..]
        };
        prior.mean(i, coefficients, mean);
        sums.iter_mut().zip(rows.row(i)).zip(mean).for_each(|((s, &v), m)| *s += (v - *m) * (v - *m));
    });
    square.zip_mut_with(noise, |s, &n| *s = (*s - n).max(1e-4 * n));
    square
}

// Means over the tracks of each bin: blocks of tracks in parallel, their sums added in order.
fn by_bin(tracks: usize, d: usize, prior: &Prior, add: impl Fn(usize, &mut [f64]) + Sync) -> Array2<f64> {
    let parts: Vec<Vec<f64>> = (0..tracks.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let mut sums = vec![0.0; BINS * d];
            for i in block * BLOCK..((block + 1) * BLOCK).min(tracks) {
                let start = prior.bin[i] as usize * d;
                add(i, &mut sums[start..start + d]);
            }
            sums
        })
        .collect();
    let mut total = Array2::zeros((BINS, d));
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
    }
    let mut counts = [0usize; BINS];
    prior.bin.iter().for_each(|&bin| counts[bin as usize] += 1);
    for (mut row, count) in total.outer_iter_mut().zip(counts) {
        row.mapv_inplace(|v| v / count.max(1) as f64);
    }
    total
}

const BLOCK: usize = 512;
const MOST_ON_STACK: usize = 64;
// Cubic in log popularity: enough to bend, too little to chase noise.
const POWERS: usize = 4;
const BINS: usize = 20;
// Twice is where the variances settle; a third pass changed no metric on the sets that docs/benchmarks.md names.
const ROUNDS: usize = 2;
const RIDGE: f64 = 1e-6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| unit_f64(rng)).sum::<f64>() - 6.0
    }

    #[test]
    fn it_lowers_the_error_and_leaves_exact_rows_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let popularity: Vec<f64> = (0..2000).map(|i| 1000.0 / (1.0 + f64::from(i))).collect();
        let content = Array2::from_shape_fn((2000, 3), |(i, k)| f64::from(u8::from(i % 3 == k)));
        let truth =
            Array2::from_shape_fn((2000, 4), |(i, k)| (i % 3) as f64 * 0.3 - k as f64 * 0.1 + 0.1 * normal(&mut rng));
        let noisy = Array2::from_shape_fn((2000, 4), |ij| truth[ij] + 0.5 * normal(&mut rng));
        let prior = Prior::new(&popularity, &content);
        let mut shrunk = noisy.clone();
        shrink_rows(&mut shrunk, &Array2::from_elem((2000, 4), 0.25), &prior);
        let error = |a: &Array2<f64>| (a - &truth).mapv(|v| v * v).mean().unwrap_or(f64::NAN);
        assert!(error(&shrunk) < 0.06 * error(&noisy), "{} {}", error(&shrunk), error(&noisy));
        let mut exact = truth.clone();
        shrink_rows(&mut exact, &Array2::zeros((2000, 4)), &prior);
        assert!((&exact - &truth).iter().all(|d| d.abs() < 1e-9));
    }
}
