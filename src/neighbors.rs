//! Nearest neighbours of cells and the weights of the graph that they form.
//!
//! **Neighbours** are exact and Euclidean. Squared distances come tile by tile from `|x|² + |y|² − 2 x·y`, a matrix
//! product; every pair that could be among the nearest by that estimate is then measured as `Σ (x − y)²`, so the
//! choice does not depend on cancellation. Of equally distant cells the first is nearer. Cells are sorted by the coordinate in which they
//! are spread most, and tiles that are further away in it alone than all cells found so far are not looked at.
//!
//! **Weights** are those of UMAP (`McInnes`, Healy & Melville 2018, §3.1 and algorithms 2 to 3). For cell i with distances
//! d_ij to its k − 1 neighbours (k counts the cell itself):
//!
//! - ρ_i = the smallest positive d_ij (0 if there is none);
//! - σ_i solves Σ_j exp(−max(0, d_ij − ρ_i) / σ_i) = log₂ k, by bisection, and is at least 10⁻³ times the mean distance of
//!   the row (of all rows, if ρ_i = 0), the cell's own distance 0 included;
//! - w_ij = exp(−max(0, d_ij − ρ_i) / σ_i), and the graph is the fuzzy union w_ij + w_ji − w_ij w_ji.
//!
//! Departure: umap-learn 0.5 compiled by numba ≥ 0.62 returns an infinite σ, and so weights of 1, wherever σ should be above 1
//! (lmcinnes/umap issue 1216: `fastmath` drops its test for infinity). Here σ is the solution. Which cells are linked
//! is the same, and so are the moments.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::sparse::Csr;
use crate::stats::count;

/// Cells whose neighbours are sought together.
const QUERY_BLOCK: usize = 128;
/// Cells they are compared with at once: a tile of distances fits the second-level cache.
const TILE: usize = 1024;
/// Bound of the rounding error of the estimated squared distance, relative to |x|² + |y|²: generous for 10³ dimensions.
const ESTIMATE_ERROR: f64 = 1e-12;

/// Steps of the bisection for σ.
const BISECTIONS: usize = 64;
/// The bisection stops this close to log₂ k.
const BISECTION_TOLERANCE: f64 = 1e-5;
/// Lower bound of σ in units of the mean distance.
const MIN_SIGMA: f64 = 1e-3;

/// The neighbour graph of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbors {
    /// Weights of the symmetric graph, `[n_obs, n_obs]`, without self-loops.
    pub connectivities: Csr<f32>,
    /// Distances to the directed nearest neighbours, `[n_obs, n_obs]`, without the cell itself.
    pub distances: Csr<f32>,
    /// Neighbours asked for, the cell itself included.
    pub n_neighbors: usize,
}

impl Neighbors {
    /// The cells whose mean a moment is: cell `i` itself, then those linked to it by a positive weight.
    pub fn neighborhood(&self, i: usize) -> impl Iterator<Item = usize> {
        let (cells, weights) = self.connectivities.row(i);
        let linked = cells.iter().zip(weights).filter(|entry| *entry.1 > 0.0);
        let others = linked.map(|entry| *entry.0 as usize).filter(move |&j| j != i);
        std::iter::once(i).chain(others)
    }
}

/// Neighbour graph of `points`, `[n_obs, n_dims]`: directed distances and the weights of the symmetric graph.
///
/// `n_neighbors` counts the cell itself, so each row of `distances` has `n_neighbors − 1` entries.
///
/// # Errors
/// As [`nearest`].
pub fn neighbors(points: ArrayView2<'_, f32>, n_neighbors: usize) -> Result<Neighbors> {
    let distances = nearest(points, n_neighbors)?;
    Ok(Neighbors { connectivities: connectivities(&distances, n_neighbors), distances, n_neighbors })
}

