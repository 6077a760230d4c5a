//! Results into a copy of the input file: what an earlier fit left goes, what a new one has found comes.

use std::path::Path;

use hdf5::{File, Group};
use ndarray::{ArrayView1, ArrayView2};

use super::atomic::AtomicFile;
use super::element::Sink;
use super::h5::{self, Node};
use super::pieces::{Content, Piece, pieces};
use super::place::Place;
use super::stamp::Stamp;
use super::subset::{Axis, Cut};
use super::{GenesWritten, OutputConfig, frame, raw, record};
use crate::data::quantities::{About, Slot, Values};
use crate::data::{Column, Layers};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Where `auto` turns from all genes to the fitted ones: bytes of one matrix of all genes.
const AUTO_LIMIT: usize = 256 << 20;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Whether the file was cut to the fitted genes.
    pub only_fitted_genes: bool,
    /// Number of genes in the file.
    pub n_vars: usize,
    /// Size of the file.
    pub bytes: u64,
    /// Elements that run over genes but are of a kind that cannot be cut to some of them, and were left out.
    pub uncut: Vec<String>,
    /// What earlier results were removed and not replaced, as `layers/fit_t`.
    pub removed: Vec<String>,
    /// What of the results was not written because the settings did not ask for it (`output.layers`).
    pub left_out: Vec<String>,
}

/// A change to a file: what goes and what comes.
pub(super) struct Change<'a> {
    /// Elements of the file that go, whether replaced or not.
    pub(super) stale: &'a [(Slot, String)],
    /// Results over all cells and the genes at the positions `genes`, rising.
    pub(super) values: &'a Values,
    /// Layers over the same cells and genes that are made as they are written.
    pub(super) layers: Option<&'a Layers>,
    /// See `values`.
    pub(super) genes: &'a [usize],
}

/// Whether the file gets all its genes or the fitted ones.
pub(super) fn only_fitted(config: &OutputConfig, n_obs: usize, n_vars: usize) -> bool {
    match config.genes {
        GenesWritten::Auto => n_obs * n_vars * size_of::<f32>() > AUTO_LIMIT,
        chosen => chosen == GenesWritten::Fitted,
    }
}

/// Writes a copy of the file that was `read` with `change` made; if `cut`, of the genes of the change alone.
///
/// Everything in it that does not go survives. The file appears whole or not at all; `output` may be the same one. The same
/// input and the same change give the same bytes.
///
/// # Errors
/// [`Error::Shape`] if the arrays do not fit together, [`Error::File`] if the system refuses to write; then what stood at `output`
/// still stands there.
pub(super) fn write(output: &Path, read: &Stamp, config: &OutputConfig, cut: bool, change: &Change) -> Result<Written> {
    config.validate()?;
    read.require_same()?;
    let input = read.path();
    let source = h5::open(input)?;
    let place = Place::root(input);
    let n_obs = frame::n_rows(&source, "obs", &place.child("obs"))?;
    let n_vars = frame::n_rows(&source, "var", &place.child("var"))?;
    let genes = change.genes;
    let in_order = genes.is_sorted_by(|before, after| before < after);
    if !in_order || genes.last().is_some_and(|&last| last >= n_vars) {
        return Err(Error::Shape {
            what: format!("positions of genes in {}", input.display()),
            wanted: vec![n_vars],
            found: genes.last().map(|last| last + 1).into_iter().collect(),
        });
    }
    let pieces = pieces(change.values);
    check(&pieces, n_obs, genes.len())?;

    let mut draft = AtomicFile::begin(output)?;
    let final_path = draft.output().to_path_buf();
    let sink = Sink::new(&final_path, config.compression);
    let mut uncut = Vec::new();
    // A file does not shrink when elements are removed from it: they are not copied in the first place.
    let heavy = |(slot, _): &(Slot, String)| matches!(slot, Slot::Layers | Slot::Obsp | Slot::Uns);
    let mut replaced: Vec<(Slot, String)> = pieces.iter().map(|piece| (piece.slot, piece.key.clone())).collect();
    replaced
        .extend(change.layers.iter().flat_map(|layers| layers.which()).map(|about| (about.slot, about.key.to_owned())));
    let skip: Vec<(Slot, String)> = change.stale.iter().chain(&replaced).cloned().collect();
    let target = if cut || change.stale.iter().any(heavy) {
        let target = create(&draft, &sink)?;
        draft.reserve_like(input)?;
        let mut copy =
            Cut { sink, axis: cut.then_some(Axis::Genes), kept: genes, n: n_vars, skip: &skip, left_out: Vec::new() };
        copy.file(&source, &target, &place)?;
        uncut = copy.left_out;
        target
    } else {
        copied(&mut draft, &sink, input)?
    };
    drop(source);
    let lie = if cut { Genes::Same } else { Genes::At { genes, n_vars } };
    let additions = Additions { sink, genes: lie };
    additions.remove(&target, &place, change.stale)?;
    additions.add(&target, &place, &pieces)?;
    if let Some(layers) = change.layers {
        additions.make(&target, layers, n_obs, genes.len())?;
    }
    let bytes = finish(draft, &sink, target, Some(read))?;
    let gone = change.stale.iter().filter(|element| !replaced.contains(element));
    Ok(Written {
        only_fitted_genes: cut,
        n_vars: if cut { genes.len() } else { n_vars },
        bytes,
        uncut,
        removed: gone.map(|(slot, key)| crate::data::quantities::path(*slot, key)).collect(),
        left_out: Vec::new(),
    })
}

