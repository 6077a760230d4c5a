//! What is in a file, without reading more of it than that takes.

use std::path::Path;

use hdf5::{File, Group};
use serde::Serialize;

use super::InputConfig;
use super::frame::{self, LEGACY_CATEGORIES};
use super::h5::{self, Node};
use super::matrix::{Matrix, Stored};
use super::place::Place;
use super::records::Records;
use crate::data::{Column, Holds, Tally};
use crate::error::Result;

/// What is in an `.h5ad` file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// Version of the file's layout (`encoding-version`); `None` before anndata 0.8.
    pub encoding_version: Option<String>,
    /// Number of cells.
    pub n_obs: usize,
    /// Number of genes.
    pub n_vars: usize,
    /// The main matrix.
    pub x: Option<MatrixDescription>,
    /// The layers, by name.
    pub layers: Vec<MatrixDescription>,
    /// Columns of `obs`.
    pub obs: Vec<ColumnDescription>,
    /// Columns of `var`.
    pub var: Vec<ColumnDescription>,
    /// Names in `obsm`.
    pub obsm: Vec<String>,
    /// Names in `obsp`.
    pub obsp: Vec<String>,
    /// Names in `varm`.
    pub varm: Vec<String>,
    /// Names in `uns`.
    pub uns: Vec<String>,
    /// Whether there is a `raw`.
    pub raw: bool,
    /// Names of the layers with spliced and unspliced counts, if the file has both.
    pub count_layers: Option<[String; 2]>,
    /// Share of unspliced molecules, if the file has both layers of counts.
    pub unspliced_share: Option<f64>,
    /// The velocity model whose results the file holds (`uns["velocity_params"]["mode"]`).
    pub model: Option<String>,
}

impl Description {
    /// Whether the layers of spliced and unspliced molecules hold counts, whole or divided, as far as their values tell.
    #[must_use]
    pub fn holds_counts(&self) -> bool {
        let named = |layer: &&MatrixDescription| self.count_layers.iter().flatten().any(|name| *name == layer.name);
        self.layers.iter().filter(named).all(|layer| layer.raw_counts || layer.fractional_counts)
    }
}

/// A matrix in a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MatrixDescription {
    /// Its name, `X` for the main matrix.
    pub name: String,
    /// `dense`, `csr` or `csc`; `unknown` if it cannot be read, `of another shape` if it is not of the file's cells and genes.
    pub kind: &'static str,
    /// Type of the numbers, as numpy calls it.
    pub dtype: String,
    /// Share of entries that are not zero.
    pub nonzero_share: f64,
    /// Whether all entries are finite whole numbers that are not negative.
    pub raw_counts: bool,
    /// Whether entries look like counts of molecules of which some were divided among genes.
    pub fractional_counts: bool,
    /// Number of entries that are not finite.
    pub n_not_finite: u64,
}

/// A column of `obs` or `var`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnDescription {
    /// Its name.
    pub name: String,
    /// `float`, `int`, `bool`, `text` or `categorical`; `unknown` if it cannot be read.
    pub kind: &'static str,
    /// Number of categories of a categorical column.
    pub n_categories: Option<usize>,
}

/// Says what is in a file. Matrices are walked through in blocks and never held.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if the file is no AnnData file or is damaged, [`Error::File`](crate::Error::File) if the system
/// refuses to read.
pub fn describe(path: &Path, config: &InputConfig) -> Result<Description> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let n_obs = frame::n_rows(&file, "obs", &place.child("obs"))?;
    let n_vars = frame::n_rows(&file, "var", &place.child("var"))?;
    let shape = [n_obs, n_vars];
    let config = config.known_in(&file);
    let mut totals = Vec::new();
    let mut layers = Vec::new();
    if let Some(Node::Group(group)) = Node::open(&file, "layers") {
        for name in h5::members(&group) {
            let (layer, total) = matrix(&group, &name, shape, place.child("layers").child(&name))?;
            if name == config.spliced || name == config.unspliced {
                totals.push((name == config.unspliced, total));
            }
            layers.push(layer);
        }
    }
    let x = match Node::open(&file, "X") {
        Some(node) if node.encoding().as_deref() != Some("null") => {
            Some(matrix(&file, "X", shape, place.child("X"))?.0)
        }
        _ => None,
    };
    let model = Some(Records::read(&file, &place)?.mode).filter(|mode| !mode.is_empty());
    Ok(Description {
        encoding_version: h5::attr_text(&file, "encoding-version"),
        n_obs,
        n_vars,
        x,
        layers,
        obs: columns(&file, "obs", &place.child("obs"))?,
        var: columns(&file, "var", &place.child("var"))?,
        obsm: names(&file, "obsm"),
        obsp: names(&file, "obsp"),
        varm: names(&file, "varm"),
        uns: names(&file, "uns"),
        raw: file.link_exists("raw") || file.link_exists("raw.X"),
        count_layers: (totals.len() == 2).then_some([config.spliced, config.unspliced]),
        unspliced_share: unspliced_share(&totals),
        model,
    })
}

