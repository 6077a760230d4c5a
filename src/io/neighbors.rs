//! The neighbour graph of a file, wherever its scanpy put it.

use hdf5::Group;

use super::h5::{self, Node};
use super::matrix::Matrix;
use super::place::Place;
use super::sparse;
use super::store::{CONNECTIVITIES_KEY, DISTANCES_KEY, N_NEIGHBORS, PARAMS};
use crate::data::Neighbors;
use crate::data::quantities::{CONNECTIVITIES, DISTANCES, NEIGHBORS};
use crate::error::Result;
use crate::sparse::Csr;

/// The neighbour graph that `uns[key]` describes: `obsp` under the names that it gives or the usual ones (scanpy 1.5 and
/// later), else inside `uns["neighbors"]`. `None` if there is none, or one over other cells.
///
/// Distances are empty where the file has only connectivities.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if the graph is damaged or has weights that are negative or not finite.
pub(super) fn read(root: &Group, key: &str, n_obs: usize, place: &Place) -> Result<Option<Neighbors>> {
    let record = match Node::open(root, "uns") {
        Some(Node::Group(uns)) => uns.group(key).ok(),
        _ => None,
    };
    let graph = |key: &str, usual: &str| find(root, record.as_ref(), key, usual, n_obs, place);
    let Some(connectivities) = graph(CONNECTIVITIES_KEY, CONNECTIVITIES.key())? else {
        return Ok(None);
    };
    let distances = graph(DISTANCES_KEY, DISTANCES.key())?.unwrap_or_else(|| Csr {
        n_rows: n_obs,
        n_cols: n_obs,
        indptr: vec![0; n_obs + 1],
        ..Csr::default()
    });
    let recorded = record.as_ref().and_then(|record| {
        let params = record.group(PARAMS).ok()?;
        h5::scalar(&params, N_NEIGHBORS)
    });
    // a small count; `as` saturates
    let n_neighbors = match recorded {
        Some(number) if number >= 1.0 => number as usize,
        _ => 1 + longest_row(&distances).max(if distances.nnz() == 0 { longest_row(&connectivities) } else { 0 }),
    };
    Ok(Some(Neighbors { connectivities, distances, n_neighbors }))
}

fn longest_row(graph: &Csr<f32>) -> usize {
    graph.indptr.windows(2).map(|ends| ends[1] - ends[0]).max().unwrap_or(0)
}

fn find(
    root: &Group,
    record: Option<&Group>,
    key: &str,
    usual: &str,
    n_obs: usize,
    place: &Place,
) -> Result<Option<Csr<f32>>> {
    let name = record.and_then(|record| h5::word(record, key)).unwrap_or_else(|| usual.to_owned());
    let in_obsp = match Node::open(root, "obsp") {
        Some(Node::Group(obsp)) => Node::open(&obsp, &name),
        _ => None,
    };
    let in_uns = || record.and_then(|record| Node::open(record, usual));
    let (node, place) = match in_obsp {
        Some(node) => (node, place.child("obsp").child(&name)),
        None => match in_uns() {
            Some(node) => (node, place.child("uns").child(NEIGHBORS.key()).child(usual)),
            None => return Ok(None),
        },
    };
    let stored = Matrix::open(&node, place.clone())?;
    if stored.shape() != [n_obs, n_obs] {
        return Ok(None);
    }
    let graph = sparse::without_diagonal(&stored.to_csr()?);
    match graph.data.iter().find(|&&weight| !weight.is_finite() || weight < 0.0) {
        Some(weight) => Err(place.error(
            format!("the graph holds {weight}, but weights and distances are finite and not negative"),
            "compute the neighbours again, or remove them: del adata.obsp[...], adata.uns['neighbors']",
        )),
        None => Ok(Some(graph)),
    }
}
