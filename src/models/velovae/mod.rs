//! VeloVAE: a variational autoencoder whose decoder is the splicing ODE (Gu, Blaauw & Welch, ICML 2022).
//!
//! An encoder network reads the unspliced and spliced abundance of a cell, `x = (u, s)`, and returns its time
//! `q(t|x) = N(μ_t, σ_t²)` and, in the full model, its state `q(c|x) = N(μ_c, σ_c²)`. The decoder solves
//!
//! ```text
//! du/dt = α̃ − β u,   ds/dt = β u − γ s
//! ```
//!
//! - **basic** (paper 3.3): `α̃ = α` between the gene's times `t_on` and `t_off`, 0 outside; `u = s = 0` before.
//! - **full** (paper 3.4, the variational mixture of ODEs): `α̃ = α ρ(c)` with `ρ` a network of the cell's state, so
//!   cells of different lineages follow different curves. Trained in stages: first from `u₀ = s₀ = 0`, then, with
//!   the encoder frozen, from initial conditions of each cell's own ancestors (`ancestors.rs`). The first of these cannot have a
//!   velocity below 0 and moves the times: where times come from the soft grid it is left out (`joint_stage`).
//!
//! After each stage the residual s.d. σ are those of the fit (`reconstruction.rs`), and training goes on in rounds for as long
//! as they raise the bound of held-out cells (`program.rs`).
//!
//! The evidence lower bound, averaged over cells, is maximised:
//!
//! ```text
//! ELBO = E_q[ln p(x|t,c)] − KL(q(t|x) ‖ p(t)) − KL(q(c|x) ‖ p(c)),   p(x|t,c) = N((û·scaling, ŝ), diag(σ_u², σ_s²))
//! ```
//!
//! The paper's eq. 4 prints the divergences with a plus sign; they must be subtracted.
//!
//! What differs from the paper, and why, stands at the setting concerned in [`Velovae`].

mod ancestors;
mod bench;
mod columns;
mod counted;
mod first_steps;
mod initial;
mod lineage;
mod network;
mod outputs;
mod parts;
mod program;
mod reconstruction;
mod settings;
mod start;
mod start_file;
mod stream;
mod verdict;

pub use bench::bench;
pub use first_steps::first_steps;
pub use settings::{Init, Initial, JointStage, Likelihood, Space, Variant, Velovae};

use burn::tensor::Device;
use ndarray::Array2;

pub(super) use self::outputs::WRITES;
use self::program::{Program, Seen, Trained};
use self::start::Start;
use self::verdict::Written;
use super::VelocityModel;
use crate::data::quantities::{LATENT_TIME, MS, SOFT_GRID, VELOCITY, VELOCITY_GENES};
use crate::data::{CaptureColumn, Dataset, Fit, Run};
use crate::error::Result;
use crate::nn;
use crate::train::{Checkpoint, Split, TrainingData};

impl VelocityModel for Velovae {
    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        let device = nn::device::open_for_cells(run, &self.train.device, [data.n_obs(), data.n_vars()])?;
        let split = Split::new(&data.obs, &self.train, run.rng("split", 0))?;
        let start = start_file::of_run(run, |run| Start::new(self, data, &split, run))?;
        let fresh = program::fresh(self, &start, &split, &device, run);
        let program = self.program(data, &split, &start, &device);
        let trained = program.run(fresh, run)?;
        let mut fit = outputs::predict(self, &trained.module, data, &split, trained.seen.held(), run)?;
        let written = Written {
            time: &fit[LATENT_TIME].to_vec(),
            ms: fit.get(MS).unwrap_or(&data.ms).view(),
            velocity: fit[VELOCITY].view(),
            velocity_genes: &fit[VELOCITY_GENES],
            neighbors: &data.neighbors,
        };
        let evidence = verdict::evidence(&start, &written, run.reporter());
        fit.set_some(SOFT_GRID, evidence);
        Ok(fit)
    }

    fn device(&self) -> Option<&str> {
        Some(&self.train.device)
    }

    fn trained(&self) -> Option<&dyn super::Trained> {
        Some(self)
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn in_counts(&self) -> bool {
        self.of_counts()
    }

    fn streaming(&self) -> Option<&dyn super::StreamingModel> {
        (!self.train.memory.is_empty()).then_some(self)
    }

    fn capture(&self) -> CaptureColumn<'_> {
        self.captured()
    }

    fn citations(&self) -> &'static [&'static str] {
        &["Gu, Blaauw & Welch: Bayesian Inference of RNA Velocity from Multi-Lineage Single-Cell Data. ICML 2022"]
    }
}

impl super::Trained for Velovae {
    fn reconstruct(
        &self,
        data: &Dataset,
        run: &mut Run,
        moments: &[[Array2<f32>; 2]],
    ) -> Result<Vec<[Array2<f32>; 2]>> {
        let checkpoint = Checkpoint::finished(run)?;
        let device = nn::device::open(&self.train.device)?;
        let split = Split::new(&data.obs, &self.train, run.rng("split", 0))?;
        let start = start_file::load(run).map_or_else(|| Start::new(self, data, &split, run), Ok)?;
        let fresh = program::fresh(self, &start, &split, &device, run);
        let program = self.program(data, &split, &start, &device);
        let Trained { module, seen } = program.reload(&checkpoint, fresh, run)?;
        let seen = seen.held();
        Ok(moments.iter().map(|moments| outputs::reconstruct(&module, &seen.with_abundance(moments))).collect())
    }
}

impl Velovae {
    /// Training on cells that are all held in memory.
    fn program<'a>(&'a self, data: &'a Dataset, split: &'a Split, start: &Start, device: &Device) -> Program<'a> {
        Program {
            settings: self,
            held: Some(data),
            split,
            cells: Seen::Held(columns::with_start(self.observed(data, device), start)),
            sample: None,
            lineages: start.lineages(),
            by_soft_grid: start.by_soft_grid(),
        }
    }

    /// What the likelihood is of, on `device`: moments, or counts.
    fn observed(&self, data: &Dataset, device: &Device) -> TrainingData {
        if !self.of_counts() {
            return TrainingData::new(data, device);
        }
        let [u, s] = [data.unspliced.to_dense(), data.spliced.to_dense()];
        TrainingData::from_abundance(u.view(), s.view(), data.var.index.clone(), device)
    }
}
