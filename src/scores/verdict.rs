//! What measurements amount to: every bound by which the report sorts an answer into good, caution and bad, and its source.
//!
//! None of these is a test. Where the source is "chosen here", the bound was set by hand on simulations with known truth and on the
//! pancreas data; what these data gave is said beside it, so that a reader can judge the bound.

use serde::Serialize;

use super::Direction;
use crate::preprocess::USUAL_UNSPLICED;
use crate::stats::{count, median, percentile};

/// Judgement of one question, or of a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing speaks against the arrows.
    Good,
    /// To be looked at before the arrows are shown to others.
    Caution,
    /// The arrows are probably wrong, or mean nothing.
    Bad,
    /// It was not measured, or cannot be.
    #[default]
    Unknown,
}

impl Verdict {
    /// The word that stands beside the coloured mark.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "Good",
            Self::Caution => "Caution",
            Self::Bad => "Bad",
            Self::Unknown => "Unknown",
        }
    }

    /// Good from `good` on, caution from `caution` on, bad below. What is no number is unknown.
    #[must_use]
    fn by(value: f64, good: f64, caution: f64) -> Self {
        match value {
            value if value.is_nan() => Self::Unknown,
            value if value >= good => Self::Good,
            value if value >= caution => Self::Caution,
            _ => Self::Bad,
        }
    }
}

/// Unspliced share below which velocities rest on a handful of molecules per cell: half of the least that is usual. Chosen here: at
/// 1,000 to 3,000 molecules per cell, 5 % are 50 to 150 unspliced ones over all genes.
const FEW_UNSPLICED: f64 = 0.05;

/// A share of unspliced molecules, and what to make of it. Usual are 10 to 25 % (scVelo's documentation), up to half in
/// [`USUAL_UNSPLICED`]; above, nuclei: La Manno et al. 2018 treat whole cells.
#[must_use]
pub fn unspliced(share: f64) -> (Verdict, &'static str) {
    if share < FEW_UNSPLICED {
        (
            Verdict::Bad,
            "Below 5 % velocities rest on a handful of molecules per cell. Was the reference built with introns?",
        )
    } else if share < *USUAL_UNSPLICED.start() {
        (Verdict::Caution, "Usual are 10 to 40 %. With few, only strongly expressed genes carry information.")
    } else if share < *USUAL_UNSPLICED.end() {
        (Verdict::Good, "A usual share.")
    } else {
        let nuclei = "More than half, as in nuclei: there the spliced molecules have mostly left, and the model of splicing does not \
                      hold as it stands.";
        (Verdict::Caution, nuclei)
    }
}

/// A number of velocity genes. Chosen here: scVelo's own warning ("few velocity genes") comes below 2; with 20 random genes of a
/// simulation of 200 the reconstructability r is about .6, with 50 about .8.
#[must_use]
pub fn velocity_genes(used: usize) -> Verdict {
    Verdict::by(count(used), 50.0, 20.0)
}

/// Permutation scores below this are not told from shuffled data, in standard errors: neighbourhoods that were found in noise leave
/// medians of 1 to 2 (measured on `simulate` with the counts of every gene shuffled: 1.3).
pub const LEAST_PERMUTATION_SCORE: f64 = 3.0;

/// What permutation scores of genes say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamics {
    /// The judgement.
    pub verdict: Verdict,
    /// Number of genes above [`LEAST_PERMUTATION_SCORE`] and above 95 % of the null.
    pub above: usize,
    /// The same as a share of the genes that have a score.
    pub share: f64,
    /// Median score.
    pub median: f64,
    /// Median of the null.
    pub null: f64,
}

/// Whether genes are explained better than their shuffled selves. Genes without a score are left out. Bounds chosen here; a
/// simulation with dynamics in all genes gives .99, the pancreas .9 and shuffled counts 0.
#[must_use]
pub fn dynamics(scores: &[f64], null: &[f64]) -> Dynamics {
    let known = |values: &[f64]| values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<f64>>();
    let (scores, null) = (known(scores), known(null));
    let bound = percentile(&null, 95.0).max(LEAST_PERMUTATION_SCORE);
    let above = scores.iter().filter(|&&score| score > bound).count();
    let share = count(above) / count(scores.len().max(1));
    Dynamics { verdict: Verdict::by(share, 0.5, 0.2), above, share, median: median(&scores), null: median(&null) }
}

