//! What every kind of source gives: names of cells and genes, who called the cells, and entries one by one.

use std::path::PathBuf;

use crate::data::{Column, Reporter};
use crate::error::Result;

/// One of the classes of molecules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Spliced,
    Unspliced,
    Ambiguous,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Spliced, Self::Unspliced, Self::Ambiguous];
}

/// What is done with molecules that may be spliced or unspliced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// They are left out, and kept in a layer of their own.
    Drop,
    /// They count as spliced.
    Spliced,
    /// They count as unspliced.
    Unspliced,
}

impl Ambiguous {
    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Spliced => "spliced",
            Self::Unspliced => "unspliced",
        }
    }
}

/// What the counts of a source tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Molecules without introns from those with.
    Splicing,
    /// Molecules with a read in an exon from those in introns alone: exons of unspliced molecules count as spliced.
    Exonic,
}

/// The genes of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Genes {
    /// What tells genes apart; symbols where a source has nothing else.
    pub(super) ids: Vec<String>,
    /// Symbols, as often as they occur.
    pub(super) symbols: Option<Vec<String>>,
    /// What else a source says of its genes.
    pub(super) more: Vec<(String, Column)>,
}

/// Columns that go with cells.
pub(super) type Columns = Vec<(String, Column)>;

/// Which of the barcodes are cells.
pub(super) enum Called {
    /// All that the source has.
    All,
    /// These, by the list in this file.
    Listed { names: Vec<String>, file: PathBuf },
    /// The source does not say; a hint, what to do.
    Nobody { hint: String },
}

/// What sees an entry: cell, gene, class, count.
pub(super) type Visit<'a> = dyn FnMut(usize, u32, Part, f64) -> Result<()> + 'a;

/// The entries of a source.
pub(super) trait Entries {
    /// Lets `visit` see every entry: the position of the cell and of the gene in the lists of the source, the class and the count.
    /// Entries of one place may come several times, and add up.
    fn for_each(&self, reporter: &mut dyn Reporter, visit: &mut Visit) -> Result<()>;
}

/// One sample, before any of its counts are read.
pub(super) struct Source {
    /// The sample's name.
    pub(super) name: String,
    /// Files of counts, for the record.
    pub(super) files: Vec<PathBuf>,
    /// The barcodes as the source writes them.
    pub(super) cells: Vec<String>,
    /// What else a source says of its cells.
    pub(super) obs: Columns,
    pub(super) genes: Genes,
    pub(super) called: Called,
    /// What to do with ambiguous molecules unless told otherwise; `None` where the source has none.
    pub(super) ambiguous: Option<Ambiguous>,
    pub(super) split: Split,
    /// What the user should know.
    pub(super) notes: Vec<String>,
    pub(super) entries: Box<dyn Entries>,
}
