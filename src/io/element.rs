//! Single elements as anndata 0.8 and later write them: arrays, sparse matrices, columns, frames, dictionaries.

use std::ops::Range;
use std::path::Path;

use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Dataset, File, Group, H5Type, Location};
use ndarray::ArrayView2;

use super::chunks::{Number, Rows, Target};
use super::place::reason;
use super::raw;
use crate::data::{Column, Frame};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Words that are compressed together.
const WORDS: usize = 1 << 17;
/// Bytes of an array or matrix that are compressed together. Few, so that all cores have work even at a small matrix, and
/// some rows are read without many others; HDF5's default chunk cache holds four.
const CHUNK_BYTES: usize = 1 << 18;

/// Writes elements into an open file; knows how strongly to compress and whom to blame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sink<'a> {
    output: &'a Path,
    gzip: u8,
}

impl<'a> Sink<'a> {
    /// A sink for the file that will stand at `output`; `gzip` is 0 (none) to 9.
    pub(super) fn new(output: &'a Path, gzip: u8) -> Self {
        Self { output, gzip }
    }

    /// Turns a failure of HDF5 into ours.
    pub(super) fn sure<T>(&self, outcome: hdf5::Result<T>, what: &str) -> Result<T> {
        outcome.map_err(|error| Error::file(self.output, format!("write {what}"), reason(&error)))
    }

    /// A group with anndata's marks.
    pub(super) fn group(&self, parent: &Group, name: &str, encoding: &str, version: &str) -> Result<Group> {
        self.refuse_slash(name)?;
        // Without times, or two runs would differ.
        let group = parent.create_group_builder().obj_track_times(false).create(name);
        let group = self.sure(group, name)?;
        self.mark(&group, encoding, version)?;
        Ok(group)
    }

    /// The group `name`, made as a dictionary if it is not there.
    pub(super) fn dict(&self, parent: &Group, name: &str) -> Result<Group> {
        match parent.group(name) {
            Ok(group) => Ok(group),
            Err(_) => self.group(parent, name, "dict", "0.1.0"),
        }
    }

    /// HDF5 takes a slash for a path.
    pub(super) fn refuse_slash(&self, name: &str) -> Result<()> {
        if name.is_empty() || name == "." || name.contains('/') {
            return Err(Error::file(
                self.output,
                format!("write an element called {name:?}"),
                "names must not be empty, \".\" or contain a slash",
            ));
        }
        Ok(())
    }

    /// anndata's marks of how an element is stored.
    pub(super) fn mark(&self, at: &Location, encoding: &str, version: &str) -> Result<()> {
        self.attr_text(at, "encoding-type", encoding)?;
        self.attr_text(at, "encoding-version", version)
    }

    /// Sets an attribute to a word.
    pub(super) fn attr_text(&self, at: &Location, name: &str, word: &str) -> Result<()> {
        self.drop_attr(at, name)?;
        let attribute = at.new_attr::<VarLenUnicode>().create(name);
        let written = attribute.and_then(|attribute| attribute.write_scalar(&unicode(word)));
        self.sure(written, name)
    }

    /// Sets an attribute to a list of words.
    pub(super) fn attr_texts(&self, at: &Location, name: &str, words: &[String]) -> Result<()> {
        self.drop_attr(at, name)?;
        let words: Vec<VarLenUnicode> = words.iter().map(|word| unicode(word)).collect();
        let attribute = at.new_attr::<VarLenUnicode>().shape(words.len()).create(name);
        let written =
            attribute.and_then(|attribute| if words.is_empty() { Ok(()) } else { attribute.write_raw(&words) });
        self.sure(written, name)
    }

    fn drop_attr(&self, at: &Location, name: &str) -> Result<()> {
        if at.attr(name).is_err() {
            return Ok(());
        }
        self.sure(at.delete_attr(name), name)
    }

    /// Removes what is under `name`, if anything is.
    pub(super) fn remove(&self, parent: &Group, name: &str) -> Result<()> {
        if !parent.link_exists(name) {
            return Ok(());
        }
        self.sure(parent.unlink(name), name)
    }

