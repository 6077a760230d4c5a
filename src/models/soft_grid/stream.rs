//! Fits to more cells than memory has room for.
//!
//! Shape, direction, number of lineages, dispersions and the first curves come from `choice_cells` cells drawn at random. Then
//! the file is passed block after block, the next one being read while the present one is worked on:
//!
//! - first pass, stochastic EM: the sums over cells are a moving average over blocks, `S ← (1 − ρ) S + ρ S_block` with
//!   `ρ = (b + 2)^−0.6` at block b, and genes and π are fitted anew after every block. Files are sorted, by sample or by day, and the
//!   last blocks count most: so each block of this pass is put together from stretches of the whole file;
//! - further passes, exact EM: the sums of a whole pass, then one M-step;
//! - last pass: the E-step of the final model, whose posteriors are the result.
//!
//! Memory holds two blocks, the sums (two numbers per gene and node) and the posteriors of all cells.

use std::ops::Range;
use std::sync::Arc;

use rand::Rng;
use rand::seq::SliceRandom;

use super::em::{Fixed, Gathered, Model};
use super::expect::{Posterior, Tables};
use super::fit;
use super::gene::Pair;
use super::rounds::{STEPS, rounds};
use super::samples::{Samples, picked};
use super::scores::Scores;
use super::settings::SoftGrid;
use super::{announce, outputs};
use crate::data::{CaptureTimes, CellSource, Counts, Fit, Run, Team};
use crate::error::{Error, Result};
use crate::models::{Streamed, StreamingModel};
use crate::preprocess::{self, PreprocessConfig};
use crate::sparse::Csr;

impl StreamingModel for SoftGrid {
    fn has_layers(&self) -> bool {
        false
    }

    fn fit(&self, source: &Arc<dyn CellSource>, config: &PreprocessConfig, run: &mut Run) -> Result<Streamed> {
        let source = source.as_ref();
        config.validate_streaming()?;
        // Numbered once: the sample may lack a group.
        let all_groups = CaptureTimes::read(source.obs(), self.captured())?;
        let all_samples = Samples::read(source.obs(), &self.batch, run)?;
        let drawn = fit::sample(source.n_obs(), self.choice_cells, run);
        let counts = read_sample(source, &drawn, self.block_cells, run)?;
        let (data, report) = preprocess::run(&counts, config)?;
        drop(counts);
        report.steps.iter().for_each(|step| run.reporter().say(&step.to_string()));
        report.warnings.iter().for_each(|warning| run.reporter().warn(warning));
        data.require_counts("set model.stream = false and model.likelihood = \"gaussian\"")?;
        let groups = all_groups.select(&drawn);
        let fixed = Fixed::new(self);
        let mut decided = fit::decide(self, &data, &groups, &all_samples.select(&drawn), run)?;
        announce(&decided.shape.direction, run);
        run.team().agree(&decided.fitted.model.genes)?;
        decided.cells.team = run.team().clone();
        let limits = (self.max_rounds, self.tolerance);
        run.reporter().begin("rounds on the sample", 0, self.max_rounds as u64 + 1);
        let sizes = decided.fitted.sizes();
        let fitted = rounds(&fixed, &decided.cells, decided.fitted.model, &sizes, limits, run)?;
        run.reporter().end(&format!("{} rounds, objective {:.1}", fitted.history.len(), fitted.objective()));
        let scores = self.uncertainty.then(|| Scores::new(&fixed, &decided.cells, &fitted, run)).transpose()?;
        if let Some(scores) = &scores {
            run.reporter().say(&scores.summary());
        }

        let mut gathered = fitted.gathered(&decided.cells);
        gathered.fade(source.n_obs() as f64 / drawn.len() as f64);
        let mut passes = Passes {
            settings: self,
            fixed: &fixed,
            source,
            genes: &data.genes,
            groups: &all_groups.of,
            samples: &all_samples.of,
            model: fitted.model,
            gathered,
            team: run.team().clone(),
            mine: Vec::new(),
            posteriors: vec![Posterior { size: [1.0; 2], ..Posterior::default() }; source.n_obs()],
            evidence: Vec::new(),
        };
        for pass in 0..self.passes {
            passes.pass(pass, run)?;
        }
        passes.join()?;
        let mut fit: Fit = outputs::cells(&passes.model, &passes.posteriors, false, false);
        outputs::genes(&mut fit, &passes.model, &passes.gathered, scores.as_ref());
        outputs::details(&mut fit, &passes.model, &all_samples, &decided.shape, (&fitted.history, &passes.evidence));
        all_samples.tell(&mut fit, &passes.model.capture, run);
        Ok(Streamed { genes: data.genes, fit, layers: None })
    }
}

