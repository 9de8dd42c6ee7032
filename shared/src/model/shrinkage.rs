//! Noise-aware shrinkage: an empirical-Bayes estimate of a table from its noisy rows.
//!
//! Each entry is observed as `truth + noise` with a noise variance that is known exactly. The truth's prior is normal:
//! its mean is a ridge regression on public features of the track (powers of log popularity, content), its variance is
//! estimated within bins of equal popularity. The posterior mean (Efron and Morris 1973; Fay and Herriot 1979) keeps
//! what stands out of the noise, and gives a track that few listeners played the place that its features suggest.
//! It sees released values only, so it costs no privacy.

use crate::linalg::{cholesky_solve, cross, gram, matmul};
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
        let mut log: Array1<f64> = popularity.iter().map(|p| p.max(1e-9).ln()).collect();
        let mean = log.mean().unwrap_or(0.0);
        let spread = log.std(0.0).max(1e-9);
        log.mapv_inplace(|v| (v - mean) / spread);
        let powers = Array2::from_shape_fn((tracks, POWERS), |(i, k)| log[i].powi(k as i32));
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
    // Residual variance by (bin, column); it starts at what the rows show beyond their noise.
    let mut residual = bin_excess(rows, variance, prior);
    for _ in 0..ROUNDS {
        let mean = regress(rows, variance, &residual, prior);
        residual = bin_excess(&(&*rows - &mean), variance, prior);
    }
    let mean = regress(rows, variance, &residual, prior);
    rows.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(i, mut row)| {
        let bin = prior.bin[i] as usize;
        for k in 0..d {
            let (signal, noise) = (residual[(bin, k)], variance[(i, k)]);
            let weight = if signal + noise > 0.0 { signal / (signal + noise) } else { 1.0 };
            row[k] = mean[(i, k)] + (row[k] - mean[(i, k)]) * weight;
        }
    });
}

// The prior means: a ridge regression of the rows on the features, rows weighted by their mean precision.
fn regress(rows: &Array2<f64>, variance: &Array2<f64>, residual: &Array2<f64>, prior: &Prior) -> Array2<f64> {
    let (tracks, d) = rows.dim();
    let columns = prior.features.ncols();
    let weights: Array1<f64> = (0..tracks)
        .map(|i| {
            let total = variance.row(i).sum() + residual.row(prior.bin[i] as usize).sum();
            d as f64 / total.max(f64::MIN_POSITIVE)
        })
        .collect();
    let scale = weights.mean().unwrap_or(1.0).recip();
    let roots = weights.mapv(|w| (w * scale).sqrt()).insert_axis(Axis(1));
    let features = &prior.features * &roots;
    let targets = rows * &roots;
    let mut system = gram(features.view());
    let ridge = RIDGE * tracks as f64;
    system.diag_mut().mapv_inplace(|v| v + ridge);
    let right = cross(features.view(), targets.view());
    let mut coefficients = Array2::zeros((columns, d));
    for k in 0..d {
        let mut a: Vec<f64> = system.iter().copied().collect();
        let mut b: Vec<f64> = right.column(k).iter().copied().collect();
        if cholesky_solve(&mut a, &mut b) {
            coefficients.column_mut(k).assign(&Array1::from(b));
        }
    }
    matmul(prior.features.view(), coefficients.view())
}

// Mean square minus mean noise variance, by (bin, column), never below a sliver of the noise.
fn bin_excess(values: &Array2<f64>, variance: &Array2<f64>, prior: &Prior) -> Array2<f64> {
    let d = values.ncols();
    let mut square = Array2::<f64>::zeros((BINS, d));
    let mut noise = Array2::<f64>::zeros((BINS, d));
    let mut count = [0usize; BINS];
    for (i, (row, noise_row)) in values.outer_iter().zip(variance.outer_iter()).enumerate() {
        let bin = prior.bin[i] as usize;
        count[bin] += 1;
        for k in 0..d {
            square[(bin, k)] += row[k] * row[k];
            noise[(bin, k)] += noise_row[k];
        }
    }
    Array2::from_shape_fn((BINS, d), |(bin, k)| {
        let n = count[bin].max(1) as f64;
        ((square[(bin, k)] - noise[(bin, k)]) / n).max(1e-4 * noise[(bin, k)] / n)
    })
}

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
