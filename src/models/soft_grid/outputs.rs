//! From the fitted model to what every model returns.

use ndarray::{Array1, Array2};
use rayon::prelude::*;
use serde_json::json;

use super::course::{ALPHA, BETA, Course, GAMMA, S0, U0};
use super::direction::Direction;
use super::em::{Fixed, Gathered, Model};
use super::expect::Posterior;
use super::scores::Scores;
use super::tree::Tree;
use crate::data::Fit;

/// How far ahead the future state lies, in parts of the time axis.
const AHEAD: f64 = 0.05;

/// Curves of all genes by node: `[nodes][n_vars]`.
struct Curves {
    n_vars: usize,
    u: Vec<f32>,
    s: Vec<f32>,
    velocity_u: Vec<f32>,
    velocity: Vec<f32>,
}

impl Curves {
    fn new(model: &Model) -> Self {
        let (nodes, n_vars) = (model.tree.len(), model.genes.len());
        let empty = || vec![0.0; nodes * n_vars];
        let mut curves = Self { n_vars, u: empty(), s: empty(), velocity_u: empty(), velocity: empty() };
        let mut course = Course::default();
        for (at, gene) in model.genes.iter().enumerate() {
            course.solve(&model.tree, &gene.params);
            let (beta, gamma) = (gene.params[BETA].exp(), gene.params[GAMMA].exp());
            for node in 0..nodes {
                let (u, s) = (course.values[0][node], course.values[1][node]);
                let alpha = gene.params[ALPHA + model.tree.piece[node]].exp();
                let to = node * n_vars + at;
                (curves.u[to], curves.s[to]) = (u as f32, s as f32);
                (curves.velocity_u[to], curves.velocity[to]) =
                    ((alpha - beta * u) as f32, (beta * u - gamma * s) as f32);
            }
        }
        curves
    }

    /// Posterior mean of one quantity, and its s.d. if `std` is asked for.
    fn average(&self, curve: &[f32], posteriors: &[Posterior], std: bool) -> (Array2<f32>, Option<Array2<f32>>) {
        let shape = (posteriors.len(), self.n_vars);
        let mut mean = vec![0.0_f32; shape.0 * shape.1];
        let mut spread = vec![0.0_f32; if std { mean.len() } else { 0 }];
        let row = |node: u32| &curve[node as usize * self.n_vars..][..self.n_vars];
        mean.par_chunks_mut(self.n_vars).zip(posteriors).for_each(|(mean, posterior)| {
            for &(node, q) in &posterior.nodes {
                mean.iter_mut().zip(row(node)).for_each(|(mean, value)| *mean += q * value);
            }
        });
        if std {
            let cells = spread.par_chunks_mut(self.n_vars).zip(mean.par_chunks(self.n_vars)).zip(posteriors);
            cells.for_each(|((spread, mean), posterior)| {
                for &(node, q) in &posterior.nodes {
                    for ((spread, mean), value) in spread.iter_mut().zip(mean).zip(row(node)) {
                        *spread += q * (value - mean) * (value - mean);
                    }
                }
                for spread in spread.iter_mut() {
                    *spread = spread.sqrt();
                }
            });
        }
        let array = |values| Array2::from_shape_vec(shape, values).expect("one row per cell, one value per gene");
        (array(mean), std.then(|| array(spread)))
    }
}

/// Where each node's cells will be: nodes and weights. Cells of the trunk go to each lineage in the share that it has.
fn ahead(model: &Model) -> Vec<Vec<(u32, f32)>> {
    let tree = &model.tree;
    let steps = (AHEAD * (tree.length - 1) as f64).round() as usize;
    let mut shares = vec![0.0; tree.lineages];
    for pi in &model.pi {
        for (node, pi) in pi.iter().enumerate() {
            shares[tree.lineage(node).unwrap_or(0)] += if tree.lineage(node).is_some() { *pi } else { 0.0 };
        }
    }
    let total: f64 = shares.iter().sum();
    let share = |k: usize| if total > 0.0 { shares[k] / total } else { 1.0 / tree.lineages as f64 };
    let of_node = |node: usize| {
        let position = (tree.position(node) + steps).min(tree.length - 1);
        match tree.lineage(node) {
            Some(k) => vec![(tree.node(k, position) as u32, 1.0)],
            None if position < tree.trunk => vec![(position as u32, 1.0)],
            None => (0..tree.lineages).map(|k| (tree.node(k, position) as u32, share(k) as f32)).collect(),
        }
    };
    (0..tree.len()).map(of_node).collect()
}