/// Fails unless every element runs over `n_obs` cells and `n_vars` genes.
pub(super) fn check(pieces: &[Piece], n_obs: usize, n_vars: usize) -> Result<()> {
    for piece in pieces {
        let found = piece.content.shape();
        let wanted = match (piece.slot, found.get(1)) {
            (Slot::Obs, _) => vec![n_obs],
            (Slot::Var, _) => vec![n_vars],
            (Slot::Layers, _) => vec![n_obs, n_vars],
            (Slot::Obsm, Some(&columns)) => vec![n_obs, columns],
            (Slot::Varm, Some(&columns)) => vec![n_vars, columns],
            (Slot::Obsp, _) => vec![n_obs, n_obs],
            (Slot::Obsm | Slot::Varm | Slot::Uns, _) => found.clone(),
        };
        if wanted != found {
            return Err(Error::Shape { what: format!("{}[{:?}]", piece.slot.name(), piece.key), wanted, found });
        }
    }
    Ok(())
}

/// A file without anything in it, to be written into.
pub(super) fn create(draft: &AtomicFile, sink: &Sink) -> Result<File> {
    raw::listen_for_failed_writes();
    let file = h5::options().with_fcpl(|properties| properties.obj_track_times(false)).create(draft.path());
    sink.sure(file, "the file")
}

/// A copy of `input` to be written into.
pub(super) fn copied(draft: &mut AtomicFile, sink: &Sink, input: &Path) -> Result<File> {
    draft.copy_from(input)?;
    raw::listen_for_failed_writes();
    sink.sure(h5::options().open_rw(draft.path()), "the file")
}

