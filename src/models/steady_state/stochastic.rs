//! The equation of the second moments.
//!
//! `Mus` and `Mss` are moments of counts. Where `Mu` and `Ms` were scaled to `(moment − min) / span`, the equation
//! `y₂ ≈ γ x₂` in counts becomes one for the slope of the scaled moments, `γ span_s / span_u`, once y₂ is divided by
//! `span_u` and x₂ by `span_s`.

use ndarray::Array2;

use crate::data::MomentScaling;
use crate::preprocess::lines::{Extremes, GeneMoments, Line};
use crate::stats::{count, std_dev};

/// Second moments `(Mus, Mss)` of all genes, `[n_obs, n_vars]`, in squared counts.
#[derive(Clone, Copy)]
pub(super) struct Second<'a> {
    pub(super) us: &'a Array2<f32>,
    pub(super) ss: &'a Array2<f32>,
    /// How the first moments were scaled, if they were.
    pub(super) scaling: Option<&'a MomentScaling>,
}

impl Second<'_> {
    /// `(x₂, y₂)` of cell `i` in `gene`, whose first moments are `u` and `s`.
    fn equation(self, i: usize, gene: usize, u: f64, s: f64) -> (f64, f64) {
        let [us, ss] = [self.us, self.ss].map(|moments| f64::from(moments[[i, gene]]));
        let Some(MomentScaling { mu, ms }) = self.scaling else {
            return (2.0 * ss - s, 2.0 * us + u);
        };
        let (u, s) = (mu.restored(gene, u), ms.restored(gene, s));
        ((2.0 * ss - s) / ms.span[gene], (2.0 * us + u) / mu.span[gene])
    }

    /// Residual of the equation in centred moments, `(y₂ − γ x₂) − 2 s v`, of cell `i` in `gene`, whose first moments are
    /// `u` and `s`; v is their distance from `line`. In units of the product of both.
    pub(super) fn centred_residual(self, i: usize, gene: usize, line: Line, [u, s]: [f64; 2]) -> f64 {
        let (x2, y2) = self.equation(i, gene, u, s);
        let uncentred = y2 - line.slope * x2;
        let velocity = line.residual(u, s);
        match self.scaling {
            None => uncentred - 2.0 * s * velocity,
            Some(MomentScaling { ms, .. }) => (uncentred - 2.0 * ms.restored(gene, s) * velocity) / ms.span[gene],
        }
    }
}

/// The line that satisfies the equations of first and second moments, each divided by the s.d. of its residual: that of
/// the first from `start`, that of the second from its own least squares.
///
/// `start` is returned where a residual does not vary, so that one equation holds exactly or says nothing.
pub(super) fn stochastic_line(
    first: &GeneMoments,
    second: Second<'_>,
    gene: usize,
    start: Line,
    extremes: Extremes,
) -> Line {
    let cells = first.u.iter().zip(&first.s).enumerate();
    let (x2, y2): (Vec<f64>, Vec<f64>) = cells.map(|(i, (&u, &s))| second.equation(i, gene, u, s)).unzip();
    let second = GeneMoments { u: y2, s: x2 };
    let second_line = second.line(|_| true, false);
    let std = |residuals: Vec<f64>| std_dev(&residuals, 0);
    let (std_1, std_2) = (std(first.residuals(start)), std(second.residuals(second_line)));
    if !(std_1 > 0.0 && std_2 > 0.0 && std_1.is_finite() && std_2.is_finite()) {
        return start;
    }

    let (by_both, by_spliced) = (first.extreme_cells(extremes), extremes.of(&first.s));
    let weights = [std_1.powi(-2), std_2.powi(-2)];
    let (mut sum_u, mut sum_s, mut sum_xy, mut sum_xx) = (0.0, 0.0, 0.0, 0.0);
    for (i, (u, s)) in first.u.iter().zip(&first.s).enumerate() {
        if by_both[i] || by_spliced[i] {
            sum_u += weights[0] * u;
            sum_s += weights[0] * s;
            sum_xy += weights[0] * u * s;
            sum_xx += weights[0] * s * s;
        }
        sum_xy += weights[1] * second.u[i] * second.s[i];
        sum_xx += weights[1] * second.s[i] * second.s[i];
    }
    if !extremes.fit_offset {
        return Line { slope: sum_xy / sum_xx, offset: 0.0 }.determined();
    }
    // As in scVelo, cells that are not extreme still vote for an offset of 0 here: u and s are zeroed, the ones are not.
    let sum_one = weights[0] * count(first.u.len());
    let determinant = sum_one * sum_xx - sum_s * sum_s;
    let slope = (sum_one * sum_xy - sum_s * sum_u) / determinant;
    let offset = (sum_xx * sum_u - sum_s * sum_xy) / determinant;
    Line { slope, offset }.determined()
}
