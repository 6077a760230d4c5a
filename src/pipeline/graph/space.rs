//! Where velocities are compared, and with which cells.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};

use crate::data::quantities::NEIGHBORS;
use crate::data::{Neighbors, NeighborsRecord, Reporter, Source, Velocities};
use crate::error::{Error, Result};
use crate::graph::{self, Candidates, GraphConfig, KernelKind, Reach, Similarity, SquareRoot};
use crate::io;
use crate::neighbors;
use crate::pca::pca_dense;
use crate::sparse::Csr;

/// Neighbours of a cell, itself included, where the file brings none: scanpy's and scVelo's number.
const N_NEIGHBORS: usize = 30;
/// Principal components in which they are sought.
const N_COMPONENTS: usize = 30;

/// The neighbour graph, and where it comes from.
pub(in crate::pipeline) fn neighbors(
    data: &mut Velocities,
    reporter: &mut dyn Reporter,
) -> Result<(Neighbors, NeighborsRecord)> {
    if let Some((key, around)) = data.neighbors.take_if(|(_, around)| around.distances.nnz() > 0) {
        neighbors::check(&around, &data.obs.index)?;
        has_distances(&around, &data.obs.index)?;
        if let Some(warning) = neighbors::uneven(&around, &data.obs.index) {
            reporter.warn(&warning);
        }
        let n_neighbors = around.n_neighbors;
        return Ok((around, NeighborsRecord { source: Source::File, key, n_neighbors, ..NeighborsRecord::default() }));
    }
    let k = neighbors::for_cells(N_NEIGHBORS, data.n_obs());
    let distances = if let Some(pca) = data.embedding("pca") {
        neighbors::nearest(pca.view(), k)?
    } else {
        let most = N_COMPONENTS.min(data.n_obs().saturating_sub(1)).min(data.genes.len().saturating_sub(1));
        neighbors::nearest(pca_dense(data.ms.view(), most.max(1))?.scores.view(), k)?
    };
    reporter
        .say(&format!("no neighbour graph with distances in the file: {k} neighbours, the cell included, computed"));
    let connectivities = neighbors::connectivities(&distances, k);
    let record = NeighborsRecord {
        source: Source::Computed,
        key: NEIGHBORS.key().to_owned(),
        n_neighbors: k,
        ..NeighborsRecord::default()
    };
    Ok((Neighbors { connectivities, distances, n_neighbors: k }, record))
}

/// Every cell needs a place to move to.
///
/// # Errors
/// [`Error::Data`] that names cells without a distance to any other.
fn has_distances(around: &Neighbors, names: &[String]) -> Result<()> {
    let alone: Vec<&String> =
        (0..names.len()).filter(|&i| around.distances.row_nnz(i) == 0).map(|i| &names[i]).collect();
    let Some(first) = alone.first() else { return Ok(()) };
    Err(Error::Data {
        problem: format!(
            "{} of {} cells have no distance to any neighbour, the first is {first:?}",
            alone.len(),
            names.len()
        ),
        hint: "remove these cells, or the neighbours (del adata.uns['neighbors']): they are then computed".to_owned(),
    })
}

/// A velocity graph without entries says nothing, and few cells without entries are worth a warning.
///
/// # Errors
/// [`Error::Data`] that says why there are none.
pub(super) fn holds_information(graph: &Csr<f32>, data: &Velocities, reporter: &mut dyn Reporter) -> Result<()> {
    let moves = |i: &usize| data.velocity.row(*i).iter().any(|&value| value != 0.0);
    let n_obs = data.n_obs();
    if graph.nnz() == 0 {
        let n_moving = (0..n_obs).filter(moves).count();
        let why = if n_moving == 0 {
            format!("velocities are 0 in all {n_obs} cells and {} genes", data.genes.len())
        } else {
            format!("no cell differs from its neighbours in the {} genes whose velocity is used", data.genes.len())
        };
        return Err(Error::Data {
            problem: format!("the velocity graph is empty, so that nothing follows from it: {why}"),
            hint: "look at the warnings of the fit; --genes all uses more genes, and more neighbours or cells may help"
                .to_owned(),
        });
    }
    let silent: Vec<usize> = (0..n_obs).filter(|&i| graph.row_nnz(i) == 0).collect();
    if let Some(&first) = silent.first() {
        let still = silent.iter().filter(|&i| !moves(i)).count();
        reporter.warn(&format!(
            "{} of {n_obs} cells have no entry in the velocity graph ({still} of them no velocity), the first is {:?}: where they go is unknown",
            silent.len(),
            data.obs.index[first]
        ));
    }
    Ok(())
}

/// The cells that each may move to, as the settings have it.
pub(in crate::pipeline) fn candidates(settings: &GraphConfig, around: &Neighbors, seed: u64) -> Result<Candidates> {
    let k = if settings.n_neighbors == 0 { usize::MAX } else { settings.n_neighbors };
    let found = match settings.neighbors {
        Reach::TwoLevels => Candidates::two_levels(&around.distances, k)?,
        Reach::Nearest => Candidates::nearest(&around.distances, k)?,
        Reach::Connectivities => Candidates::connected(&around.connectivities)?,
    };
    Ok(if settings.max_candidates > 0 { found.limited(settings.max_candidates, seed) } else { found })
}

/// How they are compared, as the settings have it, where `mode` made the velocities.
pub(in crate::pipeline) fn similarity(settings: &GraphConfig, mode: &str) -> Similarity {
    let square_root = match settings.square_root {
        SquareRoot::On => true,
        SquareRoot::Off => false,
        SquareRoot::Auto => mode == io::STOCHASTIC,
    };
    Similarity { measure: settings.similarity, square_root }
}

/// States and velocities where they are compared: the genes, or principal components of the states.
pub(super) fn coordinates<'a>(settings: &GraphConfig, data: &'a Velocities) -> Result<[CowArray<'a, f32, Ix2>; 2]> {
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
    let mean = velocity.mean_axis(Axis(0)).unwrap_or_default();
    let shift = mean.dot(&components);
    let mut projected = velocity.dot(&components);
    for (mut to, from) in projected.rows_mut().into_iter().zip(velocity.rows()) {
        if from.iter().any(|&value| value != 0.0) {
            to -= &shift;
        }
    }
    projected
}

/// The transition matrix as the settings have it; `own` are the self-transitions.
pub(super) fn transitions(
    settings: &GraphConfig,
    found: &Csr<f32>,
    own: &[f32],
    candidates: &Candidates,
    embedding: ArrayView2<'_, f32>,
) -> Result<Csr<f32>> {
    let chosen = &settings.transitions;
    let plain = match chosen.kernel {
        KernelKind::Softmax => graph::softmax(found, candidates, chosen.given_scale()),
        KernelKind::Exponential => {
            graph::transition_matrix(found, chosen.self_transitions.then_some(own), chosen.exponential())
        }
    }?;
    if chosen.scale_diffusion > 0.0 {
        return graph::along_embedding(&plain, embedding, chosen.scale_diffusion, chosen.weight_diffusion);
    }
    Ok(plain)
}
