//! Values for `uns`: words, numbers, lists and dictionaries of them.

use hdf5::{Dataset, Group, H5Type};

use super::element::{Sink, unicode};
use crate::error::Result;

/// A value for `uns`.
#[derive(Clone, Debug, PartialEq)]
pub enum Uns {
    /// A word.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Words.
    Texts(Vec<String>),
    /// Numbers.
    Floats(Vec<f64>),
    /// A dictionary.
    Dict(Vec<(String, Uns)>),
}

impl Uns {
    /// A JSON value as anndata would hold it; `null` and mixed lists have no such form and give `None`.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        use serde_json::Value;
        Some(match value {
            Value::Null => return None,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => Self::Float(number.as_f64()?),
            },
            Value::String(word) => Self::Text(word.clone()),
            Value::Array(items) => {
                let words: Option<Vec<_>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                let numbers = || items.iter().map(Value::as_f64).collect::<Option<Vec<_>>>();
                match words {
                    Some(words) if !words.is_empty() => Self::Texts(words),
                    _ => Self::Floats(numbers()?),
                }
            }
            Value::Object(members) => Self::Dict(
                members.iter().filter_map(|(key, value)| Some((key.clone(), Self::from_json(value)?))).collect(),
            ),
        })
    }
}

impl Sink<'_> {
    /// A value for `uns`.
    pub(super) fn uns(&self, parent: &Group, name: &str, value: &Uns) -> Result<()> {
        match value {
            Uns::Text(word) => {
                let dataset = self.scalar(parent, name, &unicode(word))?;
                self.mark(&dataset, "string", "0.2.0")
            }
            Uns::Int(number) => self.number(parent, name, number),
            Uns::Float(number) => self.number(parent, name, number),
            Uns::Bool(flag) => self.number(parent, name, flag),
            Uns::Texts(words) => self.texts(parent, name, words),
            Uns::Floats(numbers) => self.array(parent, name, numbers),
            Uns::Dict(members) => {
                let group = self.group(parent, name, "dict", "0.1.0")?;
                members.iter().try_for_each(|(key, value)| self.uns(&group, key, value))
            }
        }
    }

    fn number<T: H5Type>(&self, parent: &Group, name: &str, value: &T) -> Result<()> {
        let dataset = self.scalar(parent, name, value)?;
        self.mark(&dataset, "numeric-scalar", "0.2.0")
    }

    fn scalar<T: H5Type>(&self, parent: &Group, name: &str, value: &T) -> Result<Dataset> {
        self.refuse_slash(name)?;
        let dataset = parent.new_dataset::<T>().create(name);
        let dataset = self.sure(dataset, name)?;
        self.sure(dataset.write_scalar(value), name)?;
        Ok(dataset)
    }
}
