//! Samples read one after the other, and put below each other.

use std::collections::HashSet;

use super::choice::{self, Choice, bare, places};
use super::genes::unique;
use super::source::{Ambiguous, Part, Source};
use super::tally::Tally;
use crate::data::{Column, Frame, Reporter};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// The kept cells of all samples, over the genes that they share.
pub(super) struct Joined {
    pub(super) obs: Frame,
    pub(super) var: Frame,
    pub(super) spliced: Csr<f32>,
    pub(super) unspliced: Csr<f32>,
    /// Ambiguous molecules, where they are left out of the others.
    pub(super) ambiguous: Option<Csr<f32>>,
    /// Molecules of each class as the sources have them, in the kept cells.
    pub(super) molecules: [f64; 3],
    /// How the cells of each sample are known.
    pub(super) by: Vec<String>,
}

/// The kept cells of one sample.
struct Sample {
    counts: [Csr<f32>; 3],
    cells: Vec<usize>,
}

/// Reads the counts of all samples.
///
/// # Errors
/// [`Error::Input`] if nobody says which barcodes are cells, samples have other genes, or a file is damaged.
pub(super) fn join(
    sources: &[Source],
    choice: &Choice,
    ambiguous: Option<Ambiguous>,
    reporter: &mut dyn Reporter,
) -> Result<Joined> {
    let genes = common(sources, reporter)?;
    let (mut molecules, mut by, mut samples) = ([0.0; 3], Vec::new(), Vec::new());
    for source in sources {
        let kept = choice.of(source, reporter)?;
        let target = positions(&source.genes.ids, &genes, sources.len() > 1);
        let counts = counts(source, &kept.cells, (&target, genes.len()), ambiguous, (&mut molecules, reporter))?;
        reporter.say(&format!("{}: {} cells, {}", source.name, kept.cells.len(), kept.by));
        by.push(kept.by);
        samples.push(Sample { counts, cells: kept.cells });
    }
    let obs = cells(sources, &samples);
    let var = names(&sources[0], &genes);
    let mut layers = [0, 1, 2].map(|_| Csr::empty(0, genes.len()));
    for sample in samples {
        for (all, own) in layers.iter_mut().zip(sample.counts) {
            all.append(own);
        }
    }
    let [spliced, unspliced, left_out] = layers;
    let left_out = (ambiguous == Some(Ambiguous::Drop)).then_some(left_out);
    Ok(Joined { obs, var, spliced, unspliced, ambiguous: left_out, molecules, by })
}

/// Counts `[kept cells, genes]` of each class, cells in the order of `cells`, after ambiguous molecules have gone where they belong.
pub(super) fn counts(
    source: &Source,
    cells: &[usize],
    (target, n_genes): (&[Option<u32>], usize),
    ambiguous: Option<Ambiguous>,
    (molecules, reporter): (&mut [f64; 3], &mut dyn Reporter),
) -> Result<[Csr<f32>; 3]> {
    let mut row_of = vec![u32::MAX; source.cells.len()];
    for (row, &cell) in (0_u32..).zip(cells) {
        row_of[cell] = row;
    }
    let mut tallies = [Tally::default(), Tally::default(), Tally::default()];
    source.entries.for_each(reporter, &mut |cell, gene, part, value| {
        let (row, Some(gene)) = (row_of[cell], target[gene as usize]) else { return Ok(()) };
        if row != u32::MAX {
            molecules[part as usize] += value;
            let part = match (part, ambiguous) {
                (Part::Ambiguous, Some(Ambiguous::Spliced)) => Part::Spliced,
                (Part::Ambiguous, Some(Ambiguous::Unspliced)) => Part::Unspliced,
                (part, _) => part,
            };
            tallies[part as usize].add(row, gene, value as f32);
        }
        Ok(())
    })?;
    Ok(tallies.map(|tally| tally.into_csr(cells.len(), n_genes)))
}

