//! Layers of other programs' files, walked through entry by entry: AnnData's `.h5ad`, and `.loom`, where genes are rows.
//!
//! A loom file (Linnarsson lab; specification 2 and 3) is HDF5 with `matrix`, `layers`, and attributes of rows (genes) in `row_attrs`
//! and of columns (cells) in `col_attrs`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use hdf5::{File, Group};

use super::features;
use super::frame::{self, quoted};
use super::h5::{self, Node};
use super::matrix::{Matrix, Stored, row_blocks};
use super::place::Place;
use crate::data::{Frame, Reporter};
use crate::error::Result;

/// Entries of a compressed matrix that are read at once.
const AT_ONCE: usize = 1 << 20;
/// Attributes of a loom file that name its cells and its genes, in the order in which loompy and anndata look for them.
const CELL_NAMES: [&str; 4] = ["CellID", "obs_names", "barcode", "barcodes"];
const GENE_NAMES: [&str; 6] = ["Gene", "var_names", "target_name", "gene_name", "Accession", "gene_id"];

/// What an HDF5 file is, as far as counts are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// AnnData.
    H5ad,
    /// A loom file.
    Loom,
    /// Cell Ranger's `molecule_info.h5`.
    Molecules,
    /// Cell Ranger's matrix of genes and barcodes, without a split.
    FeatureMatrix,
    /// Something else.
    Other,
}

/// What the HDF5 file at `path` is.
///
/// # Errors
/// [`Error::File`](crate::Error::File) or [`Error::Input`](crate::Error::Input) if it cannot be opened or is no HDF5 file.
pub fn file_kind(path: &Path) -> Result<FileKind> {
    let file = h5::open(path)?;
    let has = |name: &str| file.link_exists(name);
    Ok(match () {
        () if has("row_attrs") && has("col_attrs") => FileKind::Loom,
        () if has("barcode_idx") => FileKind::Molecules,
        () if has("obs") && has("var") => FileKind::H5ad,
        () if has("matrix") || !features::genomes(&file).is_empty() => FileKind::FeatureMatrix,
        () => FileKind::Other,
    })
}

/// An open file with layers over cells and genes.
#[derive(Debug)]
pub struct LayeredFile {
    path: PathBuf,
    obs: Frame,
    var: Frame,
    layers: Vec<(String, Matrix<'static>)>,
    uns: Vec<String>,
    loom: bool,
}

impl LayeredFile {
    /// Opens a file; its annotation is read, of its layers only where they are.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) naming the place if it is neither loom nor AnnData, lacks names of cells or genes, or layers
    /// have another shape than these.
    pub fn open(path: &Path) -> Result<Self> {
        let file = h5::open(path)?;
        let place = Place::root(path);
        let loom = file.link_exists("row_attrs");
        let (obs, var) = if loom {
            (attributes(&file, "col_attrs", &CELL_NAMES, &place)?, attributes(&file, "row_attrs", &GENE_NAMES, &place)?)
        } else {
            (frame::read(&file, "obs", &place.child("obs"))?, frame::read(&file, "var", &place.child("var"))?)
        };
        let mut shape = [obs.index.len(), var.index.len()];
        if loom {
            shape.reverse();
        }
        let mut layers = Vec::new();
        if let Some(Node::Group(group)) = Node::open(&file, "layers") {
            for name in h5::members(&group) {
                let Some(node) = Node::open(&group, &name) else { continue };
                let matrix = Matrix::open(&node, place.child("layers").child(&name))?;
                matrix.require_shape(shape[0], shape[1])?;
                layers.push((name, matrix.into_owned()));
            }
        }
        let uns = match Node::open(&file, "uns") {
            Some(Node::Group(group)) => h5::members(&group),
            _ => Vec::new(),
        };
        Ok(Self { path: path.to_path_buf(), obs, var, layers, uns, loom })
    }

    /// Cells.
    #[must_use]
    pub fn obs(&self) -> &Frame {
        &self.obs
    }

    /// Genes.
    #[must_use]
    pub fn var(&self) -> &Frame {
        &self.var
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the layers, sorted.
    pub fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.layers.iter().map(|(name, _)| name.as_str())
    }

    /// Keys of `uns`.
    #[must_use]
    pub fn uns(&self) -> &[String] {
        &self.uns
    }

