//! Which way time runs, and how sure that is.
//!
//! Splicing has a direction: spliced counts follow unspliced ones. A fit that runs the wrong way must make kinetics fast, so
//! that spliced and unspliced counts rise and fall together, and loses likelihood where they do not. Every tip of the
//! data is tried as the root; the fit with the highest objective wins. The evidence is its advantage over the next best, taken
//! gene by gene: many nats from a few genes that the model describes badly are no evidence, so the mean over genes is set against
//! its standard error.

use std::fmt;

use super::em::Fixed;
use super::groups::CaptureGroups;
use super::rounds::{Cells, Fitted};
use super::settings::SoftGrid;
use super::skeleton::Skeleton;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::negative_binomial;
use crate::stats;

/// The decision.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    /// Position of the best candidate.
    pub(super) chosen: usize,
    /// Advantage of the chosen direction over the next best in the whole objective, in nats; infinite if it was given.
    pub(super) nats: f64,
    /// Advantage by gene, in nats.
    pub(super) by_gene: Vec<f64>,
    /// Mean over genes of the advantage, in standard errors.
    pub(super) z: f64,
    /// Whether the evidence is enough.
    pub(super) determined: bool,
    /// Whether the user said where time begins.
    pub(super) given: bool,
    n_cells: usize,
}

impl Direction {
    pub(super) fn new(candidates: &[(usize, Fitted)], cells: &Cells, fixed: &Fixed, wanted: f64, given: bool) -> Self {
        let n_vars = cells.counts.n_vars();
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|&a, &b| candidates[b].1.objective().total_cmp(&candidates[a].1.objective()));
        let mut direction = Self {
            chosen: order[0],
            nats: f64::INFINITY,
            by_gene: vec![f64::NAN; n_vars],
            z: f64::INFINITY,
            determined: true,
            given,
            n_cells: cells.counts.n_obs(),
        };
        if let [best, next, ..] = order[..] {
            let (best, next) = (&candidates[best].1, &candidates[next].1);
            let of = |fitted: &Fitted| contributions(fitted, cells, fixed);
            direction.by_gene = of(best).into_iter().zip(of(next)).map(|(best, next)| best - next).collect();
            let error = stats::std_dev(&direction.by_gene, 1) / (n_vars as f64).sqrt();
            direction.z = stats::mean(&direction.by_gene) / error.max(f64::MIN_POSITIVE);
            direction.nats = best.objective() - next.objective();
            direction.determined = direction.z >= wanted;
        }
        direction
    }

    /// Genes that speak for the chosen direction.
    pub(super) fn supporters(&self) -> usize {
        self.by_gene.iter().filter(|&&nats| nats > 0.0).count()
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.given {
            return write!(f, "direction of time: given");
        }
        let word = if self.determined { "determined" } else { "NOT DETERMINED" };
        let per_cell = self.nats / self.n_cells as f64;
        write!(
            f,
            "direction of time: {word}; log-likelihood ratio to the next best direction {:.0} nats ({per_cell:.2} per cell), {:.1} standard \
             errors over genes, {} of {} genes in favour",
            self.nats,
            self.z,
            self.supporters(),
            self.by_gene.len()
        )
    }
}

/// Each gene's part of the objective: its expected log-likelihood and its prior.
fn contributions(fitted: &Fitted, cells: &Cells, fixed: &Fixed) -> Vec<f64> {
    use rayon::prelude::*;
    let gathered = fitted.gathered(cells);
    let tree = &fitted.model.tree;
    let one = |(at, gene): (usize, &super::gene::Gene)| {
        let mu = gene.means(tree);
        let curve =
            [0, 1].map(|species: usize| mu[species].iter().map(|mu| mu - gene.floor[species]).collect::<Vec<_>>());
        let mut total =
            gene.expected([&curve[0], &curve[1]], gathered.of(at)) - gene.penalty(tree, &gene.params, &fixed.prior);
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

/// The tip at which the user says that time begins: that nearest to the cells of `model.root`, or to the earliest capture time.
pub(super) fn asked_root(
    settings: &SoftGrid,
    data: &Dataset,
    groups: &CaptureGroups,
    sample: &[usize],
    skeleton: &Skeleton,
) -> Result<Option<usize>> {
    let cells: Vec<usize> = if let Some((name, value)) = settings.root.split_once('=') {
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
        cells
    } else if settings.capture_time.is_empty() {
        return Ok(None);
    } else {
        // A day of few cells may be missing in the sample.
        let earliest = sample.iter().map(|&i| groups.of[i]).min();
        (0..sample.len()).filter(|&at| Some(groups.of[sample[at]]) == earliest).collect()
    };
    let distance = |tip: usize| cells.iter().map(|&cell| skeleton.distances[tip][cell]).sum::<f64>();
    Ok((0..skeleton.tips.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b))))
}
