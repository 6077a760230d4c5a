//! From the fitted model to what every model returns.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde_json::json;

use super::course::{ALPHA, BETA, Course, GAMMA, S0, SCALING, U0};
use super::em::{Gathered, Model};
use super::expect::Posterior;
use super::fit::Found;
use super::gene::Gene;
use super::samples::Samples;
use super::scores::Scores;
use super::settings::VelocityOf;
use super::tree::{Segment, Tree};
use crate::data::quantities::{
    About, CELL_CAPTURE, CELL_SIZE, FIT_ALPHA, FIT_BETA, FIT_DELAY, FIT_DEPARTURE_S, FIT_DEPARTURE_U, FIT_DIRECTION,
    FIT_DISPERSION_S, FIT_DISPERSION_U, FIT_DYNAMICS, FIT_GAMMA, FIT_LIKELIHOOD, FIT_LL_HELD_OUT, FIT_LN_BETA_SE,
    FIT_LN_GAMMA_SE, FIT_PVAL_DELAY, FIT_PVAL_DYNAMICS, FIT_QVAL_DELAY, FIT_S, FIT_S_FUTURE, FIT_S0, FIT_SCALING,
    FIT_STATUS, FIT_STD_S, FIT_STD_U, FIT_T, FIT_T_OFF, FIT_T_ON, FIT_U, FIT_U0, LATENT_LINEAGE, LATENT_TIME,
    LATENT_TIME_STD, LINEAGE_PROBABILITIES, Labels, SOFT_GRID, VELOCITY, VELOCITY_CELL, VELOCITY_CURVE, VELOCITY_GENES,
    VELOCITY_STD, VELOCITY_U, VELOCITY_U_STD,
};
use crate::data::{Dataset, FUTURE_TIME, Fit, MomentUnits};
use crate::error::Result;
use crate::models::sized_moments::sized_moments;

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
            let [beta, gamma, scaling] = [BETA, GAMMA, SCALING].map(|at| gene.params[at].exp());
            for node in 0..nodes {
                let (u, s) = (course.values[0][node], course.values[1][node]);
                let alpha = gene.params[ALPHA + model.tree.piece[node]].exp();
                let to = node * n_vars + at;
                (curves.u[to], curves.s[to]) = (u as f32, s as f32);
                (curves.velocity_u[to], curves.velocity[to]) =
                    ((alpha - beta * u) as f32, (beta * u / scaling - gamma * s) as f32);
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

/// Where each node's cells will be: nodes and weights. Cells before a branch point go to each branch in the share that it has.
fn ahead(model: &Model) -> Vec<Vec<(u32, f32)>> {
    let tree = &model.tree;
    let steps = (AHEAD * (tree.length - 1) as f64).round() as usize;
    let mass = |node: usize| model.pi.iter().map(|pi| pi[node]).sum::<f64>();
    let own = |segment: &Segment| segment.nodes.clone().map(mass).sum::<f64>();
    let mut through: Vec<f64> = tree.segments.iter().map(own).collect();
    for at in (0..tree.segments.len()).rev() {
        through[at] += tree.segments[at].next.iter().map(|&next| through[next]).sum::<f64>();
    }
    let of_node = |node: usize| {
        let later = tree.later(node, steps, &through);
        later.into_iter().map(|(node, part)| (node as u32, part as f32)).collect()
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
    let mut fit = Fit::of("soft_grid");
    fit.moments = MomentUnits::CellSize;
    fit.set(LATENT_TIME, posteriors.iter().map(time).collect());
    fit.set(LATENT_TIME_STD, posteriors.iter().map(spread).collect());
    fit.set(CELL_SIZE, posteriors.iter().map(|posterior| posterior.size[1]).collect());
    if tree.lineages > 1 {
        let mut segments = Array2::zeros((n_obs, tree.segments.len()));
        for (mut row, posterior) in segments.rows_mut().into_iter().zip(posteriors) {
            for &(node, q) in &posterior.nodes {
                row[tree.segment_number(node as usize)] += q;
            }
        }
        let own = own_segments(tree);
        fit.set(LATENT_LINEAGE, likeliest(tree, &own, segments.view()));
        fit.set(LINEAGE_PROBABILITIES, segments.select(Axis(1), &own));
    }
    if layers {
        let curves = Curves::new(model);
        let (velocity, velocity_std) = curves.average(&curves.velocity, posteriors, std);
        let (velocity_u, velocity_u_std) = curves.average(&curves.velocity_u, posteriors, std);
        fit.set(VELOCITY, velocity);
        fit.set_some(VELOCITY_STD, velocity_std);
        fit.set(VELOCITY_U, velocity_u);
        fit.set_some(VELOCITY_U_STD, velocity_u_std);
        fit.set(FIT_U, curves.average(&curves.u, posteriors, false).0);
        fit.set(FIT_S, curves.average(&curves.s, posteriors, false).0);
        let ahead = ahead(model);
        let moved: Vec<Posterior> = posteriors.iter().map(|posterior| move_on(posterior, &ahead)).collect();
        fit.set(FIT_S_FUTURE, curves.average(&curves.s, &moved, false).0);
        fit.facts.insert(FUTURE_TIME.to_owned(), (AHEAD * tree.t_max()).into());
    }
    fit
}

/// Makes the velocity that is asked for `velocity`, and keeps the other beside it.
pub(super) fn velocities(fit: &mut Fit, of: VelocityOf, cell: Array2<f32>) {
    match of {
        VelocityOf::Curve => fit.set(VELOCITY_CELL, cell),
        VelocityOf::Cell => {
            let curve = fit[VELOCITY].clone();
            fit.set(VELOCITY_CURVE, curve);
            fit.set(VELOCITY, cell);
        }
    }
}

/// The category of `latent_lineage` before the lineages part.
const TRUNK: &str = "trunk";

/// The segment that leads to each lineage alone.
fn own_segments(tree: &Tree) -> Vec<usize> {
    let alone = |k: usize| tree.segments.iter().position(|segment| segment.lineages == [k]);
    (0..tree.lineages).map(|k| alone(k).expect("every lineage ends in a segment of its own")).collect()
}

/// The likeliest lineage of each cell, of which `own` are the segments; the trunk; or, between branch points, the lineages that may follow.
fn likeliest(tree: &Tree, own: &[usize], segments: ArrayView2<'_, f32>) -> Labels {
    let between = (1..tree.segments.len()).filter(|at| !own.contains(at));
    let order: Vec<usize> = std::iter::once(0).chain(own.iter().copied()).chain(between).collect();
    let code = |cell: ArrayView1<'_, f32>| {
        let q = |code: u32| cell[order[code as usize]];
        let rest = 1..order.len() as u32;
        Some(rest.fold(0, |best, code| if q(code) > q(best) { code } else { best }))
    };
    let name = |&at: &usize| {
        let lineages: Vec<String> = tree.segments[at].lineages.iter().map(ToString::to_string).collect();
        if at == 0 { TRUNK.to_owned() } else { lineages.join("+") }
    };
    Labels { codes: segments.rows().into_iter().map(code).collect(), categories: order.iter().map(name).collect() }
}

/// First moments over the sizes that the model has inferred; see [`sized_moments`].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the sizes are not those of the cells of `data`.
pub(super) fn moments(data: &Dataset, posteriors: &[Posterior]) -> Result<[Array2<f32>; 2]> {
    let sizes = |species: usize| posteriors.iter().map(|posterior| posterior.size[species]).collect::<Vec<f64>>();
    sized_moments(data, [&sizes(0), &sizes(1)])
}

fn move_on(posterior: &Posterior, ahead: &[Vec<(u32, f32)>]) -> Posterior {
    let moved =
        posterior.nodes.iter().flat_map(|&(node, q)| ahead[node as usize].iter().map(move |&(to, w)| (to, q * w)));
    Posterior { nodes: moved.collect(), ..posterior.clone() }
}

/// Adds everything about genes.
pub(super) fn genes(fit: &mut Fit, model: &Model, gathered: &Gathered, scores: Option<&Scores>) {
    let tree = &model.tree;
    let column = |value: &dyn Fn(usize) -> f64| -> Array1<f64> { (0..model.genes.len()).map(value).collect() };
    let param = |at: usize| column(&|gene: usize| model.genes[gene].params[at].exp());
    let errors: Vec<[f64; 2]> = model
        .genes
        .par_iter()
        .enumerate()
        .map_init(Course::default, |course, (at, gene)| {
            gene.standard_errors(tree, &model.prior, gathered.of(at), course)
        })
        .collect();
    // The custom of scVelo: fit_beta belongs to unspliced counts as they are, and fit_alpha to those over the scaling.
    let scaling = |gene: usize| model.genes[gene].params[SCALING].exp();
    fit.set(FIT_BETA, column(&|gene| model.genes[gene].params[BETA].exp() / scaling(gene)));
    fit.set(FIT_SCALING, column(&scaling));
    fit.set(FIT_GAMMA, param(GAMMA));
    fit.set(FIT_U0, param(U0));
    fit.set(FIT_S0, param(S0));
    let highest =
        |gene: usize| model.genes[gene].params[ALPHA..].iter().copied().fold(f64::NEG_INFINITY, f64::max).exp();
    fit.set(FIT_ALPHA, column(&|gene| highest(gene) / scaling(gene)));
    fit.set(FIT_LN_BETA_SE, column(&|gene| errors[gene][0]));
    fit.set(FIT_LN_GAMMA_SE, column(&|gene| errors[gene][1]));
    fit.set(FIT_DISPERSION_U, column(&|gene| model.genes[gene].dispersion[0]));
    fit.set(FIT_DISPERSION_S, column(&|gene| model.genes[gene].dispersion[1]));
    let Some(scores) = scores else {
        fit.set(VELOCITY_GENES, vec![true; model.genes.len()]);
        return;
    };
    fit.set(FIT_LL_HELD_OUT, column(&|gene| scores.held_out[gene]));
    fit.set(FIT_DYNAMICS, column(&|gene| scores.dynamics[gene]));
    fit.set(FIT_PVAL_DYNAMICS, column(&|gene| scores.p_dynamics[gene]));
    fit.set(FIT_DELAY, column(&|gene| scores.delay[gene]));
    fit.set(FIT_PVAL_DELAY, column(&|gene| scores.p_delay[gene]));
    fit.set(FIT_QVAL_DELAY, column(&|gene| scores.q_delay[gene]));
    fit.set(VELOCITY_GENES, scores.velocity_genes());
}

/// What the model writes, in both of its forms.
pub(in crate::models) const WRITES: &[&About] = &[
    VELOCITY.about(),
    VELOCITY_CURVE.about(),
    VELOCITY_CELL.about(),
    VELOCITY_STD.about(),
    VELOCITY_U.about(),
    VELOCITY_U_STD.about(),
    FIT_U.about(),
    FIT_S.about(),
    FIT_S_FUTURE.about(),
    FIT_T.about(),
    LATENT_TIME.about(),
    LATENT_TIME_STD.about(),
    LATENT_LINEAGE.about(),
    LINEAGE_PROBABILITIES.about(),
    CELL_SIZE.about(),
    CELL_CAPTURE.about(),
    FIT_ALPHA.about(),
    FIT_BETA.about(),
    FIT_GAMMA.about(),
    FIT_U0.about(),
    FIT_S0.about(),
    FIT_T_ON.about(),
    FIT_T_OFF.about(),
    FIT_SCALING.about(),
    FIT_STD_U.about(),
    FIT_STD_S.about(),
    FIT_LIKELIHOOD.about(),
    FIT_STATUS.about(),
    FIT_LN_BETA_SE.about(),
    FIT_LN_GAMMA_SE.about(),
    FIT_DISPERSION_U.about(),
    FIT_DISPERSION_S.about(),
    FIT_DEPARTURE_U.about(),
    FIT_DEPARTURE_S.about(),
    FIT_LL_HELD_OUT.about(),
    FIT_DYNAMICS.about(),
    FIT_PVAL_DYNAMICS.about(),
    FIT_DELAY.about(),
    FIT_PVAL_DELAY.about(),
    FIT_QVAL_DELAY.about(),
    FIT_DIRECTION.about(),
    VELOCITY_GENES.about(),
    SOFT_GRID.about(),
];

/// What the record of `fit` says of the direction of time and the lineages: what a model that starts from the fit hands on.
#[cfg_attr(not(feature = "neural"), allow(dead_code, reason = "see mod.rs"))]
pub(in crate::models) fn evidence(fit: &Fit) -> serde_json::Value {
    let Some(record) = fit.get(SOFT_GRID).and_then(serde_json::Value::as_object) else {
        return serde_json::Value::Null;
    };
    let of_evidence = |key: &str| {
        let of_shape =
            ["shape", "shapes_tried", "held_out_by_shape", "lineages", "held_out_by_lineages", "branch_points"];
        key.starts_with("direction_") || of_shape.contains(&key)
    };
    let kept = record.iter().filter(|(key, _)| of_evidence(key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

/// Adds what is neither of a cell nor of a gene alone: the tree, π, transcription by piece, the direction, the samples. `history`: the objective
/// by round, `passes`: the evidence by pass.
pub(super) fn details(
    fit: &mut Fit,
    model: &Model,
    samples: &Samples,
    Found { direction, held_out, tried, ring }: &Found,
    (history, passes): (&[f64], &[f64]),
) {
    let tree: &Tree = &model.tree;
    let nodes = 0..tree.len();
    let of_gene = |gene: &Gene| {
        let scaling = gene.params[SCALING];
        gene.params[ALPHA..].iter().map(move |ln| (ln - scaling).exp()).collect::<Vec<f64>>()
    };
    let alpha: Vec<f64> = model.genes.iter().flat_map(of_gene).collect();
    let finite = |value: f64| if value.is_finite() { json!(value) } else { json!("given") };
    fit.set(FIT_DIRECTION, direction.by_gene.iter().copied().collect());
    let mut details = json!({
        "shape": if *ring { "ring" } else { "tree" },
        "lineages": tree.lineages,
        "branch_points": tree.segments.iter().filter(|segment| !segment.next.is_empty()).count(),
        "node_time": nodes.clone().map(|node| tree.time(node)).collect::<Vec<_>>(),
        "node_lineage": nodes.map(|node| tree.lineage(node).map_or(-1.0, |k| k as f64)).collect::<Vec<_>>(),
        "node_piece": tree.piece.iter().map(|&piece| piece as f64).collect::<Vec<_>>(),
        "node_parent": tree.parent.iter().map(|&parent| parent as f64).collect::<Vec<_>>(),
        "pi": model.pi.concat(),
        "n_pieces": tree.pieces,
        "alpha": alpha,
        "scaling_median": model.prior.scaling.0.exp(),
        "scaling_sd": model.prior.scaling.1,
        "rate_medians": model.prior.means().map(f64::exp),
        "direction_determined": direction.determined,
        "direction_nats": finite(direction.nats),
        "direction_standard_errors": finite(direction.z),
        "direction_standard_errors_alone": finite(direction.alone),
        "held_out_by_lineages": held_out,
        "shapes_tried": tried.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "held_out_by_shape": tried.iter().map(|&(_, held_out)| held_out).collect::<Vec<_>>(),
        "objective": history,
        "evidence_by_pass": passes,
    });
    if !samples.names.is_empty() {
        details["samples"] = json!(samples.names);
        details["sample_capture"] = json!(model.capture);
    }
    fit.set(SOFT_GRID, details);
}
