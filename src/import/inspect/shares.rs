//! How much of each class of molecules each sample has, and what of it is too little or too much.

use serde::Serialize;

use crate::data::{Reporter, sample_columns, sample_rank};
use crate::error::Result;
use crate::import::choice::places;
use crate::import::source::{Called, Part, Source};

/// Shares of unspliced molecules among all, ambiguous ones too. Of 10x, inDrop and Smart-seq2 cells, 15 to 25 % of the reads are
/// unspliced (La Manno et al. 2018); a few per cent come from stray reads of a reference without introns; nuclei, where nothing of the
/// cytoplasm dilutes them, have half and more.
pub(crate) const NEXT_TO_NONE: f64 = 0.01;
/// See [`NEXT_TO_NONE`].
pub(crate) const VERY_FEW: f64 = 0.05;
/// See [`NEXT_TO_NONE`].
pub(crate) const FEW: f64 = 0.1;
/// See [`NEXT_TO_NONE`].
pub(crate) const MANY: f64 = 0.5;
/// Nuclei have up to 80 %; above, the two layers are more likely to be each other's.
const TURNED: f64 = 0.85;
/// Share of ambiguous molecules that velocyto and STAR do not reach (5 to 10 %), and kb and alevin-fry pass, to which exons alone are
/// ambiguous.
const AMBIGUOUS: f64 = 0.25;
/// Samples whose shares differ by more than this factor were not treated alike.
const UNLIKE: f64 = 2.0;

/// Molecules of one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shares {
    /// The sample.
    pub sample: String,
    /// Number of cells.
    pub n_cells: usize,
    /// Cells without a molecule.
    pub n_empty: usize,
    /// Cells with molecules, none of which is unspliced.
    pub n_without_unspliced: usize,
    /// Number of molecules, of all classes.
    pub molecules: f64,
    /// Share of unspliced molecules among all, as `nascent import` tells it.
    pub unspliced: f64,
    /// Share of ambiguous molecules among all; `None` where they are not told apart.
    pub ambiguous: Option<f64>,
}

/// Counts the molecules of each sample in the cells that the pipeline called, or in all where it does not say.
pub(super) fn count(sources: &[Source], reporter: &mut dyn Reporter) -> Result<Vec<Shares>> {
    let mut all = Vec::new();
    for source in sources {
        let (labels, sample_of) = samples(source);
        let cells: Vec<bool> = match &source.called {
            Called::Listed { names, .. } => {
                let names = places(names);
                source.cells.iter().map(|cell| names.contains_key(cell.as_str())).collect()
            }
            Called::All | Called::Nobody { .. } => vec![true; source.cells.len()],
        };
        let mut totals = vec![[0.0; 3]; source.cells.len()];
        source.entries.for_each(reporter, &mut |cell, _, part, value| {
            totals[cell][part as usize] += value;
            Ok(())
        })?;
        for (at, sample) in labels.into_iter().enumerate() {
            let own =
                || (0..totals.len()).filter(|&cell| cells[cell] && sample_of[cell] == at).map(|cell| totals[cell]);
            all.push(shares(sample, &own, source.ambiguous.is_some()));
        }
    }
    Ok(all)
}

fn shares<I: Iterator<Item = [f64; 3]>>(sample: String, cells: &dyn Fn() -> I, ambiguous: bool) -> Shares {
    let sum = |part: Part| cells().map(|totals| totals[part as usize]).sum::<f64>();
    let [spliced, unspliced, left_out] = Part::ALL.map(sum);
    let molecules = spliced + unspliced + left_out;
    let total = |totals: &[f64; 3]| totals.iter().sum::<f64>();
    Shares {
        sample,
        n_cells: cells().count(),
        n_empty: cells().filter(|totals| total(totals) == 0.0).count(),
        n_without_unspliced: cells()
            .filter(|totals| total(totals) > 0.0 && totals[Part::Unspliced as usize] == 0.0)
            .count(),
        molecules,
        unspliced: unspliced / molecules.max(1.0),
        ambiguous: ambiguous.then_some(left_out / molecules.max(1.0)),
    }
}

/// Names of the samples of a source, and the sample of each cell.
fn samples(source: &Source) -> (Vec<String>, Vec<usize>) {
    /// More labels than this name no samples.
    const MOST: usize = 100;
    let whole = || (vec![source.name.clone()], vec![0; source.cells.len()]);
    let usual = sample_columns(&source.obs, 1..=MOST).into_iter().find(|name| sample_rank(name).is_some());
    let column = usual.and_then(|usual| source.obs.iter().find(|(name, _)| name == usual));
    let Some((_, column)) = column else { return whole() };
    let labels = column.to_labels();
    let mut names = labels.clone();
    names.sort_unstable();
    names.dedup();
    let at = labels.iter().map(|label| names.binary_search(label).unwrap_or_default()).collect();
    (names, at)
}

/// What is too little or too much, for people.
pub(super) fn warnings(all: &[Shares]) -> Vec<String> {
    let mut said = Vec::new();
    for shares in all.iter().filter(|shares| shares.molecules > 0.0) {
        let (sample, percent) = (&shares.sample, 100.0 * shares.unspliced);
        match shares.unspliced {
            ..NEXT_TO_NONE => said.push(format!(
                "sample {sample}: {percent:.2} % of the molecules are unspliced, which is next to none: were reads counted on a \
                 reference without introns? Cells have 15 to 25 %"
            )),
            ..VERY_FEW => said.push(format!(
                "sample {sample}: only {percent:.1} % of the molecules are unspliced (cells have 15 to 25 %): velocity rests on little"
            )),
            TURNED.. => said.push(format!(
                "sample {sample}: {percent:.1} % of the molecules are unspliced, more than nuclei have: are the layers each other's?"
            )),
            MANY.. => said.push(format!(
                "sample {sample}: {percent:.1} % of the molecules are unspliced: nuclei have so many, in which export and not splicing \
                 may set the pace; of whole cells, it is a sign of genomic DNA or priming inside introns"
            )),
            _ => {}
        }
        if let Some(share) = shares.ambiguous.filter(|share| *share > AMBIGUOUS) {
            said.push(format!(
                "sample {sample}: {:.1} % of the molecules are ambiguous: where these are exonic ones (kb, alevin-fry), count them as \
                 spliced, of nuclei as unspliced (--ambiguous)",
                100.0 * share
            ));
        }
        if shares.n_empty > 0 {
            said.push(format!("sample {sample}: {} of {} cells have no molecule", shares.n_empty, shares.n_cells));
        }
        if shares.n_without_unspliced * 10 > shares.n_cells {
            said.push(format!(
                "sample {sample}: {} of {} cells have no unspliced molecule",
                shares.n_without_unspliced, shares.n_cells
            ));
        }
    }
    let shares = || all.iter().filter(|shares| shares.molecules > 0.0).map(|shares| shares.unspliced);
    let (least, most) = (shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max));
    if most > UNLIKE * least && most > VERY_FEW {
        said.push(format!(
            "samples differ in their share of unspliced molecules, from {:.1} to {:.1} %: rates that are fitted to all of them mix \
             these differences in",
            100.0 * least,
            100.0 * most
        ));
    }
    said
}
