//! Folders of kb-python: the workflows `nac` (for velocity since 0.28) and `lamanno` (before).
//!
//! Layout: kb-python 0.30.2, `count.py`, `constants.py`. Matrices are cells × genes. In `nac`, `mature` and `nascent` are the
//! molecules that a junction or an intron tells, `ambiguous` those in exons alone: in cells, most of the spliced ones.

use std::path::{Path, PathBuf};

use super::choice::places;
use super::find::sample_of;
use super::lists::first_names;
use super::source::{Ambiguous, Called, Entries, Genes, Part, Source, Split, Visit};
use super::text::{find, find_any};
use super::{genes, mtx};
use crate::data::Reporter;
use crate::error::{Error, Result};

/// One matrix, and where its rows and columns are in the lists of the source.
struct Table {
    part: Part,
    file: PathBuf,
    cells: Vec<usize>,
    n_genes: usize,
    /// Whether rows are genes.
    by_gene: bool,
}

struct Tables(Vec<Table>);

impl Entries for Tables {
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()> {
        self.0.iter().try_for_each(|table| {
            let n_cells = table.cells.len();
            if table.by_gene {
                mtx::read(&table.file, [table.n_genes, n_cells], reporter, |gene, cell, [value]| {
                    visit(table.cells[cell], gene as u32, table.part, value)
                })
            } else {
                mtx::read(&table.file, [n_cells, table.n_genes], reporter, |cell, gene, [value]| {
                    visit(table.cells[cell], gene as u32, table.part, value)
                })
            }
        })
    }
}

/// The matrices of one folder before they are opened: class, matrix, list of barcodes, list of genes.
struct Layout {
    tables: Vec<(Part, PathBuf, PathBuf, PathBuf)>,
    by_gene: bool,
    symbols: Option<PathBuf>,
    prefixes: Option<PathBuf>,
}

fn layout(folder: &Path) -> Option<Layout> {
    let table = |part, matrix: &str, cells: &str, genes: &str| {
        Some((part, find(folder, matrix)?, find(folder, cells)?, find(folder, genes)?))
    };
    let nac = |part, name: &str| {
        table(part, &format!("cells_x_genes.{name}.mtx"), "cells_x_genes.barcodes.txt", "cells_x_genes.genes.txt")
    };
    let lamanno = |part, name: &str| {
        table(part, &format!("{name}.mtx"), &format!("{name}.barcodes.txt"), &format!("{name}.genes.txt"))
    };
    let cellranger = |part, names: [&str; 2]| {
        names.iter().find_map(|name| {
            let genes =
                find(folder, &format!("{name}/genes.tsv")).or_else(|| find(folder, &format!("{name}/features.tsv")))?;
            let (matrix, cells) =
                (find(folder, &format!("{name}/matrix.mtx"))?, find(folder, &format!("{name}/barcodes.tsv"))?);
            Some((part, matrix, cells, genes))
        })
    };
    let styles = [
        [nac(Part::Spliced, "mature"), nac(Part::Unspliced, "nascent"), nac(Part::Ambiguous, "ambiguous")],
        [lamanno(Part::Spliced, "spliced"), lamanno(Part::Unspliced, "unspliced"), None],
        [
            cellranger(Part::Spliced, ["cellranger_processed", "spliced"]),
            cellranger(Part::Unspliced, ["cellranger_unprocessed", "unspliced"]),
            cellranger(Part::Ambiguous, ["cellranger_ambiguous", "ambiguous"]),
        ],
    ];
    let style = styles.iter().position(|[spliced, unspliced, _]| spliced.is_some() && unspliced.is_some())?;
    Some(Layout {
        tables: styles.into_iter().nth(style)?.into_iter().flatten().collect(),
        by_gene: style == 2,
        symbols: (style == 0).then(|| find(folder, "cells_x_genes.genes.names.txt")).flatten(),
        prefixes: (style == 0).then(|| find(folder, "cells_x_genes.barcodes.prefix.txt")).flatten(),
    })
}

/// The folder with matrices at or below `path`: of filtered and unfiltered counts, the filtered ones.
pub(super) fn at(path: &Path) -> Vec<PathBuf> {
    let places = [path.to_path_buf(), path.join("counts_filtered"), path.join("counts_unfiltered")];
    places.into_iter().find(|place| layout(place).is_some()).into_iter().collect()
}

