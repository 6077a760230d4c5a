//! The noise of [`crate::nn::counter`] within a kernel, and the draws of [`crate::nn::dirichlet`] made of it.

use std::f32::consts::SQRT_2;

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// A draw of a gamma variable: `ln z` and its derivative by the shape.
#[derive(CubeType)]
pub(super) struct LnGammaDraw {
    pub(super) ln_z: f32,
    pub(super) slope: f32,
}

/// `mix` of [`crate::nn::counter`].
#[cube]
fn mix(word: u32) -> u32 {
    let a = (word ^ (word >> 16)) * 0x21f0_aaad;
    let b = (a ^ (a >> 15)) * 0xd35a_2d97;
    b ^ (b >> 15)
}

/// The uniform number at a position of part `part` of the stream of `first` and `second`.
#[cube]
fn uniform(position: u32, first: u32, second: u32, #[comptime] part: u32) -> f32 {
    let key = first ^ mix(part + 1);
    let word = mix(mix(position ^ key) ^ second);
    (f32::cast_from(word >> 9) + 0.5) / 8_388_608.0
}

/// A standard normal number of a uniform one: √2 erf⁻¹(2 U − 1).
#[cube]
fn normal(uniform: f32) -> f32 {
    let x = 2.0 * uniform - 1.0;
    let w = -((1.0 - x) * (1.0 + x)).ln();
    let a = w - 2.5;
    let b = w.sqrt() - 3.0;
    let near = (((((((2.810_226_4e-8 * a + 3.432_739_4e-7) * a - 3.523_387_7e-6) * a - 4.391_506_5e-6) * a
        + 2.185_808_7e-4)
        * a
        - 1.253_725e-3)
        * a
        - 4.177_681_6e-3)
        * a
        + 2.466_407_3e-1)
        * a
        + 1.501_409_4;
    let beyond = (((((((1.009_505_6e-4 - 2.002_142_6e-4 * b) * b + 1.349_343_2e-3) * b - 3.673_428_4e-3) * b
        + 5.739_507_7e-3)
        * b
        - 7.622_461_3e-3)
        * b
        + 9.438_870_5e-3)
        * b
        + 1.001_674)
        * b
        + 2.832_976_8;
    SQRT_2 * x * select(w < 5.0, near, beyond)
}

/// [`crate::nn::dirichlet::ln_gamma_one`] at shape `a`, with the noise at `position`.
#[cube]
pub(super) fn ln_gamma_draw(a: f32, position: u32, first: u32, second: u32) -> LnGammaDraw {
    let e_1 = normal(uniform(position, first, second, 0u32));
    let e_2 = normal(uniform(position, first, second, 1u32));
    let ln_accept = uniform(position, first, second, 2u32).ln();
    let smallest = 1e-3_f32;
    let d = a + 3.666_666_7;
    let c = 1.0 / (9.0 * d).sqrt();
    let proposed = max(c * e_1 + 1.0, smallest);
    let v = proposed * proposed * proposed;
    let most = 0.5 * e_1 * e_1 + d - d * v + 3.0 * d * proposed.ln();
    let e = select(ln_accept < most, e_1, e_2);
    let root = c * e + 1.0;
    let inside = root > smallest;
    let root = max(root, smallest);
    // ∂c/∂a = −c/2d
    let bend = 1.5 * e * c / (d * root);
    let mut ln_z = 3.0 * root.ln() + d.ln();
    let mut slope = 1.0 / d - select(inside, bend, 0.0_f32);
    #[unroll]
    for i in 0..4_u32 {
        let per = 1.0 / (a + f32::cast_from(i));
        let step = uniform(position, first, second, 3 + i).ln() * per;
        ln_z += step;
        slope -= step * per;
    }
    LnGammaDraw { ln_z, slope }
}
