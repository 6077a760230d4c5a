//! scVelo's schedule, step by step: one simplex step each on groups of parameters, times assigned anew at every trial.
//!
//! The objective is the profile of `L` over times, phases and branches. A proposal is accepted if it lowers `L`; but a
//! switch time that no cell reaches is moved down to the last cell of the induction branch even if that raises `L`
//! by a hundredth (or by more, if unspliced abundance has saturated there), so `L` does not fall monotonically. No test of convergence
//! is made: `max_iter = 10` means one step of each simplex.
//!
//! Source: scVelo 0.3 `tools/_em_model_core.DynamicsRecovery.fit`.

use super::assign::{Assignment, Phase, Rule, assign};
use super::curve::Params;
use super::gene::{Gene, Neighborhoods};
use super::objective;
use super::settings::Dynamical;
use super::simplex;

/// A fit in progress.
pub(super) struct Fitter<'a> {
    gene: &'a Gene<'a>,
    near: &'a Neighborhoods,
    rule: Rule,
    /// Parameters accepted last.
    pub params: Params,
    /// Times and phases accepted with them.
    assignment: Assignment,
    /// γ/β at the start, once it is known.
    ratio: Option<f64>,
    /// `L` after every accepted change.
    losses: Vec<f64>,
}

impl<'a> Fitter<'a> {
    /// The fit of `gene` from `params` on, after the search for a better scaling.
    pub(super) fn new(gene: &'a Gene<'a>, near: &'a Neighborhoods, params: Params, settings: &Dynamical) -> Self {
        let rule = Rule::Explicit;
        let assignment = assign(gene, &params, rule, near);
        let losses = vec![objective::loss(gene, &params, None, &assignment.t)];
        let mut fitter = Self { gene, near, rule, params, assignment, ratio: None, losses };
        if settings.fit_scaling {
            fitter.search_scaling(0.5);
            fitter.search_scaling(0.1);
        }
        fitter.ratio = Some(fitter.params.gamma / fitter.params.beta);
        fitter
    }

    /// The whole schedule.
    pub(super) fn run(&mut self, settings: &Dynamical) {
        let steps = (settings.max_iter / 5).saturating_sub(1);
        let last = if settings.full_projection { Rule::Projection } else { Rule::ProjectionBelowGamma };
        if settings.full_projection {
            self.rule = last;
        }
        self.search_alpha();
        self.simplex(
            steps,
            TOLERANCE,
            |p| [p.t_switch, p.alpha],
            |p, [t_switch, alpha]| Params { alpha, t_switch, ..p },
        );
        if settings.fit_scaling {
            self.simplex(
                steps,
                TOLERANCE,
                |p| [p.t_switch, p.beta, p.scaling],
                |p, [t_switch, beta, scaling]| Params { beta, scaling, t_switch, ..p },
            );
        }
        self.simplex(steps, COARSE, |p| [p.alpha, p.gamma], |p, [alpha, gamma]| Params { alpha, gamma, ..p });
        self.simplex(steps, TOLERANCE, |p| [p.t_switch], |p, [t_switch]| Params { t_switch, ..p });
        self.simplex(steps, COARSE, all_but_scaling, with_all_but_scaling);

        self.rule = last;
        self.propose(self.params, false);
        let frozen = self.assignment.t.clone();
        let start = all_but_scaling(self.params);
        let best = simplex::descend(start, steps, COARSE, |x| {
            let params = self.with_old_switch_for_zero(with_all_but_scaling(self.params, *x));
            objective::loss(self.gene, &params, self.ratio, &frozen) / self.gene.counted.len() as f64
        });
        self.propose(with_all_but_scaling(self.params, best), true);
        self.propose(self.params, true);
    }

    /// `L` as it stands.
    pub(super) fn loss(&self) -> f64 {
        *self.losses.last().expect("the start has a loss")
    }

    /// γ/β after the start.
    pub(super) fn ratio(&self) -> f64 {
        self.ratio.unwrap_or(self.params.gamma / self.params.beta)
    }

    /// One time per cell.
    pub(super) fn into_times(self) -> Vec<f64> {
        self.assignment.t
    }

    fn search_scaling(&mut self, sight: f64) {
        let centre = self.params.scaling;
        for part in [-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0] {
            let scaling = centre + part * centre * sight;
            let beta = self.params.beta / self.params.scaling * scaling;
            self.propose(Params { beta, scaling, ..self.params }, true);
        }
    }