/// The counts of the cells `drawn`, rising, read block after block.
pub(in crate::models) fn read_sample(
    source: &dyn CellSource,
    drawn: &[usize],
    block: usize,
    run: &mut Run,
) -> Result<Counts> {
    let mut parts: Vec<[Csr<f32>; 2]> = Vec::new();
    run.reporter().begin("drawing cells", 0, source.n_obs() as u64);
    for rows in blocks(0..source.n_obs(), block) {
        let here = &drawn[drawn.partition_point(|&i| i < rows.start)..drawn.partition_point(|&i| i < rows.end)];
        if !here.is_empty() {
            let positions: Vec<usize> = here.iter().map(|i| i - rows.start).collect();
            let done = rows.end as u64;
            parts.push(source.cells(rows)?.map(|layer| layer.select_rows(&positions)));
            run.reporter().advance(done, "");
        }
    }
    run.reporter().end(&format!("{} of {} cells drawn", drawn.len(), source.n_obs()));
    let [unspliced, spliced] = joined(parts, source.n_vars());
    Ok(Counts {
        path: source.path().to_path_buf(),
        obs: source.obs().select(drawn),
        var: source.var().clone(),
        x: None,
        unspliced,
        spliced,
        moments: None,
        neighbors: None,
        obsm: Vec::new(),
    })
}

/// The rows of all `parts`, of `n_cols` columns, one under the other.
fn joined(parts: Vec<Pair<Csr<f32>>>, n_cols: usize) -> Pair<Csr<f32>> {
    let mut whole = [0, 1].map(|_| Csr::empty(0, n_cols));
    for part in parts {
        whole.iter_mut().zip(part).for_each(|(whole, part)| whole.append(part));
    }
    whole
}

fn blocks(rows: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(size).map(move |start| start..(start + size).min(end))
}

fn cells_of(stretches: &[Range<usize>]) -> usize {
    stretches.iter().map(Range::len).sum()
}

/// Stretches of the file that make a block of the first pass: enough that each block has cells of every part of a sorted file, and
/// few enough that reading them costs little more than reading one.
const STRETCHES: usize = 16;

/// `n` cells dealt into blocks of about `size`: the file is cut into [`STRETCHES`] parts, and each block takes a stretch drawn at
/// random from every part.
fn dealt(n: usize, size: usize, rng: &mut impl Rng) -> Vec<Vec<Range<usize>>> {
    let mut stretches: Vec<Range<usize>> = blocks(0..n, size.div_ceil(STRETCHES)).collect();
    let n_blocks = stretches.len().div_ceil(STRETCHES);
    let mut dealt = vec![Vec::new(); n_blocks];
    for part in stretches.chunks_mut(n_blocks.max(1)) {
        part.shuffle(rng);
        dealt.iter_mut().zip(part).for_each(|(block, stretch)| block.push(stretch.clone()));
    }
    dealt
}

struct Passes<'a> {
    settings: &'a SoftGrid,
    fixed: &'a Fixed,
    source: &'a dyn CellSource,
    /// Positions of the fitted genes in the file.
    genes: &'a [usize],
    groups: &'a [u32],
    samples: &'a [u32],
    model: Model,
    /// What the genes were last fitted to.
    gathered: Gathered,
    team: Team,
    /// The cells that this process had in the last pass, stretch after stretch.
    mine: Vec<usize>,
    /// Of those cells; of the others, their sizes.
    posteriors: Vec<Posterior>,
    /// `Σ_i ln p(x_i)` over all cells, of each pass.
    evidence: Vec<f64>,
}

