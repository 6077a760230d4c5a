//! What is decided on a sample of the cells: shape, direction and number of lineages.

use rand::Rng;
use rand::seq::index;

use super::direction::{self, Direction};
use super::em::{Fixed, Model};
use super::null;
use super::rounds::{Cells, Fitted, more_rounds, rounds, split};
use super::samples::Samples;
use super::settings::{Shape, SoftGrid};
use super::skeleton::Skeleton;
use super::start::Start;
use super::tree::Tree;
use crate::data::{CaptureTimes, Dataset, Run};
use crate::error::{Error, Result};
use crate::stats;

/// Steps of every gene at the start of a candidate.
const FIRST_STEPS: usize = 15;

/// Branch points come first at this fraction of the time found at the start. One that is too early
/// on the tree can be corrected by the fit; one that is too late cannot.
const EARLY: f64 = 0.65;

/// A tree that is likelier than a ring by more standard errors is taken where cells lie on a ring.
const RING: f64 = 2.0;

/// A root amid the tips from which more lineages part is taken if held-out cells are likelier with it by more standard errors than with a root at
/// a tip. In simulations whose stem was cut off it is 7 and more; 3.6 in one of bursts that hide the direction, where neither root is right.
const AMID: f64 = 4.0;

/// What was decided on a sample of the cells.
pub(super) struct Decided {
    /// Positions of the sample among all cells, rising.
    pub(super) sample: Vec<usize>,
    pub(super) cells: Cells,
    pub(super) fitted: Fitted,
    pub(super) shape: Found,
}

/// A shape with its direction.
pub(super) struct Found {
    pub(super) direction: Direction,
    /// Held-out log-likelihood per cell of each number of lineages tried, from 1; empty if none was to be chosen.
    pub(super) held_out: Vec<f64>,
    /// Shapes tried, in words, with the same of each; the number of lineages that was not the better of two trees is left out.
    pub(super) tried: Vec<(String, f64)>,
    /// Whether time runs around a ring.
    pub(super) ring: bool,
}

impl Found {
    /// The only shape that was tried.
    fn alone(direction: Direction, ring: bool) -> Self {
        Self { direction, held_out: Vec::new(), tried: Vec::new(), ring }
    }
}

/// Finds shape, direction and number of lineages on at most `choice_cells` cells.
pub(super) fn decide(
    settings: &SoftGrid,
    data: &Dataset,
    groups: &CaptureTimes,
    samples: &Samples,
    run: &mut Run,
) -> Result<Decided> {
    let sample = sample(data.n_obs(), settings.choice_cells, run);
    let cells = Cells::new(settings, data, groups, samples, &sample)?;
    let fixed = Fixed::new(settings);
    let first = direction::first_cells(settings, data, groups, &sample)?;
    let skeleton = Skeleton::new(data, &sample, settings.most_lineages(), settings.lineages > 0, &first)?;
    if skeleton.root == Some(skeleton.amid()) {
        run.reporter().say("the cells with which time begins are at no end of the others: all lineages part from them");
    }
    let asked = skeleton.root;
    let search = Search { settings, fixed: &fixed, cells: &cells, skeleton: &skeleton };
    let (fitted, shape) = search.shape(asked, run)?;
    Ok(Decided { sample, cells, fitted, shape })
}

/// At most `most` of `n` cells, drawn at random, rising.
pub(in crate::models) fn sample(n: usize, most: usize, run: &Run) -> Vec<usize> {
    drawn(n, most, &mut run.rng("cells for decisions", 0))
}

/// `most` of `n` positions drawn by `rng`, rising; all if there are no more.
pub(super) fn drawn(n: usize, most: usize, rng: &mut impl Rng) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    let mut drawn = index::sample(rng, n, most).into_vec();
    drawn.sort_unstable();
    drawn
}

struct Search<'a> {
    settings: &'a SoftGrid,
    fixed: &'a Fixed,
    cells: &'a Cells,
    skeleton: &'a Skeleton,
}

