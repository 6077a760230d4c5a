//! Compressed numbers, decompressed on all cores: HDF5 uses one, and holds its lock meanwhile.
//!
//! Understood is what h5py writes for `compression="gzip"`: one dimension, deflated, with bytes shuffled or not.

use std::ops::Range;

use flate2::{Decompress, FlushDecompress, Status};
use hdf5::filters::Filter;
use hdf5::{Dataset, Datatype, H5Type};
use rayon::prelude::*;

use super::raw;

/// A range of fewer chunks is left to HDF5, which keeps the chunk where it ends for the next one.
const FEWEST: usize = 4;

/// A number of known size.
pub(super) trait Number: H5Type + Copy + Send {
    /// The number in the machine's own order of bytes, of which there are as many as it has.
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn from_bytes(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(bytes);
                Self::from_ne_bytes(own)
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
        let plain = inflate(&bytes, chunk * size)?;
        let plain = if shuffled { unshuffle(&plain, size) } else { plain };
        let wanted = range.start.max(start) - start..range.end.min(start + chunk) - start;
        let numbers = plain[wanted.start * size..wanted.end * size].chunks_exact(size);
        Some(numbers.map(T::from_bytes).collect::<Vec<T>>())
    };
    let parts: Option<Vec<Vec<T>>> = packed?.into_par_iter().map(unpack).collect();
    Some(parts?.concat())
}

/// The `length` bytes that were deflated; `None` if it was another number of bytes, or their checksum differs.
fn inflate(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    plain.try_reserve_exact(length).ok()?;
    plain.resize(length, 0);
    let mut stream = Decompress::new(true);
    let status = stream.decompress(bytes, &mut plain, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd && stream.total_out() == length as u64).then_some(plain)
}

/// Bytes that stand sorted by their position within a number, back in their numbers.
fn unshuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut plain = vec![0; bytes.len()];
    for (position, plane) in bytes.chunks_exact(bytes.len() / size).enumerate() {
        for (number, &byte) in plain.chunks_exact_mut(size).zip(plane) {
            number[position] = byte;
        }
    }
    plain
}
