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
//! 6. neighbours among the components (among the genes, if there are at most 50; or in an embedding of the file, `use_rep`), as many in
//!    each batch where `batch` says so, and their weights ([`crate::neighbors`]);
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
mod graph;
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

use crate::data::{Counts, Dataset};
use crate::error::{Error, Result};
use crate::sparse::Csr;
use normalize::{Expression, divisors, normalize};

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

    let graph = graph::graph(counts, &expression, &genes, config, report)?;
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
