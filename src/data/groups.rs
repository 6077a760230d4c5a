//! Which group each cell is in.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use super::{Column, Frame};
use crate::error::{Error, Result};

/// What columns that tell samples apart are called, the likeliest first; names that begin so count as well (`sample_id`).
pub const USUAL_SAMPLES: [&str; 10] =
    ["sample", "batch", "orig.ident", "library", "donor", "run", "lane", "channel", "plate", "day"];

/// The place of `name` among the usual names of columns of samples, the least for the likeliest: names that are such a word come before
/// those that begin with one; `None` for other names.
#[must_use]
pub fn sample_rank(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let whole = USUAL_SAMPLES.iter().position(|usual| name == *usual);
    let begins = || USUAL_SAMPLES.iter().position(|usual| name.starts_with(usual));
    whole.or_else(|| Some(USUAL_SAMPLES.len() + begins()?))
}

/// Columns that may tell samples apart, with so many different `labels`; the usual names first, in their order, then the others.
#[must_use]
pub fn sample_columns(columns: &[(String, Column)], labels: RangeInclusive<usize>) -> Vec<&str> {
    let few = |column: &Column| match column {
        Column::Categorical { categories, .. } => labels.contains(&categories.len()),
        Column::Text(_) | Column::Int(_) => {
            let found = column.to_labels();
            // A label for every cell is a name of the cell.
            let most = 1 + found.len() / 2;
            let found = found.into_iter().collect::<HashSet<String>>().len();
            labels.contains(&found) && found <= most
        }
        Column::Float(_) | Column::Bool(_) => false,
    };
    let mut names: Vec<&str> =
        columns.iter().filter(|(_, column)| few(column)).map(|(name, _)| name.as_str()).collect();
    names.sort_by_key(|name| sample_rank(name).unwrap_or(usize::MAX));
    names
}

/// Groups of cells, from a column of obs.
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    /// Their names.
    pub names: Vec<String>,
    /// Group of each cell, `[n_obs]`; none where the label is missing.
    pub of: Vec<Option<u32>>,
}

impl Groups {
    /// The groups in column `name` of obs: categories in their order, other labels in alphabetical order. `named_by` is the
    /// setting or flag that says so, for messages.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, or it holds numbers.
    pub fn read(obs: &Frame, name: &str, named_by: &str) -> Result<Self> {
        let unusable = |problem: String| Error::Data {
            problem: format!("obs[{name:?}], named by {named_by}, {problem}"),
            hint: "name a column of labels".to_owned(),
        };
        let column = obs.get(name).ok_or_else(|| {
            let names: Vec<&str> = obs.columns.iter().map(|(name, _)| name.as_str()).collect();
            unusable(format!("is not in the file; its columns are: {}", names.join(", ")))
        })?;
        Ok(match column {
            Column::Categorical { codes, categories, .. } => Self::from_categories(codes, categories),
            // Whole numbers of which some are missing: clusters of cells that not all have one.
            Column::Float(values) if values.iter().all(|value| value.is_nan() || value.fract() == 0.0) => {
                let word = |&value: &f64| if value.is_nan() { String::new() } else { format!("{value:.0}") };
                Self::from_labels(&values.iter().map(word).collect::<Vec<_>>())
            }
            Column::Float(_) => return Err(unusable("holds numbers rather than labels".to_owned())),
            other => Self::from_labels(&other.to_labels()),
        })
    }

    /// Cells without a label are in no group: missing ones, and those whose label is empty. Categories of one name, which damaged files
    /// have, are one group.
    fn from_categories(codes: &[Option<u32>], categories: &[String]) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(categories.len());
        let mut places: HashMap<&str, u32> = HashMap::with_capacity(categories.len());
        for name in categories.iter().filter(|name| !name.is_empty()) {
            places.entry(name).or_insert_with(|| {
                names.push(name.clone());
                names.len() as u32 - 1
            });
        }
        let place = |code: u32| places.get(categories[code as usize].as_str()).copied();
        Self { of: codes.iter().map(|code| code.and_then(place)).collect(), names }
    }

    fn from_labels(labels: &[String]) -> Self {
        let names: BTreeSet<&String> = labels.iter().filter(|label| !label.is_empty()).collect();
        let names: Vec<String> = names.into_iter().cloned().collect();
        let position = |label| names.binary_search(label).ok().map(|at| at as u32);
        Self { of: labels.iter().map(position).collect(), names }
    }

    /// The same without the groups that no cell is in.
    #[must_use]
    pub fn without_empty(self) -> Self {
        let mut used: Vec<u32> = self.of.iter().flatten().copied().collect();
        used.sort_unstable();
        used.dedup();
        let place = |group: u32| used.binary_search(&group).ok().map(|at| at as u32);
        Self {
            of: self.of.iter().map(|group| group.and_then(place)).collect(),
            names: used.iter().map(|&group| self.names[group as usize].clone()).collect(),
        }
    }

    /// The cells of each group, rising.
    #[must_use]
    pub fn cells(&self) -> Vec<Vec<usize>> {
        let mut cells = vec![Vec::new(); self.names.len()];
        for (cell, group) in self.of.iter().enumerate() {
            if let Some(group) = group {
                cells[*group as usize].push(cell);
            }
        }
        cells
    }

    /// Those of `cells` in `group`.
    #[must_use]
    pub fn among(&self, cells: &[u32], group: usize) -> Vec<u32> {
        cells.iter().copied().filter(|&cell| self.of[cell as usize] == Some(group as u32)).collect()
    }

    /// Names of `found`, joined by commas.
    #[must_use]
    pub fn list(&self, found: &[usize]) -> String {
        found.iter().map(|&group| self.names[group].as_str()).collect::<Vec<_>>().join(",")
    }
}