/// Neighbour graph of `points`, `[n_obs, n_dims]`, in which each cell has as many neighbours in each of `batches`, whose cells rise: the
/// nearest `n_neighbors / batches` in each, rounded down; in its own, the cell itself is one of them.
///
/// Where cells of one kind lie apart by batch, they so have neighbours of their kind in all batches, and a mean over neighbours is one
/// over batches; of a kind that a batch lacks, the neighbours there are of another kind.
///
/// Source: BBKNN (Polański et al. 2020), whose neighbours these are; the weights are those of [`connectivities`], as there.
///
/// # Errors
/// [`Error::Data`] if a batch has fewer cells than that, it is less than one, or a coordinate is not finite.
pub fn balanced(points: ArrayView2<'_, f32>, batches: &[Vec<usize>], n_neighbors: usize) -> Result<Neighbors> {
    let each = n_neighbors / batches.len().max(1);
    let least = batches.iter().map(Vec::len).min().unwrap_or(0);
    if each < 1 || least < each {
        let problem = format!("{n_neighbors} neighbours in {} batches, the smallest of {least} cells", batches.len());
        return Err(Error::Data { problem, hint: "ask for others".to_owned() });
    }
    let n_obs = points.nrows();
    let mut rows: Vec<Vec<(u32, f32)>> = vec![Vec::new(); n_obs];
    for (at, cells) in batches.iter().enumerate() {
        for (there, among) in batches.iter().enumerate() {
            let k = if at == there { each - 1 } else { each };
            for (&cell, found) in cells.iter().zip(nearest_among(points, cells, among, k)?) {
                rows[cell].extend(found);
            }
        }
    }
    for row in &mut rows {
        row.sort_unstable_by_key(|entry| entry.0);
    }
    let (distances, n_neighbors) = (Csr::from_rows(n_obs, &rows), each * batches.len());
    Ok(Neighbors { connectivities: connectivities(&distances, n_neighbors), distances, n_neighbors })
}

/// Distances to the `n_neighbors − 1` nearest other cells, `[n_obs, n_obs]`; duplicates of a cell are stored with distance 0.
///
/// # Errors
/// [`Error::Data`] unless `2 <= n_neighbors <= n_obs` and every coordinate is finite.
pub fn nearest(points: ArrayView2<'_, f32>, n_neighbors: usize) -> Result<Csr<f32>> {
    let n_obs = points.nrows();
    if !(2..=n_obs).contains(&n_neighbors) {
        let problem = format!("{n_neighbors} neighbours: must be between 2 and the number of cells, {n_obs}");
        return Err(Error::Data { problem, hint: String::new() });
    }
    let all: Vec<usize> = (0..n_obs).collect();
    Ok(Csr::from_rows(n_obs, &nearest_among(points, &all, &all, n_neighbors - 1)?))
}

/// Distances of each of `cells` to the `k` nearest other cells `among` some, which rise; fewer where there are fewer. One row per cell of
/// `cells`: other cells, rising, and their distances.
///
/// # Errors
/// [`Error::Data`] unless every coordinate is finite.
///
/// # Panics
/// If a position is no row of `points`.
pub fn nearest_among(
    points: ArrayView2<'_, f32>,
    cells: &[usize],
    among: &[usize],
    k: usize,
) -> Result<Vec<Vec<(u32, f32)>>> {
    if let Some(cell) = points.rows().into_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
        return Err(Error::Data {
            problem: format!("neighbours: a coordinate of cell {cell} (counted from 0) is not finite"),
            hint: String::new(),
        });
    }
    if k == 0 || among.is_empty() {
        return Ok(vec![Vec::new(); cells.len()]);
    }
    let widest = widest(points);
    let found = if cells == among {
        let pool = Pool::new(points, among, widest);
        pool.nearest_of(&pool, k)
    } else {
        Pool::new(points, among, widest).nearest_of(&Pool::new(points, cells, widest), k)
    };
    Ok(found.into_iter().map(Nearest::into_row).collect())
}

/// The coordinate with the largest variance.
fn widest(points: ArrayView2<'_, f32>) -> usize {
    let spread = points.columns().into_iter().map(|values| values.mapv(f64::from).var(0.0)).enumerate();
    spread.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(widest, _)| widest)
}

/// Some of the cells, in double precision, sorted by one coordinate.
struct Pool {
    /// Their positions among all.
    cells: Vec<usize>,
    /// Their positions in the order that they were given in.
    order: Vec<usize>,
    points: Array2<f64>,
    /// The coordinate that they are sorted by.
    along: Vec<f64>,
    /// `|x|²` of each.
    norms: Vec<f64>,
}

impl Pool {
    fn new(points: ArrayView2<'_, f32>, given: &[usize], coordinate: usize) -> Self {
        let at = |cell: usize| points.get([cell, coordinate]).copied().unwrap_or_default();
        let mut order: Vec<usize> = (0..given.len()).collect();
        order.sort_by(|&a, &b| at(given[a]).total_cmp(&at(given[b])));
        let cells: Vec<usize> = order.iter().map(|&position| given[position]).collect();
        let along = cells.iter().map(|&cell| f64::from(at(cell))).collect();
        let points = points.select(Axis(0), &cells).mapv(f64::from);
        let norms = points.rows().into_iter().map(|row| row.dot(&row)).collect();
        Self { cells, order, points, along, norms }
    }