    /// A dataset without values yet, chunked and compressed if that is asked for and there is something to compress.
    pub(super) fn dataset<T: H5Type>(
        &self,
        parent: &Group,
        name: &str,
        shape: &[usize],
        chunk: &[usize],
    ) -> Result<Dataset> {
        self.refuse_slash(name)?;
        let mut builder = parent.new_dataset_builder();
        if self.gzip > 0 && shape.iter().all(|&length| length > 0) {
            // Shuffled bytes of floats and indices compress better and faster.
            if size_of::<T>() > 1 && !std::mem::needs_drop::<T>() {
                builder = builder.shuffle();
            }
            builder = builder.deflate(self.gzip).chunk(chunk.to_vec());
        }
        let dataset = builder.empty::<T>().shape(shape.to_vec()).create(name);
        self.sure(dataset, name)
    }

    /// An empty one-dimensional array that can grow.
    pub(super) fn growing<T: Number>(&self, parent: &Group, name: &str) -> Result<Rows<T>> {
        let mut builder = parent.new_dataset_builder().chunk([CHUNK_BYTES / size_of::<T>()]);
        if self.gzip > 0 {
            builder = builder.shuffle().deflate(self.gzip);
        }
        let dataset = self.sure(builder.empty::<T>().shape([0..]).create(name), name)?;
        Ok(Rows::new(Target::new(dataset, self.gzip)))
    }

    /// A one-dimensional array of numbers without marks; `fill` is as in [`Sink::rows`].
    fn numbers<T: Number>(
        &self,
        parent: &Group,
        name: &str,
        n: usize,
        fill: impl Fn(Range<usize>, &mut [T]) + Sync,
    ) -> Result<Dataset> {
        let dataset = self.dataset::<T>(parent, name, &[n], &[n.min(CHUNK_BYTES / size_of::<T>())])?;
        self.sure(Target::new(dataset.clone(), self.gzip).write(0..n, fill), name)?;
        Ok(dataset)
    }

    /// A one-dimensional array of numbers without marks.
    fn bare<T: Number>(&self, parent: &Group, name: &str, values: &[T]) -> Result<Dataset> {
        self.numbers(parent, name, values.len(), |range, room| room.copy_from_slice(&values[range]))
    }

    /// A one-dimensional array of numbers.
    pub(super) fn array<T: Number>(&self, parent: &Group, name: &str, values: &[T]) -> Result<()> {
        let dataset = self.bare(parent, name, values)?;
        self.mark(&dataset, "array", "0.2.0")
    }

    /// A one-dimensional array of truth values.
    fn truths(&self, parent: &Group, name: &str, values: &[bool]) -> Result<()> {
        let n = values.len();
        let dataset = self.dataset::<bool>(parent, name, &[n], &[n.min(CHUNK_BYTES)])?;
        if n > 0 {
            self.sure(dataset.write_raw(values), name)?;
        }
        self.mark(&dataset, "array", "0.2.0")
    }

    /// A one-dimensional array of `n` values of any type of fixed size, given as bytes.
    pub(super) fn array_as(
        &self,
        parent: &Group,
        name: &str,
        kind: &TypeDescriptor,
        n: usize,
        bytes: &[u8],
    ) -> Result<()> {
        self.refuse_slash(name)?;
        let dataset = parent.new_dataset_builder().empty_as(kind.clone()).shape(n).create(name);
        let dataset = self.sure(dataset, name)?;
        self.sure(raw::write_bytes(&dataset, kind, bytes), name)?;
        self.mark(&dataset, "array", "0.2.0")
    }

    /// Words.
    pub(super) fn texts(&self, parent: &Group, name: &str, words: &[String]) -> Result<()> {
        let words: Vec<VarLenUnicode> = words.iter().map(|word| unicode(word)).collect();
        let n = words.len();
        let dataset = self.dataset::<VarLenUnicode>(parent, name, &[n], &[n.min(WORDS)])?;
        if n > 0 {
            self.sure(dataset.write_raw(&words), name)?;
        }
        self.mark(&dataset, "string-array", "0.2.0")
    }

