//! The Dirichlet distribution of the state of a gene in a cell: divergence, mean logarithms, and draws that can be
//! differentiated.
//!
//! Concentrations are `[n_cells, n_states, n_genes]`; `A = Σ_k a_k`.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::counter::{Key, Law};
use super::flex;
use super::special::{digamma, ln_gamma};
use crate::simd::{Vectorized, exp_and_m1, ln, mul_add, vectorize};

/// Kullback–Leibler divergence of `Dirichlet(a)` from `Dirichlet(c)`, `[n_cells, n_genes]`, in nats; `C = Σ_k c_k`:
///
/// ```text
/// KL(a ‖ c) = ln Γ(A) − ln Γ(C) + Σ_k [ln Γ(c_k) − ln Γ(a_k)] + Σ_k (a_k − c_k) (ψ(a_k) − ψ(A))
/// ```
///
/// Never negative: what rounding leaves below 0 is 0.
///
/// - `concentration`: a; `prior`: c, of the same shape or of length 1 where it does not vary
///
/// A form with both pairs of ln Γ of the opposite sign is about. It is 0 for equal arguments too; but it is this one that is
/// the mean of `ln q − ln p` over draws.
#[must_use]
pub fn kl(concentration: &Tensor<3>, prior: &Tensor<3>) -> Tensor<2> {
    let [n_cells, _, n_genes] = concentration.dims();
    let total = concentration.clone().sum_dim(1);
    let of_prior = ln_gamma(prior.clone()).sum_dim(1) - ln_gamma(prior.clone().sum_dim(1));
    let means = digamma(concentration.clone()) - digamma(total.clone());
    let parts = (concentration.clone() - prior.clone()) * means - ln_gamma(concentration.clone());
    (ln_gamma(total) + parts.sum_dim(1) + of_prior).clamp_min(0.0).reshape([n_cells, n_genes])
}

/// The same concentration `c` for all states, `[1, n_states, 1]`.
#[must_use]
pub fn even(c: f64, n_states: usize, device: &Device) -> Tensor<3> {
    Tensor::full([1, n_states, 1], c, device)
}

/// `E[ln π_k] = ψ(a_k) − ψ(A)`, of the shape of `concentration`.
#[must_use]
pub fn mean_log(concentration: &Tensor<3>) -> Tensor<3> {
    digamma(concentration.clone()) - digamma(concentration.clone().sum_dim(1))
}

/// A draw of `ln π`, of the shape of `concentration`, with gradients.
///
/// `π_k = z_k / Σ z` with `z_k ~ Gamma(a_k)`: of shape `a + 4` by Marsaglia and Tsang's transformation of a normal `e`, and
/// back to shape a by four uniforms, all in logarithms, for at `a = 0.05` one draw in a hundred is below the smallest f32:
///
/// ```text
/// ln z = ln d + 3 ln(1 + c e) + Σ_{i<4} ln U_i / (a + i),    d = a + 4 − ⅓,  c = 1/√(9d)
/// ```
///
/// Weights below 1.2e-7 count as that, without gradient: otherwise a few draws with `ln π` of minus some hundred would be all
/// that a likelihood sees. (In veloVI, `PyTorch`'s `Categorical` does so.)
///
/// The gradient holds `e` and U fixed. That leaves out how the acceptance of `e` depends on a; at shapes above 4, where
/// nearly all are accepted, this biases the gradient of `E[ln z]` by some 0.1 %.
///
/// Source: Marsaglia and Tsang 2000; Naesseth et al. 2017 (rejection sampling variational inference), section 5.2.
///
/// # Panics
/// If the noise is not of the shape of `concentration`.
#[must_use]
pub fn sample_log(concentration: &Tensor<3>, noise: &GammaNoise) -> Tensor<3> {
    let z = ln_gamma_draw(concentration, noise);
    let largest = z.clone().max_dim(1).detach();
    let total = (z.clone() - largest.clone()).exp().sum_dim(1).log() + largest;
    (z - total).clamp_min(LEAST_LN_WEIGHT)
}

