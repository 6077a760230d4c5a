//! Do samples that were fitted together say the same where they hold the same cells?
//!
//! Each cell i of sample a is compared with its k nearest cells in sample b and, beside that, with its k nearest other cells in a:
//!
//! ```text
//! cosine    mean over i of the mean over j in N(i) of cos(v_i, v_j), each gene in units of its s.d. over cells
//! distance  median over i of (mean distance to N(i) in b) / (mean distance to N(i) in a)
//! order     Pearson's correlation over i of t_i with the mean of t_j over N(i)
//! shift     mean over i of t_i − mean of t_j over N(i), in parts of the range of t over all cells
//! ```
//!
//! Of two samples that are draws of the same cells, each number is about the same between samples as within. Noise lowers both; an
//! effect of the sample lowers what is between alone. Three things are to be kept in mind: cells of which the other sample has none
//! like them have far neighbours there, and `distance` says so; neighbours in one graph share their moments, so that a graph that
//! keeps samples apart raises what is within, and one that mixes them raises what is between; and samples that are wrong alike agree.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::Serialize;

use crate::data::Groups;
use crate::error::{Error, Result};
use crate::neighbors::nearest_among;
use crate::stats::{count, mean, median, pearson, std_dev};

/// Neighbours that a cell is compared with.
const NEIGHBORS: usize = 15;
/// Cells of a sample that are compared, spread evenly over it: enough for two digits.
const MOST_CELLS: usize = 5_000;
/// Up to so many samples each is compared with each; of more, each with all others together.
const MOST_IN_PAIRS: usize = 4;
/// A sample of fewer cells tells too little.
const FEWEST: usize = NEIGHBORS + 1;

/// What is compared. Axis 0 is cells (`n_obs`).
#[derive(Clone, Copy, Debug)]
pub struct Sampled<'a> {
    /// The sample of each cell; cells of none are left out.
    pub samples: &'a Groups,
    /// Where cells are near each other, `[n_obs, n_dims]`.
    pub points: ArrayView2<'a, f32>,
    /// `ds/dt`, finite, `[n_obs, n_genes]`.
    pub velocities: ArrayView2<'a, f32>,
    /// Latent time of the cells, `[n_obs]`, if there is one.
    pub time: Option<&'a [f64]>,
}

/// How far neighbours agree with a cell: over the cells of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Neighborly {
    /// Mean cosine of the velocities of cells and of their neighbours.
    pub cosine: f64,
    /// Correlation of the cells' times with the mean of their neighbours'; none without times.
    pub time_correlation: Option<f64>,
    /// Mean of the cells' times less their neighbours', in parts of the range of all times.
    pub time_shift: Option<f64>,
}

/// The cells of one sample beside their neighbours in another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleAgreement {
    /// The sample.
    pub sample: String,
    /// Where its neighbours are; none: in all other samples together.
    pub other: Option<String>,
    /// Number of its cells.
    pub n_cells: usize,
    /// How many times as far its neighbours there are, as those in the sample itself.
    pub distance: f64,
    /// Agreement with neighbours there.
    pub between: Neighborly,
    /// Agreement with neighbours in the sample itself.
    pub within: Neighborly,
}

/// Agreement of the samples with each other: of up to four, each ordered pair; of more, each with all others together. Samples of
/// too few cells (16) are left out; nothing if fewer than two are left.
///
/// # Errors
/// [`Error::Shape`] if the parts disagree on the number of cells; [`Error::Data`] if a coordinate is not finite.
pub fn samples(data: &Sampled) -> Result<Vec<SampleAgreement>> {
    let n_obs = data.samples.of.len();
    for (what, found) in [
        ("coordinates of cells", data.points.nrows()),
        ("velocities of samples", data.velocities.nrows()),
        ("times of samples", data.time.map_or(n_obs, <[f64]>::len)),
    ] {
        if found != n_obs {
            return Err(Error::Shape { what: what.to_owned(), wanted: vec![n_obs], found: vec![found] });
        }
    }
    let cells: Vec<(usize, Vec<usize>)> =
        data.samples.cells().into_iter().enumerate().filter(|(_, cells)| cells.len() >= FEWEST).collect();
    if cells.len() < 2 {
        return Ok(Vec::new());
    }
    let compared = Compared::new(data);
    let name = |at: usize| data.samples.names[at].clone();
    let mut found = Vec::new();
    for (a, own) in &cells {
        let queries = spread(own, MOST_CELLS);
        let within = compared.nearest(&queries, own)?;
        let mut add = |other: Option<String>, there: &[usize]| -> Result<()> {
            let between = compared.nearest(&queries, there)?;
            let far = |rows: &[Vec<(u32, f32)>]| -> Vec<f64> {
                rows.iter().map(|row| mean(&row.iter().map(|&(_, d)| f64::from(d)).collect::<Vec<f64>>())).collect()
            };
            let ratios: Vec<f64> = far(&between).iter().zip(far(&within)).map(|(b, w)| ratio(*b, w)).collect();
            found.push(SampleAgreement {
                sample: name(*a),
                other,
                n_cells: own.len(),
                distance: median(&ratios),
                between: compared.agreement(&queries, &between),
                within: compared.agreement(&queries, &within),
            });
            Ok(())
        };
        let others = || cells.iter().filter(|(b, _)| b != a);
        if cells.len() <= MOST_IN_PAIRS {
            for (b, there) in others() {
                add(Some(name(*b)), there)?;
            }
        } else {
            let mut there: Vec<usize> = others().flat_map(|(_, cells)| cells).copied().collect();
            there.sort_unstable();
            add(None, &there)?;
        }
    }
    Ok(found)
}

