//! Agreement of velocities with what is known: from which group of cells to which they should point, and whether they agree
//! within a group.
//!
//! ```text
//! cross-boundary direction correctness of A → B:   mean over cells i of A with neighbours in B of
//!                                                  mean over these neighbours j of cos(x_j − x_i, v_i)
//! in-cluster coherence of cell i:                  mean over neighbours j in its group of cos(v_i, v_j)
//! flow of cell i along a time t:                   cos(v_i, Σ over neighbours j of (t_j − t_i) (x_j − x_i))
//! ```
//!
//! x and v live on an embedding or in the genes. Both scores are above zero for many wrong velocities, for they are smooth along the
//! neighbour graph: [`Null`] says what the first is of the same velocities when they are handed to other cells.
//!
//! Source: Qiao & Huang 2021 (VeloAE), the definitions of the evaluation of Gu et al. 2022; the null and the flow are ours.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

use crate::data::stream;
use crate::graph::Candidates;
use crate::stats::{count, mean, std_dev};

/// Direction across one boundary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Boundary {
    /// The earlier group, by its number.
    pub from: u32,
    /// The later group.
    pub to: u32,
    /// Cells of the earlier group with neighbours in the later one.
    pub n_cells: usize,
    /// Cross-boundary direction correctness, in [−1, 1]; NaN if there is no such cell.
    pub score: f64,
    /// The same of shuffled velocities.
    pub null: Null,
}

/// A score of velocities that were handed to other cells at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Null {
    /// Mean over shuffles.
    pub mean: f64,
    /// Standard deviation over shuffles.
    pub std: f64,
}

/// Cells, where they are and where they go.
#[derive(Clone, Copy, Debug)]
pub struct VelocityField<'a> {
    /// States, `[n_obs, n_dims]`.
    pub states: ArrayView2<'a, f32>,
    /// Velocities in the same space.
    pub velocities: ArrayView2<'a, f32>,
    /// Whose direct neighbours count.
    pub candidates: &'a Candidates,
    /// Group of each cell, `[n_obs]`.
    pub groups: &'a [Option<u32>],
}

impl VelocityField<'_> {
    /// Direction correctness across each of `edges`, with a null of `shuffles` shuffles from `seed`.
    #[must_use]
    pub fn boundaries(&self, edges: &[(u32, u32)], shuffles: usize, seed: u64) -> Vec<Boundary> {
        let orders = self.orders(shuffles, seed);
        let of_edge = |&(from, to): &(u32, u32)| {
            let pairs = self.pairs(from, to);
            let score = |order: Option<&[usize]>| {
                let cells = pairs.iter().map(|(i, near)| self.towards(*i, near, order.map_or(*i, |order| order[*i])));
                mean(&cells.collect::<Vec<f64>>())
            };
            let null: Vec<f64> = orders.par_iter().map(|order| score(Some(order))).collect();
            let null = Null { mean: mean(&null), std: std_dev(&null, 1) };
            Boundary { from, to, n_cells: pairs.len(), score: score(None), null }
        };
        edges.iter().map(of_edge).collect()
    }

    /// In-cluster coherence of each cell, `[n_obs]`; NaN for a cell without a neighbour in its group, 0 without a direction.
    #[must_use]
    pub fn coherence(&self) -> Vec<f64> {
        let units = unit_rows(self.velocities);
        let of_cell = |i: usize| {
            // The mean of products is the product with the mean.
            let (mut sum, mut n) = (Array1::<f32>::zeros(units.ncols()), 0);
            for j in self.near(i).filter(|&j| self.groups[i].is_some() && self.groups[j] == self.groups[i]) {
                sum += &units.row(j);
                n += 1;
            }
            product(units.row(i), sum.view()) / count(n)
        };
        (0..self.groups.len()).into_par_iter().map(of_cell).collect()
    }

    /// Flow of each cell along `time`, `[n_obs]`, in [−1, 1]: 1 where it moves to where time grows most among its neighbours. NaN
    /// for a cell without a time or without a neighbour of another time, 0 for one that does not move. A time with a `period`
    /// is on a circle: differences are those of the shorter way round.
    #[must_use]
    pub fn along(&self, time: &[f64], period: Option<f64>) -> Vec<f64> {
        let ahead = |i: usize, j: usize| {
            let apart = time[j] - time[i];
            period.map_or(apart, |period| apart - period * (apart / period).round())
        };
        let of_cell = |i: usize| {
            let mut later = Array1::<f64>::zeros(self.states.ncols());
            for j in self.near(i).filter(|&j| ahead(i, j).is_finite()) {
                let displacement = (&self.states.row(j) - &self.states.row(i)).mapv(f64::from);
                later.scaled_add(ahead(i, j), &displacement);
            }
            let velocity = self.velocities.row(i).mapv(f64::from);
            let (moves, grows) = (velocity.dot(&velocity).sqrt(), later.dot(&later).sqrt());
            match (grows > 0.0, moves > 0.0) {
                (false, _) => f64::NAN,
                (true, false) => 0.0,
                (true, true) => later.dot(&velocity) / moves / grows,
            }
        };
        (0..self.groups.len()).into_par_iter().map(of_cell).collect()
    }

    /// Neighbours, the cell itself not among them.
    fn near(&self, i: usize) -> impl Iterator<Item = usize> {
        self.candidates.direct(i).iter().map(|&j| j as usize).filter(move |&j| j != i)
    }

    /// Cells of `from` that have neighbours in `to`, with these.
    fn pairs(&self, from: u32, to: u32) -> Vec<(usize, Vec<usize>)> {
        let cells = (0..self.groups.len()).filter(|&i| self.groups[i] == Some(from));
        let pairs = cells.map(|i| (i, self.near(i).filter(|&j| self.groups[j] == Some(to)).collect::<Vec<_>>()));
        pairs.filter(|(_, near)| !near.is_empty()).collect()
    }

    /// Mean cosine of the displacement vectors from cell `i` to cells `near` with the velocity of cell `whose`.
    fn towards(&self, i: usize, near: &[usize], whose: usize) -> f64 {
        let velocity = self.velocities.row(whose);
        let cosine = |&j: &usize| {
            let displacement = &self.states.row(j) - &self.states.row(i);
            let sizes = (product(displacement.view(), displacement.view()) * product(velocity, velocity)).sqrt();
            if sizes > 0.0 { product(displacement.view(), velocity) / sizes } else { 0.0 }
        };
        near.iter().map(cosine).sum::<f64>() / count(near.len())
    }

    fn orders(&self, shuffles: usize, seed: u64) -> Vec<Vec<usize>> {
        let shuffled = |index: usize| {
            let mut order: Vec<usize> = (0..self.groups.len()).collect();
            order.shuffle(&mut stream(seed, "velocities of other cells", index as u64));
            order
        };
        (0..shuffles).map(shuffled).collect()
    }
}

fn product(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Rows in units of their lengths; zero rows stay.
fn unit_rows(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut units = rows.to_owned();
    for mut row in units.rows_mut() {
        let length = product(row.view(), row.view()).sqrt();
        if length > 0.0 {
            row.mapv_inplace(|value| (f64::from(value) / length) as f32);
        }
    }
    units
}