/// Everything about cells; layers only if `layers`.
pub(super) fn cells(model: &Model, posteriors: &[Posterior], layers: bool, std: bool) -> Fit {
    let tree = &model.tree;
    let n_obs = posteriors.len();
    let time = |posterior: &Posterior| posterior.mean(|z| tree.time(z));
    let spread = |posterior: &Posterior| {
        let mean = time(posterior);
        // Half a step is what the grid itself leaves open.
        (posterior.mean(|z| (tree.time(z) - mean).powi(2)) + tree.step * tree.step / 12.0).sqrt()
    };
    let mut fit = Fit {
        model: "soft_grid".to_owned(),
        latent_time: Some(posteriors.iter().map(time).collect()),
        latent_time_std: Some(posteriors.iter().map(spread).collect()),
        cell_size: Some(posteriors.iter().map(|posterior| posterior.size[1]).collect()),
        ..Fit::default()
    };
    if tree.lineages > 1 {
        let mut lineages = Array2::zeros((n_obs, tree.lineages));
        for (mut row, posterior) in lineages.rows_mut().into_iter().zip(posteriors) {
            for &(node, q) in &posterior.nodes {
                if let Some(k) = tree.lineage(node as usize) {
                    row[k] += q;
                }
            }
        }
        fit.lineages = Some(lineages);
    }
    if layers {
        let curves = Curves::new(model);
        (fit.velocity, fit.velocity_std) = curves.average(&curves.velocity, posteriors, std);
        let (velocity_u, velocity_u_std) = curves.average(&curves.velocity_u, posteriors, std);
        (fit.velocity_u, fit.velocity_u_std) = (Some(velocity_u), velocity_u_std);
        fit.fit_u = Some(curves.average(&curves.u, posteriors, false).0);
        fit.fit_s = Some(curves.average(&curves.s, posteriors, false).0);
        let ahead = ahead(model);
        let moved: Vec<Posterior> = posteriors.iter().map(|posterior| move_on(posterior, &ahead)).collect();
        fit.future = Some(curves.average(&curves.s, &moved, false).0);
        fit.future_time = Some(AHEAD * tree.step * (tree.length - 1) as f64);
    }
    fit
}

fn move_on(posterior: &Posterior, ahead: &[Vec<(u32, f32)>]) -> Posterior {
    let moved =
        posterior.nodes.iter().flat_map(|&(node, q)| ahead[node as usize].iter().map(move |&(to, w)| (to, q * w)));
    Posterior { nodes: moved.collect(), ..posterior.clone() }
}

/// Adds everything about genes.
pub(super) fn genes(fit: &mut Fit, model: &Model, fixed: &Fixed, gathered: &Gathered, scores: Option<&Scores>) {
    let tree = &model.tree;
    let column =
        |value: &dyn Fn(usize) -> f64| -> Option<Array1<f64>> { Some((0..model.genes.len()).map(value).collect()) };
    let param = |at: usize| column(&|gene: usize| model.genes[gene].params[at].exp());
    let errors: Vec<[f64; 2]> = model
        .genes
        .par_iter()
        .enumerate()
        .map_init(Course::default, |course, (at, gene)| {
            gene.standard_errors(tree, &fixed.prior, gathered.of(at), course)
        })
        .collect();
    let genes = &mut fit.genes;
    (genes.beta, genes.gamma, genes.u0, genes.s0) = (param(BETA), param(GAMMA), param(U0), param(S0));
    genes.alpha =
        column(&|gene| model.genes[gene].params[ALPHA..].iter().copied().fold(f64::NEG_INFINITY, f64::max).exp());
    genes.ln_beta_se = column(&|gene| errors[gene][0]);
    genes.ln_gamma_se = column(&|gene| errors[gene][1]);
    genes.dispersion_u = column(&|gene| model.genes[gene].dispersion[0]);
    genes.dispersion_s = column(&|gene| model.genes[gene].dispersion[1]);
    genes.velocity_genes = vec![true; model.genes.len()];
    if let Some(scores) = scores {
        genes.ll_held_out = column(&|gene| scores.held_out[gene]);
        genes.dynamics = column(&|gene| scores.dynamics[gene]);
        genes.pval_dynamics = column(&|gene| scores.p_values[gene]);
        genes.velocity_genes = scores.p_values.iter().map(|&p| p < 0.05).collect();
    }
}

/// Adds what is neither of a cell nor of a gene alone: the tree, π, transcription by piece, the direction.
pub(super) fn details(fit: &mut Fit, model: &Model, direction: &Direction, held_out: &[f64], history: &[f64]) {
    let tree: &Tree = &model.tree;
    let nodes = 0..tree.len();
    let alpha: Vec<f64> = model.genes.iter().flat_map(|gene| gene.params[ALPHA..].iter().map(|ln| ln.exp())).collect();
    let finite = |value: f64| if value.is_finite() { json!(value) } else { json!("given") };
    fit.genes.direction = Some(direction.by_gene.iter().copied().collect());
    fit.details = Some(json!({
        "lineages": tree.lineages,
        "node_time": nodes.clone().map(|node| tree.time(node)).collect::<Vec<_>>(),
        "node_lineage": nodes.map(|node| tree.lineage(node).map_or(-1.0, |k| k as f64)).collect::<Vec<_>>(),
        "node_piece": tree.piece.iter().map(|&piece| piece as f64).collect::<Vec<_>>(),
        "node_parent": tree.parent.iter().map(|&parent| parent as f64).collect::<Vec<_>>(),
        "pi": model.pi.concat(),
        "n_pieces": tree.pieces,
        "alpha": alpha,
        "direction_determined": direction.determined,
        "direction_nats": finite(direction.nats),
        "direction_standard_errors": finite(direction.z),
        "held_out_by_lineages": held_out,
        "objective": history,
    }));
}
