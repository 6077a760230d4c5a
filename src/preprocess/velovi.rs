//! What the recipe `velovi` adds: moments from 0 to 1, and the genes that a steady-state line explains.
//!
//! 1. `Mu` and `Ms` of each gene are scaled over cells to \[0, 1\]: `(moment − min) / span` ([`MinMax`]);
//! 2. the deterministic steady-state line is fitted to the scaled moments ([`lines`](super::lines));
//! 3. genes with `velocity_r2 > 0`, `velocity_gamma > 0` that are velocity genes ([`velocity_genes`](super::selection::velocity_genes)) are kept.
//!
//! With `n_top_genes = 0`, these are among the genes that the file marks as `highly_variable`, if it does.
//! Cells, neighbours and principal components stay as they were. Listed genes (`genes`, `retain_genes`) are kept as they
//! are by every filter.
//!
//! Source: Gayoso et al. 2024, tutorial of veloVI; `preprocess_data` of the package `velovi`, which is in neither scvi-tools nor
//! scVelo any more.

use super::config::PreprocessConfig;
use super::filter;
use super::lines::{Extremes, fit_lines};
use super::report::Report;
use super::selection::{Selection, filters};
use crate::data::{Bound, Dataset, GeneFilter, MinMax, MomentScaling, Reporter};
use crate::error::{Error, Result};

/// Scales the moments of `data` and keeps the genes whose line explains them.
///
/// # Errors
/// [`Error::Data`] if fewer than two genes are left.
pub(super) fn prepare(mut data: Dataset, config: &PreprocessConfig, report: &mut Report) -> Result<Dataset> {
    let scaling = MomentScaling { mu: MinMax::of(&data.mu), ms: MinMax::of(&data.ms) };
    scaling.mu.scale(&mut data.mu);
    scaling.ms.scale(&mut data.ms);
    data.scaling = Some(scaling);
    report.step("min-max scaling", data.n_vars(), "Mu and Ms of each gene, over cells, to [0, 1]".to_owned());
    if config.lists_genes() {
        report.step("steady-state lines", data.n_vars(), "genes are kept as listed; no filter is used".to_owned());
        return Ok(data);
    }

    let lines = fit_lines(&data, Extremes::default());
    let r2: Vec<f64> = lines.iter().map(|line| line.r2).collect();
    let slopes: Vec<f64> = lines.iter().map(|line| line.extreme.slope).collect();
    let mut selection = Selection::default();
    if config.n_top_genes > 0 {
        // Variable genes were chosen here: whatever the file marks is of another choice.
        selection.highly_variable.clear();
    }
    let mut filters = filters(&data, &r2, &slopes, &selection, &mut Warnings(report));
    // Where the threshold of R² was lowered, or settings allow for less than a line that rises.
    let rising = [
        GeneFilter::new("R2 of the line", "line_r2", Bound::Above(0.0), r2),
        GeneFilter::new("slope of the line", "line_slope", Bound::Above(0.0), slopes),
    ];
    for filter in rising {
        if (0..data.n_vars()).any(|gene| filter.takes(gene) && !filters.iter().any(|other| other.takes(gene))) {
            filters.push(filter);
        }
    }
    let explains: Vec<bool> = (0..data.n_vars()).map(|gene| !filters.iter().any(|filter| filter.takes(gene))).collect();
    report.filters.extend(filters.into_iter().map(|filter| filter.placed(&data.genes, data.n_vars_input)));
    let kept = filter::keep_explained(&data.genes, &explains, config, report)?;
    let note = format!(
        "velocity genes: R2 above {}, slope above {}, of the deterministic fit",
        selection.min_r2, selection.min_ratio
    );
    report.step("steady-state lines", kept.len(), note);
    if kept.len() < 2 {
        return Err(Error::Data {
            problem: format!(
                "preprocess.recipe = \"velovi\": {} of {} genes are left, wanted at least 2: in the others a line through the \
                 extreme cells does not explain the unspliced abundance",
                kept.len(),
                data.n_vars()
            ),
            hint: "check that the layers hold spliced and unspliced counts, keep genes by name with preprocess.retain_genes, or set \
                   preprocess.recipe = \"scvelo-0.3\""
                .to_owned(),
        });
    }
    Ok(data.select_genes(&kept))
}

/// Warnings of the selection go into the report.
struct Warnings<'a>(&'a mut Report);

impl Reporter for Warnings<'_> {
    fn say(&mut self, _: &str) {}
    fn warn(&mut self, message: &str) {
        self.0.warn(format!("preprocess.recipe = \"velovi\": {message}"));
    }
    fn begin(&mut self, _: &str, _: u64, _: u64) {}
    fn advance(&mut self, _: u64, _: &str) {}
    fn end(&mut self, _: &str) {}
}
