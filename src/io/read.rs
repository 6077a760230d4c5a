//! From an `.h5ad` file to [`Counts`].

use std::path::Path;

use hdf5::{File, Group};
use ndarray::Array2;

use super::frame::{self, quoted};
use super::h5::{self, Kind, Node};
use super::matrix::Matrix;
use super::place::{At, Place};
use super::records::Records;
use super::{InputConfig, check, neighbors, record};
use crate::data::quantities::{MS, MS_MIN, MS_RAW, MS_SPAN, MU, MU_MIN, MU_RAW, MU_SPAN, NEIGHBORS, Numbers, Quantity};
use crate::data::{Column, Counts, Frame, MinMax, MomentUnits, NeighborsRecord, Source};
use crate::error::Result;
use crate::sparse::Csr;

/// Reads what velocity needs from an `.h5ad` file of anndata 0.6 to 0.12.
///
/// Counts are made sparse; columns of `obs` and `var` whose types are unknown are left out; `obsm` gives its
/// two-dimensional numeric arrays. `moments` is set if the file has both `Mu` and `Ms`, and is in counts: where an earlier fit
/// left others there, they are read from `Mu_raw` and `Ms_raw`. A file written by this program has NaN there for genes that were
/// not kept. Neighbours are the user's own: those that an earlier fit computed are not taken for them.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) naming the place and the remedy, if the file is no AnnData file, is damaged, lacks a layer, or
/// has counts that are negative, infinite or missing, repeated names, or no cells or genes;
/// [`Error::File`](crate::Error::File) if the system refuses to read.
pub fn read(path: &Path, config: &InputConfig) -> Result<Counts> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let (mut counts, ours) = read_counts(&file, config, &place)?;
    if !ours {
        counts.neighbors = neighbors::read(&file, NEIGHBORS.key(), counts.obs.index.len(), &place)?;
    }
    Ok(counts)
}

/// The same without the neighbours of the file, which may be damaged where others are computed.
///
/// # Errors
/// As [`read`].
pub fn read_without_neighbors(path: &Path, config: &InputConfig) -> Result<Counts> {
    Ok(read_counts(&h5::open(path)?, config, &Place::root(path))?.0)
}

/// All but neighbours, and whether those of the file are ours.
fn read_counts(file: &File, config: &InputConfig, place: &Place) -> Result<(Counts, bool)> {
    let (obs, var) = annotation(file, place)?;
    let shape = [obs.index.len(), var.index.len()];
    let counts = |setting: &str, name: &str| {
        let stored = counts_layer(file, setting, name, shape, place)?;
        let counts = stored.to_csr()?;
        check::counts(&counts, &obs.index, &var.index, stored.place())?;
        Ok(counts)
    };
    let spliced = counts("spliced", &config.spliced)?;
    let unspliced = counts("unspliced", &config.unspliced)?;
    let [n_obs, n_vars] = shape;
    // A record that cannot be read is another program's.
    let records = Records::read(file, place).ok();
    let (earlier, graph) = records.map_or((None, None), |records| (records.fit, records.graph));
    // Neighbours that this program computed would be computed again; of a file that was cut to some genes they could not.
    let computed = |used: &NeighborsRecord| used.source == Source::Computed && used.key == NEIGHBORS.key();
    let cut = earlier.as_ref().is_some_and(|fit| fit.only_fitted_genes);
    let ours = !cut
        && (earlier.as_ref().is_some_and(|fit| computed(&fit.neighbors))
            || graph.as_ref().is_some_and(|graph| computed(&graph.neighbors)));
    let counts = Counts {
        path: place.path().to_path_buf(),
        x: main_matrix(file, n_obs, n_vars, place)?,
        spliced,
        unspliced,
        moments: moments_of(
            file,
            earlier.as_ref().map_or_else(MomentUnits::default, |fit| fit.moments),
            &var,
            shape,
            place,
        )?,
        neighbors: None,
        obsm: embeddings(file, n_obs, &place.child("obsm"))?,
        obs,
        var,
    };
    Ok((counts, ours))
}

/// What there is to read of a file, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Number of cells.
    pub n_obs: usize,
    /// Number of genes.
    pub n_vars: usize,
    /// Entries of the sparse matrices among both layers of counts and X; how many a dense matrix will have is not known.
    pub entries: usize,
}

/// Looks how much there is to read of an `.h5ad` file.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if it is no AnnData file, or a layer of counts is not there or of another shape.
pub fn sizes(path: &Path, config: &InputConfig) -> Result<Sizes> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let [n_obs, n_vars] =
        [frame::n_rows(&file, "obs", &place.child("obs"))?, frame::n_rows(&file, "var", &place.child("var"))?];
    let mut entries = 0;
    for (setting, name) in [("spliced", &config.spliced), ("unspliced", &config.unspliced)] {
        entries += counts_layer(&file, setting, name, [n_obs, n_vars], &place)?.n_entries();
    }
    if let Some(Ok(x)) = Node::open(&file, "X").map(|node| Matrix::open(&node, place.child("X"))) {
        entries += x.n_entries();
    }
    Ok(Sizes { n_obs, n_vars, entries })
}

