//! What the fit of one gene comes to.

use serde::{Deserialize, Serialize};

use super::assign::BranchTimes;
use super::curve::Params;

/// How the fit of a gene ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    /// Not among the genes to fit.
    #[default]
    NotSelected,
    /// Fewer than three cells have both species, or an abundance is not finite.
    TooFewCells,
    /// No curve can be told: an abundance is the same in all cells, or parameters left the positive numbers.
    Degenerate,
    /// The loss still fell when the rounds were over; the fit is used.
    NotConverged,
    /// Fitted.
    Fitted,
}

impl Status {
    /// All, with the words that are written.
    pub(super) const ALL: [(Self, &'static str); 5] = [
        (Self::Fitted, "fitted"),
        (Self::NotConverged, "not converged"),
        (Self::TooFewCells, "too few cells"),
        (Self::Degenerate, "degenerate"),
        (Self::NotSelected, "not selected"),
    ];

    /// Whether there are parameters.
    pub(super) fn has_fit(self) -> bool {
        matches!(self, Self::Fitted | Self::NotConverged)
    }
}

/// A gene's parameters, and its columns of the layers; these are empty if it has no fit.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct GeneFit {
    pub row: Row,
    pub layers: Option<Layers>,
}

/// Columns of the layers, `[n_obs]` each.
#[derive(Serialize, Deserialize)]
pub(super) struct Layers {
    pub velocity: Vec<f64>,
    pub velocity_u: Vec<f64>,
    /// Neighbour-averaged time.
    pub t: Vec<f64>,
    /// Times on both branches.
    pub branches: BranchTimes,
}

/// Numbers of one gene; NaN without a fit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub status: Status,
    /// On the common clock.
    pub params: Params,
    pub likelihood: f64,
    pub variance: f64,
    pub std_u: f64,
    pub std_s: f64,
    pub pval_steady: f64,
    /// Abundances at the upper modes.
    pub steady_u: f64,
    pub steady_s: f64,
    pub alignment_scaling: f64,
    /// Time of switching on, where genes share a clock.
    pub t_on: f64,
    pub loss: f64,
    pub start_loss: f64,
}

impl Default for Row {
    fn default() -> Self {
        const NAN: f64 = f64::NAN;
        Self {
            status: Status::NotSelected,
            params: Params { alpha: NAN, beta: NAN, gamma: NAN, scaling: NAN, t_switch: NAN },
            likelihood: NAN,
            variance: NAN,
            std_u: NAN,
            std_s: NAN,
            pval_steady: NAN,
            steady_u: NAN,
            steady_s: NAN,
            alignment_scaling: NAN,
            t_on: NAN,
            loss: NAN,
            start_loss: NAN,
        }
    }
}
