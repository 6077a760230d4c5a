//! Parse's combined runs (`split-pipe --mode comb`): the sublibraries whose cells they hold.
//!
//! The same wells occur in every sublibrary, so a combined run calls its cells `WELLS__s1`, `WELLS__s2`, …; the transcripts are left in
//! the sublibraries, under `WELLS`. The order is that of lines `# sublibraries  Item_1_of_2  FOLDER` in the combined run's log.

use std::path::{Path, PathBuf};

use super::find::entries;
use super::parse::{Run, cells, transcripts};
use super::source::Columns;
use super::text::{self, Text, find};
use crate::error::{Error, Result};

/// What stands between the wells of a cell and the number of its sublibrary.
const BEFORE_NUMBER: &str = "__s";

/// A sublibrary: its number, and the file of its transcripts.
type Numbered = (usize, PathBuf);

/// Wells and sublibrary of a cell of a combined run.
fn taken_apart(cell: &str) -> Option<(&str, usize)> {
    let (wells, number) = cell.rsplit_once(BEFORE_NUMBER)?;
    Some((wells, number.parse().ok().filter(|&number| number > 0)?))
}

fn list(folder: &Path) -> Option<PathBuf> {
    find(&folder.join("all-sample/DGE_filtered"), "cell_metadata.csv")
}

/// Whether `folder` is a combined run, whose transcripts lie elsewhere: the first cell says so.
pub(super) fn is_combined(folder: &Path) -> bool {
    let Some(Ok(mut text)) = list(folder).map(|list| Text::open(&list)) else { return false };
    let mut head: Vec<String> = Vec::new();
    while let Ok(Some(line)) = text.next() {
        let line = String::from_utf8_lossy(line).into_owned();
        let fields = text::split(&line, ',');
        if !head.is_empty() {
            let at = head.iter().position(|name| name == "bc_wells").unwrap_or(0);
            return fields.get(at).is_some_and(|cell| taken_apart(cell).is_some());
        }
        head = fields.iter().map(|&field| field.to_owned()).collect();
    }
    false
}

/// The sublibraries of the combined run in `folder`: the files that are `given`, or those that its log names.
///
/// # Errors
/// [`Error::Input`] if it cannot be told which sublibrary is which, one is missing, or names of cells have no number.
pub(super) fn of(folder: &Path, given: &[PathBuf], others: bool) -> Result<Vec<Run>> {
    let list = list(folder).ok_or_else(|| super::find::nothing_at(folder))?;
    let (names, obs) = cells(&list)?;
    let mut numbers = Vec::with_capacity(names.len());
    for name in &names {
        let Some((_, number)) = taken_apart(name) else {
            let problem = format!("cell {name:?} has no number of a sublibrary, as others have ({BEFORE_NUMBER}1)");
            return Err(Error::input(&list, "bc_wells", problem, "give the list as split-pipe wrote it"));
        };
        numbers.push(number);
    }
    let found = numbered(folder, given, numbers.iter().copied().max().unwrap_or_default())?;
    let again = (1..found.len()).find(|&at| found[..at].iter().any(|(number, _)| *number == found[at].0));
    if let Some((number, file)) = again.map(|at| &found[at]) {
        let problem = format!("sublibrary {number} was given twice");
        return Err(Error::input(file, "source", problem, "give each sublibrary once"));
    }
    if let Some(lacking) = numbers.iter().find(|&number| found.iter().all(|(own, _)| own != number)) {
        let problem = format!("there are cells of sublibrary {lacking}, which was not given");
        return Err(Error::input(&list, "bc_wells", problem, "give the folders of all sublibraries"));
    }
    let run = |(number, file): Numbered| {
        let rows: Vec<usize> = (0..names.len()).filter(|&row| numbers[row] == number).collect();
        let own: Vec<String> = rows.iter().map(|&row| names[row].clone()).collect();
        let table: Columns = obs.iter().map(|(name, column)| (name.clone(), column.select(&rows))).collect();
        let notes = vec![format!("sublibrary {number} of {}", folder.display())];
        Run {
            file,
            list: Some(list.clone()),
            table: Some((own, table)),
            suffix: format!("{BEFORE_NUMBER}{number}"),
            notes,
            others,
        }
    };
    // Of one that holds no called cell, nothing is kept.
    Ok(found.into_iter().filter(|(number, _)| others || numbers.contains(number)).map(run).collect())
}

