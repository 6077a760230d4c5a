//! Plain matrices: one file for spliced and one for unspliced counts, `.mtx` beside lists of names, or `.csv` and `.tsv` with names.
//!
//! Which file is which, their names say. Which axis cells are on, the lists of names say for `.mtx`; in a table the names that look
//! like barcodes are those of cells. Matrices need not have the same cells and genes. Of `exon` and `intron`, as dropEst has them, `spanning`
//! goes with `intron` (kharchenkolab/dropEst#61).

use std::path::{Path, PathBuf};

use super::choice::{bare, places};
use super::find::{entries, sample_of};
use super::lists::{first_names, separator_of_table};
use super::source::{Ambiguous, Called, Entries, Genes, Part, Source, Split, Visit};
use super::text::{self, Text, find};
use super::{genes, mtx};
use crate::data::Reporter;
use crate::error::{Error, Result};

/// A matrix, and where its rows and columns are in the lists of the source.
struct Table {
    part: Part,
    file: PathBuf,
    cells: Vec<usize>,
    genes: Vec<u32>,
    by_gene: bool,
}

struct Tables(Vec<Table>);

impl Entries for Tables {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        for table in &self.0 {
            let mut see = |row: usize, column: usize, value: f64| {
                let (cell, gene) = if table.by_gene { (column, row) } else { (row, column) };
                visit(table.cells[cell], table.genes[gene], table.part, value)
            };
            if is_mtx(&table.file) {
                let (n, m) = (table.cells.len(), table.genes.len());
                let shape = if table.by_gene { [m, n] } else { [n, m] };
                mtx::read(&table.file, shape, reporter, |row, column, [value]| see(row, column, value))?;
            } else {
                dense(&table.file, reporter, &mut see)?;
            }
        }
        Ok(())
    }
}

/// The name of a file without its folder, in small letters, and without `.gz`.
fn plain(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).to_owned()
}

fn is_mtx(path: &Path) -> bool {
    text::ends_with(path, ".mtx")
}

/// Which class a file holds, by its name.
fn part(path: &Path) -> Option<Part> {
    let name = plain(path);
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match () {
        () if !is_table(&name) || has(&["spanning"]) => None,
        () if has(&["unspliced", "nascent", "intron"]) => Some(Part::Unspliced),
        () if has(&["ambiguous"]) => Some(Part::Ambiguous),
        () if has(&["spliced", "mature", "exon"]) => Some(Part::Spliced),
        () => None,
    }
}

/// Whether a file holds reads over an end of an intron, by its name.
fn is_spanning(path: &Path) -> bool {
    let name = plain(path);
    name.contains("spanning") && is_table(&name)
}

/// Whether a name is that of a matrix, and not of a list of names.
fn is_table(name: &str) -> bool {
    let is_list = ["barcode", "gene", "feature"].iter().any(|word| name.contains(word));
    !is_list && [".mtx", ".csv", ".tsv", ".txt"].iter().any(|end| name.ends_with(end))
}

/// The files of matrices at `path`: itself, or those in a folder that has both classes.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    let is_matrix = |file: &PathBuf| file.is_file() && (part(file).is_some() || is_spanning(file));
    if path.is_file() {
        return Some(path.to_path_buf()).filter(is_matrix).into_iter().collect();
    }
    let found: Vec<PathBuf> = entries(path).into_iter().filter(is_matrix).collect();
    let has = |wanted: Part| found.iter().any(|file| part(file) == Some(wanted));
    if has(Part::Spliced) && has(Part::Unspliced) { found } else { Vec::new() }
}

