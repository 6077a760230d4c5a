//! From the counts of a file to what models see: kept genes, neighbours, moments.
//!
//! The steps and their order are those of scVelo 0.3.4 followed by scanpy (`log1p`, `highly_variable_genes`,
//! `pca`, `neighbors`) and `scv.pp.moments`:
//!
//! 1. cell sizes: totals of X, spliced and unspliced, each over *all* genes ([`mod@normalize`]);
//! 2. genes with enough counts in cells that have both forms ([`filter`]);
//! 3. X, spliced and unspliced divided by size / median size, each by its own;
//! 4. the most variable genes of normalised X;
//! 5. principal components of ln(1 + X) over the kept genes ([`crate::pca`]);
//! 6. neighbours among the components (among the genes, if there are at most 50) and their weights ([`crate::neighbors`]);
//! 7. means of the normalised layers over each neighbourhood ([`moments`]).
//!
//! The recipe `velovi` goes on from there: moments from 0 to 1, and genes with a steady-state line ([`velovi`]).
//!
//! Departures from scVelo, each because it fails silently there:
//!
//! - whether the layers hold counts is decided over all values, not five rows; fractional counts are told from normalised values; the
//!   answer is reported, and the setting `counts` overrules it;
//! - an X that cannot be counts beside layers that are (logged or scaled values) is not used: spliced counts take its place;
//! - `genes` and `genes_from` win over every filter; unknown names are errors;
//! - a graph of the file is used only if asked, or if it has as many neighbours as asked; the report says which.

mod checks;
mod config;
pub mod filter;
pub mod lines;
pub mod moments;
pub mod normalize;
mod report;
pub mod selection;
pub mod velovi;

pub use checks::USUAL_UNSPLICED;
pub use config::{CountsKind, GraphSource, HvgFlavor, MomentsSource, PreprocessConfig, Recipe};
pub use report::{Report, Step};

use ndarray::Array2;

use crate::data::{Counts, Dataset, Neighbors};
use crate::error::{Error, Result, require};
use crate::sparse::Csr;
use crate::{neighbors, pca};
use normalize::{Expression, divisors, normalize};

/// With at most this many genes, neighbours are sought among the genes themselves, as scanpy does.
const FEW_GENES: usize = 50;

/// Preprocesses `counts`; returns the data for models and the account of what was done and what looks wrong.
///
/// # Errors
/// [`Error::Setting`] for a setting out of range or a gene that is not in the file; [`Error::Input`] for values that
/// cannot be counts, or a graph or moments that are asked for and not there; [`Error::Data`] if fewer than two cells
/// or genes are left or a cell has no neighbour.
pub fn run(counts: &Counts, config: &PreprocessConfig) -> Result<(Dataset, Report)> {
    let mut report = Report::new(&counts.var);
    let begun = begin(counts, config, &mut report)?;
    let genes = filter::choose_genes(&begun.status, config)?;
    let dataset = finish(counts, begun, genes, config, &mut report)?;
    Ok((dataset, report))
}

/// What [`run`] does with each gene, without the steps that do not concern it; fewer than two genes left are no error here.
///
/// # Errors
/// As [`run`].
pub fn account(counts: &Counts, config: &PreprocessConfig) -> Result<Report> {
    let mut report = Report::new(&counts.var);
    let begun = begin(counts, config, &mut report)?;
    if config.recipe == Recipe::Velovi && !config.lists_genes() {
        let finished = filter::choose_genes(&begun.status, config)
            .and_then(|genes| finish(counts, begun, genes, config, &mut report).map(drop));
        match finished {
            Err(Error::Data { problem, .. }) => report.warn(problem),
            other => other?,
        }
    }
    Ok(report)
}

/// The steps up to the choice of genes.
struct Begun<'a> {
    raw_counts: bool,
    size_spliced: Vec<f64>,
    size_unspliced: Vec<f64>,
    expression: Expression<'a>,
    status: Vec<filter::Status>,
}

fn begin<'a>(counts: &'a Counts, config: &PreprocessConfig, report: &mut Report) -> Result<Begun<'a>> {
    config.validate()?;
    report.step("input", counts.n_vars(), format!("{} cells", counts.n_obs()));
    checks::shapes_and_values(counts)?;
    let raw_counts = checks::raw_counts(counts, config.counts, report)?;
    let size_spliced = counts.spliced.row_sums();
    let size_unspliced = counts.unspliced.row_sums();
    checks::sizes(counts, &size_spliced, &size_unspliced, report);
    let expression = Expression::choose(counts, config.counts, raw_counts, &size_spliced, report);
    let status = filter::judge(counts, &expression, config, report)?;
    Ok(Begun { raw_counts, size_spliced, size_unspliced, expression, status })
}