/// `ln z` of [`sample_log`].
fn ln_gamma_draw(shape: &Tensor<3>, noise: &GammaNoise) -> Tensor<3> {
    let d = shape.clone() + (BOOST as f64 - 1.0 / 3.0);
    let c = (d.clone() * 9.0).sqrt().recip();
    let accepted = {
        let (d, c) = (d.clone().detach(), c.clone().detach());
        let [first, second] = noise.normals.clone();
        let v = (c * first.clone() + 1.0).clamp_min(SMALLEST_ROOT);
        let v = v.clone().square() * v;
        let most = first.clone().square() * 0.5 + d.clone() - d.clone() * v.clone() + d * v.log();
        second.mask_where(noise.ln_accept.clone().lower(most), first)
    };
    let root = (c * accepted + 1.0).clamp_min(SMALLEST_ROOT);
    let mut ln_z = d.log() + root.log() * 3.0;
    for (i, ln_uniform) in noise.ln_uniforms.iter().enumerate() {
        ln_z = ln_z + ln_uniform.clone() / (shape.clone() + i as f64);
    }
    ln_z
}

/// `ln z` of one draw of [`sample_log`] at shape `a`, and its derivative by a, for loops that the compiler vectorises.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn ln_gamma_one<const FMA: bool>(
    a: f32,
    [first, second]: [f32; 2],
    ln_accept: f32,
    ln_uniforms: [f32; BOOST],
) -> (f32, f32) {
    let d = a + (BOOST as f32 - 1.0 / 3.0);
    let c = (9.0 * d).sqrt().recip();
    let root = mul_add::<FMA>(c, first, 1.0).max(SMALLEST_ROOT);
    let v = root * root * root;
    let most = 0.5 * first * first + d - d * v + 3.0 * d * ln::<FMA>(root);
    let e = if ln_accept < most { first } else { second };
    let root = mul_add::<FMA>(c, e, 1.0);
    let inside = root > SMALLEST_ROOT;
    let root = root.max(SMALLEST_ROOT);
    let mut ln_z = mul_add::<FMA>(3.0, ln::<FMA>(root), ln::<FMA>(d));
    // ∂c/∂a = −c/2d
    let bend = 1.5 * e * c / (d * root);
    let mut slope = d.recip() - if inside { bend } else { 0.0 };
    for (i, ln_uniform) in ln_uniforms.into_iter().enumerate() {
        let per = (a + i as f32).recip();
        let step = ln_uniform * per;
        ln_z += step;
        slope -= step * per;
    }
    (ln_z, slope)
}

/// The smallest weight that is told from others: the precision of f32.
const LEAST_WEIGHT: f32 = f32::EPSILON;
/// Logarithm of the smallest weight that is told from others: that of the precision of f32.
pub(crate) const LEAST_LN_WEIGHT: f32 = -15.942_385;
/// Steps by which the shape is raised before a draw.
pub(crate) const BOOST: usize = 4;
/// `1 + c e` is not below this: a normal draw would have to be below −5.7.
const SMALLEST_ROOT: f32 = 1e-3;

/// The randomness of draws of gamma variables.
///
/// The second proposal is taken if the first is not accepted: that it would not be accepted either happens to one in
/// 10 000 draws at the smallest shapes.
#[derive(Clone, Debug)]
pub struct Noise<T> {
    /// Two proposals of `e`, standard normal.
    pub(crate) normals: [T; 2],
    /// ln of the uniform that decides on the first.
    pub(crate) ln_accept: T,
    /// ln of the uniforms that lower the shape.
    pub(crate) ln_uniforms: [T; BOOST],
}

/// Of all draws, on a device.
pub type GammaNoise = Noise<Tensor<3>>;

/// Of one row, on the host.
pub(crate) type RowNoise = Noise<Vec<f32>>;