/// Positions in the first source of the genes that all sources have.
fn common(sources: &[Source], reporter: &mut dyn Reporter) -> Result<Vec<String>> {
    let Some((first, others)) = sources.split_first() else { return Ok(Vec::new()) };
    let all = first.genes.ids.clone();
    if others.iter().all(|other| other.genes.ids == all) {
        return Ok(all);
    }
    let mut shared = all.clone();
    for other in others {
        let theirs: HashSet<&str> = other.genes.ids.iter().map(String::as_str).collect();
        shared.retain(|id| theirs.contains(id.as_str()));
    }
    let repeated = sources.iter().find(|source| places(&source.genes.ids).len() < source.genes.ids.len());
    if let Some(source) = repeated {
        let problem = format!("sample {} has several genes of one name, and the samples have other genes", source.name);
        return Err(Error::input(choice::first_file(source), "genes", problem, "import the samples one by one"));
    }
    let most = sources.iter().map(|source| source.genes.ids.len()).max().unwrap_or_default();
    if shared.len() * 2 < most {
        let problem = format!("the samples share {} genes, the largest has {most}", shared.len());
        let hint = "count all samples with one reference, or import them one by one";
        return Err(Error::input(choice::first_file(first), "genes", problem, hint));
    }
    reporter.warn(&format!("the samples have other genes: the {} that all have are kept, of {most}", shared.len()));
    Ok(shared)
}

/// Where each gene goes; of a single sample each stays where it is, even if names repeat.
fn positions(ids: &[String], genes: &[String], several: bool) -> Vec<Option<u32>> {
    if !several || ids == genes {
        return (0..ids.len()).map(|at| u32::try_from(at).ok()).collect();
    }
    let places = places(genes);
    ids.iter().map(|id| places.get(id.as_str()).and_then(|&at| u32::try_from(at).ok())).collect()
}

/// Genes: symbols made unique, or ids where there are none, with their ids and what else is known of them.
fn names(first: &Source, genes: &[String]) -> Frame {
    let known = &first.genes;
    let kept: Vec<usize> = if known.ids == genes {
        (0..genes.len()).collect()
    } else {
        let places = places(&known.ids);
        genes.iter().map(|id| places[id.as_str()]).collect()
    };
    let pick = |names: &[String]| kept.iter().map(|&at| names[at].clone()).collect::<Vec<String>>();
    let index = unique(&pick(known.symbols.as_ref().unwrap_or(&known.ids)));
    let mut var = Frame { index, columns: Vec::new() };
    var.set("gene_ids", Column::Text(pick(&known.ids)));
    for (name, column) in &known.more {
        var.set(name, column.select(&kept));
    }
    var
}

/// Cells: named as in the source, with their sample before them where a name is there twice.
fn cells(sources: &[Source], samples: &[Sample]) -> Frame {
    let names = |source: &Source, sample: &Sample| {
        sample.cells.iter().map(|&at| source.cells[at].clone()).collect::<Vec<String>>()
    };
    let both = || sources.iter().zip(samples);
    let mut index: Vec<String> = both().flat_map(|(source, sample)| names(source, sample)).collect();
    let barcodes = index.iter().map(|name| bare(name)).collect();
    if index.iter().collect::<HashSet<_>>().len() < index.len() {
        let own = |(source, sample): (&Source, &Sample)| {
            let named = |name: &String| format!("{}:{name}", source.name);
            names(source, sample).iter().map(named).collect::<Vec<_>>()
        };
        index = both().flat_map(own).collect();
    }
    // A source that repeats a name within itself.
    let mut obs = Frame { index: unique(&index), columns: Vec::new() };
    obs.set("barcode", Column::Text(barcodes));
    let codes = (0_u32..).zip(samples).flat_map(|(code, sample)| vec![Some(code); sample.cells.len()]).collect();
    let categories = sources.iter().map(|source| source.name.clone()).collect();
    obs.set("sample", Column::Categorical { codes, categories, ordered: false });
    for (name, _) in &sources[0].obs {
        let parts: Option<Vec<Column>> = both()
            .map(|(source, sample)| {
                let (_, column) = source.obs.iter().find(|(other, _)| other == name)?;
                Some(column.select(&sample.cells))
            })
            .collect();
        if let Some(column) = parts.and_then(concatenated).filter(|_| obs.get(name).is_none()) {
            obs.set(name, column);
        }
    }
    obs
}

/// Columns below each other; of several with labels, the labels as words. `None` if they are of different kinds.
fn concatenated(parts: Vec<Column>) -> Option<Column> {
    let mut parts = parts.into_iter();
    let mut all = parts.next()?;
    for part in parts {
        all = match (all, part) {
            (Column::Float(all), Column::Float(part)) => Column::Float([all, part].concat()),
            (Column::Int(all), Column::Int(part)) => Column::Int([all, part].concat()),
            (Column::Bool(all), Column::Bool(part)) => Column::Bool([all, part].concat()),
            (Column::Float(_) | Column::Int(_) | Column::Bool(_), _) => return None,
            (words, part) => Column::Text([words.to_labels(), part.to_labels()].concat()),
        };
    }
    Some(all)
}
