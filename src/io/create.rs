//! Files from nothing, for simulations and counts of other programs.

use std::path::Path;

use ndarray::Array2;

use super::OutputConfig;
use super::atomic::AtomicFile;
use super::element::Sink;
use super::pieces::{Content, Piece};
use super::place::Place;
use super::uns::Uns;
use super::write::{Additions, Genes, check, create, finish};
use crate::data::Frame;
use crate::data::quantities::Slot;
use crate::error::Result;
use crate::sparse::Csr;

/// The content of an AnnData file made from nothing. Axis 0 is cells, axis 1 genes.
#[derive(Clone, Debug, Default)]
pub struct NewFile {
    /// The main matrix.
    pub x: Option<Csr<f32>>,
    /// Layers of counts, sparse: whole numbers are stored as such, in the narrowest of the types that velocyto uses.
    pub counts: Vec<(String, Csr<f32>)>,
    /// Layers, sparse.
    pub sparse_layers: Vec<(String, Csr<f32>)>,
    /// Layers, dense.
    pub dense_layers: Vec<(String, Array2<f32>)>,
    /// Annotation of cells.
    pub obs: Frame,
    /// Annotation of genes.
    pub var: Frame,
    /// Coordinates of cells.
    pub obsm: Vec<(String, Array2<f32>)>,
    /// Everything else.
    pub uns: Vec<(String, Uns)>,
}

/// Writes a new file in the format of anndata 0.8 and later, compressed as `config` says. It appears whole or not at all.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the arrays do not run over the rows of `obs` and `var`, [`Error::File`](crate::Error::File) if
/// the system refuses to write; then what stood at `output` still stands there.
pub fn write_new(output: &Path, config: &OutputConfig, file: &NewFile) -> Result<()> {
    let pieces = pieces_of(file);
    check(&pieces, file.obs.index.len(), file.var.index.len())?;
    let draft = AtomicFile::begin(output)?;
    let final_path = draft.output().to_path_buf();
    let sink = Sink::new(&final_path, config.compression);
    let target = create(&draft, &sink)?;
    sink.mark(&target, "anndata", "0.1.0")?;
    if let Some(x) = &file.x {
        sink.csr(&target, "X", x)?;
    }
    for (axis, frame) in [("obs", &file.obs), ("var", &file.var)] {
        let index_alone = Frame { index: frame.index.clone(), columns: Vec::new() };
        sink.frame(&target, axis, &index_alone)?;
    }
    for group in ["layers", "obsm", "obsp", "uns", "varm", "varp"] {
        sink.dict(&target, group)?;
    }
    let genes = Genes::Same;
    Additions { sink, genes }.add(&target, &Place::root(output), &pieces)?;
    finish(draft, &sink, target, None)?;
    Ok(())
}

fn pieces_of(file: &NewFile) -> Vec<Piece<'_>> {
    let piece = |slot: Slot, key: &String, content| Piece { slot, key: key.clone(), content };
    let mut pieces = Vec::new();
    for (slot, frame) in [(Slot::Obs, &file.obs), (Slot::Var, &file.var)] {
        pieces.extend(frame.columns.iter().map(|(key, column)| piece(slot, key, Content::Column(column.clone()))));
    }
    pieces.extend(file.counts.iter().map(|(key, matrix)| piece(Slot::Layers, key, Content::Counts(matrix))));
    pieces.extend(file.sparse_layers.iter().map(|(key, matrix)| piece(Slot::Layers, key, Content::Sparse(matrix))));
    pieces
        .extend(file.dense_layers.iter().map(|(key, matrix)| piece(Slot::Layers, key, Content::Dense(matrix.view()))));
    pieces.extend(file.obsm.iter().map(|(key, matrix)| piece(Slot::Obsm, key, Content::Dense(matrix.view()))));
    pieces.extend(file.uns.iter().map(|(key, value)| piece(Slot::Uns, key, Content::Uns(value.clone()))));
    pieces
}