    /// A matrix without values yet and without marks.
    fn matrix(&self, parent: &Group, name: &str, shape: [usize; 2]) -> Result<Target> {
        let [n_rows, n_cols] = shape;
        let columns = n_cols.min(CHUNK_BYTES / size_of::<f32>());
        let rows = (CHUNK_BYTES / (size_of::<f32>() * columns.max(1))).clamp(1, n_rows.max(1));
        let dataset = self.dataset::<f32>(parent, name, &shape, &[rows, columns])?;
        self.mark(&dataset, "array", "0.2.0")?;
        Ok(Target::new(dataset, self.gzip))
    }

    /// A matrix some rows at a time: `fill` is handed the rows wanted and room for them, in C order, on any thread and
    /// in any order.
    pub(super) fn rows(
        &self,
        parent: &Group,
        name: &str,
        shape: [usize; 2],
        fill: impl Fn(Range<usize>, &mut [f32]) + Sync,
    ) -> Result<()> {
        let target = self.matrix(parent, name, shape)?;
        self.sure(target.write(0..shape[0], fill), name)
    }

    /// A matrix whose rows will come in their order.
    pub(super) fn rows_in_order(&self, parent: &Group, name: &str, shape: [usize; 2]) -> Result<Rows<f32>> {
        Ok(Rows::new(self.matrix(parent, name, shape)?))
    }

    /// A matrix.
    pub(super) fn dense(&self, parent: &Group, name: &str, matrix: ArrayView2<f32>) -> Result<()> {
        self.rows(parent, name, matrix.dim().into(), |rows, room| {
            let part = matrix.slice(ndarray::s![rows, ..]);
            for (slot, &value) in room.iter_mut().zip(&part) {
                *slot = value;
            }
        })
    }

    /// A sparse matrix.
    pub(super) fn csr(&self, parent: &Group, name: &str, matrix: &Csr<f32>) -> Result<()> {
        let group = self.sparse_group(parent, name, "csr_matrix", [matrix.n_rows, matrix.n_cols])?;
        self.bare(&group, "data", &matrix.data)?;
        self.places(&group, matrix)
    }

    /// A sparse matrix of counts: 16 or 32 bits if they are whole numbers, as velocyto stores them, else single precision.
    pub(super) fn counts(&self, parent: &Group, name: &str, matrix: &Csr<f32>) -> Result<()> {
        /// Up to here each whole number is one in single precision.
        const EXACT: f32 = 16_777_216.0;
        let whole = matrix.data.iter().all(|&value| (0.0..=EXACT).contains(&value) && value.fract() == 0.0);
        if !whole {
            return self.csr(parent, name, matrix);
        }
        let group = self.sparse_group(parent, name, "csr_matrix", [matrix.n_rows, matrix.n_cols])?;
        let n = matrix.data.len();
        if matrix.data.iter().all(|&value| value <= f32::from(u16::MAX)) {
            self.numbers(&group, "data", n, |range, room: &mut [u16]| {
                room.iter_mut().zip(&matrix.data[range]).for_each(|(slot, &value)| *slot = value as u16);
            })?;
        } else {
            self.numbers(&group, "data", n, |range, room: &mut [u32]| {
                room.iter_mut().zip(&matrix.data[range]).for_each(|(slot, &value)| *slot = value as u32);
            })?;
        }
        self.places(&group, matrix)
    }

    /// Columns of the entries of a sparse matrix, and where its rows start.
    fn places(&self, group: &Group, matrix: &Csr<f32>) -> Result<()> {
        self.indices(group, "indices", &matrix.indices)?;
        self.indptr(group, &matrix.indptr)
    }

    /// The group of a sparse matrix, without its arrays.
    pub(super) fn sparse_group(&self, parent: &Group, name: &str, encoding: &str, shape: [usize; 2]) -> Result<Group> {
        let group = self.group(parent, name, encoding, "0.1.0")?;
        #[allow(clippy::cast_possible_wrap)] // lengths of axes
        let shape = shape.map(|length| length as i64);
        let attribute = group.new_attr::<i64>().shape(2).create("shape");
        let written = attribute.and_then(|attribute| attribute.write_raw(&shape));
        self.sure(written, name)?;
        Ok(group)
    }

