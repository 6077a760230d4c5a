//! Fits to more cells than memory has room for.
//!
//! Shape, direction, number of lineages, dispersions and the first curves come from `choice_cells` cells drawn at random. Then
//! the file is passed block after block, the next one being read while the present one is worked on:
//!
//! - first pass, stochastic EM: the sums over cells are a moving average over blocks, `S ← (1 − ρ) S + ρ S_block` with
//!   `ρ = (b + 2)^−0.6` at block b, and genes and π are fitted anew after every block;
//! - further passes, exact EM: the sums of a whole pass, then one M-step;
//! - last pass: the E-step of the final model, whose posteriors are the result.
//!
//! Memory holds two blocks, the sums (two numbers per gene and node) and the posteriors of all cells.

use std::ops::Range;

use super::em::{Fixed, Gathered, Model};
use super::expect::{Posterior, Tables};
use super::fit;
use super::gene::Pair;
use super::groups::Groups;
use super::rounds::{STEPS, rounds};
use super::scores::Scores;
use super::settings::SoftGrid;
use super::{announce, outputs};
use crate::data::{CellSource, Counts, Fit, Run};
use crate::error::{Error, Result};
use crate::models::{Streamed, StreamingModel};
use crate::preprocess::{self, PreprocessConfig};
use crate::sparse::Csr;

impl StreamingModel for SoftGrid {
    fn fit(&self, source: &dyn CellSource, config: &PreprocessConfig, run: &mut Run) -> Result<Streamed> {
        config.validate_streaming()?;
        let all_groups = Groups::read(source.obs(), &self.capture_time)?;
        let drawn = fit::sample(source.n_obs(), self.choice_cells, run);
        let counts = read_sample(source, &drawn, self.block_cells, run)?;
        let (data, report) = preprocess::run(&counts, config)?;
        drop(counts);
        report.steps.iter().for_each(|step| run.reporter().say(&step.to_string()));
        report.warnings.iter().for_each(|warning| run.reporter().warn(warning));
        let groups = Groups::read(&data.obs, &self.capture_time)?;
        let fixed = Fixed::new(self);
        let decided = fit::decide(self, &data, &groups, run)?;
        announce(&decided.direction, run);
        let limits = (self.max_rounds, self.tolerance);
        run.reporter().begin("rounds on the sample", 0, self.max_rounds as u64 + 1);
        let fitted = rounds(&fixed, &decided.cells, decided.fitted.model, limits, run)?;
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
            model: fitted.model,
            gathered,
            posteriors: Vec::new(),
            history: fitted.history,
        };
        for pass in 0..self.passes {
            passes.pass(pass, run)?;
        }
        let mut fit: Fit = outputs::cells(&passes.model, &passes.posteriors, false, false);
        outputs::genes(&mut fit, &passes.model, &fixed, &passes.gathered, scores.as_ref());
        outputs::details(&mut fit, &passes.model, &decided.direction, &decided.held_out, &passes.history);
        Ok(Streamed { genes: data.genes, fit })
    }
}

/// The counts of the cells `drawn`, rising, read block after block.
fn read_sample(source: &dyn CellSource, drawn: &[usize], block: usize, run: &mut Run) -> Result<Counts> {
    let mut parts: Vec<[Csr<f32>; 2]> = Vec::new();
    run.reporter().begin("drawing cells", 0, source.n_obs() as u64);
    for rows in blocks(source.n_obs(), block) {
        let here = &drawn[drawn.partition_point(|&i| i < rows.start)..drawn.partition_point(|&i| i < rows.end)];
        if !here.is_empty() {
            let positions: Vec<usize> = here.iter().map(|i| i - rows.start).collect();
            let done = rows.end as u64;
            parts.push(source.cells(rows)?.map(|layer| layer.select_rows(&positions)));
            run.reporter().advance(done, "");
        }
    }
    run.reporter().end(&format!("{} of {} cells drawn", drawn.len(), source.n_obs()));
    let joined = |species: usize| {
        let mut joined = Csr::empty(0, source.n_vars());
        for part in &parts {
            let part = &part[species];
            let before = joined.indices.len();
            joined.indices.extend_from_slice(&part.indices);
            joined.data.extend_from_slice(&part.data);
            joined.indptr.extend(part.indptr[1..].iter().map(|end| end + before));
            joined.n_rows += part.n_rows;
        }
        joined
    };
    Ok(Counts {
        path: source.path().to_path_buf(),
        obs: source.obs().select(drawn),
        var: source.var().clone(),
        x: None,
        unspliced: joined(0),
        spliced: joined(1),
        moments: None,
        neighbors: None,
        obsm: Vec::new(),
    })
}

