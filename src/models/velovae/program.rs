//! The stages of training, in order.
//!
//! The encoder learns the start times; the decoder and the rates follow; all learn together. Then come rounds: the residual s.d.
//! of each gene are taken from the fit, the full model estimates initial conditions from each cell's ancestors, and training goes
//! on. A round that does not raise the bound of held-out cells is undone, and is the last.
//!
//! Initial conditions belong to the data of a round, not to the module. They follow from the module with which the round began,
//! whose parameters the run's folder keeps, so that a resumed run finds the same.

use burn::module::Module;
use burn::tensor::Device;
use ndarray::Array1;

use super::network::{Phase, VelovaeModule};
use super::reconstruction::{Chunks, Reconstruction, residual_spreads};
use super::settings::{Variant, Velovae};
use super::start::Start;
use super::{ancestors, columns};
use crate::data::{Dataset, Run};
use crate::error::Result;
use crate::nn::arrays;
use crate::nn::draws::Draws;
use crate::train::adam::{AdamConstants, WeightDecay};
use crate::train::{Checkpoint, Group, Split, Stage, Trainer, TrainingData, snapshot, stage_start};

/// Step sizes of the networks and the rates while they learn where to start: nothing is lost there by haste.
const START_RATE: f64 = 1e-3;
const RATES_START_RATE: f64 = 1e-2;

/// The stage in which all learn together.
const JOINT: usize = 2;

/// What the stages work with.
pub(super) struct Program<'a> {
    pub(super) settings: &'a Velovae,
    pub(super) data: &'a Dataset,
    pub(super) split: &'a Split,
    /// The cells on the device, with the columns of the start.
    pub(super) on_device: TrainingData,
}

/// A module and the data, with initial conditions, that it was trained on.
pub(super) struct Trained {
    pub(super) module: VelovaeModule,
    pub(super) seen: TrainingData,
}

/// The module before training.
pub(super) fn fresh(settings: &Velovae, start: &Start, device: &Device, run: &Run) -> VelovaeModule {
    VelovaeModule::new(settings, start, &run.rng("weights", 0), &device.clone().autodiff())
}