/// Opens one folder.
///
/// # Errors
/// [`Error::Input`] if lists of names are missing or contradict each other.
pub(super) fn open(folder: &Path) -> Result<Source> {
    let Some(Layout { tables, by_gene, symbols, prefixes }) = layout(folder) else {
        return Err(super::find::nothing_at(folder));
    };
    let genes = genes_of(&tables, symbols.as_deref())?;
    // The matrices of lamanno have lists of barcodes of their own: a cell of either is one of the source, with zeros in the other.
    let (mut cells, mut opened): (Vec<String>, Vec<Table>) = (Vec::new(), Vec::new());
    for (part, file, barcodes, _) in &tables {
        let own = barcodes_of(barcodes, prefixes.as_deref())?;
        if own != cells {
            let known = places(&cells);
            let new: Vec<String> = own.iter().filter(|name| !known.contains_key(name.as_str())).cloned().collect();
            cells.extend(new);
        }
        let at = places(&cells);
        let positions = own.iter().map(|name| at[name.as_str()]).collect();
        let (part, file) = (*part, file.clone());
        opened.push(Table { part, file, cells: positions, n_genes: genes.ids.len(), by_gene });
    }
    let has_ambiguous = opened.iter().any(|table| table.part == Part::Ambiguous);
    Ok(Source {
        name: sample_of(folder),
        files: opened.iter().map(|table| table.file.clone()).collect(),
        called: called(folder)?,
        cells,
        obs: Vec::new(),
        genes,
        ambiguous: has_ambiguous.then_some(Ambiguous::Spliced),
        split: Split::Splicing,
        notes: Vec::new(),
        entries: Box::new(Tables(opened)),
    })
}

/// Barcodes, with the batch before them where kb lists it.
fn barcodes_of(file: &Path, prefixes: Option<&Path>) -> Result<Vec<String>> {
    let names = first_names(file)?;
    let Some(prefixes) = prefixes else { return Ok(names) };
    let before = first_names(prefixes)?;
    if before.len() != names.len() {
        let problem = format!("{} prefixes for {} barcodes", before.len(), names.len());
        return Err(Error::input(prefixes, "file", problem, "the two lists are of different runs"));
    }
    Ok(before.iter().zip(names).map(|(before, name)| format!("{before}{name}")).collect())
}

/// The genes, which all matrices share, with symbols where kb lists them.
fn genes_of(tables: &[(Part, PathBuf, PathBuf, PathBuf)], symbols: Option<&Path>) -> Result<Genes> {
    let mut genes = genes::from_features(&tables[0].3)?;
    for (_, _, _, list) in &tables[1..] {
        if *list != tables[0].3 && genes::from_features(list)?.ids != genes.ids {
            let problem = format!("other genes than in {}", tables[0].3.display());
            return Err(Error::input(list, "file", problem, "the matrices are of different runs"));
        }
    }
    if let Some(path) = symbols {
        let names = first_names(path)?;
        if names.len() == genes.ids.len() {
            // kb leaves a line empty where the reference has no symbol.
            let named = names.into_iter().zip(&genes.ids);
            genes.symbols = Some(named.map(|(name, id)| if name.is_empty() { id.clone() } else { name }).collect());
        }
    }
    Ok(genes)
}

/// `counts_unfiltered` holds every barcode that was seen; those of `counts_filtered` beside it are cells.
fn called(folder: &Path) -> Result<Called> {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    if absolute.file_name().is_none_or(|name| name != "counts_unfiltered") {
        return Ok(Called::All);
    }
    let filtered = absolute.parent().map(|above| above.join("counts_filtered"));
    let list = filtered.and_then(|place| {
        let names = ["cells_x_genes.barcodes.txt", "spliced.barcodes.txt"];
        find_any(&place, &names).ok()
    });
    Ok(match list {
        Some(file) => Called::Listed { names: first_names(&file)?, file },
        None => Called::Nobody {
            hint: "name the cells: --barcodes FILE; or let kb call them: kb count --filter bustools".to_owned(),
        },
    })
}
