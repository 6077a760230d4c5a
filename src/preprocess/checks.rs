//! What would otherwise go wrong in silence.

use std::hash::{DefaultHasher, Hash, Hasher};

use ndarray::{Array2, ArrayView1};

use super::config::CountsKind;
use super::report::{Report, some_of};
use crate::data::{Counts, Holds, Neighbors, Tally};
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Unspliced shares outside this range are unusual (scVelo's documentation: 10 to 25 per cent).
pub const USUAL_UNSPLICED: std::ops::RangeInclusive<f64> = 0.10..=0.50;

/// The layers have the shape that the annotation says, and hold finite values of at least 0.
pub(super) fn shapes_and_values(counts: &Counts) -> Result<()> {
    let (n_obs, n_vars) = (counts.obs.index.len(), counts.var.index.len());
    let layers = [("layers[\"spliced\"]", &counts.spliced), ("layers[\"unspliced\"]", &counts.unspliced)];
    for (name, layer) in layers.into_iter().chain(counts.x.as_ref().map(|x| ("X", x))) {
        if (layer.n_rows, layer.n_cols) != (n_obs, n_vars) {
            return Err(Error::Shape {
                what: name.to_owned(),
                wanted: vec![n_obs, n_vars],
                found: vec![layer.n_rows, layer.n_cols],
            });
        }
    }
    for (name, layer) in layers {
        let Some(at) = layer.data.iter().position(|value| !value.is_finite() || *value < 0.0) else {
            continue;
        };
        let cell = layer.indptr.partition_point(|&start| start <= at) - 1;
        let (cell, gene) = (&counts.obs.index[cell], &counts.var.index[layer.indices[at] as usize]);
        let problem = format!("cell {cell:?}, gene {gene:?} holds {}: wanted counts", layer.data[at]);
        let hint = "scaled or centred values cannot be used: name the layers of counts";
        return Err(Error::input(&counts.path, name, problem, hint));
    }
    if n_obs >= 2 {
        return Ok(());
    }
    let problem = format!("{n_obs} cells, wanted at least 2");
    Err(Error::input(&counts.path, "obs", problem, "velocity compares a cell with its neighbours"))
}

/// Whether the layers hold raw counts, as `kind` says or, if it is `auto`, as they look.
pub(super) fn raw_counts(counts: &Counts, kind: CountsKind, report: &mut Report) -> Result<bool> {
    let tallies = [&counts.spliced, &counts.unspliced].map(|layer| Tally::of(&layer.data));
    let holds = tallies.map(Tally::holds);
    let (raw, note) = match (kind, holds) {
        (CountsKind::Auto, [Holds::Whole, Holds::Whole]) => {
            (true, "the layers hold whole numbers: taken for raw counts".to_owned())
        }
        (CountsKind::Auto, [Holds::Whole | Holds::Fractions, Holds::Whole | Holds::Fractions]) => {
            (true, fractions(tallies))
        }
        (CountsKind::Auto, [Holds::Other, Holds::Other]) => {
            report.warn(
                "the layers do not hold whole numbers: they are taken for normalised values and are NOT divided by the \
                 cells' total counts; if they are counts, set preprocess.counts = \"raw\""
                    .to_owned(),
            );
            (false, "the layers are taken as they are".to_owned())
        }
        (CountsKind::Auto, [spliced, _]) => {
            let (yes, no) = if spliced == Holds::Other { ("unspliced", "spliced") } else { ("spliced", "unspliced") };
            return Err(Error::input(
                &counts.path,
                "layers",
                format!("{yes:?} holds counts and {no:?} does not: one of them was changed"),
                "name layers of the same kind, or say what they hold: preprocess.counts = \"raw\" or \"normalised\"",
            ));
        }
        (CountsKind::Raw, [Holds::Whole, Holds::Whole]) => (true, "the layers are raw counts, as set".to_owned()),
        (CountsKind::Raw, _) => (true, format!("as set, the layers are raw counts; {}", fractions(tallies))),
        (CountsKind::Normalised, holds) => {
            if holds.contains(&Holds::Whole) {
                report.warn("preprocess.counts = \"normalised\", but a layer holds whole numbers only".to_owned());
            }
            (false, "the layers are normalised already, as set".to_owned())
        }
    };
    report.step("counts", counts.n_vars(), note);
    Ok(raw)
}

/// What is said of fractional counts; `tallies` are of spliced and unspliced.
fn fractions(tallies: [Tally; 2]) -> String {
    let [spliced, unspliced] = tallies.map(|tally| 100.0 * tally.whole_share());
    format!(
        "the layers hold fractional counts, taken as they are: {spliced:.0} % of the spliced values and {unspliced:.0} % of the unspliced \
         are whole"
    )
}

/// Cells without counts, and an unusual share of unspliced counts.
pub(super) fn sizes(counts: &Counts, spliced: &[f64], unspliced: &[f64], report: &mut Report) {
    for (name, sizes) in [("spliced", spliced), ("unspliced", unspliced)] {
        let names = counts.obs.index.iter().zip(sizes);
        let empty: Vec<&str> = names.filter(|cell| *cell.1 <= 0.0).map(|cell| cell.0.as_str()).collect();
        if !empty.is_empty() {
            report.warn(format!("{} cells have no {name} counts: {}", empty.len(), some_of(empty.into_iter())));
        }
    }
    let (s, u) = (spliced.iter().sum::<f64>(), unspliced.iter().sum::<f64>());
    let share = u / (s + u);
    if let Some(name) =
        [("spliced", s), ("unspliced", u)].into_iter().find_map(|(name, sum)| (sum <= 0.0).then_some(name))
    {
        report.warn(format!(
            "the {name} layer holds no counts at all: no velocity can come of it; check its name under [input]"
        ));
    } else if !USUAL_UNSPLICED.contains(&share) {
        report.warn(format!(
            "{:.1} % of the counts are unspliced (usually 10 to 50 %): check that the layers hold what their names say",
            100.0 * share
        ));
    }
}

/// Cells with the same counts of the kept genes: they are each other's nearest neighbours at distance 0.
pub(super) fn duplicates(names: &[String], spliced: &Csr<f32>, unspliced: &Csr<f32>, report: &mut Report) {
    let same = |a: usize, b: usize| spliced.row(a) == spliced.row(b) && unspliced.row(a) == unspliced.row(b);
    let mut cells: Vec<(u64, usize)> = (0..names.len()).map(|i| (hash_of(spliced, unspliced, i), i)).collect();
    cells.sort_unstable();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for group in cells.chunk_by(|a, b| a.0 == b.0) {
        let first = group[0].1;
        pairs.extend(group[1..].iter().filter(|cell| same(first, cell.1)).map(|cell| (cell.1, first)));
    }
    if pairs.is_empty() {
        return;
    }
    pairs.sort_unstable();
    let copies = pairs.iter().take(5).map(|&(copy, first)| format!("{:?} = {:?}", names[copy], names[first]));
    report.warn(format!(
        "{} cells have the same counts of the kept genes as another cell, which distorts the neighbour graph: {}{}; remove the copies",
        pairs.len(),
        copies.collect::<Vec<_>>().join(", "),
        if pairs.len() > 5 { ", ..." } else { "" },
    ));
}

fn hash_of(spliced: &Csr<f32>, unspliced: &Csr<f32>, i: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (genes, values) in [spliced.row(i), unspliced.row(i)] {
        genes.hash(&mut hasher);
        for value in values {
            value.to_bits().hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Moments tell something only if they differ between cells.
///
/// # Errors
/// [`Error::Data`] if they are the same in all cells, in all genes.
pub(super) fn moments_differ([mu, ms]: [&Array2<f32>; 2], graph: &Neighbors) -> Result<()> {
    let varies = |column: ArrayView1<'_, f32>| column.iter().any(|&value| value.to_bits() != column[0].to_bits());
    if [mu, ms].into_iter().any(|moments| moments.columns().into_iter().any(varies)) {
        return Ok(());
    }
    let n_obs = ms.nrows();
    let is_full = (0..n_obs).all(|i| graph.neighborhood(i).count() == n_obs);
    let (why, hint) = if is_full {
        (
            "every cell is a neighbour of every other",
            "set preprocess.neighbors = \"compute\" and preprocess.n_neighbors to fewer than the cells",
        )
    } else {
        ("the counts of the kept genes are", "look at the counts: they may hold one cell many times")
    };
    Err(Error::Data {
        problem: format!("moments (Mu, Ms) are the same in all {n_obs} cells, so there is nothing to explain: {why}"),
        hint: hint.to_owned(),
    })
}
