//! Principal components of a sparse or dense matrix, exact and without random numbers.
//!
//! With X `[n, g]` (n cells, g genes), column means m and Y = X − 1mᵀ, the components are the leading eigenvectors
//! V of the covariance C = YᵀY / (n − 1) and the scores are T = Y V. The smaller of the two symmetric
//! matrices is decomposed:
//!
//! - g ≤ n: C = (XᵀX − n m mᵀ) / (n − 1), `[g, g]`, and T = X V − 1 (mᵀV);
//! - g > n: K = Y Yᵀ = U Λ Uᵀ, `[n, n]`, and T = U Λ^½, V = Yᵀ U Λ^−½.
//!
//! Y itself is never formed (of a dense matrix, some rows at a time). The signs of eigenvectors are arbitrary: here the entry of V of largest size in each
//! component is positive (the first such entry, if several), which does not depend on the order of the cells.
//!
//! Cost: time ~ nnz²/n or nnz²/g for the symmetric matrix plus 4/3 d³ and more for its eigenvectors, d = min(n, g);
//! memory 4 matrices `[d, d]` of `f64`. 100,000 cells × 2,000 genes need 130 MB beside the data.
//!
//! Source: Jolliffe 2002, Principal Component Analysis, §2 and §3.5 (duality of the two matrices).

use std::ops::Range;

use faer::Par;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Spec};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::sparse::{Csr, shared_entries};
use crate::stats::count;

/// Eigenvalues below this share of the largest are rounding errors: their components are set to zero.
const RANK_TOLERANCE: f64 = 1e-12;
/// Cells of a dense matrix that are centred together.
const BLOCK: usize = 512;
/// Rows of a product that one thread forms.
const TILE: usize = 64;

/// Leading principal components, strongest first.
#[derive(Clone, Debug)]
pub struct Pca {
    /// Coordinates of the rows (cells), `[n, n_components]`.
    pub scores: Array2<f32>,
    /// Unit vectors in the space of the columns (genes), `[g, n_components]`; zero where the rank is exhausted.
    pub components: Array2<f64>,
    /// Sample variance along each component, `[n_components]`.
    pub variance: Vec<f64>,
    /// Mean of each column, `[g]`.
    pub mean: Vec<f64>,
}

/// The `n_components` leading principal components of `x`, `[n, g]`, centred and not scaled.
///
/// # Errors
/// [`Error::Data`] unless `1 <= n_components <= min(n − 1, g)` and every value is finite.
pub fn pca(x: &Csr<f32>, n_components: usize) -> Result<Pca> {
    let n = count(x.n_rows);
    let mean = mean(x.column_sums().0, [x.n_rows, x.n_cols], n_components)?;
    let mut components = if x.n_cols <= x.n_rows {
        components_by_covariance(x, &mean, n_components)?
    } else {
        components_by_gram(x, &mean, n_components)?
    };
    fix_signs(&mut components);

    let scores = x.dot(components.view())? - Array1::from(mean.clone()).dot(&components);
    let variance = scores.axis_iter(Axis(1)).map(|score| score.dot(&score) / (n - 1.0)).collect();
    let scores = scores.mapv(|value| value as f32);
    Ok(Pca { scores, components, variance, mean })
}

