//! What comes after a fit: the velocity graph, and what follows from it.

use std::fmt;
use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};

use crate::config::Analysis;
use crate::data::{Column, GenesUsed, Neighbors, Reporter, Velocities};
use crate::error::{Error, Result};
use crate::graph::{self, Candidates, GraphConfig, KernelKind, Reach, Similarity, SquareRoot, States};
use crate::io::{self, GenesWritten, OutputConfig, Results, Uns, keys};
use crate::neighbors;
use crate::pca::pca_dense;
use crate::scores;
use crate::sparse::Csr;

/// Neighbours of a cell, itself included, where the file brings none: scanpy's and scVelo's number.
const N_NEIGHBORS: usize = 30;
/// Principal components in which they are sought.
const N_COMPONENTS: usize = 30;

/// What is computed of which file.
#[derive(Clone, Debug)]
pub struct GraphJob {
    /// A fitted `.h5ad` file, of this program or another.
    pub input: PathBuf,
    /// The file to write; may be the input.
    pub output: PathBuf,
    /// Genes whose velocity is used.
    pub genes: GenesUsed,
}

/// What `nascent graph` has to say.
#[derive(Clone, Debug)]
pub struct GraphSummary {
    n_obs: usize,
    n_genes: usize,
    n_similarities: usize,
    output: PathBuf,
}

impl fmt::Display for GraphSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "velocity graph of {} cells in {} genes: {} similarities",
            self.n_obs, self.n_genes, self.n_similarities
        )?;
        write!(f, "  written to {}", self.output.display())
    }
}

/// Computes the velocity graph of a fitted file and what follows from it, and adds it to the file.
///
/// # Errors
/// Whatever stopped it; the output is then as it was before.
pub fn graph(settings: &Analysis, job: &GraphJob, reporter: &mut dyn Reporter) -> Result<GraphSummary> {
    io::check_writable(&job.output)?;
    let mut data = io::read_velocities(&job.input, &job.genes)?;
    if data.unusable > 0 {
        let text = format!("{} genes were left out: not every cell has a velocity there", data.unusable);
        reporter.say(&text);
    }
    let made = take_neighbors(&mut data, reporter)?;
    let around = data.neighbors.as_ref().expect("taken above");
    let candidates = candidates(&settings.graph, around, settings.seed)?;
    let similarity = similarity(&settings.graph, &data.mode);
    let [x, v] = space(&settings.graph, &data)?;
    let found = graph::velocity_graph(&States::compared_by(x.view(), similarity), &candidates, v.view(), reporter)?;
    drop([x, v]);
    let confidences: Vec<f32> = (0..found.n_rows).map(|i| graph::confidence(found.row(i).1)).collect();
    let own = graph::self_transitions(&confidences);
    let transitions = transitions(&settings.graph, &found, &own, &candidates)?;

    let direct = Candidates::nearest(&around.distances, usize::MAX)?;
    let velocity = data.velocity.view();
    let numbers = |values: Vec<f64>| Column::Float(values);
    let n_similarities = found.nnz();
    let (towards, away) = graph::split(&found);
    drop(found);
    let mut results = Results {
        obs: vec![
            (keys::VELOCITY_LENGTH.to_owned(), numbers(scores::length(velocity))),
            (keys::VELOCITY_CONFIDENCE.to_owned(), numbers(scores::confidence(velocity, &direct)?)),
            (
                keys::VELOCITY_CONFIDENCE_TRANSITION.to_owned(),
                numbers(scores::transition_confidence(data.ms.view(), velocity, &transitions)?),
            ),
            (keys::VELOCITY_SELF_TRANSITION.to_owned(), numbers(own.iter().map(|&s| f64::from(s)).collect())),
        ],
        uns: vec![
            (keys::VELOCITY_GRAPH.to_owned(), Uns::Csr(towards)),
            (keys::VELOCITY_GRAPH_NEG.to_owned(), Uns::Csr(away)),
        ],
        ..Results::default()
    };
    if made {
        results.add_neighbors(around);
    }
    if settings.graph.transitions.write {
        results.obsp.push((keys::T_FWD.to_owned(), &transitions));
    }
    let written = OutputConfig { genes: GenesWritten::All, ..OutputConfig::default() };
    io::write_results(&job.output, &job.input, &written, &[], &results)?;
    Ok(GraphSummary { n_obs: data.n_obs(), n_genes: data.genes.len(), n_similarities, output: job.output.clone() })
}

