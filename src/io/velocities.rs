//! From a fitted `.h5ad` file, whoever fitted it, to [`Velocities`].

use std::path::Path;

use ndarray::{Array2, Axis};

use super::frame::quoted;
use super::place::Place;
use super::read::{annotation, embeddings, layer};
use super::{h5, keys, neighbors, read_params};
use crate::data::{Column, Frame, GenesUsed, Velocities};
use crate::error::{Error, Result};

/// Reads what comes after a fit needs: `layers["velocity"]`, `layers["Ms"]`, annotation, neighbours, embeddings.
///
/// Genes with a value that is not finite are left out and counted.
///
/// # Errors
/// [`Error::Input`] if the file has no velocities or moments, lacks genes or a column that `used` names, or no gene is left;
/// [`Error::File`] if the system refuses to read.
pub fn read_velocities(path: &Path, used: &GenesUsed) -> Result<Velocities> {
    let file = h5::open(path)?;
    let place = Place::root(path);
    let (obs, var) = annotation(&file, &place)?;
    let asked = asked(path, &var, used)?;
    let (n_obs, n_vars) = (obs.index.len(), var.index.len());
    let matrix = |name: &str, hint: &str| -> Result<Array2<f32>> {
        let stored = layer(&file, name, None, &place).map_err(|error| with_hint(error, hint))?;
        stored.require_shape(n_obs, n_vars)?;
        stored.to_dense()
    };
    let velocity = matrix(keys::VELOCITY, "fit one first: nascent train, or scvelo.tl.velocity in Python")?;
    // One after the other: of a large file, both together with their parts would be twice as much.
    let kept: Vec<usize> = asked.iter().copied().filter(|&gene| is_finite(&velocity, gene)).collect();
    let velocity = chosen(velocity, &kept);
    let ms = matrix(keys::MS, "moments are made by nascent train, or scvelo.pp.moments in Python")?;
    let usable: Vec<usize> = (0..kept.len()).filter(|&at| is_finite(&ms, kept[at])).collect();
    let genes: Vec<usize> = usable.iter().map(|&at| kept[at]).collect();
    let velocity = chosen(velocity, &usable);
    let ms = chosen(ms, &genes);
    if genes.is_empty() {
        let problem = format!("none of the {} genes asked for has a velocity in every cell", asked.len());
        return Err(Error::input(path, "layers/velocity", problem, "choose others with --genes all|COLUMN|FILE"));
    }
    let params = read_params(path)?.unwrap_or_default();
    Ok(Velocities {
        path: path.to_path_buf(),
        unusable: asked.len() - genes.len(),
        genes,
        ms,
        velocity,
        neighbors: neighbors::read(&file, n_obs, &place)?,
        obsm: embeddings(&file, n_obs, &place.child("obsm"))?,
        own_time: params.get(keys::LATENT_TIME).and_then(serde_json::Value::as_bool),
        mode: params.get(keys::MODE).and_then(|mode| mode.as_str()).unwrap_or_default().to_owned(),
        obs,
        var,
    })
}

/// Positions of the genes that are asked for, rising.
fn asked(path: &Path, var: &Frame, used: &GenesUsed) -> Result<Vec<usize>> {
    let n_vars = var.index.len();
    let flagged = |column: &str| match var.get(column) {
        Some(Column::Bool(flags)) => Some((0..n_vars).filter(|&gene| flags[gene]).collect::<Vec<_>>()),
        _ => None,
    };
    match used {
        GenesUsed::VelocityGenes => Ok(flagged(keys::VELOCITY_GENES).unwrap_or_else(|| (0..n_vars).collect())),
        GenesUsed::All => Ok((0..n_vars).collect()),
        GenesUsed::Column(column) => flagged(column).ok_or_else(|| {
            let flags = var.columns.iter().filter(|(_, values)| matches!(values, Column::Bool(_)));
            let known: Vec<String> = flags.map(|(name, _)| name.clone()).collect();
            let problem = format!("no column {column:?} of truth values; such columns: {}", quoted(&known));
            Error::input(path, "var", problem, "--genes takes all, such a column, or a file with one name per line")
        }),
        GenesUsed::Named(names) => {
            let known: std::collections::HashMap<&str, usize> =
                var.index.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
            let missing: Vec<String> =
                names.iter().filter(|name| !known.contains_key(name.as_str())).cloned().collect();
            if !missing.is_empty() {
                let shown = quoted(&missing[..missing.len().min(5)]);
                let problem = format!("{} of the {} genes named are not there: {shown}", missing.len(), names.len());
                return Err(Error::input(path, "var", problem, "names are those of adata.var_names"));
            }
            let mut genes: Vec<usize> = names.iter().map(|name| known[name.as_str()]).collect();
            genes.sort_unstable();
            genes.dedup();
            Ok(genes)
        }
    }
}

fn is_finite(matrix: &Array2<f32>, gene: usize) -> bool {
    matrix.column(gene).iter().all(|value| value.is_finite())
}

fn chosen(matrix: Array2<f32>, genes: &[usize]) -> Array2<f32> {
    if genes.len() == matrix.ncols() { matrix } else { matrix.select(Axis(1), genes) }
}

fn with_hint(error: Error, hint: &str) -> Error {
    match error {
        Error::Input { path, place, problem, .. } => Error::Input { path, place, problem, hint: hint.to_owned() },
        other => other,
    }
}
