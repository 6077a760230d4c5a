//! What is decided on a sample of the cells: shape, direction and number of lineages.

use rand::Rng;
use rand::seq::index;

use super::direction::{self, Direction};
use super::em::{Fixed, Model};
use super::groups::CaptureGroups;
use super::null;
use super::rounds::{Cells, Fitted, rounds, split};
use super::settings::{Shape, SoftGrid};
use super::skeleton::Skeleton;
use super::start::Start;
use super::tree::Tree;
use crate::data::{Dataset, Run};
use crate::error::{Error, Result};
use crate::stats;

/// Steps of every gene at the start of a candidate.
const FIRST_STEPS: usize = 15;

/// Initial length of the trunk, as a fraction of the time of the branch point found at the start. A branch point that is too early
/// on the tree can be corrected by the fit; one that is too late cannot.
const TRUNK: f64 = 0.65;

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
    /// Whether time runs around a ring.
    pub(super) ring: bool,
}

/// Finds shape, direction and number of lineages on at most `choice_cells` cells.
pub(super) fn decide(settings: &SoftGrid, data: &Dataset, groups: &CaptureGroups, run: &mut Run) -> Result<Decided> {
    let sample = sample(data.n_obs(), settings.choice_cells, run);
    let cells = Cells::new(settings, data, groups, &sample);
    let fixed = Fixed::new(settings);
    let wanted = if settings.lineages > 0 { settings.lineages } else { settings.max_lineages };
    let skeleton = Skeleton::new(data, &sample, wanted + 1, settings.lineages > 0)?;
    let asked = direction::asked_root(settings, data, groups, &sample, &skeleton)?;
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
            return self.ring(turns, Vec::new(), run);
        }
        let free = self.settings.shape == Shape::Auto && asked.is_none() && self.settings.lineages == 0;
        let turns = turns.filter(|_| free);
        let (root, mut fitted, direction) = self.directions(asked, run)?;
        let mut found = Found { direction, held_out: Vec::new(), ring: false };
        let most = self.skeleton.tips.len() - 1;
        if self.settings.lineages > 0 || (most == 1 && turns.is_none()) {
            return Ok((fitted, found));
        }
        let parts = Parts::new(self.cells);
        let per_cell = self.compare_lineages(root, &parts, run)?;
        found.held_out = per_cell.iter().map(|cells| stats::mean(cells)).collect();
        let best = fewest(&per_cell) + 1;
        let list: Vec<String> = found.held_out.iter().zip(1..).map(|(value, k)| format!("{k}: {value:.2}")).collect();
        run.reporter().end(&format!("lineages: {best} (held-out log-likelihood per cell {})", list.join(", ")));
        if let Some(turns) = turns
            && self.is_ring(turns, &per_cell[best - 1], &parts, run)?
        {
            return self.ring(turns, found.held_out, run);
        }
        if best < most {
            let start = Start::new(self.skeleton, root, self.ends(root, best));
            fitted = self.candidate(&start, self.cells, None, run)?;
        }
        Ok((fitted, found))
    }

    /// Trees from each tip, or from that `asked` for: the root of the best, the best, and how sure it is.
    fn directions(&self, asked: Option<usize>, run: &mut Run) -> Result<(usize, Fitted, Direction)> {
        let tips = self.skeleton.tips.len();
        let roots: Vec<usize> = asked.map_or_else(|| (0..tips).collect(), |root| vec![root]);
        let title = format!("{} cells, {tips} tips: directions", self.cells.counts.n_obs());
        run.reporter().begin(&title, 0, self.settings.choice_rounds as u64 + 1);
        let to_all = |&root: &usize| Start::new(self.skeleton, root, self.ends(root, tips));
        let (fitted, direction) = self.best(&roots.iter().map(to_all).collect::<Vec<_>>(), run)?;
        Ok((roots[direction.chosen], fitted, direction))
    }

    /// A line around the ring, one way or the other; `held_out` is of the trees that were tried.
    fn ring(&self, turns: &[f64], held_out: Vec<f64>, run: &mut Run) -> Result<(Fitted, Found)> {
        run.reporter().begin("directions around the ring", 0, self.settings.choice_rounds as u64 + 1);
        let (fitted, direction) = self.best(&[false, true].map(|backward| Start::around(turns, backward)), run)?;
        Ok((fitted, Found { direction, held_out, ring: true }))
    }

    /// Whether a ring, in the direction that is the better for the other cells, is as likely for the held-out cells as the best tree,
    /// under which each has the log-likelihood of `tree`. A tree on a ring runs backward on one side, and the cells' places say a ring:
    /// the tree has to be clearly likelier.
    fn is_ring(&self, turns: &[f64], tree: &[f64], parts: &Parts, run: &mut Run) -> Result<bool> {
        let forward = self.held_out(&Start::around(turns, false), parts, run)?;
        let backward = self.held_out(&Start::around(turns, true), parts, run)?;
        let (_, ring) = if backward.0 > forward.0 { backward } else { forward };
        let per_cell = [ring, tree.to_vec()];
        let found = fewest(&per_cell) == 0;
        let word = if found { "a ring" } else { "a tree, not a ring" };
        let [ring, tree] = per_cell.map(|cells| stats::mean(&cells));
        let words = format!("shape: {word} (held-out log-likelihood per cell, ring: {ring:.2}, tree: {tree:.2})");
        run.reporter().say(&words);
        Ok(found)
    }

    /// The best of the fits from `starts`, and how sure that is.
    fn best(&self, starts: &[Start], run: &mut Run) -> Result<(Fitted, Direction)> {
        let mut candidates =
            starts.iter().map(|start| self.candidate(start, self.cells, None, run)).collect::<Result<Vec<_>>>()?;
        let mut direction = Direction::new(&candidates, self.cells);
        if let Some(next) = direction.next {
            let without = null::undelayed(self.cells, &candidates[direction.chosen], run);
            let fit = |at: usize, run: &mut Run| self.candidate(&starts[at], &without, None, run);
            let pair = [fit(direction.chosen, run)?, fit(next, run)?];
            direction.compare([&pair[0], &pair[1]], &without, self.settings.evidence);
        }
        run.reporter().end(&direction.to_string());
        Ok((candidates.swap_remove(direction.chosen), direction))
    }

    /// The objective of a short fit from `start` to four fifths of the cells, and the log-likelihood of each of the others.
    fn held_out(&self, start: &Start, parts: &Parts, run: &mut Run) -> Result<(f64, Vec<f64>)> {
        let Parts { kept, train, test } = parts;
        let fitted = self.candidate(start, train, Some(kept), run)?;
        let (posteriors, _) = fitted.model.expect(self.fixed, &test.counts.cells, &test.groups, &test.sizes);
        Ok((fitted.objective(), posteriors.iter().map(|posterior| posterior.evidence).collect()))
    }

    /// The tips at which the first `k` lineages end, by falling detour.
    fn ends(&self, root: usize, k: usize) -> Vec<usize> {
        (0..self.skeleton.tips.len()).filter(|&tip| tip != root).take(k).collect()
    }

    /// A short fit of `cells` from `start`; they are those of the skeleton at the positions `chosen`, or all of them.
    fn candidate(&self, start: &Start, cells: &Cells, chosen: Option<&[usize]>, run: &mut Run) -> Result<Fitted> {
        let settings = self.settings;
        let trunk = (start.parting * TRUNK * settings.grid as f64) as usize;
        // Around a ring it is twice as far as to its other side.
        let times = if start.is_ring { 2 } else { 1 };
        let (grid, pieces) = (times * settings.grid, times * settings.pieces);
        let tree = Tree::new(start.ends.len(), grid, trunk, settings.t_max, pieces);
        let mut posteriors = start.posteriors(self.skeleton, &tree);
        if let Some(chosen) = chosen {
            posteriors = chosen.iter().map(|&i| posteriors[i].clone()).collect();
        }
        for (posterior, &size) in posteriors.iter_mut().zip(&cells.sizes) {
            posterior.size = size;
        }
        let mut model = Model::flat(tree, &cells.means(), self.fixed, cells.n_groups);
        model.begin(self.fixed, &cells.counts, &cells.groups, &posteriors, FIRST_STEPS);
        rounds(self.fixed, cells, model, (settings.choice_rounds, 0.0), run)
    }

    /// Log-likelihood of each held-out cell under fits with 1, 2, … lineages to the other cells.
    fn compare_lineages(&self, root: usize, parts: &Parts, run: &mut Run) -> Result<Vec<Vec<f64>>> {
        run.reporter().begin("numbers of lineages", 0, self.settings.choice_rounds as u64 + 1);
        let of = |k: usize| Start::new(self.skeleton, root, self.ends(root, k));
        (1..self.skeleton.tips.len()).map(|k| Ok(self.held_out(&of(k), parts, run)?.1)).collect()
    }
}

/// Position of the simplest fit whose held-out log-likelihood is no more than one standard error below that of the best: the error is
/// that of the cells' differences.
fn fewest(per_cell: &[Vec<f64>]) -> usize {
    let best = (0..per_cell.len()).max_by(|&a, &b| stats::mean(&per_cell[a]).total_cmp(&stats::mean(&per_cell[b])));
    let Some(best) = best else { return 0 };
    let as_good = |cells: &Vec<f64>| {
        let behind: Vec<f64> = per_cell[best].iter().zip(cells).map(|(best, own)| best - own).collect();
        stats::mean(&behind) <= stats::std_dev(&behind, 1) / (behind.len() as f64).sqrt()
    };
    per_cell.iter().position(as_good).unwrap_or(best)
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