    fn search_alpha(&mut self) {
        let centre = self.params.alpha;
        for part in [-1.0, -0.5, 0.0, 0.5, 1.0] {
            self.propose(Params { alpha: centre + part * centre / 10.0, ..self.params }, true);
        }
    }

    /// A few simplex steps on the parameters that `get` takes out and `set` puts back, times assigned at each trial.
    fn simplex<const N: usize>(
        &mut self,
        steps: usize,
        tolerance: f64,
        get: impl Fn(Params) -> [f64; N],
        set: impl Fn(Params, [f64; N]) -> Params,
    ) {
        let from = self.params;
        let best = simplex::descend(get(from), steps, tolerance, |x| {
            let params = self.with_old_switch_for_zero(set(from, *x));
            self.loss_of(&params, &assign(self.gene, &params, self.rule, self.near)) / self.gene.counted.len() as f64
        });
        self.propose(self.with_old_switch_for_zero(set(from, best)), true);
    }

    /// A switch at 0 stands for "as it was".
    fn with_old_switch_for_zero(&self, params: Params) -> Params {
        let t_switch = if params.t_switch == 0.0 { self.params.t_switch } else { params.t_switch };
        Params { t_switch, ..params }
    }

    fn loss_of(&self, params: &Params, assignment: &Assignment) -> f64 {
        objective::loss(self.gene, params, self.ratio, &assignment.t)
    }

    /// Accepts `params` if they lower `L`; with `adjust`, moves the switch to where cells are.
    fn propose(&mut self, params: Params, adjust: bool) {
        let before = self.loss();
        let assignment = assign(self.gene, &params, self.rule, self.near);
        let loss = self.loss_of(&params, &assignment);
        let mut accepted = (loss < before).then_some((params, assignment, loss));
        if adjust {
            let kept = || {
                let assignment = assign(self.gene, &self.params, self.rule, self.near);
                let loss = self.loss_of(&self.params, &assignment);
                (self.params, assignment, loss)
            };
            let current = accepted.take();
            let improves = current.is_some();
            let current = current.unwrap_or_else(kept);
            let earlier = self.with_earlier_switch(&current, before);
            accepted = earlier.or_else(|| improves.then_some(current));
        }
        if let Some((params, assignment, loss)) = accepted {
            self.params = params;
            self.assignment = assignment;
            self.losses.push(loss);
        }
    }

    /// The switch moved down to the last cell that was on the induction branch, if that costs little.
    fn with_earlier_switch(
        &self,
        (params, assignment, loss): &(Params, Assignment, f64),
        before: f64,
    ) -> Option<(Params, Assignment, f64)> {
        let was_on = |phase: &Phase| matches!(phase, Phase::Induction | Phase::SteadyOff);
        let on = assignment.t.iter().zip(&self.assignment.phase).filter(|(_, phase)| was_on(phase));
        let last = on.map(|(t, _)| *t).fold(f64::NEG_INFINITY, f64::max);
        if !(last > 0.0 && last < params.t_switch) {
            return None;
        }
        let latest = assignment.t.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        #[allow(clippy::float_cmp)] // such cells were given this very number
        let at_switch = assignment.t.iter().filter(|t| **t == params.t_switch).count();
        let t_switch = last + latest / assignment.t.len() as f64 * at_switch as f64;
        let earlier = Params { t_switch, ..*params };
        let assignment = assign(self.gene, &earlier, self.rule, self.near);
        let earlier_loss = self.loss_of(&earlier, &assignment);
        let induced = |t: f64| 1.0 - (-params.beta * t).exp();
        let saturated = 0.99 * induced(params.t_switch) < induced(t_switch);
        (0.99 * earlier_loss <= loss.min(before) || saturated).then_some((earlier, assignment, earlier_loss))
    }
}

/// Corners this close end a simplex, where no coarser tolerance is given (scipy's default).
const TOLERANCE: f64 = 1e-4;
/// The tolerance of the steps that move rates together.
const COARSE: f64 = 1e-2;

fn all_but_scaling(p: Params) -> [f64; 4] {
    [p.t_switch, p.alpha, p.beta, p.gamma]
}

fn with_all_but_scaling(p: Params, [t_switch, alpha, beta, gamma]: [f64; 4]) -> Params {
    Params { alpha, beta, gamma, t_switch, ..p }
}
