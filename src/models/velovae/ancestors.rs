//! Initial conditions of each cell from its ancestors (paper 3.4, second stage).
//!
//! A cell's ancestors are training cells in a window of time before it. Their mean abundances and their mean time are
//! the cell's `(u₀, s₀, t₀)`: the ODE then only has to bridge a short stretch, along which the cell's own
//! transcription rate `α ρ(c)` is nearly constant. Among the cells of the window those nearest in the space of cell
//! states are taken, so that the two sides of a branch point do not mix.
//!
//! A window is counted in cells, in order of time: it holds a fixed share of them, however unevenly they lie in time.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, CowArray};
use rayon::prelude::*;

use super::initial::InitialConditions;
use super::reconstruction::Reconstruction;
use super::settings::{Initial, Space, Velovae};
use crate::data::Dataset;
use crate::train::Split;

/// Initial conditions of all cells from `fitted`, what the model says before the round.
pub(super) fn estimate(
    settings: &Velovae,
    fitted: &Reconstruction,
    scaling: &Array1<f32>,
    data: &Dataset,
    split: &Split,
) -> InitialConditions {
    let states = fitted.state.as_ref().expect("the full model has states");
    let observed_u = || &data.mu / scaling;
    let (u, s) = match settings.initial {
        Initial::Reconstructed => (CowArray::from(&fitted.u), CowArray::from(&fitted.s)),
        Initial::Observed => (CowArray::from(observed_u()), CowArray::from(&data.ms)),
    };
    let timeline = Timeline::new(&fitted.time, &split.train);
    let means: Vec<Origin> = (0..data.n_obs())
        .into_par_iter()
        .map(|cell| {
            let (ancestors, t0) = timeline.ancestors(settings, cell, &fitted.time, states);
            Origin { u0: mean_of(u.view(), &ancestors), s0: mean_of(s.view(), &ancestors), t0 }
        })
        .collect();
    let stack = |pick: fn(&Origin) -> &Array1<f32>| {
        let mut stacked = Array2::zeros((data.n_obs(), data.n_vars()));
        stacked.rows_mut().into_iter().zip(&means).for_each(|(mut row, origin)| row.assign(pick(origin)));
        stacked
    };
    InitialConditions {
        u0: stack(|origin| &origin.u0),
        s0: stack(|origin| &origin.s0),
        t0: Array2::from_shape_fn((data.n_obs(), 1), |(cell, _)| means[cell].t0),
    }
}

/// Where one cell starts.
struct Origin {
    u0: Array1<f32>,
    s0: Array1<f32>,
    t0: f32,
}

fn mean_of(values: ArrayView2<'_, f32>, cells: &[usize]) -> Array1<f32> {
    let mut sum: Array1<f64> = Array1::zeros(values.ncols());
    for &cell in cells {
        sum.zip_mut_with(&values.row(cell), |sum, &value| *sum += f64::from(value));
    }
    sum.mapv(|sum| (sum / cells.len() as f64) as f32)
}

/// Training cells in order of time.
struct Timeline {
    /// Cells by rising time.
    order: Vec<usize>,
    /// Their times.
    times: Vec<f32>,
}

impl Timeline {
    fn new(time: &Array1<f64>, train: &[usize]) -> Self {
        let mut order = train.to_vec();
        order.sort_by(|&a, &b| time[a].total_cmp(&time[b]).then(a.cmp(&b)));
        let times = order.iter().map(|&cell| time[cell] as f32).collect();
        Self { order, times }
    }

    /// Ancestors of `cell` and their mean time.
    ///
    /// The window lies between shares `window[0]` and `window[1]` of all training cells before the cell. Where it
    /// holds too few cells it grows: up to the cell itself, then backwards. The earliest cells descend from the
    /// earliest hundredth of cells, at a time before them by the share `window[1]` of the range of times.
    fn ancestors(
        &self,
        settings: &Velovae,
        cell: usize,
        time: &Array1<f64>,
        states: &Array2<f32>,
    ) -> (Vec<usize>, f32) {
        let count = self.order.len();
        let before = self.times.partition_point(|&known| f64::from(known) < time[cell]);
        let share = |fraction: f64| (fraction * count as f64).round() as usize;
        let [far, near] = settings.window.map(share);
        let (mut from, mut to) = (before.saturating_sub(far), before.saturating_sub(near));
        let wanted = settings.n_ancestors.min(count);
        if to - from < wanted {
            to = before;
            from = from.min(to.saturating_sub(wanted));
        }
        if to - from < wanted {
            let earliest = share(0.01).clamp(1, count);
            let breadth = f64::from(self.times[count - 1] - self.times[0]) * settings.window[1];
            return (self.order[..earliest].to_vec(), self.times[0] - breadth as f32);
        }
        let mut candidates: Vec<usize> = (from..to).collect();
        if settings.initial_space == Space::TimeAndState {
            let distance = |at: &usize| squared_distance(states.row(self.order[*at]), states.row(cell));
            candidates.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)));
            candidates.truncate(wanted);
        }
        let mean_time = candidates.iter().map(|&at| f64::from(self.times[at])).sum::<f64>() / candidates.len() as f64;
        (candidates.into_iter().map(|at| self.order[at]).collect(), mean_time as f32)
    }
}

fn squared_distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}
