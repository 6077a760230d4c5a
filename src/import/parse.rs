//! Parse Biosciences' split-pipe: `process/tscp_assignment.csv.gz`, one line per transcript.
//!
//! Columns used: `bc_wells` (cell), `gene`, `gene_name`, `exonic`. Exonic transcripts count as spliced, as in Parse's own recipe
//! for scVelo. Cells are those of `all-sample/DGE_filtered/cell_metadata.csv`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::find::{entries, sample_of};
use super::source::{self, Called, Entries, Genes, Part, Source, Split, Visit};
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

/// The file at or below `path`.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return if name.contains("tscp_assignment.csv") { vec![path.to_path_buf()] } else { Vec::new() };
    }
    [path.to_path_buf(), path.join("process")]
        .iter()
        .find_map(|folder| find(folder, "tscp_assignment.csv"))
        .into_iter()
        .collect()
}

/// Opens a file. Its cells are those that were called, or all if the user wants others.
///
/// # Errors
/// [`Error::Input`] if columns are missing.
pub(super) fn open(file: &Path, others: bool) -> Result<Source> {
    let calls = called(file);
    let table = calls.as_deref().filter(|_| !others).map(cells).transpose()?;
    let (mut found, mut place) = (Vec::new(), HashMap::new());
    let (mut genes, mut gene_place) = (Genes { symbols: Some(Vec::new()), ..Genes::default() }, HashMap::new());
    lines(file, None, |_, columns, fields| {
        if table.is_none() && !place.contains_key(fields[columns.cell]) {
            place.insert(fields[columns.cell].to_owned(), found.len());
            found.push(fields[columns.cell].to_owned());
        }
        if !gene_place.contains_key(fields[columns.gene]) {
            gene_place.insert(fields[columns.gene].to_owned(), genes.ids.len() as u32);
            genes.ids.push(fields[columns.gene].to_owned());
            let symbol = columns.symbol.map_or(fields[columns.gene], |at| fields[at]);
            genes.symbols.get_or_insert_default().push(symbol.to_owned());
        }
        Ok(())
    })?;
    let hint = "name the cells: --barcodes all-sample/DGE_filtered/cell_metadata.csv".to_owned();
    let (cells, obs) = table.unwrap_or((found, Vec::new()));
    let called = match calls {
        Some(list) => Called::Listed { names: if others { self::cells(&list)?.0 } else { cells.clone() }, file: list },
        None => Called::Nobody { hint },
    };
    Ok(Source {
        name: sample_of(file),
        files: vec![file.to_path_buf()],
        obs,
        genes,
        called,
        ambiguous: None,
        split: Split::Exonic,
        notes: vec!["exonic transcripts count as spliced, others as unspliced".to_owned()],
        entries: Box::new(Transcripts {
            file: file.to_path_buf(),
            cells: cells.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect(),
            genes: gene_place,
        }),
        cells,
    })
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
fn cells(list: &Path) -> Result<(Vec<String>, source::Columns)> {
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
