//! The dynamical model: the whole kinetics of every gene, fitted by expectation and maximisation (Bergen et al. 2020).
//!
//! A gene is switched on at time 0 and off at `t_s`. Unspliced abundance is scaled, `u' = u / scaling`, and
//!
//! ```text
//! du'/dt = α̃ − β u',   ds/dt = β u' − γ s,   α̃ = α before t_s, 0 after
//! ```
//!
//! - **E-step** (`assign.rs`, `projection.rs`): every cell gets a time of its own *for this gene*, and one of four phases.
//! - **M-step** (`compat.rs`, `descent.rs`): α, β, γ, `t_s` and the scaling lower the sum of squared distances
//!   (`objective.rs`).
//!
//! Two stages, as the paper has them: times come from the explicit inverse of the ODE at first and from projection in the end.
//! `schedule = "compat"` is scVelo's way there, step by step: few simplex steps, no test of convergence. `"converged"`, the
//! default, minimises the same objective (`converge.rs`).
//!
//! Genes are then put on one clock (`align.rs`), and velocities follow from each gene's curve (`velocity.rs`). With
//! `time_scope = "shared"`, the default, all this is the start of a fit with one time per cell for all genes (`shared.rs`).
//!
//! Source: Bergen et al., Nature Biotechnology 38, 2020; scVelo 0.3.4. What differs: `models/dynamical/README.md`.

mod align;
mod assign;
mod compat;
mod converge;
mod curve;
mod descent;
mod differential;
mod fit;
mod gene;
mod objective;
mod projection;
mod row;
mod settings;
mod shape;
mod shared;
mod simplex;
mod start;
mod tables;
mod velocity;

pub(super) use descent::solved;
pub use differential::{Differential, differential_kinetics};
pub use settings::{Dynamical, Genes, Schedule, TimeScope, VelocityFrom};
pub(super) use shape::{Frame, Shape};

use std::time::Instant;

use cpu_time::ProcessTime;
use rayon::prelude::*;

use self::fit::fit_gene;
use self::gene::Neighborhoods;
pub(super) use self::tables::WRITES;
use self::tables::{Columns, Tables};
use super::{Columns as OfFit, VelocityModel, steady_state};
use crate::data::quantities::{FIT_LIKELIHOOD, FIT_R2, FIT_SCALING};
use crate::data::{Bound, Dataset, Fit, GeneFilter, Run};
use crate::error::{Error, Result};
use crate::stats;

impl VelocityModel for Dynamical {
    fn velocity_gene_filters(&self, column: OfFit) -> Vec<GeneFilter> {
        match (column(FIT_LIKELIHOOD), column(FIT_R2), column(FIT_SCALING)) {
            (Some(likelihood), Some(r2), Some(scaling)) => self.filters(likelihood, r2, scaling),
            _ => Vec::new(),
        }
    }

    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        // Read first: a column that cannot be used should not be found out after the fit.
        let groups = (!self.groups.is_empty()).then(|| differential::groups(data, &self.groups)).transpose()?;
        let lines = steady_state::fit_lines(data, steady_state::Extremes::default());
        let r2: Vec<f64> = lines.iter().map(|line| line.full_r2).collect();
        let chosen = self.chosen(data, &lines, &r2, run);
        let of_branches = self.branch_times && self.time_scope == TimeScope::Gene;
        let mut tables = Tables::new(data.n_obs(), data.n_vars(), of_branches);
        run.reporter().say(&tables.announcement(chosen.len()));

        let begun = (Instant::now(), ProcessTime::now());
        self.fit_all(data, &chosen, &mut tables, run)?;
        if self.time_scope == TimeScope::Shared {
            let said = tables.share(data, self, run.team())?;
            run.reporter().say(&said);
        }
        let seconds = (begun.0.elapsed().as_secs_f64(), begun.1.elapsed().as_secs_f64());
        run.reporter().end(&tables.summary(data.n_vars(), seconds));