impl Passes<'_> {
    fn read(&self, stretches: &[Range<usize>]) -> Result<Pair<Csr<f32>>> {
        let read =
            |rows: &Range<usize>| Ok(self.source.cells(rows.clone())?.map(|layer| layer.select_columns(self.genes)));
        Ok(joined(stretches.iter().map(read).collect::<Result<_>>()?, self.genes.len()))
    }

    /// Of each block of a pass the stretches that are this process's, and how many cells it has in all. All processes have the blocks of the first
    /// pass together, each its part of every block; of other passes each has the blocks of a stretch of the file.
    fn in_blocks(&self, first: bool, run: &Run) -> Vec<(Vec<Range<usize>>, usize)> {
        let (n, size) = (self.source.n_obs(), self.settings.block_cells);
        if first {
            let dealt = dealt(n, size, &mut run.rng("blocks", 0));
            return dealt.iter().map(|block| (cut(block, &self.team), cells_of(block))).collect();
        }
        blocks(self.team.part(n), size).map(|rows| (vec![rows.clone()], rows.len())).collect()
    }

    /// One pass over the file.
    fn pass(&mut self, pass: usize, run: &mut Run) -> Result<()> {
        let (n, passes) = (self.source.n_obs(), self.settings.passes);
        let (first, last) = (pass == 0 && passes > 1, pass + 1 == passes);
        run.reporter().begin(&format!("pass {} of {passes}", pass + 1), 0, self.team.part(n).len() as u64);
        let in_blocks = self.in_blocks(first, run);
        let mut whole = Gathered::new(self.model.genes.len(), self.model.tree.len(), self.model.pi.len());
        let mut evidence = [0.0];
        let mut tables = Tables::new(&self.model.tree, &self.model.genes);
        let mut next = self.read(in_blocks.first().map_or(&[], |block| &block.0))?;
        self.mine.clear();
        for (b, (stretches, n_cells)) in in_blocks.iter().enumerate() {
            let rows: Vec<usize> = stretches.iter().cloned().flatten().collect();
            if run.interrupted() {
                return Err(Error::Interrupted { run: None });
            }
            let cells = next;
            let ((found, mut block), read) = rayon::join(
                || self.block(&tables, &cells, &rows),
                || in_blocks.get(b + 1).map(|(stretches, _)| self.read(stretches)).transpose(),
            );
            evidence[0] += found.iter().map(|posterior| posterior.evidence).sum::<f64>();
            for (&i, posterior) in rows.iter().zip(found) {
                self.posteriors[i] = posterior;
            }
            self.mine.extend(rows);
            if first {
                block.share(&self.team)?;
                let rho = ((b + 2) as f64).powf(-0.6);
                self.gathered.fade(1.0 - rho);
                self.gathered.add_scaled(&block, rho * n as f64 / *n_cells as f64);
                self.model.maximise(self.fixed, &self.gathered, STEPS, &self.team)?;
                tables = Tables::new(&self.model.tree, &self.model.genes);
            } else {
                whole.add_scaled(&block, 1.0);
            }
            let done = self.mine.len();
            run.reporter().advance(done as u64, &format!("{:.2} nats per cell", evidence[0] / done as f64));
            next = read?.unwrap_or_default();
        }
        self.team.add(&mut evidence)?;
        if first {
            self.share_sizes()?;
        } else {
            whole.share(&self.team)?;
            self.gathered = whole;
        }
        if !first && !last {
            self.model.maximise(self.fixed, &self.gathered, STEPS, &self.team)?;
        }
        self.evidence.push(evidence[0]);
        run.reporter().end(&format!("pass {} of {passes}: {:.3} nats per cell", pass + 1, evidence[0] / n as f64));
        Ok(())
    }

    /// Posteriors and sums of one block.
    fn block(&self, tables: &Tables, cells: &Pair<Csr<f32>>, rows: &[usize]) -> (Vec<Posterior>, Gathered) {
        let (groups, samples) = (picked(self.groups, rows), picked(self.samples, rows));
        let sizes = self.model.sized(rows.iter().map(|&i| self.posteriors[i].size).collect(), &samples);
        let posteriors = self.model.expect(tables, self.fixed, (cells, 0..rows.len()), &groups, &sizes);
        let genes = [cells[0].transpose(), cells[1].transpose()];
        let mut gathered = self.model.gather(&genes, &(0..self.genes.len()), &posteriors, &groups);
        gathered.add_samples(&posteriors, &samples, self.model.capture.len());
        (posteriors, gathered)
    }

    /// Tells the sizes of the cells that this process had, and is told those of the others: in the next pass it has other cells.
    fn share_sizes(&mut self) -> Result<()> {
        if self.team.is_alone() {
            return Ok(());
        }
        let mut sizes = vec![0.0; 2 * self.posteriors.len()];
        for &i in &self.mine {
            sizes[2 * i..][..2].copy_from_slice(&self.posteriors[i].size);
        }
        self.team.add(&mut sizes)?;
        for (posterior, size) in self.posteriors.iter_mut().zip(sizes.as_chunks::<2>().0) {
            posterior.size = *size;
        }
        Ok(())
    }

    /// Takes over what the other processes found of the cells that they had in the last pass.
    fn join(&mut self) -> Result<()> {
        if self.team.is_alone() {
            return Ok(());
        }
        let mine = self.mine.iter().map(|&i| (i, std::mem::take(&mut self.posteriors[i]))).collect();
        for (i, posterior) in self.team.joined::<(usize, Posterior)>(mine)? {
            self.posteriors[i] = posterior;
        }
        Ok(())
    }
}

/// The part of the `stretches` that is this process's: as many cells as the others have, from one place on.
fn cut(stretches: &[Range<usize>], team: &Team) -> Vec<Range<usize>> {
    let part = team.part(cells_of(stretches));
    let mut before = 0;
    let mut of = |stretch: &Range<usize>| {
        let within = |at: usize| stretch.start + at.saturating_sub(before).min(stretch.len());
        let cut = within(part.start)..within(part.end);
        before += stretch.len();
        cut
    };
    stretches.iter().map(&mut of).filter(|cut| !cut.is_empty()).collect()
}
