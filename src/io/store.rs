//! Results of each step into a copy of its input, with the record of what was written.

use std::path::Path;

use super::place::Place;
use super::records::{MODE, PROGRAM_KEY, Records, present, stale_before_fit, stale_before_graph};
use super::stamp::Stamp;
use super::write::{Change, Written, only_fitted, write};
use super::{GenesWritten, OutputConfig, frame, h5, of_fit};
use crate::data::quantities::{
    CONNECTIVITIES, CONNECTIVITIES_VELOCITY, DISTANCES, DISTANCES_VELOCITY, NASCENT_FIT, NASCENT_GRAPH,
    NASCENT_PERMUTATION, NEIGHBORS, NEIGHBORS_VELOCITY, Slot, VELOCITY_PARAMS, Values, X_PCA, X_PCA_VELOCITY, X_UMAP,
    path,
};
use crate::data::{
    Dataset, FORMAT, Fit, FitRecord, GraphRecord, Layers, NeighborsRecord, PROGRAM, PermutationRecord, is_written,
};
use crate::error::Result;

/// `uns["neighbors"]`: where in obsp the weights are.
pub(super) const CONNECTIVITIES_KEY: &str = "connectivities_key";
/// `uns["neighbors"]`: where in obsp the distances are.
pub(super) const DISTANCES_KEY: &str = "distances_key";
/// `uns["neighbors"]`: settings of the graph, a dictionary.
pub(super) const PARAMS: &str = "params";
/// `uns["neighbors"]["params"]`: neighbours asked for, the cell itself included.
pub(super) const N_NEIGHBORS: &str = "n_neighbors";
/// `uns["neighbors"]["params"]`: the coordinates in which they were sought.
pub(super) const USE_REP: &str = "use_rep";

/// Writes a copy of `input` with a fit to `data`, which came from it, in place of an earlier fit and all that was computed from it,
/// of this program or another. `record` says what there is to say of the fit but for data, measurements and what was written.
///
/// `input` is still the file that was read, at the beginning and when the copy takes its place; otherwise nothing is written.
/// Everything in it that is no velocity result survives. The file appears whole or not at all; `output` may be `input`. The
/// same input and the same results give the same bytes.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the arrays do not fit together, [`Error::Input`](crate::Error::Input) if `input` cannot be
/// read or is another file by now, [`Error::File`](crate::Error::File) if the system refuses to write; then what stood at `output` still stands there.
pub fn write_fit(
    output: &Path,
    input: &Stamp,
    config: &OutputConfig,
    data: Dataset,
    fit: Fit,
    record: FitRecord,
) -> Result<Written> {
    let (genes, values, record) = of_fit::values(data, fit, record, config)?;
    write_values(output, input, config, &genes, (values, None, record))
}

/// The same of a fit whose layers, if it has any, are made as they are written, to the genes at the positions `genes`, rising.
///
/// # Errors
/// As [`write_fit`], and whatever making the layers can meet.
pub fn write_streamed_fit(
    output: &Path,
    input: &Stamp,
    config: &OutputConfig,
    genes: &[usize],
    (fit, layers): (Fit, Option<Layers>),
    mut record: FitRecord,
) -> Result<Written> {
    record.moments = fit.moments;
    write_values(output, input, config, genes, (fit.into_values(), layers, record))
}

fn write_values(
    output: &Path,
    input: &Stamp,
    config: &OutputConfig,
    genes: &[usize],
    (mut values, mut layers, mut record): (Values, Option<Layers>, FitRecord),
) -> Result<Written> {
    config.validate()?;
    let (stale, cut) = {
        let file = h5::open(input.path())?;
        let place = Place::root(input.path());
        let stale = stale_before_fit(&file, &Records::read(&file, &place)?);
        let present = present(&file);
        let among = |all: &[(Slot, String)], slot, key: &str| all.iter().any(|(at, name)| *at == slot && name == key);
        let stays = |slot: Slot, key: &str| among(&present, slot, key) && !among(&stale, slot, key);
        rename_beside_foreign(&mut values, &mut record, stays);
        let n_obs = frame::n_rows(&file, "obs", &place.child("obs"))?;
        let n_vars = frame::n_rows(&file, "var", &place.child("var"))?;
        (stale, only_fitted(config, n_obs, n_vars))
    };
    let left_out = values.retain(|about, _| config.wants(about));
    record.left_out.extend(left_out.iter().map(|(slot, key)| path(*slot, key)));
    let not_made = layers.as_mut().map(|layers| layers.retain(|about| config.wants(about))).unwrap_or_default();
    record.left_out.extend(not_made.into_iter().map(|about| path(about.slot, about.key)));
    record.left_out.sort_unstable();
    record.only_fitted_genes = cut;
    record.format = FORMAT;
    PROGRAM.clone_into(&mut record.program);
    values.set(VELOCITY_PARAMS, serde_json::json!({MODE: record.mode, PROGRAM_KEY: record.program}));
    record.written = paths(&values);
    record.written.extend(layers.iter().flat_map(Layers::which).map(|about| path(about.slot, about.key)));
    record.written.push(NASCENT_FIT.about().path(NASCENT_FIT.key()));
    values.set(NASCENT_FIT, as_json(&record));
    let change = Change { stale: &stale, values: &values, layers: layers.as_ref(), genes };
    let written = write(output, input, config, cut, &change)?;
    Ok(Written { left_out: record.left_out, ..written })
}

