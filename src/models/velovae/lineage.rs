//! Initial conditions that the model itself carries from the root to every cell.
//!
//! Training cells are cut into slices of time, and each slice into groups of cells that are near each other in the space of
//! states. A group descends from the groups of the slice before, the nearer in state the more:
//!
//! ```text
//! x_g = solve(t_g − t₀, x₀, α ρ(c_g)),   x₀ = Σ_h w_gh x_h,   t₀ = Σ_h w_gh t_h,   w_gh ∝ exp(−|c_g − c_h|² / 2h²)
//! ```
//!
//! down to the root at time 0, whose state is learned; a cell descends from the groups of the slice before its own likewise. The
//! ODE of one gene thus runs through all of its history with one β and one γ, and gradients run back along it: where ancestors
//! are given as fixed numbers, the short stretch since then says little of the rates.

use burn::tensor::{Device, Tensor};
use ndarray::{Array1, Array2, ArrayView1, Axis, s};
use rayon::prelude::*;

use super::parts::NaturalRates;
use crate::nn::{arrays, kinetics};

/// Slices of time.
const SLICES: usize = 24;
/// Most groups of a slice.
const GROUPS: usize = 8;
/// Least cells of a group, on average.
const CELLS: usize = 3;
/// Rounds of k-means.
const ROUNDS: usize = 10;

/// The groups, slice by slice, on the device.
#[derive(Clone, Debug)]
pub(super) struct Lineage {
    slices: Vec<Slice>,
    /// Mean state of each group, `[n_groups, n_latent]`.
    states: Tensor<2>,
}

#[derive(Clone, Debug)]
struct Slice {
    /// Weights of the groups of the slice before, `[groups, groups before]`; the root is alone.
    weights: Tensor<2>,
    /// Time since the ancestors, `[groups, 1]`.
    tau: Tensor<2>,
}

/// What each cell descends from.
pub(super) struct Descent {
    /// Weight of each group, the root first, `[n_obs, 1 + n_groups]`.
    pub(super) weights: Array2<f32>,
    /// Time of the ancestors, `[n_obs]`.
    pub(super) time: Vec<f64>,
}

/// Groups of one slice, on the host.
struct Groups {
    time: Array1<f64>,
    states: Array2<f32>,
}

impl Lineage {
    /// From the times and states of all cells; groups are of cells of `train`.
    pub(super) fn new(time: &Array1<f64>, states: &Array2<f32>, train: &[usize], device: &Device) -> (Self, Descent) {
        let mut order = train.to_vec();
        order.sort_by(|&a, &b| time[a].total_cmp(&time[b]).then(a.cmp(&b)));
        let n_slices = SLICES.min(order.len() / CELLS).max(1);
        let bound = |slice: usize| slice * order.len() / n_slices;
        let cut: Vec<&[usize]> = (0..n_slices).map(|slice| &order[bound(slice)..bound(slice + 1)]).collect();
        let mut groups = vec![Groups { time: Array1::zeros(1), states: Array2::zeros((1, states.ncols())) }];
        groups.extend(cut.par_iter().map(|cells| Groups::new(cells, time, states)).collect::<Vec<_>>());
        let width: Vec<f64> =
            (1..groups.len()).map(|slice| bandwidth(cut[slice - 1], states, &groups[slice])).collect();
        let before = |slice: usize, state: ArrayView1<'_, f32>| groups[slice].weights(state, width[slice.max(1) - 1]);
        let slices = (1..groups.len())
            .map(|slice| {
                let of = &groups[slice];
                let n_before = groups[slice - 1].time.len();
                let mut weights = Array2::<f32>::zeros((of.time.len(), n_before));
                let mut tau = Vec::new();
                for (group, mut row) in weights.rows_mut().into_iter().enumerate() {
                    let shares = before(slice - 1, of.states.row(group));
                    tau.push((of.time[group] - shares.dot(&groups[slice - 1].time)).max(0.0));
                    row.assign(&shares.mapv(|share| share as f32));
                }
                let tau = arrays::row(&tau, device).reshape([of.time.len(), 1]);
                Slice { weights: arrays::matrix(weights.view(), device), tau }
            })
            .collect();
        let edges: Vec<f64> = cut.iter().skip(1).map(|cells| time[cells[0]]).collect();
        let first: Vec<usize> = groups
            .iter()
            .scan(0, |at, group| {
                let first = *at;
                *at += group.time.len();
                Some(first)
            })
            .collect();
        let n_groups: usize = groups.iter().map(|group| group.time.len()).sum();
        let mut descent = Descent { weights: Array2::zeros((time.len(), n_groups)), time: Vec::new() };
        for (cell, mut row) in descent.weights.rows_mut().into_iter().enumerate() {
            let slice = edges.partition_point(|&edge| edge <= time[cell]);
            let shares = before(slice, states.row(cell));
            descent.time.push(shares.dot(&groups[slice].time));
            row.slice_mut(s![first[slice]..first[slice] + shares.len()]).assign(&shares.mapv(|share| share as f32));
        }
        let views: Vec<_> = groups[1..].iter().map(|group| group.states.view()).collect();
        let states = ndarray::concatenate(Axis(0), &views).expect("states have one width");
        (Self { slices, states: arrays::matrix(states.view(), device) }, descent)
    }