/// Four fifths of the cells, and the others.
struct Parts {
    /// Positions of the train cells.
    kept: Vec<usize>,
    train: Cells,
    test: Cells,
}

impl Parts {
    fn new(cells: &Cells) -> Self {
        let (held, kept) = split(cells.counts.n_obs());
        Self { train: cells.select(&kept), test: cells.select(&held), kept }
    }
}

impl Search<'_> {
    /// A short fit of a tree, from the tip `asked` if there is one, or of a ring.
    fn shape(&self, asked: Option<usize>, run: &mut Run) -> Result<(Fitted, Found)> {
        let turns = self.skeleton.ring.as_deref();
        if self.settings.shape == Shape::Ring {
            let turns = turns.ok_or_else(|| Error::Data {
                problem: "model.shape = \"ring\", but the cells do not lie on a ring".to_owned(),
                hint:
                    "half-way between the two cells farthest apart there are no two sides; set model.shape = \"auto\""
                        .to_owned(),
            })?;
            let (fitted, direction) = self.ring(turns, run)?;
            return Ok((fitted, Found::alone(direction, true)));
        }
        let free = self.settings.shape == Shape::Auto && asked.is_none() && self.settings.lineages == 0;
        let turns = turns.filter(|_| free);
        let tips: Vec<usize> = self.skeleton.tips().collect();
        let roots = asked.map_or_else(|| tips.clone(), |root| vec![root]);
        let mut to_all = self.trees(&roots, &tips, false);
        let title = format!("{} cells, {} tips: directions", self.cells.counts.n_obs(), tips.len());
        run.reporter().begin(&title, 0, self.settings.choice_rounds as u64 + 1);
        let mut two = self.two_best(&to_all, run)?;
        // One lineage alone parts nowhere.
        if asked.is_none() && turns.is_none() && self.settings.lineages != 1 {
            self.try_amid(&mut to_all, &mut two, run)?;
        }
        let Start { root, ref ends, .. } = to_all[two[0].0];
        let most = ends.len();
        let numbers = if self.settings.lineages > 0 { most..=most } else { 1..=most };
        let starts: Vec<Vec<Start>> = numbers.map(|k| self.starts(root, k)).collect();
        if turns.is_none() && starts.len() == 1 && starts[0].len() == 1 {
            let (fitted, direction) = self.judged(&to_all, two, run)?;
            return Ok((fitted, Found::alone(direction, false)));
        }
        let parts = Parts::new(self.cells);
        run.reporter().begin("numbers of lineages", 0, self.settings.choice_rounds as u64 + 1);
        let trees = starts.into_iter().map(|starts| self.best_tree(starts, &parts, run)).collect::<Result<Vec<_>>>()?;
        let (mut starts, per_cell): (Vec<Start>, Vec<Vec<f64>>) = trees.into_iter().unzip();
        let best = fewest(&per_cell);
        run.reporter().end(&words(&starts, &per_cell, best));
        let mut tried: Vec<(String, f64)> =
            starts.iter().zip(&per_cell).map(|(start, cells)| (start.in_words(), stats::mean(cells))).collect();
        let by_lineages = tried.iter().map(|&(_, held_out)| held_out);
        let held_out = if self.settings.lineages == 0 { by_lineages.collect() } else { Vec::new() };
        if let Some(turns) = turns {
            let (is_ring, of_ring) = self.is_ring(turns, &per_cell[best], &parts, run)?;
            tried.push(("ring".to_owned(), of_ring));
            if is_ring {
                let (fitted, direction) = self.ring(turns, run)?;
                return Ok((fitted, Found { direction, held_out, tried, ring: true }));
            }
        }
        let start = starts.swap_remove(best);
        let several = start.branching.depth() > 1;
        let (fitted, direction) = if start.ends.len() == most && !several {
            self.judged(&to_all, two, run)?
        } else {
            // The directions of the shape that was found: with more tips than it has, the next best root is often right beside the best.
            let tips: Vec<usize> = std::iter::once(start.root).chain(start.ends.iter().copied()).collect();
            let roots = asked.map_or_else(|| tips.clone(), |root| vec![root]);
            self.contest("directions of this shape", &self.trees(&roots, &tips, several), run)?
        };
        Ok((fitted, Found { direction, held_out, tried, ring: false }))
    }

    /// Trees from each of `roots` to those of `tips` that are others, and not amid them; with more than one branch point if they are to be `nested`.
    fn trees(&self, roots: &[usize], tips: &[usize], nested: bool) -> Vec<Start> {
        let from = |&root: &usize| {
            let ends: Vec<usize> =
                tips.iter().copied().filter(|&tip| tip != root && tip != self.skeleton.amid()).collect();
            let several = if nested { Start::nested(self.skeleton, root, ends.clone()) } else { None };
            several.unwrap_or_else(|| Start::new(self.skeleton, root, ends))
        };
        roots.iter().map(from).collect()
    }

    /// Trees with `k` lineages: that whose lineages part at one point, and that with more branch points if there is one.
    fn starts(&self, root: usize, k: usize) -> Vec<Start> {
        let one = Start::new(self.skeleton, root, self.ends(root, k));
        std::iter::once(one).chain(Start::nested(self.skeleton, root, self.ends(root, k))).collect()
    }

    /// The best for the held-out cells of trees with the same number of lineages, and the log-likelihood of each of those cells. More
    /// branch points mean fewer parameters, lineages being one where they have not parted yet: the last start is taken if
    /// it is as good.
    fn best_tree(&self, starts: Vec<Start>, parts: &Parts, run: &mut Run) -> Result<(Start, Vec<f64>)> {
        let fits = starts.into_iter().map(|start| self.held_out(&start, parts, run).map(|(_, cells)| (start, cells)));
        let mut fits = fits.collect::<Result<Vec<_>>>()?;
        fits.reverse();
        let (mut starts, mut per_cell): (Vec<Start>, Vec<Vec<f64>>) = fits.into_iter().unzip();
        let best = fewest(&per_cell);
        Ok((starts.swap_remove(best), per_cell.swap_remove(best)))
    }

    /// A line around the ring, one way or the other.
    fn ring(&self, turns: &[f64], run: &mut Run) -> Result<(Fitted, Direction)> {
        let starts = [false, true].map(|backward| Start::around(turns, backward));
        self.contest("directions around the ring", &starts, run)
    }

    /// Whether a ring, in the direction that is the better for the other cells, is as likely for the held-out cells as the best tree,
    /// under which each has the log-likelihood of `tree`. A tree on a ring runs backward on one side, and the cells' places say a ring:
    /// the tree has to be clearly likelier, by [`RING`] standard errors. Also the mean of the ring.
    fn is_ring(&self, turns: &[f64], tree: &[f64], parts: &Parts, run: &mut Run) -> Result<(bool, f64)> {
        let forward = self.held_out(&Start::around(turns, false), parts, run)?;
        let backward = self.held_out(&Start::around(turns, true), parts, run)?;
        let (_, ring) = if backward.0 > forward.0 { backward } else { forward };
        let found = behind(tree, &ring) <= RING;
        let word = if found { "a ring" } else { "a tree, not a ring" };
        let [ring, tree] = [&ring, tree].map(stats::mean);
        let words = format!("shape: {word} (held-out log-likelihood per cell, ring: {ring:.2}, tree: {tree:.2})");
        run.reporter().say(&words);
        Ok((found, ring))
    }

    /// Tries a root amid the tips, from where all lineages part: puts that fit before the `two` best, which begin at a tip, if it is the
    /// better one by the objective, after a third of the rounds and at their end, and, if it has more lineages with parameters of
    /// their own, by [`AMID`] standard errors for held-out cells.
    fn try_amid(&self, starts: &mut Vec<Start>, two: &mut Vec<(usize, Fitted)>, run: &mut Run) -> Result<()> {
        let (at, best) = &two[0];
        let all = self.settings.choice_rounds;
        let amid = self.skeleton.amid();
        let start = Start::new(self.skeleton, amid, self.ends(amid, self.settings.most_lineages()));
        let begun = self.candidate(&start, self.cells, None, all.div_ceil(3), run)?;
        if begun.objective() <= best.history[begun.history.len() - 1] {
            return Ok(());
        }
        let fitted = more_rounds(self.fixed, self.cells, begun, (all, 0.0), run)?;
        if fitted.objective() <= best.objective() {
            return Ok(());
        }
        let parts = Parts::new(self.cells);
        let held_out = |start: &Start, run: &mut Run| self.held_out(start, &parts, run).map(|(_, cells)| cells);
        let has_more = start.ends.len() > starts[*at].ends.len();
        if !has_more || behind(&held_out(&start, run)?, &held_out(&starts[*at], run)?) > AMID {
            run.reporter().say("time begins amid the cells: lineages part there to all ends");
            two.insert(0, (starts.len(), fitted));
            two.truncate(2);
            starts.push(start);
        }
        Ok(())
    }

    /// The best of the fits from `starts`, and how sure its direction is.
    fn contest(&self, title: &str, starts: &[Start], run: &mut Run) -> Result<(Fitted, Direction)> {
        run.reporter().begin(title, 0, self.settings.choice_rounds as u64 + 1);
        let two = self.two_best(starts, run)?;
        self.judged(starts, two, run)
    }

    /// The two best of the fits from `starts` with their positions, the best first: after a third of the rounds the others are left.
    fn two_best(&self, starts: &[Start], run: &mut Run) -> Result<Vec<(usize, Fitted)>> {
        let all = self.settings.choice_rounds;
        let begun = starts.iter().map(|start| self.candidate(start, self.cells, None, all.div_ceil(3), run));
        let mut fits: Vec<(usize, Fitted)> = begun.collect::<Result<Vec<_>>>()?.into_iter().enumerate().collect();
        let sort = |fits: &mut Vec<(usize, Fitted)>| {
            fits.sort_by(|(_, a), (_, b)| b.objective().total_cmp(&a.objective()));
        };
        sort(&mut fits);
        fits.truncate(2);
        let to_the_end = |(at, fitted)| Ok((at, more_rounds(self.fixed, self.cells, fitted, (all, 0.0), run)?));
        let mut fits = fits.into_iter().map(to_the_end).collect::<Result<Vec<_>>>()?;
        sort(&mut fits);
        Ok(fits)
    }

    /// The first of the `two` best of the fits from `starts`, and how sure its direction is.
    fn judged(&self, starts: &[Start], two: Vec<(usize, Fitted)>, run: &mut Run) -> Result<(Fitted, Direction)> {
        let (at, mut fits): (Vec<usize>, Vec<Fitted>) = two.into_iter().unzip();
        let mut direction = Direction::new(&fits, self.cells);
        if fits.len() > 1 {
            let without = null::undelayed(self.cells, &fits[0], run);
            // From where the two began: a fit that goes on from its end would have the counts' own direction in it.
            let all = self.settings.choice_rounds;
            let mut anew = |at: usize| self.candidate(&starts[at], &without, None, all, run);
            let pair = [anew(at[0])?, anew(at[1])?];
            direction.compare([&pair[0], &pair[1]], &without, self.settings.evidence);
        }
        run.reporter().end(&direction.to_string());
        Ok((fits.swap_remove(0), direction))
    }

    /// The objective of a short fit from `start` to four fifths of the cells, and the log-likelihood of each of the others.
    fn held_out(&self, start: &Start, parts: &Parts, run: &mut Run) -> Result<(f64, Vec<f64>)> {
        let Parts { kept, train, test } = parts;
        let fitted = self.candidate(start, train, Some(kept), self.settings.choice_rounds, run)?;
        let (posteriors, _) = test.expect(&fitted.model, self.fixed, test.sizes.clone())?;
        Ok((fitted.objective(), posteriors.iter().map(|posterior| posterior.evidence).collect()))
    }

    /// The tips at which the first `k` lineages from `root` end.
    fn ends(&self, root: usize, k: usize) -> Vec<usize> {
        let mut ends = self.skeleton.others(root);
        ends.truncate(k);
        ends
    }

    /// A fit of `cells` by `most` rounds from `start`; they are those of the skeleton at the positions `chosen`, or all of them.
    fn candidate(
        &self,
        start: &Start,
        cells: &Cells,
        chosen: Option<&[usize]>,
        most: usize,
        run: &mut Run,
    ) -> Result<Fitted> {
        let settings = self.settings;
        // Around a ring it is twice as far as to its other side.
        let times = if start.is_ring { 2 } else { 1 };
        let (grid, pieces) = (times * settings.grid, times * settings.pieces);
        let tree = Tree::new(&start.branching.map(&|at| EARLY * at), grid, settings.t_max, pieces);
        let mut posteriors = start.posteriors(self.skeleton, &tree);
        if let Some(chosen) = chosen {
            posteriors = chosen.iter().map(|&i| posteriors[i].clone()).collect();
        }
        for (posterior, &size) in posteriors.iter_mut().zip(&cells.sizes) {
            posterior.size = size;
        }
        let mut model = Model::flat(tree, &cells.means(), self.fixed, cells.n_groups, cells.capture.clone());
        model.begin(self.fixed, &cells.counts, &cells.groups, &posteriors, FIRST_STEPS)?;
        rounds(self.fixed, cells, model, &cells.sizes, (most, 0.0), run)
    }
}

