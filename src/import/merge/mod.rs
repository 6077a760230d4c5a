//! Counts added to a file that is already processed: its cells and genes are found in the counts, and get layers.
//!
//! `names` takes names of cells apart, `offers` are the cells of the counts, `cells` and `genes` find one side in the other, `told` says
//! what was found, and `refuse` what cannot be right. What the processed file holds stays as it is; only layers of counts come, and cells without counts go unless they
//! are wanted.

mod cells;
mod genes;
mod names;
mod offers;
mod refuse;
mod told;

use std::path::PathBuf;

pub use told::Merged;

use self::cells::{Matched, Told};
use self::names::rule;
use self::offers::{Offer, offers};
use super::source::{Ambiguous, Source};
use super::{find, join, name};
use crate::data::quantities::{SPLICED, UNSPLICED};
use crate::data::{Column, Frame, Reporter};
use crate::error::{Error, Result, require};
use crate::import::{AMBIGUOUS, Kind};
use crate::io::{self, Extras, Outline, OutputConfig};
use crate::sparse::Csr;

/// The column of obs that tells cells with counts from those without.
const HAS_COUNTS: &str = "has_counts";

/// What is to be merged, and how.
#[derive(Clone, Debug)]
pub struct MergeJob {
    /// The `.h5ad` file that gets layers.
    pub processed: PathBuf,
    /// Files or folders with counts, as for [`import`](super::import).
    pub counts: Vec<PathBuf>,
    /// What the counts are; found out where `None`.
    pub format: Option<Kind>,
    /// What becomes of ambiguous molecules; what suits the source where `None`.
    pub ambiguous: Option<Ambiguous>,
    /// A list of gene ids and symbols, for the genes of the counts.
    pub gene_names: Option<PathBuf>,
    /// The column of obs that tells samples apart; found out where `None` and needed.
    pub sample_column: Option<String>,
    /// Samples of the processed file with those of the counts that they are, which are found out otherwise.
    pub pairs: Vec<(String, String)>,
    /// The least share of the processed cells that must have counts, from 0 to 1.
    pub min_cells: f64,
    /// The least share of the processed genes that must have counts, from 0 to 1.
    pub min_genes: f64,
    /// Whether cells without counts stay, with zeros.
    pub keep_unmatched: bool,
    /// Whether layers that are there already are replaced.
    pub replace: bool,
    /// The `.h5ad` file to write.
    pub output: PathBuf,
    /// gzip level of what is added, 0 to 9.
    pub compression: u8,
}

/// The layers of counts, over the cells that stay and the genes of the processed file.
struct Layers {
    spliced: Csr<f32>,
    unspliced: Csr<f32>,
    /// Where ambiguous molecules are left out of the others.
    ambiguous: Option<Csr<f32>>,
}

