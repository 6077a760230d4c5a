//! Which barcodes are kept, and how names of cells are compared.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::lists::first_names;
use super::source::{Called, Source};
use crate::data::Reporter;
use crate::error::{Error, Result};

/// What the user wants of the barcodes.
pub(super) struct Choice {
    listed: Option<Listed>,
    least: Option<f64>,
}

/// A list of cells.
struct Listed {
    file: PathBuf,
    names: Vec<String>,
}

/// The cells of one source that are kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// Their positions in the source, rising.
    pub(super) cells: Vec<usize>,
    /// Whence they are known, as a clause.
    pub(super) by: String,
}

impl Choice {
    /// From the file of `--barcodes` and the number of `--min-molecules`.
    ///
    /// # Errors
    /// [`Error::Input`] if the file names no cell.
    pub(super) fn new(file: Option<&Path>, least: Option<f64>) -> Result<Self> {
        let listed = file.map(|file| {
            // R calls a column without a name x.
            const HEADS: [&str; 9] = ["", "x", "barcode", "barcodes", "cell", "cells", "cell_id", "cellid", "bc_wells"];
            let mut names = first_names(file)?;
            if names.first().is_some_and(|first| HEADS.contains(&first.to_lowercase().as_str())) {
                names.remove(0);
            }
            if names.is_empty() {
                let hint = "one barcode on each line is read; of .csv and .tsv the first column";
                return Err(Error::input(file, "file", "no barcodes are in it", hint));
            }
            Ok(Listed { file: file.to_path_buf(), names })
        });
        Ok(Self { listed: listed.transpose()?, least })
    }

    /// Whether cells may be kept that the pipeline did not call.
    pub(super) fn others(&self) -> bool {
        self.listed.is_some() || self.least.is_some()
    }

    /// The cells of `source` that are kept.
    ///
    /// # Errors
    /// [`Error::Input`] if nobody says which barcodes are cells, or none of those named is there.
    pub(super) fn of(&self, source: &Source, reporter: &mut dyn Reporter) -> Result<Kept> {
        let all = || (0..source.cells.len()).collect::<Vec<usize>>();
        let (mut cells, mut by) = match (&self.listed, &source.called) {
            (Some(listed), _) => (listed.in_source(source, reporter), format!("listed in {}", listed.file.display())),
            (None, Called::All) => (all(), "all of the source".to_owned()),
            (None, Called::Listed { .. } | Called::Nobody { .. }) if self.least.is_some() => (all(), String::new()),
            (None, Called::Listed { names, file }) => {
                (exact(names, &source.cells).0, format!("called in {}", file.display()))
            }
            (None, Called::Nobody { hint }) => return Err(nobody(source, hint, reporter)),
        };
        if cells.is_empty() {
            return Err(none_found(source, &by, self.listed.as_ref().map(|listed| &listed.names)));
        }
        if let Some(least) = self.least {
            let totals = totals(source, reporter)?;
            cells.retain(|&cell| totals[cell] >= least);
            let more = format!("with at least {least} molecules");
            by = if by.is_empty() { more } else { format!("{by}, {more}") };
            if cells.is_empty() {
                let most = totals.iter().copied().fold(0.0, f64::max);
                let problem = format!("no barcode has {least} molecules; the largest has {most}");
                return Err(Error::input(first_file(source), "counts", problem, "give a smaller --min-molecules"));
            }
        }
        Ok(Kept { cells, by })
    }
}

impl Listed {
    /// Positions of the listed cells in `source`; says so if some are not there.
    fn in_source(&self, source: &Source, reporter: &mut dyn Reporter) -> Vec<usize> {
        let (cells, found) = positions(&self.names, &source.cells, &source.name);
        let wanted = self.names.iter().collect::<HashSet<_>>().len();
        if found < wanted {
            let file = self.file.display();
            reporter.say(&format!("{}: {found} of the {wanted} barcodes in {file} are here", source.name));
        }
        cells
    }
}

/// Positions in `cells` of those that are in `names`, rising, and how many names were found: as they are written; if none is, with the
/// sample before them; if none is, by their bare barcodes.
fn positions(names: &[String], cells: &[String], sample: &str) -> (Vec<usize>, usize) {
    let as_written = exact(names, cells);
    if !as_written.0.is_empty() {
        return as_written;
    }
    // Of barcodes that name a sample, those of other samples are left out.
    let own: Vec<String> = names.iter().filter(|name| of_sample(name, sample)).map(|name| bare(name)).collect();
    let bare_names: Vec<String> = if own.is_empty() { names.iter().map(|name| bare(name)).collect() } else { own };
    let bare_cells: Vec<String> = cells.iter().map(|cell| bare(cell)).collect();
    exact(&bare_names, &bare_cells)
}

