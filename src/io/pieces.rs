//! Values as elements of a file.

use ndarray::ArrayView2;

use super::uns::Uns;
use crate::data::Column;
use crate::data::quantities::{Slot, Value, Values};
use crate::sparse::Csr;

/// An element of a file: where, under which name, what.
pub(super) struct Piece<'a> {
    pub(super) slot: Slot,
    pub(super) key: String,
    pub(super) content: Content<'a>,
}

/// What an element holds.
pub(super) enum Content<'a> {
    Dense(ArrayView2<'a, f32>),
    Sparse(&'a Csr<f32>),
    /// A sparse matrix whose type follows from its values.
    Counts(&'a Csr<f32>),
    Column(Column),
    Uns(Uns),
}

/// The elements that `values` become.
pub(super) fn pieces(values: &Values) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (about, key, value) in values.iter() {
        let slot = about.slot;
        let mut push = |key: String, content| pieces.push(Piece { slot, key, content });
        match (value, slot) {
            // A matrix over genes is one column for each of its own columns.
            (Value::Matrix(matrix), Slot::Var | Slot::Obs) => {
                for (at, column) in matrix.columns().into_iter().enumerate() {
                    let numbers = column.iter().map(|&value| f64::from(value)).collect();
                    push(format!("{}{at}", key.trim_end_matches('*')), Content::Column(Column::Float(numbers)));
                }
            }
            (Value::Matrix(matrix), _) => push(key.to_owned(), Content::Dense(matrix.view())),
            (Value::Numbers(numbers), _) => push(key.to_owned(), Content::Column(Column::Float(numbers.to_vec()))),
            (Value::Truths(truths), _) => push(key.to_owned(), Content::Column(Column::Bool(truths.clone()))),
            (Value::Words(words), _) => push(key.to_owned(), Content::Column(Column::Text(words.clone()))),
            (Value::Labels(labels), _) => push(key.to_owned(), Content::Column(labels.clone().into())),
            (Value::Graph(graph), _) => push(key.to_owned(), Content::Sparse(graph)),
            (Value::Record(record), _) => {
                if let Some(record) = Uns::from_json(record) {
                    push(key.to_owned(), Content::Uns(record));
                }
            }
        }
    }
    pieces
}

impl Content<'_> {
    /// The lengths of its axes, as far as they are those of the file.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Dense(matrix) => matrix.shape().to_vec(),
            Self::Sparse(matrix) | Self::Counts(matrix) => vec![matrix.n_rows, matrix.n_cols],
            Self::Column(column) => vec![column.len()],
            Self::Uns(_) => Vec::new(),
        }
    }
}