/// Fails where [`read`] would for the counts and the names of cells and genes, but holds no more than a part of them.
///
/// # Errors
/// As [`read`].
pub fn check_counts(path: &Path, config: &InputConfig) -> Result<()> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let (obs, var) = annotation(&file, &place)?;
    for (setting, name) in [("spliced", &config.spliced), ("unspliced", &config.unspliced)] {
        let stored = counts_layer(&file, setting, name, [obs.index.len(), var.index.len()], &place)?;
        stored.for_each_part(|part, [cells, genes]| {
            check::counts(part, &obs.index[cells], &var.index[genes], stored.place())
        })?;
    }
    Ok(())
}

/// The frames of cells and genes, which have rows with names of their own.
pub(super) fn annotation(file: &File, place: &Place) -> Result<(Frame, Frame)> {
    check::groups(file, place)?;
    let obs = frame::read(file, "obs", &place.child("obs"))?;
    let var = frame::read(file, "var", &place.child("var"))?;
    check::names(&obs, "cell", &place.child("obs"))?;
    check::names(&var, "gene", &place.child("var"))?;
    Ok((obs, var))
}

/// Opens `layers[name]`. `setting` is the key under `[input]` that gave the name, if one did.
pub(super) fn layer<'a>(file: &File, name: &str, setting: Option<&str>, place: &Place<'a>) -> Result<Matrix<'a>> {
    let layer_place = place.child("layers").child(name);
    let layers = match Node::open(file, "layers") {
        Some(Node::Group(group)) => Some(group),
        _ => None,
    };
    if let Some(node) = layers.as_ref().and_then(|group| Node::open(group, name)) {
        return Matrix::open(&node, layer_place);
    }
    let present = layers.map_or_else(Vec::new, |group| h5::members(&group));
    let hint = setting.map_or_else(String::new, |key| format!("name the layers under [input]: --set input.{key}=NAME"));
    Err(layer_place.error(format!("not found; layers present: {}", quoted(&present)), hint))
}

/// Opens the layer that the key `setting` under `[input]` names, which has `shape`.
pub(super) fn counts_layer<'a>(
    file: &File,
    setting: &str,
    name: &str,
    shape: [usize; 2],
    place: &Place<'a>,
) -> Result<Matrix<'a>> {
    let stored = layer(file, name, Some(setting), place)?;
    let [n_obs, n_vars] = shape;
    stored.require_shape(n_obs, n_vars)?;
    Ok(stored)
}

fn main_matrix(file: &File, n_obs: usize, n_vars: usize, place: &Place) -> Result<Option<Csr<f32>>> {
    let Some(node) = Node::open(file, "X") else {
        return Ok(None);
    };
    if node.encoding().as_deref() == Some("null") {
        return Ok(None);
    }
    let stored = Matrix::open(&node, place.child("X"))?;
    stored.require_shape(n_obs, n_vars)?;
    stored.to_csr().map(Some)
}

fn moments_of(
    file: &File,
    moments: MomentUnits,
    var: &Frame,
    [n_obs, n_vars]: [usize; 2],
    place: &Place,
) -> Result<Option<(Array2<f32>, Array2<f32>)>> {
    let Some(Node::Group(layers)) = Node::open(file, "layers") else {
        return Ok(None);
    };
    // Scaled moments, or moments over inferred sizes, are no means of counts: those behind them are, if the file has them.
    let [mu, ms] = if moments == MomentUnits::SizeNormalised { [MU, MS] } else { [MU_RAW, MS_RAW] }.map(Quantity::key);
    if !layers.link_exists(mu) || !layers.link_exists(ms) {
        let scaled = moments == MomentUnits::Scaled && layers.link_exists(MU.key()) && layers.link_exists(MS.key());
        return if scaled { restored(file, var, [n_obs, n_vars], place) } else { Ok(None) };
    }
    let dense = |name: &str| {
        let stored = layer(file, name, None, place)?;
        stored.require_shape(n_obs, n_vars)?;
        stored.to_dense()
    };
    Ok(Some((dense(mu)?, dense(ms)?)))
}

/// The moments behind scaled ones, from their least values and ranges.
fn restored(
    file: &File,
    var: &Frame,
    [n_obs, n_vars]: [usize; 2],
    place: &Place,
) -> Result<Option<(Array2<f32>, Array2<f32>)>> {
    let column = |quantity: Quantity<Numbers>| var.get(quantity.key()).and_then(Column::to_numbers).map(Numbers::from);
    let min_max = |min, span| Some(MinMax { min: column(min)?, span: column(span)? });
    let (Some(of_u), Some(of_s)) = (min_max(MU_MIN, MU_SPAN), min_max(MS_MIN, MS_SPAN)) else { return Ok(None) };
    let dense = |name: &str, of: &MinMax| {
        let stored = layer(file, name, None, place)?;
        stored.require_shape(n_obs, n_vars)?;
        let mut values = stored.to_dense()?;
        of.restore(&mut values);
        Ok(values)
    };
    Ok(Some((dense(MU.key(), &of_u)?, dense(MS.key(), &of_s)?)))
}