/// Makes sure that there is a neighbour graph with distances; says whether it was made here.
fn take_neighbors(data: &mut Velocities, reporter: &mut dyn Reporter) -> Result<bool> {
    if let Some(around) = &data.neighbors
        && around.distances.nnz() > 0
    {
        neighbors::check(around, &data.obs.index)?;
        return Ok(false);
    }
    let k = N_NEIGHBORS.min(data.n_obs());
    let distances = match data.embedding("pca") {
        Some(pca) => neighbors::nearest(pca.view(), k)?,
        None => {
            let most = N_COMPONENTS.min(data.n_obs().saturating_sub(1)).min(data.genes.len().saturating_sub(1));
            neighbors::nearest(pca_dense(data.ms.view(), most.max(1))?.scores.view(), k)?
        }
    };
    reporter
        .say(&format!("the file has no neighbour graph with distances: {k} neighbours, the cell included, computed"));
    let connectivities = neighbors::connectivities(&distances, k);
    data.neighbors = Some(Neighbors { connectivities, distances, n_neighbors: k });
    Ok(true)
}

/// The cells that each may move to, as the settings have it.
fn candidates(settings: &GraphConfig, around: &Neighbors, seed: u64) -> Result<Candidates> {
    let k = if settings.n_neighbors == 0 { usize::MAX } else { settings.n_neighbors };
    let found = match settings.neighbors {
        Reach::TwoLevels => Candidates::two_levels(&around.distances, k)?,
        Reach::Nearest => Candidates::nearest(&around.distances, k)?,
        Reach::Connectivities => Candidates::connected(&around.connectivities)?,
    };
    Ok(if settings.max_candidates > 0 { found.limited(settings.max_candidates, seed) } else { found })
}

fn similarity(settings: &GraphConfig, mode: &str) -> Similarity {
    let square_root = match settings.square_root {
        SquareRoot::On => true,
        SquareRoot::Off => false,
        SquareRoot::Auto => mode == keys::STOCHASTIC,
    };
    Similarity { measure: settings.similarity, square_root }
}

/// States and velocities where they are compared: the genes, or principal components of the states.
fn space<'a>(settings: &GraphConfig, data: &'a Velocities) -> Result<[ndarray::CowArray<'a, f32, ndarray::Ix2>; 2]> {
    if settings.n_pcs == 0 {
        return Ok([data.ms.view().into(), data.velocity.view().into()]);
    }
    let most = data.genes.len().min(data.n_obs().saturating_sub(1));
    if settings.n_pcs > most {
        return Err(Error::Setting {
            key: "graph.n_pcs".to_owned(),
            value: settings.n_pcs.to_string(),
            wanted: format!("must be at most {most}, for these data"),
        });
    }
    let pca = pca_dense(data.ms.view(), settings.n_pcs)?;
    let velocity = in_components(data.velocity.view(), pca.components.mapv(|value| value as f32).view());
    Ok([pca.scores.into(), velocity.into()])
}

/// Velocities less their mean over cells, in components, `[n_obs, n_pcs]`. A cell that does not move still does not.
fn in_components(velocity: ArrayView2<'_, f32>, components: ArrayView2<'_, f32>) -> Array2<f32> {
    let mean = velocity.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    let shift = mean.dot(&components);
    let mut projected = velocity.dot(&components);
    for (mut to, from) in projected.rows_mut().into_iter().zip(velocity.rows()) {
        if from.iter().any(|&value| value != 0.0) {
            to -= &shift;
        }
    }
    projected
}

/// The transition matrix as the settings have it.
fn transitions(settings: &GraphConfig, found: &Csr<f32>, own: &[f32], candidates: &Candidates) -> Result<Csr<f32>> {
    let chosen = &settings.transitions;
    match chosen.kernel {
        KernelKind::Softmax => graph::softmax(found, candidates, chosen.given_scale()),
        KernelKind::Exponential => {
            graph::transition_matrix(found, chosen.self_transitions.then_some(own), chosen.exponential())
        }
    }
}
