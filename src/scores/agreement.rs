//! Do two models say the same of the same cells and genes?
//!
//! Models differ in the unit of time, some of them gene by gene. So each gene's velocities are divided by their s.d. over cells before cells are
//! compared; correlations over cells need nothing of the kind.

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::stats::{count, pearson, std_dev};

/// Agreement of two models.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Cosine of the two velocities of each cell, genes scaled to s.d. 1, `[n_obs]`; 0 where one has none.
    pub cells: Vec<f64>,
    /// Correlation over cells of the two velocities of each gene, `[n_genes]`; NaN where one is constant.
    pub genes: Vec<f64>,
    /// Share of entries, of those where neither is zero, with the same sign.
    pub signs: f64,
}

/// Compares velocities `a` and `b` of the same cells and genes, finite, `[n_obs, n_genes]`.
///
/// # Errors
/// [`Error::Shape`] if their shapes differ.
pub fn agreement(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Result<Agreement> {
    if a.shape() != b.shape() {
        let (wanted, found) = (a.shape().to_vec(), b.shape().to_vec());
        return Err(Error::Shape { what: "velocities of two models".to_owned(), wanted, found });
    }
    let of_gene = |gene: usize| {
        let [a, b] = [a.column(gene), b.column(gene)].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>());
        (pearson(&a, &b), [std_dev(&a, 0), std_dev(&b, 0)])
    };
    let (genes, spreads): (Vec<f64>, Vec<[f64; 2]>) = (0..a.ncols()).into_par_iter().map(of_gene).unzip();
    let of_cell = |i: usize| cosine(a.row(i), b.row(i), &spreads);
    let cells: Vec<f64> = (0..a.nrows()).into_par_iter().map(of_cell).collect();
    let moving = || a.iter().zip(&b).filter(|(a, b)| **a != 0.0 && **b != 0.0);
    let alike = moving().filter(|(a, b)| (**a > 0.0) == (**b > 0.0)).count();
    Ok(Agreement { cells, genes, signs: count(alike) / count(moving().count()) })
}

fn cosine(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>, spreads: &[[f64; 2]]) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for ((&a, &b), spread) in a.iter().zip(b).zip(spreads) {
        if spread.iter().all(|&sd| sd > 0.0) {
            let (a, b) = (f64::from(a) / spread[0], f64::from(b) / spread[1]);
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
    }
    if aa > 0.0 && bb > 0.0 { ab / (aa.sqrt() * bb.sqrt()) } else { 0.0 }
}
