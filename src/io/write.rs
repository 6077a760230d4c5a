//! Results into a copy of the input file, and new files from nothing.

use std::path::Path;

use hdf5::{File, Group};
use ndarray::ArrayView2;
use serde_json::Value;

use super::atomic::Draft;
use super::element::Sink;
use super::h5::{self, Node};
use super::place::Place;
use super::results::{Layer, Results};
use super::subset::Cut;
use super::{GenesWritten, OutputConfig, frame, keys, record};
use crate::data::{Column, Dataset, Fit};
use crate::error::{Error, Result};

/// Where `auto` turns from all genes to the fitted ones: bytes of one matrix of all genes.
const AUTO_LIMIT: usize = 256 << 20;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether the file has all genes or the fitted ones; never `Auto`.
    pub genes: GenesWritten,
    /// Number of genes in the file.
    pub n_vars: usize,
    /// Size of the file.
    pub bytes: u64,
    /// Elements that run over genes but are of a kind that cannot be cut to some of them, and were left out.
    pub left_out: Vec<String>,
}

/// Writes a copy of `input` with the results of a fit added under scVelo's keys (see [`keys`]).
///
/// Everything in `input` that is not replaced survives. The file appears whole or not at all; `output` may be
/// `input`. The same input and the same results give the same bytes.
///
/// `params` is a JSON object of words, numbers and truth values for `uns["velocity_params"]`.
///
/// # Errors
/// [`Error::Shape`] if the arrays do not fit together, [`Error::Input`] if `input` has other cells or genes than
/// `data` came from, [`Error::File`] if the system refuses to write; then what stood at `output` still stands there.
pub fn write(
    output: &Path,
    input: &Path,
    config: &OutputConfig,
    data: &Dataset,
    fit: &Fit,
    params: &Value,
) -> Result<Written> {
    let results = Results::new(data, fit, params)?;
    write_results(output, input, config, &data.genes, &results)
}

/// Like [`write()`], for any results over the genes at the positions `genes` of `input`, rising. `obsm["X_pca"]` of
/// the input is kept rather than replaced.
///
/// # Errors
/// As [`write()`].
pub fn write_results(
    output: &Path,
    input: &Path,
    config: &OutputConfig,
    genes: &[usize],
    results: &Results,
) -> Result<Written> {
    config.validate()?;
    let source = h5::open(input)?;
    let place = Place::root(input);
    let n_obs = frame::n_rows(&source, "obs", &place.child("obs"))?;
    let n_vars = frame::n_rows(&source, "var", &place.child("var"))?;
    results.check(n_obs, genes.len())?;
    let in_order = genes.is_sorted_by(|before, after| before < after);
    if !in_order || genes.last().is_some_and(|&last| last >= n_vars) {
        return Err(Error::Shape {
            what: format!("positions of genes in {}", input.display()),
            wanted: vec![n_vars],
            found: genes.last().map(|last| last + 1).into_iter().collect(),
        });
    }
    let kept = match config.genes {
        GenesWritten::Auto if n_obs * n_vars * size_of::<f32>() > AUTO_LIMIT => GenesWritten::Fitted,
        GenesWritten::Auto => GenesWritten::All,
        chosen => chosen,
    };

    let mut draft = Draft::begin(output)?;
    let final_path = draft.output().to_path_buf();
    let sink = Sink::new(&final_path, config.compression);
    let mut left_out = Vec::new();
    let target = if kept == GenesWritten::Fitted {
        let target = create(&draft, &sink)?;
        draft.reserve_like(input)?;
        let replaced: Vec<String> = results.layers.iter().map(|(key, _)| key.clone()).collect();
        let mut cut = Cut { sink, genes, n_vars, skip: &replaced, left_out: Vec::new() };
        cut.file(&source, &target, &place)?;
        left_out = cut.left_out;
        target
    } else {
        draft.copy_from(input)?;
        sink.sure(h5::options().open_rw(draft.path()), "the file")?
    };
    drop(source);
    let genes = if kept == GenesWritten::Fitted { Genes::Same } else { Genes::At { genes, n_vars } };
    Additions { sink, genes }.add(&target, &place, results)?;
    sink.close(target)?;
    Ok(Written { genes: kept, n_vars: genes.n_vars(results).unwrap_or(n_vars), bytes: draft.finish()?, left_out })
}

