//! Runs of numbers, read in the type in which they are stored: where HDF5 need not convert, it takes half the time.

use std::fmt::Display;
use std::ops::Range;

use hdf5::Dataset;
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};

use super::chunks::{self, Number};
use super::place::{At, Place};
use crate::error::Result;

/// Some of the numbers of a one-dimensional dataset as type `T`; HDF5 converts.
pub(super) fn slice<T: Number>(dataset: &Dataset, range: Range<usize>, place: &Place) -> Result<Vec<T>> {
    if let Some(values) = chunks::slice(dataset, range.clone()) {
        return Ok(values);
    }
    let values = dataset.read_slice_1d::<T, _>(range).at(place)?;
    Ok(values.into_raw_vec_and_offset().0)
}

/// Some of the numbers of a one-dimensional dataset, each the nearest there is in single precision.
pub(super) fn values(dataset: &Dataset, range: Range<usize>, place: &Place) -> Result<Vec<f32>> {
    use TypeDescriptor::{Float, Integer, Unsigned};
    match stored_type(dataset) {
        Some(Float(FloatSize::U8)) => converted(dataset, range, place, |value: f64| value as f32),
        Some(Integer(IntSize::U1)) => converted(dataset, range, place, |value: i8| f32::from(value)),
        Some(Integer(IntSize::U2)) => converted(dataset, range, place, |value: i16| f32::from(value)),
        Some(Integer(IntSize::U4)) => converted(dataset, range, place, |value: i32| value as f32),
        Some(Integer(IntSize::U8)) => converted(dataset, range, place, |value: i64| value as f32),
        Some(Unsigned(IntSize::U1)) => converted(dataset, range, place, |value: u8| f32::from(value)),
        Some(Unsigned(IntSize::U2)) => converted(dataset, range, place, |value: u16| f32::from(value)),
        Some(Unsigned(IntSize::U4)) => converted(dataset, range, place, |value: u32| value as f32),
        Some(Unsigned(IntSize::U8)) => converted(dataset, range, place, |value: u64| value as f32),
        // Single precision as it is; truth values and half precision as HDF5 converts them.
        _ => slice(dataset, range, place),
    }
}

/// Some of the column (row) numbers of a compressed matrix, each below `n_minor`.
pub(super) fn indices(dataset: &Dataset, range: Range<usize>, n_minor: usize, place: &Place) -> Result<Vec<u32>> {
    match stored_type(dataset) {
        Some(TypeDescriptor::Integer(IntSize::U4)) => narrowed::<i32>(dataset, range, n_minor, place),
        Some(TypeDescriptor::Unsigned(IntSize::U4)) => narrowed::<u32>(dataset, range, n_minor, place),
        Some(TypeDescriptor::Unsigned(IntSize::U8)) => narrowed::<u64>(dataset, range, n_minor, place),
        // Signed and wide, because HDF5 turns a negative number into 0 where the type has no sign.
        _ => narrowed::<i64>(dataset, range, n_minor, place),
    }
}

fn stored_type(dataset: &Dataset) -> Option<TypeDescriptor> {
    dataset.dtype().and_then(|stored| stored.to_descriptor()).ok()
}

fn converted<T: Number>(
    dataset: &Dataset,
    range: Range<usize>,
    place: &Place,
    convert: impl Fn(T) -> f32,
) -> Result<Vec<f32>> {
    Ok(slice::<T>(dataset, range, place)?.into_iter().map(convert).collect())
}

fn narrowed<T>(dataset: &Dataset, range: Range<usize>, n_minor: usize, place: &Place) -> Result<Vec<u32>>
where
    T: Number + Display + TryInto<u32>,
{
    let place = place.child("indices");
    let narrow = |index: T| index.try_into().ok().filter(|&narrow: &u32| (narrow as usize) < n_minor);
    let stored = slice::<T>(dataset, range, &place)?;
    if let Some(wrong) = stored.iter().find(|&&index| narrow(index).is_none()) {
        return Err(place.damaged(format!("index {wrong} is out of range, there are {n_minor}")));
    }
    Ok(stored.into_iter().map(|index| narrow(index).unwrap_or_default()).collect())
}
