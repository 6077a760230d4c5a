//! The stages of training, in order.
//!
//! The encoder learns the start times; the decoder and the rates follow; all learn together, unless this joint stage is left out
//! ([`Velovae::has_joint_stage`]): then the encoder learns the states of the start along with the times, and the rates wait for the decoder
//! ([`Velovae::keeps_start_rates`]). Then come rounds: the residual s.d.
//! of each gene are taken from the fit, the full model estimates initial conditions from each cell's ancestors, and training goes
//! on. A round that does not raise the bound of held-out cells is undone, and is the last.
//!
//! Initial conditions belong to the data of a round, not to the module. They follow from the module with which the round began,
//! whose parameters the run's folder keeps, so that a resumed run finds the same.

use burn::module::Module;
use burn::tensor::Device;
use ndarray::{Array1, Array2};

use super::lineage::Lineage;
use super::network::{Phase, VelovaeModule};
use super::reconstruction::{Chunks, Reconstruction, residual_spreads, times_and_states};
use super::settings::Velovae;
use super::start::Start;
use super::{ancestors, columns, counted};
use crate::data::{Dataset, Run};
use crate::error::Result;
use crate::nn::arrays;
use crate::nn::draws::Draws;
use crate::train::adam::{AdamConstants, WeightDecay};
use crate::train::{
    BatchSource, Checkpoint, CountData, Group, Split, Stage, Trainer, TrainingData, snapshot, stage_start,
};

/// Step sizes of the networks and the rates while they learn where to start: nothing is lost there by haste.
const START_RATE: f64 = 1e-3;
const RATES_START_RATE: f64 = 1e-2;

/// The stage in which all learn together.
const JOINT: usize = 2;

/// What the stages work with.
pub(super) struct Program<'a> {
    pub(super) settings: &'a Velovae,
    /// Moments and counts of all cells; `None` where the cells are read as they are needed.
    pub(super) held: Option<&'a Dataset>,
    pub(super) split: &'a Split,
    /// The cells, with the columns of the start.
    pub(super) cells: Seen<'a>,
    /// The only cells that have start times, where not all of `cells` do.
    pub(super) sample: Option<(&'a CountData, &'a Split)>,
    /// Share of each lineage with rates of its own in each cell, `[n_obs, n_lineages]`, if there are any.
    pub(super) lineages: Option<Array2<f32>>,
    /// Whether the start times come from the soft grid.
    pub(super) by_soft_grid: bool,
}

/// The cells that are trained on.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a run has few")]
pub(super) enum Seen<'a> {
    /// On the device, to which initial conditions can be added.
    Held(TrainingData),
    /// Anywhere.
    Read(&'a dyn BatchSource),
}

impl Seen<'_> {
    pub(super) fn cells(&self) -> &dyn BatchSource {
        match self {
            Self::Held(data) => data,
            Self::Read(source) => *source,
        }
    }

    /// The cells on the device.
    pub(super) fn held(&self) -> &TrainingData {
        match self {
            Self::Held(data) => data,
            Self::Read(_) => {
                unreachable!("only counts are read as they are needed, and their model adds nothing to them")
            }
        }
    }
}

/// A module and the data, with initial conditions, that it was trained on.
pub(super) struct Trained<'a> {
    pub(super) module: VelovaeModule,
    pub(super) seen: Seen<'a>,
}

/// The module before training.
pub(super) fn fresh(settings: &Velovae, start: &Start, split: &Split, device: &Device, run: &Run) -> VelovaeModule {
    VelovaeModule::new(settings, start, split.train.len(), &run.rng("weights", 0), &device.clone().autodiff())
}

