//! Numbers compressed and decompressed on all cores: HDF5 uses one, and holds its lock meanwhile.
//!
//! Read is what h5py writes for `compression="gzip"`: one dimension, deflated, with bytes shuffled or not. Written is
//! what HDF5 would write by itself but for the choices of the compressor: one or two dimensions, shuffled and deflated.

use std::ops::Range;

use hdf5::filters::Filter;
use hdf5::{Dataset, Datatype, H5Type};
use rayon::prelude::*;

use super::matrix::blocks;
use super::{deflate, raw};

/// A range of fewer chunks is left to HDF5, which keeps the chunk where it ends for the next one.
const FEWEST: usize = 4;

/// Bands of chunks compressed at once, for each thread: more would cost memory, fewer leave threads without work.
const AT_ONCE: usize = 4;

/// Numbers that are written at once where nothing is compressed.
const UNPACKED: usize = 1 << 18;

/// A number of known size.
pub(super) trait Number: H5Type + Copy + Default + Send + Sync {
    /// The number in the machine's own order of bytes, of which there are as many as it has.
    fn from_bytes(bytes: &[u8]) -> Self;
    /// One of its bytes in that order, the first being 0.
    fn byte(self, position: usize) -> u8;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn from_bytes(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_ne_bytes(own)
            }

            fn byte(self, position: usize) -> u8 {
                self.to_ne_bytes()[position]
            }
        }
    )*};
}
numbers!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

/// Some of the numbers of a dataset; `None` if this is a case for HDF5, damaged chunks included.
pub(super) fn slice<T: Number>(dataset: &Dataset, range: Range<usize>) -> Option<Vec<T>> {
    let chunk = <[usize; 1]>::try_from(dataset.chunk()?).ok()?[0];
    let shuffled = match dataset.filters()[..] {
        [Filter::Deflate(_)] => false,
        [Filter::Shuffle, Filter::Deflate(_)] => true,
        _ => return None,
    };
    let same_type = dataset.dtype().ok()? == Datatype::from_type::<T>().ok()?;
    if !same_type || range.end > dataset.size() || range.len() / chunk < FEWEST {
        return None;
    }
    let starts = (range.start / chunk * chunk..range.end).step_by(chunk);
    let packed: Option<Vec<(usize, Vec<u8>)>> =
        starts.map(|start| Some((start, raw::read_chunk(dataset, start).ok()??))).collect();
    let unpack = |(start, bytes): (usize, Vec<u8>)| {
        let size = size_of::<T>();
        let plain = deflate::unpack(&bytes, chunk * size, size, shuffled)?;
        let wanted = range.start.max(start) - start..range.end.min(start + chunk) - start;
        let numbers = plain[wanted.start * size..wanted.end * size].chunks_exact(size);
        Some(numbers.map(T::from_bytes).collect::<Vec<T>>())
    };
    let parts: Option<Vec<Vec<T>>> = packed?.into_par_iter().map(unpack).collect();
    Some(parts?.concat())
}

/// A dataset of numbers that was made empty and is written from its first row to its last. A dataset of one dimension
/// has rows of one number.
#[derive(Debug)]
pub(super) struct Target {
    dataset: Dataset,
    width: usize,
    /// Rows and columns of a chunk and how strongly it is compressed; `None` if the dataset is not compressed.
    packing: Option<([usize; 2], u8)>,
}

impl Target {
    /// `dataset` has chunks and is shuffled and deflated at `level`, or `level` is 0.
    pub(super) fn new(dataset: Dataset, level: u8) -> Self {
        let width = dataset.shape().get(1).copied().unwrap_or(1);
        let chunk = dataset.chunk().filter(|_| level > 0 && !dataset.filters().is_empty());
        let packing = chunk.map(|chunk| ([chunk[0], chunk.get(1).copied().unwrap_or(1)], level));
        Self { dataset, width, packing }
    }

    /// Rows that are compressed together.
    fn band(&self) -> usize {
        match self.packing {
            Some(([rows, _], _)) => rows,
            None => (UNPACKED / self.width.max(1)).max(1),
        }
    }

