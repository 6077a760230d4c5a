//! Random numbers by their position: the number at position i of a stream is a function of the stream's key and of i.
//!
//! So a device makes its own, in any order, without a word from the host, and a resumed run makes the same ones again.
//!
//! ```text
//! word_i = mix(mix(i ⊕ k₀) ⊕ k₁),     U_i = (⌊word_i / 2⁹⌋ + ½) / 2²³,     e_i = √2 erf⁻¹(2 U_i − 1)
//! ```
//!
//! `mix` is a function of 32 bits that can be undone and of which each bit in changes half of the bits out (xor with shifts, and products). Uniform
//! numbers and masks are the same bits on every device; normal ones differ by the rounding of a logarithm and a root. Not for
//! secrets: for noise.
//!
//! Source: `mix` by Wellons (2018, "hash prospector", the best found with two products); erf⁻¹ by Giles 2010 ("Approximating the
//! erfinv function", single precision).

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::device::is_host;
use crate::simd::{Vectorized, ln, mul_add, vectorize};

/// The key of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u32; 2]);

/// What is made of the words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Law {
    /// Uniform in (−bound, bound).
    Uniform(f32),
    /// Standard normal.
    Normal,
    /// ln of a uniform number in (0, 1).
    LnUniform,
    /// 0 where the upper 16 bits of the word are below `threshold`, `kept` elsewhere.
    Mask { threshold: u32, kept: f32 },
}

impl Key {
    pub(crate) fn new(seed: u64) -> Self {
        Self([seed as u32, (seed >> 32) as u32])
    }

    /// One of several streams under this key.
    pub(crate) fn part(self, number: u32) -> Self {
        let [first, second] = self.0;
        Self([first ^ mix(number.wrapping_add(1)), second])
    }

    /// Fills `values` with the numbers at positions `from`, `from + 1`, …
    pub(crate) fn fill(self, law: Law, from: usize, values: &mut [f32]) {
        vectorize(Fill { key: self, law, from: from as u32, values });
    }

    /// The numbers from position 0 on, in row-major order, on `device`: made there if it is a GPU.
    pub(crate) fn tensor<const D: usize>(self, law: Law, shape: [usize; D], device: &Device) -> Tensor<D> {
        let count = shape.iter().product();
        if !is_host(device) {
            return on_device(self, law, count, device).reshape(shape);
        }
        let mut values = vec![0.0; count];
        self.fill(law, 0, &mut values);
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// Shifts and factors of `mix`.
const SHIFTS: [u32; 3] = [16, 15, 15];
const FACTORS: [u32; 2] = [0x21f0_aaad, 0xd35a_2d97];

#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
fn mix(mut x: u32) -> u32 {
    x ^= x >> SHIFTS[0];
    x = x.wrapping_mul(FACTORS[0]);
    x ^= x >> SHIFTS[1];
    x = x.wrapping_mul(FACTORS[1]);
    x ^ (x >> SHIFTS[2])
}

/// 2⁻²³.
const STEP: f32 = 1.0 / 8_388_608.0;

/// Coefficients of erf⁻¹(x) / x, highest power first: in w − 2.5 for `w = −ln(1 − x²)` below 5, in √w − 3 beyond.
const NEAR: [f32; 9] = [
    2.810_226_4e-8,
    3.432_739_4e-7,
    -3.523_387_7e-6,
    -4.391_506_5e-6,
    2.185_808_7e-4,
    -1.253_725e-3,
    -4.177_681_6e-3,
    2.466_407_3e-1,
    1.501_409_4,
];
const BEYOND: [f32; 9] = [
    -2.002_142_6e-4,
    1.009_505_6e-4,
    1.349_343_2e-3,
    -3.673_428_4e-3,
    5.739_507_7e-3,
    -7.622_461_3e-3,
    9.438_870_5e-3,
    1.001_674,
    2.832_976_8,
];

struct Fill<'a> {
    key: Key,
    law: Law,
    from: u32,
    values: &'a mut [f32],
}

impl Vectorized for Fill<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let [first, second] = self.key.0;
        let word = |at: usize| mix(mix(self.from.wrapping_add(at as u32) ^ first) ^ second);
        // 23 bits and a half: every such number is exact, and none is 0 or 1.
        let uniform = |at: usize| ((word(at) >> 9) as f32 + 0.5) * STEP;
        let values = self.values.iter_mut().enumerate();
        match self.law {
            Law::Uniform(bound) => values.for_each(|(at, value)| *value = (2.0 * uniform(at) - 1.0) * bound),
            Law::LnUniform => values.for_each(|(at, value)| *value = ln::<FMA>(uniform(at))),
            Law::Mask { threshold, kept } => {
                values.for_each(|(at, value)| *value = if word(at) >> 16 >= threshold { kept } else { 0.0 });
            }
            Law::Normal => values.for_each(|(at, value)| {
                let x = 2.0 * uniform(at) - 1.0;
                let w = -ln::<FMA>((1.0 - x) * (1.0 + x));
                let (near, beyond) = (w - 2.5, w.sqrt() - 3.0);
                let (mut of_near, mut of_beyond) = (NEAR[0], BEYOND[0]);
                for (a, b) in NEAR[1..].iter().zip(&BEYOND[1..]) {
                    of_near = mul_add::<FMA>(of_near, near, *a);
                    of_beyond = mul_add::<FMA>(of_beyond, beyond, *b);
                }
                *value = std::f32::consts::SQRT_2 * x * if w < 5.0 { of_near } else { of_beyond };
            }),
        }
    }
}

