//! Where the fit of a gene starts: the steady state at the top of its abundances.
//!
//! Source: Bergen et al. 2020, Methods ("parameter inference", initialisation); scVelo 0.3 `DynamicsRecovery.initialize`.

use super::curve::Params;
use super::gene::{Gene, pick};
use crate::kinetics::{self, Rates, State};
use crate::stats;

/// Start of one gene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub params: Params,
    /// The larger p-value of the two tests whether an abundance has one mode only.
    pub pval_steady: f64,
    /// u' and s at the upper modes.
    pub steady: State,
}

/// Cells at the top: from this percentile on.
const TOP: f64 = 98.0;
/// Below this p-value both abundances are taken to have a mode of their own at the steady state.
const BIMODAL: f64 = 1e-3;

/// First parameters: `β = 1`, γ and α from the cells at the top, the switch when the steady state is reached.
pub(super) fn start(gene: &Gene) -> Start {
    let scaling = gene.std_u / gene.std_s;
    let u: Vec<f64> = pick(gene.u, &gene.counted).iter().map(|u| u / scaling).collect();
    let s = pick(gene.s, &gene.counted);
    let (top_u, top_s) = (stats::percentile(&u, TOP), stats::percentile(&s, TOP));
    let (mut us, mut ss, mut sum_u, mut n_u, mut sum_s, mut n_s) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (&u, &s) in u.iter().zip(&s) {
        if s >= top_s {
            us += u * s;
            ss += s * s;
            sum_s += s;
            n_s += 1.0;
        }
        if u >= top_u || s >= top_s {
            sum_u += u;
            n_u += 1.0;
        }
    }
    let mut rates = Rates { alpha: 0.0, beta: 1.0, gamma: steeper(us / ss + 1e-6, scaling) };
    let mut top = State { u: sum_u / n_u, s: sum_s / n_s };
    rates.alpha = top.u;

    let modes = (upper_mode(&u), upper_mode(&s));
    let pval_steady = modes.0.p.max(modes.1.p);
    if pval_steady < BIMODAL {
        top.u = f64::midpoint(top.u, modes.0.at);
        rates.alpha = rates.gamma * top.s;
        rates.beta = rates.alpha / top.u;
    }
    let t_switch = kinetics::explicit_time(top, State::default(), rates);
    Start {
        params: Params { alpha: rates.alpha, beta: rates.beta, gamma: rates.gamma, scaling, t_switch },
        pval_steady,
        steady: State { u: modes.0.at, s: modes.1.at },
    }
}

/// Slopes beyond these, times the scaling, are met half-way at the start.
const EXTREME_SLOPES: (f64, f64) = (0.05, 1.5);

fn steeper(gamma: f64, scaling: f64) -> f64 {
    if gamma < EXTREME_SLOPES.0 / scaling {
        gamma * 1.2
    } else if gamma > EXTREME_SLOPES.1 / scaling {
        gamma / 1.2
    } else {
        gamma
    }
}

/// Result of a test for a second, upper mode.
struct Mode {
    /// P-value of one mode.
    p: f64,
    /// Where the upper mode is.
    at: f64,
}

/// Points at which the density is taken.
const POINTS: usize = 30;
/// Points among which the valley between the modes is sought.
const VALLEY: std::ops::Range<usize> = 13..17;

/// Whether the density of `values` has a mode in its upper half that stands out from its surroundings, and where.
///
/// The density is a Gaussian kernel estimate with Scott's bandwidth. As in scVelo, the standard error in the test is at
/// least 1, so only densities above about 3 (of abundances well below 1) can be told from one mode.
fn upper_mode(values: &[f64]) -> Mode {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bandwidth = stats::std_dev(values, 1) * (values.len() as f64).powf(-0.2);
    if !(bandwidth > 0.0 && stats::percentile(values, 99.9) > least) {
        return Mode { p: 1.0, at: 0.0 };
    }
    let width = (most - least) / (POINTS - 1) as f64;
    let density = density(values, least, width, bandwidth);
    let valley = VALLEY.start + first(&density[VALLEY], |a, b| a < b);
    let upper = &density[valley..];
    let peak = first(upper, |a, b| a > b);
    let error = (stats::std_dev(&density, 0) / (POINTS as f64).sqrt()).max(1.0);
    let t = (upper[peak] - stats::mean(upper)) / error;
    let place = |point: usize| least + width * point as f64;
    let next = (peak + 1).min(upper.len() - 1);
    Mode { p: stats::upper_tail(t), at: place(valley) + width * 0.5 * (peak + next) as f64 }
}

/// Bins per distance of two points: at Scott's bandwidth a bin is 10⁻² of a kernel wide, and moving values to its ends changes
/// the density by 10⁻⁵.
const BINS: usize = 64;

/// Gaussian kernel density of `values` at `POINTS` points from `least` on, `width` apart.
///
/// Values are first shared out to the ends of fine bins, so that the cost does not grow with thirty times the cells.
fn density(values: &[f64], least: f64, width: f64, bandwidth: f64) -> [f64; POINTS] {
    const LAST: usize = BINS * (POINTS - 1);
    let mut bins = vec![0.0; LAST + 2];
    let per_bin = BINS as f64 / width;
    for &value in values {
        let place = (value - least) * per_bin;
        let bin = (place as usize).min(LAST);
        let beyond = place - bin as f64;
        bins[bin] += 1.0 - beyond;
        bins[bin + 1] += beyond;
    }
    let h = (per_bin * bandwidth).recip();
    // Seven bandwidths away a kernel has fallen to 10⁻¹¹.
    let kernel: Vec<f64> =
        (0..=LAST).map(|k| k as f64 * h).take_while(|z| *z < 7.0).map(|z| (-0.5 * z * z).exp()).collect();
    let norm = (values.len() as f64 * bandwidth * std::f64::consts::TAU.sqrt()).recip();
    std::array::from_fn(|point| {
        let centre = point * BINS;
        let below: f64 = bins[..centre].iter().rev().zip(&kernel[1..]).map(|(n, k)| n * k).sum();
        let above: f64 = bins[centre..=LAST].iter().zip(&kernel).map(|(n, k)| n * k).sum();
        (below + above) * norm
    })
}

/// Position of the first value that no other value is `better` than.
fn first(values: &[f64], better: impl Fn(f64, f64) -> bool) -> usize {
    (1..values.len()).fold(0, |best, at| if better(values[at], values[best]) { at } else { best })
}
