//! The neighbour graph: that of the file, or computed where the settings say.

use ndarray::{Array2, ArrayView2};

use super::normalize::Expression;
use super::{GraphSource, PreprocessConfig, Report};
use crate::data::{Counts, Groups, Neighbors};
use crate::error::{Error, Result, require};
use crate::sparse::Csr;
use crate::{neighbors, pca};

/// With at most this many genes, neighbours are sought among the genes themselves, as scanpy does.
const FEW_GENES: usize = 50;

/// The neighbour graph of the cells.
pub(super) struct Graph {
    pub(super) neighbors: Neighbors,
    pub(super) from_file: bool,
    /// Principal components, empty if none were made.
    pub(super) pca: Array2<f32>,
}

/// The neighbour graph as the settings have it, of the counts' kept `genes`.
pub(super) fn graph(
    counts: &Counts,
    expression: &Expression<'_>,
    genes: &[usize],
    config: &PreprocessConfig,
    report: &mut Report,
) -> Result<Graph> {
    let n_obs = counts.n_obs();
    let n_neighbors = neighbors::for_cells(config.n_neighbors, n_obs);
    if n_neighbors < config.n_neighbors {
        report.warn(format!(
            "preprocess.n_neighbors = {} would make all {n_obs} cells neighbours of each other: {n_neighbors} are used (1 + cells / 2)",
            config.n_neighbors
        ));
    }
    if let Some(neighbors) = graph_of_file(counts, config, n_neighbors, report)? {
        neighbors::check(&neighbors, &counts.obs.index)?;
        if let Some(warning) = neighbors::uneven(&neighbors, &counts.obs.index) {
            report.warn(warning);
        }
        let pca = Array2::zeros((n_obs, 0));
        return Ok(Graph { neighbors, from_file: true, pca });
    }
    let few = format!("must be between 2 and the number of cells, {n_obs}");
    require(n_neighbors >= 2, "preprocess.n_neighbors", n_neighbors, &few)?;
    let batches = batches(counts, config, n_neighbors, report)?;
    let sought = |points: ArrayView2<'_, f32>| match &batches {
        Some(batches) => neighbors::balanced(points, &batches.cells(), n_neighbors),
        None => neighbors::neighbors(points, n_neighbors),
    };
    let (neighbors, space, pca) = if config.use_rep.is_empty() {
        let logged = logged(expression, genes)?;
        let pca = components(&logged, n_obs, genes, config, report, expression.name)?;
        if genes.len() <= FEW_GENES {
            (sought(logged.to_dense().view())?, "of the genes".to_owned(), pca)
        } else {
            (sought(pca.view())?, "of the components".to_owned(), pca)
        }
    } else {
        (sought(representation(counts, &config.use_rep)?.view())?, config.use_rep.clone(), Array2::zeros((n_obs, 0)))
    };
    neighbors::check(&neighbors, &counts.obs.index)?;
    let each = batches.map_or_else(String::new, |batches| {
        format!(", {} in each of {} {}", n_neighbors / batches.names.len(), batches.names.len(), config.batch)
    });
    let k = neighbors.n_neighbors;
    report.step(
        "neighbors",
        genes.len(),
        format!("{k} neighbours, the cell itself included{each}, in the space {space}"),
    );
    Ok(Graph { neighbors, from_file: false, pca })
}

/// ln(1 + x) of the kept genes.
fn logged(expression: &Expression<'_>, genes: &[usize]) -> Result<Csr<f32>> {
    Ok(expression.normalized(genes)?.map(f32::ln_1p))
}

fn components(
    logged: &Csr<f32>,
    n_obs: usize,
    genes: &[usize],
    config: &PreprocessConfig,
    report: &mut Report,
    of: &str,
) -> Result<Array2<f32>> {
    let n_pcs = config.n_pcs.min(n_obs - 1).min(genes.len() - 1);
    let few = format!("must be at least 1, and below the numbers of cells, {n_obs}, and genes, {}", genes.len());
    require(n_pcs >= 1, "preprocess.n_pcs", n_pcs, &few)?;
    let pca = pca::pca(logged, n_pcs)?.scores;
    report.step("pca", genes.len(), format!("{n_pcs} components of ln(1 + {of})"));
    Ok(pca)
}

