//! The shape of the data before any model: tips of the cloud of cells, and distances along it.
//!
//! Cells lie in the space of the principal components, each at the mean of its neighbourhood, which takes away most of the
//! noise. Distances are shortest paths along a graph of nearest neighbours there. Two cells are neighbours if each is among
//! the nearest of the other: so a few doublets between two ends of a trajectory, whose nearest cells have nearer ones, are no short cut. On a tree the lengths of paths say all:
//!
//! - the two cells farthest apart are tips; so is, again and again, the cell with the longest detour
//!   `e(i) = min over tips a, b of (d(a, i) + d(b, i) − d(a, b)) / 2`, which is how far i is from the path between them;
//! - seen from a root r, the paths to a and b part at the distance `(d(r, a) + d(r, b) − d(a, b)) / 2` (Gromov's product);
//! - a cell is on the path from r to a if `d(r, i) + d(i, a) − d(r, a)` is small.
//!
//! On a ring the two cells farthest apart are opposite each other, and half-way between them lie cells on two sides that are as far
//! from each other.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use super::gaussian;
use crate::data::Dataset;
use crate::error::Result;
use crate::neighbors;
use crate::pca;
use crate::sparse::Csr;

/// Principal components of the space.
const COMPONENTS: usize = 10;
/// Neighbours along which paths lead, if they are mutual: a twentieth of the cells, within this range.
const NEAREST: (usize, usize) = (15, 25);
/// Passes of smoothing: the neighbourhood, and its neighbourhoods.
const PASSES: usize = 2;
/// A tip is off the paths between the others by at least this part of the longest one.
const DETOUR: f64 = 0.1;

/// Time begins at a tip if at least this part of the cells with which it begins are as near to it as a detour is long.
const AT_TIP: f64 = 0.02;

/// Part of the cells that are the first by their moments.
const FIRST: f64 = 0.05;

/// Cells are half-way between two others if their distances from them differ by less than this part of the longest path, ...
const HALF_WAY: f64 = 0.1;
/// ... and the way by them is longer by less than this part.
const ROUNDABOUT: f64 = 0.3;
/// Half-way cells lie on two sides of a ring if they are at least this part of the longest path apart: on a tree they are one place.
const OPEN: f64 = 0.8;

/// Places in the cloud of cells between which paths lead: its tips, and one amid them.
pub(super) struct Skeleton {
    /// Cells at the places: first the two tips farthest apart, then the others by falling detour, and last the one amid them.
    pub(super) places: Vec<usize>,
    /// Distance of every cell from each place, `[n_places][n_cells]`, in units of the longest path.
    pub(super) distances: Vec<Vec<f64>>,
    /// The place at which time begins, if it is known.
    pub(super) root: Option<usize>,
    /// If cells lie on a ring: how far around it each one is, from 0 at the first tip to 1 there again.
    pub(super) ring: Option<Vec<f64>>,
}