/// Finds the cells and genes of the processed file in the counts, and writes a copy of it with layers `spliced`, `unspliced` and, where
/// they are left out, `ambiguous`. `uns["nascent_merge"]` says whence and how.
///
/// Cells without counts are left out of the copy, or stay with zeros and `False` in `obs["has_counts"]`. Genes without counts stay,
/// with zeros.
///
/// # Errors
/// [`Error::Input`] if a file cannot be read, too few cells or genes have counts, it is unclear whose they are, or the processed file has
/// such layers already; [`Error::Setting`] for a setting that cannot be; [`Error::File`] if the system refuses to read or write.
pub fn merge(job: &MergeJob, reporter: &mut dyn Reporter) -> Result<Merged> {
    for (key, share) in [("--min-cells", job.min_cells), ("--min-genes", job.min_genes)] {
        require((0.0..=1.0).contains(&share), key, share, "must be a share, from 0 to 1")?;
    }
    io::check_writable(&job.output)?;
    let read = io::Stamp::of(&job.processed)?;
    let mut processed = io::outline(&job.processed)?;
    name_genes(&mut processed);
    refuse_layers(job, &processed.layers)?;
    check_column(job, &processed.obs)?;
    let told = Told { column: job.sample_column.as_deref(), pairs: &job.pairs };
    let columns = cells::barcode_columns(&processed.obs);
    let search = |sources: &[Source]| cells::find(&processed.obs, &columns, &offers(sources), told).found();
    let (kind, mut sources) = open(job, false)?;
    // Lists of all barcodes are long: they are read where the cells that the pipeline called are not enough.
    let called = search(&sources);
    if called < processed.obs.index.len()
        && let Ok((_, all)) = open(job, true)
        && search(&all) > called
    {
        sources = all;
    }
    let offers = offers(&sources);
    let found = cells::find(&processed.obs, &columns, &offers, told);
    check_pairs(job, &found, &offers)?;
    refuse::check_cells(job, &found, &offers)?;
    let by_source: Vec<genes::Matched> =
        sources.iter().map(|source| genes::find(&processed.var, &source.genes)).collect();
    refuse::check_genes(job, &processed.var, &sources, &by_source)?;
    let ambiguous = policy(job.ambiguous, &sources, reporter);
    let stay: Vec<usize> =
        (0..found.rows.len()).filter(|&cell| job.keep_unmatched || found.rows[cell].is_some()).collect();
    let mut molecules = [0.0; 3];
    let layers = layers(
        &sources,
        &found,
        (&by_source, processed.var.index.len()),
        &stay,
        ambiguous,
        (&mut molecules, reporter),
    )?;
    let mut merged =
        Merged::new(job, kind, (&processed.obs, &processed.var), (&found, &offers), &by_source, &layers, &stay);
    (merged.molecules, merged.ambiguous) = (molecules, ambiguous);
    merged.warn(reporter);
    reporter.say(&format!("writing {}", job.output.display()));
    let left_out = write((job, &read), &found, layers, stay, &merged, &sources)?;
    if !left_out.is_empty() {
        reporter.warn(&format!("left out, for they cannot be cut to some of the cells: {}", left_out.join(", ")));
    }
    Ok(merged)
}

fn open(job: &MergeJob, others: bool) -> Result<(Kind, Vec<Source>)> {
    let (kind, mut sources) = find::open(&job.counts, job.format, others)?;
    name(&mut sources, &[])?;
    for source in &mut sources {
        if let Some(path) = &job.gene_names {
            source.genes = std::mem::take(&mut source.genes).named_by(path)?;
        }
    }
    Ok((kind, sources))
}

/// Where genes are called 0, 1, 2, …, as SeuratDisk may leave them, the names of those of `raw` are names of theirs.
fn name_genes(processed: &mut Outline) {
    let numbered = processed.var.index.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let n = processed.var.index.len();
    if let Some(raw) = processed.raw_var.take().filter(|raw| numbered && raw.index.len() == n) {
        processed.var.columns.extend(raw.columns.into_iter().map(|(name, column)| (format!("raw {name}"), column)));
        processed.var.set("raw var_names", Column::Text(raw.index));
    }
}

fn refuse_layers(job: &MergeJob, there: &[String]) -> Result<()> {
    let taken: Vec<&str> =
        [SPLICED.key(), UNSPLICED.key()].into_iter().filter(|key| there.iter().any(|name| name == key)).collect();
    if taken.is_empty() || job.replace {
        return Ok(());
    }
    let problem = format!("the processed file has such layers already: {}", taken.join(", "));
    Err(Error::input(&job.processed, "layers", problem, "--replace puts the new counts in their place"))
}

/// Fails if the user names a column that is not there.
fn check_column(job: &MergeJob, obs: &Frame) -> Result<()> {
    let Some(column) = job.sample_column.as_deref().filter(|name| obs.get(name).is_none()) else { return Ok(()) };
    let there: Vec<&str> = obs.columns.iter().map(|(name, _)| name.as_str()).collect();
    Err(Error::Setting {
        key: "--sample-column".to_owned(),
        value: column.to_owned(),
        wanted: format!("must be a column of obs: {}", there.join(", ")),
    })
}

