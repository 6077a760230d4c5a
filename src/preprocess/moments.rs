//! Means over neighbourhoods.
//!
//! The neighbourhood of cell i is i itself and every cell j whose weight w_ij in the symmetric graph is positive.
//! The weights only say who belongs: the means are plain.
//!
//! - first moments: `Mu = W U`, `Ms = W S`
//! - second moments: `Mus = W (U ∘ S)`, `Mss = W (S ∘ S)`, not centred
//!
//! with `W_ij = 1 / |neighbourhood of i|` and U, S the size-normalised counts.
//!
//! Source: Bergen et al. 2020, Methods (first- and second-order moments); scVelo 0.3 `pp.moments`.

use ndarray::Array2;
use rayon::prelude::*;

use super::normalize::normalized_layers;
use crate::data::{Dataset, Neighbors};
use crate::error::{Error, Result};
use crate::sparse::Csr;
use crate::stats::count;

/// First moments `(Mu, Ms)`, `[n_obs, n_vars]`, of size-normalised `unspliced` and `spliced` counts of that shape.
///
/// # Errors
/// [`Error::Shape`] if the layers and the graph disagree on the number of cells.
pub fn moments(unspliced: &Csr<f32>, spliced: &Csr<f32>, neighbors: &Neighbors) -> Result<(Array2<f32>, Array2<f32>)> {
    Ok((neighborhood_mean(unspliced, neighbors)?, neighborhood_mean(spliced, neighbors)?))
}

/// Second moments `(Mus, Mss)` of `data`, `[n_obs, n_vars]`, in squared units of `Mu` and `Ms`.
///
/// # Errors
/// [`Error::Shape`] if the parts of `data` disagree on the number of cells or genes.
pub fn second_moments(data: &Dataset) -> Result<(Array2<f32>, Array2<f32>)> {
    let (unspliced, spliced) = normalized_layers(data)?;
    let mus = neighborhood_mean(&unspliced.hadamard(&spliced)?, &data.neighbors)?;
    let mss = neighborhood_mean(&spliced.map(|value| value * value), &data.neighbors)?;
    Ok((mus, mss))
}

/// Mean of `values`, `[n_obs, n_vars]`, over each cell's neighbourhood; the same shape.
///
/// # Errors
/// [`Error::Shape`] if `values` and the graph disagree on the number of cells.
pub fn neighborhood_mean(values: &Csr<f32>, neighbors: &Neighbors) -> Result<Array2<f32>> {
    let graph = &neighbors.connectivities;
    let n_obs = values.n_rows;
    if (graph.n_rows, graph.n_cols) != (n_obs, n_obs) {
        return Err(Error::Shape {
            what: "connectivities".to_owned(),
            wanted: vec![n_obs, n_obs],
            found: vec![graph.n_rows, graph.n_cols],
        });
    }
    let n_vars = values.n_cols;
    let mut means = Array2::<f32>::zeros((n_obs, n_vars));
    let rows: Vec<_> = means.rows_mut().into_iter().collect();
    rows.into_par_iter().enumerate().for_each_init(
        || vec![0.0_f64; n_vars],
        |sums, (i, mut out)| {
            sums.fill(0.0);
            let mut n_cells = 0;
            for j in neighbors.neighborhood(i) {
                n_cells += 1;
                let (genes, entries) = values.row(j);
                for (&gene, &value) in genes.iter().zip(entries) {
                    sums[gene as usize] += f64::from(value);
                }
            }
            let share = count(n_cells).recip();
            for (mean, sum) in out.iter_mut().zip(sums.iter()) {
                let rounded = (sum * share) as f32;
                *mean = rounded;
            }
        },
    );
    Ok(means)
}
