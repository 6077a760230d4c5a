//! What measurements amount to: every bound by which the report sorts an answer into good, caution and bad, and its source.
//!
//! None of these is a test. Where the source is "set by hand", what was measured afterwards is said beside the bound, so that a reader
//! can judge it; where a bound lets a fit pass that is known to be wrong, that is said too. Measured were, one run each with default
//! settings, `nascent train`, `graph --set scores.draws=20` and `report`; the networks with `model.train.epochs=100`:
//!
//! - Simulations with known truth: `sim_600x200`, `simulate --cells 600 --genes 200 --seed 1` with one and two branches, and with
//!   `--repressed` .4, .6, .8 and 1 (a share of genes that are switched off early).
//! - The pancreas (739 cells, from ductal to endocrine cells) and spermatogenesis (1,000 cells, 1,737 genes): known order.
//! - Nulls: `sim_600x200` and the pancreas with the unspliced counts of each gene shuffled over all cells. The spliced counts still
//!   run along time, but no unspliced count leads them: no direction is right. `sim_600x200` also with both counts of each gene
//!   shuffled, each by itself or as pairs. Four clusters without transitions (2,000 cells, Chronocell's simulator; steady state and
//!   dynamical only).
//! - Models: steady state, dynamical and soft grid; veloVI and VeloVAE on simulations and their nulls only, veloVI on nulls with the
//!   recipe `scvelo-0.3`, for its own leaves no gene there.

use serde::Serialize;

use super::DirectionVotes;
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

/// Unspliced share below which velocities rest on a handful of molecules per cell. Set by hand, as half of the least that is usual.
/// Measured afterwards: other real cells have 9.9 to 19.8 % (dentate gyrus, pancreas), simulations 12 to 42 %. The spermatogenesis
/// data have 3.7 %, for they hold 1,737 chosen genes only (246 unspliced molecules in the median cell), and are called bad although
/// the steady state crosses both known boundaries the right way: the bound does not see how many molecules a cell has.
const FEW_UNSPLICED: f64 = 0.05;

/// A share of unspliced molecules, and what to make of it. Usual are 15 to 25 % (La Manno et al. 2018, whole cells) or 10 to 25 %
/// (scVelo's documentation). The upper end, half ([`USUAL_UNSPLICED`]), is set by hand; measured afterwards: above it is one data set,
/// of scMultiSim with 71 %, where splicing is too fast for a direction to be seen and the steady state's pseudotime runs against the
/// truth (Spearman -.30).
#[must_use]
pub fn unspliced(share: f64) -> (Verdict, &'static str) {
    if share < FEW_UNSPLICED {
        (
            Verdict::Bad,
            "Below 5 % velocities rest on a handful of molecules per cell. Was the reference built with introns?",
        )
    } else if share < *USUAL_UNSPLICED.start() {
        (Verdict::Caution, "Usual are 10 to 50 %. With few, only strongly expressed genes carry information.")
    } else if share < *USUAL_UNSPLICED.end() {
        (Verdict::Good, "A usual share.")
    } else {
        let nuclei = "More than half, as in nuclei: there the spliced molecules have mostly left, and the model of splicing does not \
                      hold as it stands.";
        (Verdict::Caution, nuclei)
    }
}

/// A number of velocity genes. Set by hand; scVelo warns ("very low signal in splicing dynamics") below 2. Measured afterwards, r of
/// the graph of random genes with that of all (median of 20 sets) for 20, 50 and 100 genes: `sim_600x200` .84, .93, .97 (dynamical)
/// to .96, .99, 1.00 (soft grid); pancreas .39, .59, .78 (steady state), .33, .40, .58 (dynamical). So 50 genes are enough in a
/// simulation and not in real cells. Of nulls, the steady state keeps 39 of 200 genes and 3 of the pancreas, where this speaks; the
/// soft grid keeps 183 and 1,002, VeloVAE 156, and these pass: many genes are no sign of dynamics.
#[must_use]
pub fn velocity_genes(used: usize) -> Verdict {
    Verdict::by(count(used), 50.0, 20.0)
}

