//! A copy of a file that is cut to some of its genes.

use hdf5::types::{TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, File, Group, H5Type, Location, ObjectReference1};

use super::element::Sink;
use super::frame::{self, LEGACY_CATEGORIES};
use super::h5::{self, Node};
use super::matrix::{Matrix, Parts, Stored, blocks, row_blocks};
use super::place::{At, Place};
use super::raw;
use crate::error::Result;

/// Entries of a sparse matrix handled at once.
const BLOCK: usize = 1 << 20;

/// Which axes of an element run over genes.
#[derive(Clone, Copy)]
enum Axes {
    Rows,
    Columns,
    Both,
}

/// One file being copied into another.
pub(super) struct Cut<'a> {
    /// Writes the copy.
    pub(super) sink: Sink<'a>,
    /// Positions of the genes that stay, rising.
    pub(super) genes: &'a [usize],
    /// Number of genes in the source.
    pub(super) n_vars: usize,
    /// Layers that will be replaced anyway.
    pub(super) skip: &'a [String],
    /// Elements that could not be cut and were left out, for the reader to know.
    pub(super) left_out: Vec<String>,
}

impl Cut<'_> {
    /// Copies all of `from` into the empty file `to`: what runs over genes is cut, the rest is as it was.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if reading or writing fails.
    pub(super) fn file(&mut self, from: &File, to: &File, place: &Place) -> Result<()> {
        self.attributes(from, to, place)?;
        for name in h5::members(from) {
            let Some(node) = Node::open(from, &name) else {
                continue;
            };
            let here = place.child(&name);
            match (name.as_str(), &node) {
                ("X", _) => self.cut(&node, to, &name, Axes::Columns, &here)?,
                ("layers", Node::Group(group)) => self.members(group, to, &name, Axes::Columns, &here)?,
                ("varm", Node::Group(group)) => self.members(group, to, &name, Axes::Rows, &here)?,
                ("varp", Node::Group(group)) => self.members(group, to, &name, Axes::Both, &here)?,
                ("var", Node::Group(group)) => self.frame(group, to, &name, &here)?,
                // Tables of records.
                ("var" | "varm", Node::Dataset(dataset)) => self.dataset(dataset, to, &name, Axes::Rows, &here)?,
                _ => {
                    self.sink.sure(node.location().copy_to(to, &name), &name)?;
                    self.mend_references(&node, to, &name)?;
                }
            }
        }
        Ok(())
    }

    fn members(&mut self, group: &Group, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            let replaced = matches!(axes, Axes::Columns) && self.skip.contains(&member);
            if let Some(node) = Node::open(group, &member).filter(|_| !replaced) {
                self.cut(&node, &copy, &member, axes, &place.child(&member))?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, node: &Node, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        match node {
            Node::Dataset(dataset) => self.dataset(dataset, to, name, axes, place),
            Node::Group(group) => match (node.encoding().as_deref(), axes) {
                (Some("dataframe"), Axes::Rows) => self.frame(group, to, name, place),
                (Some("dataframe"), _) => self.leave_out(place),
                _ => match Matrix::open(node, place.clone()) {
                    Ok(matrix) => self.sparse(group, &matrix, to, name, axes),
                    Err(_) => self.leave_out(place),
                },
            },
        }
    }

    #[allow(clippy::unnecessary_wraps)] // stands where the other ways of cutting stand
    fn leave_out(&mut self, place: &Place) -> Result<()> {
        self.left_out.push(place.name().to_owned());
        Ok(())
    }

    fn frame(&mut self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<()> {
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            let here = place.child(&member);
            match Node::open(group, &member) {
                // The labels of legacy categorical columns; they do not run over genes.
                Some(Node::Group(labels)) if member == LEGACY_CATEGORIES => {
                    self.sink.sure(labels.copy_to(&copy, &member), &member)?;
                }
                Some(Node::Dataset(column)) => {
                    self.dataset(&column, &copy, &member, Axes::Rows, &here)?;
                }
                Some(Node::Group(column)) => self.column_group(&column, &copy, &member, &here)?,
                None => {}
            }
        }
        self.mend_frame(&copy, group)
    }

    /// A column of several parts, of which `categories` alone does not run over genes.
    fn column_group(&mut self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<()> {
        let known = ["categorical", "nullable-integer", "nullable-boolean", "nullable-string-array"];
        let encoding = h5::attr_text(group, "encoding-type").unwrap_or_default();
        if !known.contains(&encoding.as_str()) {
            return self.leave_out(place);
        }
        let copy = self.empty_group(group, to, name, place)?;
        for member in h5::members(group) {
            match Node::open(group, &member) {
                Some(node) if member == "categories" => {
                    self.sink.sure(node.location().copy_to(&copy, &member), &member)?;
                }
                Some(Node::Dataset(part)) => {
                    self.dataset(&part, &copy, &member, Axes::Rows, &place.child(&member))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn empty_group(&self, group: &Group, to: &Group, name: &str, place: &Place) -> Result<Group> {
        let copy = to.create_group_builder().obj_track_times(false).create(name);
        let copy = self.sink.sure(copy, name)?;
        self.attributes(group, &copy, place)?;
        Ok(copy)
    }

    fn dataset(&mut self, dataset: &Dataset, to: &Group, name: &str, axes: Axes, place: &Place) -> Result<()> {
        let shape = dataset.shape();
        let n_vars = |axis: usize| shape.get(axis) == Some(&self.n_vars);
        let fits = match axes {
            Axes::Rows => n_vars(0),
            Axes::Columns => shape.len() == 2 && n_vars(1),
            Axes::Both => shape.len() == 2 && n_vars(0) && n_vars(1),
        };
        let descriptor = dataset.dtype().and_then(|stored| stored.to_descriptor());
        let Some(descriptor) = descriptor.ok().filter(|_| fits) else {
            return self.leave_out(place);
        };
        match (&descriptor, axes) {
            (TypeDescriptor::VarLenUnicode, Axes::Rows) => self.words::<VarLenUnicode>(dataset, to, name, place)?,
            (TypeDescriptor::VarLenAscii, Axes::Rows) => self.words::<VarLenAscii>(dataset, to, name, place)?,
            (kind, _) if raw::holds_addresses(kind) => return self.leave_out(place),
            (TypeDescriptor::Float(hdf5::types::FloatSize::U4), Axes::Columns) => {
                self.columns(dataset, to, name, place)?;
            }
            _ => self.plain(dataset, &descriptor, to, name, axes, place)?,
        }
        let copy = self.sink.sure(to.dataset(name), name)?;
        self.attributes(dataset, &copy, place)
    }

    fn words<T: H5Type + Clone>(&self, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<()> {
        let words = h5::values::<T>(dataset).at(place)?;
        let per_row = words.len() / self.n_vars.max(1);
        let kept = self.genes.iter().flat_map(|&gene| &words[gene * per_row..(gene + 1) * per_row]);
        let kept: Vec<T> = kept.cloned().collect();
        let mut shape = dataset.shape();
        shape[0] = self.genes.len();
        let copy = self.sink.dataset::<T>(to, name, &shape, &shape)?;
        if kept.is_empty() {
            return Ok(());
        }
        self.sink.sure(copy.write_raw(&kept), name)
    }

    /// A matrix of cells and genes, some rows at a time.
    fn columns(&self, dataset: &Dataset, to: &Group, name: &str, place: &Place) -> Result<()> {
        let [n_rows, n_cols] = [dataset.shape()[0], self.n_vars];
        let mut failure = None;
        let mut source = row_blocks(dataset, n_rows, n_cols);
        let mut held: (usize, Vec<f32>) = (0, Vec::new());
        self.sink.rows(to, name, [n_rows, self.genes.len()], |rows, room| {
            let width = self.genes.len();
            for (row, kept) in rows.zip(room.chunks_exact_mut(width)) {
                while (row - held.0 + 1) * n_cols > held.1.len() && failure.is_none() {
                    let Some(next) = source.next() else { return };
                    held.0 = next.start;
                    match dataset.read_slice_2d::<f32, _>((next, ..)).at(place) {
                        Ok(block) => held.1 = block.into_raw_vec_and_offset().0,
                        Err(error) => failure = Some(error),
                    }
                }
                if failure.is_some() {
                    return;
                }
                let whole = &held.1[(row - held.0) * n_cols..];
                for (slot, &gene) in kept.iter_mut().zip(self.genes) {
                    *slot = whole[gene];
                }
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Values of a fixed size, whatever they are.
    fn plain(
        &self,
        dataset: &Dataset,
        kind: &TypeDescriptor,
        to: &Group,
        name: &str,
        axes: Axes,
        place: &Place,
    ) -> Result<()> {
        let bytes = raw::read_bytes(dataset, kind).at(place)?;
        let mut shape = dataset.shape();
        let size = kind.size();
        let inner: usize = shape[1..].iter().product();
        let kept = match axes {
            Axes::Rows => pick(&bytes, self.genes, inner * size),
            Axes::Columns => pick_within(&bytes, self.genes, self.n_vars * size, size),
            Axes::Both => {
                let rows = pick(&bytes, self.genes, inner * size);
                pick_within(&rows, self.genes, self.n_vars * size, size)
            }
        };
        if matches!(axes, Axes::Rows | Axes::Both) {
            shape[0] = self.genes.len();
        }
        if matches!(axes, Axes::Columns | Axes::Both) {
            shape[1] = self.genes.len();
        }
        let copy = to.new_dataset_builder().empty_as(kind.clone()).shape(shape).create(name);
        let copy = self.sink.sure(copy, name)?;
        self.sink.sure(raw::write_bytes(&copy, kind, &kept), name)
    }

    /// A sparse matrix, some entries at a time.
    fn sparse(&mut self, group: &Group, matrix: &Matrix, to: &Group, name: &str, axes: Axes) -> Result<()> {
        let Stored::Sparse { parts, by_column } = matrix.stored() else {
            return self.leave_out(matrix.place());
        };
        let [n_rows, n_cols] = matrix.shape();
        let [cut_rows, cut_cols] = match axes {
            Axes::Rows => [true, false],
            Axes::Columns => [false, true],
            Axes::Both => [true, true],
        };
        if (cut_rows && n_rows != self.n_vars) || (cut_cols && n_cols != self.n_vars) {
            return self.leave_out(matrix.place());
        }
        let kept = |cut: bool, n: usize| if cut { self.genes.len() } else { n };
        let shape = [kept(cut_rows, n_rows), kept(cut_cols, n_cols)];
        let encoding = if *by_column { "csc_matrix" } else { "csr_matrix" };
        let copy = self.sink.sparse_group(to, name, encoding, shape)?;
        let major_first = |pair: [bool; 2]| if *by_column { [pair[1], pair[0]] } else { pair };
        let [cut_major, cut_minor] = major_first([cut_rows, cut_cols]);
        let [n_major, n_minor] = if *by_column { [n_cols, n_rows] } else { [n_rows, n_cols] };
        let offsets = matrix.read_indptr(parts, n_major)?;
        let filter = Filter {
            major: cut_major.then(|| self.positions(n_major)),
            minor: cut_minor.then(|| self.positions(n_minor)),
            n_minor,
        };
        let value_kind = parts.data.dtype().and_then(|stored| stored.to_descriptor());
        match value_kind {
            Ok(TypeDescriptor::Float(hdf5::types::FloatSize::U8)) => {
                self.entries::<f64>(matrix, parts, &offsets, &filter, &copy)?;
            }
            Ok(TypeDescriptor::Integer(_)) => self.entries::<i64>(matrix, parts, &offsets, &filter, &copy)?,
            Ok(TypeDescriptor::Unsigned(_)) => self.entries::<u64>(matrix, parts, &offsets, &filter, &copy)?,
            Ok(TypeDescriptor::Boolean) => self.entries::<u8>(matrix, parts, &offsets, &filter, &copy)?,
            _ => self.entries::<f32>(matrix, parts, &offsets, &filter, &copy)?,
        }
        // Whatever else was noted at the matrix.
        self.attributes_except(group, &copy, &["shape", "h5sparse_shape"], matrix.place())
    }

    /// For each position before the cut, the one after it.
    fn positions(&self, n: usize) -> Vec<Option<u32>> {
        let mut positions = vec![None; n];
        for (&gene, position) in self.genes.iter().zip(0_u32..) {
            positions[gene] = Some(position);
        }
        positions
    }

    fn entries<T: H5Type + Copy>(
        &self,
        matrix: &Matrix,
        parts: &Parts,
        offsets: &[usize],
        filter: &Filter,
        to: &Group,
    ) -> Result<()> {
        let n_entries = offsets.last().copied().unwrap_or_default();
        let mut written = Growing::<T>::begin(&self.sink, to)?;
        let mut new_offsets = vec![0];
        let mut row = 0;
        let mut n_kept = 0;
        let mut close_rows = |upto: usize, n_kept: usize, row: &mut usize| {
            while *row + 1 < offsets.len() && offsets[*row + 1] <= upto {
                if filter.keeps(*row) {
                    new_offsets.push(n_kept);
                }
                *row += 1;
            }
        };
        close_rows(0, 0, &mut row);
        for range in blocks(n_entries, BLOCK) {
            let start = range.start;
            let indices = matrix.read_indices(parts, range.clone(), filter.n_minor)?;
            let values = matrix.read_slice::<T>(&parts.data, range)?;
            let mut kept = (Vec::new(), Vec::new());
            for (i, (&index, &value)) in indices.iter().zip(&values).enumerate() {
                if filter.keeps(row) {
                    if let Some(position) = filter.position(index) {
                        kept.0.push(position);
                        kept.1.push(value);
                        n_kept += 1;
                    }
                }
                close_rows(start + i + 1, n_kept, &mut row);
            }
            written.extend(&self.sink, &kept.0, &kept.1)?;
        }
        self.sink.indptr(to, &new_offsets)
    }

    fn attributes(&self, from: &Location, to: &Location, place: &Place) -> Result<()> {
        self.attributes_except(from, to, &[], place)
    }

    /// Copies attributes that are words or numbers; references are mended elsewhere.
    fn attributes_except(&self, from: &Location, to: &Location, skip: &[&str], place: &Place) -> Result<()> {
        for name in from.attr_names().at(place)? {
            if skip.contains(&name.as_str()) || to.attr(&name).is_ok() {
                continue;
            }
            let source = from.attr(&name).at(place)?;
            let Ok(kind) = source.dtype().and_then(|stored| stored.to_descriptor()) else {
                continue;
            };
            if let TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode = kind {
                let words = h5::texts(&source).at(place)?;
                match (source.ndim(), words.first()) {
                    (0, Some(word)) => self.sink.attr_text(to, &name, word)?,
                    (0, None) => {}
                    _ => self.sink.attr_texts(to, &name, &words)?,
                }
            } else if !raw::holds_addresses(&kind) {
                let bytes = raw::read_bytes(&source, &kind).at(place)?;
                let copy = to.new_attr_builder().empty_as(kind.clone()).shape(source.shape()).create(name.as_str());
                let copy = self.sink.sure(copy, &name)?;
                self.sink.sure(raw::write_bytes(&copy, &kind, &bytes), &name)?;
            }
        }
        Ok(())
    }

    /// HDF5 blanks object references when it copies between files: points legacy columns at their labels again.
    fn mend_references(&self, from: &Node, to: &Group, name: &str) -> Result<()> {
        match (from, to.group(name)) {
            (Node::Group(source), Ok(copy)) if source.link_exists(LEGACY_CATEGORIES) => self.mend_frame(&copy, source),
            _ => Ok(()),
        }
    }

    fn mend_frame(&self, copy: &Group, source: &Group) -> Result<()> {
        if !source.link_exists(LEGACY_CATEGORIES) {
            return Ok(());
        }
        for name in h5::members(source) {
            let Some(Node::Dataset(column)) = Node::open(source, &name) else {
                continue;
            };
            let Some(labels) = frame::legacy_categories(source, &name, &column) else {
                continue;
            };
            let labels_name = labels.name();
            let own_name = labels_name.rsplit('/').next().unwrap_or(&name);
            let place = format!("{LEGACY_CATEGORIES}/{own_name}");
            let outcome = copy.dataset(&name).and_then(|column| {
                if column.attr("categories").is_ok() {
                    column.delete_attr("categories")?;
                }
                let reference: ObjectReference1 = copy.reference(&place)?;
                column.new_attr::<ObjectReference1>().create("categories")?.write_scalar(&reference)
            });
            self.sink.sure(outcome, &name)?;
        }
        Ok(())
    }
}

/// Which entries of a compressed matrix stay.
struct Filter {
    major: Option<Vec<Option<u32>>>,
    minor: Option<Vec<Option<u32>>>,
    n_minor: usize,
}

impl Filter {
    fn keeps(&self, row: usize) -> bool {
        self.major.as_ref().is_none_or(|positions| positions.get(row).copied().flatten().is_some())
    }

    fn position(&self, index: u32) -> Option<u32> {
        match &self.minor {
            Some(positions) => positions[index as usize],
            None => Some(index),
        }
    }
}

/// The arrays `indices` and `data` of a sparse matrix whose length is not known yet.
struct Growing<T> {
    indices: Dataset,
    data: Dataset,
    length: usize,
    values: std::marker::PhantomData<T>,
}

impl<T: H5Type> Growing<T> {
    fn begin(sink: &Sink, to: &Group) -> Result<Self> {
        Ok(Self {
            indices: sink.growing::<i32>(to, "indices")?,
            data: sink.growing::<T>(to, "data")?,
            length: 0,
            values: std::marker::PhantomData,
        })
    }

    fn extend(&mut self, sink: &Sink, indices: &[u32], values: &[T]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let range = self.length..self.length + values.len();
        sink.sure(self.indices.resize(range.end), "indices")?;
        sink.sure(self.data.resize(range.end), "data")?;
        sink.sure(self.indices.write_slice(indices, range.clone()), "indices")?;
        sink.sure(self.data.write_slice(values, range.clone()), "data")?;
        self.length = range.end;
        Ok(())
    }
}

fn pick(bytes: &[u8], rows: &[usize], row: usize) -> Vec<u8> {
    rows.iter().flat_map(|&at| &bytes[at * row..(at + 1) * row]).copied().collect()
}

fn pick_within(bytes: &[u8], columns: &[usize], row: usize, size: usize) -> Vec<u8> {
    bytes
        .chunks_exact(row.max(1))
        .flat_map(|row| columns.iter().flat_map(move |&at| &row[at * size..(at + 1) * size]))
        .copied()
        .collect()
}
