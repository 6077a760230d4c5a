//! Where in which file: the context of every message about a file.

use std::borrow::Cow;
use std::path::Path;

use super::filters;
use crate::error::{Error, Result};

/// What to do about a file that contradicts itself.
pub(super) const DAMAGED: &str =
    "the file is damaged or was not written by anndata; write it anew with anndata's write_h5ad";

/// A place in a file, spelled as AnnData spells it: `layers["spliced"]`.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    path: Cow<'a, Path>,
    name: String,
}

impl<'a> Place<'a> {
    /// The top of the file.
    pub(super) fn root(path: &'a Path) -> Self {
        Self { path: Cow::Borrowed(path), name: String::new() }
    }

    /// The same place, to be kept.
    pub(super) fn into_owned(self) -> Place<'static> {
        Place { path: Cow::Owned(self.path.into_owned()), name: self.name }
    }

    /// What lies under `key` here.
    pub(super) fn child(&self, key: &str) -> Self {
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}[{key:?}]", self.name) };
        Self { path: self.path.clone(), name }
    }

    /// The top of the same file.
    pub(super) fn top(&self) -> Self {
        Self { path: self.path.clone(), name: String::new() }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The place without its file, for use inside a sentence.
    pub(super) fn name(&self) -> &str {
        if self.name.is_empty() { "file" } else { &self.name }
    }

    /// An [`Error::Input`] about this place.
    pub(super) fn error(&self, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::input(&self.path, self.name(), problem, hint)
    }

    /// The place contradicts itself or the rest of the file.
    pub(super) fn damaged(&self, problem: impl Into<String>) -> Error {
        self.error(problem, DAMAGED)
    }
}

/// Turns HDF5's errors into ours.
pub(super) trait At<T> {
    /// Says where reading failed.
    fn at(self, place: &Place) -> Result<T>;
}

impl<T> At<T> for hdf5::Result<T> {
    fn at(self, place: &Place) -> Result<T> {
        self.map_err(|error| {
            let words = reason(&error);
            let lacking = if words.contains("plugin") || words.contains("filter") {
                filters::lacking(place.path())
            } else {
                None
            };
            lacking.map_or_else(
                || place.damaged(format!("HDF5 cannot read it: {words}")),
                |filters| place.error(format!("compressed with {filters}, which this program lacks"), filters::REWRITE),
            )
        })
    }
}

/// HDF5's own words, on one line; the system's words alone where HDF5 quotes them.
pub(super) fn reason(error: &hdf5::Error) -> String {
    let words = error.to_string();
    let system = words.split_once("error message = '").and_then(|(_, rest)| rest.split_once('\''));
    match system {
        Some((system, _)) => system.to_owned(),
        None => words.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
