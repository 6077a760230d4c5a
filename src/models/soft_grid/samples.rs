//! Samples: in each, another share of the unspliced molecules is captured, relative to the spliced ones.
//!
//! What a cell of sample b shows of unspliced molecules has the size `n_i r_b`, of spliced ones `n_i`: n is the cell's own and holds what
//! its sample does to both species alike, r is the sample's, common to its cells and genes. Times, tree and kinetics are shared by
//! all samples. The likelihood knows r only by its ratios, for the abundances of all genes take up a common factor; so its
//! mean logarithm over cells is 0.
//!
//! **M-step.** The part of the objective that r changes is, in each sample, `A ln r − E r`, of the same first two derivatives at the present r
//! ([`Posterior::unspliced`](super::expect::Posterior)); A is the number of unspliced molecules where counts are Poisson, E how many are expected
//! at r = 1. Under `Σ_b N_b ln r_b = 0`, N the cells of a sample, its best is
//!
//! ```text
//! r_b = (A_b + λ N_b) / E_b,    with the λ that meets the condition
//! ```
//!
//! A sample that shares no times with the others tells r from transcription by the form of the curves alone.

use std::collections::BTreeMap;

use super::gene::Pair;
use crate::data::quantities::CELL_CAPTURE;
use crate::data::{Fit, Frame, Run};
use crate::error::{Error, Result};

/// A sample of fewer cells tells too little.
const FEWEST: usize = 20;

/// Halvings of the interval that holds λ.
const HALVINGS: usize = 100;

/// Cells of a sample, and the sums of A and E over them.
pub(super) type Sums = [f64; 3];

/// The cells' samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    /// Sample of each cell; empty if samples are not told apart.
    pub(super) of: Vec<u32>,
    /// Names, in alphabetical order.
    pub(super) names: Vec<String>,
}

impl Samples {
    /// Samples of equal values in the column `name` of obs; none if `name` is empty. Warns, and tells none apart, if all cells are of one.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, a cell has no value, or a sample has fewer than [`FEWEST`] cells.
    pub(super) fn read(obs: &Frame, name: &str, run: &mut Run) -> Result<Self> {
        if name.is_empty() {
            return Ok(Self::default());
        }
        let unusable = |problem: String, hint: &str| Error::Data {
            problem: format!("obs[{name:?}], named by model.batch, {problem}"),
            hint: hint.to_owned(),
        };
        let column = obs.get(name).ok_or_else(|| {
            let names: Vec<&str> = obs.columns.iter().map(|(name, _)| name.as_str()).collect();
            let problem = format!("is not in the file; its columns are: {}", names.join(", "));
            unusable(problem, "name the column that says which sample a cell is from; or set model.batch to \"\"")
        })?;
        let labels = column.to_labels();
        let missing = labels.iter().filter(|label| label.is_empty() || label.to_lowercase() == "nan").count();
        if missing > 0 {
            let hint = "give every cell a sample, or leave these cells out; or set model.batch to \"\"";
            return Err(unusable(format!("has no value in {missing} cells"), hint));
        }
        let mut cells: BTreeMap<&str, usize> = BTreeMap::new();
        labels.iter().for_each(|label| *cells.entry(label).or_default() += 1);
        if let [only] = cells.keys().collect::<Vec<_>>()[..] {
            run.reporter().warn(&format!(
                "obs[{name:?}], named by model.batch, is {only:?} in all cells: there is one sample, and nothing to correct"
            ));
            return Ok(Self::default());
        }
        if let Some((sample, n)) = cells.iter().find(|&(_, &n)| n < FEWEST) {
            let hint = "join small samples to others that were treated alike, or leave their cells out; a column with a value for each cell or \
                        a number is no column of samples";
            let problem =
                format!("has {} values, and {sample:?} {n} cells: a sample needs {FEWEST} at least", cells.len());
            return Err(unusable(problem, hint));
        }
        let names: Vec<String> = cells.keys().map(|&name| name.to_owned()).collect();
        let number = |label: &String| names.binary_search(label).expect("names are those of the labels") as u32;
        Ok(Self { of: labels.iter().map(number).collect(), names })
    }

    /// The samples of the cells at the positions `chosen`, numbered as among all cells: a sample may have no cell among these.
    pub(super) fn select(&self, chosen: &[usize]) -> Self {
        Self { of: picked(&self.of, chosen), names: self.names.clone() }
    }