/// The steps from the choice of `genes` on.
fn finish(
    counts: &Counts,
    begun: Begun<'_>,
    genes: Vec<usize>,
    config: &PreprocessConfig,
    report: &mut Report,
) -> Result<Dataset> {
    let Begun { raw_counts, size_spliced, size_unspliced, expression, .. } = begun;
    let spliced = counts.spliced.select_columns(&genes);
    let unspliced = counts.unspliced.select_columns(&genes);
    checks::duplicates(&counts.obs.index, &spliced, &unspliced, report);

    let graph = graph(counts, &expression, &genes, config, report)?;
    let (mu, ms) = match config.moments {
        MomentsSource::File => moments_of_file(counts, &genes, report)?,
        MomentsSource::Compute => {
            report.step("moments", genes.len(), "means over each neighbourhood".to_owned());
            let scaled = |layer: &Csr<f32>, sizes: &[f64]| {
                if raw_counts { normalize(layer, &divisors(sizes)) } else { Ok(layer.clone()) }
            };
            let (u, s) = (scaled(&unspliced, &size_unspliced)?, scaled(&spliced, &size_spliced)?);
            moments::moments(&u, &s, &graph.neighbors)?
        }
    };
    checks::moments_differ([&mu, &ms], &graph.neighbors)?;
    let dataset = Dataset {
        obs: counts.obs.clone(),
        var: counts.var.select(&genes),
        n_vars_input: counts.n_vars(),
        genes,
        spliced,
        unspliced,
        size_spliced,
        size_unspliced,
        raw_counts,
        mu,
        ms,
        scaling: None,
        neighbors: graph.neighbors,
        neighbors_from_file: graph.from_file,
        pca: graph.pca,
    };
    match config.recipe {
        Recipe::Scvelo03 => Ok(dataset),
        Recipe::Velovi => velovi::prepare(dataset, config, report),
    }
}

struct Graph {
    neighbors: Neighbors,
    from_file: bool,
    pca: Array2<f32>,
}

fn graph(
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
    let n_pcs = config.n_pcs.min(n_obs - 1).min(genes.len() - 1);
    let few = format!("must be at least 1, and below the numbers of cells, {n_obs}, and genes, {}", genes.len());
    require(n_pcs >= 1, "preprocess.n_pcs", n_pcs, &few)?;
    let few = format!("must be between 2 and the number of cells, {n_obs}");
    require(n_neighbors >= 2, "preprocess.n_neighbors", n_neighbors, &few)?;
    let logged = expression.normalized(genes)?.map(f32::ln_1p);
    let pca = pca::pca(&logged, n_pcs)?.scores;
    report.step("pca", genes.len(), format!("{n_pcs} components of ln(1 + {})", expression.name));
    let (neighbors, space) = if genes.len() <= FEW_GENES {
        (neighbors::neighbors(logged.to_dense().view(), n_neighbors)?, "genes")
    } else {
        (neighbors::neighbors(pca.view(), n_neighbors)?, "components")
    };
    neighbors::check(&neighbors, &counts.obs.index)?;
    let note = format!("{n_neighbors} neighbours, the cell itself included, in the space of the {space}");
    report.step("neighbors", genes.len(), note);
    Ok(Graph { neighbors, from_file: false, pca })
}

fn graph_of_file(
    counts: &Counts,
    config: &PreprocessConfig,
    n_neighbors: usize,
    report: &mut Report,
) -> Result<Option<Neighbors>> {
    let n_genes = counts.n_vars();
    match (config.neighbors, &counts.neighbors) {
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

fn moments_of_file(counts: &Counts, genes: &[usize], report: &mut Report) -> Result<(Array2<f32>, Array2<f32>)> {
    let Some((mu, ms)) = &counts.moments else {
        return Err(Error::input(
            &counts.path,
            "layers[\"Ms\"], layers[\"Mu\"]",
            "not found, and preprocess.moments = \"file\"",
            "set preprocess.moments = \"compute\"",
        ));
    };
    let wanted = vec![counts.n_obs(), counts.n_vars()];
    for (name, layer) in [("Mu", mu), ("Ms", ms)] {
        if layer.shape() != wanted {
            let found = layer.shape().to_vec();
            return Err(Error::Shape { what: format!("layers[{name:?}]"), wanted, found });
        }
    }
    report.step("moments", genes.len(), "Mu and Ms of the file are used".to_owned());
    let axis = ndarray::Axis(1);
    let (mu, ms) = (mu.select(axis, genes), ms.select(axis, genes));
    let bad = |layer: &Array2<f32>| layer.columns().into_iter().position(|c| c.iter().any(|v| !v.is_finite()));
    for (name, layer) in [("Mu", &mu), ("Ms", &ms)] {
        if let Some(at) = bad(layer) {
            let gene = &counts.var.index[genes[at]];
            let problem = format!("gene {gene:?} has a value that is not finite");
            let hint = "set preprocess.moments = \"compute\"";
            return Err(Error::input(&counts.path, format!("layers[{name:?}]"), problem, hint));
        }
    }
    Ok((mu, ms))
}