fn blocks(n: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n).step_by(size).map(move |start| start..(start + size).min(n))
}

struct Passes<'a> {
    settings: &'a SoftGrid,
    fixed: &'a Fixed,
    source: &'a dyn CellSource,
    /// Positions of the fitted genes in the file.
    genes: &'a [usize],
    groups: &'a [u32],
    model: Model,
    /// What the genes were last fitted to.
    gathered: Gathered,
    posteriors: Vec<Posterior>,
    history: Vec<f64>,
}

impl Passes<'_> {
    fn read(&self, rows: Range<usize>) -> Result<Pair<Csr<f32>>> {
        Ok(self.source.cells(rows)?.map(|layer| layer.select_columns(self.genes)))
    }

    /// One pass over the file.
    fn pass(&mut self, pass: usize, run: &mut Run) -> Result<()> {
        let (n, passes) = (self.source.n_obs(), self.settings.passes);
        let (first, last) = (pass == 0 && passes > 1, pass + 1 == passes);
        run.reporter().begin(&format!("pass {} of {passes}", pass + 1), 0, n as u64);
        let ranges: Vec<Range<usize>> = blocks(n, self.settings.block_cells).collect();
        let mut whole = Gathered::new(self.model.genes.len(), self.model.tree.len(), self.model.pi.len());
        let mut evidence = 0.0;
        let mut tables = Tables::new(&self.model.tree, &self.model.genes);
        let mut next = self.read(ranges[0].clone())?;
        for (b, rows) in ranges.iter().enumerate() {
            if run.interrupted() {
                return Err(Error::Interrupted { run: None });
            }
            let cells = next;
            let ((found, block), read) = rayon::join(
                || self.block(&tables, &cells, rows.clone()),
                || ranges.get(b + 1).map(|rows| self.read(rows.clone())).transpose(),
            );
            evidence += found.iter().map(|posterior| posterior.evidence).sum::<f64>();
            match pass {
                0 => self.posteriors.extend(found),
                _ => self.posteriors.splice(rows.clone(), found).for_each(drop),
            }
            if first {
                let rho = ((b + 2) as f64).powf(-0.6);
                self.gathered.fade(1.0 - rho);
                self.gathered.add_scaled(&block, rho * n as f64 / rows.len() as f64);
                self.model.maximise(self.fixed, &self.gathered, STEPS);
                tables = Tables::new(&self.model.tree, &self.model.genes);
            } else {
                whole.add_scaled(&block, 1.0);
            }
            run.reporter().advance(rows.end as u64, &format!("{:.2} nats per cell", evidence / rows.end as f64));
            next = read?.unwrap_or_default();
        }
        if !first {
            self.gathered = whole;
        }
        if !first && !last {
            self.model.maximise(self.fixed, &self.gathered, STEPS);
        }
        self.history.push(evidence);
        run.reporter().end(&format!("pass {} of {passes}: {:.3} nats per cell", pass + 1, evidence / n as f64));
        Ok(())
    }

    /// Posteriors and sums of one block.
    fn block(&self, tables: &Tables, cells: &Pair<Csr<f32>>, rows: Range<usize>) -> (Vec<Posterior>, Gathered) {
        let groups = if self.groups.is_empty() { &[] } else { &self.groups[rows.clone()] };
        let known = |i: usize| self.posteriors.get(i).map_or([1.0; 2], |posterior| posterior.size);
        let sizes: Vec<Pair<f64>> = rows.map(known).collect();
        let posteriors = self.model.expect_with(tables, self.fixed, cells, groups, &sizes);
        let mut gathered = Gathered::new(self.model.genes.len(), self.model.tree.len(), self.model.pi.len());
        gathered.add(&[cells[0].transpose(), cells[1].transpose()], &posteriors, groups);
        (posteriors, gathered)
    }
}
