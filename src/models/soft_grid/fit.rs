//! From data to a fitted model: shape, candidates, direction, number of lineages, and the rounds to the end.

use rand::seq::index;

use super::direction::{self, Direction};
use super::em::{Counts, Fixed, Gathered, Model};
use super::expect::Posterior;
use super::gene::Pair;
use super::groups::Groups;
use super::settings::{Sizes, SoftGrid};
use super::skeleton::Skeleton;
use super::start::Start;
use super::tree::Tree;
use crate::data::{Dataset, Run};
use crate::error::{Error, Result};
use crate::stats;

/// Steps of every gene at the start of a candidate, and in each round after it.
const FIRST_STEPS: usize = 15;
pub(super) const STEPS: usize = 2;

/// Rounds from one M-step of the dispersions to the next.
const DISPERSE: usize = 3;

/// The first nodes behind the trunk lie before the point where the starts part, in this proportion: lineages that part too
/// early on the tree cost little, ones that part too late cannot be told.
const TRUNK: f64 = 0.65;

/// One cell in this many is held out where numbers of lineages are compared.
pub(super) const HELD_OUT: usize = 5;

/// Cells with what the E-step is told of them.
pub(super) struct Cells {
    pub(super) counts: Counts,
    /// Capture group of each cell; empty if there are none.
    pub(super) groups: Vec<u32>,
    pub(super) n_groups: usize,
    /// Sizes to begin with.
    pub(super) sizes: Vec<Pair<f64>>,
}

impl Cells {
    /// The cells of `data` at the positions `chosen`.
    pub(super) fn new(settings: &SoftGrid, data: &Dataset, groups: &Groups, chosen: &[usize]) -> Self {
        let counts = Counts::new([data.unspliced.select_rows(chosen), data.spliced.select_rows(chosen)]);
        let sizes = if settings.sizes == Sizes::Total {
            let relative = [&data.size_unspliced, &data.size_spliced].map(|totals| relative(totals));
            chosen.iter().map(|&i| [relative[0][i], relative[1][i]]).collect()
        } else {
            vec![[1.0; 2]; chosen.len()]
        };
        let of = if groups.of.is_empty() { Vec::new() } else { chosen.iter().map(|&i| groups.of[i]).collect() };
        Self { counts, groups: of, n_groups: groups.len(), sizes }
    }

    /// Some of these cells.
    fn select(&self, chosen: &[usize]) -> Self {
        let [u, s] = &self.counts.cells;
        let groups = if self.groups.is_empty() { Vec::new() } else { chosen.iter().map(|&i| self.groups[i]).collect() };
        Self {
            counts: Counts::new([u.select_rows(chosen), s.select_rows(chosen)]),
            groups,
            n_groups: self.n_groups,
            sizes: chosen.iter().map(|&i| self.sizes[i]).collect(),
        }
    }

    /// Mean counts of every gene; a gene without any has a trace.
    fn means(&self) -> Pair<Vec<f64>> {
        let n = self.counts.n_obs() as f64;
        let mean =
            |at: usize| self.counts.cells[at].column_sums().0.into_iter().map(|sum| (sum.max(0.1)) / n).collect();
        [mean(0), mean(1)]
    }
}

/// Totals over their median; cells without counts have a trace.
fn relative(totals: &[f64]) -> Vec<f64> {
    let positive: Vec<f64> = totals.iter().copied().filter(|&total| total > 0.0).collect();
    let middle = if positive.is_empty() { 1.0 } else { stats::median(&positive) };
    totals.iter().map(|&total| (total / middle).max(1e-2)).collect()
}

/// A fitted model and what it says of the cells it was fitted to.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) model: Model,
    pub(super) posteriors: Vec<Posterior>,
    /// The objective after every E-step.
    pub(super) history: Vec<f64>,
}

impl Fitted {
    pub(super) fn objective(&self) -> f64 {
        *self.history.last().expect("there is at least one round")
    }

    /// The sums over the cells that the model was fitted to.
    pub(super) fn gathered(&self, cells: &Cells) -> Gathered {
        let mut gathered = Gathered::new(self.model.genes.len(), self.model.tree.len(), cells.n_groups);
        gathered.add(&cells.counts.genes, &self.posteriors, &cells.groups);
        gathered
    }
}

/// Rounds from `model` until the objective rises by less than `tolerance` of itself, or `most` are done.
pub(super) fn rounds(
    fixed: &Fixed,
    cells: &Cells,
    mut model: Model,
    (most, tolerance): (usize, f64),
    run: &mut Run,
) -> Result<Fitted> {
    let mut sizes = cells.sizes.clone();
    let mut history: Vec<f64> = Vec::new();
    loop {
        if run.interrupted() {
            return Err(Error::Interrupted { run: None });
        }
        let (posteriors, objective) = model.expect(fixed, &cells.counts.cells, &cells.groups, &sizes);
        let gained = history.last().map_or(f64::INFINITY, |before| objective - before);
        history.push(objective);
        let done = history.len() as u64;
        run.reporter().advance(done, &format!("objective {objective:.1}"));
        if history.len() > most || gained < tolerance * objective.abs() {
            return Ok(Fitted { model, posteriors, history });
        }
        sizes = posteriors.iter().map(|posterior| posterior.size).collect();
        // Dispersions settle early and cost as much as all else.
        let disperse = history.len() % DISPERSE == 1;
        model.maximise_all(fixed, &cells.counts, &cells.groups, &posteriors, STEPS, disperse);
    }
}

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
pub(super) fn decide(settings: &SoftGrid, data: &Dataset, groups: &Groups, run: &mut Run) -> Result<Decided> {
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
pub(super) fn sample(n: usize, most: usize, run: &Run) -> Vec<usize> {
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

/// Positions held out, and the others.
pub(super) fn split(n: usize) -> (Vec<usize>, Vec<usize>) {
    (0..n).partition(|i| i % HELD_OUT == HELD_OUT - 1)
}

impl Cells {
    /// Cells held out, and the others.
    pub(super) fn split(&self) -> (Self, Self) {
        let (held, kept) = split(self.counts.n_obs());
        (self.select(&held), self.select(&kept))
    }
}