impl<T> Noise<T> {
    /// Each part by what `of` makes of its law and of the stream of `seed` that is its own.
    fn made(seed: u64, mut of: impl FnMut(Key, Law) -> T) -> Self {
        let key = |part: usize| Key::new(seed).part(part as u32);
        let normals = [0, 1].map(|part| of(key(part), Law::Normal));
        let ln_accept = of(key(2), Law::LnUniform);
        Self { normals, ln_accept, ln_uniforms: std::array::from_fn(|part| of(key(3 + part), Law::LnUniform)) }
    }
}

impl GammaNoise {
    /// The noise for concentrations of this shape.
    #[must_use]
    pub fn new(seed: u64, shape: [usize; 3], device: &Device) -> Self {
        Self::made(seed, |key, law| key.tensor(law, shape, device))
    }
}

impl RowNoise {
    /// The noise of row `row` of `n_columns` numbers: rows can be drawn in any order, on any thread.
    pub(crate) fn of_row(seed: u64, row: usize, n_columns: usize) -> Self {
        Self::made(seed, |key, law| {
            let mut values = vec![0.0; n_columns];
            key.fill(law, row * n_columns, &mut values);
            values
        })
    }
}

/// A draw of π from `seed`, of the shape of `concentration`.
#[must_use]
pub fn sample(concentration: &Tensor<3>, seed: u64) -> Tensor<3> {
    if flex::is_plain(concentration) && !concentration.is_tracked() {
        return sample_rows(concentration, seed);
    }
    sample_log(concentration, &GammaNoise::new(seed, concentration.dims(), &concentration.device())).exp()
}

/// [`sample`] on Flex, outside gradients: cell by cell, in one pass.
fn sample_rows(concentration: &Tensor<3>, seed: u64) -> Tensor<3> {
    let shape = concentration.dims();
    let width = shape[1] * shape[2];
    let concentration = flex::constant(concentration.clone());
    let shapes = flex::slice(&concentration);
    let mut weights = vec![0.0; shapes.len()];
    weights.par_chunks_mut(width.max(1)).zip(shapes.par_chunks(width.max(1))).enumerate().for_each(
        |(row, (weights, shapes))| {
            let noise = RowNoise::of_row(seed, row, width);
            vectorize(Row { shapes, noise: &noise, n_genes: shape[2], weights });
        },
    );
    Tensor::from_data(TensorData::new(weights, shape), &Device::flex())
}

/// The draws of one cell, `[n_states, n_genes]`.
struct Row<'a> {
    shapes: &'a [f32],
    noise: &'a RowNoise,
    n_genes: usize,
    weights: &'a mut [f32],
}

impl Vectorized for Row<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self { shapes, noise, n_genes, weights } = self;
        let n = weights.len();
        let [first, second] = noise.normals.each_ref().map(|normals| &normals[..n]);
        let ln_accept = &noise.ln_accept[..n];
        let [u_0, u_1, u_2, u_3] = noise.ln_uniforms.each_ref().map(|uniforms| &uniforms[..n]);
        let shapes = &shapes[..n];
        for i in 0..n {
            let uniforms = [u_0[i], u_1[i], u_2[i], u_3[i]];
            (weights[i], _) = ln_gamma_one::<FMA>(shapes[i], [first[i], second[i]], ln_accept[i], uniforms);
        }
        let (mut largest, mut sum) = (vec![f32::NEG_INFINITY; n_genes], vec![0.0; n_genes]);
        for state in weights.chunks_exact(n_genes) {
            for (largest, ln_z) in largest.iter_mut().zip(state) {
                *largest = if *ln_z > *largest { *ln_z } else { *largest };
            }
        }
        for state in weights.chunks_exact_mut(n_genes) {
            for ((weight, largest), sum) in state.iter_mut().zip(&largest).zip(&mut sum) {
                *weight = exp_and_m1::<FMA>(*weight - largest).0;
                *sum += *weight;
            }
        }
        for state in weights.chunks_exact_mut(n_genes) {
            state.iter_mut().zip(&sum).for_each(|(weight, sum)| *weight = (*weight / sum).max(LEAST_WEIGHT));
        }
    }
}

