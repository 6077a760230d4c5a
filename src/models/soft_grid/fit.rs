//! What is decided on a sample of the cells: shape, direction and number of lineages.

use rand::seq::index;

use super::direction::{self, Direction};
use super::em::{Fixed, Model};
use super::groups::CaptureGroups;
use super::rounds::{Cells, Fitted, rounds, split};
use super::settings::SoftGrid;
use super::skeleton::Skeleton;
use super::start::Start;
use super::tree::Tree;
use crate::data::{Dataset, Run};
use crate::error::Result;

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
        let ends = (0..skeleton.tips.len()).filter(|&tip| tip != root).collect();
        candidates.push((root, search.candidate(&Start::new(&skeleton, root, ends), &cells, None, run)?));
    }
    let direction = Direction::new(&candidates, &cells, &fixed, settings.evidence, asked.is_some());
    run.reporter().end(&direction.to_string());
    let (root, mut fitted) = candidates.swap_remove(direction.chosen);

    let mut held_out = Vec::new();
    let most = skeleton.tips.len() - 1;
    if settings.lineages == 0 && most > 1 {
        held_out = search.compare_lineages(root, run)?;
        let best = (0..most).max_by(|&a, &b| held_out[a].total_cmp(&held_out[b])).unwrap_or(0) + 1;
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

    /// Log-likelihood per held-out cell of fits with 1, 2, … lineages to the other cells.
    fn compare_lineages(&self, root: usize, run: &mut Run) -> Result<Vec<f64>> {
        let n = self.cells.counts.n_obs();
        let (held, kept) = split(n);
        let (test, train) = (self.cells.select(&held), self.cells.select(&kept));
        run.reporter().begin("numbers of lineages", 0, self.settings.choice_rounds as u64 + 1);
        let mut per_cell = Vec::new();
        for k in 1..self.skeleton.tips.len() {
            let start = Start::new(self.skeleton, root, self.ends(root, k));
            let fitted = self.candidate(&start, &train, Some(&kept), run)?;
            let (posteriors, _) = fitted.model.expect(self.fixed, &test.counts.cells, &test.groups, &test.sizes);
            let evidence: f64 = posteriors.iter().map(|posterior| posterior.evidence).sum();
            per_cell.push(evidence / held.len() as f64);
        }
        Ok(per_cell)
    }
}
