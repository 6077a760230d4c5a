//! Where genes start: the steady state at the top of their abundances, and the times that follow from it.
//!
//! As scVelo starts its EM and VeloVAE its networks: `β = 1`, γ and α from the cells at the top of both species, each
//! cell's time from the explicit inverse of the ODE on the nearer branch. A shared time is the median over genes of the ranks of
//! these times.

use rayon::prelude::*;

use super::curve::Curve;
use crate::kinetics::{self, Rates, State};
use crate::stats;

/// Why a gene has no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Fewer than three cells have both species, or an abundance is not finite.
    TooFewCells,
    /// An abundance is the same in all cells, or parameters left the finite numbers.
    Degenerate,
}

impl Unfit {
    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::TooFewCells => "too few cells",
            Self::Degenerate => "degenerate",
        }
    }
}

/// Something of a gene, or why it has none.
pub(super) type OrUnfit<T> = Result<T, Unfit>;

/// Start of one gene.
#[derive(Clone, Debug)]
pub(super) struct Start {
    /// Factor by which unspliced abundance is divided: the ratio of the spreads.
    pub scaling: f64,
    /// The curve on the gene's own clock, switched on at 0; β is 1.
    pub curve: Curve,
    /// Time of each cell on that clock, `[n_obs]`; in single precision, for there are as many as abundances.
    pub times: Vec<f32>,
}

/// Cells at the top: from this percentile on.
const TOP: f64 = 98.0;
/// Genes with less variation than this, relative to their mean, are constant.
const CONSTANT: f64 = 1e-6;

impl Start {
    /// Start of a gene with these moments, `[n_obs]` each.
    pub(super) fn new(u: &[f64], s: &[f64]) -> OrUnfit<Self> {
        if u.iter().chain(s).any(|x| !x.is_finite()) {
            return Err(Unfit::TooFewCells);
        }
        let expressed: Vec<usize> = (0..s.len()).filter(|&cell| u[cell] > 0.0 && s[cell] > 0.0).collect();
        if expressed.len() < 3 {
            return Err(Unfit::TooFewCells);
        }
        let of = |values: &[f64]| -> Vec<f64> { expressed.iter().map(|&cell| values[cell]).collect() };
        let (seen_u, seen_s) = (of(u), of(s));
        let varies = |values: &[f64]| stats::std_dev(values, 0) > CONSTANT * stats::mean(values).abs();
        if ![u, s, &seen_u, &seen_s].into_iter().all(varies) {
            return Err(Unfit::Degenerate);
        }
        let scaling = stats::std_dev(&seen_u, 0) / stats::std_dev(&seen_s, 0);
        let scaled: Vec<f64> = u.iter().map(|u| u / scaling).collect();
        let steady = steady_state(&of(&scaled), &seen_s);
        let rates = Rates { alpha: steady.u, beta: 1.0, gamma: steady.u / steady.s };
        let t_off = kinetics::explicit_time(steady, State::default(), rates);
        let curve = Curve { rates, t_on: 0.0, t_off };
        let start = Self { scaling, curve, times: times(&scaled, s, curve) };
        let finite = start.curve.is_finite() && start.times.iter().all(|t| t.is_finite());
        if finite { Ok(start) } else { Err(Unfit::Degenerate) }
    }

    /// Time of the latest cell or the switch.
    pub(super) fn latest(&self) -> f64 {
        self.times.iter().map(|&t| f64::from(t)).fold(self.curve.t_off, f64::max)
    }

    /// The curve on a clock on which the latest cell is at `t_max`.
    pub(super) fn stretched(&self, t_max: f64) -> Curve {
        let by = t_max / self.latest();
        let Rates { alpha, beta, gamma } = self.curve.rates;
        Curve {
            rates: Rates { alpha: alpha / by, beta: beta / by, gamma: gamma / by },
            t_on: 0.0,
            t_off: self.curve.t_off * by,
        }
    }
}

/// Mean of the cells at the top of both species; of the spliced alone if none is at both.
fn steady_state(u: &[f64], s: &[f64]) -> State {
    let (top_u, top_s) = (stats::percentile(u, TOP), stats::percentile(s, TOP));
    let mean_of = |top: &dyn Fn(f64, f64) -> bool| {
        let (n, sum) = u
            .iter()
            .zip(s)
            .filter(|&(&u, &s)| top(u, s))
            .fold((0.0, State::default()), |(n, sum), (u, s)| (n + 1.0, State { u: sum.u + u, s: sum.s + s }));
        (n > 0.0).then(|| State { u: sum.u / n, s: sum.s / n })
    };
    let both = mean_of(&|u, s| u >= top_u && s >= top_s);
    // The largest s is at or above the percentile.
    both.or_else(|| mean_of(&|_, s| s >= top_s)).unwrap_or_default()
}

/// Time of each cell on the nearer of the two branches of `curve`.
fn times(u: &[f64], s: &[f64], curve: Curve) -> Vec<f32> {
    let Curve { rates, t_off, .. } = curve;
    let (origin, silent) = (State::default(), Rates { alpha: 0.0, ..rates });
    let at_off = kinetics::solve(t_off, origin, rates);
    let of_cell = |(&u, &s): (&f64, &f64)| {
        let seen = State { u, s };
        let distance = |x: State| (x.u - u).powi(2) + (x.s - s).powi(2);
        let rising = kinetics::explicit_time(seen, origin, rates).min(t_off);
        let falling = kinetics::explicit_time(seen, at_off, silent).min(t_off);
        let near_rising = distance(kinetics::solve(rising, origin, rates));
        let near_falling = distance(kinetics::solve(falling, at_off, silent));
        (if near_rising <= near_falling { rising } else { t_off + falling }) as f32
    };
    u.iter().zip(s).map(of_cell).collect()
}

/// One time per cell in [0, 1]: the rank of the median over genes of the ranks of its times.
pub(super) fn consensus(starts: &[&Start], n_obs: usize) -> Vec<f64> {
    let widened = |times: &[f32]| times.iter().map(|&t| f64::from(t)).collect::<Vec<f64>>();
    let narrow = |ranks: Vec<f64>| ranks.into_iter().map(|rank| rank as f32).collect::<Vec<f32>>();
    let ranked: Vec<Vec<f32>> =
        starts.par_iter().map(|start| narrow(stats::rank_shares(&widened(&start.times)))).collect();
    let median = |cell: usize| stats::median(&ranked.iter().map(|gene| f64::from(gene[cell])).collect::<Vec<f64>>());
    stats::rank_shares(&(0..n_obs).into_par_iter().map(median).collect::<Vec<f64>>())
}
