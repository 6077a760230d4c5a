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

use burn::tensor::{Device, Tensor, activation};
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;

use super::parts::NaturalRates;
use crate::nn::{arrays, kinetics};

/// Slices of time.
const SLICES: usize = 24;
/// Most groups of a slice.
const GROUPS: usize = 8;
/// Least cells of a group, on average.
const CELLS: usize = 3;
/// Least squared width of a kernel, and least time from one slice to the next.
const LEAST_WIDTH: f64 = 1e-6;
const LEAST_STEP: f64 = 1e-3;
/// Exponents beyond this are all alike, so that not even the square of a kernel underflows.
const FAR: f64 = 30.0;
/// Rounds of k-means.
const ROUNDS: usize = 10;

/// The groups, slice by slice, on the device; the root is the only group of slice 0.
#[derive(Clone, Debug)]
pub(super) struct Lineage {
    slices: Vec<Slice>,
    /// Mean state of each group, `[1 + n_groups, n_latent]`; of the root, any.
    states: Tensor<2>,
    /// Mean time of each group, `[1 + n_groups, 1]`.
    times: Tensor<2>,
    /// One over twice the squared width of the kernel of each group's slice, `[1, 1 + n_groups]`.
    narrowness: Tensor<2>,
    /// Which slice each group is of: 1 or 0, `[1 + n_groups, 1 + n_slices]`.
    membership: Tensor<2>,
    /// Mean time of each slice but the last, `[1, n_slices]`, and the time to the next, above 0.
    slice_times: Tensor<2>,
    slice_steps: Tensor<2>,
    /// `0, 1, … n_slices`, `[1, 1 + n_slices]`.
    numbers: Tensor<2>,
}

#[derive(Clone, Debug)]
struct Slice {
    /// Weights of the groups of the slice before, `[groups, groups before]`.
    weights: Tensor<2>,
    /// Time since the ancestors, `[groups, 1]`.
    tau: Tensor<2>,
}

/// Groups of one slice, on the host.
struct Groups {
    time: Array1<f64>,
    states: Array2<f32>,
    /// Squared width of the kernel.
    width: f64,
    /// Mean time of its cells.
    mean_time: f64,
}

