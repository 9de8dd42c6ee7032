//! The little linear algebra that both sides need.
//!
//! Products over the long side of a matrix are cut into fixed blocks of rows and added up in order, so that the bits
//! of a result do not depend on the number of threads.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice, linalg::general_mat_mul};
use rayon::prelude::*;

/// Solves `A x = b` in place for a symmetric positive definite `A` (`n` x `n`, row-major, lower triangle used).
///
/// Returns `false` where `A` is not positive definite to working precision; `b` is then unspecified.
pub fn cholesky_solve(a: &mut [f64], b: &mut [f64]) -> bool {
    let n = b.len();
    assert_eq!(a.len(), n * n, "the matrix and the vector must agree in size");
    for j in 0..n {
        let (above, below) = a.split_at_mut((j + 1) * n);
        let row_j = &mut above[j * n..];
        let pivot = row_j[j] - dot(&row_j[..j], &row_j[..j]);
        if pivot.is_nan() || pivot <= 0.0 {
            return false;
        }
        let pivot = pivot.sqrt();
        row_j[j] = pivot;
        for row_i in below.chunks_exact_mut(n) {
            row_i[j] = (row_i[j] - dot(&row_i[..j], &row_j[..j])) / pivot;
        }
    }
    for i in 0..n {
        b[i] = (b[i] - dot(&a[i * n..i * n + i], &b[..i])) / a[i * n + i];
    }
    for i in (0..n).rev() {
        b[i] /= a[i * n + i];
        let (head, tail) = b.split_at_mut(i);
        for (value, &factor) in head.iter_mut().zip(&a[i * n..i * n + i]) {
            *value -= factor * tail[0];
        }
    }
    true
}

/// The dot product in eight running sums, a shape that compilers turn into vector instructions.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; 8];
    for (x, y) in chunks_a.zip(chunks_b) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// [`dot`] in single precision.
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let (chunks_a, chunks_b) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0f32; 16];
    for (x, y) in chunks_a.zip(chunks_b) {
        for k in 0..16 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// Eigenvalues in descending order and their eigenvectors as columns, of a symmetric matrix.
pub fn symmetric_eigen(a: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let n = a.nrows();
    let matrix = DMatrix::from_fn(n, n, |i, j| 0.5 * (a[(i, j)] + a[(j, i)]));
    let eigen = SymmetricEigen::new(matrix);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| eigen.eigenvalues[j].total_cmp(&eigen.eigenvalues[i]).then(i.cmp(&j)));
    let values = order.iter().map(|&k| eigen.eigenvalues[k]).collect();
    let vectors = Array2::from_shape_fn((n, n), |(i, k)| eigen.eigenvectors[(i, order[k])]);
    (values, vectors)
}

/// Thin singular value decomposition `Y = U diag(S) W'` through the eigenvectors of `Y'Y`.
///
/// Columns whose singular value is below 1e-9 of the largest come out as zero: they carry no direction. Signs are fixed
/// by making the largest entry of each column of `U` positive, so that equal input gives equal bits.
pub fn thin_svd(y: &Array2<f64>) -> (Array2<f64>, Array1<f64>, Array2<f64>) {
    let (values, mut w) = symmetric_eigen(&gram(y.view()));
    let singular: Array1<f64> = values.mapv(|v| v.max(0.0).sqrt());
    let mut u = matmul(y.view(), w.view());
    let floor = singular.first().copied().unwrap_or(0.0) * 1e-9;
    for (k, &value) in singular.iter().enumerate() {
        let mut column = u.column_mut(k);
        if value <= floor {
            column.fill(0.0);
            continue;
        }
        let largest = column.iter().copied().fold(0.0f64, |m, v| if v.abs() > m.abs() { v } else { m });
        let scale = if largest < 0.0 { -1.0 / value } else { 1.0 / value };
        column.mapv_inplace(|v| v * scale);
        if largest < 0.0 {
            w.column_mut(k).mapv_inplace(|v| -v);
        }
    }
    (u, singular, w)
}

/// `A B` for a tall `A`, in parallel over fixed blocks of `A`'s rows.
pub fn matmul(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    out.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS)
        .into_par_iter()
        .zip(a.axis_chunks_iter(Axis(0), BLOCK_ROWS).into_par_iter())
        .for_each(|(mut rows, a_rows)| general_mat_mul(1.0, &a_rows, &b, 0.0, &mut rows));
    out
}

/// `A'A` for a tall `A`, in parallel over fixed blocks of rows whose sums are added in order.
pub fn gram(a: ArrayView2<'_, f64>) -> Array2<f64> {
    cross(a, a)
}

/// `A'B` for tall `A` and `B` of equal length, as [`gram`].
pub fn cross(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    let blocks = a.nrows().div_ceil(BLOCK_ROWS);
    let partial: Vec<Array2<f64>> = (0..blocks)
        .into_par_iter()
        .map(|block| {
            let rows = Slice::from(block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(a.nrows()));
            a.slice_axis(Axis(0), rows).t().dot(&b.slice_axis(Axis(0), rows))
        })
        .collect();
    partial.into_iter().fold(Array2::zeros((a.ncols(), b.ncols())), |sum, part| sum + part)
}

// Large enough that a block's product outweighs handing it to a thread, small enough to share out a few thousand rows.
const BLOCK_ROWS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::unit_f64;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    fn random(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_fn((rows, columns), |_| unit_f64(&mut rng) - 0.5)
    }

    #[test]
    fn cholesky_solves_and_refuses() {
        for n in [1, 2, 9, 33] {
            let b = random(n + 5, n, n as u64);
            let a = b.t().dot(&b);
            let truth = random(n, 1, 99);
            let right = a.dot(&truth);
            let mut x: Vec<f64> = right.iter().copied().collect();
            assert!(cholesky_solve(&mut a.iter().copied().collect::<Vec<_>>(), &mut x));
            for (got, want) in x.iter().zip(truth.iter()) {
                assert!((got - want).abs() < 1e-6, "{got} {want}");
            }
        }
        assert!(!cholesky_solve(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0]));
        assert!(!cholesky_solve(&mut [f64::NAN], &mut [1.0]));
    }

    #[test]
    fn svd_rebuilds_the_matrix() {
        let y = random(700, 6, 3);
        let (u, s, w) = thin_svd(&y);
        let rebuilt = (&u * &s).dot(&w.t());
        assert!((&rebuilt - &y).iter().all(|d| d.abs() < 1e-9));
        let identity = gram(u.view());
        assert!(identity.indexed_iter().all(|((i, j), v)| (v - f64::from(u8::from(i == j))).abs() < 1e-9));
        assert!(s.windows(2).into_iter().all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn svd_of_a_deficient_matrix_has_zero_columns() {
        let column = random(40, 1, 4);
        let y = ndarray::concatenate![Axis(1), column, column];
        let (u, s, _) = thin_svd(&y);
        assert!(s[1] < s[0] * 1e-7);
        assert!(u.column(1).iter().all(|v| v.is_finite()));
    }
}
