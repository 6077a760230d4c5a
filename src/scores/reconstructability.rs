//! Reconstructability: would a few genes give the same velocity graph as all?
//!
//! ```text
//! r = median over cells i of corr(π_i·, π'_i·)
//! ```
//!
//! with π the graph of all genes, π' that of some, and the correlation over the cells j ≠ i that cell i may move to, which are the same for
//! both. Cells with fewer than three such, or without any variation in one of the rows, do not count.
//!
//! A high r of the genes with the highest likelihood says that they drive the flow only if random genes do worse: with correlated
//! genes, any large set gives the same graph. So [`sweep`] sets r beside that of random sets of the same size.
//!
//! The source leaves open which cells j, which correlation and what about empty rows; what is written here is this program's answer.

use ndarray::{ArrayView2, Axis};
use rand::seq::index::sample;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::stream;
use crate::error::{Error, Result};
use crate::graph::{Candidates, Similarity, States, rows};
use crate::sparse::Csr;
use crate::stats::{median, pearson, percentile};

/// Cells whose rows exist at the same time.
const BLOCK: usize = 1024;
/// A correlation over fewer cells says nothing.
const LEAST_CANDIDATES: usize = 3;

/// How well the graph of some genes agrees with that of all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reconstructability {
    /// Median over cells of the correlation between rows; NaN if no cell counts.
    pub r: f64,
    /// First quartile.
    pub lower: f64,
    /// Third quartile.
    pub upper: f64,
    /// Number of cells that count.
    pub n_cells: usize,
}

/// r of the sets of the first k genes of an order, and of random sets of the same sizes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sweep {
    /// Numbers of genes.
    pub k: Vec<usize>,
    /// r of the first k genes of the order.
    pub r: Vec<Reconstructability>,
    /// Median, over draws, of r of k random genes.
    pub null_r: Vec<f64>,
    /// Least and largest of them.
    pub null_range: Vec<[f64; 2]>,
}

/// r of the genes at `genes` against the graph `full` of all genes.
///
/// - `full`: both signs, `[n_obs, n_obs]`, of `candidates` and `similarity`
/// - `states`, `velocities`: of all genes, `[n_obs, n_genes]`
///
/// # Errors
/// [`Error::Shape`] if they do not belong together.
pub fn reconstructability(
    full: &Csr<f32>,
    candidates: &Candidates,
    states: ArrayView2<'_, f32>,
    velocities: ArrayView2<'_, f32>,
    genes: &[usize],
    similarity: Similarity,
) -> Result<Reconstructability> {
    if full.n_rows != candidates.n_obs() {
        let (wanted, found) = (vec![candidates.n_obs()], vec![full.n_rows]);
        return Err(Error::Shape { what: "rows of the velocity graph".to_owned(), wanted, found });
    }
    let states = States::compared_by(states.select(Axis(1), genes).view(), similarity);
    let mut found = Vec::with_capacity(full.n_rows);
    for start in (0..full.n_rows).step_by(BLOCK) {
        let cells = start..full.n_rows.min(start + BLOCK);
        let velocities = velocities.slice_axis(Axis(0), cells.clone().into()).select(Axis(1), genes);
        let part = rows(&states, candidates, cells.clone(), velocities.view())?;
        let of_cell = |i: usize| agreement(full.row(i), part.row(i - start), &candidates.of(i), i);
        found.extend(cells.into_par_iter().map(of_cell).collect::<Vec<f64>>());
    }
    found.retain(|r| !r.is_nan());
    Ok(Reconstructability {
        r: median(&found),
        lower: percentile(&found, 25.0),
        upper: percentile(&found, 75.0),
        n_cells: found.len(),
    })
}

/// Correlation of two sparse rows over `candidates` other than `i`; NaN if it says nothing.
fn agreement(full: (&[u32], &[f32]), part: (&[u32], &[f32]), candidates: &[u32], i: usize) -> f64 {
    let at = |row: (&[u32], &[f32]), j: &u32| row.0.binary_search(j).map_or(0.0, |at| f64::from(row.1[at]));
    let others = || candidates.iter().filter(|&&j| j as usize != i);
    if others().count() < LEAST_CANDIDATES {
        return f64::NAN;
    }
    let of = |row| others().map(|j| at(row, j)).collect::<Vec<f64>>();
    pearson(&of(full), &of(part))
}

/// r of the first genes of `order`, for several numbers of them, beside that of `draws` random sets of each size.
///
/// - `order`: positions of genes, the most telling first
/// - `sizes`: numbers of genes; those above the number of genes are left out
///
/// # Errors
/// As [`reconstructability`].
pub fn sweep(
    full: &Csr<f32>,
    candidates: &Candidates,
    [states, velocities]: [ArrayView2<'_, f32>; 2],
    order: &[usize],
    sizes: &[usize],
    Draws { draws, seed, similarity }: Draws,
) -> Result<Sweep> {
    let n_genes = states.ncols();
    let r = |genes: &[usize]| reconstructability(full, candidates, states, velocities, genes, similarity);
    let mut found = Sweep::default();
    for &k in sizes.iter().filter(|&&k| k >= 1 && k <= order.len()) {
        let random = (0..draws as u64).map(|draw| {
            let index = draw * n_genes as u64 + k as u64;
            let mut genes = sample(&mut stream(seed, "random genes", index), n_genes, k).into_vec();
            genes.sort_unstable();
            r(&genes).map(|found| found.r)
        });
        let random = random.collect::<Result<Vec<f64>>>()?;
        let range = random.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &r| [low.min(r), high.max(r)]);
        found.k.push(k);
        found.r.push(r(&order[..k])?);
        found.null_r.push(median(&random));
        found.null_range.push(range);
    }
    Ok(found)
}

/// How random sets of genes are drawn, and how graphs are made of them.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Sets of each size.
    pub draws: usize,
    /// Of the random stream.
    pub seed: u64,
    /// That of the full graph.
    pub similarity: Similarity,
}
