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

/// What a word is taken for: cells, and how they are recorded.
type Meaning = (Vec<usize>, RootRecord);

/// The cells that `given` stands for, and what it was taken for. It may be
///
/// - the name of a cell, also as `cell=NAME` or `obs_names=NAME`,
/// - `COLUMN=LABEL`, the cells with this label,
/// - a column of truth values, the cells for which it is true,
/// - a column of numbers, such as capture times: the cells with the least,
/// - a label of `groups`.
///
/// # Errors
/// [`Error::Setting`] that repeats `given` and says what could have been meant, also where it may be several of these.
pub(in crate::pipeline) fn cells(obs: &Frame, given: &str, groups: Option<&(String, Groups)>) -> Result<Meaning> {
    // Each with the words that mean it and nothing else.
    let mut found: Vec<(Meaning, String)> = Vec::new();
    let pair = given.split_once('=').map(|(column, label)| (column.trim(), label.trim()));
    found.extend(named(obs, given).map(|meaning| (meaning, format!("obs_names={given} (a cell)"))));
    if let Some((column, cell)) = pair
        && CELL_WORDS.contains(&column)
    {
        found.extend(named(obs, cell).map(|meaning| (meaning, format!("obs_names={cell} (a cell)"))));
        if found.is_empty() && obs.get(column).is_none() {
            return Err(unknown(given, &format!("no cell is called {cell:?}")));
        }
    }
    if let Some((column, label)) = pair
        && let Ok(groups) = Groups::read(obs, column, "--root")
    {
        let labelled = labelled(&groups, column, label);
        if labelled.is_none() && found.is_empty() {
            let known = groups.names.join(", ");
            return Err(unknown(given, &format!("obs[{column:?}] has no such label; it has: {known}")));
        }
        found.extend(labelled.map(|meaning| (meaning, format!("{column}={label} (a label)"))));
    }
    let label = groups.and_then(|(column, groups)| labelled(groups, column, given));
    let by_label = label.is_some() || !found.is_empty();
    if let (Some(meaning), Some((column, _))) = (label, groups) {
        found.push((meaning, format!("{column}={given} (a label)")));
    }
    match of_column(obs, given) {
        Some(Ok(meaning)) => found.push((meaning, format!("the column obs[{given:?}], which can be renamed"))),
        Some(Err(error)) if !by_label => return Err(error),
        _ => (),
    }
    // obs_names=X always names the cell.
    if pair.is_some_and(|(column, _)| column == CELL_WORDS[1]) {
        found.truncate(1);
    }
    let same = found.windows(2).all(|two| two[0].0.0 == two[1].0.0);
    if found.len() > 1 && !same {
        let meanings: Vec<String> = found.into_iter().map(|(_, words)| words).collect();
        return Err(unknown(given, &format!("may mean several things: write {}", meanings.join(" or "))));
    }
    found.into_iter().next().map(|(meaning, _)| meaning).ok_or_else(|| {
        let labels = groups
            .map_or_else(String::new, |(column, groups)| format!("; labels of {column}: {}", groups.names.join(", ")));
        unknown(given, &format!("no cell, column or label has this name{labels}"))
    })
}

/// Words before `=` that announce the name of a cell. The first may be a column, too.
const CELL_WORDS: [&str; 2] = ["cell", "obs_names"];

fn named(obs: &Frame, name: &str) -> Option<Meaning> {
    let cell = obs.index.iter().position(|known| known == name)?;
    Some((vec![cell], RootRecord::Cell { cell: name.to_owned() }))
}

