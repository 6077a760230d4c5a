//! EM on a grid of times that all genes share, on raw counts: times, lineages, cell sizes and kinetics at once.
//!
//! A cell i of size n_i is at node z of a tree of times (`tree.rs`): a trunk, and the lineages that part from it. Its counts of gene g are
//! negative binomial (or Poisson) around `n_i μ_zg`, `μ` the course of the splicing ODE along the tree under transcription that is
//! constant on pieces of it, with one β and one γ per gene:
//!
//! ```text
//! du/dt = α_g(piece) − β_g u,    ds/dt = β_g u / κ_g − γ_g s,    velocity = E[β u / κ − γ s | counts]
//! x_ig | z ~ NB(mean n_i μ_zg, variance n_i μ_zg (1 + d_g μ_zg)),    z ~ π
//! ```
//!
//! Neither neighbours nor moments are used but for the start. What is fitted raises one objective (`em.rs`):
//!
//! - **E-step** (`expect.rs`): a sparse product of counts and a table `[genes, nodes]`; each cell's size with it;
//! - **M-step** (`gene.rs`, `course.rs`): genes separate, and need sums over cells only; Fisher scoring; `models/dispersion.rs`;
//! - **start** (`skeleton.rs`, `start.rs`): distances along the cloud of cells from each of its tips;
//! - **direction** (`direction.rs`): every tip is tried as the root, and the place amid them; genes vote;
//! - **rounds** of both (`rounds.rs`);
//! - **samples** (`samples.rs`): each captures unspliced molecules in another share;
//! - **number of lineages** (`fit.rs`) by held-out cells, and each gene's held-out score (`scores.rs`, `rival.rs`);
//! - **the cell's own velocity** around the curve (`cell.rs`), from what its neighbours' counts say;
//! - **more cells than memory** (`stream.rs`): stochastic EM over blocks of the file.
//!
//! With a `likelihood` of moments instead of counts the model is that of `gaussian/`.
//!
//! Why counts, and why sizes within: total counts change along a trajectory, so dividing by them bends every curve and
//! the clock. What was measured: `models/soft_grid/README.md`.

mod cell;
mod course;
mod direction;
mod em;
mod expect;
mod fit;
mod gaussian;
mod gene;
mod null;
mod outputs;
mod rival;
mod rounds;
mod samples;
mod scores;
mod scoring;
mod settings;
mod skeleton;
mod start;
mod stream;
mod tree;

pub use settings::{Likelihood, RateScale, Scaling, Shape, Sizes, SoftGrid, TimePrior, TimeScope, VelocityOf};

use self::cell::Departures;
use self::direction::Direction;
use self::em::Fixed;
#[allow(unused_imports, reason = "VeloVAE reads cells so too, and the core is without it")]
pub(super) use self::fit::sample;
pub(super) use self::outputs::WRITES;
#[allow(unused_imports, reason = "VeloVAE hands it on, and the core is without it")]
pub(super) use self::outputs::evidence;
use self::rounds::{Cells, rounds};
use self::samples::Samples;
use self::scores::Scores;
#[allow(unused_imports, reason = "as above")]
pub(super) use self::stream::read_sample;
use super::{Columns, StreamingModel, VelocityModel};
use crate::data::quantities::{FIT_DELAY, FIT_DYNAMICS, FIT_LIKELIHOOD, FIT_QVAL_DELAY, MS, MU};
use crate::data::{Bound, CaptureColumn, CaptureTimes, Dataset, Fit, GeneFilter, Run};
use crate::error::Result;

impl VelocityModel for SoftGrid {
    fn velocity_gene_filters(&self, column: Columns) -> Vec<GeneFilter> {
        let told = [
            ("likelihood", FIT_LIKELIHOOD),
            ("dynamics, nats per cell", FIT_DYNAMICS),
            ("delay, nats per cell", FIT_DELAY),
        ];
        let told = told
            .into_iter()
            .filter_map(|(name, quantity)| Some(GeneFilter::new(name, quantity.key(), Bound::None, column(quantity)?)));
        told.chain(column(FIT_QVAL_DELAY).map(scores::delayed)).collect()
    }

    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        if !self.of_counts() {
            return gaussian::fit(self, data, run);
        }
        data.require_counts("set model.likelihood = \"gaussian\"")?;
        let groups = CaptureTimes::read(&data.obs, self.captured())?;
        let samples = Samples::read(&data.obs, &self.batch, run)?;
        let fixed = Fixed::new(self);
        let decided = fit::decide(self, data, &groups, &samples, run)?;
        announce(&decided.shape.direction, run);
        let all = decided.sample.len() == data.n_obs();
        run.team().agree(&decided.fitted.model.genes)?;
        let (mut cells, sizes) = if all {
            (decided.cells, decided.fitted.sizes())
        } else {
            let cells = Cells::new(self, data, &groups, &samples, &(0..data.n_obs()).collect::<Vec<_>>())?;
            let sizes = cells.sizes.clone();
            (cells, sizes)
        };
        cells.team = run.team().clone();
        run.reporter().begin("rounds", 0, self.max_rounds as u64 + 1);
        let fitted = rounds(&fixed, &cells, decided.fitted.model, &sizes, (self.max_rounds, self.tolerance), run)?;
        run.reporter().end(&format!("{} rounds, objective {:.1}", fitted.history.len(), fitted.objective()));
        let scores = self.uncertainty.then(|| Scores::new(&fixed, &cells, &fitted, run)).transpose()?;
        if let Some(scores) = &scores {
            run.reporter().say(&scores.summary());
        }
        let mut fit = outputs::cells(&fitted.model, &fitted.posteriors, true, self.uncertainty);
        if self.uncertainty || self.velocity == VelocityOf::Cell {
            let shared = (run.team(), &mut run.rng("cells around the curve", 0));
            let departures = Departures::new(&fitted.model, &cells.counts, &fitted.posteriors, &fit, shared)?;
            departures.tell(&mut fit, run);
            outputs::velocities(&mut fit, self.velocity, departures.velocity);
        }
        let [mu, ms] = outputs::moments(data, &fitted.posteriors)?;
        fit.set(MU, mu);
        fit.set(MS, ms);
        outputs::genes(&mut fit, &fitted.model, &fitted.gathered(&cells), scores.as_ref());
        outputs::details(&mut fit, &fitted.model, &samples, &decided.shape, (&fitted.history, &[]));
        samples.tell(&mut fit, &fitted.model.capture, run);
        Ok(fit)
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn capture(&self) -> CaptureColumn<'_> {
        self.captured()
    }

    fn in_counts(&self) -> bool {
        self.of_counts()
    }

    fn shares(&self) -> bool {
        self.of_counts()
    }

    fn streaming(&self) -> Option<&dyn StreamingModel> {
        self.stream.then_some(self)
    }

    fn citations(&self) -> &'static [&'static str] {
        &[
            "Bergen et al.: Generalizing RNA velocity to transient cell states through dynamical modeling. Nature Biotechnology 38, 2020 \
           (the kinetics; the soft grid itself has no paper)",
        ]
    }
}

/// Warns if the direction is open.
fn announce(direction: &Direction, run: &mut Run) {
    if !direction.determined {
        run.reporter().warn(
            "the data do not determine the direction of time: velocities may point backwards; set where time starts with \
             model.root or model.capture_time",
        );
    }
}
