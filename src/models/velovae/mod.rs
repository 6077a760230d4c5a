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
//!   the encoder frozen, from initial conditions of each cell's own ancestors (`ancestors.rs`).
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
mod initial;
mod network;
mod outputs;
mod reconstruction;
mod settings;
mod start;

pub use bench::bench;
pub use settings::{Init, Initial, Space, Variant, Velovae};

use burn::tensor::Device;
use ndarray::Array2;

use self::initial::InitialConditions;
use self::network::{Phase, VelovaeModule};
pub(super) use self::outputs::WRITES;
use self::start::Start;
use super::{Trained, VelocityModel};
use crate::data::{Dataset, Fit, Run};
use crate::error::Result;
use crate::nn;
use crate::train::adam::{AdamConstants, WeightDecay};
use crate::train::{Checkpoint, Group, Split, Stage, Trainer, TrainingData};

impl VelocityModel for Velovae {
    fn fit(&self, data: &Dataset, run: &mut Run) -> Result<Fit> {
        let device = nn::device::open(&self.train.device)?;
        let split = Split::new(&data.obs, &self.train, run.rng("split", 0))?;
        let start = Start::new(self, data, &split, run)?;
        let on_device = TrainingData::new(data, &device);
        let module = self.learn(data, &split, &start, &on_device, &device, run)?;
        outputs::predict(self, &module, data, &split, &on_device, run)
    }

    fn trained(&self) -> Option<&dyn Trained> {
        Some(self)
    }

    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn capture_time(&self) -> Option<&str> {
        (!self.capture_time.is_empty()).then_some(self.capture_time.as_str())
    }

    fn citations(&self) -> &'static [&'static str] {
        &["Gu, Blaauw & Welch: Bayesian Inference of RNA Velocity from Multi-Lineage Single-Cell Data. ICML 2022"]
    }
}

impl Trained for Velovae {
    fn reconstruct(
        &self,
        data: &Dataset,
        run: &mut Run,
        moments: &[[Array2<f32>; 2]],
    ) -> Result<Vec<[Array2<f32>; 2]>> {
        let checkpoint = Checkpoint::finished(run)?;
        let device = nn::device::open(&self.train.device)?;
        let split = Split::new(&data.obs, &self.train, run.rng("split", 0))?;
        let start = Start::new(self, data, &split, run)?;
        let on_device = TrainingData::new(data, &device);
        let module = checkpoint.restore(run.dir(), self.fresh(&start, &device, run))?;
        let module = module.with_phase(Self::phase(checkpoint.position.stage));
        Ok(moments.iter().map(|moments| outputs::reconstruct(&module, &on_device.with_moments(moments))).collect())
    }
}

impl Velovae {
    /// All stages of training, as a program.
    fn learn(
        &self,
        data: &Dataset,
        split: &Split,
        start: &Start,
        on_device: &TrainingData,
        device: &Device,
        run: &mut Run,
    ) -> Result<VelovaeModule> {
        let fresh = self.fresh(start, device, run);
        let mut trainer = Trainer::new(&self.train, on_device, split, run)?;
        let mut module = trainer.restore(fresh)?;
        if trainer.program_finished() {
            return Ok(module.with_phase(Self::phase(trainer.first_stage())));
        }
        let mut before: Option<InitialConditions> = None;
        let skipped = trainer.first_stage().max(if self.start_epochs == 0 { 2 } else { 0 });
        for stage in self.stages().into_iter().skip(skipped) {
            module = module.with_phase(Self::phase(stage.index));
            if stage.index > self.first_refinement() {
                // A resumed stage finds the initial conditions it was working with in its checkpoint.
                before = Some(module.initial_conditions());
            }
            if stage.index >= self.first_refinement() && !trainer.resumes_in(stage.index) {
                let now = ancestors::estimate(self, &module, data, split, on_device);
                if before.as_ref().is_some_and(|before| now.change_from(before) < self.refine_tolerance) {
                    trainer.run().reporter().say("initial conditions have converged");
                    break;
                }
                module = module.with_initial_conditions(&now, self.first_refinement() == stage.index);
            }
            module = trainer.train(module, &stage)?;
        }
        trainer.finish()?;
        Ok(module)
    }

    /// The module before training.
    fn fresh(&self, start: &Start, device: &Device, run: &Run) -> VelovaeModule {
        VelovaeModule::new(self, start, &run.rng("weights", 0), &device.clone().autodiff())
    }

    /// Number of the first stage that starts from ancestors; basic VeloVAE has none.
    fn first_refinement(&self) -> usize {
        if self.is_full() { 3 } else { usize::MAX }
    }

    fn is_full(&self) -> bool {
        self.variant == Variant::Full
    }

    fn phase(stage: usize) -> Phase {
        match stage {
            0 => Phase::Times,
            1 => Phase::Rates,
            2 => Phase::Joint,
            _ => Phase::Refine,
        }
    }

    /// The stages: the encoder learns the start times; the rates follow; all learn together; the full model is refined
    /// in rounds.
    fn stages(&self) -> Vec<Stage> {
        let train = &self.train;
        let network = |prefix| train.group(prefix);
        let undecayed = |prefix, learning_rate| {
            let group = train.group(prefix);
            Group { learning_rate, adam: AdamConstants { weight_decay: WeightDecay::None, ..group.adam }, ..group }
        };
        let rates = undecayed("rates", self.rate_learning_rate);
        let clip_norm = train.clip_norm;
        let stage =
            |index, name: &str, epochs, groups| Stage { index, name: name.to_owned(), epochs, groups, clip_norm };
        let joint = if self.is_full() { "times and states" } else { "times and rates" };
        let mut stages = vec![
            stage(0, "start times", self.start_epochs, vec![undecayed("encoder", START_RATE)]),
            stage(
                1,
                "start rates",
                self.start_epochs,
                vec![undecayed("decoder", START_RATE), undecayed("rates", RATES_START_RATE)],
            ),
            stage(2, joint, train.epochs, vec![network("encoder"), network("decoder"), rates]),
        ];
        let rounds = if self.is_full() { self.refine_rounds } else { 0 };
        stages.extend((0..rounds).map(|round| {
            let name = format!("initial conditions {}", round + 1);
            stage(self.first_refinement() + round, &name, self.refine_epochs, vec![network("refined"), rates])
        }));
        stages
    }
}

/// Step sizes of the networks and the rates while they learn where to start: nothing is lost there by haste.
const START_RATE: f64 = 1e-3;
const RATES_START_RATE: f64 = 1e-2;