    fn indices(&self, group: &Group, name: &str, indices: &[u32]) -> Result<()> {
        // scipy has signed indices only; ours count genes or cells.
        let fill = |range: Range<usize>, room: &mut [i32]| {
            for (slot, &index) in room.iter_mut().zip(&indices[range]) {
                *slot = i32::try_from(index).unwrap_or(i32::MAX);
            }
        };
        self.numbers(group, name, indices.len(), fill).map(drop)
    }

    /// Where the rows start, in the narrower of the types that scipy takes.
    pub(super) fn indptr(&self, group: &Group, offsets: &[usize]) -> Result<()> {
        let narrow: Option<Vec<i32>> = offsets.iter().map(|&at| i32::try_from(at).ok()).collect();
        if let Some(narrow) = narrow {
            self.bare(group, "indptr", &narrow)?;
        } else {
            #[allow(clippy::cast_possible_wrap)] // offsets into memory
            let wide: Vec<i64> = offsets.iter().map(|&at| at as i64).collect();
            self.bare(group, "indptr", &wide)?;
        }
        Ok(())
    }

    /// A column of a frame of today's kind.
    pub(super) fn column(&self, frame: &Group, name: &str, column: &Column) -> Result<()> {
        match column {
            Column::Float(values) => self.array(frame, name, values),
            Column::Int(values) => self.array(frame, name, values),
            Column::Bool(values) => self.truths(frame, name, values),
            Column::Text(words) => self.texts(frame, name, words),
            Column::Categorical { codes, categories, ordered } => {
                self.categorical(frame, name, codes, categories, *ordered)
            }
        }
    }

    fn categorical(
        &self,
        frame: &Group,
        name: &str,
        codes: &[Option<u32>],
        categories: &[String],
        ordered: bool,
    ) -> Result<()> {
        let group = self.group(frame, name, "categorical", "0.2.0")?;
        let attribute = group.new_attr::<bool>().create("ordered");
        let written = attribute.and_then(|attribute| attribute.write_scalar(&ordered));
        self.sure(written, name)?;
        self.texts(&group, "categories", categories)?;
        // pandas uses the narrowest type, −1 for a missing value.
        #[allow(clippy::cast_possible_wrap)] // fewer categories than i32 holds
        let code = |code: &Option<u32>| code.map_or(-1, |at| at as i32);
        match categories.len() {
            0..=127 => self.array::<i8>(&group, "codes", &codes.iter().map(|at| code(at) as i8).collect::<Vec<_>>()),
            128..=32767 => {
                self.array::<i16>(&group, "codes", &codes.iter().map(|at| code(at) as i16).collect::<Vec<_>>())
            }
            _ => self.array::<i32>(&group, "codes", &codes.iter().map(code).collect::<Vec<_>>()),
        }
    }

    /// A whole frame.
    pub(super) fn frame(&self, parent: &Group, name: &str, frame: &Frame) -> Result<()> {
        let group = self.group(parent, name, "dataframe", "0.2.0")?;
        self.attr_text(&group, "_index", "_index")?;
        let order: Vec<String> = frame.columns.iter().map(|(name, _)| name.clone()).collect();
        self.attr_texts(&group, "column-order", &order)?;
        self.texts(&group, "_index", &frame.index)?;
        for (name, column) in &frame.columns {
            self.column(&group, name, column)?;
        }
        Ok(())
    }

    /// Writes everything out and closes the file, so that a full disk is noticed here, and any failure to write until now.
    pub(super) fn close(&self, file: File) -> Result<()> {
        self.sure(file.flush(), "the file")?;
        self.sure(file.close(), "the file")?;
        if raw::a_write_failed() {
            return Err(Error::file(
                self.output,
                "write the file",
                "a part of it could not be written; is the disk full?",
            ));
        }
        Ok(())
    }
}

/// A word as HDF5 wants it, ended by a zero: text after one inside is lost, as it is in h5py.
pub(super) fn unicode(word: &str) -> VarLenUnicode {
    let whole = word.split('\0').next().unwrap_or_default();
    whole.parse().expect("no zero is left in the word")
}