/// Opens the matrices of one sample.
///
/// # Errors
/// [`Error::Input`] if not both classes are there, names are missing, or it cannot be told which axis cells are on.
pub(super) fn open(files: &[PathBuf]) -> Result<Source> {
    let mut tables: Vec<(Part, &PathBuf)> = files.iter().filter_map(|file| Some((part(file)?, file))).collect();
    tables.sort_by_key(|(part, _)| *part as usize);
    let parts: Vec<Part> = tables.iter().map(|(part, _)| *part).collect();
    if !matches!(parts[..], [Part::Spliced, Part::Unspliced] | [Part::Spliced, Part::Unspliced, Part::Ambiguous]) {
        let first = files.first().map_or(Path::new("."), PathBuf::as_path);
        return Err(Error::input(
            first,
            "source",
            format!("one file of spliced and one of unspliced counts were wanted, found {}", files.len()),
            "name both files, of one sample; their names say which is which (spliced.mtx, unspliced.mtx, ambiguous.mtx)",
        ));
    }
    let exonic = plain(tables[0].1).contains("exon");
    let mut notes = Vec::new();
    let spanning: Vec<&PathBuf> = files.iter().filter(|file| is_spanning(file)).collect();
    if exonic && !spanning.is_empty() {
        notes.push(
            "spanning reads, over an end of an intron, count as unspliced, as dropEst's authors have it".to_owned(),
        );
        tables.extend(spanning.into_iter().map(|file| (Part::Unspliced, file)));
    } else if !spanning.is_empty() {
        notes.push("spanning reads, over an end of an intron, are left out, as scVelo does".to_owned());
    }
    let axes = tables.iter().map(|(_, file)| axes(file)).collect::<Result<Vec<_>>>()?;
    let (mut cells, mut genes) = (Vec::new(), Genes::default());
    let mut opened = Vec::new();
    for ((part, file), Axes { cells: own_cells, genes: own, by_gene }) in tables.into_iter().zip(axes) {
        let before = genes.ids.len();
        let table = Table {
            part,
            file: file.clone(),
            cells: joined(&mut cells, &own_cells, "cells", file)?,
            genes: joined(&mut genes.ids, &own.ids, "genes", file)?.into_iter().map(|at| at as u32).collect(),
            by_gene,
        };
        genes.symbols = match (genes.symbols, own.symbols) {
            (_, own) if before == 0 => own,
            (Some(mut symbols), own_symbols) => {
                let there = places(&own.ids);
                let symbol =
                    |id: &String| own_symbols.as_ref().map_or(id, |symbols| &symbols[there[id.as_str()]]).clone();
                symbols.extend(genes.ids[before..].iter().map(symbol));
                Some(symbols)
            }
            (None, _) => None,
        };
        opened.push(table);
    }
    Ok(Source {
        name: sample_of(&opened[0].file),
        files: opened.iter().map(|table| table.file.clone()).collect(),
        cells,
        obs: Vec::new(),
        genes,
        called: Called::All,
        ambiguous: parts.contains(&Part::Ambiguous).then_some(Ambiguous::Drop),
        split: if exonic { Split::Exonic } else { Split::Splicing },
        notes,
        entries: Box::new(Tables(opened)),
    })
}

/// Positions of `names` in `all`, at whose end those are put that it lacks: a matrix may leave out what has no count in it.
///
/// # Errors
/// [`Error::Input`] if fewer than half of the names of the shorter list are in both.
fn joined(all: &mut Vec<String>, names: &[String], what: &str, file: &Path) -> Result<Vec<usize>> {
    if all.is_empty() || all == names {
        *all = names.to_vec();
        return Ok((0..names.len()).collect());
    }
    let there = places(all);
    let found: Vec<Option<usize>> = names.iter().map(|name| there.get(name.as_str()).copied()).collect();
    let shared = found.iter().flatten().count();
    if 2 * shared < names.len().min(all.len()) {
        let problem =
            format!("{shared} of its {} {what} are in the first matrix, which has {}", names.len(), all.len());
        return Err(Error::input(file, "names", problem, "give matrices of one run"));
    }
    let mut place = |(name, at): (&String, Option<usize>)| {
        at.unwrap_or_else(|| {
            all.push(name.clone());
            all.len() - 1
        })
    };
    Ok(names.iter().zip(found).map(&mut place).collect())
}

/// The names along both axes of a matrix.
#[derive(Clone)]
struct Axes {
    cells: Vec<String>,
    genes: Genes,
    by_gene: bool,
}

fn axes(file: &Path) -> Result<Axes> {
    if is_mtx(file) { axes_beside(file) } else { axes_within(file) }
}

/// Names in lists beside a `.mtx` file: those that begin with its own name before those of the folder.
fn axes_beside(file: &Path) -> Result<Axes> {
    const CELLS: [&str; 5] = ["barcodes", "cells", "cell_names", "obs_names", "obs"];
    const GENES: [&str; 5] = ["features", "genes", "gene_names", "var_names", "var"];
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = plain(file);
    let stem = name.trim_end_matches(".mtx");
    let look = |names: &[&str]| {
        let prefixes = [format!("{stem}."), format!("{stem}_"), String::new()];
        prefixes.iter().find_map(|prefix| {
            let ends = names.iter().flat_map(|name| ["tsv", "txt", "csv"].map(|end| format!("{prefix}{name}.{end}")));
            ends.into_iter().find_map(|name| find(folder, &name))
        })
    };
    let (Some(cells), Some(genes)) = (look(&CELLS), look(&GENES)) else {
        return Err(Error::input(
            file,
            "names",
            "the lists of its cells and genes were not found beside it",
            "put barcodes.tsv and genes.tsv in the same folder, one name on each line",
        ));
    };
    let (mut cells, mut genes) = (first_names(&cells)?, genes::from_features(&genes)?);
    let [n_rows, n_cols] = mtx::shape(file)?;
    // A list may have a line of heads.
    let fits = |length: usize, n: usize| length == n || length == n + 1;
    let by_gene = match (
        fits(genes.ids.len(), n_rows) && fits(cells.len(), n_cols),
        fits(cells.len(), n_rows) && fits(genes.ids.len(), n_cols),
    ) {
        // Of a square matrix, genes are rows as in 10x's.
        (true, _) => true,
        (false, true) => false,
        (false, false) => {
            let problem =
                format!("{n_rows} × {n_cols} values, but lists of {} cells and {} genes", cells.len(), genes.ids.len());
            return Err(Error::input(file, "size", problem, "the matrix and the lists are of different runs"));
        }
    };
    let (n_genes, n_cells) = if by_gene { (n_rows, n_cols) } else { (n_cols, n_rows) };
    cells.drain(..cells.len() - n_cells);
    let heads = genes.ids.len() - n_genes;
    genes.ids.drain(..heads);
    if let Some(symbols) = &mut genes.symbols {
        symbols.drain(..heads);
    }
    Ok(Axes { cells, genes, by_gene })
}