/// Which of the trees was chosen, and the mean held-out log-likelihood of each.
fn words(starts: &[Start], per_cell: &[Vec<f64>], best: usize) -> String {
    let one = |(start, cells): (&Start, &Vec<f64>)| format!("{}: {:.2}", start.ends.len(), stats::mean(cells));
    let list: Vec<String> = starts.iter().zip(per_cell).map(one).collect();
    format!("shape: {} (held-out log-likelihood per cell by lineages {})", starts[best].in_words(), list.join(", "))
}

/// Position of the simplest fit whose held-out log-likelihood is no more than one standard error below that of the best.
fn fewest(per_cell: &[Vec<f64>]) -> usize {
    let best = (0..per_cell.len()).max_by(|&a, &b| stats::mean(&per_cell[a]).total_cmp(&stats::mean(&per_cell[b])));
    let Some(best) = best else { return 0 };
    per_cell.iter().position(|cells| behind(&per_cell[best], cells) <= 1.0).unwrap_or(best)
}

/// How far `cells` are below `best` in the mean, in standard errors: those of the cells' differences.
fn behind(best: &[f64], cells: &[f64]) -> f64 {
    let by: Vec<f64> = best.iter().zip(cells).map(|(best, own)| best - own).collect();
    let error = stats::std_dev(&by, 1) / (by.len() as f64).sqrt();
    match stats::mean(&by) {
        mean if mean <= 0.0 => 0.0,
        mean => mean / error,
    }
}

#[cfg(test)]
mod tests {
    use super::fewest;

    #[test]
    fn more_lineages_are_taken_only_if_cells_agree_that_they_are_better() {
        let clear = [vec![-10.0; 40], vec![-9.0; 40], vec![-8.99; 40]];
        assert_eq!(fewest(&clear), 2, "every cell says so");
        let noisy = |shift: f64| (0..40).map(|i| -10.0 + shift + if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let tie: [Vec<f64>; 2] = [vec![-10.0; 40], noisy(0.1)];
        assert_eq!(fewest(&tie), 0, "a mean difference of 0.1 with a standard error of 0.16");
        let better: [Vec<f64>; 2] = [vec![-10.0; 40], noisy(0.3)];
        assert_eq!(fewest(&better), 1);
        assert_eq!(fewest(&[]), 0);
    }
}