    /// The `k` cells of this pool that are nearest to each of `queries`, in the order in which these were given.
    fn nearest_of(&self, queries: &Self, k: usize) -> Vec<Nearest> {
        let starts: Vec<usize> = (0..queries.cells.len()).step_by(QUERY_BLOCK).collect();
        let blocks: Vec<Vec<Nearest>> =
            starts.into_par_iter().map(|start| self.nearest_of_block(queries, start, k)).collect();
        let mut found: Vec<(usize, Nearest)> =
            queries.order.iter().copied().zip(blocks.into_iter().flatten()).collect();
        found.sort_unstable_by_key(|(position, _)| *position);
        found.into_iter().map(|(_, nearest)| nearest).collect()
    }

    /// Where tiles begin, those first that are nearest to the stretch from `first` to `last` of the coordinate by which cells are sorted, and
    /// how far away they are in it.
    fn tiles(&self, [first, last]: [f64; 2]) -> Vec<(f64, usize)> {
        let apart = |start: usize| {
            let end = self.cells.len().min(start + TILE) - 1;
            (self.along[start] - last).max(first - self.along[end]).max(0.0)
        };
        let mut tiles: Vec<(f64, usize)> =
            (0..self.cells.len()).step_by(TILE).map(|start| (apart(start), start)).collect();
        tiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        tiles
    }

    fn nearest_of_block(&self, asked: &Self, start: usize, k: usize) -> Vec<Nearest> {
        let n_obs = self.cells.len();
        let end = asked.cells.len().min(start + QUERY_BLOCK);
        let queries = asked.points.slice(s![start..end, ..]);
        let mut found: Vec<Nearest> = (0..queries.nrows()).map(|_| Nearest::new(k)).collect();
        let mut products = Array2::<f64>::zeros((queries.nrows(), TILE.min(n_obs)));
        for (apart, tile) in self.tiles([asked.along[start], asked.along[end - 1]]) {
            if found.iter().all(|nearest| apart * apart > nearest.bound) {
                break;
            }
            let others = self.points.slice(s![tile..n_obs.min(tile + TILE), ..]);
            let mut products = products.slice_mut(s![.., ..others.nrows()]);
            general_mat_mul(1.0, &queries, &others.t(), 0.0, &mut products);
            for (q, nearest) in found.iter_mut().enumerate() {
                let query = queries.row(q);
                for (o, product) in products.row(q).iter().enumerate() {
                    let (i, j) = (asked.cells[start + q], self.cells[tile + o]);
                    let size = asked.norms[start + q] + self.norms[tile + o];
                    let estimate = size - 2.0 * product;
                    if estimate <= nearest.bound + ESTIMATE_ERROR * size && i != j {
                        nearest.offer(squared_distance(query, others.row(o)), j);
                    }
                }
            }
        }
        found
    }
}

fn squared_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// The nearest cells met so far, nearest first, of equally near ones the first first.
struct Nearest {
    k: usize,
    /// Squared distance that a cell must not exceed to be among them.
    bound: f64,
    /// Squared distance and cell.
    cells: Vec<(f64, usize)>,
}

impl Nearest {
    fn new(k: usize) -> Self {
        let cells = Vec::with_capacity(k + 1);
        Self { k, bound: f64::INFINITY, cells }
    }

    fn offer(&mut self, squared: f64, cell: usize) {
        let at = self.cells.partition_point(|&(d, c)| (d, c) < (squared, cell));
        if at == self.k {
            return;
        }
        self.cells.insert(at, (squared, cell));
        self.cells.truncate(self.k);
        if self.cells.len() == self.k {
            self.bound = self.cells[self.k - 1].0;
        }
    }

    fn into_row(mut self) -> Vec<(u32, f32)> {
        self.cells.sort_unstable_by_key(|cell| cell.1);
        self.cells.into_iter().map(|(d, cell)| (cell as u32, d.sqrt() as f32)).collect()
    }
}