/// What of `obsm` is a table of numbers: arrays of two dimensions, sparse matrices, and the numeric columns of data frames.
pub(super) fn embeddings(file: &Group, n_obs: usize, place: &Place) -> Result<Vec<(String, Array2<f32>)>> {
    let found = match Node::open(file, "obsm") {
        Some(Node::Group(group)) => embeddings_of(&group, place)?,
        Some(Node::Dataset(dataset)) if h5::kind(&dataset) == Kind::Record => record::read_arrays(&dataset, place)?,
        _ => Vec::new(),
    };
    for (name, array) in &found {
        if array.nrows() != n_obs {
            let problem = format!("{} rows, but obs has {n_obs} cells", array.nrows());
            return Err(place.child(name).damaged(problem));
        }
    }
    Ok(found)
}

fn embeddings_of(group: &Group, place: &Place) -> Result<Vec<(String, Array2<f32>)>> {
    let mut found = Vec::new();
    for name in h5::members(group) {
        let here = place.child(&name);
        let Some(node) = Node::open(group, &name) else { continue };
        let array = match (&node, node.encoding().as_deref()) {
            (Node::Dataset(dataset), _) => {
                let numeric = matches!(h5::kind(dataset), Kind::Float | Kind::Int | Kind::Bool);
                if dataset.ndim() != 2 || !numeric {
                    continue;
                }
                Matrix::open(&node, here)?.to_dense()?
            }
            (Node::Group(_), Some("csr_matrix" | "csc_matrix")) => Matrix::open(&node, here)?.to_dense()?,
            (Node::Group(_), Some("dataframe")) => match numeric_columns(&frame::read(group, &name, &here)?) {
                Some(array) => array,
                None => continue,
            },
            (Node::Group(_), _) => continue,
        };
        found.push((name, array));
    }
    Ok(found)
}

/// The columns of numbers of a frame, side by side; `None` if there are none.
fn numeric_columns(frame: &Frame) -> Option<Array2<f32>> {
    let numbers = frame.columns.iter().filter_map(|(_, column)| match column {
        Column::Float(_) | Column::Int(_) => column.to_numbers(),
        _ => None,
    });
    let columns: Vec<Vec<f64>> = numbers.collect();
    (!columns.is_empty())
        .then(|| Array2::from_shape_fn((frame.index.len(), columns.len()), |(row, at)| columns[at][row] as f32))
}

/// What stands at `uns[name]`: words, numbers, truth values, lists, and dictionaries of them; `None` if there is none.
pub(super) fn uns(file: &File, name: &str, root: &Place) -> Result<Option<serde_json::Value>> {
    let place = root.child("uns").child(name);
    let Some(Node::Group(uns)) = Node::open(file, "uns") else {
        return Ok(None);
    };
    match Node::open(&uns, name) {
        Some(Node::Group(group)) => Ok(Some(dictionary(&group, &place)?.into())),
        Some(Node::Dataset(dataset)) => value(&dataset, &place),
        None => Ok(None),
    }
}

fn dictionary(group: &Group, place: &Place) -> Result<serde_json::Map<String, serde_json::Value>> {
    let mut found = serde_json::Map::new();
    for name in h5::members(group) {
        let value = match Node::open(group, &name) {
            Some(Node::Group(inner)) => Some(dictionary(&inner, &place.child(&name))?.into()),
            Some(Node::Dataset(dataset)) => value(&dataset, &place.child(&name))?,
            None => None,
        };
        if let Some(value) = value {
            found.insert(name, value);
        }
    }
    Ok(found)
}

fn value(dataset: &hdf5::Dataset, place: &Place) -> Result<Option<serde_json::Value>> {
    use serde_json::Value;
    let values: Vec<Value> = match h5::kind(dataset) {
        Kind::Text => h5::texts(dataset).at(place)?.into_iter().map(Value::from).collect(),
        Kind::Int => h5::values::<i64>(dataset).at(place)?.into_iter().map(Value::from).collect(),
        Kind::Float => h5::values::<f64>(dataset).at(place)?.into_iter().map(Value::from).collect(),
        Kind::Bool => {
            let flags = h5::values::<u8>(dataset).at(place)?;
            flags.into_iter().map(|flag| Value::from(flag != 0)).collect()
        }
        Kind::Record | Kind::Other => return Ok(None),
    };
    if dataset.ndim() == 0 {
        return Ok(values.into_iter().next());
    }
    Ok(Some(Value::Array(values)))
}
