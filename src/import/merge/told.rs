//! What is said of a merge: which cells and genes were found, and how.

use std::fmt;
use std::path::PathBuf;

use super::cells::{Fate, Group, Matched};
use super::{Layers, MergeJob, Offer, genes, rule};
use crate::data::{Column, Frame, Reporter};
use crate::import::Kind;
use crate::import::source::{Ambiguous, Source};
use crate::io::Uns;
use crate::stats::{median, spearman};

/// Names that are shown of many.
pub(super) const SHOWN: usize = 3;
/// Columns in which programs keep the number of molecules of each cell.
const TOTALS: [&str; 6] = ["total_counts", "n_counts", "nCount_RNA", "nCount_originalexp", "nUMI", "n_umi"];
/// Rank correlations below this are not those of one sample counted twice; few genes, and cells of like depth, lower them.
const SAME_SAMPLE: f64 = 0.2;
/// Barcodes without a cell have a small share of a cell's molecules.
const FEW: f64 = 0.05;

/// What was merged.
#[derive(Clone, Debug)]
pub struct Merged {
    kind: Kind,
    output: PathBuf,
    /// Cells of the processed file.
    pub n_obs: usize,
    /// Of these, cells that have counts.
    pub matched_cells: usize,
    /// Genes of the processed file.
    pub n_vars: usize,
    /// Of these, genes that have counts.
    pub matched_genes: usize,
    /// Molecules of each class in the cells and genes that match, as the source has them.
    pub molecules: [f64; 3],
    /// What became of ambiguous molecules; `None` where the source has none.
    pub ambiguous: Option<Ambiguous>,
    keep_unmatched: bool,
    key: String,
    column: Option<String>,
    samples: Vec<Sample>,
    unclear: usize,
    empty: usize,
    cells_without: Vec<String>,
    gene_rule: String,
    genes_without: Vec<String>,
    /// Genes of the counts that the processed file lacks.
    other_genes: usize,
    /// Cells of the counts that the processed file lacks.
    other_cells: usize,
}

/// What is said of one sample.
#[derive(Clone, Debug)]
struct Sample {
    label: String,
    cells: usize,
    matched: usize,
    rule: String,
    counts: String,
    unspliced: f64,
    /// Median number of molecules of its cells.
    median: f64,
    /// Rank correlation of the molecules of each cell with those that the processed file says it had.
    agreement: Option<f64>,
}

impl Merged {
    pub(super) fn new(
        job: &MergeJob,
        kind: Kind,
        (obs, var): (&Frame, &Frame),
        (found, offers): (&Matched, &[Offer]),
        by_source: &[genes::Matched],
        layers: &Layers,
        stay: &[usize],
    ) -> Self {
        let has_gene = found_genes(by_source, var.index.len());
        let quoted = |names: &mut dyn Iterator<Item = &String>| names.take(SHOWN).cloned().collect::<Vec<String>>();
        let all = Totals::new(layers, found.rows.len(), stay);
        let own = TOTALS.iter().find_map(|name| obs.get(name)).and_then(Column::to_numbers);
        let samples = found.groups.iter().map(|group| sample(group, offers, &all, own.as_deref())).collect();
        Self {
            kind,
            output: job.output.clone(),
            n_obs: found.rows.len(),
            matched_cells: found.found(),
            n_vars: var.index.len(),
            matched_genes: has_gene.iter().filter(|has| **has).count(),
            molecules: [0.0; 3],
            ambiguous: None,
            keep_unmatched: job.keep_unmatched,
            key: found.key.clone(),
            column: found.column.clone(),
            samples,
            unclear: found.unclear,
            empty: (0..found.rows.len()).filter(|&cell| found.rows[cell].is_some() && all.of(cell) == 0.0).count(),
            cells_without: quoted(
                &mut obs.index.iter().zip(&found.rows).filter(|(_, row)| row.is_none()).map(|(name, _)| name),
            ),
            gene_rule: by_source.first().map(|matched| matched.rule.clone()).unwrap_or_default(),
            genes_without: quoted(&mut var.index.iter().zip(&has_gene).filter(|(_, has)| !**has).map(|(name, _)| name)),
            other_genes: by_source
                .iter()
                .map(|matched| matched.target.iter().filter(|at| at.is_none()).count())
                .max()
                .unwrap_or_default(),
            other_cells: offers.iter().map(Offer::n_called).sum::<usize>().saturating_sub(found.found()),
        }
    }

