//! The gamma function's logarithm and its derivatives, as tensor operations on any device.
//!
//! Above `w = 4` the asymptotic series of Stirling are good to 1e-7 of their value; arguments below are moved there by the
//! recurrence `Γ(x + 1) = x Γ(x)`, four times. With `q = x (x + 3)`, so that `x (x+1) (x+2) (x+3) = q (q + 2)`, and `w = x + 4`:
//!
//! ```text
//! ln Γ(x) = (w − ½) ln w − w + ½ ln 2π + 1/12w − 1/360w³ + 1/1260w⁵      − ln q (q + 2)
//! ψ(x)    = ln w − 1/2w − 1/12w² + 1/120w⁴ − 1/252w⁶                     − (2x + 3) (1/q + 1/(q + 2))
//! ψ′(x)   = 1/w + 1/2w² + 1/6w³ − 1/30w⁵ + 1/42w⁷                        + (2q + 9)/q² + (2q + 5)/(q + 2)²
//! ```
//!
//! From `x = 16` on nothing is moved, so that nothing overflows. The gradients are burn's own, through these formulas.
//!
//! Source: Abramowitz and Stegun 1964, 6.1.41, 6.3.18, 6.4.12 (series) and 6.1.15, 6.3.5, 6.4.6 (recurrences).

use burn::tensor::{Bool, Tensor};

/// From here on arguments are not moved.
const FAR: f64 = 16.0;

/// `ln Γ(x)`, for `x` in [1e-6, 1e30]; error 1e-6 or 1e-6 of the value, whichever is more.
#[must_use]
pub fn ln_gamma<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let Moved { far, near, w } = Moved::new(x);
    let r = w.clone().recip();
    let r2 = r.clone().square();
    let series = ((r2.clone() * (1.0 / 1260.0) - 1.0 / 360.0) * r2 + 1.0 / 12.0) * r;
    let stirling = (w.clone() - 0.5) * w.clone().log() - w + series + 0.5 * std::f64::consts::TAU.ln();
    let q = quadratic(&near);
    let product = q.clone() * (q + 2.0);
    stirling - product.log().mask_fill(far, 0.0)
}

/// `ψ(x) = d ln Γ(x) / dx`, for `x` in [1e-6, 1e30]; error 1e-6 or 1e-6 of the value, whichever is more.
#[must_use]
pub fn digamma<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let Moved { far, near, w } = Moved::new(x);
    let r = w.clone().recip();
    let r2 = r.clone().square();
    let series = ((r2.clone() * (-1.0 / 252.0) + 1.0 / 120.0) * r2.clone() - 1.0 / 12.0) * r2 - r * 0.5;
    let q = quadratic(&near);
    let steps = (near * 2.0 + 3.0) * (q.clone().recip() + (q + 2.0).recip());
    w.log() + series - steps.mask_fill(far, 0.0)
}

/// An argument and where the series is taken of it.
struct Moved<const D: usize> {
    /// Where the argument is not moved.
    far: Tensor<D, Bool>,
    /// The argument where it is moved; 1 elsewhere, for nothing to overflow.
    near: Tensor<D>,
    /// Where the series is taken.
    w: Tensor<D>,
}

impl<const D: usize> Moved<D> {
    fn new(x: Tensor<D>) -> Self {
        let far = x.clone().greater_equal_elem(FAR);
        let near = x.clone().mask_fill(far.clone(), 1.0);
        let w = (x.clone() + 4.0).mask_where(far.clone(), x);
        Self { far, near, w }
    }
}

/// `q = x (x + 3)`.
fn quadratic<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    x.clone() * (x.clone() + 3.0)
}