/// [`pca`] of a dense matrix `x`, `[n, g]`.
///
/// # Errors
/// As [`pca`].
pub fn pca_dense(x: ArrayView2<'_, f32>, n_components: usize) -> Result<Pca> {
    let (n_rows, n_cols) = x.dim();
    let mut sums = vec![0.0; n_cols];
    for row in x.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let mean = Array1::from(mean(sums, [n_rows, n_cols], n_components)?);
    let centred = |rows: Range<usize>| x.slice(s![rows, ..]).mapv(f64::from) - &mean;
    let mut components = if n_cols <= n_rows {
        let mut covariance = Array2::zeros((n_cols, n_cols));
        for start in (0..n_rows).step_by(BLOCK) {
            let y = centred(start..n_rows.min(start + BLOCK));
            add_products(&mut covariance, y.t(), y.view());
        }
        covariance /= count(n_rows) - 1.0;
        let (values, vectors) = leading_eigenvectors(&lower(&covariance), n_components)?;
        let floor = values[0] * RANK_TOLERANCE;
        let entry = |(g, c): (usize, usize)| if values[c] > floor { vectors[(g, c)] } else { 0.0 };
        Array2::from_shape_fn((n_cols, n_components), entry)
    } else {
        // Fewer cells than genes: the centred matrix is no larger than the eigenvectors of the other.
        let y = centred(0..n_rows);
        let mut gram = Array2::zeros((n_rows, n_rows));
        add_products(&mut gram, y.view(), y.t());
        let (values, vectors) = leading_eigenvectors(&lower(&gram), n_components)?;
        y.t().dot(&by_root(&values, &vectors, n_rows))
    };
    fix_signs(&mut components);

    let mut scores = Array2::zeros((n_rows, n_components));
    for (start, mut target) in (0..n_rows).step_by(BLOCK).zip(scores.axis_chunks_iter_mut(Axis(0), BLOCK)) {
        target.assign(&centred(start..n_rows.min(start + BLOCK)).dot(&components));
    }
    let variance = scores.axis_iter(Axis(1)).map(|score| score.dot(&score) / (count(n_rows) - 1.0)).collect();
    Ok(Pca { scores: scores.mapv(|value| value as f32), components, variance, mean: mean.to_vec() })
}

/// The mean of each column from its sum; fails as [`pca`] does.
fn mean(sums: Vec<f64>, [n_rows, n_cols]: [usize; 2], n_components: usize) -> Result<Vec<f64>> {
    let most = n_rows.saturating_sub(1).min(n_cols);
    if !(1..=most).contains(&n_components) {
        let wanted = format!("must be between 1 and {most} for {n_rows} cells and {n_cols} genes");
        let problem = format!("{n_components} principal components: {wanted}");
        return Err(Error::Data { problem, hint: String::new() });
    }
    if sums.iter().any(|value| !value.is_finite()) {
        return Err(Error::Data {
            problem: "principal components: the matrix holds values that are not finite".to_owned(),
            hint: String::new(),
        });
    }
    Ok(sums.into_iter().map(|sum| sum / count(n_rows)).collect())
}

/// Adds the product of `a` and `b` to `sums`, some rows per thread: the order of the sums does not depend on how many.
fn add_products(sums: &mut Array2<f64>, a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) {
    let rows: Vec<_> = sums.axis_chunks_iter_mut(Axis(0), TILE).collect();
    rows.into_par_iter().enumerate().for_each(|(tile, mut sums)| {
        let start = tile * TILE;
        general_mat_mul(1.0, &a.slice(s![start..start + sums.nrows(), ..]), &b, 1.0, &mut sums);
    });
}

/// Rows of a symmetric matrix up to the diagonal.
fn lower(matrix: &Array2<f64>) -> Vec<Vec<f64>> {
    matrix.rows().into_iter().enumerate().map(|(i, row)| row.iter().take(i + 1).copied().collect()).collect()
}

/// Eigenvectors `[n, n_vectors]`, each divided by the root of its value; zero where the rank is exhausted.
fn by_root(values: &[f64], vectors: &Mat<f64>, n: usize) -> Array2<f64> {
    let floor = values[0] * RANK_TOLERANCE;
    let scaled = |(i, c): (usize, usize)| if values[c] > floor { vectors[(i, c)] / values[c].sqrt() } else { 0.0 };
    Array2::from_shape_fn((n, values.len()), scaled)
}

