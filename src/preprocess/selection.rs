//! Genes whose velocity should be used.

use crate::data::{Column, Dataset, Reporter};
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

impl Default for Selection {
    fn default() -> Self {
        Self { min_r2: 0.01, min_ratio: 0.01, highly_variable: "highly_variable".to_owned() }
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
    let variable = variable(data, &selection.highly_variable, reporter);
    let expressed = |gene: usize| {
        let any = |values: ndarray::ArrayView1<'_, f32>| values.iter().any(|&value| value > 0.0);
        any(data.ms.column(gene)) && any(data.mu.column(gene))
    };
    let is_signal = |gene: usize| {
        let above = r2[gene] > selection.min_r2 && ratio[gene] > selection.min_ratio;
        above && expressed(gene) && variable.as_ref().is_none_or(|variable| variable[gene])
    };
    let chosen: Vec<bool> = (0..data.n_vars()).map(is_signal).collect();
    let n_chosen = chosen.iter().filter(|&&chosen| chosen).count();
    if n_chosen < 2 {
        let threshold = percentile(r2, 80.0);
        reporter.warn(&format!(
            "very low signal: only {n_chosen} genes have an R2 above {} and a slope above {}; the threshold of R2 was changed to \
             {threshold:.4}, the 80th percentile of R2. Be cautious with the velocities",
            selection.min_r2, selection.min_ratio
        ));
        return (0..data.n_vars()).map(|gene| r2[gene] > threshold && expressed(gene)).collect();
    }
    if n_chosen < FEW {
        reporter.warn(&format!(
            "only {n_chosen} velocity genes: those with an R2 above {} and a slope above {}",
            selection.min_r2, selection.min_ratio
        ));
    }
    chosen
}

/// The column `name` as truth values, if the data have it and it can be read so.
fn variable(data: &Dataset, name: &str, reporter: &mut dyn Reporter) -> Option<Vec<bool>> {
    let column = data.var.get(name).filter(|_| !name.is_empty())?;
    let is_true = |label: &String| matches!(label.as_str(), "True" | "true" | "TRUE" | "1");
    let marks: Vec<bool> = match column {
        Column::Bool(marks) => marks.clone(),
        Column::Float(numbers) => numbers.iter().map(|&number| number > 0.0).collect(),
        Column::Int(numbers) => numbers.iter().map(|&number| number > 0).collect(),
        Column::Text(_) | Column::Categorical { .. } => column.to_labels().iter().map(is_true).collect(),
    };
    if !marks.contains(&true) {
        reporter.warn(&format!("var[{name:?}] marks no gene as variable: it is not used to choose velocity genes"));
        return None;
    }
    Some(marks)
}
