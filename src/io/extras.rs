//! Layers of counts that came from elsewhere, into a copy of a file.

use std::path::Path;

use super::atomic::AtomicFile;
use super::element::Sink;
use super::pieces::{Content, Piece};
use super::place::Place;
use super::stamp::Stamp;
use super::subset::{Axis, Cut};
use super::uns::Uns;
use super::write::{Additions, Genes, check, copied, create, finish};
use super::{OutputConfig, check_writable, frame, h5};
use crate::data::quantities::Slot;
use crate::data::{Column, Frame};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// The names in an `.h5ad` file.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Cells.
    pub obs: Frame,
    /// Genes.
    pub var: Frame,
    /// Genes of `raw`, where it can be read: files converted from Seurat may have their names there alone.
    pub raw_var: Option<Frame>,
    /// Names of the layers, sorted.
    pub layers: Vec<String>,
}

/// What is added to a copy of a file.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Positions of the cells that stay, rising; all where `None`.
    pub cells: Option<Vec<usize>>,
    /// Layers of counts over the cells that stay and all genes; each replaces the one of its name.
    pub counts: Vec<(String, Csr<f32>)>,
    /// Columns of `obs`, over the cells that stay.
    pub obs: Vec<(String, Column)>,
    /// Members of `uns`.
    pub uns: Vec<(String, Uns)>,
}

/// Reads the names in a file, and nothing of its matrices.
///
/// # Errors
/// [`Error::Input`] if it is no AnnData file or is damaged, [`Error::File`] if the system refuses to read.
pub fn outline(path: &Path) -> Result<Outline> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let layers = file.group("layers").map_or_else(|_| Vec::new(), |group| h5::members(&group));
    let raw = file.group("raw").ok();
    Ok(Outline {
        obs: frame::read(&file, "obs", &place.child("obs"))?,
        var: frame::read(&file, "var", &place.child("var"))?,
        raw_var: raw.and_then(|raw| frame::read(&raw, "var", &place.child("raw").child("var")).ok()),
        layers,
    })
}

/// Writes a copy of the file that was `read` with `extras`, compressed as `config` says. Everything else is as it was, or of the cells that stay.
/// Returns elements that run over cells, but are of a kind that cannot be cut to some of them, and were left out.
///
/// The file appears whole or not at all; `output` may be the same one. Nothing is written if it has been changed since.
///
/// # Errors
/// [`Error::Shape`] if the extras do not fit the file, [`Error::Input`] if it cannot be read, [`Error::File`] if the system
/// refuses to write; then what stood at `output` still stands there.
pub fn write_extras(output: &Path, read: &Stamp, config: &OutputConfig, extras: &Extras) -> Result<Vec<String>> {
    config.validate()?;
    check_writable(output)?;
    read.require_same()?;
    let input = read.path();
    let source = h5::open(input)?;
    let place = Place::root(input);
    let n_obs = frame::n_rows(&source, "obs", &place.child("obs"))?;
    let n_vars = frame::n_rows(&source, "var", &place.child("var"))?;
    let kept = extras.cells.as_deref();
    if kept.is_some_and(|kept| !kept.is_sorted_by(|a, b| a < b) || kept.last().is_some_and(|&last| last >= n_obs)) {
        let what = format!("positions of cells in {}", input.display());
        return Err(Error::Shape { what, wanted: vec![n_obs], found: kept.map(<[usize]>::len).into_iter().collect() });
    }
    let pieces = pieces_of(extras);
    check(&pieces, kept.map_or(n_obs, <[usize]>::len), n_vars)?;
    let mut draft = AtomicFile::begin(output)?;
    let final_path = draft.output().to_path_buf();
    let sink = Sink::new(&final_path, config.compression);
    let replaced: Vec<(Slot, String)> = pieces.iter().map(|piece| (piece.slot, piece.key.clone())).collect();
    let there = |piece: &Piece| {
        piece.slot == Slot::Layers && source.group("layers").is_ok_and(|group| group.link_exists(&piece.key))
    };
    let mut left_out = Vec::new();
    // A file does not shrink when elements are removed from it: layers that are replaced are not copied in the first place.
    let target = if kept.is_some() || pieces.iter().any(there) {
        let target = create(&draft, &sink)?;
        draft.reserve_like(input)?;
        let axis = kept.map(|_| Axis::Cells);
        let mut copy =
            Cut { sink, axis, kept: kept.unwrap_or_default(), n: n_obs, skip: &replaced, left_out: Vec::new() };
        copy.file(&source, &target, &place)?;
        left_out = copy.left_out;
        target
    } else {
        copied(&mut draft, &sink, input)?
    };
    drop(source);
    Additions { sink, genes: Genes::Same }.add(&target, &place, &pieces)?;
    finish(draft, &sink, target, Some(read))?;
    Ok(left_out)
}

fn pieces_of(extras: &Extras) -> Vec<Piece<'_>> {
    let piece = |slot: Slot, key: &String, content| Piece { slot, key: key.clone(), content };
    let layers = extras.counts.iter().map(|(key, matrix)| piece(Slot::Layers, key, Content::Counts(matrix)));
    let columns = extras.obs.iter().map(|(key, column)| piece(Slot::Obs, key, Content::Column(column.clone())));
    let uns = extras.uns.iter().map(|(key, value)| piece(Slot::Uns, key, Content::Uns(value.clone())));
    layers.chain(columns).chain(uns).collect()
}
