//! Parse Biosciences' split-pipe: `process/tscp_assignment.csv.gz`, one line per transcript.
//!
//! Columns used: `bc_wells` (cell), `gene`, `gene_name`, `exonic`. Exonic transcripts count as spliced, as in Parse's own recipe
//! for scVelo. Cells are those of `all-sample/DGE_filtered/cell_metadata.csv`; of several files, or of a combined run, the genes of all
//! are kept.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::find::{entries, sample_of};
use super::source::{self, Called, Entries, Genes, Part, Source, Split, Visit};
use super::sublibraries;
use super::text::{self, Text, find};
use crate::data::{Column, Reporter};
use crate::error::{Error, Result};

struct Transcripts {
    file: PathBuf,
    cells: HashMap<String, usize>,
    genes: HashMap<String, u32>,
}

/// Positions of the columns that are used.
#[derive(Clone, Copy)]
struct Columns {
    cell: usize,
    gene: usize,
    symbol: Option<usize>,
    exonic: usize,
}

impl Entries for Transcripts {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        let mut n_lines = 0;
        lines(&self.file, Some(reporter), |text, columns, fields| {
            n_lines += 1;
            let part = match fields[columns.exonic] {
                "True" | "TRUE" | "true" | "1" => Part::Spliced,
                "False" | "FALSE" | "false" | "0" => Part::Unspliced,
                other => return Err(text.wrong(format!("exonic: True or False was wanted, found \"{other}\""), "")),
            };
            match (self.cells.get(fields[columns.cell]), self.genes.get(fields[columns.gene])) {
                (Some(&cell), Some(&gene)) => visit(cell, gene, part, 1.0),
                _ => Ok(()),
            }
        })?;
        reporter.end(&format!("read {} ({n_lines} transcripts)", text::short(&self.file)));
        Ok(())
    }
}

/// Lets `visit` see every transcript.
fn lines(
    file: &Path,
    mut reporter: Option<&mut dyn Reporter>,
    mut visit: impl FnMut(&Text, Columns, &[&str]) -> Result<()>,
) -> Result<()> {
    let mut text = Text::open(file)?;
    if let Some(reporter) = reporter.as_deref_mut() {
        text.begin(reporter);
    }
    let mut known: Option<(Columns, usize)> = None;
    while let Some(line) = text.next()? {
        let line = String::from_utf8_lossy(line).into_owned();
        let fields = text::split(&line, ',');
        match known {
            None => known = Some((columns(&text, &fields)?, fields.len())),
            Some((columns, n)) if fields.len() == n => visit(&text, columns, &fields)?,
            Some((_, n)) => {
                let problem = format!("{n} fields were wanted, found {}", fields.len());
                return Err(text.wrong(problem, "the file was not copied to its end; copy it again"));
            }
        }
        if let Some(reporter) = reporter.as_deref_mut() {
            text.show(reporter);
        }
    }
    Ok(())
}

fn columns(text: &Text, names: &[&str]) -> Result<Columns> {
    let at = |name: &str| names.iter().position(|own| *own == name);
    let wanted = |name: &str| {
        let problem = || format!("a column {name} was wanted; there are: {}", names.join(", "));
        at(name).ok_or_else(|| text.wrong(problem(), "give tscp_assignment.csv.gz as split-pipe writes it"))
    };
    Ok(Columns { cell: wanted("bc_wells")?, gene: wanted("gene")?, symbol: at("gene_name"), exonic: wanted("exonic")? })
}

/// The file at or below `path`; of a combined run, whose transcripts lie in its sublibraries, its folder.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    let combined = || sublibraries::is_combined(path).then(|| path.to_path_buf());
    transcripts(path).or_else(combined).into_iter().collect()
}

/// The file of transcripts at or below `path`.
pub(super) fn transcripts(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return name.contains("tscp_assignment.csv").then(|| path.to_path_buf());
    }
    [path.to_path_buf(), path.join("process")].iter().find_map(|folder| find(folder, "tscp_assignment.csv"))
}

/// One file of transcripts that is to be read.
pub(super) struct Run {
    pub(super) file: PathBuf,
    /// The list of called cells.
    pub(super) list: Option<PathBuf>,
    /// The called cells, and what is known of them.
    pub(super) table: Option<(Vec<String>, source::Columns)>,
    /// What stands behind the wells in the names of cells, and not in the file.
    pub(super) suffix: String,
    pub(super) notes: Vec<String>,
    /// Whether other barcodes than the called cells may be kept.
    pub(super) others: bool,
}

impl Run {
    fn alone(file: &Path, others: bool) -> Result<Self> {
        let list = called(file);
        let table = list.as_deref().map(cells).transpose()?;
        Ok(Self { file: file.to_path_buf(), list, table, suffix: String::new(), notes: Vec::new(), others })
    }
}

/// Genes that have been seen in any file: one that a sublibrary lacks has no transcript there.
#[derive(Default)]
struct Seen {
    ids: Vec<String>,
    symbols: Vec<String>,
    place: HashMap<String, u32>,
}

