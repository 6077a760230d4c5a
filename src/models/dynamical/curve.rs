//! The curve of one gene in the phase plane: a branch on which it is transcribed, one on which it is not.

use serde::{Deserialize, Serialize};

use crate::kinetics::{self, Rates, State};
use crate::simd::{Vectorized, exp_f64, vectorize};

/// Parameters of one gene. Inside the model unspliced abundance is `u' = u / scaling`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Params {
    /// Transcription rate, in units of u' per time.
    pub alpha: f64,
    /// Splicing rate of u', per time.
    pub beta: f64,
    /// Degradation rate, per time.
    pub gamma: f64,
    /// Factor by which unspliced abundance is divided.
    pub scaling: f64,
    /// Time at which transcription stops; it starts at 0.
    pub t_switch: f64,
}

impl Params {
    /// The rates while the gene is transcribed.
    pub(super) fn rates(&self) -> Rates {
        Rates { alpha: self.alpha, beta: self.beta, gamma: self.gamma }
    }

    /// Whether a curve can be drawn with these parameters: all finite and above 0.
    pub(super) fn is_usable(&self) -> bool {
        [self.alpha, self.beta, self.gamma, self.scaling, self.t_switch]
            .iter()
            .all(|value| value.is_finite() && *value > 0.0)
    }
}

/// Both branches of a gene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve {
    /// Induction, from (0, 0) at time 0.
    pub on: Branch,
    /// Repression, from the state at `t_switch`.
    pub off: Branch,
    /// When the one ends and the other begins.
    pub t_switch: f64,
}

impl Curve {
    /// The curve of `params`.
    pub(super) fn new(params: &Params) -> Self {
        let rates = params.rates();
        let on = Branch::new(State::default(), rates);
        let off = Branch::new(on.at(params.t_switch), Rates { alpha: 0.0, ..rates });
        Self { on, off, t_switch: params.t_switch }
    }

    /// The state at time `t` since the gene was switched on.
    pub(super) fn at(&self, t: f64) -> State {
        if t < self.t_switch { self.on.at(t) } else { self.off.at(t - self.t_switch) }
    }
}

/// States of a gene at many times: parallel vectors.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    pub u: Vec<f64>,
    pub s: Vec<f64>,
}

impl States {
    /// The states of `curve` at times `t` since the gene was switched on.
    pub(super) fn along(curve: &Curve, t: &[f64]) -> Self {
        let (Some(on), Some(off)) = (curve.on.mixing, curve.off.mixing) else {
            return t.iter().map(|&t| curve.at(t)).collect();
        };
        let (mut u, mut s) = (vec![0.0; t.len()], vec![0.0; t.len()]);
        vectorize(Along { curve, on, off, t, u: &mut u, s: &mut s });
        Self { u, s }
    }

    /// The state at position `k`.
    pub(super) fn at(&self, k: usize) -> State {
        State { u: self.u[k], s: self.s[k] }
    }
}

impl FromIterator<State> for States {
    fn from_iter<I: IntoIterator<Item = State>>(states: I) -> Self {
        let (u, s) = states.into_iter().map(|State { u, s }| (u, s)).unzip();
        Self { u, s }
    }
}

/// [`Curve::at`], many times over.
struct Along<'a> {
    curve: &'a Curve,
    /// [`Branch::mixing`] of either branch.
    on: f64,
    off: f64,
    t: &'a [f64],
    u: &'a mut [f64],
    s: &'a mut [f64],
}

impl Vectorized for Along<'_> {
    #[allow(clippy::inline_always, reason = "see Vectorized")]
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Curve { on, off, t_switch } = *self.curve;
        let Rates { alpha, beta, gamma } = on.rates;
        let (u_inf, s_inf) = (alpha / beta, alpha / gamma);
        for ((&t, u), s) in self.t.iter().zip(self.u).zip(self.s) {
            let is_on = t < t_switch;
            let choose = |on: f64, off: f64| if is_on { on } else { off };
            let tau = choose(t, t - t_switch);
            let (exp_u, exp_s) = (exp_f64::<FMA>(-beta * tau), exp_f64::<FMA>(-gamma * tau));
            *u = choose(on.x0.u, off.x0.u) * exp_u + choose(u_inf, 0.0) * (1.0 - exp_u);
            *s = choose(on.x0.s, off.x0.s) * exp_s
                + choose(s_inf, 0.0) * (1.0 - exp_s)
                + choose(self.on, self.off) * (exp_s - exp_u);
        }
    }
}

/// One solution of the ODE at constant rates, ready to be asked at many times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    /// Where it starts.
    pub x0: State,
    /// The rates that hold on it.
    pub rates: Rates,
    /// `(α − β u₀) / (γ − β)`; none where γ is so close to β that the quotient would lose digits.
    mixing: Option<f64>,
}

/// Relative gap of γ and β below which states are computed without dividing by it.
const CLOSE: f64 = 1e-5;

impl Branch {
    fn new(x0: State, rates: Rates) -> Self {
        let gap = rates.gamma - rates.beta;
        let apart = gap.abs() > CLOSE * (rates.gamma.abs() + rates.beta.abs());
        let mixing = apart.then(|| rates.beta.mul_add(-x0.u, rates.alpha) / gap);
        Self { x0, rates, mixing }
    }

    /// The state `tau` after the branch starts.
    #[inline]
    pub(super) fn at(&self, tau: f64) -> State {
        let Some(mixing) = self.mixing else { return kinetics::solve(tau, self.x0, self.rates) };
        let Rates { alpha, beta, gamma } = self.rates;
        let (exp_u, exp_s) = ((-beta * tau).exp(), (-gamma * tau).exp());
        State {
            u: self.x0.u * exp_u + alpha / beta * (1.0 - exp_u),
            s: self.x0.s * exp_s + alpha / gamma * (1.0 - exp_s) + mixing * (exp_s - exp_u),
        }
    }

    /// When the branch comes by `state`, by the explicit rule.
    pub(super) fn explicit_time(&self, state: State) -> f64 {
        kinetics::explicit_time(state, self.x0, self.rates)
    }
}