fn components_by_covariance(x: &Csr<f32>, mean: &[f64], n_components: usize) -> Result<Array2<f64>> {
    let n = count(x.n_rows);
    let by_gene = x.transpose();
    let rows: Vec<Vec<f64>> = (0..x.n_cols)
        .into_par_iter()
        .map(|g| {
            // Row g of XᵀX up to the diagonal: each cell that has gene g adds its row, times that entry.
            let mut row = vec![0.0; g + 1];
            let (cells, values) = by_gene.row(g);
            for (&cell, &value) in cells.iter().zip(values) {
                let (genes, others) = x.row(cell as usize);
                let end = genes.partition_point(|&gene| gene as usize <= g);
                for (&gene, &other) in genes[..end].iter().zip(others) {
                    row[gene as usize] += f64::from(value) * f64::from(other);
                }
            }
            for (h, sum) in row.iter_mut().enumerate() {
                *sum = (*sum - n * mean[g] * mean[h]) / (n - 1.0);
            }
            row
        })
        .collect();
    let (values, vectors) = leading_eigenvectors(&rows, n_components)?;
    let floor = values[0] * RANK_TOLERANCE;
    let entry = |(g, c): (usize, usize)| if values[c] > floor { vectors[(g, c)] } else { 0.0 };
    Ok(Array2::from_shape_fn((x.n_cols, n_components), entry))
}

fn components_by_gram(x: &Csr<f32>, mean: &[f64], n_components: usize) -> Result<Array2<f64>> {
    let by_mean: Vec<f64> = (0..x.n_rows)
        .map(|i| {
            let (columns, values) = x.row(i);
            columns.iter().zip(values).map(|(&g, &value)| mean[g as usize] * f64::from(value)).sum()
        })
        .collect();
    let mean_square: f64 = mean.iter().map(|m| m * m).sum();
    let rows: Vec<Vec<f64>> = (0..x.n_rows)
        .into_par_iter()
        .map(|i| {
            let product = |j| shared_entries(x.row(i), x.row(j)).map(|(_, a, b)| f64::from(a) * f64::from(b));
            let entry = |j| product(j).sum::<f64>() - by_mean[i] - by_mean[j] + mean_square;
            (0..=i).map(entry).collect()
        })
        .collect();
    let (values, vectors) = leading_eigenvectors(&rows, n_components)?;
    let scaled = by_root(&values, &vectors, x.n_rows);
    let mut components = x.transpose().dot(scaled.view())?;
    let sums = scaled.sum_axis(Axis(0));
    for (mut row, m) in components.rows_mut().into_iter().zip(mean) {
        row.scaled_add(-m, &sums);
    }
    Ok(components)
}

/// The largest eigenvalues of a symmetric matrix, falling, and their vectors `[d, n_vectors]`; `lower` holds row `i`
/// up to the diagonal.
fn leading_eigenvectors(lower: &[Vec<f64>], n_vectors: usize) -> Result<(Vec<f64>, Mat<f64>)> {
    let d = lower.len();
    let matrix = Mat::from_fn(d, d, |i, j| if j <= i { lower[i][j] } else { 0.0 });
    // One thread: the order of the sums, and so the last bits, must not depend on how many there are.
    let par = Par::Seq;
    let params = Spec::default();
    let scratch = self_adjoint_evd_scratch::<f64>(d, ComputeEigenvectors::Yes, par, params);
    let mut values = Diag::<f64>::zeros(d);
    let mut vectors = Mat::<f64>::zeros(d, d);
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(scratch)),
        params,
    )
    .map_err(|reason| Error::Data {
        problem: format!("principal components: the eigenvectors do not converge ({reason:?})"),
        hint: "look for extreme values in the counts".to_owned(),
    })?;
    // faer returns rising eigenvalues.
    let values = (0..n_vectors).map(|c| values.column_vector()[d - 1 - c]).collect();
    let vectors = Mat::from_fn(d, n_vectors, |i, c| vectors[(i, d - 1 - c)]);
    Ok((values, vectors))
}

fn fix_signs(components: &mut Array2<f64>) {
    for mut component in components.columns_mut() {
        let largest = component.iter().fold(0.0_f64, |best, &v| if v.abs() > best.abs() { v } else { best });
        if largest < 0.0 {
            component.mapv_inplace(|value| -value);
        }
    }
}
