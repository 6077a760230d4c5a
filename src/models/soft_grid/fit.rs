//! What is decided on a sample of the cells: shape, direction and number of lineages.

use rand::seq::index;

use super::direction::{self, Direction};
use super::em::{Fixed, Model};
use super::groups::CaptureGroups;
use super::null;
use super::rounds::{Cells, Fitted, rounds, split};
use super::settings::SoftGrid;
use super::skeleton::Skeleton;
use super::start::Start;
use super::tree::Tree;
use crate::data::{Dataset, Run};
use crate::error::Result;
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
    pub(super) direction: Direction,
    /// Held-out log-likelihood per cell of each number of lineages tried, from 1; empty if none was to be chosen.
    pub(super) held_out: Vec<f64>,
}

/// Finds shape, direction and number of lineages on at most `choice_cells` cells.
pub(super) fn decide(settings: &SoftGrid, data: &Dataset, groups: &CaptureGroups, run: &mut Run) -> Result<Decided> {
    let sample = sample(data.n_obs(), settings.choice_cells, run);
    let cells = Cells::new(settings, data, groups, &sample);
    let fixed = Fixed::new(settings);
    let wanted = if settings.lineages > 0 { settings.lineages } else { settings.max_lineages };
    let skeleton = Skeleton::new(data, &sample, wanted + 1, settings.lineages > 0)?;
    let asked = direction::asked_root(settings, data, groups, &sample, &skeleton)?;
    let roots: Vec<usize> = asked.map_or_else(|| (0..skeleton.tips.len()).collect(), |root| vec![root]);

    let title = format!("{} cells, {} tips: directions", sample.len(), skeleton.tips.len());
    run.reporter().begin(&title, 0, settings.choice_rounds as u64 + 1);
    let search = Search { settings, fixed: &fixed, cells: &cells, skeleton: &skeleton };
    let mut candidates = Vec::new();
    for &root in &roots {
        candidates.push((root, search.to_all(root, &cells, run)?));
    }
    let mut direction = Direction::new(&candidates, &cells, &fixed);
    if let Some(next) = direction.next {
        let (root, best) = &candidates[direction.chosen];
        let without = null::undelayed(&cells, best, run);
        let pair = [search.to_all(*root, &without, run)?, search.to_all(candidates[next].0, &without, run)?];
        direction.compare([&pair[0], &pair[1]], &without, &fixed, settings.evidence);
    }
    run.reporter().end(&direction.to_string());
    let (root, mut fitted) = candidates.swap_remove(direction.chosen);

    let mut held_out = Vec::new();
    let most = skeleton.tips.len() - 1;
    if settings.lineages == 0 && most > 1 {
        let per_cell = search.compare_lineages(root, run)?;
        held_out = per_cell.iter().map(|cells| stats::mean(cells)).collect();
        let best = fewest(&per_cell) + 1;
        let list: Vec<String> = held_out.iter().zip(1..).map(|(value, k)| format!("{k}: {value:.2}")).collect();
        run.reporter().end(&format!("lineages: {best} (held-out log-likelihood per cell {})", list.join(", ")));
        if best < most {
            let start = Start::new(&skeleton, root, search.ends(root, best));
            fitted = search.candidate(&start, &cells, None, run)?;
        }
    }
    Ok(Decided { sample, cells, fitted, direction, held_out })
}

/// At most `most` of `n` cells, drawn at random, rising.
pub(in crate::models) fn sample(n: usize, most: usize, run: &Run) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    let mut drawn = index::sample(&mut run.rng("cells for decisions", 0), n, most).into_vec();
    drawn.sort_unstable();
    drawn
}

struct Search<'a> {
    settings: &'a SoftGrid,
    fixed: &'a Fixed,
    cells: &'a Cells,
    skeleton: &'a Skeleton,
}

impl Search<'_> {
    /// The tips at which the first `k` lineages end, by falling detour.
    fn ends(&self, root: usize, k: usize) -> Vec<usize> {
        (0..self.skeleton.tips.len()).filter(|&tip| tip != root).take(k).collect()
    }

    /// A short fit of `cells` whose lineages run from the tip `root` to all others.
    fn to_all(&self, root: usize, cells: &Cells, run: &mut Run) -> Result<Fitted> {
        let ends = (0..self.skeleton.tips.len()).filter(|&tip| tip != root).collect();
        self.candidate(&Start::new(self.skeleton, root, ends), cells, None, run)
    }

    /// A short fit of `cells` from `start`; they are those of the skeleton at the positions `chosen`, or all of them.
    fn candidate(&self, start: &Start, cells: &Cells, chosen: Option<&[usize]>, run: &mut Run) -> Result<Fitted> {
        let settings = self.settings;
        let trunk = (start.parting * TRUNK * settings.grid as f64) as usize;
        let tree = Tree::new(start.ends.len(), settings.grid, trunk, settings.t_max, settings.pieces);
        let mut posteriors = start.posteriors(self.skeleton, &tree);
        if let Some(chosen) = chosen {
            posteriors = chosen.iter().map(|&i| posteriors[i].clone()).collect();
        }
        for (posterior, &size) in posteriors.iter_mut().zip(&cells.sizes) {
            posterior.size = size;
        }
        let mut model = Model::flat(tree, &cells.means(), self.fixed, cells.n_groups);
        model.maximise_all(self.fixed, &cells.counts, &cells.groups, &posteriors, FIRST_STEPS, true);
        rounds(self.fixed, cells, model, (settings.choice_rounds, 0.0), run)
    }

    /// Log-likelihood of each held-out cell under fits with 1, 2, … lineages to the other cells.
    fn compare_lineages(&self, root: usize, run: &mut Run) -> Result<Vec<Vec<f64>>> {
        let n = self.cells.counts.n_obs();
        let (held, kept) = split(n);
        let (test, train) = (self.cells.select(&held), self.cells.select(&kept));
        run.reporter().begin("numbers of lineages", 0, self.settings.choice_rounds as u64 + 1);
        let mut per_cell = Vec::new();
        for k in 1..self.skeleton.tips.len() {
            let start = Start::new(self.skeleton, root, self.ends(root, k));
            let fitted = self.candidate(&start, &train, Some(&kept), run)?;
            let (posteriors, _) = fitted.model.expect(self.fixed, &test.counts.cells, &test.groups, &test.sizes);
            per_cell.push(posteriors.iter().map(|posterior| posterior.evidence).collect());
        }
        Ok(per_cell)
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
