//! Which way time runs, and how sure that is.
//!
//! Splicing has a direction: spliced counts follow unspliced ones. A fit that runs the wrong way must make kinetics fast, so
//! that spliced and unspliced counts rise and fall together, and loses likelihood where they do not. Every tip of the
//! data is tried as the root; the fit with the highest objective wins. Its advantage over the next best is taken gene by gene, and what
//! the same two fits are apart on counts without a direction (`null.rs`) is subtracted. What is left is the evidence: many nats
//! from a few genes that the model describes badly are none, so the mean over genes is set against its standard error.

use std::fmt;

use super::rounds::{Cells, Fitted};
use super::settings::SoftGrid;
use crate::data::{CaptureTimes, Dataset};
use crate::error::{Error, Result};
use crate::negative_binomial;
use crate::stats;

/// The decision.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    /// Whether the user gave it.
    is_given: bool,
    /// Advantage of the chosen direction over the next best in the whole objective, in nats; infinite if it was given.
    pub(super) nats: f64,
    /// Advantage by gene, in nats, less that on counts without a direction.
    pub(super) by_gene: Vec<f64>,
    /// Mean over genes of the advantage, in standard errors.
    pub(super) alone: f64,
    /// The same of the advantage less that on counts without a direction.
    pub(super) z: f64,
    /// Whether the evidence is enough.
    pub(super) determined: bool,
    n_cells: usize,
}

impl Direction {
    /// Of the best fit over the next best; a single one was given by the user.
    pub(super) fn new(fits: &[Fitted], cells: &Cells) -> Self {
        let mut direction = Self {
            is_given: fits.len() < 2,
            nats: f64::INFINITY,
            by_gene: vec![f64::NAN; cells.counts.n_vars()],
            alone: f64::INFINITY,
            z: f64::INFINITY,
            determined: true,
            n_cells: cells.counts.n_obs(),
        };
        if let [best, next, ..] = fits {
            direction.nats = best.objective() - next.objective();
            direction.by_gene = advantage([best, next], cells);
            direction.alone = in_standard_errors(&direction.by_gene);
        }
        direction
    }

    /// Subtracts the advantage that the same two directions, `pair`, have on the cells `without` a direction. The rest is enough if its
    /// mean over genes is `wanted` standard errors above 0, and the advantage itself is.
    pub(super) fn compare(&mut self, pair: [&Fitted; 2], without: &Cells, wanted: f64) {
        let of_none = advantage(pair, without);
        self.by_gene.iter_mut().zip(of_none).for_each(|(nats, of_none)| *nats -= of_none);
        self.z = in_standard_errors(&self.by_gene);
        self.determined = self.z >= wanted && self.alone >= wanted;
    }

    /// Genes that speak for the chosen direction.
    pub(super) fn supporters(&self) -> usize {
        self.by_gene.iter().filter(|&&nats| nats > 0.0).count()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_given {
            return write!(f, "direction of time: given");
        }
        let word = if self.determined { "determined" } else { "NOT DETERMINED" };
        let per_cell = self.nats / self.n_cells as f64;
        write!(
            f,
            "direction of time: {word}; log-likelihood ratio to the next best direction {:.0} nats ({per_cell:.2} per cell), {:.1} standard \
             errors over genes; {:.1} less that on counts without a direction, {} of {} genes in favour",
            self.nats,
            self.alone,
            self.z,
            self.supporters(),
            self.by_gene.len()
        )
    }
}

/// Each gene's advantage in the first fit over the second, in nats.
fn advantage(pair: [&Fitted; 2], cells: &Cells) -> Vec<f64> {
    let [best, next] = pair.map(|fitted| contributions(fitted, cells));
    best.into_iter().zip(next).map(|(best, next)| best - next).collect()
}

/// The mean over its standard error.
fn in_standard_errors(values: &[f64]) -> f64 {
    let error = stats::std_dev(values, 1) / (values.len() as f64).sqrt();
    stats::mean(values) / error.max(f64::MIN_POSITIVE)
}

/// Each gene's part of the objective: its expected log-likelihood and its prior.
fn contributions(fitted: &Fitted, cells: &Cells) -> Vec<f64> {
    use rayon::prelude::*;
    let gathered = fitted.gathered(cells);
    let tree = &fitted.model.tree;
    let one = |(at, gene): (usize, &super::gene::Gene)| {
        let mu = gene.means(tree);
        let curve =
            [0, 1].map(|species: usize| mu[species].iter().map(|mu| mu - gene.floor[species]).collect::<Vec<_>>());
        let mut total = gene.expected([&curve[0], &curve[1]], gathered.of(at))
            - gene.penalty(tree, &gene.params, &fitted.model.prior);
        for species in 0..2 {
            let (of, counts) = cells.counts.genes[species].row(at);
            for (&i, &x) in of.iter().zip(counts) {
                let size = fitted.posteriors[i as usize].size[species];
                total += negative_binomial::constant(f64::from(x), size, gene.dispersion[species]);
            }
        }
        total
    };
    fitted.model.genes.par_iter().enumerate().map(one).collect()
}

/// Where the user says that time begins: the positions in `sample` of the cells of `model.root`, or of the earliest capture time; none if
/// nothing is said.
pub(super) fn first_cells(
    settings: &SoftGrid,
    data: &Dataset,
    groups: &CaptureTimes,
    sample: &[usize],
) -> Result<Vec<usize>> {
    if let Some((name, value)) = settings.root.split_once('=') {
        let unusable = |problem: String| Error::Data {
            problem: format!("model.root = \"{}\": {problem}", settings.root),
            hint: "name a column of obs and a value in it, such as clusters=Ductal; or set model.root to \"\""
                .to_owned(),
        };
        let column = data.obs.get(name).ok_or_else(|| unusable(format!("the file has no column {name:?} in obs")))?;
        let labels = column.to_labels();
        let cells: Vec<usize> = (0..sample.len()).filter(|&at| labels[sample[at]] == value).collect();
        if cells.is_empty() {
            return Err(unusable(format!("no cell has {value:?} in obs[{name:?}]")));
        }
        return Ok(cells);
    }
    if settings.capture_time.is_empty() {
        return Ok(Vec::new());
    }
    // A day of few cells may be missing in the sample.
    let earliest = sample.iter().map(|&i| groups.of[i]).min();
    Ok((0..sample.len()).filter(|&at| Some(groups.of[sample[at]]) == earliest).collect())
}