/// Weights of the symmetric graph, `[n_obs, n_obs]`, from directed `distances` without the cell itself.
///
/// `n_neighbors` counts the cell itself and sets the effective number of neighbours, log₂ of it.
///
/// # Panics
/// If `distances` is not square.
#[must_use]
pub fn connectivities(distances: &Csr<f32>, n_neighbors: usize) -> Csr<f32> {
    assert_eq!(distances.n_rows, distances.n_cols, "distances are between the same cells");
    let n_entries = count(distances.nnz() + distances.n_rows);
    let mean_distance = distances.row_sums().iter().sum::<f64>() / n_entries;
    let target = count(n_neighbors).log2();
    let rows: Vec<Vec<(u32, f64)>> = (0..distances.n_rows)
        .into_par_iter()
        .map(|i| directed_weights(distances.row(i), target, mean_distance))
        .collect();
    let directed = Csr::from_rows(distances.n_cols, &rows);
    fuzzy_union(&directed)
}

fn directed_weights((cells, distances): (&[u32], &[f32]), target: f64, mean_distance: f64) -> Vec<(u32, f64)> {
    let positive = distances.iter().filter(|&&d| d > 0.0).map(|&d| f64::from(d));
    let rho = positive.reduce(f64::min).unwrap_or(0.0);
    let beyond: Vec<f64> = distances.iter().map(|&d| (f64::from(d) - rho).max(0.0)).collect();
    let row_mean = distances.iter().map(|&d| f64::from(d)).sum::<f64>() / count(distances.len() + 1);
    let scale = if rho > 0.0 { row_mean } else { mean_distance };
    let sigma = bandwidth(&beyond, target).max(MIN_SIGMA * scale);
    // sigma is 0 only if all cells coincide; then every neighbour is as near as can be.
    let weight = |d: f64| if d > 0.0 { (-d / sigma).exp() } else { 1.0 };
    cells.iter().copied().zip(beyond.into_iter().map(weight)).filter(|entry| entry.1 > 0.0).collect()
}

/// σ with `Σ exp(−d / σ) = target`, d ≥ 0; where there is none, the end of the search.
fn bandwidth(beyond: &[f64], target: f64) -> f64 {
    let (mut low, mut high, mut sigma) = (0.0, f64::INFINITY, 1.0);
    for _ in 0..BISECTIONS {
        let sum: f64 = beyond.iter().map(|&d| if d > 0.0 { (-d / sigma).exp() } else { 1.0 }).sum();
        if (sum - target).abs() < BISECTION_TOLERANCE {
            break;
        }
        if sum > target {
            high = sigma;
        } else {
            low = sigma;
        }
        sigma = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * sigma };
    }
    sigma
}

/// `w_ij + w_ji − w_ij w_ji` for each pair that either side names.
fn fuzzy_union(directed: &Csr<f64>) -> Csr<f32> {
    let reversed = directed.transpose();
    let rows: Vec<Vec<(u32, f32)>> = (0..directed.n_rows)
        .into_par_iter()
        .map(|i| {
            let (out, inward) = (directed.row(i), reversed.row(i));
            let both = out.0.iter().zip(out.1).chain(inward.0.iter().zip(inward.1));
            let mut both: Vec<(u32, f64)> = both.map(|(&cell, &weight)| (cell, weight)).collect();
            both.sort_by_key(|entry| entry.0);
            both.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 = kept.1 + next.1 - kept.1 * next.1;
                }
                same
            });
            both.into_iter().map(|(cell, weight)| (cell, weight as f32)).collect()
        })
        .collect();
    Csr::from_rows(directed.n_cols, &rows)
}

/// Checks that a graph has `n_obs` cells and that each has a neighbour; `names` are the cells' names.
///
/// # Errors
/// [`Error::Shape`] if a matrix of the graph is not `[n_obs, n_obs]`; [`Error::Data`] if a weight or distance is
/// negative or not finite, or a cell has no neighbour.
pub fn check(graph: &Neighbors, names: &[String]) -> Result<()> {
    let n_obs = names.len();
    for (what, matrix) in [("connectivities", &graph.connectivities), ("distances", &graph.distances)] {
        if (matrix.n_rows, matrix.n_cols) != (n_obs, n_obs) {
            return Err(Error::Shape {
                what: what.to_owned(),
                wanted: vec![n_obs, n_obs],
                found: vec![matrix.n_rows, matrix.n_cols],
            });
        }
        if matrix.data.iter().any(|value| !value.is_finite() || *value < 0.0) {
            return Err(Error::Data {
                problem: format!("neighbour graph: {what} holds a value that is negative or not finite"),
                hint: "set preprocess.neighbors = \"compute\"".to_owned(),
            });
        }
    }
    let alone = |&i: &usize| graph.connectivities.row(i).1.iter().all(|&weight| weight == 0.0);
    let alone: Vec<usize> = (0..n_obs).filter(alone).collect();
    let Some(&first) = alone.first() else { return Ok(()) };
    Err(Error::Data {
        problem: format!(
            "neighbour graph: {} of {n_obs} cells have no neighbour, the first is {:?}",
            alone.len(),
            names[first]
        ),
        hint: "remove these cells, or set preprocess.neighbors = \"compute\"".to_owned(),
    })
}

