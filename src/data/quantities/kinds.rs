//! The types that values of quantities have.

use ndarray::{Array1, Array2};

use crate::data::Column;
use crate::sparse::Csr;

/// Numbers over two axes.
pub type Matrix = Array2<f32>;
/// One number per cell or gene.
pub type Numbers = Array1<f64>;
/// One truth value per cell or gene.
pub type Truths = Vec<bool>;
/// One word per cell or gene.
pub type Words = Vec<String>;
/// A sparse matrix between cells.
pub type Graph = Csr<f32>;
/// Words, numbers, truth values, lists, and dictionaries of them.
pub type Record = serde_json::Value;

/// One of a few labels per cell or gene.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Positions in `categories`; `None` where there is no label.
    pub codes: Vec<Option<u32>>,
    /// The labels.
    pub categories: Vec<String>,
}

impl From<Labels> for Column {
    fn from(labels: Labels) -> Self {
        Self::Categorical { codes: labels.codes, categories: labels.categories, ordered: false }
    }
}

/// Values of any quantity.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Numbers over two axes.
    Matrix(Matrix),
    /// One number per row.
    Numbers(Numbers),
    /// One truth value per row.
    Truths(Truths),
    /// One word per row.
    Words(Words),
    /// One label per row.
    Labels(Labels),
    /// A sparse matrix.
    Graph(Graph),
    /// A dictionary.
    Record(Record),
}

/// A type that values can have.
pub trait Kind: Sized {
    /// The type in words, for the list of keys.
    const NAME: &'static str;

    /// As a value of any type.
    fn into_value(self) -> Value;

    /// What `value` holds, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;

    /// The same, to change it.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;

    /// The same, taken out.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! kinds {
    ($($kind:ident: $name:literal),* $(,)?) => {$(
        impl Kind for $kind {
            const NAME: &'static str = $name;

            fn into_value(self) -> Value {
                Value::$kind(self)
            }

            fn of(value: &Value) -> Option<&Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn from_value(value: Value) -> Option<Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }
        }
    )*};
}

kinds! {
    Matrix: "f32 matrix",
    Numbers: "f64",
    Truths: "bool",
    Words: "string",
    Labels: "categorical",
    Graph: "CSR, f32",
    Record: "dictionary",
}
