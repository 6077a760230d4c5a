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
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::parts::NaturalRates;
use crate::nn::arrays;
use crate::nn::fused::solve::solve;

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
    /// Share of each lineage with rates of its own in each group, `[n_groups, n_lineages]`, if there are any.
    shares: Option<Tensor<2>>,
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
    /// Cells of each group.
    members: Vec<Vec<usize>>,
    time: Array1<f64>,
    states: Array2<f32>,
    /// Squared width of the kernel.
    width: f64,
    /// Mean time of its cells.
    mean_time: f64,
}

impl Lineage {
    /// From the times, `[n_obs]`, the states, `[n_obs, n_latent]`, and the shares of lineages, `[n_obs, n_lineages]`, of all cells;
    /// groups are of cells of `train`.
    pub(super) fn new(
        time: &Array1<f64>,
        states: &Array2<f32>,
        lineages: Option<&Array2<f32>>,
        train: &[usize],
        device: &Device,
    ) -> Self {
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
        let slice_of: Vec<usize> =
            groups.iter().enumerate().flat_map(|(slice, of)| vec![slice; of.time.len()]).collect();
        let membership =
            Array2::from_shape_fn((slice_of.len(), groups.len()), |(group, slice)| f32::from(slice_of[group] == slice));
        let views: Vec<_> = groups.iter().map(|group| group.states.view()).collect();
        let all_states = ndarray::concatenate(Axis(0), &views).expect("states have one width");
        let centres: Vec<f64> = groups.iter().map(|group| group.mean_time).collect();
        let steps = centres.windows(2).map(|pair| (pair[1] - pair[0]).max(LEAST_STEP)).collect::<Vec<_>>();
        let of_group = |members: &Vec<usize>, shares: &Array2<f32>| {
            shares.select(Axis(0), members).mean_axis(Axis(0)).expect("a group has cells").to_vec()
        };
        let shares = lineages.map(|shares| {
            let rows: Vec<f32> =
                groups[1..].iter().flat_map(|of| &of.members).flat_map(|of| of_group(of, shares)).collect();
            let shape = (rows.len() / shares.ncols(), shares.ncols());
            arrays::matrix(ArrayView2::from_shape(shape, &rows).expect("a row for each group"), device)
        });
        Self {
            shares,
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
            shares: self.shares.map(Tensor::autodiff),
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
        let (beta, gamma) = rates.of(self.shares.as_ref());
        let rows = |rate: &Tensor<2>, at: usize, groups: usize| match self.shares {
            Some(_) => rate.clone().narrow(0, at, groups),
            None => rate.clone(),
        };
        for slice in &self.slices {
            let groups = slice.tau.dims()[0];
            let before = |of: &[Tensor<2>]| slice.weights.clone().matmul(of.last().expect("the root").clone());
            let (u0, s0) = (before(&all_u), before(&all_s));
            let alpha = alpha.clone().narrow(0, at, groups);
            let (u, s) = solve(&slice.tau, u0, s0, alpha, &rows(&beta, at, groups), &rows(&gamma, at, groups));
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
        Self {
            members: Vec::new(),
            time: Array1::zeros(1),
            states: Array2::zeros((1, n_latent)),
            width: 1.0,
            mean_time: 0.0,
        }
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
            for &cell in cells {
                members[nearest(&centres, cell).0].push(cell);
            }
            members.retain(|of| !of.is_empty());
            centres = members.iter().map(|of| mean_of(of)).collect();
        }
        let time_of = |of: &Vec<usize>| of.iter().map(|&cell| time[cell]).sum::<f64>() / of.len() as f64;
        let mut stacked = Array2::zeros((centres.len(), states.ncols()));
        stacked.rows_mut().into_iter().zip(&centres).for_each(|(mut row, centre)| row.assign(centre));
        let mean_time = cells.iter().map(|&cell| time[cell]).sum::<f64>() / cells.len() as f64;
        let time = members.iter().map(time_of).collect();
        let mut groups = Self { members, time, states: stacked, width: 1.0, mean_time };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinetics::{Rates, State};

    /// Under one transcription rate the slices add up to one solution of the ODE from the root, wherever they are cut.
    #[test]
    fn slices_of_one_history_add_up_to_it() {
        let device = Device::flex();
        let (n_cells, rates) = (240, Rates { alpha: 3.0, beta: 0.8, gamma: 0.3 });
        let time: Array1<f64> = (0..n_cells).map(|cell| f64::from(cell) * 0.05).collect();
        let states = Array2::zeros((time.len(), 2));
        let train: Vec<usize> = (0..time.len()).collect();
        let lineage = Lineage::new(&time, &states, None, &train, &device);
        let one = |value: f64| Tensor::<2>::full([1, 1], value, &device);
        let natural = NaturalRates {
            alpha: one(rates.alpha),
            beta: one(rates.beta),
            gamma: one(rates.gamma),
            on_off: None,
            root: None,
        };
        let n_groups = lineage.states().dims()[0];
        let alpha = Tensor::full([n_groups, 1], rates.alpha, &device);
        let (u, s) = lineage.carry((one(1.0), one(2.0)), &alpha, &natural);
        let (u, s) = (arrays::to_array1(u), arrays::to_array1(s));
        let times = arrays::to_array1(lineage.times.clone());
        assert_eq!(times.len(), SLICES + 1);
        for group in 0..times.len() {
            let wanted = crate::kinetics::solve(times[group], State { u: 1.0, s: 2.0 }, rates);
            assert!((u[group] - wanted.u).abs() < 1e-5 * wanted.u, "{} {}", u[group], wanted.u);
            assert!((s[group] - wanted.s).abs() < 1e-5 * wanted.s, "{} {}", s[group], wanted.s);
        }
    }

    #[test]
    fn a_cell_descends_from_groups_before_it_in_its_own_branch() {
        let device = Device::flex();
        // Two branches that are apart from the beginning.
        let time: Array1<f64> = (0..400).map(|cell| f64::from(cell / 2) * 0.1).collect();
        let side = |cell: usize| if cell.is_multiple_of(2) { 1.0 } else { -1.0 };
        let states = Array2::from_shape_fn((400, 2), |(cell, axis)| if axis == 0 { side(cell) } else { 0.0 });
        let train: Vec<usize> = (0..400).collect();
        let lineage = Lineage::new(&time, &states, None, &train, &device);
        let cells = [300, 301];
        let t = arrays::row(&cells.map(|cell| time[cell]), &device).reshape([2, 1]);
        let c = arrays::matrix(states.select(Axis(0), &cells).view(), &device);
        let (weights, before) = lineage.descend(&t, &c);
        let (weights, before) = (arrays::to_array(weights), arrays::to_array1(before));
        let of_groups = arrays::to_array(lineage.states.clone());
        for (at, &cell) in cells.iter().enumerate() {
            assert!((weights.row(at).sum() - 1.0).abs() < 1e-5);
            assert!(before[at] < time[cell] && before[at] > time[cell] - 3.0, "{} {}", before[at], time[cell]);
            let across: f32 = (0..weights.ncols())
                .filter(|&group| of_groups[[group, 0]] * states[[cell, 0]] < 0.0)
                .map(|group| weights[[at, group]])
                .sum();
            assert!(across < 1e-6, "{across}");
        }
    }
}