impl Lineage {
    /// From the times, `[n_obs]`, and states, `[n_obs, n_latent]`, of all cells; groups are of cells of `train`.
    pub(super) fn new(time: &Array1<f64>, states: &Array2<f32>, train: &[usize], device: &Device) -> Self {
        let mut order = train.to_vec();
        order.sort_by(|&a, &b| time[a].total_cmp(&time[b]).then(a.cmp(&b)));
        let n_slices = SLICES.min(order.len() / CELLS).max(1);
        let bound = |slice: usize| slice * order.len() / n_slices;
        let cut: Vec<&[usize]> = (0..n_slices).map(|slice| &order[bound(slice)..bound(slice + 1)]).collect();
        let mut groups = vec![Groups::root(states.ncols())];
        groups.extend(cut.par_iter().map(|cells| Groups::new(cells, time, states)).collect::<Vec<_>>());
        let column = |values: Vec<f64>| {
            let count = values.len();
            arrays::row(&values, device).reshape([count, 1])
        };
        let slices = groups.windows(2).map(|pair| {
            let (before, of) = (&pair[0], &pair[1]);
            let mut weights = Array2::<f32>::zeros((of.time.len(), before.time.len()));
            let mut tau = Vec::new();
            for (group, mut row) in weights.rows_mut().into_iter().enumerate() {
                let shares = before.weights(of.states.row(group));
                tau.push((of.time[group] - shares.dot(&before.time)).max(0.0));
                row.assign(&shares.mapv(|share| share as f32));
            }
            Slice { weights: arrays::matrix(weights.view(), device), tau: column(tau) }
        });
        let slices = slices.collect();
        let per_group = |value: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            let all = groups.iter().enumerate();
            all.flat_map(|(slice, of)| (0..of.time.len()).map(move |group| (slice, group)))
                .map(|(slice, group)| value(slice, group))
                .collect()
        };
        let slice_of = per_group(&|slice, _| slice as f64);
        let membership = Array2::from_shape_fn((slice_of.len(), groups.len()), |(group, slice)| {
            f32::from(slice_of[group] == slice as f64)
        });
        let views: Vec<_> = groups.iter().map(|group| group.states.view()).collect();
        let all_states = ndarray::concatenate(Axis(0), &views).expect("states have one width");
        let centres: Vec<f64> = groups.iter().map(|group| group.mean_time).collect();
        let steps = centres.windows(2).map(|pair| (pair[1] - pair[0]).max(LEAST_STEP)).collect::<Vec<_>>();
        Self {
            slices,
            states: arrays::matrix(all_states.view(), device),
            times: column(per_group(&|slice, group| groups[slice].time[group])),
            narrowness: arrays::row(&per_group(&|slice, _| 0.5 / groups[slice].width), device),
            membership: arrays::matrix(membership.view(), device),
            slice_times: arrays::row(&centres[..centres.len() - 1], device),
            slice_steps: arrays::row(&steps, device),
            numbers: arrays::row(&(0..groups.len()).map(|slice| slice as f64).collect::<Vec<_>>(), device),
        }
    }

    /// The same on the graph of a module that is trained.
    pub(super) fn autodiff(self) -> Self {
        let slice = |Slice { weights, tau }| Slice { weights: weights.autodiff(), tau: tau.autodiff() };
        Self {
            slices: self.slices.into_iter().map(slice).collect(),
            states: self.states.autodiff(),
            times: self.times.autodiff(),
            narrowness: self.narrowness.autodiff(),
            membership: self.membership.autodiff(),
            slice_times: self.slice_times.autodiff(),
            slice_steps: self.slice_steps.autodiff(),
            numbers: self.numbers.autodiff(),
        }
    }

    /// Mean state of each group but the root, `[n_groups, n_latent]`.
    pub(super) fn states(&self) -> Tensor<2> {
        let [groups, width] = self.states.dims();
        self.states.clone().slice([1..groups, 0..width])
    }

    /// What cells at times `t`, `[batch, 1]`, in states `c`, `[batch, n_latent]`, descend from: the weight of each group,
    /// `[batch, 1 + n_groups]`, and the mean time of the ancestors, `[batch, 1]`.
    ///
    /// With λ the place of t among the slices, which rises by 1 from one slice to the next, ancestors are at λ − 1: between
    /// two slices, those of both, each in the measure in which it is near. So the state from which a cell starts moves with its time.
    pub(super) fn descend(&self, t: &Tensor<2>, c: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let along = ((t.clone() - self.slice_times.clone()) / self.slice_steps.clone()).clamp(0.0, 1.0);
        let place = activation::relu(along.sum_dim(1) - 1.0);
        let of_slices = activation::relu(-(place - self.numbers.clone()).abs() + 1.0);
        let squares = |of: &Tensor<2>| of.clone().square().sum_dim(1);
        let product = c.clone().matmul(self.states.clone().transpose());
        let distance = squares(c) + squares(&self.states).transpose() - product * 2.0;
        let kernel = (-(distance * self.narrowness.clone()).clamp(0.0, FAR)).exp();
        let within = kernel.clone().matmul(self.membership.clone());
        let share = (of_slices / within).matmul(self.membership.clone().transpose());
        let weights = kernel * share;
        let time = weights.clone().matmul(self.times.clone());
        (weights, time)
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
        for slice in &self.slices {
            let groups = slice.tau.dims()[0];
            let before = |of: &[Tensor<2>]| slice.weights.clone().matmul(of.last().expect("the root").clone());
            let (u0, s0) = (before(&all_u), before(&all_s));
            let alpha = alpha.clone().narrow(0, at, groups);
            let (u, s) = kinetics::solve(&slice.tau, u0, s0, alpha, &rates.beta, &rates.gamma);
            all_u.push(u);
            all_s.push(s);
            at += groups;
        }
        (Tensor::cat(all_u, 0), Tensor::cat(all_s, 0))
    }
}

impl Groups {
    /// The root, at time 0.
    fn root(n_latent: usize) -> Self {
        Self { time: Array1::zeros(1), states: Array2::zeros((1, n_latent)), width: 1.0, mean_time: 0.0 }
    }

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
        let mean_time = cells.iter().map(|&cell| time[cell]).sum::<f64>() / cells.len() as f64;
        let mut groups = Self { time: members.iter().map(time_of).collect(), states: stacked, width: 1.0, mean_time };
        groups.width = groups.bandwidth(cells, states);
        groups
    }

    /// Weights of the groups as ancestors of something in state `state`.
    fn weights(&self, state: ArrayView1<'_, f32>) -> Array1<f64> {
        let distances: Vec<f64> = self.states.rows().into_iter().map(|of| f64::from(squared(of, state))).collect();
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        let weights: Array1<f64> = distances.iter().map(|d| (-(d - least) / (2.0 * self.width)).exp()).collect();
        &weights / weights.sum()
    }

    /// Squared width of the kernel: the mean squared distance of the cells from their group.
    fn bandwidth(&self, cells: &[usize], states: &Array2<f32>) -> f64 {
        let distance = |&cell: &usize| {
            let all = self.states.rows().into_iter().map(|of| f64::from(squared(of, states.row(cell))));
            all.fold(f64::INFINITY, f64::min)
        };
        (cells.iter().map(distance).sum::<f64>() / cells.len() as f64).max(LEAST_WIDTH)
    }
}

fn squared(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}