/// The same from tensor operations, which a GPU runs as one.
fn on_device(key: Key, law: Law, count: usize, device: &Device) -> Tensor<1> {
    // Signed: burn hands the scalars of unsigned tensors to kernels as signed ones, and fails at those above 2^31. Products are the same bits.
    let signed = u32::cast_signed;
    let shifted = |x: Tensor<1, Int>, by: u32| {
        x.bitwise_right_shift_scalar(signed(by)).bitwise_and_scalar(signed(u32::MAX >> by))
    };
    let mix = |mut x: Tensor<1, Int>| {
        for (shift, factor) in SHIFTS.into_iter().zip(FACTORS) {
            x = x.clone().bitwise_xor(shifted(x, shift)) * signed(factor);
        }
        x.clone().bitwise_xor(shifted(x, SHIFTS[2]))
    };
    #[allow(clippy::cast_possible_wrap, reason = "tensors have fewer than 2^31 elements")]
    let positions = Tensor::<1, Int>::arange(0..count as i64, (device, DType::I32));
    let [first, second] = key.0.map(signed);
    let words = mix(mix(positions.bitwise_xor_scalar(first)).bitwise_xor_scalar(second));
    let uniform = |words: Tensor<1, Int>| (shifted(words, 9).float() + 0.5) * STEP;
    match law {
        Law::Uniform(bound) => (uniform(words) * 2.0 - 1.0) * bound,
        Law::LnUniform => uniform(words).log(),
        Law::Mask { threshold, kept } => shifted(words, 16).greater_equal_elem(signed(threshold)).float() * kept,
        Law::Normal => {
            let x = uniform(words) * 2.0 - 1.0;
            let w = -((-x.clone() + 1.0) * (x.clone() + 1.0)).log();
            let polynomial = |coefficients: [f32; 9], at: Tensor<1>| {
                let constant = Tensor::full_like(&at, coefficients[0]);
                coefficients[1..].iter().fold(constant, |sum, &coefficient| sum * at.clone() + coefficient)
            };
            let far = w.clone().greater_equal_elem(5.0);
            let beyond = polynomial(BEYOND, w.clone().sqrt() - 3.0);
            polynomial(NEAR, w - 2.5).mask_where(far, beyond) * x * std::f32::consts::SQRT_2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 1 << 20;

    fn drawn(key: Key, law: Law) -> Vec<f64> {
        let mut values = vec![0.0; COUNT];
        key.fill(law, 0, &mut values);
        values.into_iter().map(f64::from).collect()
    }

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        values.sum::<f64>() / COUNT as f64
    }

    #[test]
    fn normal_numbers_have_the_moments_and_the_tails_of_their_law() {
        let e = drawn(Key::new(3), Law::Normal);
        let error = 1.0 / (COUNT as f64).sqrt();
        for (power, expected, spread) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0_f64.sqrt()), (3, 0.0, 15.0_f64.sqrt()), (4, 3.0, 96.0_f64.sqrt())]
        {
            let found = mean(e.iter().map(|e| e.powi(power)));
            assert!((found - expected).abs() < 4.0 * spread * error, "E[e^{power}] = {found}");
        }
        for (beyond, share) in [(1.0, 0.317_310_5), (2.0, 0.045_500_3), (3.0, 2.699_8e-3), (4.0, 6.334e-5)] {
            let found = mean(e.iter().map(|e| f64::from(u8::from(e.abs() > beyond))));
            assert!((found - share).abs() < 4.0 * share.sqrt() * error, "P(|e| > {beyond}) = {found}");
        }
    }

    #[test]
    fn the_inverse_error_function_is_that_of_giles() {
        // Back by the normal distribution function, in double precision.
        let (e, u) = (drawn(Key::new(9), Law::Normal), drawn(Key::new(9), Law::Uniform(1.0)));
        for (e, u) in e.iter().zip(u).take(10_000) {
            let back = libm::erf(e / std::f64::consts::SQRT_2);
            assert!((back - u).abs() < 2e-7, "erf({e}) = {back}, not {u}");
        }
    }

    #[test]
    fn uniform_numbers_fill_every_bin_and_do_not_know_their_neighbours() {
        for seed in [0, 1, 2, 1 << 32, u64::MAX] {
            let u = drawn(Key::new(seed), Law::Uniform(0.5));
            let mut bins = [0.0_f64; 256];
            for u in &u {
                bins[((u + 0.5) * 256.0) as usize] += 1.0;
            }
            let expected = COUNT as f64 / 256.0;
            let chi_square: f64 = bins.iter().map(|found| (found - expected).powi(2) / expected).sum();
            // 255 degrees of freedom: s.d. 22.6.
            assert!((chi_square - 255.0).abs() < 4.5 * 22.6, "chi-square of seed {seed}: {chi_square}");
            let error = 1.0 / (COUNT as f64).sqrt();
            for apart in [1, 2, 3, 16, 1000, 4096] {
                let correlation = 12.0 * mean(u.iter().zip(u.iter().cycle().skip(apart)).map(|(a, b)| a * b));
                assert!(correlation.abs() < 4.5 * error, "seed {seed}, {apart} apart: {correlation}");
            }
        }
    }

    #[test]
    fn streams_of_other_keys_and_parts_are_others() {
        let error = 1.0 / (COUNT as f64).sqrt();
        let of = |key: Key| drawn(key, Law::Uniform(0.5));
        let one = of(Key::new(5));
        for other in [Key::new(6), Key::new(5 << 32), Key::new(5).part(0), Key::new(5).part(1), Key::new(4).part(0)] {
            let correlation = 12.0 * mean(one.iter().zip(of(other)).map(|(a, b)| a * b));
            assert!(correlation.abs() < 4.5 * error, "{other:?}: {correlation}");
        }
    }

    #[test]
    fn a_position_has_its_number_wherever_filling_begins() {
        let (mut whole, mut part) = (vec![0.0; 100], vec![0.0; 60]);
        for law in [Law::Normal, Law::LnUniform, Law::Mask { threshold: 9000, kept: 1.2 }] {
            Key::new(1).fill(law, 0, &mut whole);
            Key::new(1).fill(law, 40, &mut part);
            assert_eq!(whole[40..], part);
        }
    }
}