/// The embedding of the file that `preprocess.use_rep` names.
fn representation<'a>(counts: &'a Counts, name: &str) -> Result<&'a Array2<f32>> {
    let found = counts.obsm.iter().find(|(known, _)| known == name).map(|(_, points)| points);
    found.filter(|points| points.ncols() > 0).ok_or_else(|| {
        let names: Vec<String> = counts.obsm.iter().map(|(known, _)| format!("{known:?}")).collect();
        let there =
            if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
        let problem = format!("no embedding {name:?}, which preprocess.use_rep names: {there}");
        let hint =
            "name one of these with its X_; or leave preprocess.use_rep empty, for principal components of the data";
        Error::input(&counts.path, "obsm", problem, hint)
    })
}

/// The batches that each have as many of a cell's neighbours; `None` if none are told apart.
fn batches(
    counts: &Counts,
    config: &PreprocessConfig,
    n_neighbors: usize,
    report: &mut Report,
) -> Result<Option<Groups>> {
    let name = &config.batch;
    if name.is_empty() {
        return Ok(None);
    }
    let found = Groups::read(&counts.obs, name, "preprocess.batch")?;
    let unusable = |problem: String, hint: &str| Error::Data {
        problem: format!("obs[{name:?}], named by preprocess.batch, {problem}"),
        hint: hint.to_owned(),
    };
    let missing = found.of.iter().filter(|batch| batch.is_none()).count();
    if missing > 0 {
        return Err(unusable(
            format!("has no value in {missing} cells"),
            "give every cell a batch, or leave these cells out; or set preprocess.batch to \"\"",
        ));
    }
    let found = found.without_empty();
    let n = found.names.len();
    if n == 1 {
        report
            .warn(format!("obs[{name:?}], named by preprocess.batch, has one value: there are no batches to balance"));
        return Ok(None);
    }
    let few = format!("must be at least {}: two for each of the {n} values of preprocess.batch = {name:?}", 2 * n);
    require(n_neighbors >= 2 * n, "preprocess.n_neighbors", n_neighbors, &few)?;
    let each = n_neighbors / n;
    let sizes = found.cells().into_iter().map(|cells| cells.len()).zip(&found.names);
    if let Some((size, batch)) = sizes.filter(|(size, _)| *size < each).min() {
        return Err(unusable(
            format!(
                "has {n} values, so that each cell has {each} neighbours in each ({n_neighbors} / {n}); {batch:?} has {size} cells"
            ),
            "lower preprocess.n_neighbors, or leave the cells of small batches out",
        ));
    }
    Ok(Some(found))
}

fn graph_of_file(
    counts: &Counts,
    config: &PreprocessConfig,
    n_neighbors: usize,
    report: &mut Report,
) -> Result<Option<Neighbors>> {
    let n_genes = counts.n_vars();
    match (config.neighbors, &counts.neighbors) {
        _ if config.seeks_neighbors() => Ok(None),
        (GraphSource::Compute, _) | (GraphSource::Auto, None) => Ok(None),
        (GraphSource::File, None) => Err(Error::input(
            &counts.path,
            "obsp[\"connectivities\"]",
            "not found, and preprocess.neighbors = \"file\"",
            "set preprocess.neighbors = \"compute\"",
        )),
        (GraphSource::Auto, Some(graph)) if graph.n_neighbors < n_neighbors => {
            report.warn(format!(
                "the file's graph has {} neighbours per cell, {n_neighbors} are asked for: a new graph is computed; preprocess.neighbors = \"file\" keeps it",
                graph.n_neighbors
            ));
            Ok(None)
        }
        (GraphSource::Auto | GraphSource::File, Some(graph)) => {
            let note = format!(
                "the file's graph of {} neighbours is used; preprocess.neighbors = \"compute\" makes a new one",
                graph.n_neighbors
            );
            report.step("neighbors", n_genes, note);
            Ok(Some(graph.clone()))
        }
    }
}