/// Closes the file that was written, looks whether it can be read, puts it in its place if what it was made from is still as it was
/// `read`, and returns its size in bytes.
pub(super) fn finish(draft: AtomicFile, sink: &Sink, target: File, read: Option<&Stamp>) -> Result<u64> {
    sink.close(target)?;
    if let Err(error) = h5::screened(draft.path(), 0) {
        return Err(Error::file(draft.output(), "write the file", format!("what was written cannot be read: {error}")));
    }
    draft.finish(read)
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
    /// Removes elements, where they are.
    fn remove(&self, file: &File, input: &Place, stale: &[(Slot, String)]) -> Result<()> {
        for slot in Slot::ALL {
            let keys: Vec<&String> = stale.iter().filter(|(at, _)| *at == slot).map(|(_, key)| key).collect();
            if keys.is_empty() || !file.link_exists(slot.name()) {
                continue;
            }
            match slot {
                Slot::Obs | Slot::Var => {
                    let (group, mut order) = self.open_frame(file, slot.name(), &input.child(slot.name()))?;
                    for key in &keys {
                        self.sink.remove(&group, key)?;
                    }
                    order.retain(|name| !keys.contains(&name));
                    self.order(file, slot.name(), &group, &order, input)?;
                }
                Slot::Obsm => {
                    let group = self.arrays(file, &input.child("obsm"))?;
                    keys.iter().try_for_each(|key| self.sink.remove(&group, key))?;
                }
                // A table of several numbers per gene stays as it is.
                Slot::Varm if file.group(slot.name()).is_err() => {}
                Slot::Layers | Slot::Varm | Slot::Obsp | Slot::Uns => {
                    let group = self.sink.dict(file, slot.name())?;
                    keys.iter().try_for_each(|key| self.sink.remove(&group, key))?;
                }
            }
        }
        Ok(())
    }

    /// Adds elements, or replaces them.
    pub(super) fn add(&self, file: &File, input: &Place, pieces: &[Piece]) -> Result<()> {
        for slot in [Slot::Obs, Slot::Var, Slot::Layers, Slot::Obsm, Slot::Obsp, Slot::Uns] {
            let pieces: Vec<&Piece> = pieces.iter().filter(|piece| piece.slot == slot).collect();
            if pieces.is_empty() {
                continue;
            }
            if let Slot::Obs | Slot::Var = slot {
                self.columns(file, slot, &pieces, &input.child(slot.name()))?;
                continue;
            }
            let group = match slot {
                Slot::Obsm => self.arrays(file, &input.child("obsm"))?,
                _ => self.sink.dict(file, slot.name())?,
            };
            for Piece { key, content, .. } in pieces {
                self.sink.remove(&group, key)?;
                match content {
                    Content::Dense(matrix) if slot == Slot::Layers => self.layer(&group, key, *matrix)?,
                    Content::Sparse(matrix) if slot == Slot::Layers => self.sparse_layer(&group, key, matrix)?,
                    Content::Dense(matrix) => self.sink.dense(&group, key, *matrix)?,
                    Content::Sparse(matrix) => self.sink.csr(&group, key, matrix)?,
                    Content::Counts(matrix) => self.sink.counts(&group, key, matrix)?,
                    Content::Uns(value) => self.sink.uns(&group, key, value)?,
                    Content::Column(column) => self.sink.column(&group, key, column)?,
                }
            }
        }
        Ok(())
    }

    /// Adds layers, a block of cells at a time.
    fn make(&self, file: &File, layers: &Layers, n_obs: usize, n_vars: usize) -> Result<()> {
        let group = self.sink.dict(file, Slot::Layers.name())?;
        let width = if let Genes::At { n_vars, .. } = self.genes { n_vars } else { n_vars };
        let begin = |about: &'static About| {
            self.sink.remove(&group, about.key)?;
            Ok((about.key, self.sink.rows_in_order(&group, about.key, [n_obs, width])?))
        };
        let mut begun = layers.which().map(begin).collect::<Result<Vec<_>>>()?;
        for first in (0..n_obs).step_by(Layers::BLOCK) {
            let block = layers.rows(first..(first + Layers::BLOCK).min(n_obs), n_vars)?;
            for ((key, rows), layer) in begun.iter_mut().zip(block) {
                let wide: Vec<f32> = match self.genes {
                    Genes::Same => layer.into_iter().collect(),
                    Genes::At { genes, n_vars } => {
                        let row = |row: ArrayView1<f32>| spread(&row.to_vec(), genes, n_vars, f32::NAN);
                        layer.rows().into_iter().flat_map(row).collect()
                    }
                };
                self.sink.sure(rows.extend(&wide), key)?;
            }
        }
        begun.into_iter().try_for_each(|(key, rows)| self.sink.sure(rows.finish(), key))
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

    /// The group of a frame and the order of its columns. A table of records becomes a frame.
    fn open_frame(&self, file: &File, axis: &str, place: &Place) -> Result<(Group, Vec<String>)> {
        let group = match Node::open(file, axis) {
            Some(Node::Dataset(_)) => self.modern_frame(file, axis, place)?,
            _ => self.sink.sure(file.group(axis), axis)?,
        };
        let index = frame::index_name(&group, place)?;
        let order = frame::column_names(&group, &index);
        Ok((group, order))
    }

    /// Sets columns of a frame.
    fn columns(&self, file: &File, slot: Slot, columns: &[&Piece], place: &Place) -> Result<()> {
        let (group, mut order) = self.open_frame(file, slot.name(), place)?;
        for Piece { key, content, .. } in columns {
            let Content::Column(column) = content else { continue };
            self.sink.remove(&group, key)?;
            if slot == Slot::Var {
                self.sink.column(&group, key, &self.widened(column))?;
            } else {
                self.sink.column(&group, key, column)?;
            }
            if !order.contains(key) {
                order.push(key.clone());
            }
        }
        self.order(file, slot.name(), &group, &order, place)
    }

    /// Sets the order of columns. Groups of older files have no room for the names of thousands: such a group is made anew.
    fn order(&self, file: &File, axis: &str, group: &Group, order: &[String], place: &Place) -> Result<()> {
        /// Bytes of an attribute that fit into the header of a group, and of one name in it.
        const ROOM: usize = 60_000;
        const NAME: usize = 16;
        if order.len() * NAME < ROOM {
            return self.sink.attr_texts(group, "column-order", order);
        }
        let aside = format!("{axis} under construction");
        let renewed =
            self.sink.sure(file.create_group_builder().obj_track_times(false).create(aside.as_str()), axis)?;
        let copy = Cut { sink: self.sink, axis: None, kept: &[], n: 0, skip: &[], left_out: Vec::new() };
        copy.attributes_except(group, &renewed, &["column-order"], place)?;
        for member in h5::members(group) {
            self.sink.sure(group.relink(&member, &format!("/{aside}/{member}")), &member)?;
        }
        self.sink.remove(file, axis)?;
        self.sink.sure(file.relink(&aside, axis), axis)?;
        self.sink.attr_texts(&renewed, "column-order", order)
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

    /// A layer; in a file with all genes, those that were not fitted get NaN.
    fn layer(&self, layers: &Group, key: &str, matrix: ArrayView2<f32>) -> Result<()> {
        match self.genes {
            Genes::At { genes, n_vars } if genes.len() < n_vars => self.scattered(layers, key, matrix, genes, n_vars),
            _ => self.sink.dense(layers, key, matrix),
        }
    }

    /// A sparse layer; in a file with all genes, those that were not fitted have no entries.
    fn sparse_layer(&self, layers: &Group, key: &str, matrix: &Csr<f32>) -> Result<()> {
        let Genes::At { genes, n_vars } = self.genes else {
            return self.sink.csr(layers, key, matrix);
        };
        let mut wide = matrix.clone();
        wide.n_cols = n_vars;
        for index in &mut wide.indices {
            *index = u32::try_from(genes[*index as usize]).unwrap_or(u32::MAX);
        }
        self.sink.csr(layers, key, &wide)
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

/// Values at the positions `genes` of `n_vars`, `blank` elsewhere.
fn spread<T: Clone>(values: &[T], genes: &[usize], n_vars: usize, blank: T) -> Vec<T> {
    let mut wide = vec![blank; n_vars];
    for (&gene, value) in genes.iter().zip(values) {
        wide[gene] = value.clone();
    }
    wide
}
