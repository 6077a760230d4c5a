//! Whole layers of the fitted file. Each is read once, asked for everything that is wanted of it, and released: of a large file no
//! more than a few are in memory at once.

use ndarray::{ArcArray2, Array2, Axis};

use super::genes::{self, OfCells};
use super::trust::{self, OfLayers};
use crate::data::GraphRecord;
use crate::data::quantities::{FIT_S, FIT_T, FIT_U, MS, MU, Matrix, Quantity, TRUE_VELOCITY, VELOCITY};
use crate::error::Result;
use crate::io::FittedFile;
use crate::metrics;
use crate::report::{Content, Gene, Table};

/// What was taken from the layers.
pub(super) struct Found {
    /// Positions of the genes that the graph was made with.
    pub(super) used: Vec<usize>,
    pub(super) genes: Vec<Gene>,
    pub(super) metrics: Table,
    pub(super) answers: OfLayers,
}

/// Passes over the layers of `file`; `content` has the time of the cells and says which of them genes are shown in.
pub(super) fn passed(file: &FittedFile, graph: &GraphRecord, content: &Content) -> Result<Found> {
    let mut answers = OfLayers::default();
    let time = content.time.as_deref();
    // Of the cells that are shown, all genes: what is kept of a layer after it is released.
    let shown = |layer: &ArcArray2<f32>| layer.select(Axis(0), &content.gene_cells);
    let pass = |quantity: Quantity<Matrix>| -> Result<Option<Array2<f32>>> {
        let found = file.layer(quantity)?.map(|layer| shown(&layer));
        file.release(quantity);
        Ok(found)
    };
    let scores = metrics::evaluate(&file.evidence()?)?;
    file.release(TRUE_VELOCITY);
    let fit_u = pass(FIT_U)?;
    let fit_s = pass(FIT_S)?;

    let velocity = file.layer(VELOCITY)?;
    let mut used = file.genes(&graph.genes)?;
    let finite = |layer: &ArcArray2<f32>, gene: usize| layer.column(gene).iter().all(|value| value.is_finite());
    let ms = file.layer(MS)?;
    used.retain(|&gene| [&velocity, &ms].into_iter().flatten().all(|layer| finite(layer, gene)));
    if let (Some(velocity), Some(time)) = (&velocity, time) {
        answers.early = Some(trust::early(velocity, &used, time));
    }
    let velocity_shown = velocity.as_ref().map(shown);
    drop(velocity);
    file.release(VELOCITY);
    if let Some(ms) = &ms {
        answers.direction = Some(trust::direction(file, &used, ms, time)?);
    }
    drop(ms);
    let (ms, mu) = (pass(MS)?, pass(MU)?);
    let layers = OfCells { ms, mu, velocity: velocity_shown, fit_s, fit_u, fit_t: pass(FIT_T)? };
    let genes = genes::genes(file, &used, layers);
    Ok(Found { used, genes, metrics: table(&scores), answers })
}

fn table(scores: &metrics::Evaluation) -> Table {
    let rows =
        scores.named().into_iter().filter_map(|(name, score)| Some(vec![name.to_owned(), format!("{:.4}", score?)]));
    Table { columns: vec!["measure".to_owned(), "value".to_owned()], rows: rows.collect() }
}