/// Fails if the user pairs samples that are not there.
fn check_pairs(job: &MergeJob, found: &Matched, offers: &[Offer]) -> Result<()> {
    let ours: Vec<&str> = found.groups.iter().map(|group| group.label.as_str()).collect();
    let theirs: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
    for (one, other) in &job.pairs {
        let there =
            found.groups.iter().any(|group| group.is_called(one)) && offers.iter().any(|offer| offer.is_called(other));
        if !there {
            return Err(Error::Setting {
                key: "--pair".to_owned(),
                value: format!("{one}={other}"),
                wanted: format!(
                    "must be a sample of the processed file ({}) and one of the counts ({})",
                    ours.join(", "),
                    theirs.join(", ")
                ),
            });
        }
    }
    Ok(())
}

fn policy(wanted: Option<Ambiguous>, sources: &[Source], reporter: &mut dyn Reporter) -> Option<Ambiguous> {
    let own = sources.iter().find_map(|source| source.ambiguous);
    if own.is_none() && wanted.is_some() {
        reporter.warn("the counts have no ambiguous molecules: --ambiguous changes nothing");
    }
    own.map(|own| wanted.unwrap_or(own))
}

/// Reads the counts of the cells that were found, of one source after the other.
fn layers(
    sources: &[Source],
    found: &Matched,
    (genes, n_vars): (&[genes::Matched], usize),
    stay: &[usize],
    ambiguous: Option<Ambiguous>,
    (molecules, reporter): (&mut [f64; 3], &mut dyn Reporter),
) -> Result<Layers> {
    let mut parts = [0, 1, 2].map(|_| Csr::empty(0, n_vars));
    let mut place = vec![None; found.rows.len()];
    for (at, source) in sources.iter().enumerate() {
        let own =
            found.rows.iter().enumerate().filter_map(|(cell, row)| Some((cell, row.filter(|row| row.0 == at)?.1)));
        let (cells, rows): (Vec<usize>, Vec<usize>) = own.unzip();
        for (offset, cell) in cells.iter().enumerate() {
            place[*cell] = Some(parts[0].n_rows + offset);
        }
        let counts = join::counts(source, &rows, (&genes[at].target, n_vars), ambiguous, (molecules, reporter))?;
        for (all, own) in parts.iter_mut().zip(counts) {
            all.append(own);
        }
    }
    let [spliced, unspliced, left_out] = parts.map(|mut part| {
        // Cells without counts share a row without entries.
        let empty = part.n_rows;
        part.append(Csr::empty(1, n_vars));
        part.select_rows(&stay.iter().map(|&cell| place[cell].unwrap_or(empty)).collect::<Vec<_>>())
    });
    let ambiguous = (ambiguous == Some(Ambiguous::Drop)).then_some(left_out);
    Ok(Layers { spliced, unspliced, ambiguous })
}

fn write(
    (job, read): (&MergeJob, &io::Stamp),
    found: &Matched,
    layers: Layers,
    stay: Vec<usize>,
    merged: &Merged,
    sources: &[Source],
) -> Result<Vec<String>> {
    let mut counts = vec![(SPLICED.key().to_owned(), layers.spliced), (UNSPLICED.key().to_owned(), layers.unspliced)];
    counts.extend(layers.ambiguous.map(|left_out| (AMBIGUOUS.to_owned(), left_out)));
    let without = found.found() < found.rows.len();
    let flags = found.rows.iter().map(Option::is_some).collect();
    let flags = (HAS_COUNTS.to_owned(), Column::Bool(flags));
    let extras = Extras {
        obs: (without && job.keep_unmatched).then_some(flags).into_iter().collect(),
        cells: (stay.len() < found.rows.len()).then_some(stay),
        counts,
        uns: vec![("nascent_merge".to_owned(), merged.record(sources))],
    };
    let written = OutputConfig { compression: job.compression, ..OutputConfig::default() };
    io::write_extras(&job.output, read, &written, &extras)
}
