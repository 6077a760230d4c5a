//! From first times to the end of the rounds; the same for one gene and for all.

use ndarray::{Array2, ArrayView2, Axis};

use super::super::settings::{Likelihood, SoftGrid, TimePrior};
use super::capture::Capture;
use super::gene::{Gene, Noise};
use super::mixture::{self, History, Mixture, Rounds, Spread};
use super::model::Model;
use super::start::Start;
use crate::error::Result;

/// A gene that can be fitted: its place, its abundances as the model has them, where it starts.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Position among the kept genes.
    pub index: usize,
    pub start: Start,
    /// The scaled gene before any curve was fitted to its cells' times.
    pub gene: Gene,
}

/// What all fits have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub settings: &'a SoftGrid,
    /// `t_j`.
    pub grid: &'a [f64],
    pub capture: Option<&'a Capture>,
}

/// A fit, begun or finished.
#[derive(Clone, Debug)]
pub(super) struct Fitted<'a> {
    pub model: Model<'a>,
    pub spread: Spread,
    pub history: History,
}

/// Steps of the search for first curves.
const SEARCH: usize = 25;

impl Setting<'_> {
    /// π before any cell was looked at.
    pub(super) fn spread(&self) -> Spread {
        let SoftGrid { smoothing, time_prior, .. } = *self.settings;
        let learned = time_prior == TimePrior::Learned;
        match self.capture {
            Some(capture) => Spread::grouped(capture.log_weights(self.grid), capture.group.clone(), smoothing, learned),
            None => Spread::even(self.grid.len(), smoothing, learned),
        }
    }

    /// `genes`, which are the `columns` of `moments`, on the curves that agree best with the first times that `first` gives:
    /// logarithms of each cell's weights over the grid, up to a constant.
    pub(super) fn begin<'m>(
        &self,
        moments: [ArrayView2<'m, f32>; 2],
        (genes, columns): (Vec<Gene>, Vec<usize>),
        first: impl Fn(usize) -> Vec<f64> + Sync,
    ) -> Fitted<'m> {
        let spread = self.spread();
        let mut model = Model::new(moments, columns, self.grid.to_vec(), genes, Noise::Learned);
        let found = mixture::collect(&model, &spread, |rows| {
            let mut q = Array2::zeros((rows.len(), self.grid.len()));
            for (i, mut row) in rows.zip(q.axis_iter_mut(Axis(0))) {
                let mut weights = first(i);
                mixture::normalize(&mut weights);
                row.iter_mut().zip(weights).for_each(|(q, weight)| *q = weight);
            }
            (q, 0.0)
        });
        model.search(&found.shares.sum_axis(Axis(0)).to_vec(), &found.sums, SEARCH);
        if self.settings.likelihood == Likelihood::Seed {
            model.fix_noise();
        }
        Fitted { model, spread, history: History::default() }
    }
}

impl Fitted<'_> {
    /// Goes on until `most` rounds lie behind, or F rises by less than a part `tolerance` in one. `after` hears of every round.
    pub(super) fn advance(
        &mut self,
        most: usize,
        tolerance: f64,
        after: impl FnMut(usize, f64) -> Result<()>,
    ) -> Result<()> {
        let rounds = Rounds { most, tolerance };
        mixture::run(&mut self.model, &mut self.spread, rounds, &mut self.history, after)
    }

    /// Number of cells.
    pub(super) fn n_obs(&self) -> usize {
        self.model.dim().0
    }

    /// Whether F and all parameters are numbers.
    pub(super) fn is_finite(&self) -> bool {
        self.history.last().is_finite() && self.model.genes.iter().all(Gene::is_finite)
    }
}