/// Opens files of transcripts, or a combined run with those of its sublibraries. The cells are those that were called, or all barcodes
/// if the user wants others; the genes are those of all files together.
///
/// # Errors
/// [`Error::Input`] if columns are missing, or a combined run and its sublibraries do not fit together.
pub(super) fn open(places: &[PathBuf], others: bool) -> Result<Vec<Source>> {
    let (combined, files): (Vec<&PathBuf>, Vec<&PathBuf>) = places.iter().partition(|place| place.is_dir());
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    let runs = match combined[..] {
        [] => files.iter().map(|file| Run::alone(file, others)).collect::<Result<Vec<_>>>()?,
        [folder] => sublibraries::of(folder, &files, others)?,
        [_, second, ..] => {
            let problem = "a second combined run; which sublibraries are of which cannot be told";
            return Err(Error::input(second, "source", problem, "import combined runs one by one"));
        }
    };
    let mut seen = Seen::default();
    let mut barcodes = Vec::with_capacity(runs.len());
    for run in &runs {
        barcodes.push(names(run, &mut seen)?);
    }
    Ok(runs.into_iter().zip(barcodes).map(|(run, barcodes)| source(run, barcodes, &seen)).collect())
}

/// The barcodes of a run, and its genes among those that were seen.
fn names(run: &Run, seen: &mut Seen) -> Result<Vec<String>> {
    let (mut barcodes, mut known) = (Vec::new(), HashSet::new());
    lines(&run.file, None, |_, columns, fields| {
        if !known.contains(fields[columns.cell]) {
            known.insert(fields[columns.cell].to_owned());
            barcodes.push(format!("{}{}", fields[columns.cell], run.suffix));
        }
        if !seen.place.contains_key(fields[columns.gene]) {
            seen.place.insert(fields[columns.gene].to_owned(), seen.ids.len() as u32);
            seen.ids.push(fields[columns.gene].to_owned());
            seen.symbols.push(columns.symbol.map_or(fields[columns.gene], |at| fields[at]).to_owned());
        }
        Ok(())
    })?;
    // A called cell has transcripts; one that has none is of another sublibrary.
    if let (Some((cells, _)), Some(list), false) = (&run.table, &run.list, run.suffix.is_empty()) {
        let own = |cell: &&String| cell.strip_suffix(run.suffix.as_str()).is_some_and(|wells| known.contains(wells));
        let found = cells.iter().filter(own).count();
        if found < cells.len() {
            let problem = format!(
                "{} of the {} cells …{} in {} have no transcript here",
                cells.len() - found,
                cells.len(),
                run.suffix,
                list.display()
            );
            let hint = "give the sublibraries in the order in which they were combined, and each as it was then";
            return Err(Error::input(&run.file, "bc_wells", problem, hint));
        }
    }
    Ok(barcodes)
}

fn source(run: Run, barcodes: Vec<String>, seen: &Seen) -> Source {
    let Run { file, list, table, suffix, mut notes, others } = run;
    let hint = "name the cells: --barcodes all-sample/DGE_filtered/cell_metadata.csv".to_owned();
    let called = match (list, &table) {
        (Some(file), Some((names, _))) => Called::Listed { names: names.clone(), file },
        _ => Called::Nobody { hint },
    };
    let (cells, obs) = table.filter(|_| !others).unwrap_or((barcodes, Vec::new()));
    notes.push("exonic transcripts count as spliced, others as unspliced".to_owned());
    let wells = |name: &String| name.strip_suffix(suffix.as_str()).unwrap_or(name).to_owned();
    Source {
        name: sample_of(&file),
        files: vec![file.clone()],
        obs,
        genes: Genes { ids: seen.ids.clone(), symbols: Some(seen.symbols.clone()), more: Vec::new() },
        called,
        ambiguous: None,
        split: Split::Exonic,
        notes,
        entries: Box::new(Transcripts {
            file,
            cells: cells.iter().enumerate().map(|(at, name)| (wells(name), at)).collect(),
            genes: seen.place.clone(),
        }),
        cells,
    }
}

/// The list of called cells of a run whose `process` holds `file`.
fn called(file: &Path) -> Option<PathBuf> {
    let absolute = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
    let above = absolute.parent()?.parent()?;
    let mut places = vec![above.join("all-sample"), above.join("all-well")];
    places.extend(entries(above));
    places.iter().find_map(|place| find(&place.join("DGE_filtered"), "cell_metadata.csv"))
}

/// Names of cells, and what the table of cells says of their samples and wells.
pub(super) fn cells(list: &Path) -> Result<(Vec<String>, source::Columns)> {
    const KEPT: [&str; 4] = ["sample", "bc1_well", "bc2_well", "bc3_well"];
    let (mut names, mut head): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); KEPT.len()];
    text::fields(list, |_, fields| {
        if head.is_empty() {
            head = fields.iter().map(|&field| field.to_owned()).collect();
            return Ok(());
        }
        let cell = head.iter().position(|name| name == "bc_wells").unwrap_or(0);
        names.push(fields.get(cell).copied().unwrap_or_default().to_owned());
        for (column, kept) in columns.iter_mut().zip(KEPT) {
            let at = head.iter().position(|name| name == kept);
            column.extend(at.and_then(|at| fields.get(at)).map(|&field| field.to_owned()));
        }
        Ok(())
    })?;
    if names.is_empty() {
        return Err(Error::input(list, "file", "no cells are in it", "give the folder as split-pipe wrote it"));
    }
    let n = names.len();
    let named = |name: &str| if name == "sample" { "parse_sample".to_owned() } else { name.to_owned() };
    let full = KEPT.iter().zip(columns).filter(|(_, column)| column.len() == n);
    let obs = full.map(|(name, column)| (named(name), Column::Text(column))).collect();
    Ok((names, obs))
}
