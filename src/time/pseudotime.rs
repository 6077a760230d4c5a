//! Velocity pseudotime: how far a cell is from the root in the diffusion along the velocity graph.
//!
//! ```text
//! A  = |π| + |π|ᵀ                                  the velocity graph without its directions
//! K  = Q⁻¹ A Q⁻¹,   Q = diag(Σ_j A_ij)             density taken out
//! M  = Z⁻¹ K Z⁻¹,   Z = diag(√Σ_j K_ij)            its eigenvalues are those of a random walk
//! M ψ_l = λ_l ψ_l                                  the ten of largest |λ|
//! d²(r, i) = Σ_l w_l² (ψ_l(r) − ψ_l(i))²           w_1 = 1,  w = λ/(1 − λ), at most 10⁶
//! t_i = d(r, i) / max d
//! ```
//!
//! With an end point e the time is the mean of t and of `1 − d(e, i) / max d`, moved and stretched to [0, 1].
//!
//! **Directions enter through root and end alone**: A has none. A pseudotime therefore cannot disagree with its root, and
//! says nothing about which way cells move between root and end; latent time does.
//!
//! **Departures.** scVelo decomposes all of M at once and leaves out cells that the *neighbour* graph does not link to the
//! root. Here M is that of the root's component of A, so that its vectors are determined; other cells have no time (NaN). For a
//! connected graph the two are the same.
//!
//! scVelo also takes w = 1 for all components with λ ≥ 0.9994, as if they were stationary. These are the slowest, and so the
//! longest ways through the data: of 10⁵ cells in a strip of 400 × 250, their order along it is then lost. Here that
//! is so for the first component alone, the one that is stationary, unless `flatten_slow` asks for scVelo's rule; where no other
//! has λ ≥ 0.9994 the two are the same. The bound on w keeps rounding errors out where parts are hardly linked.
//!
//! Source: Bergen et al. 2020, Methods; Haghverdi et al. 2016, eq. 15 (supplement); behaviour of scVelo 0.3.4
//! `tl.velocity_pseudotime` and scanpy 1.10 `tl.dpt`.

use rayon::prelude::*;

use super::average::{over_neighborhoods, to_unit};
use super::classes::{Partition, components};
use super::eigen::{Pair, Wanted, leading};
use super::operator::Operator;
use super::root::{Root, beside};
use super::settings::PseudotimeConfig;
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// From this eigenvalue on a component counts as stationary for scVelo.
const SLOW: f64 = 0.9994;
/// Largest weight of a component: one that is less exact than that would bring rounding errors into the distances.
const MOST: f64 = 1e6;
/// Residual of an eigenpair that has converged.
const TOLERANCE: f64 = 1e-8;
const MAX_RESTARTS: usize = 300;
/// Rows that are made together.
const ROWS: usize = 4096;

/// A pseudotime and where it starts.
#[derive(Clone, Debug)]
pub struct Pseudotime {
    /// In [0, 1], `[n_obs]`; NaN for cells that neither root nor end is linked to.
    pub times: Vec<f64>,
    /// The cell from which distances are measured; `None` if no cell had a root score.
    pub root: Option<usize>,
    /// The cell up to which they are measured, if there is one.
    pub end: Option<usize>,
    /// Parts of the data that the graph does not link.
    pub n_components: usize,
}

