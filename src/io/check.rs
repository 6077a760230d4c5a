//! What counts must satisfy before anything is computed from them.

use std::collections::HashSet;

use hdf5::{Dataset, File};

use super::frame::quoted;
use super::h5::{self, Kind, Node};
use super::place::Place;
use crate::data::Frame;
use crate::error::Result;
use crate::sparse::Csr;

/// Fails if something else stands where AnnData has a group of elements. Frames and `obsm`, `varm` were tables of records before anndata 0.7.
pub(super) fn groups(file: &File, place: &Place) -> Result<()> {
    for name in ["obs", "var", "obsm", "varm", "layers", "obsp", "varp", "uns"] {
        let table =
            |dataset: &Dataset| ["obs", "var", "obsm", "varm"].contains(&name) && h5::kind(dataset) == Kind::Record;
        match Node::open(file, name) {
            Some(Node::Dataset(dataset)) if !table(&dataset) => {
                let found = h5::dtype_name(&dataset);
                return Err(place
                    .child(name)
                    .damaged(format!("a group of elements was expected, found one value or array ({found})")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Fails unless there are rows and their names differ. `what` is `cell` or `gene`.
pub(super) fn names(frame: &Frame, what: &str, place: &Place) -> Result<()> {
    if frame.index.is_empty() {
        return Err(place.error(format!("there are no {what}s"), "check how the file was filtered"));
    }
    let mut seen = HashSet::with_capacity(frame.index.len());
    let repeated: Vec<&String> = frame.index.iter().filter(|name| !seen.insert(name.as_str())).collect();
    if repeated.is_empty() {
        return Ok(());
    }
    let mut few: Vec<String> = repeated.into_iter().cloned().collect();
    let n_repeated = few.len();
    few.sort_unstable();
    few.dedup();
    let axis = if what == "gene" { "var" } else { "obs" };
    Err(place.error(
        format!("{n_repeated} {what} names occur more than once: {}", quoted(&few)),
        format!("in Python: adata.{axis}_names_make_unique(), then write the file again"),
    ))
}

/// Fails unless all entries are finite and none is negative. `cells` and `genes` are the names of rows and columns.
pub(super) fn counts(layer: &Csr<f32>, cells: &[String], genes: &[String], place: &Place) -> Result<()> {
    let bad = |value: &&f32| !(0.0..f32::INFINITY).contains(*value);
    // One pass without a branch for the counts that are good, which are read many times.
    if !layer.data.iter().fold(false, |any, value| any | bad(&value)) {
        return Ok(());
    }
    let n_bad = layer.data.iter().filter(bad).count();
    let Some(first) = layer.data.iter().position(|value| bad(&value)) else {
        return Ok(());
    };
    let cell = layer.indptr.partition_point(|&start| start <= first) - 1;
    let gene = layer.indices[first] as usize;
    let value = layer.data[first];
    let (problem, hint) = if value.is_nan() {
        ("not a number", "fill or drop missing values: velocity needs counts")
    } else if value < 0.0 {
        (
            "negative",
            "the layer seems scaled or batch-corrected: give the raw counts of spliced and unspliced molecules",
        )
    } else {
        ("infinite", "give the raw counts of spliced and unspliced molecules")
    };
    Err(place.error(
        format!(
            "{n_bad} of {} entries cannot be counts; the first, cell {:?}, gene {:?}, is {problem} ({value})",
            layer.nnz(),
            cells[cell],
            genes[gene]
        ),
        hint,
    ))
}
