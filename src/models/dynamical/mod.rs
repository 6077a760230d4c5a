//! The dynamical model (placeholder docs).

mod align;
mod assign;
mod compat;
mod converge;
mod curve;
mod gene;
mod objective;
mod settings;
mod shape;
mod simplex;
mod start;
mod velocity;

pub use settings::{Dynamical, Genes, Schedule, TimeScope, VelocityFrom};

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use self::assign::{BranchTimes, branch_times};
use self::curve::{Curve, Params};
use self::gene::{Gene, Neighborhoods};
use super::VelocityModel;
use super::steady_state;
use crate::data::{Dataset, Fit, GeneParams, Run};
use crate::error::Result;

impl VelocityModel for Dynamical {
    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        let near = Neighborhoods::new(&data.neighbors);
        let lines = steady_state::fit_lines(data, steady_state::Extremes { percentile: 95.0, fit_offset: false });
        let r2: Vec<f64> = lines.iter().map(|line| line.full_r2).collect();
        let slope: Vec<f64> = lines.iter().map(|line| line.extreme.slope).collect();
        let chosen = match self.genes {
            Genes::All => vec![true; data.n_vars()],
            Genes::VelocityGenes => steady_state::velocity_genes(data, &r2, &slope, &steady_state::Selection::default(), run.reporter()),
        };
        let fits: Vec<GeneFit> = (0..data.n_vars()).into_par_iter().map(|gene| fit_gene(self, data, &near, gene, chosen[gene])).collect();
        let matrix = |f: &dyn Fn(&GeneFit) -> &Vec<f64>| {
            Array2::from_shape_fn((data.n_obs(), data.n_vars()), |(cell, gene)| {
                f(&fits[gene]).get(cell).copied().unwrap_or(f64::NAN) as f32
            })
        };
        let column = |f: &dyn Fn(&GeneFit) -> f64| Some(Array1::from_iter(fits.iter().map(f)));
        Ok(Fit {
            model: "dynamical".to_owned(),
            velocity: matrix(&|fit| &fit.velocity),
            velocity_u: Some(matrix(&|fit| &fit.velocity_u)),
            fit_t: Some(matrix(&|fit| &fit.t)),
            genes: GeneParams {
                alpha: column(&|fit| fit.params.alpha),
                beta: column(&|fit| fit.params.beta / fit.params.scaling),
                gamma: column(&|fit| fit.params.gamma),
                t_switch: column(&|fit| fit.params.t_switch),
                scaling: column(&|fit| fit.params.scaling),
                likelihood: column(&|fit| fit.likelihood),
                std_u: column(&|fit| fit.loss),
                velocity_genes: fits.iter().map(|fit| fit.likelihood > self.min_likelihood).collect(),
                ..GeneParams::default()
            },
            ..Fit::default()
        })
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn citations(&self) -> &'static [&'static str] {
        &["Bergen et al.: Generalizing RNA velocity to transient cell states through dynamical modeling. Nature Biotechnology 2020"]
    }
}

#[derive(Default)]
struct GeneFit {
    params: Params,
    likelihood: f64,
    loss: f64,
    t: Vec<f64>,
    velocity: Vec<f64>,
    velocity_u: Vec<f64>,
}

fn fit_gene(settings: &Dynamical, data: &Dataset, near: &Neighborhoods, index: usize, chosen: bool) -> GeneFit {
    let u: Vec<f64> = data.mu.column(index).iter().map(|&value| f64::from(value)).collect();
    let s: Vec<f64> = data.ms.column(index).iter().map(|&value| f64::from(value)).collect();
    let nan = Params { alpha: f64::NAN, beta: f64::NAN, gamma: f64::NAN, scaling: f64::NAN, t_switch: f64::NAN };
    let none = GeneFit { params: nan, likelihood: f64::NAN, ..GeneFit::default() };
    if !chosen { return none; }
    let Some(gene) = Gene::new(&u, &s) else { return none };
    let start = start::start(&gene);
    let mut fitter = compat::Fitter::new(&gene, near, start.params, settings);
    let (params, times, assignment, loss) = if settings.schedule == Schedule::Compat {
        fitter.run(settings);
        let rule = if settings.full_projection { assign::Rule::Projection } else { assign::Rule::ProjectionBelowGamma };
        let params = fitter.params;
        let curve = Curve::new(&params);
        let times = branch_times(&gene, &params, &curve, rule, near);
        (params, times, fitter.assignment.clone(), *fitter.losses.last().unwrap())
    } else {
        let mut c = converge::converge(&gene, near, &fitter.params, fitter.ratio.unwrap(), settings);
        if let Ok(list) = std::env::var("STARTS") {
            let base = start.params;
            let mut best = objective::loss(&gene, &c.params, fitter.ratio, &c.assignment.t);
            for z in list.split(',').map(|x| x.parse::<f64>().unwrap()) {
                let p = Params { scaling: base.scaling * z, beta: base.beta * z, ..base };
                let d = converge::converge(&gene, near, &p, p.gamma / p.beta, settings);
                let l = objective::loss(&gene, &d.params, Some(p.gamma / p.beta), &d.assignment.t);
                if l < best { best = l; c = d; fitter.ratio = Some(p.gamma / p.beta); }
            }
        }
        if std::env::var("DBG").is_ok() { eprintln!("gene {index} rounds {} settled {} start {:.4} loss {:.4}", c.rounds, c.has_settled, fitter.losses.last().unwrap(), c.loss); }
        let mut c = c;
        if std::env::var("GAPS").is_ok() {
            let curve = Curve::new(&c.params);
            assign::close_gaps(&gene, &c.params, &curve, near, &mut c.times);
            for (cell, phase) in c.assignment.phase.iter().enumerate() {
                c.assignment.t[cell] = match phase {
                    assign::Phase::Repression => c.params.t_switch + c.times.off[cell],
                    assign::Phase::Induction => c.times.on[cell],
                    assign::Phase::SteadyOff => 0.0,
                    assign::Phase::SteadyOn => c.params.t_switch,
                };
            }
        }
        let loss = objective::loss(&gene, &c.params, fitter.ratio, &c.assignment.t);
        (c.params, c.times, c.assignment, loss)
    };
    let likelihood = objective::likelihood(&gene, &params, fitter.ratio.unwrap(), &assignment.t);
    let t = near.average(&assignment.t);
    let m = align::stretch(&t, params.t_switch, settings.t_max);
    let params = align::stretched(&params, m);
    let times = BranchTimes {
        on: times.on.iter().map(|t| t * m).collect(),
        off: times.off.iter().map(|t| t * m).collect(),
    };
    let (velocity, velocity_u) = velocity::velocity(&gene, &params, &times, near, settings.velocity);
    GeneFit { params, likelihood, loss, t: t.iter().map(|t| t * m).collect(), velocity, velocity_u }
}