impl<'a> Program<'a> {
    /// All stages, from the beginning or from where a resumed run stands.
    ///
    /// # Errors
    /// Those of [`Trainer::train`], and those of reading and writing the run's folder.
    pub(super) fn run(self, fresh: VelovaeModule, run: &mut Run) -> Result<Trained<'a>> {
        let settings = self.settings;
        let mut trainer = Trainer::new(&settings.train, self.split, run)?;
        if let Some(finished) = trainer.finished() {
            return self.reload(&finished, fresh, trainer.run());
        }
        let mut state = Trained { module: trainer.restore(fresh)?, seen: self.cells.clone() };
        let skipped = if settings.start_epochs == 0 { JOINT } else { 0 };
        if !self.joint() && trainer.first_stage() <= JOINT {
            trainer.run().reporter().say(
                "no joint stage (model.joint_stage): the rounds begin from the start's times and principal components; with that \
                 stage, every cell would first start from u0 = s0 = 0, from where abundances only rise",
            );
        }
        for stage in settings
            .stages(self.by_soft_grid)
            .iter()
            .take(self.before_rounds() + 1)
            .skip(skipped.max(trainer.first_stage()))
        {
            let phase = self.phase(stage.index);
            let mut before = None;
            if settings.carries() && stage.index > 0 {
                state = self.renewed(trainer.begin(stage.index, state.module)?, &state.seen)?;
                // Of the module with which the stage began, also where the run is resumed within it.
                if stage.index == JOINT && settings.start_epochs > 0 {
                    state.module = state.module.with_phase(phase);
                    let loss = trainer.held_out_loss(&state.module, state.seen.cells())?;
                    before = Some((loss, snapshot(&state.module)));
                }
                state.module = trainer.restore_if_in(stage.index, state.module)?;
            }
            let module = state.module.with_phase(phase);
            state.module = match self.sample.filter(|_| stage.index == 0) {
                Some((cells, split)) => trainer.train_on(module, stage, cells, split)?,
                None => trainer.train(module, stage, state.seen.cells())?,
            };
            if let Some((before, start)) = before {
                let after = trainer.held_out_loss(&state.module, state.seen.cells())?;
                if after >= before {
                    let words =
                        format!("{}: bound of held-out cells {:.1} -> {:.1}; undone", stage.name, -before, -after);
                    trainer.run().reporter().say(&words);
                    state.module = state.module.load_record(start).with_phase(phase);
                }
            }
        }
        let (trained, stage) = self.rounds(state, &mut trainer)?;
        trainer.finish(&trained.module, stage)?;
        Ok(trained)
    }

    /// Whether there is a joint stage.
    fn joint(&self) -> bool {
        self.settings.has_joint_stage(self.by_soft_grid)
    }

    /// The stage before the first round.
    fn before_rounds(&self) -> usize {
        if self.joint() { JOINT } else { JOINT - 1 }
    }

    /// The stage before a round.
    fn before(&self, round: usize) -> usize {
        if round == JOINT + 1 { self.before_rounds() } else { round - 1 }
    }

    /// What is learned in stage number `stage`.
    fn phase(&self, stage: usize) -> Phase {
        match stage {
            0 => Phase::Times,
            1 => Phase::Rates,
            JOINT => Phase::Joint,
            _ if !self.settings.is_full() || self.settings.carries() => Phase::Joint,
            _ if self.joint() => Phase::Refine,
            _ => Phase::RefineAndSpread,
        }
    }

    /// The rounds after the stages before; returns the best state, and the stage that it comes from.
    fn rounds(&self, begun: Trained<'a>, trainer: &mut Trainer<'_>) -> Result<(Trained<'a>, usize)> {
        let settings = self.settings;
        let behind = trainer.first_stage().max(JOINT + 1);
        let (mut state, mut kept) = match trainer.first_stage() {
            0..=JOINT => (self.settle(begun), self.before_rounds()),
            resumed => (self.replay(begun, resumed - 1, trainer.run())?, self.before(resumed)),
        };
        for stage in settings.stages(self.by_soft_grid).iter().skip(behind) {
            let before_it = self.phase(self.before(stage.index));
            state.module = trainer.begin(stage.index, state.module.with_phase(before_it))?;
            let before = trainer.held_out_loss(&state.module, state.seen.cells())?;
            let (start, lineage) = (snapshot(&state.module), state.module.lineage());
            let seen = state.seen.clone();
            let mut next = self.renewed(state.module, &state.seen)?;
            if trainer.resumes_in(stage.index) {
                next.module = trainer.restore(next.module)?;
            } else if stage.index == JOINT + 1 {
                next.module = next.module.with_decoder_copied();
            }
            let module = next.module.with_phase(self.phase(stage.index));
            let module = trainer.train(module, stage, next.seen.cells())?;
            let next = self.settle(Trained { module, seen: next.seen });
            let gain = before - trainer.held_out_loss(&next.module, next.seen.cells())?;
            let words = format!("{}: bound of held-out cells {:.1} -> {:.1}", stage.name, -before, gain - before);
            if gain <= 0.0 {
                trainer.run().reporter().say(&format!("{words}; the round is undone"));
                let module = next.module.load_record(start).with_lineage(lineage).with_phase(before_it);
                return Ok((Trained { module, seen }, kept));
            }
            trainer.run().reporter().say(&words);
            (state, kept) = (next, stage.index);
            if gain < settings.train.min_gain * state.seen.cells().n_vars() as f64 {
                break;
            }
        }
        Ok((state, kept))
    }

    /// The end of a run whose training is over.
    ///
    /// # Errors
    /// If the checkpoint is of another network, or what the rounds began with is no longer in the run's folder.
    pub(super) fn reload(&self, checkpoint: &Checkpoint, fresh: VelovaeModule, run: &Run) -> Result<Trained<'a>> {
        let last = checkpoint.position.stage;
        let state = Trained { module: fresh, seen: self.cells.clone() };
        let Trained { module, seen } = self.replay(state, last, run)?;
        let module = checkpoint.restore(run.dir(), module)?;
        Ok(Trained { module: module.with_phase(self.phase(last)), seen })
    }

    /// `state` with the data, and what belongs to them in the module, that stage `last` came to. Its parameters are of no account.
    fn replay(&self, mut state: Trained<'a>, last: usize, run: &Run) -> Result<Trained<'a>> {
        let first = if self.settings.carries() { last.max(1) } else { JOINT + 1 };
        for stage in first..=last {
            let module = stage_start(run, stage, state.module)?.with_phase(self.phase(self.before(stage)));
            state = self.renewed(module, &state.seen)?;
        }
        Ok(state)
    }

    /// `module`, trained on `seen`, with the data of the stage that follows.
    fn renewed(&self, module: VelovaeModule, seen: &Seen<'a>) -> Result<Trained<'a>> {
        if !self.settings.is_full() {
            return Ok(Trained { module, seen: seen.clone() });
        }
        if self.settings.carries() {
            let (times, states) = times_and_states(&module, seen.cells())?;
            let device = seen.cells().device();
            let lineage = Lineage::new(&times, &states, self.lineages.as_ref(), &self.split.train, device);
            return Ok(Trained { module: module.with_lineage(Some(lineage)), seen: seen.clone() });
        }
        let held = seen.held();
        let fitted = Reconstruction::of(&module, held, &Chunks::all(held.n_obs()), &mut Draws::Mean);
        let data = self.held.expect("moments are explained");
        let initial = ancestors::estimate(self.settings, &fitted, &scaling_of(&module), data, self.split);
        Ok(Trained { module, seen: Seen::Held(columns::with_initial(held, &initial)) })
    }

    /// `state` with the residual s.d., or the dispersions, of its own fit.
    fn settle(&self, state: Trained<'a>) -> Trained<'a> {
        let Trained { module, seen } = state;
        // Where nobody holds the counts, the dispersions stay those of the start.
        let (Some(data), Seen::Held(held)) = (self.held, &seen) else { return Trained { module, seen } };
        let fitted = Reconstruction::of(&module, held, &Chunks::all(held.n_obs()), &mut Draws::Mean);
        if self.settings.of_counts() {
            let [_, now_u, now_s] = module.scaling_and_noise().map(|row| arrays::to_array1(row.inner()).to_vec());
            let fitted = [&fitted.u, &fitted.s];
            let found = counted::dispersions(self.settings, data, fitted, [&now_u, &now_s], &self.split.train);
            return Trained { module: module.with_noise(&found), seen };
        }
        let observed = [&data.mu, &data.ms];
        let scaling = scaling_of(&module);
        let spreads = residual_spreads(&fitted, observed, &scaling, &self.split.train, self.settings.min_std);
        Trained { module: module.with_noise(&spreads), seen }
    }
}

/// Factor by which unspliced abundance is divided inside `module`, `[n_vars]`.
pub(super) fn scaling_of(module: &VelovaeModule) -> Array1<f32> {
    let [scaling, ..] = module.scaling_and_noise();
    arrays::to_array1(scaling.inner()).mapv(|value| value as f32)
}

impl Velovae {
    /// The stages: the encoder learns the start times; the rates follow; all learn together, which is left out where there is no
    /// joint stage; rounds. The times of the start may be those of the soft grid.
    pub(super) fn stages(&self, by_soft_grid: bool) -> Vec<Stage> {
        let train = &self.train;
        let joint = self.has_joint_stage(by_soft_grid);
        let network = |prefix| train.group(prefix);
        let undecayed = |prefix, learning_rate| {
            let group = train.group(prefix);
            Group { learning_rate, adam: AdamConstants { weight_decay: WeightDecay::None, ..group.adam }, ..group }
        };
        let rates = undecayed("rates", self.rate_learning_rate);
        let clip_norm = train.clip_norm;
        let stage =
            |index, name: &str, epochs, groups| Stage { index, name: name.to_owned(), epochs, groups, clip_norm };
        let together = if self.is_full() { "times and states" } else { "times and rates" };
        let mut stages = vec![
            stage(0, "start times", self.start_epochs, vec![undecayed("encoder", START_RATE)]),
            stage(
                1,
                "start rates",
                self.start_epochs,
                match self.keeps_start_rates(by_soft_grid) {
                    // The soft grid has fitted the rates to the same counts: they wait for a decoder as good.
                    true => vec![undecayed("decoder", START_RATE)],
                    false => vec![undecayed("decoder", START_RATE), undecayed("rates", RATES_START_RATE)],
                },
            ),
            stage(JOINT, together, train.epochs, vec![network("encoder"), network("decoder"), rates]),
        ];
        stages.extend((0..self.refine_rounds).map(|round| {
            let name = format!("round {}", round + 1);
            let groups = match (self.is_full(), self.carries()) {
                (true, true) => vec![network("encoder"), network("decoder"), rates],
                (true, false) if joint => vec![network("refined"), rates],
                // Of the encoder, what the round does not freeze: the s.d., which no stage has learned before.
                (true, false) => vec![network("refined"), rates, undecayed("encoder", START_RATE)],
                (false, _) => vec![network("encoder"), rates],
            };
            stage(JOINT + 1 + round, &name, self.refine_epochs, groups)
        }));
        if self.rate_posterior {
            // Logarithms of s.d. have far to go from where they start.
            let posterior = undecayed("posterior", RATES_START_RATE);
            stages.iter_mut().skip(1).for_each(|stage| stage.groups.push(posterior));
        }
        stages
    }
}