/// Velocity pseudotime of every cell.
///
/// - `graph`: π of both signs, `[n_obs, n_obs]`, as [`rows`](crate::graph::rows) makes it
/// - `connectivities`: the weights of the neighbour graph, `[n_obs, n_obs]`
/// - `root`: of scores, the cell whose neighbourhood has the largest mean; of named cells, the one in their middle (nearest to
///   their mean in the diffusion). Then `end` counts only if it is named too: what velocities suggest must not pull against the user.
///
/// # Errors
/// [`Error::Setting`] as [`PseudotimeConfig::validate`]; [`Error::Shape`] if the arguments do not fit; [`Error::Data`] as
/// [`Root::check`], if the graph is not finite, if neither root nor end is known, or if an eigenvector does not converge.
pub fn pseudotime(
    graph: &Csr<f32>,
    connectivities: &Csr<f32>,
    root: Root<'_>,
    end: Option<Root<'_>>,
    config: &PseudotimeConfig,
) -> Result<Pseudotime> {
    config.validate()?;
    let n_obs = graph.n_rows;
    for (what, matrix) in [("velocity graph", graph), ("connectivities", connectivities)] {
        if (matrix.n_rows, matrix.n_cols) != (n_obs, n_obs) {
            let found = vec![matrix.n_rows, matrix.n_cols];
            return Err(Error::Shape { what: what.to_owned(), wanted: vec![n_obs, n_obs], found });
        }
    }
    if graph.data.iter().any(|value| !value.is_finite()) {
        return Err(Error::Data {
            problem: "velocity graph: a similarity is not finite".to_owned(),
            hint: "check the velocities for missing values".to_owned(),
        });
    }
    let affinity = undirected(graph);
    let parts = components(&affinity);
    let mut maps = Maps { affinity: &affinity, parts: &parts, config, made: Vec::new() };
    let root_cell = place(root, connectivities, &mut maps)?;
    let end_cell = beside(root, end).map(|end| place(end, connectivities, &mut maps)).transpose()?.flatten();
    let mut times = match (root_cell, end_cell) {
        (None, None) => {
            return Err(Error::Data {
                problem: "pseudotime: no cell is a root and none is an end point".to_owned(),
                hint: "give the root with --root".to_owned(),
            });
        }
        (Some(cell), None) => maps.of(cell)?.distances(cell, n_obs),
        (None, Some(cell)) => inverted(maps.of(cell)?.distances(cell, n_obs)),
        (Some(from), Some(to)) => {
            let after = maps.of(from)?.distances(from, n_obs);
            let before = inverted(maps.of(to)?.distances(to, n_obs));
            after.into_iter().zip(before).map(|(a, b)| mean_of_known(a, b)).collect()
        }
    };
    if end_cell.is_some() {
        to_unit(&mut times);
    }
    Ok(Pseudotime { times, root: root_cell, end: end_cell, n_components: parts.n })
}

fn inverted(times: Vec<f64>) -> Vec<f64> {
    times.into_iter().map(|time| 1.0 - time).collect()
}

fn mean_of_known(a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => f64::midpoint(a, b),
        (true, _) => b,
        (false, true) => a,
    }
}

/// `|π| + |π|ᵀ`
fn undirected(graph: &Csr<f32>) -> Csr<f32> {
    let other = graph.transpose();
    let of_row = |i: usize| {
        let ((a, x), (b, y)) = (graph.row(i), other.row(i));
        let mut sum = Vec::with_capacity(a.len() + b.len());
        let (mut p, mut q) = (0, 0);
        while p < a.len() || q < b.len() {
            let column = a.get(p).copied().unwrap_or(u32::MAX).min(b.get(q).copied().unwrap_or(u32::MAX));
            let mut value = 0.0;
            if a.get(p) == Some(&column) {
                value += x[p].abs();
                p += 1;
            }
            if b.get(q) == Some(&column) {
                value += y[q].abs();
                q += 1;
            }
            if value > 0.0 {
                sum.push((column, value));
            }
        }
        sum
    };
    // Some rows at a time: this matrix is twice as large as the graph, and twice at once would be the most memory ever used.
    let mut sum = Csr::empty(0, graph.n_cols);
    sum.indices.reserve_exact(2 * graph.nnz());
    sum.data.reserve_exact(2 * graph.nnz());
    for start in (0..graph.n_rows).step_by(ROWS) {
        let rows: Vec<_> = (start..graph.n_rows.min(start + ROWS)).into_par_iter().map(of_row).collect();
        sum.append(Csr::from_rows(graph.n_cols, &rows));
    }
    sum
}

/// The cell that stands for a root or an end; `None` if all its scores are 0.
fn place(root: Root<'_>, connectivities: &Csr<f32>, maps: &mut Maps<'_>) -> Result<Option<usize>> {
    root.check(connectivities.n_rows)?;
    match root {
        Root::Cells(cells) => maps.middle(cells).map(Some),
        Root::Inferred(scores) => {
            if scores.iter().all(|&score| score == 0.0 || score.is_nan()) {
                return Ok(None);
            }
            let known: Vec<f64> = scores.iter().map(|&score| if score.is_nan() { 0.0 } else { score }).collect();
            // In single precision, as scVelo compares them: of equal means the first counts.
            let means: Vec<f32> =
                over_neighborhoods(connectivities, &known).into_iter().map(|value| value as f32).collect();
            let better = |best: usize, i: usize| if means[i] > means[best] { i } else { best };
            Ok(Some((0..means.len()).fold(0, better)))
        }
    }
}

/// Diffusion maps of the parts of the data, each made when first asked for.
struct Maps<'a> {
    affinity: &'a Csr<f32>,
    parts: &'a Partition,
    config: &'a PseudotimeConfig,
    made: Vec<(usize, Map)>,
}

