//! Counts out of the pipelines that make them: velocyto, STARsolo, Cell Ranger, kb-python, alevin-fry, nf-core, Parse, and plain
//! matrices, into one `.h5ad` file.
//!
//! A `Source` knows the names of its cells and genes, and walks through its entries one by one; which cells are kept
//! (`choice`), what becomes of ambiguous molecules and how samples are joined (`join`) is the same for all. `find` tells from what
//! lies at a path which kind of source it is. Nothing is held but what is kept: lists of millions of barcodes are walked through.

mod alevin;
mod cellranger;
mod choice;
mod find;
mod genes;
mod inspect;
mod join;
mod kb;
mod layered;
mod lists;
mod matrices;
mod merge;
mod mtx;
mod parse;
mod runs;
mod source;
mod starsolo;
mod sublibraries;
mod tally;
mod text;

use std::fmt;
use std::path::PathBuf;

pub use find::Kind;
pub(crate) use inspect::{FEW, MANY, VERY_FEW};
pub use inspect::{Inspection, Shares, inspect};
pub use layered::AMBIGUOUS;
pub use merge::{MergeJob, Merged, merge};
pub use source::Ambiguous;

use self::choice::Choice;
use self::join::Joined;
use self::source::{Source, Split};
use crate::data::Reporter;
use crate::data::quantities::{SPLICED, UNSPLICED};
use crate::error::{Error, Result};
use crate::io::{self, NewFile, OutputConfig, Uns};

/// What is to be imported, and how.
#[derive(Clone, Debug, Default)]
pub struct ImportJob {
    /// Files or folders, each of one sample, or of several.
    pub sources: Vec<PathBuf>,
    /// What the sources are; found out where `None`.
    pub format: Option<Kind>,
    /// A list of the cells to keep; the pipeline's own cells where `None`.
    pub barcodes: Option<PathBuf>,
    /// The fewest molecules of a cell that is kept.
    pub min_molecules: Option<f64>,
    /// What becomes of ambiguous molecules; what suits the source where `None`.
    pub ambiguous: Option<Ambiguous>,
    /// A list of gene ids and symbols.
    pub gene_names: Option<PathBuf>,
    /// Names of the samples, one for each.
    pub samples: Vec<String>,
    /// The `.h5ad` file to write.
    pub output: PathBuf,
    /// gzip level of the file, 0 to 9.
    pub compression: u8,
}

/// What was imported.
#[derive(Clone, Debug)]
pub struct Imported {
    kind: Kind,
    split: Split,
    output: PathBuf,
    samples: usize,
    /// Number of cells.
    pub n_obs: usize,
    /// Number of genes.
    pub n_vars: usize,
    /// Molecules: spliced, unspliced and ambiguous, as the source has them.
    pub molecules: [f64; 3],
    /// What became of ambiguous molecules; `None` where the source has none.
    pub ambiguous: Option<Ambiguous>,
}

/// Reads the sources and writes their counts.
///
/// Of the file, `layers["spliced"]` and `layers["unspliced"]` are the counts, `X` is the spliced ones again, `layers["ambiguous"]` what
/// was left out; rows are cells, named as in the source, with columns `barcode` and `sample`; columns are genes, named by symbols made
/// unique, with a column `gene_ids`. `uns["nascent_import"]` says whence and how.
///
/// # Errors
/// [`Error::Input`] naming file, place and remedy, [`Error::File`] if the system refuses to read or write.
pub fn import(job: &ImportJob, reporter: &mut dyn Reporter) -> Result<Imported> {
    io::check_writable(&job.output)?;
    let choice = Choice::new(job.barcodes.as_deref(), job.min_molecules)?;
    let (kind, mut sources) = find::open(&job.sources, job.format, choice.others())?;
    name(&mut sources, &job.samples)?;
    for source in &mut sources {
        if let Some(path) = &job.gene_names {
            source.genes = std::mem::take(&mut source.genes).named_by(path)?;
        }
        for note in &source.notes {
            reporter.say(&format!("{}: {note}", source.name));
        }
    }
    let split = sources.first().map_or(Split::Splicing, |source| source.split);
    let own = sources.iter().find_map(|source| source.ambiguous);
    let ambiguous = own.map(|own| job.ambiguous.unwrap_or(own));
    if ambiguous.is_none() && job.ambiguous.is_some() {
        reporter.warn("the source has no ambiguous molecules: --ambiguous changes nothing");
    }
    let joined = join::join(&sources, &choice, ambiguous, reporter)?;
    let molecules = joined.molecules;
    check(&joined, kind, &sources, reporter)?;
    let imported = Imported {
        kind,
        split,
        output: job.output.clone(),
        samples: sources.len(),
        n_obs: joined.obs.index.len(),
        n_vars: joined.var.index.len(),
        molecules,
        ambiguous,
    };
    reporter.say(&format!("writing {}", job.output.display()));
    let record = imported.record(&sources, &joined.by);
    let mut counts = vec![(SPLICED.key().to_owned(), joined.spliced), (UNSPLICED.key().to_owned(), joined.unspliced)];
    let x = counts[0].1.clone();
    counts.extend(joined.ambiguous.map(|left_out| (AMBIGUOUS.to_owned(), left_out)));
    let file = NewFile {
        x: Some(x),
        counts,
        obs: joined.obs,
        var: joined.var,
        uns: vec![("nascent_import".to_owned(), record)],
        ..NewFile::default()
    };
    let written = OutputConfig { compression: job.compression, ..OutputConfig::default() };
    io::write_new(&job.output, &written, &file)?;
    Ok(imported)
}