/// `a / b`; of cells that coincide with all their neighbours, 1 if these do in both.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 && b == 0.0 { 1.0 } else { a / b }
}

/// At most `most` of `cells`, evenly spread.
fn spread(cells: &[usize], most: usize) -> Vec<usize> {
    let n = cells.len();
    if n <= most { cells.to_vec() } else { (0..most).map(|at| cells[at * n / most]).collect() }
}

struct Compared<'a> {
    points: ArrayView2<'a, f32>,
    /// Velocities of length 1, genes in units of their s.d.; 0 where there is none. `[n_obs, n_genes]`
    units: Array2<f32>,
    time: Option<&'a [f64]>,
    /// Range of the times.
    range: f64,
}

impl<'a> Compared<'a> {
    fn new(data: &Sampled<'a>) -> Self {
        let mut units = data.velocities.to_owned();
        let genes: Vec<_> = units.columns_mut().into_iter().collect();
        genes.into_par_iter().for_each(|mut gene| {
            let sd = std_dev(&gene.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>(), 0);
            gene.mapv_inplace(|v| if sd > 0.0 { (f64::from(v) / sd) as f32 } else { 0.0 });
        });
        let cells: Vec<_> = units.rows_mut().into_iter().collect();
        cells.into_par_iter().for_each(|mut cell| {
            let length = cell.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            cell.mapv_inplace(|v| if length > 0.0 { (f64::from(v) / length) as f32 } else { 0.0 });
        });
        let known = || data.time.into_iter().flatten().copied().filter(|t| t.is_finite());
        let range = known().fold(f64::NEG_INFINITY, f64::max) - known().fold(f64::INFINITY, f64::min);
        Self { points: data.points, units, time: data.time.filter(|_| range > 0.0), range }
    }

    fn nearest(&self, cells: &[usize], among: &[usize]) -> Result<Vec<Vec<(u32, f32)>>> {
        nearest_among(self.points, cells, among, NEIGHBORS)
    }

    fn agreement(&self, cells: &[usize], nearest: &[Vec<(u32, f32)>]) -> Neighborly {
        let of_cell = |(&i, row): (&usize, &Vec<(u32, f32)>)| {
            let own = self.units.row(i);
            row.iter().map(|&(j, _)| f64::from(own.dot(&self.units.row(j as usize)))).sum::<f64>() / count(row.len())
        };
        let cosines: Vec<f64> = cells.par_iter().zip(nearest).map(of_cell).collect();
        let times = self.time.map(|time| {
            let around = |row: &Vec<(u32, f32)>| {
                mean(&row.iter().map(|&(j, _)| time[j as usize]).filter(|t| t.is_finite()).collect::<Vec<f64>>())
            };
            let pairs = cells.iter().zip(nearest).map(|(&i, row)| (time[i], around(row)));
            pairs.filter(|(own, around)| own.is_finite() && around.is_finite()).unzip()
        });
        Neighborly {
            cosine: mean(&cosines),
            time_correlation: times.as_ref().map(|(own, around): &(Vec<f64>, Vec<f64>)| pearson(own, around)),
            time_shift: times.as_ref().map(|(own, around)| (mean(own) - mean(around)) / self.range),
        }
    }
}