/// Cells in the coordinates `w_l ψ_l`.
struct Map {
    cells: Vec<usize>,
    /// By component; each `[cells.len()]`.
    coordinates: Vec<Vec<f64>>,
}

impl Maps<'_> {
    fn of(&mut self, cell: usize) -> Result<&Map> {
        let part = self.parts.of[cell];
        let at = if let Some(at) = self.made.iter().position(|made| made.0 == part) {
            at
        } else {
            let map = Map::new(self.affinity, self.parts.cells(part), self.config)?;
            self.made.push((part, map));
            self.made.len() - 1
        };
        Ok(&self.made[at].1)
    }

    /// Of `cells`, in the part with most of them, the one nearest to their mean.
    fn middle(&mut self, cells: &[usize]) -> Result<usize> {
        let mut named = vec![0; self.parts.n];
        for &cell in cells {
            named[self.parts.of[cell]] += 1;
        }
        let part = (0..named.len()).fold(0, |best, next| if named[next] > named[best] { next } else { best });
        let inside: Vec<usize> = cells.iter().copied().filter(|&cell| self.parts.of[cell] == part).collect();
        if let [only] = inside[..] {
            return Ok(only);
        }
        let map = self.of(inside[0])?;
        let positions: Vec<usize> = inside
            .iter()
            .map(|cell| map.cells.binary_search(cell).expect("the map has all cells of its part"))
            .collect();
        let mut squares = vec![0.0; inside.len()];
        for axis in &map.coordinates {
            let mean = positions.iter().map(|&at| axis[at]).sum::<f64>() / positions.len() as f64;
            squares.iter_mut().zip(&positions).for_each(|(sum, &at)| *sum += (axis[at] - mean).powi(2));
        }
        Ok(inside[(0..squares.len()).fold(0, |best, i| if squares[i] < squares[best] { i } else { best })])
    }
}

impl Map {
    fn new(affinity: &Csr<f32>, cells: Vec<usize>, config: &PseudotimeConfig) -> Result<Self> {
        let m = cells.len();
        let within = affinity.within(&cells);
        let density = within.row_sums();
        let weight = |i: usize| {
            let (columns, values) = within.row(i);
            let sum: f64 = columns.iter().zip(values).map(|(&j, &a)| f64::from(a) / density[j as usize]).sum();
            sum / density[i]
        };
        let scale: Vec<f64> = (0..m).into_par_iter().map(|i| 1.0 / (density[i] * weight(i).sqrt())).collect();
        // A cell without links has no density, and one component has no room for a second vector.
        let pairs = if m > 1 {
            let operator = Operator { matrix: &within, scale: Some(&scale), symmetric: true };
            let n = config.n_components.min(m - 1);
            let wanted = Wanted { n, floor: None, basis: 8 * n, tolerance: TOLERANCE, max_restarts: MAX_RESTARTS };
            leading(&operator, &wanted)?
        } else {
            Vec::new()
        };
        // Not always the first: a graph of two sides has λ = −1 as well.
        let stationary =
            (0..pairs.len()).fold(0, |best, at| if pairs[at].value > pairs[best].value { at } else { best });
        let axis = |(at, pair): (usize, Pair)| {
            let flat = at == stationary || config.flatten_slow && pair.value >= SLOW;
            // Of hardly linked parts 1 − λ can be lost in rounding.
            let factor = if flat { 1.0 } else { (pair.value / (1.0 - pair.value).max(1.0 / MOST)).min(MOST) };
            pair.vector.into_iter().map(|x| factor * x).collect()
        };
        Ok(Self { cells, coordinates: pairs.into_iter().enumerate().map(axis).collect() })
    }

    /// Distances from `cell`, in units of the largest; NaN outside.
    fn distances(&self, cell: usize, n_obs: usize) -> Vec<f64> {
        let at = self.cells.binary_search(&cell).expect("the map has all cells of its part");
        let mut squares = vec![0.0; self.cells.len()];
        for axis in &self.coordinates {
            squares.iter_mut().zip(axis).for_each(|(sum, x)| *sum += (x - axis[at]).powi(2));
        }
        let most = squares.iter().copied().fold(0.0, f64::max).sqrt();
        let mut times = vec![f64::NAN; n_obs];
        for (&cell, square) in self.cells.iter().zip(squares) {
            times[cell] = if most > 0.0 { square.sqrt() / most } else { 0.0 };
        }
        times
    }
}