/// Whether genes vote for time as it runs. 5 s.d. of fair coins, for genes that are regulated together vote together; 65 % of the
/// genes, for simulations give 82 to 99 % and the pancreas, whose direction is known, 64 to 69 %; 3 s.d. against are a warning.
#[must_use]
pub fn direction(found: &Direction) -> (Verdict, &'static str) {
    let (z, share) = (found.z(), found.share());
    if z >= 5.0 && share >= 0.65 {
        (Verdict::Good, "Spliced molecules follow unspliced ones in this order of cells, in most genes.")
    } else if z <= -3.0 {
        let reversed = "More genes are better explained with time reversed: look at the root, and at phase portraits, before \
                        believing any arrow.";
        (Verdict::Bad, reversed)
    } else {
        let open =
            "Genes do not agree clearly on a direction. Known biology must decide; --root sets where time starts.";
        (Verdict::Caution, open)
    }
}

/// Whether cells begin by losing most genes, from the share of genes that fall in the earliest cells. Chosen here: in simulations
/// with as many genes repressed early as induced, half of them fall.
#[must_use]
pub fn falling_at_first(share: f64) -> (Verdict, &'static str) {
    if share > 0.6 {
        let falls = "Most genes begin by falling. That is so where a programme is left behind, and also where time is read from the \
                     wrong end.";
        (Verdict::Caution, falls)
    } else {
        (Verdict::Good, "Genes are switched on as well as off where time begins.")
    }
}

/// Whether latent time and velocity pseudotime agree, by their Spearman correlation. Chosen here; simulations give .9 and more.
#[must_use]
pub fn times(spearman: f64) -> Verdict {
    Verdict::by(spearman, 0.7, 0.3)
}

/// Whether the genes that fit best give the graph of all: r, and the range of r of random sets of as many genes.
#[must_use]
pub fn reconstructability(r: f64, [low, high]: [f64; 2]) -> (Verdict, &'static str) {
    if r > high {
        (Verdict::Good, "They give the graph of all genes better than random genes do.")
    } else if r >= low {
        (Verdict::Caution, "No better than as many random genes: the flow is shared by all genes, or by chance.")
    } else {
        let worse =
            "Worse than as many random genes: what the arrows show comes from genes that the model explains less well.";
        (Verdict::Caution, worse)
    }
}

/// Whether neighbouring cells agree, by the median of `velocity_confidence`. scVelo's documentation calls nothing low; .75 is chosen
/// here: the pancreas gives .8 to .9 and shuffled velocities about .3 to .5, for neighbours share their data.
#[must_use]
pub fn confidence(median: f64) -> Verdict {
    Verdict::by(median, 0.75, 0.5)
}

/// Whether a model is sure of its directions, by the median of `directional_cosine_sim_mean`. Chosen here; veloVI gives .9 on the
/// simulation and .7 on the pancreas.
#[must_use]
pub fn certainty(median: f64) -> Verdict {
    Verdict::by(median, 0.7, 0.4)
}

/// Whether a known boundary is crossed the right way (true), the wrong way (false), or neither: scores are compared with shuffled
/// ones, two standard deviations being the usual 5 % of a normal law.
#[must_use]
pub fn boundary(score: f64, null_mean: f64, null_std: f64) -> Option<bool> {
    if score > (null_mean + 2.0 * null_std).max(0.0) {
        Some(true)
    } else if score < (null_mean - 2.0 * null_std).min(0.0) {
        Some(false)
    } else {
        None
    }
}

/// What the boundaries amount to.
#[must_use]
pub fn boundaries(right: usize, wrong: usize, all: usize) -> Verdict {
    match all {
        0 => Verdict::Unknown,
        all if right == all => Verdict::Good,
        all if 2 * wrong < all => Verdict::Caution,
        _ => Verdict::Bad,
    }
}

/// Whether models agree, by the least median cosine per cell. Chosen here: three models of the pancreas agree by .46 to .52, two
/// seeds of one network by .9.
#[must_use]
pub fn agreement(cosine: f64) -> Verdict {
    Verdict::by(cosine, 0.7, 0.4)
}

/// A group of cells in which models agree by less is named.
pub const APART: f64 = 0.3;

/// What the answers amount to: one bad answer is enough, and so are two that call for caution.
#[must_use]
pub fn overall(verdicts: &[Verdict]) -> Verdict {
    let of = |wanted: Verdict| verdicts.iter().filter(|&&verdict| verdict == wanted).count();
    if of(Verdict::Bad) > 0 {
        Verdict::Bad
    } else if of(Verdict::Caution) >= 2 {
        Verdict::Caution
    } else {
        Verdict::Good
    }
}