/// Gives the samples the names that the user wants, or sees to it that those found differ.
fn name(sources: &mut [Source], names: &[String]) -> Result<()> {
    if !names.is_empty() && names.len() != sources.len() {
        let found: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        return Err(Error::Setting {
            key: "--sample".to_owned(),
            value: names.join(","),
            wanted: format!("must be one name for each of the {} samples: {}", sources.len(), found.join(", ")),
        });
    }
    for (source, name) in sources.iter_mut().zip(names) {
        name.clone_into(&mut source.name);
    }
    let all: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    for (source, name) in sources.iter_mut().zip(genes::unique(&all)) {
        source.name = name;
    }
    Ok(())
}

/// Refuses counts of which nothing is unspliced, and warns of odd shares.
fn check(joined: &Joined, kind: Kind, sources: &[Source], reporter: &mut dyn Reporter) -> Result<()> {
    let [spliced, unspliced, ambiguous] = joined.molecules;
    let of_all = |part: f64| 100.0 * part / (spliced + unspliced + ambiguous).max(1.0);
    let file = choice::first_file(&sources[0]);
    if unspliced == 0.0 || spliced == 0.0 {
        let which = if unspliced == 0.0 { "unspliced" } else { "spliced" };
        let (problem, hint) = kind.without(which);
        return Err(Error::input(file, "counts", problem, hint));
    }
    let share = of_all(unspliced);
    if share < 100.0 * VERY_FEW {
        reporter.warn(&format!("only {share:.1} % of the molecules are unspliced; velocity will rest on little"));
    }
    if joined.ambiguous.is_some() && of_all(ambiguous) > 25.0 {
        let share = of_all(ambiguous);
        reporter.warn(&format!(
            "{share:.1} % of the molecules are ambiguous and left out; --ambiguous spliced counts them"
        ));
    }
    Ok(())
}

impl Imported {
    fn record(&self, sources: &[Source], by: &[String]) -> Uns {
        let text = |word: &str| Uns::Text(word.to_owned());
        let texts = |words: Vec<String>| Uns::Texts(words);
        let meaning = match self.split {
            Split::Splicing => "spliced and unspliced molecules",
            Split::Exonic => {
                "molecules with a read in an exon, as spliced, and with reads in introns alone, as unspliced"
            }
        };
        let files = sources.iter().flat_map(|source| &source.files).map(|file| file.display().to_string());
        let members = [
            ("version", text(env!("CARGO_PKG_VERSION"))),
            ("source", text(self.kind.title())),
            ("files", texts(files.collect())),
            ("samples", texts(sources.iter().map(|source| source.name.clone()).collect())),
            ("cells", texts(by.to_vec())),
            ("counts", text(meaning)),
            ("X", text(SPLICED.key())),
            ("ambiguous", text(self.ambiguous.map_or("none", Ambiguous::word))),
            ("molecules", Uns::Floats(self.molecules.to_vec())),
        ];
        Uns::Dict(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: f64 = self.molecules.iter().sum();
        let share = |part: f64| 100.0 * part / total.max(1.0);
        let samples = if self.samples > 1 { format!(" of {} samples", self.samples) } else { String::new() };
        writeln!(
            out,
            "wrote {}: {} cells{samples}, {} genes from {}",
            self.output.display(),
            self.n_obs,
            self.n_vars,
            self.kind.title()
        )?;
        let [_, unspliced, ambiguous] = self.molecules;
        let (name, comment) = match self.split {
            Split::Splicing => ("unspliced", ""),
            Split::Exonic => (
                "intronic (layer \"unspliced\")",
                "; the split is exonic/intronic: exons of unspliced molecules count as spliced",
            ),
        };
        write!(out, "molecules: {total}, {:.1} % {name}", share(unspliced))?;
        if let Some(policy) = self.ambiguous {
            let what = match policy {
                Ambiguous::Drop => "left out, in layer \"ambiguous\"".to_owned(),
                other => format!("counted as {}", other.word()),
            };
            write!(out, ", {:.1} % ambiguous ({what}; --ambiguous changes it)", share(ambiguous))?;
        }
        writeln!(out, "{comment}")?;
        write!(out, "next: nascent train --input {} --output velocity.h5ad", self.output.display())
    }
}