impl Skeleton {
    /// Tips of the cells at the positions `cells`: one more than `most` at most, and always two; `exactly` so many, however short the detours,
    /// if asked. Where time begins with the cells `first` of them (none: it is not known) and no tip is among these, it begins amid the tips:
    /// at the one in the middle of `first`, for the others lie on several sides of it. Otherwise the place amid the tips is where time begins by
    /// the moments, or, if that is at a tip, the cell from which the sum of the squared distances to the tips is least.
    ///
    /// # Errors
    /// If principal components or neighbours cannot be found.
    pub(super) fn new(data: &Dataset, cells: &[usize], most: usize, exactly: bool, first: &[usize]) -> Result<Self> {
        let space = space(data, cells)?;
        let mut graph = Graph::new(&space)?;
        graph.join(&space);
        let farthest = |distances: &[f64]| {
            (0..distances.len()).max_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap_or(0)
        };
        let one = farthest(&graph.distances(0));
        let from_one = graph.distances(one);
        let other = farthest(&from_one);
        let longest = from_one[other].max(f64::MIN_POSITIVE);
        let both = [from_one, graph.distances(other)];
        let ring = around(&graph, &both, longest);
        let mut distances = Vec::from(both);
        let mut places = vec![one, other];
        while places.len() < most + 1 {
            let detour = |i: usize| {
                let pairs = (0..places.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
                pairs
                    .map(|(a, b)| (distances[a][i] + distances[b][i] - distances[a][places[b]]) / 2.0)
                    .fold(f64::INFINITY, f64::min)
            };
            let all: Vec<f64> = (0..cells.len()).map(detour).collect();
            let next = farthest(&all);
            if !exactly && all[next] < DETOUR * longest {
                break;
            }
            distances.push(graph.distances(next));
            places.push(next);
        }
        let nearest = nearest_tip(&distances, first);
        let is_near = |tip: usize| share_within(&distances[tip], first, DETOUR * longest) >= AT_TIP;
        let begins_inside = nearest.is_some_and(|tip| !is_near(tip));
        let amid = if begins_inside {
            places.truncate(most);
            distances.truncate(most);
            middle(&space, first)
        } else {
            let times = if first.is_empty() { gaussian::first_times(data, cells) } else { Vec::new() };
            beginning(&space, &times, &distances, DETOUR * longest).unwrap_or_else(|| amid(&distances))
        };
        let root = if begins_inside { Some(places.len()) } else { nearest };
        places.push(amid);
        distances.push(graph.distances(amid));
        for from_place in &mut distances {
            for distance in from_place.iter_mut() {
                *distance /= longest;
            }
        }
        Ok(Self { places, distances, root, ring })
    }

    /// The tips.
    pub(super) fn tips(&self) -> Range<usize> {
        0..self.amid()
    }

    /// The place amid the tips.
    pub(super) fn amid(&self) -> usize {
        self.places.len() - 1
    }

    /// All tips but `root`: the farthest from it, then again and again that with the longest detour from the paths between those before. (By
    /// detour from the first two of all, a tip beside the root could come first.)
    pub(super) fn others(&self, root: usize) -> Vec<usize> {
        let mut left: Vec<usize> = self.tips().filter(|&tip| tip != root).collect();
        let mut chosen = vec![root];
        while !left.is_empty() {
            // The paths to two tips part there. Of one tip twice, it is the distance from that one, which is never less than a detour.
            let detour = |tip: usize| {
                let pairs = (0..chosen.len()).flat_map(|a| (0..=a).map(move |b| (a, b)));
                pairs.map(|(a, b)| self.parting(tip, chosen[a], chosen[b])).fold(f64::INFINITY, f64::min)
            };
            let next = (0..left.len()).max_by(|&a, &b| detour(left[a]).total_cmp(&detour(left[b]))).unwrap_or(0);
            chosen.push(left.remove(next));
        }
        chosen.split_off(1)
    }

    /// Distance from the place `root` at which the paths to the tips `a` and `b` part.
    pub(super) fn parting(&self, root: usize, a: usize, b: usize) -> f64 {
        let d = |a: usize, b: usize| self.distances[a][self.places[b]];
        (d(root, a) + d(root, b) - d(a, b)) / 2.0
    }

    /// How far cell `i` is from the path between the tips `root` and `end`.
    pub(super) fn off_path(&self, root: usize, end: usize, i: usize) -> f64 {
        (self.distances[root][i] + self.distances[end][i] - self.distances[root][self.places[end]]).max(0.0)
    }
}

/// The tip that is nearest to the cells `first` in the mean; `None` if there are none.
fn nearest_tip(distances: &[Vec<f64>], first: &[usize]) -> Option<usize> {
    let distance = |tip: &Vec<f64>| first.iter().map(|&cell| tip[cell]).sum::<f64>();
    let tips = (0..distances.len()).filter(|_| !first.is_empty());
    tips.min_by(|&a, &b| distance(&distances[a]).total_cmp(&distance(&distances[b])))
}

/// The cell in the middle of those that `times` say are the first, if it is at least `near` from each tip.
fn beginning(space: &Array2<f32>, times: &[f64], distances: &[Vec<f64>], near: f64) -> Option<usize> {
    if times.is_empty() {
        return None;
    }
    let mut first: Vec<usize> = (0..times.len()).collect();
    first.sort_by(|&a, &b| times[a].total_cmp(&times[b]));
    first.truncate((FIRST * times.len() as f64).ceil() as usize);
    let cell = middle(space, &first);
    distances.iter().all(|from_tip| from_tip[cell] >= near).then_some(cell)
}

/// The cell from which the sum of the squared distances to the tips is least.
fn amid(distances: &[Vec<f64>]) -> usize {
    let sum = |cell: usize| distances.iter().map(|from_tip| from_tip[cell].powi(2)).sum::<f64>();
    (0..distances[0].len()).min_by(|&a, &b| sum(a).total_cmp(&sum(b))).unwrap_or(0)
}

/// Which part of `cells` is no farther away than `most`.
fn share_within(distances: &[f64], cells: &[usize], most: f64) -> f64 {
    cells.iter().filter(|&&cell| distances[cell] <= most).count() as f64 / cells.len() as f64
}

/// That of `cells` which is nearest to the mean of all of them.
fn middle(space: &Array2<f32>, cells: &[usize]) -> usize {
    let chosen = space.select(Axis(0), cells);
    let mean = chosen.mean_axis(Axis(0)).unwrap_or_default();
    let squared = |at: usize| chosen.row(at).iter().zip(&mean).map(|(x, mean)| (x - mean).powi(2)).sum::<f32>();
    (0..cells.len()).min_by(|&a, &b| squared(a).total_cmp(&squared(b))).map_or(0, |at| cells[at])
}

/// How far around a ring each cell is, in turns, given its distances from two opposite cells; `None` if there is no ring.
///
/// ```text
/// d(a, i) / (d(a, i) + d(b, i)) / 2     on the side of one half-way cell, 1 less that on the side of the other
/// ```
fn around(graph: &Graph, [from_a, from_b]: &[Vec<f64>; 2], longest: f64) -> Option<Vec<f64>> {
    let is_half_way = |&i: &usize| {
        let (a, b) = (from_a[i], from_b[i]);
        (a - b).abs() < HALF_WAY * longest && a + b < (1.0 + ROUNDABOUT) * longest
    };
    let half_way: Vec<usize> = (0..from_a.len()).filter(is_half_way).collect();
    let farthest = |distances: &[f64]| half_way.iter().copied().max_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    let one = farthest(&graph.distances(*half_way.first()?))?;
    let from_one = graph.distances(one);
    let other = farthest(&from_one)?;
    if from_one[other] < OPEN * longest {
        return None;
    }
    let from_other = graph.distances(other);
    let turn = |i: usize| {
        let half = 0.5 * from_a[i] / (from_a[i] + from_b[i]).max(f64::MIN_POSITIVE);
        if from_one[i] <= from_other[i] { half } else { 1.0 - half }
    };
    Some((0..from_a.len()).map(turn).collect())
}

/// Smoothed coordinates of the chosen cells, `[n_cells, n_components]`.
fn space(data: &Dataset, cells: &[usize]) -> Result<Array2<f32>> {
    let scores = if data.pca.ncols() > 0 {
        data.pca.clone()
    } else {
        let logged = data.ms.mapv(f32::ln_1p);
        let n = (3 * COMPONENTS).min(data.n_obs() - 1).min(data.n_vars());
        pca::pca(&Csr::from_dense(logged.view()), n)?.scores
    };
    let mut smooth = scores;
    for _ in 0..PASSES {
        let rows: Vec<Vec<f32>> = (0..data.n_obs())
            .into_par_iter()
            .map(|i| {
                let near: Vec<usize> = data.neighbors.neighborhood(i).collect();
                let mean = |at: usize| near.iter().map(|&j| smooth[[j, at]]).sum::<f32>() / near.len() as f32;
                (0..smooth.ncols()).map(mean).collect()
            })
            .collect();
        for (mut to, row) in smooth.rows_mut().into_iter().zip(rows) {
            to.iter_mut().zip(row).for_each(|(to, value)| *to = value);
        }
    }
    let chosen = smooth.select(Axis(0), cells);
    let n = COMPONENTS.min(chosen.ncols()).min(cells.len() - 1);
    Ok(pca::pca(&Csr::from_dense(chosen.view()), n)?.scores)
}

/// An undirected graph of mutual nearest neighbours, with lengths.
struct Graph {
    edges: Vec<Vec<(usize, f64)>>,
}

impl Graph {
    fn new(space: &Array2<f32>) -> Result<Self> {
        let n = space.nrows();
        let nearest = neighbors::nearest(space.view(), (n / 20).clamp(NEAREST.0, NEAREST.1).min(n))?;
        let near: Vec<(&[u32], &[f32])> = (0..n).map(|i| nearest.row(i)).collect();
        let mut edges = vec![Vec::new(); n];
        for (i, (to, lengths)) in near.iter().enumerate() {
            for (&j, &length) in to.iter().zip(*lengths) {
                if near[j as usize].0.contains(&(i as u32)) {
                    edges[i].push((j as usize, f64::from(length)));
                }
            }
        }
        Ok(Self { edges })
    }