/// The mean of π, `a_k / A`.
#[must_use]
pub fn mean(concentration: &Tensor<3>) -> Tensor<3> {
    concentration.clone() / concentration.clone().sum_dim(1)
}

/// `[n_cells, n_states · n_genes]` as `[n_cells, n_states, n_genes]`.
#[must_use]
pub fn states(flat: Tensor<2>, n_states: usize) -> Tensor<3> {
    let [n_cells, width] = flat.dims();
    flat.reshape([n_cells, n_states, width / n_states])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E[ln z] = ψ(a), and its derivative by a is ψ′(a): over 200,000 draws at each shape.
    #[test]
    fn draws_have_the_mean_and_the_gradient_of_a_gamma_variable() {
        let device = Device::flex().autodiff();
        for (shape, mean, slope) in [
            (0.05_f32, -20.496_72, 401.493_2),
            (0.25, -4.227_453_5, 17.197_33),
            (1.0, -0.577_215_7, 1.644_934),
            (10.0, 2.251_752_6, 0.105_166_3),
        ] {
            let a = Tensor::<3>::full([200, 1, 1000], shape, &device).require_grad();
            let z = ln_gamma_draw(&a, &GammaNoise::new(7, [200, 1, 1000], &device));
            let found: f32 = z.clone().mean().into_scalar();
            let gradients = z.sum().backward();
            let gradient: f32 = a.grad(&gradients).expect("a is tracked").mean().into_scalar();
            let spread = f64::from(slope).sqrt() / 200_000_f64.sqrt();
            assert!(f64::from(found - mean).abs() < 4.0 * spread + 1e-4, "mean {found} at {shape}");
            assert!((gradient / slope - 1.0).abs() < 0.01, "gradient {gradient} at {shape}");
        }
    }

    #[test]
    fn draws_of_cells_are_those_of_tensor_operations() {
        let device = Device::flex();
        let a: Vec<f32> = (0..6 * 4 * 37).map(|i| 0.02 * 1.011_f32.powi(i % 700)).collect();
        let a = Tensor::<3>::from_data(TensorData::new(a, [6, 4, 37]), &device);
        let noise = GammaNoise::new(8, a.dims(), &device);
        let (rows, all) = (sample(&a, 8), sample_log(&a, &noise).exp());
        let values = |tensor: Tensor<3>| -> Vec<f32> { tensor.into_data().try_into_vec().expect("f32") };
        for (found, expected) in values(rows).into_iter().zip(values(all)) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    /// Golden: the gradient of E[ln(0.05 + π₁)], by quadrature over the marginal Beta distribution (central differences of
    /// 1e-3 in double precision; scipy 1.13). 500,000 draws.
    #[test]
    fn the_gradient_of_what_a_likelihood_does_with_weights_is_unbiased() {
        let device = Device::flex().autodiff();
        for (shapes, want) in [
            ([0.3_f32, 0.3, 0.3, 0.3], [2.7224_f32, -0.6167]),
            ([0.7, 0.2, 1.3, 0.05], [1.1768, -0.3832]),
            ([0.1, 0.1, 0.1, 0.1], [7.3197, -1.7939]),
            ([2.0, 0.3, 0.3, 0.3], [0.2023, -0.3701]),
        ] {
            let a = Tensor::<1>::from_data(shapes, &device).reshape([1, 4, 1]).require_grad();
            let pi = sample_log(&a.clone().expand([500, 4, 1000]), &GammaNoise::new(3, [500, 4, 1000], &device)).exp();
            let mean = (pi.narrow(1, 0, 1) + 0.05).log().mean();
            let gradients = mean.backward();
            let found: Vec<f32> = a.grad(&gradients).expect("a is tracked").into_data().try_into_vec().expect("f32");
            for (found, want) in found.iter().zip([want[0], want[1], want[1], want[1]]) {
                assert!((found - want).abs() < 0.01 * want.abs() + 0.003, "{found} {want} at {shapes:?}");
            }
        }
    }
}
