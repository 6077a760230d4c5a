//! What is known of data: a file that names where the truth stands.

use std::path::Path;

use ndarray::ArcArray2;
use serde::{Deserialize, Serialize};

use crate::data::{Column, Frame, Groups};
use crate::error::{Error, Result};
use crate::io::FittedFile;

/// What a truth file may say of one data set. All keys may be left out; what is not named is not compared.
///
/// ```json
/// {"time_key": "hours", "cluster_key": "clusters", "edges": [["stem", "early"], ["early", "late"]]}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Known {
    /// Which data set it is about: the name of its `.h5ad` file.
    pub file: Option<String>,
    /// What kind of data: `real`, `simulated`, or `null`: nothing has a direction.
    pub kind: Option<String>,
    /// Column of obs with true times, of which only the order counts. Not compared if time is cyclic.
    pub time_key: Option<String>,
    /// Column of obs with times on a circle.
    pub cyclic_key: Option<String>,
    /// Length of that circle, in the units of its times.
    pub period: Option<f64>,
    /// Column of obs with groups of cells.
    pub cluster_key: Option<String>,
    /// Known steps between groups, each from an earlier one to a later.
    pub edges: Vec<[String; 2]>,
    /// Layer with true `ds/dt`, in any unit of its own.
    pub velocity_layer: Option<String>,
    /// The same without the noise of single molecules; where it is named, velocities are compared with it.
    pub mean_velocity_layer: Option<String>,
    /// Column of truth values in var: the genes whose velocities are compared.
    pub genes_key: Option<String>,
    /// A remark on the times, for people.
    pub time_is: Option<String>,
    /// Column of var with the time at which a gene peaks. Not compared yet.
    pub gene_peak_key: Option<String>,
    /// Where this was read, for messages.
    #[serde(skip)]
    pub source: String,
}

/// A truth file: one entry, or a list of entries each with its `file`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entries {
    Many(Vec<serde_json::Value>),
    One(serde_json::Value),
}

/// Groups of cells, and the known steps between them by their numbers.
pub(super) type Steps = (Groups, Vec<(u32, u32)>);

impl Known {
    /// Reads the entry of the truth file at `path` for the data set `name`, a file's name with or without `.h5ad`. An entry that is
    /// alone in its file is for any data set, unless one was `asked` for by name.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::Config`] if it is no such file, has no such entry, or contradicts itself.
    pub fn read(path: &Path, name: &str, asked: bool) -> Result<Self> {
        let source = path.display().to_string();
        let unusable =
            |problem: String, hint: &str| Error::Config { place: source.clone(), problem, hint: hint.into() };
        let text = std::fs::read_to_string(path).map_err(|reason| Error::file(path, "read", reason))?;
        let keys =
            "a truth file is JSON: an object with keys such as time_key and velocity_layer, or a list of such objects";
        let entries = match serde_json::from_str(&text).map_err(|reason| unusable(reason.to_string(), keys))? {
            Entries::Many(entries) => entries,
            Entries::One(entry) => vec![entry],
        };
        let entries =
            entries.into_iter().map(serde_json::from_value::<Self>).collect::<std::result::Result<Vec<_>, _>>();
        let mut entries = entries.map_err(|reason| unusable(reason.to_string(), keys))?;
        let stem = |name: &str| name.strip_suffix(".h5ad").unwrap_or(name).to_owned();
        let is_it = |entry: &Self| entry.file.as_deref().is_some_and(|file| stem(file) == stem(name));
        let at = if entries.len() == 1 && !asked { Some(0) } else { entries.iter().position(is_it) };
        let Some(at) = at else {
            let names: Vec<&str> = entries.iter().filter_map(|entry| entry.file.as_deref()).collect();
            let problem = format!("no entry for {name:?}; entries: {}", names.join(", "));
            return Err(unusable(problem, "name one with --truth-entry NAME"));
        };
        let mut known = entries.swap_remove(at);
        if !known.edges.is_empty() && known.cluster_key.is_none() {
            return Err(unusable(
                "edges without cluster_key".into(),
                "cluster_key names the column of obs with the groups",
            ));
        }
        if known.cyclic_key.is_some() && !known.period.is_some_and(|period| period > 0.0 && period.is_finite()) {
            let problem = format!("cyclic_key with period = {:?}: must be a number above 0", known.period);
            return Err(unusable(problem, "period is the length of the circle in the units of cyclic_key"));
        }
        known.source = source;
        Ok(known)
    }

