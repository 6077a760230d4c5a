//! Cells, and the rounds of E- and M-steps that fit a model to them.

use std::ops::Range;

use super::em::{Counts, Fixed, Gathered, Model};
use super::expect::{Posterior, Tables};
use super::gene::Pair;
use super::samples::{Samples, picked};
use super::settings::{Sizes, SoftGrid};
use crate::data::{CaptureTimes, Dataset, Run, Team};
use crate::error::{Error, Result};
use crate::stats;

/// Steps of every gene in each round.
pub(super) const STEPS: usize = 2;

/// Rounds from one M-step of the dispersions to the next.
const DISPERSE: usize = 3;

/// One cell in this many is held out where fits are compared.
const HELD_OUT: usize = 5;

/// Cells with what the E-step is told of them.
pub(super) struct Cells {
    pub(super) counts: Counts,
    /// Capture group of each cell; empty if there are none.
    pub(super) groups: Vec<u32>,
    pub(super) n_groups: usize,
    /// Sample of each cell; empty if they are not told apart.
    pub(super) samples: Vec<u32>,
    /// Relative capture of each sample, to begin with.
    pub(super) capture: Vec<f64>,
    /// Sizes to begin with.
    pub(super) sizes: Vec<Pair<f64>>,
    /// The processes that share the work on these cells, all of which have them.
    pub(super) team: Team,
}

impl Cells {
    /// The cells of `data` at the positions `chosen`.
    ///
    /// # Errors
    /// As [`Samples::begin`].
    pub(super) fn new(
        settings: &SoftGrid,
        data: &Dataset,
        groups: &CaptureTimes,
        samples: &Samples,
        chosen: &[usize],
    ) -> Result<Self> {
        let counts = Counts::new([data.unspliced.select_rows(chosen), data.spliced.select_rows(chosen)]);
        let samples = samples.select(chosen);
        let mut capture = Vec::new();
        let sizes = if settings.sizes == Sizes::Total {
            let relative = [&data.size_unspliced, &data.size_spliced].map(|totals| relative(totals));
            chosen.iter().map(|&i| [relative[0][i], relative[1][i]]).collect()
        } else if samples.of.is_empty() {
            vec![[1.0; 2]; chosen.len()]
        } else {
            let totals = [0, 1].map(|species: usize| counts.totals(species));
            let (sizes, begun) = samples.begin([&totals[0], &totals[1]])?;
            capture = begun;
            sizes
        };
        Ok(Self {
            counts,
            groups: picked(&groups.of, chosen),
            n_groups: groups.n_groups(),
            samples: samples.of,
            capture,
            sizes,
            team: Team::default(),
        })
    }

    /// Some of these cells.
    pub(super) fn select(&self, chosen: &[usize]) -> Self {
        let [u, s] = &self.counts.cells;
        Self {
            counts: Counts::new([u.select_rows(chosen), s.select_rows(chosen)]),
            groups: picked(&self.groups, chosen),
            n_groups: self.n_groups,
            samples: picked(&self.samples, chosen),
            capture: self.capture.clone(),
            sizes: chosen.iter().map(|&i| self.sizes[i]).collect(),
            team: self.team.clone(),
        }
    }

    /// Cells held out, and the others.
    pub(super) fn split(&self) -> (Self, Self) {
        let (held, kept) = split(self.counts.n_obs());
        (self.select(&held), self.select(&kept))
    }

    /// E-step of `model`, the cells being of the sizes `sizes` but for the relative capture of their samples, which is the model's; returns the
    /// posteriors and the objective.
    ///
    /// # Errors
    /// If another process that shares the work has ended.
    pub(super) fn expect(&self, model: &Model, fixed: &Fixed, sizes: Vec<Pair<f64>>) -> Result<(Vec<Posterior>, f64)> {
        let tables = Tables::new(&model.tree, &model.genes);
        let part = (&self.counts.cells, self.team.part(self.counts.n_obs()));
        let mine = model.expect(&tables, fixed, part, &self.groups, &model.sized(sizes, &self.samples));
        let posteriors = self.team.joined(mine)?;
        let evidence: f64 = posteriors.iter().map(|posterior| posterior.evidence).sum();
        Ok((posteriors, evidence - model.penalty(fixed)))
    }

    /// The sums over these cells; of the genes, those `which` alone are gathered.
    fn gather(&self, model: &Model, posteriors: &[Posterior], which: &Range<usize>) -> Gathered {
        let mut gathered = model.gather(&self.counts.genes, which, posteriors, &self.groups);
        gathered.add_samples(posteriors, &self.samples, model.capture.len());
        gathered
    }

    /// Mean counts of every gene; a gene without any has a trace.
    pub(super) fn means(&self) -> Pair<Vec<f64>> {
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

    /// The sizes of the cells.
    pub(super) fn sizes(&self) -> Vec<Pair<f64>> {
        sizes_of(&self.posteriors)
    }

    /// The sums over the cells that the model was fitted to.
    pub(super) fn gathered(&self, cells: &Cells) -> Gathered {
        cells.gather(&self.model, &self.posteriors, &(0..cells.counts.n_vars()))
    }
}

/// Rounds from `model`, the cells being of the sizes `sizes`, until the objective rises by less than `tolerance` of itself, or `most` are done.
pub(super) fn rounds(
    fixed: &Fixed,
    cells: &Cells,
    model: Model,
    sizes: &[Pair<f64>],
    limits: (usize, f64),
    run: &mut Run,
) -> Result<Fitted> {
    let (posteriors, objective) = cells.expect(&model, fixed, sizes.to_vec())?;
    more_rounds(fixed, cells, Fitted { model, posteriors, history: vec![objective] }, limits, run)
}

/// The same from a fit of these cells; `most` counts the rounds that it has had.
pub(super) fn more_rounds(
    fixed: &Fixed,
    cells: &Cells,
    mut fitted: Fitted,
    (most, tolerance): (usize, f64),
    run: &mut Run,
) -> Result<Fitted> {
    loop {
        if run.interrupted() {
            return Err(Error::Interrupted { run: None });
        }
        let Fitted { model, posteriors, history } = &mut fitted;
        let (done, objective) = (history.len(), history[history.len() - 1]);
        run.reporter().advance(done as u64, &format!("objective {objective:.1}"));
        let gained = if done > 1 { objective - history[done - 2] } else { f64::INFINITY };
        if done > most || gained < tolerance * objective.abs() {
            return Ok(fitted);
        }
        // Dispersions settle early and cost as much as all else.
        let disperse = done % DISPERSE == 1;
        let gathered = cells.gather(model, posteriors, &cells.team.part(model.genes.len()));
        model.maximise_all(fixed, &cells.counts, (posteriors, &gathered), (STEPS, disperse), &cells.team)?;
        let (renewed, objective) = cells.expect(model, fixed, sizes_of(posteriors))?;
        *posteriors = renewed;
        history.push(objective);
    }
}

fn sizes_of(posteriors: &[Posterior]) -> Vec<Pair<f64>> {
    posteriors.iter().map(|posterior| posterior.size).collect()
}

/// Positions held out, and the others.
pub(super) fn split(n: usize) -> (Vec<usize>, Vec<usize>) {
    (0..n).partition(|i| i % HELD_OUT == HELD_OUT - 1)
}