    /// Joins what is not connected to cell 0, part by part, each by the shortest edge to what already is.
    fn join(&mut self, space: &Array2<f32>) {
        let length = |a: usize, b: usize| {
            let squares = space.row(a).iter().zip(space.row(b)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            squares.sqrt()
        };
        let mut joined = self.connected(0);
        let mut is_far = vec![true; self.edges.len()];
        for &i in &joined {
            is_far[i] = false;
        }
        // Of each far cell, the nearest that is joined.
        let mut nearest = vec![(f64::INFINITY, 0); self.edges.len()];
        loop {
            nearest.par_iter_mut().enumerate().filter(|(far, _)| is_far[*far]).for_each(|(far, best)| {
                for &i in &joined {
                    let length = length(i, far);
                    if length < best.0 {
                        *best = (length, i);
                    }
                }
            });
            let far = (0..nearest.len()).filter(|&far| is_far[far]);
            let Some(far) = far.min_by(|&a, &b| nearest[a].0.total_cmp(&nearest[b].0)) else { return };
            let (length, i) = nearest[far];
            joined = self.connected(far);
            for &i in &joined {
                is_far[i] = false;
            }
            self.edges[i].push((far, length));
            self.edges[far].push((i, length));
        }
    }

    /// The cells that are connected to `from`.
    fn connected(&self, from: usize) -> Vec<usize> {
        let distances = self.distances(from);
        (0..distances.len()).filter(|&i| distances[i].is_finite()).collect()
    }

    /// Shortest path to every cell, infinite where there is none.
    fn distances(&self, from: usize) -> Vec<f64> {
        let mut distances = vec![f64::INFINITY; self.edges.len()];
        distances[from] = 0.0;
        let mut heap = BinaryHeap::from([Reached { distance: 0.0, cell: from }]);
        while let Some(Reached { distance, cell }) = heap.pop() {
            if distance > distances[cell] {
                continue;
            }
            for &(next, length) in &self.edges[cell] {
                let through = distance + length;
                if through < distances[next] {
                    distances[next] = through;
                    heap.push(Reached { distance: through, cell: next });
                }
            }
        }
        distances
    }
}

/// A cell on the way, ordered so that the nearest comes first.
#[derive(PartialEq)]
struct Reached {
    distance: f64,
    cell: usize,
}

impl Eq for Reached {}

impl PartialOrd for Reached {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> Ordering {
        other.distance.total_cmp(&self.distance).then_with(|| other.cell.cmp(&self.cell))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::beginning;

    #[test]
    fn time_begins_amid_the_tips_where_moments_say_so_and_not_beside_a_tip() {
        let line = Array2::from_shape_fn((100, 1), |(cell, _)| cell as f32);
        let from = |place: f64| -> Vec<f64> { (0..100).map(|cell| (f64::from(cell) - place).abs()).collect() };
        let tips = [from(0.0), from(99.0)];
        assert_eq!(beginning(&line, &from(40.0), &tips, 10.0), Some(40));
        assert_eq!(beginning(&line, &from(3.0), &tips, 10.0), None, "that end is tried anyway");
        assert_eq!(beginning(&line, &[], &tips, 10.0), None, "no gene has a time");
    }
}