    /// The times in order, `[n_obs]`, with the period of those on a circle.
    ///
    /// # Errors
    /// [`Error::Input`] if the file has no such column, or it holds no numbers.
    pub(super) fn time(&self, file: &FittedFile) -> Result<Option<(Vec<f64>, Option<f64>)>> {
        let (key, named_by, period) = match (&self.cyclic_key, &self.time_key) {
            (Some(key), _) => (key, "cyclic_key", self.period),
            (None, Some(key)) => (key, "time_key", None),
            (None, None) => return Ok(None),
        };
        let column = self.column(file, "obs", file.obs(), key, named_by)?;
        let numbers = column.to_numbers().ok_or_else(|| {
            let place = format!("obs[{key:?}]");
            let problem = format!("named by {named_by} in {}: holds labels, not times", self.source);
            Error::input(file.path(), place, problem, "name a column of numbers")
        })?;
        Ok(Some((numbers, period)))
    }

    /// The true velocity that is compared, and the momentary one where that is another; `[n_obs, n_vars]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the file has no such layer.
    pub(super) fn velocities(&self, file: &FittedFile) -> Result<[Option<ArcArray2<f32>>; 2]> {
        let layer = |key: &Option<String>, named_by: &str| {
            let read = |key: &String| file.layer_named(key).map_err(|error| self.named_by(error, named_by));
            key.as_ref().map(read).transpose()
        };
        let momentary = layer(&self.velocity_layer, "velocity_layer")?;
        let mean = layer(&self.mean_velocity_layer, "mean_velocity_layer")?;
        Ok(if mean.is_some() { [mean, momentary] } else { [momentary, None] })
    }

    /// Positions of the genes that are compared; `None`: all.
    ///
    /// # Errors
    /// [`Error::Input`] if the file has no such column, or it holds no truth values.
    pub(super) fn genes(&self, file: &FittedFile) -> Result<Option<Vec<usize>>> {
        let Some(key) = &self.genes_key else { return Ok(None) };
        let column = self.column(file, "var", file.var(), key, "genes_key")?;
        let Some(flags) = column.truths() else {
            let problem = format!("named by genes_key in {}: holds no truth values", self.source);
            return Err(Error::input(file.path(), format!("var[{key:?}]"), problem, "name a column of True and False"));
        };
        Ok(Some((0..flags.len()).filter(|&gene| flags[gene]).collect()))
    }

    /// Groups of cells, and the edges by their numbers; no groups if none are named.
    ///
    /// # Errors
    /// [`Error::Input`] if the file has no such column or groups.
    pub(super) fn groups(&self, file: &FittedFile) -> Result<Option<Steps>> {
        let Some(key) = &self.cluster_key else { return Ok(None) };
        self.column(file, "obs", file.obs(), key, "cluster_key")?;
        let groups = Groups::read(file.obs(), key, "cluster_key")?;
        let number = |name: &String| {
            let found = groups.names.iter().position(|known| known == name).map(|at| at as u32);
            found.ok_or_else(|| {
                let problem = format!(
                    "no group {name:?}, named by edges in {}; groups: {}",
                    self.source,
                    groups.names.join(", ")
                );
                Error::input(
                    file.path(),
                    format!("obs[{key:?}]"),
                    problem,
                    "edges are spelled as the groups of cluster_key",
                )
            })
        };
        let edges = self.edges.iter().map(|[from, to]| Ok((number(from)?, number(to)?))).collect::<Result<_>>()?;
        Ok(Some((groups, edges)))
    }

    /// Number of groups in which known steps end, which is that of the lineages; `None` if no steps are known or they go round.
    #[must_use]
    pub fn ends(&self) -> Option<usize> {
        let begins = |name: &String| self.edges.iter().any(|[from, _]| from == name);
        let mut ends: Vec<&String> = self.edges.iter().map(|[_, to]| to).filter(|to| !begins(to)).collect();
        ends.sort_unstable();
        ends.dedup();
        (!ends.is_empty()).then_some(ends.len())
    }

    fn column<'a>(
        &self,
        file: &FittedFile,
        slot: &str,
        frame: &'a Frame,
        key: &str,
        named_by: &str,
    ) -> Result<&'a Column> {
        frame.get(key).ok_or_else(|| {
            let names: Vec<String> = frame.columns.iter().map(|(name, _)| format!("{name:?}")).collect();
            let problem =
                format!("named by {named_by} in {}: not found; columns present: {}", self.source, names.join(", "));
            Error::input(file.path(), format!("{slot}[{key:?}]"), problem, "change the truth file, or add the column")
        })
    }

    /// Adds to an error of a file which key of the truth asked for it.
    fn named_by(&self, error: Error, key: &str) -> Error {
        match error {
            Error::Input { path, place, problem, .. } => {
                let problem = format!("named by {key} in {}: {problem}", self.source);
                Error::Input { path, place, problem, hint: "change the truth file, or add the layer".to_owned() }
            }
            other => other,
        }
    }
}