pub(super) fn create(draft: &Draft, sink: &Sink) -> Result<File> {
    let file = h5::options().with_fcpl(|properties| properties.obj_track_times(false)).create(draft.path());
    sink.sure(file, "the file")
}

/// How the genes of results lie in the file.
#[derive(Clone, Copy)]
pub(super) enum Genes<'a> {
    /// They are the genes of the file.
    Same,
    /// They are at these positions of all `n_vars` genes.
    At { genes: &'a [usize], n_vars: usize },
}

pub(super) struct Additions<'a> {
    pub(super) sink: Sink<'a>,
    pub(super) genes: Genes<'a>,
}

impl Additions<'_> {
    pub(super) fn add(&self, file: &File, input: &Place, results: &Results) -> Result<()> {
        for (axis, columns) in [("obs", &results.obs), ("var", &results.var)] {
            let columns: Vec<(String, Column)> = columns
                .iter()
                .map(|(key, column)| (key.clone(), if axis == "var" { self.widened(column) } else { column.clone() }))
                .collect();
            self.columns(file, axis, &columns, &input.child(axis))?;
        }
        let layers = self.sink.dict(file, "layers")?;
        for (key, layer) in &results.layers {
            self.sink.remove(&layers, key)?;
            self.layer(&layers, key, layer)?;
        }
        if !results.obsm.is_empty() {
            let obsm = self.arrays(file, &input.child("obsm"))?;
            for (key, matrix) in &results.obsm {
                if key == keys::X_PCA && obsm.link_exists(key) {
                    continue;
                }
                self.sink.remove(&obsm, key)?;
                self.sink.dense(&obsm, key, *matrix)?;
            }
        }
        if !results.obsp.is_empty() {
            let obsp = self.sink.dict(file, "obsp")?;
            for (key, graph) in &results.obsp {
                self.sink.remove(&obsp, key)?;
                self.sink.csr(&obsp, key, graph)?;
            }
        }
        let uns = self.sink.dict(file, "uns")?;
        for (key, value) in &results.uns {
            self.sink.remove(&uns, key)?;
            self.sink.uns(&uns, key, value)?;
        }
        Ok(())
    }

    /// The group `obsm`, made from a table of records if it is one.
    fn arrays(&self, file: &File, place: &Place) -> Result<Group> {
        let Some(Node::Dataset(table)) = Node::open(file, "obsm") else {
            return self.sink.dict(file, "obsm");
        };
        let arrays = record::read_arrays(&table, place)?;
        self.sink.remove(file, "obsm")?;
        let group = self.sink.dict(file, "obsm")?;
        for (key, array) in &arrays {
            self.sink.dense(&group, key, array.view())?;
        }
        Ok(group)
    }

    /// Sets columns of a frame. A table of records becomes a frame.
    fn columns(&self, file: &File, axis: &str, columns: &[(String, Column)], place: &Place) -> Result<()> {
        let group = match Node::open(file, axis) {
            Some(Node::Dataset(_)) => self.modern_frame(file, axis, place)?,
            _ => self.sink.sure(file.group(axis), axis)?,
        };
        let index = frame::index_name(&group, place)?;
        let mut order = frame::column_names(&group, &index);
        for (key, column) in columns {
            self.sink.remove(&group, key)?;
            self.sink.column(&group, key, column)?;
            if !order.contains(key) {
                order.push(key.clone());
            }
        }
        self.sink.attr_texts(&group, "column-order", &order)
    }

    fn modern_frame(&self, file: &File, axis: &str, place: &Place) -> Result<Group> {
        let frame = frame::read(file, axis, place)?;
        let table = self.sink.sure(file.dataset(axis), axis)?;
        let numbers = record::numeric_fields(&table, place)?;
        drop(table);
        self.sink.remove(file, axis)?;
        self.sink.frame(file, axis, &frame)?;
        let group = self.sink.sure(file.group(axis), axis)?;
        for (name, kind, bytes) in &numbers {
            // Numbers keep their type; labels are no numbers any more.
            if matches!(frame.get(name), Some(Column::Int(_) | Column::Float(_) | Column::Bool(_))) {
                self.sink.remove(&group, name)?;
                self.sink.array_as(&group, name, kind, frame.index.len(), bytes)?;
            }
        }
        // The labels are in the frame now; anndata would apply them a second time.
        if let Some(Node::Group(uns)) = Node::open(file, "uns") {
            for (name, column) in &frame.columns {
                if let Column::Categorical { .. } = column {
                    self.sink.remove(&uns, &record::labels_key(name))?;
                }
            }
        }
        Ok(group)
    }

    fn layer(&self, layers: &Group, key: &str, layer: &Layer) -> Result<()> {
        match (layer, self.genes) {
            (Layer::Sparse(matrix), Genes::Same) => self.sink.csr(layers, key, matrix),
            (Layer::Sparse(matrix), Genes::At { genes, n_vars }) => {
                let mut wide = (*matrix).clone();
                wide.n_cols = n_vars;
                for index in &mut wide.indices {
                    *index = u32::try_from(genes[*index as usize]).unwrap_or(u32::MAX);
                }
                self.sink.csr(layers, key, &wide)
            }
            (Layer::Restored(scaled, scaling), _) => {
                let mut values = scaled.to_owned();
                scaling.restore(&mut values);
                self.layer(layers, key, &Layer::Dense(values.view()))
            }
            (Layer::Dense(matrix), Genes::Same) => self.sink.dense(layers, key, *matrix),
            (Layer::Dense(matrix), Genes::At { genes, n_vars }) if genes.len() == n_vars => {
                self.sink.dense(layers, key, *matrix)
            }
            (Layer::Dense(matrix), Genes::At { genes, n_vars }) => self.scattered(layers, key, *matrix, genes, n_vars),
        }
    }

    /// A layer over the kept genes as one over all genes, NaN elsewhere.
    fn scattered(
        &self,
        layers: &Group,
        key: &str,
        matrix: ArrayView2<f32>,
        genes: &[usize],
        n_vars: usize,
    ) -> Result<()> {
        self.sink.rows(layers, key, [matrix.nrows(), n_vars], |rows, room| {
            room.fill(f32::NAN);
            for (row, wide) in rows.zip(room.chunks_exact_mut(n_vars)) {
                for (&gene, &value) in genes.iter().zip(matrix.row(row)) {
                    wide[gene] = value;
                }
            }
        })
    }

    /// A column over the kept genes as one over the genes of the file: NaN, false, empty or missing elsewhere.
    fn widened(&self, column: &Column) -> Column {
        let Genes::At { genes, n_vars } = self.genes else {
            return column.clone();
        };
        match column {
            Column::Float(values) => Column::Float(spread(values, genes, n_vars, f64::NAN)),
            // a missing whole number is NaN, so all are floats
            Column::Int(values) => {
                let values: Vec<f64> = values.iter().map(|&value| value as f64).collect();
                Column::Float(spread(&values, genes, n_vars, f64::NAN))
            }
            Column::Bool(values) => Column::Bool(spread(values, genes, n_vars, false)),
            Column::Text(words) => Column::Text(spread(words, genes, n_vars, String::new())),
            Column::Categorical { codes, categories, ordered } => Column::Categorical {
                codes: spread(codes, genes, n_vars, None),
                categories: categories.clone(),
                ordered: *ordered,
            },
        }
    }
}

impl Genes<'_> {
    fn n_vars(&self, results: &Results) -> Option<usize> {
        match self {
            Self::Same => results.var.first().map(|(_, column)| column.len()),
            Self::At { n_vars, .. } => Some(*n_vars),
        }
    }
}

/// Values at the positions `genes` of `n_vars`, `blank` elsewhere.
fn spread<T: Clone>(values: &[T], genes: &[usize], n_vars: usize, blank: T) -> Vec<T> {
    let mut wide = vec![blank; n_vars];
    for (&gene, value) in genes.iter().zip(values) {
        wide[gene] = value.clone();
    }
    wide
}
