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
//! genes, any large set gives the same graph. So [`FullGraph::sweep`] sets r beside that of random sets of the same size.
//!
//! The source leaves open which cells j, which correlation and what about empty rows; what is written here is this program's answer.

use ndarray::{ArrayView2, Axis};
use rand::seq::index::sample;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::stream;
use crate::error::{Error, Result};
use crate::graph::{Candidates, Similarity, States, similarities};
use crate::sparse::Csr;
use crate::stats::{median, pearson, percentile};

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

/// The graph of all genes, and what it was made of.
#[derive(Clone, Copy, Debug)]
pub struct FullGraph<'a> {
    /// Both signs, `[n_obs, n_obs]`.
    pub graph: &'a Csr<f32>,
    /// Where cells may move to.
    pub candidates: &'a Candidates,
    /// How displacement vectors and velocities are compared.
    pub similarity: Similarity,
    /// States of all genes, `[n_obs, n_genes]`.
    pub states: ArrayView2<'a, f32>,
    /// Velocities of all genes.
    pub velocities: ArrayView2<'a, f32>,
    /// Cells over which the median is taken.
    pub cells: &'a [usize],
}

impl FullGraph<'_> {
    /// r of the genes at `genes`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the parts of this do not belong together.
    pub fn reconstructability(&self, genes: &[usize]) -> Result<Reconstructability> {
        self.check()?;
        let states = States::compared_by(self.states.select(Axis(1), genes).view(), self.similarity);
        let of_cell = |&i: &usize| {
            let near = self.candidates.of(i);
            let velocity = self.velocities.row(i).select(Axis(0), genes).insert_axis(Axis(0));
            agreement(self.graph.row(i), &near, similarities(&states, i, &near, velocity.view()).row(0).to_vec(), i)
        };
        let mut found: Vec<f64> = self.cells.par_iter().map(of_cell).collect();
        found.retain(|r| !r.is_nan());
        Ok(Reconstructability {
            r: median(&found),
            lower: percentile(&found, 25.0),
            upper: percentile(&found, 75.0),
            n_cells: found.len(),
        })
    }

    /// r of the first genes of `order`, for several numbers of them, beside that of `draws` random sets of each size.
    ///
    /// - `order`: positions of genes, the most telling first
    /// - `sizes`: numbers of genes; those above the number of genes are left out
    ///
    /// # Errors
    /// As [`Self::reconstructability`].
    pub fn sweep(&self, order: &[usize], sizes: &[usize], draws: usize, seed: u64) -> Result<Sweep> {
        let n_genes = self.states.ncols();
        let mut found = Sweep::default();
        for &k in sizes.iter().filter(|&&k| k >= 1 && k <= order.len()) {
            let random = (0..draws).map(|draw| {
                let index = (draw * (n_genes + 1) + k) as u64;
                let mut genes = sample(&mut stream(seed, "random genes", index), n_genes, k).into_vec();
                genes.sort_unstable();
                self.reconstructability(&genes).map(|found| found.r)
            });
            let random = random.collect::<Result<Vec<f64>>>()?;
            let range =
                random.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &r| [low.min(r), high.max(r)]);
            found.k.push(k);
            found.r.push(self.reconstructability(&order[..k])?);
            found.null_r.push(median(&random));
            found.null_range.push(range);
        }
        Ok(found)
    }

    fn check(&self) -> Result<()> {
        let (n_obs, shape) = (self.graph.n_rows, self.states.shape());
        let parts = [
            ("candidates of the velocity graph", vec![n_obs], vec![self.candidates.n_obs()]),
            ("states", vec![n_obs, shape[1]], shape.to_vec()),
            ("velocities", shape.to_vec(), self.velocities.shape().to_vec()),
        ];
        parts.into_iter().try_for_each(|(what, wanted, found)| {
            if wanted == found { Ok(()) } else { Err(Error::Shape { what: what.to_owned(), wanted, found }) }
        })
    }
}

/// Correlation over `candidates` other than `i` of a sparse row with `part`, which has one value per candidate; NaN if it says
/// nothing.
fn agreement((cells, values): (&[u32], &[f32]), candidates: &[u32], part: Vec<f32>, i: usize) -> f64 {
    let others = candidates.iter().zip(part).filter(|(j, _)| **j as usize != i);
    let pairs =
        others.map(|(j, part)| (cells.binary_search(j).map_or(0.0, |at| f64::from(values[at])), f64::from(part)));
    let (full, part): (Vec<f64>, Vec<f64>) = pairs.unzip();
    if full.len() < LEAST_CANDIDATES { f64::NAN } else { pearson(&full, &part) }
}