    /// Mean state of each group, `[n_groups, n_latent]`.
    pub(super) fn states(&self) -> Tensor<2> {
        self.states.clone()
    }

    /// Abundances of the root, `[1, n_vars]`, and of all groups: `[1 + n_groups, n_vars]`.
    ///
    /// `alpha`: transcription rates of the groups, `[n_groups, n_vars]`.
    pub(super) fn carry(
        &self,
        root: (Tensor<2>, Tensor<2>),
        alpha: &Tensor<2>,
        rates: &NaturalRates,
    ) -> (Tensor<2>, Tensor<2>) {
        let (mut all_u, mut all_s) = (vec![root.0], vec![root.1]);
        let mut at = 0;
        let on_graph = |tensor: &Tensor<2>| if alpha.is_tracked() { tensor.clone().autodiff() } else { tensor.clone() };
        for slice in &self.slices {
            let groups = slice.tau.dims()[0];
            let weights = on_graph(&slice.weights);
            let before = |of: &[Tensor<2>]| weights.clone().matmul(of.last().expect("the root").clone());
            let (u0, s0) = (before(&all_u), before(&all_s));
            let alpha = alpha.clone().narrow(0, at, groups);
            let (u, s) = kinetics::solve(&on_graph(&slice.tau), u0, s0, alpha, &rates.beta, &rates.gamma);
            all_u.push(u);
            all_s.push(s);
            at += groups;
        }
        (Tensor::cat(all_u, 0), Tensor::cat(all_s, 0))
    }
}

impl Groups {
    /// k-means of `cells` by state; it begins with cells that are far from each other.
    fn new(cells: &[usize], time: &Array1<f64>, states: &Array2<f32>) -> Self {
        let count = GROUPS.min(cells.len() / CELLS).max(1);
        let mean_of = |members: &[usize]| -> Array1<f32> {
            let sum = members
                .iter()
                .fold(Array1::<f64>::zeros(states.ncols()), |sum, &cell| sum + states.row(cell).mapv(f64::from));
            sum.mapv(|sum| (sum / members.len() as f64) as f32)
        };
        let mut centres = vec![mean_of(cells)];
        let nearest = |centres: &[Array1<f32>], cell: usize| -> (usize, f32) {
            let distances = centres.iter().map(|centre| squared(centre.view(), states.row(cell)));
            distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a centre")
        };
        while centres.len() < count {
            let farthest = cells.iter().max_by(|&&a, &&b| nearest(&centres, a).1.total_cmp(&nearest(&centres, b).1));
            centres.push(states.row(*farthest.expect("cells")).to_owned());
        }
        let mut members: Vec<Vec<usize>> = Vec::new();
        for _ in 0..ROUNDS {
            members = vec![Vec::new(); centres.len()];
            cells.iter().for_each(|&cell| members[nearest(&centres, cell).0].push(cell));
            members.retain(|of| !of.is_empty());
            centres = members.iter().map(|of| mean_of(of)).collect();
        }
        let time_of = |of: &Vec<usize>| of.iter().map(|&cell| time[cell]).sum::<f64>() / of.len() as f64;
        let mut stacked = Array2::zeros((centres.len(), states.ncols()));
        stacked.rows_mut().into_iter().zip(&centres).for_each(|(mut row, centre)| row.assign(centre));
        Self { time: members.iter().map(time_of).collect(), states: stacked }
    }

    /// Weights of the groups as ancestors of something in state `state`.
    fn weights(&self, state: ArrayView1<'_, f32>, width: f64) -> Array1<f64> {
        let distances: Vec<f64> = self.states.rows().into_iter().map(|of| f64::from(squared(of, state))).collect();
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let weights: Array1<f64> = distances.iter().map(|d| (-(d - least) / (2.0 * width)).exp()).collect();
        &weights / weights.sum()
    }
}

/// Squared width of the kernel: the mean squared distance of a slice's cells from their group.
fn bandwidth(cells: &[usize], states: &Array2<f32>, groups: &Groups) -> f64 {
    let distance = |&cell: &usize| {
        let all = groups.states.rows().into_iter().map(|of| f64::from(squared(of, states.row(cell))));
        all.fold(f64::INFINITY, f64::min)
    };
    (cells.iter().map(distance).sum::<f64>() / cells.len() as f64).max(1e-6)
}

fn squared(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}
