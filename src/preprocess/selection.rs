//! Genes whose velocity should be used.

use crate::data::{Bound, Dataset, Frame, GeneFilter, Reporter};
use crate::error::{Result, require};
use crate::stats::percentile;

/// Below this number of velocity genes the user is warned.
const FEW: usize = 10;

/// What a velocity gene has to fulfil.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// R² above this.
    pub min_r2: f64,
    /// Slope above this.
    pub min_ratio: f64,
    /// Column of `var` that has to be true, where there is one of this name; empty: none.
    pub highly_variable: String,
}

/// The column that is looked for if none is named: files may lack it.
const USUAL: &str = "highly_variable";

impl Selection {
    /// Checks the column against those of `var`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a column was named and is not there: that is a typing error, and no wish for no filter.
    pub fn check(&self, var: &Frame) -> Result<()> {
        let name = self.highly_variable.as_str();
        let columns: Vec<&str> = var.columns.iter().map(|(name, _)| name.as_str()).collect();
        let wanted = format!("is no column of var; its columns are: {}; \"\" uses none", columns.join(", "));
        let is_there = name.is_empty() || name == USUAL || var.get(name).is_some();
        require(is_there, "model.highly_variable", format!("{name:?}"), &wanted)
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self { min_r2: 0.01, min_ratio: 0.01, highly_variable: USUAL.to_owned() }
    }
}

/// The velocity genes of `data`, `[n_vars]`: those with R² and slope above their thresholds, any spliced and any unspliced
/// abundance, and marked as variable where the data say so.
///
/// If these are fewer than 2, those genes with any abundance whose R² is above the 80th percentile, with a warning.
///
/// - `r2`, `ratio`: R² and slope of each gene's line, `[n_vars]` (which R²: see [`steady_state`](crate::models::steady_state))
///
/// Source: scVelo 0.3.4 `tl.velocity`.
pub fn velocity_genes(
    data: &Dataset,
    r2: &[f64],
    ratio: &[f64],
    selection: &Selection,
    reporter: &mut dyn Reporter,
) -> Vec<bool> {
    let filters = filters(data, r2, ratio, selection, reporter);
    (0..data.n_vars()).map(|gene| !filters.iter().any(|filter| filter.takes(gene))).collect()
}

/// What a line has to fulfil by `selection`: its R² and its slope.
#[must_use]
pub fn of_lines(r2: &[f64], ratio: &[f64], selection: &Selection) -> [GeneFilter; 2] {
    [
        GeneFilter::new("R2 of the line", "line_r2", Bound::Above(selection.min_r2), r2.to_vec()),
        GeneFilter::new("slope of the line", "line_slope", Bound::Above(selection.min_ratio), ratio.to_vec()),
    ]
}

/// The filters of [`velocity_genes`], all of which a gene has to pass. If fewer than 2 do, those of its second try.
///
/// - arguments: as there
pub fn filters(
    data: &Dataset,
    r2: &[f64],
    ratio: &[f64],
    selection: &Selection,
    reporter: &mut dyn Reporter,
) -> Vec<GeneFilter> {
    let any = |values: ndarray::ArrayView1<'_, f32>| values.iter().any(|&value| value > 0.0);
    let expressed = |gene: usize| any(data.ms.column(gene)) && any(data.mu.column(gene));
    let expressed: Vec<bool> = (0..data.n_vars()).map(expressed).collect();
    let expressed = GeneFilter::flags("abundance of both species", "expressed", &expressed);
    let mut filters = Vec::from(of_lines(r2, ratio, selection));
    filters.push(expressed.clone());
    if let Some(marks) = variable(data, &selection.highly_variable, reporter) {
        filters.push(GeneFilter::flags("marked as highly variable in the file", "marked_variable", &marks));
    }
    let is_chosen = |&gene: &usize| !filters.iter().any(|filter| filter.takes(gene));
    let n_chosen = (0..data.n_vars()).filter(is_chosen).count();
    if n_chosen < 2 {
        let threshold = percentile(r2, 80.0);
        reporter.warn(&format!(
            "very low signal: only {n_chosen} genes have an R2 above {} and a slope above {}; the threshold of R2 was changed to \
             {threshold:.4}, the 80th percentile of R2. Be cautious with the velocities",
            selection.min_r2, selection.min_ratio
        ));
        filters.truncate(1);
        filters[0].bound = Bound::Above(threshold);
        filters.push(expressed);
        return filters;
    }
    if n_chosen < FEW {
        reporter.warn(&format!(
            "only {n_chosen} velocity genes: those with an R2 above {} and a slope above {}",
            selection.min_r2, selection.min_ratio
        ));
    }
    filters
}

/// The column `name` as truth values, if the data have it and it can be read so.
fn variable(data: &Dataset, name: &str, reporter: &mut dyn Reporter) -> Option<Vec<bool>> {
    let column = data.var.get(name).filter(|_| !name.is_empty())?;
    let Some(marks) = column.truths() else {
        reporter.warn(&format!(
            "var[{name:?}] holds other values than true and false: it is not used to choose velocity genes"
        ));
        return None;
    };
    if !marks.contains(&true) {
        reporter.warn(&format!("var[{name:?}] marks no gene as variable: it is not used to choose velocity genes"));
        return None;
    }
    Some(marks)
}
