//! What users mean by the words after `--root` and `--groups`.

use crate::data::{Column, Frame, Groups, RootRecord};
use crate::error::{Error, Result};

/// Columns that are taken for cell types if none is named, the first that is there.
const USUAL_GROUPS: [&str; 9] =
    ["clusters", "cell_type", "celltype", "cell_types", "CellType", "leiden", "louvain", "clusters_coarse", "cluster"];

/// The column of groups of cells that is named, or the usual one: its name, and the groups.
///
/// # Errors
/// As [`Groups::read`], if the named column cannot be used.
pub(in crate::pipeline) fn groups(obs: &Frame, named: &str) -> Result<Option<(String, Groups)>> {
    if !named.is_empty() {
        return Ok(Some((named.to_owned(), Groups::read(obs, named, "--groups")?)));
    }
    let usual = USUAL_GROUPS.into_iter().find_map(|name| Some((name, Groups::read(obs, name, "--groups").ok()?)));
    Ok(usual.map(|(name, groups)| (name.to_owned(), groups)))
}

/// The cells that `given` stands for, and what it was taken for. It may be
///
/// - the name of a cell,
/// - `COLUMN=LABEL`, the cells with this label,
/// - a column of truth values, the cells for which it is true,
/// - a column of numbers, such as capture times: the cells with the least,
/// - a label of `groups`.
///
/// # Errors
/// [`Error::Setting`] that repeats `given` and says what could have been meant.
pub(in crate::pipeline) fn cells(
    obs: &Frame,
    given: &str,
    groups: Option<&(String, Groups)>,
) -> Result<(Vec<usize>, RootRecord)> {
    let n_obs = obs.index.len();
    if let Some(cell) = obs.index.iter().position(|name| name == given) {
        return Ok((vec![cell], RootRecord::Cell { cell: given.to_owned() }));
    }
    if let Some((column, label)) = given.split_once('=')
        && let Ok(groups) = Groups::read(obs, column.trim(), "--root")
    {
        return labelled(&groups, column.trim(), label.trim()).ok_or_else(|| {
            let known = groups.names.join(", ");
            unknown(given, &format!("obs[{:?}] has no such label; it has: {known}", column.trim()))
        });
    }
    match obs.get(given) {
        Some(Column::Bool(flags)) => {
            let cells: Vec<usize> = (0..n_obs).filter(|&i| flags[i]).collect();
            let found = (!cells.is_empty()).then(|| (cells, RootRecord::Flag { column: given.to_owned() }));
            return found.ok_or_else(|| unknown(given, "no cell is true in this column"));
        }
        Some(column @ (Column::Float(_) | Column::Int(_))) => {
            let times = column.to_numbers().unwrap_or_default();
            let least = times.iter().copied().filter(|time| time.is_finite()).fold(f64::INFINITY, f64::min);
            #[allow(clippy::float_cmp, reason = "one of these very numbers")]
            let cells: Vec<usize> = (0..n_obs).filter(|&i| times[i] == least).collect();
            let root = RootRecord::Earliest { column: given.to_owned(), value: least };
            let found = (!cells.is_empty()).then_some((cells, root));
            return found.ok_or_else(|| unknown(given, "this column has no number"));
        }
        Some(_) => return Err(unknown(given, &format!("this is a column of labels: write {given}=LABEL"))),
        None => {}
    }
    let in_groups = groups.and_then(|(column, groups)| labelled(groups, column, given));
    in_groups.ok_or_else(|| {
        let labels = groups
            .map_or_else(String::new, |(column, groups)| format!("; labels of {column}: {}", groups.names.join(", ")));
        unknown(given, &format!("no cell, column or label has this name{labels}"))
    })
}

fn labelled(groups: &Groups, column: &str, label: &str) -> Option<(Vec<usize>, RootRecord)> {
    let group = groups.names.iter().position(|name| name == label)?;
    let cells = groups.cells().swap_remove(group);
    (!cells.is_empty()).then(|| (cells, RootRecord::Group { column: column.to_owned(), label: label.to_owned() }))
}

fn unknown(given: &str, problem: &str) -> Error {
    let wanted =
        format!("{problem} (wanted: a cell, a label, COLUMN=LABEL, or a column of true/false values or of times)");
    Error::Setting { key: "--root".to_owned(), value: format!("{given:?}"), wanted }
}