    /// Says loudly what should not be overlooked.
    pub(super) fn warn(&self, reporter: &mut dyn Reporter) {
        let without = self.n_obs - self.matched_cells;
        if without > 0 {
            let fate = if self.keep_unmatched {
                "they stay, with zeros, and are False in obs[\"has_counts\"]: leave them out before you fit a model"
            } else {
                "they are left out (--keep-unmatched keeps them, with zeros)"
            };
            let names = listed(&self.cells_without, without);
            reporter.warn(&format!("{without} of the {} processed cells have no counts ({names}): {fate}", self.n_obs));
        }
        if self.unclear > 0 {
            let hint = "the barcode of each is in several samples, or several cells have it";
            reporter.warn(&format!(
                "of {} cells it is unclear whose the counts are, and they get none: {hint}",
                self.unclear
            ));
        }
        if self.empty > 0 {
            reporter.warn(&format!("{} cells that were found have no molecule in the genes of the file", self.empty));
        }
        let most = self.samples.iter().map(|sample| sample.median).fold(0.0, f64::max);
        for sample in &self.samples {
            if sample.median < FEW * most {
                reporter.warn(&format!(
                    "sample {}: its cells have {:.0} molecules (median), those of another sample {most:.0}: are these the counts of \
                     this sample, or barcodes of its cells in another?",
                    sample.label, sample.median
                ));
            }
            if let Some(agreement) = sample.agreement.filter(|agreement| *agreement < SAME_SAMPLE) {
                reporter.warn(&format!(
                    "sample {}: cells that had many molecules in the processed file do not have many here (rank correlation \
                     {agreement:.2}): are the counts those of this sample?",
                    sample.label
                ));
            }
        }
    }

