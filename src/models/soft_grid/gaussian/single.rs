//! A time per cell and gene: every gene on its own clock, with its own EM and its own π.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::fitting::{Fitted, Known, Setting};
use super::outputs::{Reader, Reading, Row, Tables};
use super::start::{OrUnfit, Unfit};
use crate::data::Run;
use crate::error::{Error, Result};

/// Genes that are worked on before the run looks up.
const BLOCK: usize = 32;
/// S.d. of a cell's first time, in parts of the grid.
const FIRST_SPREAD: f64 = 0.05;

/// Fits every gene of `known` and fills `tables`.
///
/// # Errors
/// [`Error::Interrupted`].
pub(super) fn fit(
    setting: &Setting<'_>,
    moments: [ArrayView2<'_, f32>; 2],
    known: &[Known],
    tables: &mut Tables<'_>,
    run: &mut Run,
) -> Result<()> {
    run.reporter().begin("genes", 0, known.len() as u64);
    let mut done = 0;
    for block in known.chunks(BLOCK) {
        if run.interrupted() {
            return Err(Error::Interrupted { run: None });
        }
        let fits: Vec<(OrUnfit<Row>, Vec<Reading>)> =
            block.par_iter().map(|known| gene(setting, moments, known)).collect::<Result<_>>()?;
        for (known, (row, readings)) in block.iter().zip(fits) {
            tables.rows[known.index] = row;
            for reading in &readings {
                tables.set(&[known.index], reading);
            }
        }
        done += block.len();
        run.reporter().advance(done as u64, "");
    }
    run.reporter().end(&format!("{done} genes, each on its own clock"));
    Ok(())
}

/// The fit of one gene, and what its cells' posteriors say.
fn gene(
    setting: &Setting<'_>,
    moments: [ArrayView2<'_, f32>; 2],
    known: &Known,
) -> Result<(OrUnfit<Row>, Vec<Reading>)> {
    let columns = columns(moments, known.index);
    let views = columns.each_ref().map(Array2::view);
    let fitted = own_fit(setting, views, known)?;
    if !fitted.is_finite() {
        return Ok((Err(Unfit::Degenerate), Vec::new()));
    }
    let reader = Reader::new(&fitted);
    let readings = Reader::blocks(moments[0].nrows()).map(|rows| reader.read(rows)).collect();
    Ok((Ok(Row::new(&fitted, 0)), readings))
}

/// A gene's columns one after the other, `[n_obs, 1]`: in the matrices every value would be on another cache line.
pub(super) fn columns(moments: [ArrayView2<'_, f32>; 2], gene: usize) -> [Array2<f32>; 2] {
    moments.map(|matrix| matrix.column(gene).to_owned().insert_axis(Axis(1)))
}

/// The fit of one gene to its `columns`.
pub(super) fn own_fit<'m>(
    setting: &Setting<'_>,
    columns: [ArrayView2<'m, f32>; 2],
    known: &Known,
) -> Result<Fitted<'m>> {
    let t_max = setting.settings.t_max;
    let mut gene = known.gene.clone();
    gene.curve = known.start.stretched(t_max);
    let by = t_max / known.start.latest();
    let around = |t: f64| -> Vec<f64> {
        setting.grid.iter().map(|other| -0.5 * ((other - t) / (t_max * FIRST_SPREAD)).powi(2)).collect()
    };
    let genes = (vec![gene], vec![0]);
    let mut fitted = if setting.capture.is_some() {
        let spread = setting.spread();
        setting.begin(columns, genes, |i| spread.log_of(i).to_vec())
    } else {
        setting.begin(columns, genes, |i| around(by * f64::from(known.start.times[i])))
    };
    fitted.advance(setting.settings.max_rounds, setting.settings.tolerance, |_, _| Ok(()))?;
    Ok(fitted)
}
