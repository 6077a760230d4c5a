//! [`crate::nn::fused::counts::count_nll`] on a GPU: the threads that run together take one cell, each some of its genes.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::prelude::*;

use super::gamma::gamma_functions;
use super::{constant, empty, in_order, tensor, tracked, with_gradients};
use crate::nn::fused::counts::{CountNll, LEAST, STEPS};

/// Threads per cell.
const THREADS: usize = 1 << HALVINGS;
/// How often their number is halved until one is left.
const HALVINGS: usize = 7;
/// What is found of a cell: NLL of u and of s, and what its size costs.
const PARTS: usize = 3;

/// The kernel as an operation of the backend.
#[backend_extension(Cube, Fusion)]
pub(super) trait CountsKernel: Backend {
    /// Derivatives by the abundances of u and of s, of their shapes, and the parts of the loss of every cell, `[n_cells, 3]`.
    ///
    /// - `dispersion`: of u and of s, `[2, n_genes]`; the others: `[n_cells, n_genes]`
    #[fusion(meta = |mu_u, mu_s, _, _, _, _| {
        let parts = TensorSpec::new(Shape::from(vec![mu_u.shape[0], PARTS]), mu_u.dtype);
        (mu_u.clone(), mu_s.clone(), parts)
    })]
    fn counts(
        mu_u: FloatTensor<Self>,
        mu_s: FloatTensor<Self>,
        u: FloatTensor<Self>,
        s: FloatTensor<Self>,
        dispersion: FloatTensor<Self>,
        size_shape: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl CountsKernel for CubeBackend {
    fn counts(
        mu_u: FloatTensor<Self>,
        mu_s: FloatTensor<Self>,
        u: FloatTensor<Self>,
        s: FloatTensor<Self>,
        dispersion: FloatTensor<Self>,
        size_shape: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [mu_u, mu_s, u, s, dispersion] = in_order([mu_u, mu_s, u, s, dispersion]);
        let shape = mu_u.meta.shape().clone();
        let [d_u, d_s] = [(); 2].map(|()| empty(&mu_u, shape.clone()));
        let parts = empty(&mu_u, vec![shape[0], PARTS]);
        // −ln p(ln n) at n = 1.
        let at_one = libm::lgamma(size_shape) - size_shape * (size_shape.ln() - 1.0);
        let client = mu_u.client.clone();
        counts_kernel::launch(
            &client,
            CubeCount::Static(shape[0] as u32, 1, 1),
            CubeDim::new_1d(THREADS as u32),
            mu_u.into_buffer_arg(),
            mu_s.into_buffer_arg(),
            u.into_buffer_arg(),
            s.into_buffer_arg(),
            dispersion.into_buffer_arg(),
            d_u.clone().into_buffer_arg(),
            d_s.clone().into_buffer_arg(),
            parts.clone().into_buffer_arg(),
            shape[0] as u32,
            shape[1] as u32,
            size_shape as f32,
            at_one as f32,
        );
        (d_u, d_s, parts)
    }
}

/// One cell: see [`CountsKernel::counts`].
#[cube(launch)]
fn counts_kernel(
    mu_u: &[f32],
    mu_s: &[f32],
    u: &[f32],
    s: &[f32],
    dispersion: &[f32],
    d_u: &mut [f32],
    d_s: &mut [f32],
    parts: &mut [f32],
    n_cells: u32,
    n_genes: u32,
    shape: f32,
    at_one: f32,
) {
    let n = n_genes as usize;
    let thread = UNIT_POS as usize;
    let cell = CUBE_POS;
    let row = cell * n;
    let mut shared = Shared::<[f32]>::new_slice(THREADS);

    // Σ x W(μ), Σ C(μ) and Σ x.
    let mut x_w_u = 0.0_f32;
    let mut x_w_s = 0.0_f32;
    let mut c_u = 0.0_f32;
    let mut c_s = 0.0_f32;
    let mut total = 0.0_f32;
    let mut gene = thread;
    while gene < n {
        let of_u = w_and_c(mu_u[row + gene], dispersion[gene]);
        let of_s = w_and_c(mu_s[row + gene], dispersion[n + gene]);
        x_w_u += u[row + gene] * of_u.w;
        x_w_s += s[row + gene] * of_s.w;
        c_u += of_u.c;
        c_s += of_s.c;
        total += u[row + gene] + s[row + gene];
        gene += THREADS;
    }
    let x_w_u = sum_over_threads(x_w_u, &mut shared);
    let x_w_s = sum_over_threads(x_w_s, &mut shared);
    let c_u = sum_over_threads(c_u, &mut shared);
    let c_s = sum_over_threads(c_s, &mut shared);
    let total = sum_over_threads(total, &mut shared);

    // The best size, by Newton's rule in its logarithm.
    let c = c_u + c_s;
    let mut size = (shape + total) / (shape + c);
    let mut curvature = shape + total;
    let mut settled = false;
    for _ in 0..STEPS {
        let mut first = 0.0_f32;
        let mut second = 0.0_f32;
        if !settled {
            let mut gene = thread;
            while gene < n {
                let of_u = constant_by_size(u[row + gene], size, dispersion[gene]);
                let of_s = constant_by_size(s[row + gene], size, dispersion[n + gene]);
                first += of_u.first + of_s.first;
                second += of_u.second + of_s.second;
                gene += THREADS;
            }
        }
        let first = sum_over_threads(first, &mut shared);
        let second = sum_over_threads(second, &mut shared);
        if !settled {
            let slope = shape + size * (first - c - shape);
            curvature = max(size * (c + shape - first) - size * size * second, 0.1 * shape);
            let step = max(min(slope / curvature, 1.0), -1.0);
            size *= step.exp();
            settled = step.abs() < 1e-6;
        }
    }

    let mut of_u = 0.0_f32;
    let mut of_s = 0.0_f32;
    let share = 1.0 / f32::cast_from(n_cells);
    let mut gene = thread;
    while gene < n {
        let at = row + gene;
        of_u += constant_of_count(u[at], size, dispersion[gene]);
        of_s += constant_of_count(s[at], size, dispersion[n + gene]);
        d_u[at] = derivative(mu_u[at], u[at], size, dispersion[gene]) * share;
        d_s[at] = derivative(mu_s[at], s[at], size, dispersion[n + gene]) * share;
        gene += THREADS;
    }
    let of_u = sum_over_threads(of_u, &mut shared);
    let of_s = sum_over_threads(of_s, &mut shared);
    if thread == 0 {
        parts[cell * PARTS] = size * c_u - x_w_u - of_u;
        parts[cell * PARTS + 1] = size * c_s - x_w_s - of_s;
        let prior = shape * (size.ln() - size + 1.0);
        parts[cell * PARTS + 2] = at_one - prior - 0.5 * (6.283_185_5 / curvature).ln();
    }
}

/// The sum of `value` over the threads, in a fixed order; for all of them.
#[cube]
fn sum_over_threads(value: f32, shared: &mut Shared<[f32]>) -> f32 {
    let thread = UNIT_POS as usize;
    shared[thread] = value;
    sync_cube();
    #[unroll]
    for halving in 0..HALVINGS {
        let half = comptime!((THREADS / 2) >> halving);
        if thread < half {
            shared[thread] += shared[thread + half];
        }
        sync_cube();
    }
    let sum = shared[0];
    sync_cube();
    sum
}

/// W and C: see [`crate::negative_binomial`].
#[derive(CubeType)]
struct WAndC {
    w: f32,
    c: f32,
}

#[cube]
fn w_and_c(mu: f32, d: f32) -> WAndC {
    let mu = max(mu, LEAST);
    let log = (1.0 + d * mu).ln();
    let c = select(d > 0.0, log / max(d, 1e-30), mu);
    WAndC { w: mu.ln() - log, c }
}

/// Derivative of −x W(μ) + n C(μ) by μ.
#[cube]
fn derivative(mu: f32, x: f32, size: f32, d: f32) -> f32 {
    let inside = (size * mu - x) / (mu * (1.0 + d * mu));
    select(mu > LEAST, inside, min(size - x / LEAST, 0.0))
}

/// Derivatives of a constant by the size.
#[derive(CubeType)]
struct BySize {
    first: f32,
    second: f32,
}

/// The first and second derivative of [`constant_of_count`] by n: see [`crate::negative_binomial::constant_by_size`].
#[cube]
fn constant_by_size(x: f32, n: f32, d: f32) -> BySize {
    let mut first = 0.0_f32;
    let mut second = 0.0_f32;
    if x > 0.0 {
        if d <= 0.0 {
            first = x / n;
            second = -x / (n * n);
        } else if x <= 6.0 && x - x.floor() <= 0.0 {
            let mut k = 0.0_f32;
            while k < x {
                let term = 1.0 / (n + k * d);
                first += term;
                second -= term * term;
                k += 1.0;
            }
        } else {
            let mut from = n;
            let mut to = n + x * d;
            while from < 4.0 * d {
                let term = 1.0 / from;
                first += term;
                second -= term * term;
                from += d;
            }
            while to < 4.0 * d {
                let term = 1.0 / to;
                first -= term;
                second += term * term;
                to += d;
            }
            let a = 1.0 / from;
            let b = 1.0 / to;
            let d3 = d * d * d;
            first += (to * a).ln() / d + 0.5 * (a - b) + d / 12.0 * (a * a - b * b)
                - d3 / 120.0 * (a * a * a * a - b * b * b * b);
            second -= (a - b) / d + 0.5 * (a * a - b * b) + d / 6.0 * (a * a * a - b * b * b)
                - d3 / 30.0 * (a * a * a * a * a - b * b * b * b * b);
        }
    }
    BySize { first, second }
}

/// `Σ_{k<x} ln(n + k d) − ln x!`: see [`crate::negative_binomial::constant`].
#[cube]
fn constant_of_count(x: f32, n: f32, d: f32) -> f32 {
    let mut sum = 0.0_f32;
    if x > 0.0 {
        if d <= 0.0 {
            sum = x * n.ln();
        } else if x <= 12.0 && x - x.floor() <= 0.0 {
            let mut k = 0.0_f32;
            while k < x {
                sum += (n + k * d).ln();
                k += 1.0;
            }
        } else {
            // Euler and Maclaurin's formula, from where the terms change slowly.
            let mut from = n;
            let mut to = n + x * d;
            while from < 4.0 * d {
                sum += from.ln();
                from += d;
            }
            while to < 4.0 * d {
                sum -= to.ln();
                to += d;
            }
            let a = 1.0 / from;
            let b = 1.0 / to;
            sum += to / d * (to * a).ln()
                + (to - from) / d * (from.ln() - 1.0)
                + 0.5 * (from * b).ln()
                + d / 12.0 * (b - a)
                - d * d * d / 360.0 * (b * b * b - a * a * a);
        }
        sum -= gamma_functions(x + 1.0).ln_gamma;
    }
    sum
}

/// See [`crate::nn::fused::counts::count_nll`]. All tensors are on a GPU.
pub(in crate::nn::fused) fn count_nll(
    mu: [Tensor<2>; 2],
    counts: [Tensor<2>; 2],
    dispersion: [Tensor<2>; 2],
    size_shape: f64,
) -> CountNll {
    let [u, s] = counts.map(constant);
    let [mu_u, mu_s] = mu.clone().map(constant);
    let dispersion = Tensor::cat(dispersion.map(Tensor::without_autodiff).to_vec(), 0);
    let (d_u, d_s, parts) = Cube::counts(mu_u, mu_s, u, s, constant::<2>(dispersion), size_shape);
    let means: Tensor<1> = tensor::<2>(parts).mean_dim(0).squeeze_dim(0);
    let [unspliced, spliced, size] = [0, 1, 2].map(|part| means.clone().narrow(0, part, 1));
    let total = means.sum();
    let total = match mu.iter().any(Tensor::is_tracked) {
        true => with_gradients(total, &mu.map(tracked), [d_u, d_s]),
        false => total,
    };
    CountNll { total, unspliced, spliced, size }
}
