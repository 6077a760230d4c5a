//! Where the rates start: from the cells in which a gene is most unspliced.

use ndarray::{Array2, ArrayView1};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::settings::{Init, Velovi};
use crate::data::Dataset;
use crate::stats::median;

/// Share of the cells that count as the top.
const TOP: f64 = 0.01;
/// An abundance below this counts as this, so that a gene which is silent in the top cells has a finite start.
const LEAST: f64 = 1e-4;
/// Bounds of the rates.
pub(super) const MOST_RATE: f64 = 50.0;

/// Start values before they are constrained, `[n_vars]` each.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Median of u over the top cells, and of s.
    pub(super) top_u: Vec<f64>,
    pub(super) top_s: Vec<f64>,
    pub(super) alpha_raw: Vec<f64>,
    pub(super) beta_raw: Vec<f64>,
    pub(super) gamma_raw: Vec<f64>,
    pub(super) switch_raw: Vec<f64>,
    /// Softplus of it is the variance of u, and of s.
    pub(super) variance_raw: Vec<f64>,
}

impl Start {
    /// From the moments of all cells.
    pub(super) fn new(settings: &Velovi, data: &Dataset, rng: ChaCha8Rng) -> Self {
        let n_vars = data.n_vars();
        let column = |matrix: &Array2<f32>, gene: usize| numbers(matrix.column(gene));
        let top: Vec<(f64, f64)> = (0..n_vars)
            .into_par_iter()
            .map(|gene| medians_at_the_top(&column(&data.mu, gene), &column(&data.ms, gene)))
            .collect();
        let (top_u, top_s) = top.into_iter().unzip();
        Self::from_top(settings, top_u, top_s, rng)
    }

    /// From the abundances of the top cells.
    pub(super) fn from_top(settings: &Velovi, top_u: Vec<f64>, top_s: Vec<f64>, mut rng: ChaCha8Rng) -> Self {
        let n_vars = top_u.len();
        let all = |value: f64| vec![value; n_vars];
        let of_ratio = |(u, s): (&f64, &f64)| inverse_softplus((u.max(LEAST) / s.max(LEAST)).min(10.0));
        let gamma_of_data = || top_u.iter().zip(&top_s).map(of_ratio).collect();
        let (beta, gamma, switch, variance) = match settings.init {
            Init::Shipped => {
                (0.5, -1.0, (0..n_vars).map(|_| 7.0 + 0.5 * rng.sample::<f64, _>(StandardNormal)).collect(), -1.0)
            }
            Init::Seed => {
                let raw = inverse_softplus;
                (raw(0.1), raw(0.05), all(raw(settings.t_max / 2.0)), raw(0.1 * 0.1))
            }
        };
        Self {
            alpha_raw: top_u.iter().map(|&u| inverse_softplus(u.clamp(LEAST, MOST_RATE))).collect(),
            beta_raw: all(beta),
            gamma_raw: if settings.gamma_from_data { gamma_of_data() } else { all(gamma) },
            switch_raw: switch,
            variance_raw: all(variance),
            top_u,
            top_s,
        }
    }
}

fn numbers(column: ArrayView1<'_, f32>) -> Vec<f64> {
    column.iter().map(|&value| f64::from(value)).collect()
}

/// Medians of u and of s over the cells of rank `⌊0.99 n⌋` and above in u; cells with the same u are in their order.
fn medians_at_the_top(u: &[f64], s: &[f64]) -> (f64, f64) {
    let mut order: Vec<usize> = (0..u.len()).collect();
    order.sort_by(|&a, &b| u[a].total_cmp(&u[b]));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the cells")]
    let first = ((1.0 - TOP) * u.len() as f64) as usize;
    let of = |values: &[f64]| median(&order[first..].iter().map(|&cell| values[cell]).collect::<Vec<_>>());
    (of(u), of(s))
}

/// `ln(eˣ − 1)`, of which softplus is x.
fn inverse_softplus(x: f64) -> f64 {
    if x > 20.0 { x } else { x.exp_m1().ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gene_that_is_silent_at_the_top_has_a_finite_start() {
        let start = Start::from_top(
            &Velovi { gamma_from_data: true, ..Velovi::default() },
            vec![0.0, 0.9],
            vec![0.0, 0.8],
            crate::data::stream(0, "start", 0),
        );
        let raw = start.alpha_raw.iter().chain(&start.gamma_raw).chain(&start.switch_raw);
        assert!(raw.clone().all(|value| value.is_finite()), "{start:?}");
        assert!((start.alpha_raw[1].exp().ln_1p() - 0.9).abs() < 1e-12);
    }

    #[test]
    fn the_top_is_the_last_hundredth_by_unspliced_abundance() {
        let u: Vec<f64> = (0..300).map(f64::from).collect();
        let s: Vec<f64> = (0..300).map(|cell| f64::from(300 - cell)).collect();
        assert_eq!(medians_at_the_top(&u, &s), (298.0, 2.0));
    }
}
