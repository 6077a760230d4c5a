//! What is said of a merge: which cells and genes were found and how, and why too few were.

use std::fmt;
use std::path::PathBuf;

use super::cells::{Fate, Group, Matched, Offer, examples, reverse_complement, rule, share_if};
use super::{Layers, MergeJob, genes};
use crate::data::{Column, Frame, Reporter};
use crate::error::{Error, Result};
use crate::import::Kind;
use crate::import::choice::first_file;
use crate::import::source::{Ambiguous, Source};
use crate::io::Uns;
use crate::stats::{median, spearman};

/// Names that are shown of many.
const SHOWN: usize = 3;
/// Columns in which programs keep the number of molecules of each cell.
const TOTALS: [&str; 6] = ["total_counts", "n_counts", "nCount_RNA", "nCount_originalexp", "nUMI", "n_umi"];
/// Rank correlations below this are not those of one sample counted twice.
const SAME_SAMPLE: f64 = 0.5;
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

fn listed(names: &[String], of: usize) -> String {
    let shown: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let more = if of > names.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Fails unless enough cells were found, with what would help.
pub(super) fn check_cells(job: &MergeJob, found: &Matched, offers: &[Offer]) -> Result<()> {
    let (n, matched) = (found.rows.len(), found.found());
    if matched > 0 && matched as f64 >= job.min_cells * n as f64 {
        return Ok(());
    }
    let share = 100.0 * matched as f64 / n.max(1) as f64;
    let (why, hint) = why_not(found, offers);
    let bound = 100.0 * job.min_cells;
    let problem = format!(
        "{matched} of {n} cells were found in the counts ({share:.1} %, at least {bound:.0} % are wanted): {why}"
    );
    Err(Error::input(&job.processed, "obs", problem, hint))
}

/// The likely reason, and the rule that would have matched.
fn why_not(found: &Matched, offers: &[Offer]) -> (String, String) {
    let groups = &found.groups;
    let ours: Vec<String> = groups.iter().take(SHOWN).map(|group| whole(group)).collect();
    let theirs: Vec<String> = offers.iter().take(SHOWN).flat_map(|offer| examples(offer, 1)).collect();
    let shown = format!("cells are called {} here and {} there", listed(&ours, SHOWN), listed(&theirs, SHOWN));
    let unclear = groups.iter().find_map(|group| match &group.fate {
        Fate::Unclear(several) => Some((group, several)),
        _ => None,
    });
    if let Some((group, several)) = unclear {
        let names: Vec<&str> = several.iter().map(|&at| offers[at].name.as_str()).collect();
        let would = rule(&group.example, &offers[several[0]].example);
        return (
            format!(
                "the barcodes of sample {:?} are in several samples of the counts, {}, and no name says whose they are (the rule \
                 {would} would match each)",
                group.label,
                names.join(", ")
            ),
            format!(
                "say it: --pair {}={}, or name a column of obs that has the names of the samples: --sample-column COLUMN",
                group.label, names[0]
            ),
        );
    }
    if 2 * found.unclear > found.rows.len() - found.found() {
        return (
            format!(
                "{} cells have a barcode that several cells have, here or there, and no column of obs tells their samples apart",
                found.unclear
            ),
            "give the counts of each sample, and a column of obs that names the sample of each cell: --sample-column COLUMN"
                .to_owned(),
        );
    }
    let turned = share_if(groups, offers, reverse_complement);
    if turned > 0.3 {
        return (
            format!("{shown}; {:.0} % of the barcodes are there as their reverse complement", 100.0 * turned),
            "count with the barcode list of the same strand, or turn the barcodes of one side".to_owned(),
        );
    }
    let cells = || groups.iter().flat_map(|group| &group.cells);
    let bases = groups.iter().any(|group| group.example.has_bases());
    let length = cells().next().map_or(0, |(_, barcode)| barcode.len());
    let other = offers
        .first()
        .and_then(|offer| examples(offer, 1).pop())
        .map_or(0, |name| super::names::split(&name).barcode.len());
    if bases && length != other {
        return (
            format!("{shown}; barcodes have {length} letters here and {other} there"),
            "are these counts of the same library and chemistry?".to_owned(),
        );
    }
    if !bases {
        let tail = |name: &str| name.rsplit(['_', '-', '#', '|']).next().unwrap_or(name).to_owned();
        let without = share_if(groups, offers, tail);
        if without > 0.3 {
            return (
                format!("{shown}; without what stands before the last sign {:.0} % would match", 100.0 * without),
                "rename the cells of the processed file as they are called in the counts".to_owned(),
            );
        }
        return (
            format!("{shown}; the names here hold no barcode"),
            "name the cells by their barcodes, or keep these in a column of obs called barcode".to_owned(),
        );
    }
    let missing: Vec<&str> =
        groups.iter().filter(|group| group.fate == Fate::Nowhere).map(|group| group.label.as_str()).collect();
    if found.found() > 0 {
        return (
            format!("{shown}; nothing is there of {}", missing.join(", ")),
            "give the counts of all samples; or take what is there: --min-cells 0".to_owned(),
        );
    }
    (
        format!("{shown}; barcodes are of one length and strand, and differ"),
        "these are the counts of another sample, or another list of barcodes (whitelist) was used".to_owned(),
    )
}

fn whole(group: &Group) -> String {
    let barcode = group.cells.first().map_or("", |(_, barcode)| barcode);
    format!("{}{barcode}{}", group.example.before, group.example.after)
}

/// Fails unless enough genes were found, with what would help.
pub(super) fn check_genes(job: &MergeJob, var: &Frame, sources: &[Source], by_source: &[genes::Matched]) -> Result<()> {
    for (source, matched) in sources.iter().zip(by_source) {
        let (n, found) = (var.index.len(), matched.target.iter().flatten().count());
        if found > 0 && found as f64 >= job.min_genes * n as f64 {
            continue;
        }
        let (why, hint) = genes::why_not(var, &source.genes);
        let problem = format!(
            "{found} of {n} genes were found in {} ({:.1} %, at least {:.0} % are wanted): {why}",
            first_file(source).display(),
            100.0 * found as f64 / n.max(1) as f64,
            100.0 * job.min_genes
        );
        return Err(Error::input(&job.processed, "var", problem, hint));
    }
    Ok(())
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
