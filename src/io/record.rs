//! Tables of records (compound datasets): `obs`, `var`, `obsm` and `varm` of anndata before 0.7.

use hdf5::types::{CompoundField, CompoundType, FloatSize, IntSize, TypeDescriptor};
use hdf5::{Dataset, Group};
use ndarray::Array2;

use super::h5::{self, Node};
use super::place::{At, Place};
use super::{frame, raw};
use crate::data::{Column, Frame};
use crate::error::Result;

/// What to do about records that cannot be read.
const CONVERT: &str = "the file is from anndata before 0.7; convert it: python -c \"import anndata; anndata.read_h5ad('IN.h5ad').write_h5ad('OUT.h5ad')\"";

/// The fields of a table that hold plain values, and all its bytes.
struct Table {
    fields: Vec<CompoundField>,
    record: usize,
    bytes: Vec<u8>,
}

impl Table {
    fn read(dataset: &Dataset, place: &Place) -> Result<Self> {
        let descriptor = dataset.dtype().and_then(|stored| stored.to_descriptor());
        let Ok(TypeDescriptor::Compound(stored)) = descriptor else {
            return Err(place.error("neither a data frame nor a table of records", CONVERT));
        };
        let readable = stored.fields.into_iter().filter(|field| !raw::holds_addresses(&field.ty));
        let table = CompoundType { fields: readable.collect(), size: 0 };
        if table.fields.is_empty() {
            return Err(place.error("the records hold nothing that can be read", CONVERT));
        }
        let packed = table.to_packed_repr();
        let bytes = raw::read_bytes(dataset, &TypeDescriptor::Compound(packed.clone())).at(place)?;
        Ok(Self { fields: packed.fields, record: packed.size, bytes })
    }

    /// The bytes of one field, record after record.
    fn field(&self, field: &CompoundField) -> impl Iterator<Item = &[u8]> {
        let range = field.offset..field.offset + field.ty.size();
        self.bytes.chunks_exact(self.record).map(move |record| &record[range.clone()])
    }

    fn column(&self, field: &CompoundField) -> Option<Column> {
        Some(match &field.ty {
            TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => {
                Column::Int(self.field(field).map(|bytes| int(bytes, &field.ty)).collect())
            }
            TypeDescriptor::Float(_) => Column::Float(self.field(field).map(float).collect()),
            TypeDescriptor::Boolean => Column::Bool(self.field(field).map(|bytes| bytes != [0]).collect()),
            TypeDescriptor::FixedAscii(width) | TypeDescriptor::FixedUnicode(width) => {
                Column::Text(self.field(field).flat_map(|bytes| h5::split_fixed(bytes, *width)).collect())
            }
            _ => return None,
        })
    }
}

fn float(bytes: &[u8]) -> f64 {
    match bytes.try_into() {
        Ok(wide) => f64::from_ne_bytes(wide),
        Err(_) => bytes.try_into().map_or(f64::NAN, |narrow| f64::from(f32::from_ne_bytes(narrow))),
    }
}

fn int(bytes: &[u8], kind: &TypeDescriptor) -> i64 {
    let mut wide = [0_u8; 8];
    let native_start = if cfg!(target_endian = "big") { 8 - bytes.len() } else { 0 };
    wide[native_start..native_start + bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_ne_bytes(wide);
    match kind {
        TypeDescriptor::Integer(size) => {
            let unused = 64 - 8 * u32::from(bytes_of(*size));
            (unsigned << unused).cast_signed() >> unused
        }
        _ => i64::try_from(unsigned).unwrap_or(i64::MAX),
    }
}

fn bytes_of(size: IntSize) -> u8 {
    match size {
        IntSize::U1 => 1,
        IntSize::U2 => 2,
        IntSize::U4 => 4,
        IntSize::U8 => 8,
    }
}

/// Reads a frame from records; categorical columns have their labels in `uns["<column>_categories"]`.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input), with the way to convert the file, if the names of the rows cannot be read.
pub(super) fn read_frame(dataset: &Dataset, root: &Group, place: &Place) -> Result<Frame> {
    let table = Table::read(dataset, place)?;
    let field_called = |name: &str| table.fields.iter().find(|field| field.name == name);
    let row_names = field_called("index").or_else(|| field_called("_index"));
    let Some((index, names)) = row_names.and_then(|field| Some((field, table.column(field)?))) else {
        return Err(place.error("the records have no field `index` that can be read", CONVERT));
    };
    let mut frame = Frame { index: names.to_labels(), columns: Vec::new() };
    for field in table.fields.iter().filter(|field| field.name != index.name) {
        let Some(column) = table.column(field) else {
            continue;
        };
        let column = match (&column, labels(root, &field.name)) {
            (Column::Int(codes), Some(labels)) => {
                frame::categorical(codes, labels, false, &place.child(&field.name)).unwrap_or(column)
            }
            _ => column,
        };
        frame.columns.push((field.name.clone(), column));
    }
    Ok(frame)
}

/// The fields that hold numbers or truth values, each with its type and its bytes, so that they can be written
/// elsewhere as they are.
/// Names of the fields of a table of records; none of any other dataset.
pub(super) fn field_names(dataset: &Dataset) -> Vec<String> {
    match dataset.dtype().and_then(|stored| stored.to_descriptor()) {
        Ok(TypeDescriptor::Compound(stored)) => stored.fields.into_iter().map(|field| field.name).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn numeric_fields(dataset: &Dataset, place: &Place) -> Result<Vec<(String, TypeDescriptor, Vec<u8>)>> {
    let table = Table::read(dataset, place)?;
    let numeric = table.fields.iter().filter(|field| {
        use TypeDescriptor::{Boolean, Float, Integer, Unsigned};
        matches!(field.ty, Integer(_) | Unsigned(_) | Float(_) | Boolean)
    });
    Ok(numeric
        .map(|field| {
            let bytes = table.field(field).flatten().copied().collect();
            (field.name.clone(), field.ty.clone(), bytes)
        })
        .collect())
}

/// Where old files keep the labels of a categorical column, below `uns`.
pub(super) fn labels_key(column: &str) -> String {
    format!("{column}_categories")
}

fn labels(root: &Group, column: &str) -> Option<Vec<String>> {
    let uns = root.group("uns").ok()?;
    match Node::open(&uns, &labels_key(column))? {
        Node::Dataset(dataset) => h5::texts(&dataset).ok(),
        Node::Group(_) => None,
    }
}

/// The arrays of an `obsm` or `varm` made of records: name and values, `[n_rows, n_dims]`.
pub(super) fn read_arrays(dataset: &Dataset, place: &Place) -> Result<Vec<(String, Array2<f32>)>> {
    let table = Table::read(dataset, place)?;
    let n_rows = dataset.size();
    let mut arrays = Vec::new();
    for field in &table.fields {
        let (element, n_dims) = match &field.ty {
            TypeDescriptor::FixedArray(element, n_dims) => (element.as_ref(), *n_dims),
            single => (single, 1),
        };
        let TypeDescriptor::Float(size) = element else {
            continue;
        };
        let width = match size {
            FloatSize::U4 => 4,
            FloatSize::U8 => 8,
        };
        let narrow = |bytes: &[u8]| float(bytes) as f32;
        let rows = table.field(field);
        let values = rows.flat_map(|row| row.chunks_exact(width).map(narrow)).collect();
        let array = Array2::from_shape_vec((n_rows, n_dims), values);
        arrays.push((field.name.clone(), array.map_err(|error| place.damaged(error.to_string()))?));
    }
    Ok(arrays)
}