fn names(file: &File, key: &str) -> Vec<String> {
    match Node::open(file, key) {
        Some(Node::Group(group)) => h5::members(&group),
        _ => Vec::new(),
    }
}

fn unspliced_share(totals: &[(bool, f64)]) -> Option<f64> {
    let sum_of = |wanted: bool| totals.iter().find(|(unspliced, _)| *unspliced == wanted).map(|(_, sum)| *sum);
    let (spliced, unspliced) = (sum_of(false)?, sum_of(true)?);
    let all = spliced + unspliced;
    (all > 0.0).then(|| unspliced / all)
}

/// The share of unspliced molecules in two layers, if the file has both; nothing else is read.
pub(super) fn unspliced_share_of(file: &File, config: &InputConfig, place: &Place) -> Result<Option<f64>> {
    let Some(Node::Group(layers)) = Node::open(file, "layers") else { return Ok(None) };
    let config = config.known_in(file);
    let shape = [frame::n_rows(file, "obs", &place.child("obs"))?, frame::n_rows(file, "var", &place.child("var"))?];
    let mut totals = Vec::new();
    for (is_unspliced, name) in [(false, &config.spliced), (true, &config.unspliced)] {
        if layers.link_exists(name) {
            totals.push((is_unspliced, matrix(&layers, name, shape, place.child("layers").child(name))?.1));
        }
    }
    Ok(unspliced_share(&totals))
}

/// Describes a matrix and adds up its finite entries. One that does not run over the cells and genes of the file is not walked through.
fn matrix(parent: &Group, name: &str, shape: [usize; 2], place: Place) -> Result<(MatrixDescription, f64)> {
    let mut description = MatrixDescription {
        name: name.to_owned(),
        kind: "unknown",
        dtype: "unknown".to_owned(),
        nonzero_share: 0.0,
        raw_counts: false,
        fractional_counts: false,
        n_not_finite: 0,
    };
    let opened = Node::open(parent, name).map(|node| Matrix::open(&node, place));
    let Some(Ok(stored)) = opened else {
        return Ok((description, 0.0));
    };
    if stored.shape() != shape {
        description.kind = "of another shape";
        return Ok((description, 0.0));
    }
    (description.kind, description.dtype) = match stored.stored() {
        Stored::Dense(dataset) => ("dense", h5::dtype_name(dataset)),
        Stored::Sparse { parts, by_column } => {
            let kind = if *by_column { "csc" } else { "csr" };
            (kind, h5::dtype_name(&parts.data))
        }
    };
    let (mut n_nonzero, mut n_not_finite, mut n_no_count, mut total) = (0_u64, 0_u64, 0_u64, 0.0_f64);
    let (mut tally, mut n_negative) = (Tally::default(), 0_u64);
    stored.for_each_block(|values| {
        tally.add(values);
        for &value in values {
            n_nonzero += u64::from(value != 0.0);
            n_not_finite += u64::from(!value.is_finite());
            n_negative += u64::from(value < 0.0);
            n_no_count += u64::from(value < 0.0 || value.fract() != 0.0);
            if value.is_finite() {
                total += f64::from(value);
            }
        }
    })?;
    let [n_rows, n_cols] = stored.shape();
    let share = n_nonzero as f64 / (n_rows as f64 * n_cols as f64).max(1.0);
    description.nonzero_share = share;
    description.n_not_finite = n_not_finite;
    description.raw_counts = n_not_finite == 0 && n_no_count == 0;
    description.fractional_counts = n_not_finite + n_negative == 0 && tally.holds() == Holds::Fractions;
    Ok((description, total))
}

fn columns(file: &File, key: &str, place: &Place) -> Result<Vec<ColumnDescription>> {
    let Some(Node::Group(group)) = Node::open(file, key) else {
        let frame = frame::read(file, key, place)?;
        return Ok(frame.columns.iter().map(|(name, column)| column_of(name, Some(column))).collect());
    };
    let index = frame::index_name(&group, place)?;
    let names = frame::column_names(&group, &index);
    let described = names.iter().filter(|name| *name != LEGACY_CATEGORIES).map(|name| {
        let node = Node::open(&group, name);
        let column = match &node {
            Some(node) => frame::read_column(&group, name, node, &place.child(name))?,
            None => None,
        };
        Ok(column_of(name, column.as_ref()))
    });
    described.collect()
}

fn column_of(name: &str, column: Option<&Column>) -> ColumnDescription {
    let (kind, n_categories) = match column {
        Some(Column::Float(_)) => ("float", None),
        Some(Column::Int(_)) => ("int", None),
        Some(Column::Bool(_)) => ("bool", None),
        Some(Column::Text(_)) => ("text", None),
        Some(Column::Categorical { categories, .. }) => ("categorical", Some(categories.len())),
        None => ("unknown", None),
    };
    ColumnDescription { name: name.to_owned(), kind, n_categories }
}