        let used = self.velocity_genes(&tables, &r2);
        let mut fit = tables.into_fit(r2, used);
        if let Some(groups) = &groups {
            differential::add_to(&mut fit, data, (&self.groups, groups), self.silence_groups);
        }
        Ok(fit)
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn shares(&self) -> bool {
        true
    }

    fn citations(&self) -> &'static [&'static str] {
        &["Bergen et al.: Generalizing RNA velocity to transient cell states through dynamical modeling. \
           Nature Biotechnology 38, 2020"]
    }
}

/// Genes whose columns are in memory at once, apart from the tables.
const BLOCK: usize = 32;

impl Dynamical {
    /// Positions of the genes to fit.
    fn chosen(&self, data: &Dataset, lines: &[steady_state::GeneLines], r2: &[f64], run: &mut Run) -> Vec<usize> {
        if self.genes == Genes::All {
            return (0..data.n_vars()).collect();
        }
        let slopes: Vec<f64> = lines.iter().map(|line| line.extreme.slope).collect();
        let selection = steady_state::Selection::default();
        let fit_for = steady_state::velocity_genes(data, r2, &slopes, &selection, run.reporter());
        fit_for.iter().enumerate().filter(|(_, chosen)| **chosen).map(|(gene, _)| gene).collect()
    }

    /// Fits block after block of the `chosen` genes; within a block, each gene on its own.
    fn fit_all(&self, data: &Dataset, chosen: &[usize], tables: &mut Tables, run: &mut Run) -> Result<()> {
        let near = Neighborhoods::new(&data.neighbors);
        run.reporter().begin("genes", 0, chosen.len() as u64);
        let mut done = 0;
        let team = run.team().clone();
        for block in chosen.chunks(BLOCK * team.size()) {
            if run.interrupted() {
                return Err(Error::Interrupted { run: None });
            }
            let mine = &block[team.part(block.len())];
            let columns = Columns::new(data, mine);
            let fits =
                (0..mine.len()).into_par_iter().map(|at| fit_gene(self, columns.u(at), columns.s(at), &near)).collect();
            tables.set(block, team.joined(fits)?);
            done += block.len();
            run.reporter().advance(done as u64, &tables.progress());
        }
        Ok(())
    }

    /// Fitted genes whose velocity should be used: likelihood and R² above their thresholds, scaling within bounds.
    ///
    /// Source: scVelo 0.3 `tl.velocity(mode = "dynamical")`.
    fn velocity_genes(&self, tables: &Tables, r2: &[f64]) -> Vec<bool> {
        let of_rows = |value: fn(&row::Row) -> f64| -> Vec<f64> {
            tables.rows().iter().map(|row| if row.status.has_fit() { value(row) } else { f64::NAN }).collect()
        };
        let filters = self.filters(of_rows(|row| row.likelihood), r2.to_vec(), of_rows(|row| row.params.scaling));
        (0..r2.len()).map(|gene| !filters.iter().any(|filter| filter.takes(gene))).collect()
    }

    /// The filters of velocity genes; scalings are NaN where there is no fit.
    fn filters(&self, likelihood: Vec<f64>, r2: Vec<f64>, scalings: Vec<f64>) -> Vec<GeneFilter> {
        let fitted: Vec<f64> = scalings.iter().copied().filter(|scaling| !scaling.is_nan()).collect();
        let least = stats::percentile(&fitted, 10.0).min(0.03);
        let most = stats::percentile(&fitted, 90.0).max(3.0);
        vec![
            GeneFilter::new("likelihood", FIT_LIKELIHOOD.key(), Bound::Above(self.min_likelihood), likelihood)
                .set_by("model.min_likelihood"),
            GeneFilter::new("R2 of the line, all cells", FIT_R2.key(), Bound::Above(self.min_r2), r2)
                .set_by("model.min_r2"),
            GeneFilter::new("scaling, from below", "fit_scaling_least", Bound::Above(least), scalings.clone()),
            GeneFilter::new("scaling, from above", "fit_scaling_most", Bound::Below(most), scalings),
        ]
    }
}