fn of_sample(name: &str, sample: &str) -> bool {
    name.strip_prefix(sample).is_some_and(|rest| rest.starts_with([':', '_', '-', '#']))
        || name.strip_suffix(sample).is_some_and(|rest| rest.ends_with(['_', '-']))
}

fn exact(names: &[String], cells: &[String]) -> (Vec<usize>, usize) {
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    let kept: Vec<usize> = (0..cells.len()).filter(|&at| names.contains(cells[at].as_str())).collect();
    let found: HashSet<&str> = kept.iter().map(|&at| cells[at].as_str()).collect();
    (kept, found.len())
}

/// A barcode without what pipelines and people put around it, `SAMPLE:…x`, `SAMPLE_…`, `…-1`: from the first to the last stretch of
/// at least eight bases; a name without one, as it is.
pub(super) fn bare(name: &str) -> String {
    const LEAST: usize = 8;
    let is_base = |byte: u8| b"ACGTN".contains(&byte);
    let bytes = name.as_bytes();
    let (mut first, mut last, mut at) = (None, 0, 0);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|&&byte| is_base(byte)).count();
        if run >= LEAST {
            first.get_or_insert(at);
            last = at + run;
        }
        at += run.max(1);
    }
    first.map_or_else(|| name.to_owned(), |first| name[first..last].to_owned())
}

/// Molecules of each barcode, all classes together.
fn totals(source: &Source, reporter: &mut dyn Reporter) -> Result<Vec<f64>> {
    let mut totals = vec![0.0; source.cells.len()];
    source.entries.for_each(reporter, &mut |cell, _, _, value| {
        totals[cell] += value;
        Ok(())
    })?;
    Ok(totals)
}

fn nobody(source: &Source, hint: &str, reporter: &mut dyn Reporter) -> Error {
    let totals = match totals(source, reporter) {
        Ok(totals) => totals,
        Err(error) => return error,
    };
    let over = |least: f64| format!("{} have at least {least}", totals.iter().filter(|&&total| total >= least).count());
    let problem = format!(
        "these are all {} barcodes that were seen or could be, and nothing says which are cells: by molecules, {}, {}, {}",
        totals.len(),
        over(100.0),
        over(500.0),
        over(1000.0)
    );
    let hint = format!("{hint}; or keep the larger barcodes: --min-molecules 500");
    Error::input(first_file(source), "barcodes", problem, hint)
}

fn none_found(source: &Source, by: &str, names: Option<&Vec<String>>) -> Error {
    let some = |names: &[String]| names.iter().take(2).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let wanted = names.map_or_else(String::new, |names| format!(" ({}, …)", some(names)));
    let problem = format!("none of the barcodes {by}{wanted} is here ({}, …)", some(&source.cells));
    let hint = "barcodes are compared as they are written, then without sample names and suffixes; are they of this sample, and of \
                the same strand?";
    Error::input(first_file(source), "barcodes", problem, hint)
}

pub(super) fn first_file(source: &Source) -> &Path {
    source.files.first().map_or(Path::new(&source.name), PathBuf::as_path)
}

/// Where each name is first.
pub(super) fn places(names: &[String]) -> HashMap<&str, usize> {
    let mut places = HashMap::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        places.entry(name.as_str()).or_insert(at);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barcode_is_found_whatever_stands_around_it() {
        for name in
            ["ACGTACGTACGT", "s1:ACGTACGTACGTx", "my_s1_ACGTACGTACGT-1", "ACGTACGTACGT-1_2", "GEX#ACGTACGTACGT-1"]
        {
            assert_eq!(bare(name), "ACGTACGTACGT", "{name}");
        }
        assert_eq!(bare("ACGTACGTACGT_TTTTGGGG-1"), "ACGTACGTACGT_TTTTGGGG");
        assert_eq!(bare("01_02_03__s1"), "01_02_03__s1");
    }

    #[test]
    fn of_names_with_samples_those_of_the_sample_count() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let cells = words(&["AAAAAAAA", "CCCCCCCC", "GGGGGGGG"]);
        let listed = words(&["s1_AAAAAAAA-1", "s2_CCCCCCCC-1"]);
        assert_eq!(positions(&listed, &cells, "s1"), (vec![0], 1));
        assert_eq!(positions(&listed, &cells, "s3"), (vec![0, 1], 2));
        assert_eq!(positions(&words(&["CCCCCCCC"]), &cells, "s1"), (vec![1], 1));
    }
}
