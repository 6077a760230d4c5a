//! Loops over slices in the widest instructions that the processor has, and the exponentials for them.
//!
//! Why not a library's vectors: `wide` chooses its instructions when it is compiled, and for every x86-64 processor that
//! is SSE2: 5.7 ns for an exponential in double precision, no less than the 5.3 ns of the C library. The same polynomial
//! compiled for AVX2 and chosen at run time takes 1.1 ns. (`sleef` needs a nightly compiler; `pulp` has no exponential.)

/// A loop to run with [`vectorize`].
pub(crate) trait Vectorized {
    /// The loop. `FMA` says that the processor multiplies and adds in one instruction; pass it to
    /// [`mul_add`]. Implementations are `#[inline(always)]`: only so does the loop, with all that it
    /// calls, get compiled for those instructions.
    fn run<const FMA: bool>(self);
}

/// Runs `work`, compiled for AVX2 if this processor has it, else for what every processor of the
/// target has; the compiler vectorises it for either.
#[inline]
pub(crate) fn vectorize(work: impl Vectorized) {
    /// Every aarch64 processor multiplies and adds in one instruction.
    const FMA: bool = cfg!(target_arch = "aarch64");
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        #[allow(unsafe_code, reason = "the only way to enable instructions for one function")]
        // SAFETY: the processor has both features, as just asked.
        unsafe {
            run_avx2(work);
        }
        return;
    }
    work.run::<FMA>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(work: impl Vectorized) {
    work.run::<true>();
}

/// `a b + c`; in one instruction and rounding if the processor has it, which the caller knows.
/// (Without the instruction, `f32::mul_add` is a slow function call.)
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `(eˣ, eˣ − 1)` to 2 units in the last place each, for x in [−87, 88]; beyond, as at the ends.
///
/// With n the integer nearest to x / ln 2 and r = x − n ln 2, `eˣ − 1 = 2ⁿ (eʳ − 1) + (2ⁿ − 1)`,
/// and `eʳ − 1` is a polynomial of degree 6 (the minimax one of the Cephes library's `expf`).
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn exp_and_m1<const FMA: bool>(x: f32) -> (f32, f32) {
    /// ln 2 in two parts, the first so short that its product with n is exact.
    #[allow(clippy::excessive_precision, reason = "exact: 355/512")]
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// 1.5 · 2²³: adding it leaves the nearest integer in the low bits, in any instruction set.
    const ROUND: f32 = 12_582_912.0;

    let x = x.clamp(-87.0, 88.0);
    let rounded = mul_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = mul_add::<FMA>(n, -LN_2_LOW, mul_add::<FMA>(n, -LN_2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = mul_add::<FMA>(p, r, coefficient);
    }
    let exp_r_m1 = mul_add::<FMA>(p, r * r, r);
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    (mul_add::<FMA>(power, exp_r_m1, power), mul_add::<FMA>(power, exp_r_m1, power - 1.0))
}

/// `ln x` to 2 units in the last place, or to 1e-7 near x = 1, for positive normal numbers.
///
/// With `x = 2ᵉ m`, m in [√½, √2), `ln x = e ln 2 + ln m`, and `ln m` is a polynomial in m − 1 (the minimax one of the Cephes
/// library's `logf`).
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
#[allow(clippy::cast_possible_wrap, reason = "the difference of two exponents")]
pub(crate) fn ln<const FMA: bool>(x: f32) -> f32 {
    /// √½.
    const HALF_ROOT: u32 = 0x3f35_04f3;
    #[allow(clippy::excessive_precision, reason = "exact: 355/512")]
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let above = x.to_bits().wrapping_sub(HALF_ROOT) as i32;
    let exponent = above >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23) as u32)) - 1.0;
    let exponent = exponent as f32;
    let mut p = 7.037_683_6e-2;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_87e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        0.333_333_3,
    ] {
        p = mul_add::<FMA>(p, m, coefficient);
    }
    let square = m * m;
    let tail = mul_add::<FMA>(exponent, LN_2_LOW, mul_add::<FMA>(-0.5, square, p * m * square));
    mul_add::<FMA>(exponent, LN_2_HIGH, m + tail)
}

/// As [`mul_add`], in double precision.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn mul_add_f64<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` to 2 units in the last place, for x in [−708, 709]; beyond, as at the ends. NaN becomes a number.
///
/// As [`exp_and_m1`], with the Taylor polynomial of degree 12: on |r| ≤ ln 2 / 2 its remainder is 2·10⁻¹⁶. It is summed in pairs
/// (Estrin's scheme), so that no operation waits for all before it.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn exp_f64<const FMA: bool>(x: f64) -> f64 {
    /// ln 2 in two parts, the first so short that its product with n is exact.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    /// 1.5 · 2⁵²: adding it leaves the nearest integer in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// 1/2!, 1/3!, … 1/12!, and none beyond.
    const TAYLOR: [f64; 12] = [
        0.5,
        1.0 / 6.0,
        1.0 / 24.0,
        1.0 / 120.0,
        1.0 / 720.0,
        1.0 / 5_040.0,
        1.0 / 40_320.0,
        1.0 / 362_880.0,
        1.0 / 3_628_800.0,
        1.0 / 39_916_800.0,
        1.0 / 479_001_600.0,
        0.0,
    ];

    let x = x.clamp(-708.0, 709.0);
    let rounded = mul_add_f64::<FMA>(x, std::f64::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = mul_add_f64::<FMA>(n, -LN_2_LOW, mul_add_f64::<FMA>(n, -LN_2_HIGH, x));
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let pair = |k: usize| mul_add_f64::<FMA>(TAYLOR[2 * k + 1], r, TAYLOR[2 * k]);
    let four = |k: usize| mul_add_f64::<FMA>(pair(2 * k + 1), r2, pair(2 * k));
    let p = mul_add_f64::<FMA>(mul_add_f64::<FMA>(four(2), r4, four(1)), r4, four(0));
    let exp_r_m1 = mul_add_f64::<FMA>(p, r2, r);
    let power = f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52);
    mul_add_f64::<FMA>(power, exp_r_m1, power)
}

