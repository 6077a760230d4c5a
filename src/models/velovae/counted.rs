//! What follows from fitted abundances where counts are explained: the sizes of the cells, and the dispersions of the genes.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::reconstruction::Chunks;
use super::settings::{Likelihood, Velovae};
use crate::data::Dataset;
use crate::models::dispersion::AroundMeans;
use crate::nn::fused::counts::Counts;
use crate::sparse::Csr;

/// The size of each cell, given its fitted abundances and the dispersions of the genes.
pub(super) fn sizes(settings: &Velovae, data: &Dataset, fitted: [&Array2<f32>; 2], noise: [&[f64]; 2]) -> Vec<f64> {
    let noise = noise.map(|row| row.iter().map(|&value| value as f32).collect::<Vec<f32>>());
    let of_chunk = |rows: Vec<usize>| {
        let counts = [&data.unspliced, &data.spliced].map(|counts| counts.select_rows(&rows).to_dense());
        let fitted = fitted.map(|fitted| fitted.select(Axis(0), &rows));
        sizes_given(settings, &counts, [&fitted[0], &fitted[1]], &noise)
    };
    Chunks::all(data.n_obs()).rows().flat_map(of_chunk).collect()
}

/// The sizes of some cells: `counts` and `fitted` abundances, `[n, n_vars]`, and the dispersions `noise`, of u and s.
pub(super) fn sizes_given(
    settings: &Velovae,
    counts: &[Array2<f32>; 2],
    fitted: [&Array2<f32>; 2],
    noise: &[Vec<f32>; 2],
) -> Vec<f64> {
    let values = |matrix: &Array2<f32>| matrix.iter().copied().collect::<Vec<f32>>();
    let (counts, mu) = ([values(&counts[0]), values(&counts[1])], fitted.map(values));
    let problem = Counts {
        counts: [&counts[0], &counts[1]],
        dispersion: [&noise[0], &noise[1]],
        size_shape: settings.size_shape(),
    };
    problem.around([&mu[0], &mu[1]], false).size
}

/// Dispersions of unspliced and of spliced counts, `[n_vars]` each, that are the likeliest for the training cells around their
/// fitted abundances; from those in use, `now`.
pub(super) fn dispersions(
    settings: &Velovae,
    data: &Dataset,
    fitted: [&Array2<f32>; 2],
    now: [&[f64]; 2],
    train: &[usize],
) -> [Vec<f64>; 2] {
    if settings.likelihood == Likelihood::Poisson {
        return now.map(<[f64]>::to_vec);
    }
    let sizes = sizes(settings, data, fitted, now);
    let n: Vec<f64> = train.iter().map(|&cell| sizes[cell]).collect();
    let of_species = |counts: &Csr<f32>, fitted: &Array2<f32>, now: &[f64]| -> Vec<f64> {
        let by_gene = counts.select_rows(train).transpose();
        let of_gene = |gene: usize| {
            let (cells, values) = by_gene.row(gene);
            let mut m = vec![0.0; train.len()];
            cells.iter().zip(values).for_each(|(&cell, &x)| m[cell as usize] = f64::from(x));
            let counts = cells.iter().zip(values).map(|(&cell, &x)| (f64::from(x), n[cell as usize]));
            let mu: Vec<f64> = train.iter().map(|&cell| f64::from(fitted[[cell, gene]]).max(LEAST)).collect();
            AroundMeans::new(counts, [&mu, &m, &n]).fit(now[gene].max(LEAST), STEPS)
        };
        (0..fitted.ncols()).into_par_iter().map(of_gene).collect()
    };
    [of_species(&data.unspliced, fitted[0], now[0]), of_species(&data.spliced, fitted[1], now[1])]
}

/// Steps of a dispersion at a time.
const STEPS: usize = 2;
/// Least abundance and least dispersion.
const LEAST: f64 = 1e-4;
