//! From a fitted `.h5ad` file, whoever fitted it, to [`Velocities`].

use std::path::Path;

use ndarray::{ArcArray2, Axis};

use super::FittedFile;
use super::frame::quoted;
use crate::data::quantities::{LATENT_TIME, MS, VELOCITY, VELOCITY_GENES};
use crate::data::{Frame, GenesUsed, Velocities};
use crate::error::{Error, Result};

impl FittedFile {
    /// What comes after a fit needs: velocities and `Ms` of the genes used, annotation, neighbours, embeddings.
    ///
    /// Genes with a value that is not finite are left out and counted.
    ///
    /// # Errors
    /// [`Error::Input`] if the file has no velocities or moments, lacks genes or a column that `used` names, or no gene is left;
    /// [`Error::File`] if the system refuses to read.
    pub fn velocities(&self, used: &GenesUsed) -> Result<Velocities> {
        let asked = asked(self.path(), self.var(), used)?;
        if asked.is_empty() && *used == GenesUsed::VelocityGenes {
            return Err(Error::input(
                self.path(),
                format!("var/{}", VELOCITY_GENES.key()),
                "marks no gene: in none is a change of expression seen that velocities could show",
                "to see arrows all the same, choose genes with --genes all|COLUMN|FILE",
            ));
        }
        // One after the other: of a large file, both together with their parts would be twice as much.
        let streamed = self.fit().is_some_and(|fit| fit.settings.pointer("/model/stream").is_some_and(|on| on == true));
        let remedy = match streamed && !self.has_layer(VELOCITY) {
            true => {
                "a fit of this model with model.stream = true has no velocities of cells; fit it with model.stream = false"
            }
            false => "fit one first: nascent train, or scvelo.tl.velocity in Python",
        };
        let velocity = self.needed_layer(VELOCITY, remedy)?;
        let kept: Vec<usize> = asked.iter().copied().filter(|&gene| is_finite(&velocity, gene)).collect();
        let velocity = chosen(velocity, &kept);
        self.release(VELOCITY);
        let ms = self.needed_layer(MS, "moments are made by nascent train, or scvelo.pp.moments in Python")?;
        let usable: Vec<usize> = (0..kept.len()).filter(|&at| is_finite(&ms, kept[at])).collect();
        let genes: Vec<usize> = usable.iter().map(|&at| kept[at]).collect();
        let velocity = chosen(velocity, &usable);
        let ms = chosen(ms, &genes);
        self.release(MS);
        if genes.is_empty() {
            let problem = format!("none of the {} genes asked for has a velocity in every cell", asked.len());
            return Err(Error::input(
                self.path(),
                "layers/velocity",
                problem,
                "choose others with --genes all|COLUMN|FILE",
            ));
        }
        Ok(Velocities {
            unusable: asked.len() - genes.len(),
            genes,
            ms,
            velocity,
            neighbors: self.neighbors()?,
            obsm: self.embeddings()?,
            own_time: self.column(LATENT_TIME).is_some() && !self.latent_time_is_of_the_graph(),
            mode: self.mode().to_owned(),
            obs: self.obs().clone(),
            var: self.var().clone(),
        })
    }

    /// Positions of the genes whose velocity is used, as [`velocities`](Self::velocities) chooses them, but for those with values
    /// that are not finite.
    ///
    /// # Errors
    /// As [`velocities`](Self::velocities).
    pub fn genes(&self, used: &GenesUsed) -> Result<Vec<usize>> {
        asked(self.path(), self.var(), used)
    }

    /// Whether `latent_time` is the shared time of the genes that follows from a velocity graph, rather than the model's own.
    fn latent_time_is_of_the_graph(&self) -> bool {
        let ours = self.graph().and_then(|graph| graph.latent_time.as_ref());
        ours.is_some_and(|time| time.key == LATENT_TIME.key()) || *self.owner() == super::Owner::ScveloDynamical
    }
}

/// Positions of the genes that are asked for, rising.
fn asked(path: &Path, var: &Frame, used: &GenesUsed) -> Result<Vec<usize>> {
    let n_vars = var.index.len();
    let flagged = |column: &str| {
        let flags = var.get(column)?.truths()?;
        Some((0..n_vars).filter(|&gene| flags[gene]).collect::<Vec<_>>())
    };
    let no_flags = |column: &str| {
        let flags = var.columns.iter().filter(|(_, values)| values.truths().is_some());
        let known: Vec<String> = flags.map(|(name, _)| name.clone()).collect();
        let problem = format!("no column {column:?} of truth values; such columns: {}", quoted(&known));
        Error::input(path, "var", problem, "--genes takes all, such a column, or a file with one name per line")
    };
    match used {
        GenesUsed::VelocityGenes => match var.get(VELOCITY_GENES.key()) {
            Some(_) => flagged(VELOCITY_GENES.key()).ok_or_else(|| no_flags(VELOCITY_GENES.key())),
            None => Ok((0..n_vars).collect()),
        },
        GenesUsed::All => Ok((0..n_vars).collect()),
        GenesUsed::Column(column) => flagged(column).ok_or_else(|| no_flags(column)),
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

fn is_finite(matrix: &ArcArray2<f32>, gene: usize) -> bool {
    matrix.column(gene).iter().all(|value| value.is_finite())
}

fn chosen(matrix: ArcArray2<f32>, genes: &[usize]) -> ArcArray2<f32> {
    if genes.len() == matrix.ncols() { matrix } else { matrix.select(Axis(1), genes).into_shared() }
}