    /// Lets `visit` see the nonzero entries of a layer: cell, gene, value.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is no such layer, an entry is no count, or the file is damaged; and what `visit` gives.
    pub fn for_each(
        &self,
        layer: &str,
        reporter: &mut dyn Reporter,
        visit: &mut dyn FnMut(usize, u32, f32) -> Result<()>,
    ) -> Result<()> {
        let place = Place::root(&self.path).child("layers").child(layer);
        let Some((_, matrix)) = self.layers.iter().find(|(name, _)| name == layer) else {
            let present: Vec<String> = self.layer_names().map(str::to_owned).collect();
            return Err(place.error(format!("not found; layers present: {}", quoted(&present)), ""));
        };
        let turned = self.loom;
        let mut seen = |row: usize, column: u32, value: f32| {
            if value < 0.0 || !value.is_finite() {
                return Err(
                    place.error(format!("a count was wanted, found {value}"), "give the raw counts of the pipeline")
                );
            }
            if turned { visit(column as usize, row as u32, value) } else { visit(row, column, value) }
        };
        let total = matrix.shape()[0];
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        reporter.begin(&format!("reading {name}: {layer}"), 0, total.max(1) as u64);
        if matrix.is_by_column() {
            let all = matrix.to_csr()?;
            for row in 0..all.n_rows {
                let (columns, values) = all.row(row);
                columns.iter().zip(values).try_for_each(|(&column, &value)| seen(row, column, value))?;
            }
        } else {
            let offsets = matrix.row_offsets()?;
            for rows in row_ranges(matrix, &offsets) {
                let part = matrix.rows(&offsets, rows.clone())?;
                for (at, row) in rows.clone().enumerate() {
                    let (columns, values) = part.row(at);
                    columns.iter().zip(values).try_for_each(|(&column, &value)| seen(row, column, value))?;
                }
                if rows.end < total {
                    reporter.advance(rows.end as u64, "");
                }
            }
        }
        reporter.end(&format!("read {name}: {layer}"));
        Ok(())
    }
}

/// Rows that are read together.
fn row_ranges(matrix: &Matrix, offsets: &[usize]) -> Vec<Range<usize>> {
    let [n_rows, n_cols] = matrix.shape();
    if let Stored::Dense(dataset) = matrix.stored() {
        return row_blocks(dataset, 0..n_rows, n_cols).collect();
    }
    let (mut ranges, mut start) = (Vec::new(), 0);
    while start < n_rows {
        let end = offsets.partition_point(|&at| at <= offsets[start] + AT_ONCE).clamp(start + 2, n_rows + 1) - 1;
        ranges.push(start..end);
        start = end;
    }
    ranges
}

/// Attributes of one axis of a loom file.
fn attributes(file: &File, key: &str, names: &[&str], place: &Place) -> Result<Frame> {
    let place = place.child(key);
    let Some(Node::Group(group)) = Node::open(file, key) else {
        return Err(place.error("not found, so this is no loom file", "give a file as velocyto or loompy write them"));
    };
    let members = h5::members(&group);
    let Some(name) = names.iter().find(|name| members.iter().any(|member| member == *name)) else {
        let wanted = names.join(", ");
        return Err(place.error(
            format!("none of the attributes {wanted} is there to name rows; present: {}", quoted(&members)),
            "add one with loompy: ds.ca[\"CellID\"] = names, ds.ra[\"Gene\"] = names",
        ));
    };
    let index = column(&group, name, &place)?;
    let index = index.ok_or_else(|| place.child(name).damaged("names were expected"))?.to_labels();
    let mut frame = Frame { index, columns: Vec::new() };
    for member in members {
        // Several numbers per cell, such as an embedding, have no place in a table.
        if let Some(column) = column(&group, &member, &place)?.filter(|column| column.len() == frame.index.len()) {
            frame.columns.push((member, column));
        }
    }
    Ok(frame)
}

fn column(group: &Group, name: &str, place: &Place) -> Result<Option<crate::data::Column>> {
    match Node::open(group, name) {
        Some(node @ Node::Dataset(_)) => frame::read_column(group, name, &node, &place.child(name)),
        _ => Ok(None),
    }
}