/// `ln x` to 4 units in the last place, or to 2e-16 near x = 1, for positive normal numbers.
///
/// As [`ln`]; with `f = (m − 1) / (m + 1)`, `ln m = 2 (f + f³/3 + f⁵/5 + …)`, and |f| is below .172: what is left out after f²¹/21 is below 2·10⁻¹⁹.
#[allow(clippy::inline_always, reason = "see Vectorized")]
#[inline(always)]
pub(crate) fn ln_f64<const FMA: bool>(x: f64) -> f64 {
    /// √½.
    const HALF_ROOT: u64 = 0x3fe6_a09e_667f_3bcd;
    /// 1.5 · 2⁵², whose lowest bits hold the integer that is added to it.
    const INTEGER: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    /// 1/3, 1/5, … 1/21.
    const SERIES: [f64; 10] = [
        1.0 / 3.0,
        1.0 / 5.0,
        1.0 / 7.0,
        1.0 / 9.0,
        1.0 / 11.0,
        1.0 / 13.0,
        1.0 / 15.0,
        1.0 / 17.0,
        1.0 / 19.0,
        1.0 / 21.0,
    ];

    let above = x.to_bits().wrapping_sub(HALF_ROOT);
    // The exponent as a number, by bits alone: AVX2 has no conversion of long integers. 2048 keeps it positive.
    let biased = (above.wrapping_add(2048 << 52) >> 52) & 0xfff;
    let exponent = f64::from_bits(INTEGER.to_bits().wrapping_add(biased)) - (INTEGER + 2048.0);
    let m = f64::from_bits(x.to_bits().wrapping_sub(above & 0xfff0_0000_0000_0000));
    let f = (m - 1.0) / (m + 1.0);
    let f2 = f * f;
    let mut series = SERIES[9];
    for coefficient in SERIES[..9].iter().rev() {
        series = mul_add_f64::<FMA>(series, f2, *coefficient);
    }
    let tail = mul_add_f64::<FMA>(exponent, LN_2_LOW, 2.0 * f * f2 * series);
    mul_add_f64::<FMA>(exponent, LN_2_HIGH, mul_add_f64::<FMA>(2.0, f, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_in_double_precision_agrees_with_the_standard_library() {
        for step in 0..=1_000_000 {
            let x = 10.0_f64.powf(-300.0 + f64::from(step) * 6e-4);
            let want = x.ln();
            for ln in [ln_f64::<false>(x), ln_f64::<true>(x)] {
                assert!((ln - want).abs() <= 9e-16 * want.abs().max(0.25), "ln({x}) = {ln}, not {want}");
            }
        }
        for step in 0..=100_000 {
            let x = 0.5 + f64::from(step) * 2e-5;
            let want = x.ln();
            assert!((ln_f64::<true>(x) - want).abs() <= 9e-16 * want.abs().max(0.25), "ln({x})");
        }
    }

    #[test]
    fn the_exponential_in_double_precision_agrees_with_the_standard_library() {
        for step in 0..=1_416_000 {
            let x = -708.0 + f64::from(step) * 1e-3;
            let want = x.exp();
            for exp in [exp_f64::<false>(x), exp_f64::<true>(x)] {
                assert!((exp - want).abs() <= 4.5e-16 * want, "exp({x}) = {exp}");
            }
        }
    }

    #[test]
    fn the_logarithm_agrees_with_the_standard_library_in_double_precision() {
        for step in 0..=1_000_000 {
            let x = 10.0_f32.powf(-37.0 + step as f32 * 7.5e-5);
            let want = f64::from(x).ln();
            for ln in [ln::<false>(x), ln::<true>(x)] {
                assert!((f64::from(ln) - want).abs() <= 2.4e-7 * want.abs().max(0.5), "ln({x}) = {ln}");
            }
        }
    }

    #[test]
    fn agrees_with_the_standard_library_in_double_precision() {
        for step in 0..=1_750_000 {
            let x = -87.0 + step as f32 * 1e-4;
            for (exp, exp_m1) in [exp_and_m1::<false>(x), exp_and_m1::<true>(x)] {
                let (want, want_m1) = (f64::from(x).exp(), f64::from(x).exp_m1());
                assert!((f64::from(exp) - want).abs() <= 2.4e-7 * want, "exp({x}) = {exp}");
                assert!((f64::from(exp_m1) - want_m1).abs() <= 2.4e-7 * want_m1.abs(), "exp_m1({x}) = {exp_m1}");
            }
        }
    }
}
