//! How well the reconstruction of a neural model fits each gene.

use ndarray::{Array1, Array2};

/// How well each gene is fitted.
pub(super) struct Quality {
    /// scVelo's score, in which the residual variance is measured in units of the data's own spread.
    pub(super) likelihood: Array1<f64>,
    /// Genes with R² > 0 of the fit.
    pub(super) velocity_genes: Vec<bool>,
}

impl Quality {
    /// - `mu`, `ms`: moments; `fit_u`, `fit_s`: in their units; `[n_obs, n_vars]` each
    pub(super) fn new([mu, ms]: [&Array2<f32>; 2], fit_u: &Array2<f32>, fit_s: &Array2<f32>) -> Self {
        let per_gene: Vec<(f64, bool)> = (0..ms.ncols())
            .map(|gene| {
                let pairs = |observed: &Array2<f32>, fitted: &Array2<f32>| -> Vec<(f64, f64)> {
                    let column = observed.column(gene);
                    column.iter().zip(fitted.column(gene)).map(|(&o, &f)| (f64::from(o), f64::from(f))).collect()
                };
                score(&pairs(mu, fit_u), &pairs(ms, fit_s))
            })
            .collect();
        let mut velocity_genes: Vec<bool> = per_gene.iter().map(|(_, explained)| *explained).collect();
        if velocity_genes.iter().filter(|&&explained| explained).count() < 2 {
            velocity_genes.fill(true);
        }
        Self { likelihood: per_gene.iter().map(|(likelihood, _)| *likelihood).collect(), velocity_genes }
    }
}

/// scVelo's likelihood of one gene (`exp(−Σ D / 2 n σ²) / √(2π σ²)` with `D` the squared distance in units of the
/// data's s.d. and `σ²` its variance) and whether the fit explains part of the variance of both species.
fn score(unspliced: &[(f64, f64)], spliced: &[(f64, f64)]) -> (f64, bool) {
    let count = unspliced.len() as f64;
    let variance = |pairs: &[(f64, f64)]| {
        let mean = pairs.iter().map(|(observed, _)| observed).sum::<f64>() / count;
        pairs.iter().map(|(observed, _)| (observed - mean).powi(2)).sum::<f64>() / count
    };
    let residual = |pairs: &[(f64, f64)]| pairs.iter().map(|(o, f)| (o - f).powi(2)).sum::<f64>() / count;
    let (var_u, var_s) = (variance(unspliced), variance(spliced));
    if var_u <= 0.0 || var_s <= 0.0 {
        return (0.0, false);
    }
    let distances = unspliced.iter().zip(spliced).map(|((u, fit_u), (s, fit_s))| {
        let (du, ds) = ((fit_u - u) / var_u.sqrt(), (fit_s - s) / var_s.sqrt());
        (du * du + ds * ds, ds.signum())
    });
    let (total, signed) =
        distances.fold((0.0, 0.0), |(total, signed), (d, sign)| (total + d, signed + sign * d.sqrt()));
    let spread = (total / count - (signed / count).powi(2)).max(1e-12);
    let likelihood = (-total / (2.0 * count * spread)).exp() / (2.0 * std::f64::consts::PI * spread).sqrt();
    (likelihood, residual(unspliced) < var_u && residual(spliced) < var_s)
}