impl Program<'_> {
    /// All stages, from the beginning or from where a resumed run stands.
    ///
    /// # Errors
    /// Those of [`Trainer::train`], and those of reading and writing the run's folder.
    pub(super) fn run(self, fresh: VelovaeModule, run: &mut Run) -> Result<Trained> {
        let settings = self.settings;
        let mut trainer = Trainer::new(&settings.train, self.split, run)?;
        if let Some(finished) = trainer.finished() {
            return self.reload(&finished, fresh, trainer.run());
        }
        let mut module = trainer.restore(fresh)?;
        let skipped = if settings.start_epochs == 0 { JOINT } else { 0 };
        for stage in settings.stages().iter().take(JOINT + 1).skip(skipped.max(trainer.first_stage())) {
            module = trainer.train(module.with_phase(settings.phase(stage.index)), stage, &self.on_device)?;
        }
        let (trained, stage) = self.rounds(module, &mut trainer)?;
        trainer.finish(&trained.module, stage)?;
        Ok(trained)
    }

    /// The rounds after the joint stage; returns the best state, and the stage that it comes from.
    fn rounds(&self, module: VelovaeModule, trainer: &mut Trainer<'_>) -> Result<(Trained, usize)> {
        let settings = self.settings;
        let mut state = Trained { module, seen: self.on_device.clone() };
        let mut kept = JOINT;
        let behind = trainer.first_stage().max(JOINT + 1);
        if trainer.first_stage() > JOINT {
            state = self.replay(state, JOINT + 1..behind, trainer.run())?;
            kept = behind - 1;
        } else {
            state = self.settle(state);
        }
        for stage in settings.stages().iter().skip(behind) {
            let phase = settings.phase(stage.index);
            state.module = trainer.begin(stage.index, state.module.with_phase(settings.phase(stage.index - 1)))?;
            let before = trainer.held_out_loss(&state.module, &state.seen)?;
            let start = snapshot(&state.module);
            let seen = self.next_data(&state);
            let mut module = match trainer.resumes_in(stage.index) {
                true => trainer.restore(state.module)?,
                false if stage.index == JOINT + 1 => state.module.with_decoder_copied(),
                false => state.module,
            };
            module = trainer.train(module.with_phase(phase), stage, &seen)?;
            let next = self.settle(Trained { module, seen });
            let gain = before - trainer.held_out_loss(&next.module, &next.seen)?;
            let words = format!("{}: bound of held-out cells {:.1} -> {:.1}", stage.name, -before, gain - before);
            if gain <= 0.0 {
                trainer.run().reporter().say(&format!("{words}; the round is undone"));
                let before_it = settings.phase(stage.index - 1);
                state.module = next.module.load_record(start).with_phase(before_it);
                break;
            }
            trainer.run().reporter().say(&words);
            (state, kept) = (next, stage.index);
            if gain < settings.train.min_gain * state.seen.n_vars() as f64 {
                break;
            }
        }
        Ok((state, kept))
    }

    /// The end of a run whose training is over.
    ///
    /// # Errors
    /// If the checkpoint is of another network, or what the rounds began with is no longer in the run's folder.
    pub(super) fn reload(&self, checkpoint: &Checkpoint, fresh: VelovaeModule, run: &Run) -> Result<Trained> {
        let last = checkpoint.position.stage;
        let state = Trained { module: fresh, seen: self.on_device.clone() };
        let Trained { module, seen } = self.replay(state, JOINT + 1..last + 1, run)?;
        let module = checkpoint.restore(run.dir(), module)?;
        Ok(Trained { module: module.with_phase(self.settings.phase(last)), seen })
    }

    /// `state` with the data that the rounds of `stages`, all of them over, came to. The module is only lent.
    fn replay(&self, mut state: Trained, stages: std::ops::Range<usize>, run: &Run) -> Result<Trained> {
        for stage in stages {
            let module = stage_start(run, stage, state.module)?.with_phase(self.settings.phase(stage - 1));
            let seen = self.next_data(&Trained { module: module.clone(), seen: state.seen });
            state = Trained { module, seen };
        }
        Ok(state)
    }

    /// The data of the round that follows `state`.
    fn next_data(&self, state: &Trained) -> TrainingData {
        if self.settings.variant == Variant::Basic {
            return state.seen.clone();
        }
        let fitted = Reconstruction::of(&state.module, &state.seen, &Chunks::all(state.seen.n_obs()), &mut Draws::Mean);
        let scaling = scaling_of(&state.module);
        let initial = ancestors::estimate(self.settings, &fitted, &scaling, self.data, self.split);
        columns::with_initial(&state.seen, &initial)
    }

    /// `state` with the residual s.d. of its own fit.
    fn settle(&self, state: Trained) -> Trained {
        let Trained { module, seen } = state;
        let fitted = Reconstruction::of(&module, &seen, &Chunks::all(seen.n_obs()), &mut Draws::Mean);
        let observed = [&self.data.mu, &self.data.ms];
        let scaling = scaling_of(&module);
        let spreads = residual_spreads(&fitted, observed, &scaling, &self.split.train, self.settings.min_std);
        Trained { module: module.with_spreads(&spreads), seen }
    }
}

fn scaling_of(module: &VelovaeModule) -> Array1<f32> {
    let [scaling, ..] = module.scaling_and_sigma();
    arrays::to_array1(scaling.inner()).mapv(|value| value as f32)
}

impl Velovae {
    pub(super) fn is_full(&self) -> bool {
        self.variant == Variant::Full
    }

    /// What is learned in stage number `stage`.
    pub(super) fn phase(&self, stage: usize) -> Phase {
        match stage {
            0 => Phase::Times,
            1 => Phase::Rates,
            JOINT => Phase::Joint,
            _ if self.is_full() => Phase::Refine,
            _ => Phase::Joint,
        }
    }

    /// The stages: the encoder learns the start times; the rates follow; all learn together; rounds.
    pub(super) fn stages(&self) -> Vec<Stage> {
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
            stage(JOINT, joint, train.epochs, vec![network("encoder"), network("decoder"), rates]),
        ];
        stages.extend((0..self.refine_rounds).map(|round| {
            let name = format!("round {}", round + 1);
            let groups = match self.is_full() {
                true => vec![network("refined"), rates],
                false => vec![network("encoder"), rates],
            };
            stage(JOINT + 1 + round, &name, self.refine_epochs, groups)
        }));
        stages
    }
}