/// Permutation scores below this are not told from shuffled data, in standard errors. Set by hand, above what noise leaves. Measured
/// afterwards, `permute --groups clusters` on `sim_600x200` with both counts of each gene shuffled over all cells: median score 1.0
/// (veloVI), .7 (VeloVAE), with the two shuffled as pairs 1.2 (veloVI); shuffled against shuffled .1 to .5; unshuffled 10 and 7.
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

/// Whether genes are explained better than their shuffled selves. Genes without a score are left out. Bounds set by hand. Measured
/// afterwards, share of genes above: simulations .97 to .99 (veloVI, VeloVAE); both counts shuffled .01 (both models), as pairs .13
/// (veloVI). But with the unspliced counts alone shuffled .74 (veloVI, median score 5.2; called good) and .34 (VeloVAE): the score
/// sees that spliced counts follow the order of the cells within a group, not that unspliced ones lead them. It can say that there is
/// nothing to see, not that there is a direction.
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
/// genes; 3 s.d. against are a warning. Set by hand. Measured afterwards:
///
/// - Known direction: simulations 89 to 100 % (steady state, dynamical, soft grid, VeloVAE), by veloVI's latent time 58 to 84 %;
///   pancreas 65 % (steady state), 60 % (dynamical), 67 % (soft grid), from ductal cells on 69 %; spermatogenesis 60 and 61 %.
/// - Nulls: 1.7 s.d. at most, for or against, and 8.7 against (VeloVAE; called bad), but 63 % at 7.9 s.d. in the shuffled pancreas
///   (soft grid): there s.d. do not help, and the 65 % are what keeps it from being called good, by little.
/// - Reversed by `--root` at the known end, steady state: 2 % and 37 %, dynamical on the pancreas 41 %, all called bad. Not seen:
///   dynamical on `sim_600x200`, whose latent time then partly runs against the truth (Spearman -.42), 80 %, called good.
#[must_use]
pub fn direction(found: &DirectionVotes) -> (Verdict, &'static str) {
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

/// Whether cells begin by losing most genes, from the share of genes that fall in the earliest cells. Set by hand. Measured
/// afterwards: simulations without repression 1 to 24 %; `--repressed` .4: 12 to 17 %, .6: 11 to 30 %, .8: 15 to 36 %. With all genes
/// repressed, 79 and 80 % where a model has time reversed (dynamical, steady state), 32 % where it has not (soft grid). Reversed by
/// `--root`, steady state: `sim_600x200` 68 %, but the pancreas 41 %, not seen. A warning about a right order, too: the soft grid on
/// the pancreas, all five known boundaries right, 67 %; steady state and dynamical 34 %.
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

/// Whether latent time and velocity pseudotime agree, by their Spearman correlation. Set by hand. Measured afterwards: simulations in
/// their known order .94 to 1.00 (all models with a latent time); pancreas .80 (dynamical), .99 (soft grid); spermatogenesis .40
/// (dynamical, one of two known boundaries reversed). Nulls -.49 to .38, but .99 in the shuffled pancreas (soft grid). Two times that
/// are wrong alike pass: .75 where both run against the truth (dynamical, `--repressed 1`; -.74 and -.42), .90 where `--root` names
/// the known end (dynamical, pancreas).
#[must_use]
pub fn times(spearman: f64) -> Verdict {
    Verdict::by(spearman, 0.7, 0.3)
}

/// Whether velocities run along a time of the cells: by the mean over cells of their flow along it (`VelocityField::along`, in genes),
/// and the share of the cells in which it is above 0. The bounds are the signs: a mean of 0, half the cells. Measured afterwards, 40 fits of
/// 20 files with their own latent times (VeloVAE, full and on counts):
///
/// - Fits whose start is called determined, of known direction: on counts .04 and 57 % (dyngen's cycle) to .87 and 100 %; full .09 and 57 %
///   (Chronocell's line, whose flow along true time is .05) to .76 and 100 %.
/// - Full, backward against the truth: -.08 and 52 % (spermatogenesis), -.06 and 39 % (`--repressed 0.4`), -.003 and 42 % (dyngen's cycle).
///
/// The two sides are close to each other (-.003 and .04), and nulls pass (.39 and 82 %, shuffled pancreas, on counts): it can say that
/// velocities contradict a time, not that the time is right.
#[must_use]
pub fn flow(mean: f64, share: f64) -> Verdict {
    match (mean > 0.0, share > 0.5) {
        _ if mean.is_nan() || share.is_nan() => Verdict::Unknown,
        (true, true) => Verdict::Good,
        (false, false) => Verdict::Bad,
        _ => Verdict::Caution,
    }
}

/// Whether the genes that fit best give the graph of all: r, and the range of r of random sets of as many genes. The bound is that
/// range, of as many sets as `scores.draws` says (5; a better r than all of 5 comes by chance once in six). Measured with 20 sets,
/// first 20, 50, 100 genes and range: `sim_600x200`, dynamical .91 (.06 to .94), .96 (.56 to .97), 1.00 (.96 to .99), veloVI .58 (.94
/// to .98), .99 (.99 to .99), 1.00; pancreas, dynamical .93 (-.01 to .87), .96 (.04 to .84), .98 (.06 to .89). With hundreds of real
/// genes it tells them apart; among 200 genes that share one time, right fits of all models but the soft grid are mostly called no
/// better than random. It is no sign of a direction: the shuffled pancreas, soft grid, gives .98 (.58 to .91), called good.
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

/// Whether neighbouring cells agree, by the median of `velocity_confidence`. Set by hand; scVelo's documentation calls nothing low.
/// Measured afterwards: simulations .85 to .96 (all models), pancreas .81 (steady state), .91 (dynamical), .82 (soft grid).
/// Velocities handed to other cells (steady state) .33 (`sim_600x200`) and .24 (pancreas). But nulls pass: `sim_600x200` with
/// unspliced counts shuffled .96 (steady state, soft grid), .98 (veloVI), .36 (VeloVAE), the pancreas .62 (steady state), .91
/// (dynamical), .75 (soft grid); with both shuffled .45 (veloVI), .20 (VeloVAE), as pairs .85 (veloVI). Neighbours share their
/// moments, so a smooth wrong answer has as much confidence as a right one: no bound on this number tells them apart. Only low
/// confidence says something.
#[must_use]
pub fn confidence(median: f64) -> Verdict {
    Verdict::by(median, 0.75, 0.5)
}

/// Whether a model is sure of its directions, by the median of `directional_cosine_sim_mean`. Set by hand. Measured afterwards:
/// simulations .71 to .73 (veloVI), .94 and .95 (VeloVAE). Nulls pass as well: unspliced counts shuffled .76 (veloVI), .57 (VeloVAE);
/// both counts shuffled .73 and .95. No bound on this number tells right from wrong: it is what a model believes of itself.
#[must_use]
pub fn certainty(median: f64) -> Verdict {
    Verdict::by(median, 0.7, 0.4)
}

/// Whether a known boundary is crossed the right way (true), the wrong way (false), or neither: scores are compared with shuffled
/// ones, two standard deviations being the usual 5 % of a normal law. These 5 % do not hold, for arrows of neighbours are alike.
/// Measured (`graph --set scores.edges=...`): of 21 boundaries in nulls of `sim_600x200` and the pancreas, 14 come out as crossed one
/// way or the other. Of 9 of `sim_600x200` (three models, UMAP) 7 come out right and 1 wrong, of 15 of the pancreas 13 right and none
/// wrong.
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

/// What the boundaries amount to: good if all are crossed the right way, bad if half of them or more are crossed the wrong way. Set by
/// hand. Measured afterwards: pancreas good (soft grid) or caution; shuffled pancreas caution (all three models); `sim_600x200` with
/// unspliced counts shuffled bad (steady state, soft grid).
#[must_use]
pub fn boundaries(right: usize, wrong: usize, all: usize) -> Verdict {
    match all {
        0 => Verdict::Unknown,
        all if right == all => Verdict::Good,
        all if 2 * wrong < all => Verdict::Caution,
        _ => Verdict::Bad,
    }
}

/// Whether models agree, by the least median cosine per cell. Set by hand. Measured afterwards with `compare`: two seeds of veloVI
/// .94; steady state and dynamical .72 to .74 (simulations of one and two branches), .52 (pancreas); five models of `sim_600x200`,
/// all right about time, .47 to .74. The soft grid and the two others on the pancreas .19 and .13, called bad, although none of their
/// known boundaries is reversed and the latent times of soft grid and dynamical agree by .83. Models that are wrong need not
/// disagree: nulls give -.08 to .73 (the most: steady state and dynamical on the shuffled pancreas, with 3 genes in common; called
/// good), and .55 where both have time reversed (`--repressed 1`).
#[must_use]
pub fn agreement(cosine: f64) -> Verdict {
    Verdict::by(cosine, 0.7, 0.4)
}

/// Neighbours in another sample that are farther than this many times those in the cell's own are not its like: the sample has no such
/// cells, or expression itself is shifted. Set by what was measured for [`samples`]: .97 to 1.05 where samples have all kinds of cells
/// in common, 1.13 to 1.23 where they share 30 %.
pub const FAR: f64 = 1.1;

/// Whether samples agree, from the mean cosine of the velocities of cells and of their nearest in another sample, that of those in the
/// sample itself, and how many times as far the first are. Bounds set by hand. Measured afterwards with `compare`, of two samples of
/// `simulate --cells 600 --genes 100` (soft grid with and without `model.batch`, dynamical, steady state):
///
/// - All kinds of cells in common: lower between than within by -.03 to .02 (cosines .70 to .93), good. So it is, too, where the second
///   sample keeps half as many of the unspliced molecules: neighbours of both samples share their moments, and an effect that is alike
///   in all genes is not seen.
/// - 30 % in common: lower by .00 to .20, at a distance of 1.13 to 1.23, with and without a difference in capture; good or caution.
/// - The velocities of one sample reversed after the fit (dynamical): -.90 and -.91 between, .92 and .90 within, called bad.
#[must_use]
pub fn samples(between: f64, within: f64, distance: f64) -> (Verdict, &'static str) {
    match within - between {
        gap if gap.is_nan() => (Verdict::Unknown, "The samples could not be compared."),
        gap if gap <= 0.1 => {
            (Verdict::Good, "Cells agree with their like in another sample about as with those of their own.")
        }
        _ if distance > FAR => {
            let far = "Cells have no like in the other sample, or expression is shifted: their neighbours there are far, and may well move in \
                       other ways.";
            (Verdict::Caution, far)
        }
        gap if gap <= 0.3 => {
            (Verdict::Caution, "Cells agree less with their like in another sample than with those of their own.")
        }
        _ => (Verdict::Bad, "Cells of one kind move in other ways in another sample: velocities follow the sample."),
    }
}

/// A group of cells in which models agree by less is named. Set by hand. Measured afterwards: in simulations of one and two branches
/// steady state and dynamical agree by .53 or more in all groups but one (.29, the end of a branch), steady state and veloVI by .30
/// or more, steady state and soft grid by .15 (the earliest quarter of `sim_600x200`); in the shuffled pancreas steady state and
/// dynamical by .31 or more, on 3 genes.
pub const APART: f64 = 0.3;

/// What the answers amount to: one bad answer is enough, and so are two that call for caution. Set by hand. Measured afterwards: 27
/// fits with time right (simulations, pancreas; no root given) 10 good, 17 caution, none bad; 12 fits of nulls none good, 1 caution
/// (shuffled pancreas, soft grid), 11 bad, one of them by its boundaries alone; spermatogenesis (steady state) bad by its unspliced
/// share alone; two with time reversed (`--repressed 1`) one bad, one caution. A root that nobody gave is itself a caution.
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