/// Which file is which sublibrary: by the log where there is one, else as they are given.
fn numbered(folder: &Path, given: &[PathBuf], n: usize) -> Result<Vec<Numbered>> {
    let logged = logged(folder)?;
    if given.is_empty() && logged.is_empty() {
        let problem =
            "the transcripts of this combined run lie in its sublibraries, and no log (split-pipe_v*.log) says where";
        let hint = "name them after it, in the order in which they were combined: nascent import COMBINED SUB1 SUB2 --output FILE";
        return Err(Error::input(folder, "log", problem, hint));
    }
    if given.is_empty() {
        return logged.into_iter().map(|(number, place)| Ok((number, located(folder, number, &place)?))).collect();
    }
    if logged.is_empty() {
        if given.len() != n {
            let problem = format!("cells of {n} sublibraries are in this combined run, {} were given", given.len());
            let hint = "give all of them, in the order in which they were combined";
            return Err(Error::input(folder, "sublibraries", problem, hint));
        }
        return Ok((1..).zip(given.iter().cloned()).collect());
    }
    let number = |file: &PathBuf| {
        let own = run_name(file);
        let mut same = logged.iter().filter(|(_, place)| last(place) == own);
        if let (Some((number, _)), None) = (same.next(), same.next()) {
            return Ok((*number, file.clone()));
        }
        let known: Vec<String> = logged.iter().map(|(number, place)| format!("{number} {}", last(place))).collect();
        let problem =
            format!("its log does not say which sublibrary {own:?} is; it was combined of: {}", known.join(", "));
        let hint = "give the folders of sublibraries under these names, each its own";
        Err(Error::input(folder, "log", problem, hint))
    };
    given.iter().map(number).collect()
}

/// Number and folder of each sublibrary, as the log of a combined run has them.
fn logged(folder: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let is_log = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("split-pipe") && path.extension().is_some_and(|end| end == "log") && path.is_file()
    };
    let mut found: Vec<(usize, PathBuf)> = Vec::new();
    for log in entries(folder).into_iter().filter(is_log) {
        let mut text = Text::open(&log)?;
        while let Some(line) = text.next()? {
            let line = String::from_utf8_lossy(line).into_owned();
            let Some(entry) = item(&line) else { continue };
            if found.iter().any(|known| known.0 == entry.0 && known.1 != entry.1) {
                let problem =
                    format!("several folders are sublibrary {}: the run was combined more than once", entry.0);
                return Err(Error::input(folder, "log", problem, "leave the log of the last run alone in the folder"));
            }
            if !found.contains(&entry) {
                found.push(entry);
            }
        }
    }
    Ok(found)
}

/// `# sublibraries   Item_1_of_2   FOLDER`.
fn item(line: &str) -> Option<(usize, PathBuf)> {
    let rest = line.trim().strip_prefix('#')?.trim_start().strip_prefix("sublibraries")?;
    let (number, place) = rest.trim_start().strip_prefix("Item_")?.split_once(char::is_whitespace)?;
    let number = number.split_once("_of_")?.0.parse().ok()?;
    Some((number, PathBuf::from(place.trim())))
}

/// The transcripts of a sublibrary: where the log says, or beside the combined run, if all were moved.
fn located(folder: &Path, number: usize, place: &Path) -> Result<PathBuf> {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let beside = absolute.parent().unwrap_or(Path::new(".")).join(last(place));
    [place.to_path_buf(), beside.clone()].iter().find_map(|place| transcripts(place)).ok_or_else(|| {
        let problem = format!(
            "sublibrary {number} was not found: no process/tscp_assignment.csv.gz in {} or {}",
            place.display(),
            beside.display()
        );
        let hint = "name the sublibraries after it: nascent import COMBINED SUB1 SUB2 --output FILE";
        Error::input(folder, "sublibraries", problem, hint)
    })
}

fn last(place: &Path) -> String {
    place.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folder of the run that a file of transcripts is of.
fn run_name(file: &Path) -> String {
    let absolute = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    let mut above = absolute.ancestors().skip(1).filter(|folder| last(folder) != "process");
    above.next().map(last).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_of_a_combined_run_has_wells_and_a_number() {
        assert_eq!(taken_apart("01_02_03__s12"), Some(("01_02_03", 12)));
        assert_eq!(taken_apart("01_02_03"), None);
        assert_eq!(taken_apart("01_02_03__s0"), None);
        assert_eq!(taken_apart("01_02_03__sx"), None);
    }

    #[test]
    fn a_log_names_sublibraries_with_their_numbers() {
        let line = "# sublibraries              Item_2_of_8\t/data/my runs/sub2 ";
        assert_eq!(item(line), Some((2, PathBuf::from("/data/my runs/sub2"))));
        assert_eq!(item("# output_dir                /data/comb"), None);
    }
}
