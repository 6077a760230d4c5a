//! What a fit minimises, and the likelihood by which genes are compared.
//!
//! ```text
//! L = Σ du² + ds² + reg²          over the counted cells
//! du = (û − u')·scaling / σ_u     ds = (ŝ − s) / σ_s     reg = (γ/β − ρ₀)·s / σ_s
//! ```
//!
//! with ρ₀ the ratio γ/β at the start: the slope of the steady-state line is not given up for less.
//!
//! Source: Bergen et al. 2020, Methods (equation 9 and "likelihood"); scVelo 0.3 `BaseDynamics.get_dists`.

use super::curve::{Curve, Params, States};
use super::gene::Gene;

/// Residuals of one cell, in units of the spreads.
#[derive(Clone, Copy)]
struct Residual {
    du: f64,
    ds: f64,
    reg: f64,
}

/// Residuals of `cells` at times `t`.
fn residuals<'a>(
    gene: &'a Gene,
    params: &'a Params,
    ratio: Option<f64>,
    t: &'a [f64],
    cells: &'a [u32],
) -> impl Iterator<Item = Residual> + 'a {
    let at: Vec<f64> = cells.iter().map(|&cell| t[cell as usize]).collect();
    let states = States::along(&Curve::new(params), &at);
    let pull = ratio.map_or(0.0, |ratio| params.gamma / params.beta - ratio);
    cells.iter().enumerate().map(move |(k, &cell)| {
        let (cell, fitted) = (cell as usize, states.at(k));
        Residual {
            du: (fitted.u * params.scaling - gene.u[cell]) / gene.std_u,
            ds: (fitted.s - gene.s[cell]) / gene.std_s,
            reg: pull * gene.s[cell] / gene.std_s,
        }
    })
}

/// `L`; `ratio` is ρ₀, none before it is known.
pub(super) fn loss(gene: &Gene, params: &Params, ratio: Option<f64>, t: &[f64]) -> f64 {
    residuals(gene, params, ratio, t, &gene.counted).map(|r| r.du * r.du + r.ds * r.ds + r.reg * r.reg).sum()
}

/// Spread of the distances to the curve, signed by ds, over the upper cells: `mean(D) − mean(sign(ds) √D)²` with
/// `D = du² + ds²`.
pub(super) fn variance(gene: &Gene, params: &Params, t: &[f64]) -> f64 {
    spread(residuals(gene, params, None, t, &gene.upper)).1
}

/// Likelihood of a gene, comparable between genes: with n the number of upper cells less a hundredth of all,
///
/// ```text
/// exp(−Σ D / (2 n var) − ln(2π var)/2),     D = du² + ds² + reg²
/// ```
pub(super) fn likelihood(gene: &Gene, params: &Params, ratio: f64, t: &[f64]) -> f64 {
    let (sum, variance) = spread(residuals(gene, params, Some(ratio), t, &gene.upper));
    let variance = if variance == 0.0 { 1.0 } else { variance };
    let n = (gene.upper.len() as f64 - 0.01 * gene.n_obs() as f64).max(2.0);
    (-0.5 * sum / (n * variance) - 0.5 * (std::f64::consts::TAU * variance).ln()).exp()
}

/// Sum of D, and the variance of the signed distances.
fn spread(residuals: impl Iterator<Item = Residual>) -> (f64, f64) {
    let (mut sum, mut signed, mut n) = (0.0, 0.0, 0.0);
    for r in residuals {
        let distance = r.du * r.du + r.ds * r.ds + r.reg * r.reg;
        sum += distance;
        signed += if r.ds == 0.0 { 0.0 } else { distance.sqrt().copysign(r.ds) };
        n += 1.0;
    }
    (sum, sum / n - (signed / n).powi(2))
}
