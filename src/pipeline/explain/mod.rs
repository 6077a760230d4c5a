//! Why a gene fell out: every filter of preprocessing and of the choice of velocity genes, with what it looked at.
//!
//! Nothing is judged here. Preprocessing is run again and gives its filters, the model gives those of its velocity genes from the columns
//! that its fit has left in the file; `told.rs` puts both into words, tables and a `.csv`; `names.rs` finds the genes that are asked for.

mod names;
mod told;

pub(super) use told::{Step, wanted};

use std::path::PathBuf;

use super::train::with_known_layers;
use crate::config::Config;
use crate::data::quantities::{self, FIT_LIKELIHOOD, FIT_R2, FIT_STATUS, Slot, VELOCITY_GENES, VELOCITY_R2, Writer};
use crate::data::{Bound, Column, Frame, GeneFilter, Reporter, other_names};
use crate::error::Result;
use crate::io::{self, FittedFile};
use crate::preprocess::{self, Report};

/// Whose genes are explained, by which settings.
#[derive(Clone, Debug)]
pub struct ExplainJob {
    /// A file with counts, fitted or not.
    pub input: PathBuf,
    /// Genes that are asked for, by names of rows, ids or symbols; empty: none by name.
    pub genes: Vec<String>,
    /// Settings that are given.
    pub settings: Settings,
}

/// Where the settings come from.
#[derive(Clone, Debug)]
pub enum Settings {
    /// From the fit in the file, with these changes; without a fit from the defaults.
    OfFile(Vec<String>),
    /// As given.
    Given(Box<Config>),
}

/// What became of each gene of a file, and why.
#[derive(Clone, Debug)]
pub struct Explained {
    input: PathBuf,
    names: Vec<String>,
    /// Ids of genes that go by symbols, or the other way round.
    others: Option<Vec<String>>,
    /// Whose settings these are, in words.
    settings: String,
    /// What preprocessing did; `None` where its input is not in the file.
    preprocessing: Option<Preprocessing>,
    fit: Option<OfFit>,
    /// Positions of the genes that were asked for.
    asked: Vec<usize>,
}

/// What preprocessing does with the genes.
#[derive(Clone, Debug)]
struct Preprocessing {
    status: Vec<String>,
    /// Scores without a bound, then the filters.
    filters: Vec<GeneFilter>,
}

/// What the fit says of the genes.
#[derive(Clone, Debug)]
struct OfFit {
    model: String,
    /// How the fit of the gene ended, where the model says.
    status: Option<Vec<String>>,
    /// Whether there is any number about the gene.
    fitted: Vec<bool>,
    velocity_gene: Vec<bool>,
    filters: Vec<GeneFilter>,
}

/// Explains the genes of a file. What cannot be found or told is said through `reporter`.
///
/// # Errors
/// If the file cannot be read or has neither counts nor a fit, settings cannot be used, or none of the genes asked for is there.
pub fn explain(job: &ExplainJob, reporter: &mut dyn Reporter) -> Result<Explained> {
    let file = FittedFile::open(&job.input)?;
    let recorded = file.fit().map(|record| &record.settings).filter(|settings| settings.is_object());
    let (config, settings) = match &job.settings {
        Settings::Given(config) => ((**config).clone(), "as given".to_owned()),
        Settings::OfFile(changes) => {
            let (config, whose) = if let Some(record) = recorded {
                (Config::recorded(record, changes)?, "those of the fit in the file".to_owned())
            } else {
                let config = Config::load(None, changes)?;
                let whose = format!("the defaults of {}", config.model.kind());
                (config, whose)
            };
            let changed = if changes.is_empty() { "" } else { ", changed as given" };
            (config, format!("{whose}{changed}"))
        }
    };
    let fit = of_fit(&file);
    let cut = file.fit().is_some_and(|record| record.only_fitted_genes);
    let foreign =
        fit.is_some() && recorded.is_none() && matches!(&job.settings, Settings::OfFile(set) if set.is_empty());
    let preprocessing = if cut {
        reporter.say("the file was cut to the fitted genes: what preprocessing left out, the file that it was made from can tell");
        None
    } else if foreign {
        reporter.say("another program made this fit: what it filtered before is not in the file; with --set or --config, what train would do");
        None
    } else {
        preprocessing(job, &config, fit.is_some(), reporter)?
    };
    let var = file.var();
    Ok(Explained {
        asked: names::asked(job, var, cut, reporter)?,
        names: var.index.clone(),
        others: other_names(var),
        input: job.input.clone(),
        settings,
        preprocessing,
        fit,
    })
}