/// The cells that the column called `given` marks.
fn of_column(obs: &Frame, given: &str) -> Option<Result<Meaning>> {
    let n_obs = obs.index.len();
    let column = obs.get(given)?;
    Some(match (column, column.truths()) {
        (Column::Float(_) | Column::Int(_), Some(_)) => {
            Err(unknown(given, &format!("holds 0 and 1, which may be flags or times: write {given}=1 or {given}=0")))
        }
        (_, Some(flags)) => {
            let cells: Vec<usize> = (0..n_obs).filter(|&i| flags[i]).collect();
            let found = (!cells.is_empty()).then(|| (cells, RootRecord::Flag { column: given.to_owned() }));
            found.ok_or_else(|| unknown(given, "no cell is true in this column"))
        }
        (Column::Float(_) | Column::Int(_), None) => {
            let times = column.to_numbers().unwrap_or_default();
            let least = times.iter().copied().filter(|time| time.is_finite()).fold(f64::INFINITY, f64::min);
            #[allow(clippy::float_cmp, reason = "one of these very numbers")]
            let cells: Vec<usize> = (0..n_obs).filter(|&i| times[i] == least).collect();
            let root = RootRecord::Earliest { column: given.to_owned(), value: least };
            let found = (!cells.is_empty()).then_some((cells, root));
            found.ok_or_else(|| unknown(given, "this column has no number"))
        }
        (_, None) => Err(unknown(given, &format!("this is a column of labels: write {given}=LABEL"))),
    })
}

fn labelled(groups: &Groups, column: &str, label: &str) -> Option<(Vec<usize>, RootRecord)> {
    let group = groups.names.iter().position(|name| name == label)?;
    let cells = groups.cells().swap_remove(group);
    (!cells.is_empty()).then(|| (cells, RootRecord::Group { column: column.to_owned(), label: label.to_owned() }))
}

fn unknown(given: &str, problem: &str) -> Error {
    let wanted = format!(
        "{problem} (wanted: a cell, a label, COLUMN=LABEL, cell=NAME, or a column of true/false values or of times)"
    );
    Error::Setting { key: "--root".to_owned(), value: format!("{given:?}"), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells and clusters called by numbers, as scanpy has them.
    fn frame() -> (Frame, (String, Groups)) {
        let mut obs = Frame { index: (0..4).map(|cell| cell.to_string()).collect(), columns: Vec::new() };
        let leiden = ["3", "3", "0", "x"].map(str::to_owned).to_vec();
        obs.set("leiden", Column::Text(leiden));
        obs.set("x", Column::Bool(vec![true, false, false, false]));
        let groups = Groups::read(&obs, "leiden", "--groups").expect("labels");
        (obs, ("leiden".to_owned(), groups))
    }

    #[test]
    fn a_word_that_may_mean_a_cell_or_a_label_is_refused_with_words_for_each() {
        let (obs, groups) = frame();
        let found = |given: &str| cells(&obs, given, Some(&groups));
        let error = found("3").expect_err("both").to_string();
        assert!(error.contains("leiden=3") && error.contains("obs_names=3"), "{error}");
        assert_eq!(found("leiden=3").expect("a label").0, [0, 1]);
        for given in ["cell=3", "obs_names=3"] {
            assert_eq!(found(given).expect("a cell").0, [3], "{given}");
        }
        assert_eq!(found("1").expect("a cell alone").0, [1]);
        let error = found("x").expect_err("a column and a label").to_string();
        assert!(error.contains("leiden=x") && error.contains("column"), "{error}");
        assert!(found("cell=9").expect_err("no cell").to_string().contains("no cell is called \"9\""));
    }

    #[test]
    fn flags_are_flags_in_words_too_and_zeros_and_ones_are_asked_about() {
        let (mut obs, _) = frame();
        obs.set("words", Column::Text(["FALSE", "TRUE", "", "TRUE"].map(str::to_owned).to_vec()));
        obs.set("flags", Column::Int(vec![0, 1, 1, 0]));
        obs.set("days", Column::Int(vec![4, 2, 7, 2]));
        let found = |given: &str| cells(&obs, given, None);
        assert_eq!(found("words").expect("flags").0, [1, 3]);
        assert_eq!(found("days").expect("the earliest").0, [1, 3]);
        let error = found("flags").expect_err("flags, or times").to_string();
        assert!(error.contains("flags=1 or flags=0"), "{error}");
        assert_eq!(found("flags=1").expect("a label").0, [1, 2]);
    }

    #[test]
    fn a_column_called_cell_does_not_hide_the_names_of_cells() {
        let (mut obs, groups) = frame();
        obs.set("cell", Column::Text(["2", "b", "b", "b"].map(str::to_owned).to_vec()));
        let found = |given: &str| cells(&obs, given, Some(&groups));
        assert!(found("cell=2").is_err());
        assert_eq!(found("obs_names=2").expect("a cell").0, [2]);
        assert_eq!(found("cell=b").expect("a label").0, [1, 2, 3]);
    }
}
