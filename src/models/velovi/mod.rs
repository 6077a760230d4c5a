//! veloVI: a variational autoencoder with four kinetic states per gene and cell (Gayoso, Weiler et al., Nature Methods 2024).
//!
//! An encoder reads the spliced and unspliced abundance of a cell and returns its state `q(z|x) = N(μ, σ²)`. From z, a decoder
//! returns for every gene how far it is into induction (`ρ`) and into repression (`τ`), and the concentrations of a Dirichlet
//! posterior of its weights π of four states: induction, steady, repression, repressed. The rates α, β, γ and the time of the
//! switch `t_s` are parameters of the gene. What is minimised is, averaged over cells,
//!
//! ```text
//! L = E_q[−ln p(u|π,z) − ln p(s|π,z)] + w KL(q(z|x) ‖ N(0,1)) + Σ_g KL(q(π|z) ‖ Dirichlet(¼, ¼, ¼, ¼)) + λ (1 − w) P
//! P = Σ_g (u(t_s) − u*)² + (s(t_s) − s*)²
//! ```
//!
//! with the mixtures of [`crate::nn::fused::four_states`], `w` rising from 0 to 1 over the first 400 epochs, λ = 0.2, and
//! `(u*, s*)` the abundance in the hundredth of the cells in which the gene is most unspliced. The moments are expected to lie
//! in [0, 1]: `preprocess.recipe = "velovi"`.
//!
//! Where paper and program of veloVI differ, the program is followed, and the setting concerned in [`Velovi`] says so.

mod bench;
mod first_step;
mod network;
mod outputs;
mod settings;
mod start;
#[cfg(test)]
mod steps;

pub use bench::bench;
pub use first_step::first_step;
pub use settings::{Init, PenaltySchedule, RepressedTime, StatePosterior, VelocityStatistic, Velovi, Warmup};

use burn::tensor::Device;
use ndarray::Array2;

use self::network::VeloviModule;
pub(super) use self::outputs::WRITES;
use self::start::Start;
use super::{Trained, VelocityModel};
use crate::data::{Dataset, Fit, Run};
use crate::error::Result;
use crate::nn;
use crate::preprocess::Recipe;
use crate::train::{Checkpoint, Split, Stage, Trainer, TrainingData};

impl VelocityModel for Velovi {
    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        let device = nn::device::open_for_cells(run, &self.train.device, [data.n_obs(), data.n_vars()])?;
        let split = Split::new(&data.obs, &self.train, run.rng("split", 0))?;
        let on_device = TrainingData::new(data, &device);
        let fresh = self.fresh(data, run, device);
        let mut trainer = Trainer::new(&self.train, &split, run)?;
        let module = trainer.restore(fresh)?;
        let module = trainer.train(module, &self.stage(), &on_device)?;
        trainer.finish(&module, 0)?;
        outputs::predict(self, &module, data, &split, &on_device, run)
    }

    fn device(&self) -> Option<&str> {
        Some(&self.train.device)
    }

    fn trained(&self) -> Option<&dyn Trained> {
        Some(self)
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn recipe(&self) -> Recipe {
        Recipe::Velovi
    }

    fn citations(&self) -> &'static [&'static str] {
        &[
            "Gayoso, Weiler, Lotfollahi, Klein, Hong, Streets, Theis & Yosef: Deep generative modeling of transcriptional \
           dynamics for RNA velocity analysis in single cells. Nature Methods 2024",
        ]
    }
}

impl Trained for Velovi {
    fn reconstruct(
        &self,
        data: &Dataset,
        run: &mut Run,
        moments: &[[Array2<f32>; 2]],
    ) -> Result<Vec<[Array2<f32>; 2]>> {
        let checkpoint = Checkpoint::finished(run)?;
        let device = nn::device::open(&self.train.device)?;
        let on_device = TrainingData::new(data, &device);
        let module = checkpoint.restore(run.dir(), self.fresh(data, run, device))?;
        Ok(moments
            .iter()
            .map(|moments| outputs::reconstruct(self, &module, &on_device.with_abundance(moments), run))
            .collect())
    }
}

impl Velovi {
    /// The module before training.
    fn fresh(&self, data: &Dataset, run: &Run, device: Device) -> VeloviModule {
        let start = Start::new(self, data, run.rng("start", 0));
        VeloviModule::new(self, &start, &run.rng("weights", 0), &device.autodiff())
    }

    fn stage(&self) -> Stage {
        Stage {
            index: 0,
            name: "states and rates".to_owned(),
            epochs: self.train.epochs,
            groups: ["encoder", "decoder", "rates"].map(|prefix| self.train.group(prefix)).to_vec(),
            clip_norm: self.train.clip_norm,
        }
    }
}