/// Neighbours of a cell, itself included, among `n_obs` cells where `wanted` are asked for: these, or 1 + n/2 where that would be all cells.
///
/// With all cells as neighbours of all, every mean over neighbours is the same. The rule is scanpy's for fewer cells than neighbours; as many
/// cells as neighbours are as bad.
#[must_use]
pub fn for_cells(wanted: usize, n_obs: usize) -> usize {
    if wanted >= n_obs { (1 + n_obs / 2).min(n_obs) } else { wanted }
}

/// Cells with far fewer neighbours than others, in words; none if there is no such cell. `names` are the cells' names.
///
/// Neighbours are those with a distance, of which most programs give every cell as many; where there are none, those with a connectivity,
/// which are uneven by nature.
#[must_use]
pub fn uneven(graph: &Neighbors, names: &[String]) -> Option<String> {
    let has_distances = graph.distances.nnz() > 0;
    let matrix = if has_distances { &graph.distances } else { &graph.connectivities };
    let sizes: Vec<usize> = (0..matrix.n_rows).map(|i| matrix.row_nnz(i)).collect();
    let mut rising = sizes.clone();
    rising.sort_unstable();
    let (least, most) = (*rising.first()?, *rising.last()?);
    let usual = if has_distances { most } else { rising[rising.len() / 2] };
    let mut poor: Vec<usize> = (0..sizes.len()).filter(|&i| 2 * sizes[i] <= usual).collect();
    poor.sort_by_key(|&i| sizes[i]);
    if poor.is_empty() {
        return None;
    }
    let named: Vec<String> = poor.iter().take(5).map(|&i| format!("{:?} ({})", names[i], sizes[i])).collect();
    Some(format!(
        "the file's neighbour graph is uneven: cells have {least} to {most} neighbours, {} of {} at most half as many as {usual}: {}{} \
         (duplicated cells, cells taken out after neighbours were found, or a graph made per batch?)",
        poor.len(),
        sizes.len(),
        named.join(", "),
        if poor.len() > 5 { ", ..." } else { "" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_cells_would_be_neighbours_half_of_them_are() {
        // scanpy: 1 + int(0.5 * n_obs)
        assert_eq!(
            [(30, 20), (30, 21), (30, 30), (30, 31), (30, 2), (15, 300)].map(|(k, n)| for_cells(k, n)),
            [11, 11, 16, 30, 2, 15]
        );
    }

    #[test]
    fn the_poorest_cells_of_an_uneven_graph_are_named() {
        let row = |i: u32, n: u32| {
            let mut columns: Vec<u32> = (1..=n).map(|step| (i + step) % 10).collect();
            columns.sort_unstable();
            columns.into_iter().map(|column| (column, 1.0)).collect::<Vec<(u32, f32)>>()
        };
        let rows = |poor: u32| -> Vec<_> { (0..10).map(|i| row(i, if i == 7 { poor } else { 6 })).collect() };
        let names: Vec<String> = (0..10).map(|cell| format!("c{cell}")).collect();
        let graph = |poor: u32, empty: bool| {
            let full = Csr::from_rows(10, &rows(poor));
            let none = Csr::from_rows(10, &vec![Vec::new(); 10]);
            Neighbors { connectivities: full.clone(), distances: if empty { none } else { full }, n_neighbors: 7 }
        };
        assert_eq!(uneven(&graph(4, false), &names), None);
        for empty in [false, true] {
            let said = uneven(&graph(1, empty), &names).expect("one cell is poor");
            assert!(
                said.contains("1 to 6 neighbours") && said.contains("1 of 10") && said.contains("\"c7\" (1)"),
                "{said}"
            );
        }
    }
}
