//! Principal components of a sparse matrix, exact and without random numbers.
//!
//! With X `[n, g]` (n cells, g genes), column means m and Y = X − 1mᵀ, the components are the leading eigenvectors
//! V of the covariance C = YᵀY / (n − 1) and the scores are T = Y V. The smaller of the two symmetric
//! matrices is decomposed:
//!
//! - g ≤ n: C = (XᵀX − n m mᵀ) / (n − 1), `[g, g]`, and T = X V − 1 (mᵀV);
//! - g > n: K = Y Yᵀ = U Λ Uᵀ, `[n, n]`, and T = U Λ^½, V = Yᵀ U Λ^−½.
//!
//! Y itself is never formed. The signs of eigenvectors are arbitrary: here the entry of V of largest size in each
//! component is positive (the first such entry, if several), which does not depend on the order of the cells.
//!
//! Cost: time ~ nnz²/n or nnz²/g for the symmetric matrix plus 4/3 d³ and more for its eigenvectors, d = min(n, g);
//! memory 4 matrices `[d, d]` of `f64`. 100,000 cells × 2,000 genes need 130 MB beside the data.
//!
//! Source: Jolliffe 2002, Principal Component Analysis, §2 and §3.5 (duality of the two matrices).

use faer::Par;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Spec};
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;

use crate::error::{Error, Result, require};
use crate::sparse::{Csr, shared_entries};
use crate::stats::count;

/// Eigenvalues below this share of the largest are rounding errors: their components are set to zero.
const RANK_TOLERANCE: f64 = 1e-12;

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
/// [`Error::Setting`] unless `1 <= n_components <= min(n − 1, g)`; [`Error::Data`] if a value is not finite.
pub fn pca(x: &Csr<f32>, n_components: usize) -> Result<Pca> {
    let most = x.n_rows.saturating_sub(1).min(x.n_cols);
    let wanted = format!("must be between 1 and {most} for {} cells and {} genes", x.n_rows, x.n_cols);
    require((1..=most).contains(&n_components), "preprocess.n_pcs", n_components, &wanted)?;

    let n = count(x.n_rows);
    let mean: Vec<f64> = x.column_sums().0.into_iter().map(|sum| sum / n).collect();
    if mean.iter().any(|value| !value.is_finite()) {
        return Err(Error::Data {
            problem: "principal components: the matrix holds values that are not finite".to_owned(),
            hint: String::new(),
        });
    }
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
    let floor = values[0] * RANK_TOLERANCE;
    let scaled = |(i, c): (usize, usize)| {
        if values[c] > floor { vectors[(i, c)] / values[c].sqrt() } else { 0.0 }
    };
    let scaled = Array2::from_shape_fn((x.n_rows, n_components), scaled);
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