    /// Writes `rows`, which begin where a chunk begins, and end where one ends or the dataset does. `fill` is handed the
    /// rows wanted and room for them, in C order, on any thread and in any order; what is written does not depend on it.
    ///
    /// # Errors
    /// HDF5's.
    pub(super) fn write<T: Number>(
        &self,
        rows: Range<usize>,
        fill: impl Fn(Range<usize>, &mut [T]) + Sync,
    ) -> hdf5::Result<()> {
        if self.width == 0 {
            return Ok(());
        }
        let band = self.band();
        for batch in blocks(rows, band * AT_ONCE * rayon::current_num_threads()) {
            let bands: Vec<Range<usize>> = blocks(batch, band).collect();
            let fill = |rows: &Range<usize>| {
                // Whole even where the dataset ends within the chunk: HDF5 wants the rest too.
                let mut values = vec![T::default(); band * self.width];
                fill(rows.clone(), &mut values[..rows.len() * self.width]);
                values
            };
            let Some((chunk, level)) = self.packing else {
                for rows in bands {
                    let values = fill(&rows);
                    raw::write_rows(&self.dataset, rows.clone(), &values[..rows.len() * self.width])?;
                }
                continue;
            };
            let pack = |rows: &Range<usize>| -> Vec<([usize; 2], Vec<u8>)> {
                let values = fill(rows);
                let starts = (0..self.width).step_by(chunk[1]);
                starts.map(|left| ([rows.start, left], packed(&values, self.width, left, chunk, level))).collect()
            };
            let packed: Vec<Vec<([usize; 2], Vec<u8>)>> = bands.par_iter().map(pack).collect();
            for (start, bytes) in packed.iter().flatten() {
                raw::write_chunk(&self.dataset, &start[..self.dataset.ndim()], bytes)?;
            }
        }
        Ok(())
    }
}

/// The chunk that begins at column `left` of a band of rows of `width` numbers; zeros where the rows end within it.
fn packed<T: Number>(band: &[T], width: usize, left: usize, chunk: [usize; 2], level: u8) -> Vec<u8> {
    let [n_rows, n_cols] = chunk;
    if n_cols == width {
        return deflate::pack(band, level);
    }
    let right = width.min(left + n_cols);
    let mut numbers = vec![T::default(); n_rows * n_cols];
    for (to, from) in numbers.chunks_exact_mut(n_cols).zip(band.chunks_exact(width)) {
        to[..right - left].copy_from_slice(&from[left..right]);
    }
    deflate::pack(&numbers, level)
}

/// Rows that come one after another and are written as soon as there are enough to compress them on all cores.
#[derive(Debug)]
pub(super) struct Rows<T> {
    target: Target,
    waiting: Vec<T>,
    written: usize,
}

impl<T: Number> Rows<T> {
    /// Nothing yet of `target`.
    pub(super) fn new(target: Target) -> Self {
        Self { target, waiting: Vec::new(), written: 0 }
    }

    /// Takes some more rows, in C order.
    ///
    /// # Errors
    /// HDF5's.
    pub(super) fn extend(&mut self, rows: &[T]) -> hdf5::Result<()> {
        self.waiting.extend_from_slice(rows);
        let batch = self.target.band() * AT_ONCE * rayon::current_num_threads();
        let n_waiting = self.waiting.len() / self.target.width.max(1);
        self.write(n_waiting / batch * batch)
    }

    /// Writes what is still waiting.
    ///
    /// # Errors
    /// HDF5's.
    pub(super) fn finish(mut self) -> hdf5::Result<()> {
        self.write(self.waiting.len() / self.target.width.max(1))
    }

    /// Writes the first `n` of the rows that wait. A dataset of one dimension grows as far as that needs.
    fn write(&mut self, n: usize) -> hdf5::Result<()> {
        let Target { dataset, width, .. } = &self.target;
        let (begin, end) = (self.written, self.written + n);
        if n == 0 {
            return Ok(());
        }
        if dataset.is_resizable() {
            dataset.resize(end)?;
        }
        let waiting = &self.waiting;
        self.target.write(begin..end, |rows, room: &mut [T]| {
            room.copy_from_slice(&waiting[(rows.start - begin) * width..(rows.end - begin) * width]);
        })?;
        self.waiting.drain(..n * width);
        self.written = end;
        Ok(())
    }
}