    /// What the file says of the merge.
    pub(super) fn record(&self, sources: &[Source]) -> Uns {
        let text = |word: &str| Uns::Text(word.to_owned());
        let whole = |number: usize| Uns::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let files = sources.iter().flat_map(|source| &source.files).map(|file| file.display().to_string());
        let of = |what: &dyn Fn(&Sample) -> String| Uns::Texts(self.samples.iter().map(what).collect());
        let members = [
            ("version", text(env!("CARGO_PKG_VERSION"))),
            ("source", text(self.kind.title())),
            ("files", Uns::Texts(files.collect())),
            ("cells", whole(self.n_obs)),
            ("cells_matched", whole(self.matched_cells)),
            ("cells_by", text(&self.key)),
            ("sample_column", text(self.column.as_deref().unwrap_or("none"))),
            ("samples", of(&|sample| sample.label.clone())),
            ("samples_counts", of(&|sample| sample.counts.clone())),
            ("samples_rule", of(&|sample| sample.rule.clone())),
            ("samples_matched", Uns::Floats(self.samples.iter().map(|sample| sample.matched as f64).collect())),
            ("genes", whole(self.n_vars)),
            ("genes_matched", whole(self.matched_genes)),
            ("genes_by", text(&self.gene_rule)),
            ("ambiguous", text(self.ambiguous.map_or("none", Ambiguous::word))),
            ("molecules", Uns::Floats(self.molecules.to_vec())),
        ];
        Uns::Dict(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

/// Molecules of each cell of the processed file, in the layers over those that stay.
struct Totals {
    /// All molecules, and the unspliced ones.
    of: Vec<[f64; 2]>,
}

impl Totals {
    fn new(layers: &Layers, n_obs: usize, stay: &[usize]) -> Self {
        let sums = [Some(&layers.spliced), Some(&layers.unspliced), layers.ambiguous.as_ref()]
            .map(|layer| layer.map_or_else(|| vec![0.0; stay.len()], crate::sparse::Csr::row_sums));
        let mut of = vec![[0.0; 2]; n_obs];
        for (row, &cell) in stay.iter().enumerate() {
            of[cell] = [sums.iter().map(|sums| sums[row]).sum(), sums[1][row]];
        }
        Self { of }
    }

    fn of(&self, cell: usize) -> f64 {
        self.of[cell][0]
    }
}

fn sample(group: &Group, offers: &[Offer], totals: &Totals, own: Option<&[f64]>) -> Sample {
    /// Cells from which a correlation says something.
    const ENOUGH: usize = 20;
    let cells: Vec<usize> = group.cells.iter().map(|(cell, _)| *cell).filter(|&cell| totals.of(cell) > 0.0).collect();
    let sum = |at: usize| cells.iter().map(|&cell| totals.of[cell][at]).sum::<f64>();
    let (rules, names): (Vec<String>, Vec<String>) = match &group.fate {
        Fate::In(at) => (vec![rule(&group.example, &offers[*at].example)], vec![offers[*at].name.clone()]),
        Fate::Among(several) | Fate::Unclear(several) => {
            let rules = several.iter().map(|&at| rule(&group.example, &offers[at].example));
            (rules.collect(), several.iter().map(|&at| offers[at].name.clone()).collect())
        }
        Fate::Nowhere => (vec!["no counts".to_owned()], Vec::new()),
    };
    let mut rules = rules;
    rules.dedup();
    let agreement = own.filter(|_| cells.len() >= ENOUGH).map(|own| {
        let theirs: Vec<f64> = cells.iter().map(|&cell| own[cell]).collect();
        spearman(&theirs, &cells.iter().map(|&cell| totals.of(cell)).collect::<Vec<_>>())
    });
    Sample {
        label: group.label.clone(),
        cells: group.cells.len(),
        matched: group.matched,
        rule: rules.join(" or "),
        counts: names.join(", "),
        unspliced: sum(1).max(0.0) / sum(0).max(1.0),
        median: if cells.is_empty() {
            f64::NAN
        } else {
            median(&cells.iter().map(|&cell| totals.of(cell)).collect::<Vec<_>>())
        },
        agreement,
    }
}

fn found_genes(by_source: &[genes::Matched], n_vars: usize) -> Vec<bool> {
    let mut has = vec![false; n_vars];
    by_source.iter().flat_map(|matched| &matched.target).flatten().for_each(|&at| has[at as usize] = true);
    has
}

pub(super) fn listed(names: &[String], of: usize) -> String {
    let shown: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let more = if of > names.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

impl fmt::Display for Merged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        let cells = if self.keep_unmatched { self.n_obs } else { self.matched_cells };
        writeln!(out, "wrote {}: {cells} cells, {} genes", self.output.display(), self.n_vars)?;
        let column = self.column.as_ref().map_or_else(String::new, |name| format!(" and obs[{name:?}]"));
        writeln!(
            out,
            "cells: {} of {} have counts ({:.1} %), by {}{column}, from {}; {} others of the counts are left out",
            self.matched_cells,
            self.n_obs,
            share(self.matched_cells, self.n_obs),
            self.key,
            self.kind.title(),
            self.other_cells
        )?;
        for sample in &self.samples {
            let from = if sample.counts.is_empty() { String::new() } else { format!(" of {}", sample.counts) };
            let agreement =
                sample.agreement.map_or_else(String::new, |rho| format!(", molecules per cell agree {rho:.2}"));
            writeln!(
                out,
                "  {}: {} of {}, {}{from}; {:.1} % unspliced{agreement}",
                sample.label,
                sample.matched,
                sample.cells,
                sample.rule,
                100.0 * sample.unspliced
            )?;
        }
        let without = self.n_vars - self.matched_genes;
        let missing =
            if without == 0 { String::new() } else { format!("; without: {}", listed(&self.genes_without, without)) };
        writeln!(
            out,
            "genes: {} of {} have counts ({:.1} %), by {}{missing}; {} others of the counts are left out",
            self.matched_genes,
            self.n_vars,
            share(self.matched_genes, self.n_vars),
            self.gene_rule,
            self.other_genes
        )?;
        let total: f64 = self.molecules.iter().sum();
        let [_, unspliced, ambiguous] = self.molecules.map(|part| 100.0 * part / total.max(1.0));
        write!(out, "molecules: {total}, {unspliced:.1} % unspliced")?;
        if let Some(policy) = self.ambiguous {
            let what = match policy {
                Ambiguous::Drop => "left out, in layer \"ambiguous\"".to_owned(),
                other => format!("counted as {}", other.word()),
            };
            write!(out, ", {ambiguous:.1} % ambiguous ({what}; --ambiguous changes it)")?;
        }
        writeln!(out)?;
        write!(out, "next: nascent train --input {} --output velocity.h5ad", self.output.display())
    }
}