/// Runs what preprocessing does with genes. Of a fitted file, the counts may be gone.
fn preprocessing(
    job: &ExplainJob,
    config: &Config,
    fitted: bool,
    reporter: &mut dyn Reporter,
) -> Result<Option<Preprocessing>> {
    let config = with_known_layers(config, &job.input, reporter);
    let counts = match io::read(&job.input, &config.input) {
        Ok(counts) => counts,
        Err(error) if fitted => {
            reporter.warn(&format!("what preprocessing did cannot be told: {error}"));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if config.model.as_model().streaming().is_some() {
        reporter.warn("with model.stream = true, train looks at a sample of the cells; here all of them are looked at");
    }
    let Report { warnings, genes, filters, .. } = preprocess::account(&counts, &config.preprocess)?;
    for warning in &warnings {
        reporter.warn(warning);
    }
    let told =
        |name, key, layer: &crate::sparse::Csr<f32>| GeneFilter::new(name, key, Bound::None, layer.column_sums().0);
    let mut all = vec![
        told("spliced counts", "spliced_counts", &counts.spliced),
        told("unspliced counts", "unspliced_counts", &counts.unspliced),
    ];
    all.extend(filters);
    let status = genes.get("status").map(Column::to_labels).unwrap_or_default();
    Ok(Some(Preprocessing { status, filters: all }))
}

/// What the fit in `file` says of the genes, if there is a fit.
fn of_fit(file: &FittedFile) -> Option<OfFit> {
    if file.mode().is_empty() {
        return None;
    }
    let n_vars = file.var().index.len();
    let filters = velocity_gene_filters(file).unwrap_or_else(|| told_by(file));
    let fitted = fitted(file.var());
    let looked = |filter: GeneFilter| GeneFilter { looked: fitted.clone(), ..filter };
    Some(OfFit {
        model: file.fit().map_or_else(|| file.mode().to_owned(), |record| record.model.clone()),
        status: file.column(FIT_STATUS).map(Column::to_labels),
        velocity_gene: file.column(VELOCITY_GENES).and_then(Column::truths).unwrap_or_else(|| vec![true; n_vars]),
        filters: filters.into_iter().map(looked).collect(),
        fitted,
    })
}

/// The filters of velocity genes, of a fit of this program: with the bounds that it was made with, whatever settings are given.
pub(super) fn velocity_gene_filters(file: &FittedFile) -> Option<Vec<GeneFilter>> {
    let config = Config::recorded(&file.fit()?.settings, &[]).ok()?;
    Some(config.model.as_model().velocity_gene_filters(&|quantity| file.numbers(quantity)))
}

/// What the fit of another program tells of genes, without its bounds.
fn told_by(file: &FittedFile) -> Vec<GeneFilter> {
    let told = [("likelihood", FIT_LIKELIHOOD), ("R2 of the line, all cells", FIT_R2), ("R2 of the line", VELOCITY_R2)];
    let told = told.into_iter().filter_map(|(name, quantity)| {
        Some(GeneFilter::new(name, quantity.key(), Bound::None, file.numbers(quantity)?))
    });
    told.collect()
}

/// Whether the fit in `file` was made of cells that were read block after block.
pub(super) fn is_streamed(file: &FittedFile) -> bool {
    let config = file.fit().and_then(|record| Config::recorded(&record.settings, &[]).ok());
    config.is_some_and(|config| config.model.as_model().streaming().is_some())
}

/// Genes of which a fit has left any number.
fn fitted(var: &Frame) -> Vec<bool> {
    let of_a_fit = |name: &str| quantities::about(Slot::Var, name).is_some_and(|about| about.writer == Writer::Fit);
    let mut fitted = vec![false; var.index.len()];
    for (_, column) in var.columns.iter().filter(|(name, _)| of_a_fit(name)) {
        if let Column::Float(values) = column {
            fitted.iter_mut().zip(values).for_each(|(fitted, value)| *fitted |= value.is_finite());
        }
    }
    fitted
}
