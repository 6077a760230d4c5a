//! The negative log-likelihood of moments under the splicing kinetics, in one step.
//!
//! For cell i and gene g, with `(u, s)` from [`crate::nn::kinetics::solve`],
//!
//! ```text
//! NLL = mean_i Σ_g [ ½ ((Mu − scaling u)/σ_u)² + ln σ_u + ½ ln 2π  +  ½ ((Ms − s)/σ_s)² + ln σ_s + ½ ln 2π ]
//! ```
//!
//! On burn's CPU backend, Flex, one pass over the batch gives the value and every gradient, on a GPU one kernel (`cube`); written
//! as tensor operations the same costs some thirty passes and as many temporaries. Other devices
//! get the tensor operations. All give the same numbers.
//!
//! Source: the likelihood of Gu et al. 2022 (VeloVAE), section 3.3, with fixed σ.

use burn::tensor::Tensor;

use crate::nn::flex::is_plain;
use crate::nn::kinetics;

mod advance;
mod blocks;
pub mod counts;
#[cfg(feature = "cube")]
mod cube;
pub mod dense;
mod dense_flex;
mod flex;
pub mod four_states;
mod kernel;
mod known;
pub mod solve;

/// What the kinetics are solved for. Gradients flow to every tensor that is tracked.
#[derive(Clone, Debug)]
pub struct Kinetics {
    /// Time since the start, `[n_cells, 1]` or `[n_cells, n_genes]`, non-negative.
    pub tau: Tensor<2>,
    /// Transcription rates, `[n_cells, n_genes]` or `[1, n_genes]`.
    pub alpha: Tensor<2>,
    /// `(u0, s0)` at the start, shaped like `alpha`; zero if none.
    pub start: Option<(Tensor<2>, Tensor<2>)>,
    /// Splicing rates, `[1, n_genes]`, positive.
    pub beta: Tensor<2>,
    /// Degradation rates, `[1, n_genes]`, positive.
    pub gamma: Tensor<2>,
}

/// What the solution is compared with. All constants: no gradient flows here.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Unspliced moments Mu, `[n_cells, n_genes]`.
    pub u: Tensor<2>,
    /// Spliced moments Ms, `[n_cells, n_genes]`.
    pub s: Tensor<2>,
    /// Factor from modelled to observed unspliced counts, `[n_genes]`.
    pub scaling: Tensor<1>,
    /// Noise s.d. of `u`, `[n_genes]`, positive.
    pub sigma_u: Tensor<1>,
    /// Noise s.d. of `s`, `[n_genes]`, positive.
    pub sigma_s: Tensor<1>,
}

/// The result of [`kinetic_nll`], each of shape `[1]`, in nats per cell.
#[derive(Clone, Debug)]
pub struct KineticNll {
    /// Sum of both parts; carries the gradient.
    pub total: Tensor<1>,
    /// The part of the unspliced moments, without gradient.
    pub unspliced: Tensor<1>,
    /// The part of the spliced moments, without gradient.
    pub spliced: Tensor<1>,
}

/// The negative log-likelihood of a batch: summed over genes, mean over cells.
///
/// Runs as one fused operation on a Flex device and on a GPU, and as [`composed_nll`] elsewhere (other backends,
/// other float types, gradient checkpointing); the two agree to 1e-6 (value) and 1e-5 (gradients).
///
/// # Panics
/// If the shapes are not those documented at [`Kinetics`] and [`Observed`], or the batch is empty.
#[must_use]
pub fn kinetic_nll(kinetics: Kinetics, observed: Observed) -> KineticNll {
    let kinetics = kinetics.over_cells(observed.u.dims());
    if all_match(&kinetics, &observed, is_plain, is_plain) {
        return flex::kinetic_nll(kinetics, observed);
    }
    #[cfg(feature = "cube")]
    if all_match(&kinetics, &observed, cube::is_on_gpu, cube::is_on_gpu) {
        return cube::kinetic_nll(kinetics, observed);
    }
    composed_nll(kinetics, observed)
}

/// [`kinetic_nll`] from tensor operations, on any device.
#[must_use]
pub fn composed_nll(kinetics: Kinetics, observed: Observed) -> KineticNll {
    let [n_cells, n_genes] = observed.u.dims();
    let kinetics = kinetics.over_cells([n_cells, n_genes]);
    let Kinetics { tau, alpha, start, beta, gamma } = kinetics;
    let (u0, s0) = start.unwrap_or_else(|| {
        let zero = alpha.zeros_like().without_autodiff();
        (zero.clone(), zero)
    });
    let (u_hat, s_hat) = kinetics::solve(&tau, u0, s0, alpha, &beta, &gamma);

    let part = |observed: Tensor<2>, modelled: Tensor<2>, sigma: Tensor<1>| {
        let sigma = sigma.without_autodiff();
        let z = (observed.without_autodiff() - modelled) / sigma.clone().unsqueeze();
        let normalizer = sigma.log().sum() + half_ln_tau() * n_genes as f64;
        z.square().sum() * (0.5 / n_cells as f64) + normalizer
    };
    let scaling = observed.scaling.without_autodiff().unsqueeze();
    let unspliced = part(observed.u, u_hat * scaling, observed.sigma_u);
    let spliced = part(observed.s, s_hat, observed.sigma_s);
    KineticNll {
        total: unspliced.clone() + spliced.clone(),
        unspliced: unspliced.without_autodiff(),
        spliced: spliced.without_autodiff(),
    }
}

/// Whether all tensors are `matrix`, or `row` if they have one axis.
fn all_match(
    kinetics: &Kinetics,
    observed: &Observed,
    matrix: fn(&Tensor<2>) -> bool,
    row: fn(&Tensor<1>) -> bool,
) -> bool {
    let Kinetics { tau, alpha, start, beta, gamma } = kinetics;
    let start = start.iter().flat_map(|(u0, s0)| [u0, s0]);
    let matrices = [tau, alpha, beta, gamma, &observed.u, &observed.s];
    matrices.into_iter().chain(start).all(matrix)
        && [&observed.scaling, &observed.sigma_u, &observed.sigma_s].into_iter().all(row)
}

/// ½ ln 2π.
fn half_ln_tau() -> f64 {
    0.5 * std::f64::consts::TAU.ln()
}

impl Kinetics {
    /// Spreads what is the same for all cells, and checks the shapes.
    fn over_cells(self, shape: [usize; 2]) -> Self {
        let [n_cells, n_genes] = shape;
        assert!(n_cells > 0 && n_genes > 0, "the batch has cells and genes, found {shape:?}");
        let tau = self.tau.dims();
        assert!(tau == [n_cells, 1] || tau == shape, "tau is [{n_cells}, 1] or {shape:?}, found {tau:?}");
        for (name, rate) in [("beta", &self.beta), ("gamma", &self.gamma)] {
            assert_eq!(rate.dims(), [1, n_genes], "shape of {name}");
        }
        let spread = |tensor: Tensor<2>| {
            if tensor.dims() == shape { tensor } else { tensor.expand(shape) }
        };
        Self { alpha: spread(self.alpha), start: self.start.map(|(u0, s0)| (spread(u0), spread(s0))), ..self }
    }
}