    /// Where a fit of cells with these totals, `[unspliced, spliced]`, begins: sizes of the cells, each that of its sample's mean, and
    /// the capture of each sample. As if samples were alike but for what is captured.
    ///
    /// # Errors
    /// [`Error::Data`] if a sample has no counts of one of the species.
    pub(super) fn begin(&self, totals: Pair<&[f64]>) -> Result<(Vec<Pair<f64>>, Vec<f64>)> {
        let mut sums = vec![[0.0; 3]; self.names.len()];
        for (i, &sample) in self.of.iter().enumerate() {
            sums[sample as usize].iter_mut().zip([1.0, totals[0][i], totals[1][i]]).for_each(|(sum, x)| *sum += x);
        }
        for (name, &[n, u, s]) in self.names.iter().zip(&sums) {
            for (species, counts) in [("unspliced", u), ("spliced", s)] {
                if n > 0.0 && counts <= 0.0 {
                    return Err(Error::Data {
                        problem: format!(
                            "sample {name:?} of model.batch has no {species} counts in the genes that are fitted"
                        ),
                        hint: "leave its cells out, or set model.batch to \"\"".to_owned(),
                    });
                }
            }
        }
        let all: f64 = sums.iter().map(|[_, _, s]| s).sum::<f64>() / (self.of.len() as f64).max(1.0);
        let mut capture = vec![1.0; self.names.len()];
        maximise(&mut capture, &sums);
        let of_cell = |&sample: &u32| {
            let [n, _, s] = sums[sample as usize];
            let size = s / n / all;
            [size * capture[sample as usize], size]
        };
        Ok((self.of.iter().map(of_cell).collect(), capture))
    }

    /// Says what was found, and adds it to `fit`; nothing if samples are not told apart.
    pub(super) fn tell(&self, fit: &mut Fit, capture: &[f64], run: &mut Run) {
        if self.of.is_empty() {
            return;
        }
        for (at, (name, capture)) in self.names.iter().zip(capture).enumerate() {
            let n = self.of.iter().filter(|&&sample| sample as usize == at).count();
            run.reporter().say(&format!(
                "sample {name}: {n} cells, in which {capture:.2} of the average share of unspliced molecules is captured, relative to spliced ones"
            ));
        }
        fit.set(CELL_CAPTURE, self.of.iter().map(|&sample| capture[sample as usize]).collect());
    }
}

/// The entries at the positions `chosen`; none if there are none at all.
pub(super) fn picked(of: &[u32], chosen: &[usize]) -> Vec<u32> {
    if of.is_empty() { Vec::new() } else { chosen.iter().map(|&i| of[i]).collect() }
}

/// M-step of the samples' `capture`. One without cells keeps its own, and so do all where fewer than two have any.
pub(super) fn maximise(capture: &mut [f64], sums: &[Sums]) {
    let told = || sums.iter().zip(0..).filter(|([n, _, expected], _)| *n > 0.0 && *expected > 0.0);
    if told().count() < 2 {
        return;
    }
    let best = |[n, a, expected]: Sums, lambda: f64| (a + lambda * n).max(f64::MIN_POSITIVE) / expected;
    let mean_ln = |lambda: f64| told().map(|(&sums, _)| sums[0] * best(sums, lambda).ln()).sum::<f64>();
    // At the lower end no r is above 1, at the upper none below.
    let ends = || told().map(|([n, a, expected], _)| (expected - a) / n);
    let (mut low, mut high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if mean_ln(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    told().for_each(|(&sums, at): (&Sums, usize)| capture[at] = best(sums, high));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_the_best_of_those_whose_mean_logarithm_is_0() {
        let sums = [[300.0, 5000.0, 4000.0], [100.0, 800.0, 3000.0], [0.0, 0.0, 0.0], [250.0, 2000.0, 2500.0]];
        let mut capture = [1.0, 1.0, 0.7, 1.0];
        maximise(&mut capture, &sums);
        assert!((capture[2] - 0.7).abs() < 1e-15, "no cells: {capture:?}");
        let mean_ln = |r: &[f64]| sums.iter().zip(r).map(|([n, ..], r)| n * r.ln()).sum::<f64>();
        assert!(mean_ln(&capture).abs() < 1e-6, "{capture:?}");
        let value = |r: &[f64]| sums.iter().zip(r).map(|([_, a, e], r)| a * r.ln() - e * r).sum::<f64>();
        let best = value(&capture);
        for (up, down) in [(0, 1), (1, 3), (3, 0)] {
            for step in [1e-2, -1e-2] {
                let mut other = capture;
                other[up] *= f64::exp(step / sums[up][0]);
                other[down] *= f64::exp(-step / sums[down][0]);
                assert!(value(&other) < best, "{other:?}");
            }
        }
    }

    #[test]
    fn alike_samples_have_a_capture_of_1() {
        let mut capture = [0.5, 2.0];
        maximise(&mut capture, &[[10.0, 40.0, 60.0], [20.0, 80.0, 120.0]]);
        assert!(capture.iter().all(|r| (r - 1.0).abs() < 1e-9), "{capture:?}");
    }
}