/// Names in the first line and the first column of a table.
fn axes_within(file: &Path) -> Result<Axes> {
    let separator = separator_of_table(file)?;
    let (mut rows, mut columns, mut width) = (Vec::new(), None, 0);
    let mut text = Text::open(file)?;
    while let Some(line) = text.next()? {
        let line = String::from_utf8_lossy(line).into_owned();
        if columns.is_none() {
            columns = Some(text::split(&line, separator).iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
            continue;
        }
        if width == 0 {
            width = text::split(&line, separator).len();
        }
        let first = line.split(separator).next().unwrap_or_default();
        rows.push(first.trim_matches('"').to_owned());
    }
    let mut columns = columns.unwrap_or_default();
    // Where names of rows have a head of their own, as in pandas; R leaves it out.
    if columns.len() == width {
        columns.drain(..1);
    }
    if columns.is_empty() || columns.len() + 1 != width || rows.is_empty() {
        let problem = format!(
            "names of rows and columns were wanted around the counts, found {} heads over {width} fields",
            columns.len()
        );
        return Err(Error::input(
            file,
            "line 1",
            problem,
            "write the table with names, and a comma or a tab between: pandas' to_csv, or R's write.csv",
        ));
    }
    let barcodes =
        |names: &[String]| names.iter().take(50).filter(|name| bare(name) != **name || is_barcode(name)).count();
    let by_gene = match (barcodes(&columns), barcodes(&rows)) {
        (of_columns, of_rows) if of_columns > of_rows => true,
        (of_columns, of_rows) if of_columns < of_rows => false,
        _ => {
            return Err(Error::input(
                file,
                "names",
                format!(
                    "neither rows ({:?}, …) nor columns ({:?}, …) look like barcodes, so cells cannot be told from genes",
                    rows[0], columns[0]
                ),
                "give .mtx files with barcodes.tsv and genes.tsv beside them",
            ));
        }
    };
    let (ids, cells) = if by_gene { (rows, columns) } else { (columns, rows) };
    Ok(Axes { cells, genes: Genes { ids, symbols: None, more: Vec::new() }, by_gene })
}

fn is_barcode(name: &str) -> bool {
    name.len() >= 8 && name.bytes().all(|byte| b"ACGTN".contains(&byte))
}

/// Lets `visit` see the counts of a table that are not zero: row, column, count.
fn dense(
    file: &Path,
    reporter: &mut dyn Reporter,
    visit: &mut dyn FnMut(usize, usize, f64) -> Result<()>,
) -> Result<()> {
    let separator = separator_of_table(file)?;
    let mut text = Text::open(file)?;
    text.begin(reporter);
    text.next()?;
    let (mut row, mut width) = (0, 0);
    while let Some(line) = text.next()? {
        let line = String::from_utf8_lossy(line).into_owned();
        let fields = text::split(&line, separator);
        if row == 0 {
            width = fields.len();
        } else if fields.len() != width {
            return Err(text.wrong(
                format!("{width} fields were wanted, found {}", fields.len()),
                "the file was not copied to its end",
            ));
        }
        for (column, field) in fields[1..].iter().enumerate() {
            // Where semicolons stand between numbers, as of R's write.csv2, a comma stands within them.
            let decimal = if separator == ';' { field.replace(',', ".") } else { String::new() };
            let number = if separator == ';' { &decimal } else { *field };
            match mtx::number(number.trim().as_bytes()) {
                Some(value) if mtx::is_count(value) => {
                    if value > 0.0 {
                        visit(row, column, value)?;
                    }
                }
                _ => return Err(text.wrong(format!("a count was wanted, found \"{field}\""), "give the raw counts")),
            }
        }
        row += 1;
        text.show(reporter);
    }
    reporter.end(&format!("read {} ({row} rows)", text::short(file)));
    Ok(())
}