/// The same for a velocity graph and what follows from it, over all genes of the file: an earlier one goes.
///
/// # Errors
/// As [`write_fit`].
pub fn write_graph(
    output: &Path,
    input: &Stamp,
    genes: &[usize],
    mut values: Values,
    mut record: GraphRecord,
) -> Result<Written> {
    let stale = {
        let file = h5::open(input.path())?;
        let records = Records::read(&file, &Place::root(input.path()))?;
        // What an earlier graph had to compute and this one found in the file is still ours.
        let kept = [
            (Slot::Obsp, CONNECTIVITIES.key()),
            (Slot::Obsp, DISTANCES.key()),
            (Slot::Uns, NEIGHBORS.key()),
            (Slot::Obsm, X_UMAP.key()),
        ];
        let before = records.graph.as_ref().map_or(&[][..], |graph| &graph.written);
        record.written = kept
            .iter()
            .filter(|(slot, key)| is_written(before, *slot, key))
            .map(|(slot, key)| path(*slot, key))
            .collect();
        stale_before_graph(&file, &records)
    };
    record.format = FORMAT;
    PROGRAM.clone_into(&mut record.program);
    record.written.extend(paths(&values));
    record.written.push(NASCENT_GRAPH.about().path(NASCENT_GRAPH.key()));
    record.written.sort_unstable();
    record.written.dedup();
    values.set(NASCENT_GRAPH, as_json(&record));
    let config = OutputConfig { genes: GenesWritten::All, ..OutputConfig::default() };
    write(output, input, &config, false, &Change { stale: &stale, values: &values, layers: None, genes })
}

/// The same for permutation scores, which are added to the file `fitted`.
///
/// # Errors
/// As [`write_fit`].
pub fn write_permutation(
    fitted: &Stamp,
    config: &OutputConfig,
    genes: &[usize],
    mut values: Values,
    mut record: PermutationRecord,
) -> Result<Written> {
    record.format = FORMAT;
    PROGRAM.clone_into(&mut record.program);
    record.written = paths(&values);
    record.written.push(NASCENT_PERMUTATION.about().path(NASCENT_PERMUTATION.key()));
    values.set(NASCENT_PERMUTATION, as_json(&record));
    write(fitted.path(), fitted, config, false, &Change { stale: &[], values: &values, layers: None, genes })
}

/// Neighbours and components of ours get names of their own where the file keeps others under the usual ones: nobody could tell
/// any more what belongs to what.
fn rename_beside_foreign(values: &mut Values, record: &mut FitRecord, stays: impl Fn(Slot, &str) -> bool) {
    if values.get(X_PCA).is_some() && stays(Slot::Obsm, X_PCA.key()) {
        if let Some(components) = values.take(X_PCA) {
            values.set(X_PCA_VELOCITY, components);
        }
        if let Some(neighbors) = values.get_mut(NEIGHBORS) {
            neighbors[PARAMS][USE_REP] = X_PCA_VELOCITY.key().into();
        }
    }
    let others = stays(Slot::Uns, NEIGHBORS.key())
        || stays(Slot::Obsp, CONNECTIVITIES.key())
        || stays(Slot::Obsp, DISTANCES.key());
    if values.get(NEIGHBORS).is_none() || !others {
        return;
    }
    if let Some(mut neighbors) = values.take(NEIGHBORS) {
        neighbors[CONNECTIVITIES_KEY] = CONNECTIVITIES_VELOCITY.key().into();
        neighbors[DISTANCES_KEY] = DISTANCES_VELOCITY.key().into();
        values.set(NEIGHBORS_VELOCITY, neighbors);
    }
    if let Some(connectivities) = values.take(CONNECTIVITIES) {
        values.set(CONNECTIVITIES_VELOCITY, connectivities);
    }
    if let Some(distances) = values.take(DISTANCES) {
        values.set(DISTANCES_VELOCITY, distances);
    }
    NEIGHBORS_VELOCITY.key().clone_into(&mut record.neighbors.key);
}

/// scanpy's record of a neighbour graph, with BBKNN's word for batches.
#[must_use]
pub fn neighbors_record(neighbors: &NeighborsRecord) -> serde_json::Value {
    let mut params = serde_json::json!({N_NEIGHBORS: neighbors.n_neighbors, "method": "umap", "metric": "euclidean"});
    for (key, name) in [(USE_REP, &neighbors.use_rep), ("batch_key", &neighbors.batch)] {
        if !name.is_empty() {
            params[key] = name.as_str().into();
        }
    }
    serde_json::json!({
        CONNECTIVITIES_KEY: CONNECTIVITIES.key(),
        DISTANCES_KEY: DISTANCES.key(),
        PARAMS: params,
    })
}

fn paths(values: &Values) -> Vec<String> {
    super::pieces::pieces(values).iter().map(|piece| path(piece.slot, &piece.key)).collect()
}

fn as_json(record: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(record).expect("records are words, numbers, lists and dictionaries")
}
