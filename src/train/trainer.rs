//! The loop over epochs.

use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;

use super::adam::{Adam, AdamConstants};
use super::batches::even_chunks;
use super::checkpoint::{self, Checkpoint, Position, snapshot};
use super::clip::clip;
use super::finite;
use super::log::Log;
use super::meter::Meter;
use super::pool;
use super::stopping::Stopper;
use super::{BatchSource, Loss, Objective, Split, StopOn, TrainConfig};
use crate::data::Run;
use crate::error::{Error, Result};
use crate::nn::draws::Draws;

/// Parameters that share a step size: those whose path in the module begins with `prefix`.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Field of the module.
    pub prefix: &'static str,
    /// Step size of Adam.
    pub learning_rate: f64,
    /// Its other constants.
    pub adam: AdamConstants,
}

/// A stretch of training with its own parameters and step sizes.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Position in the model's list of stages.
    pub index: usize,
    /// Name in logs.
    pub name: String,
    /// Most epochs.
    pub epochs: usize,
    /// Parameters that are trained; all others stand still.
    pub groups: Vec<Group>,
    /// Longest gradient of all these parameters together; 0: any.
    pub clip_norm: f64,
}

/// Number of held-out cells in one batch of a validation.
const LOOK: usize = 512;

/// Runs the stages of one model.
pub struct Trainer<'a> {
    config: &'a TrainConfig,
    split: &'a Split,
    run: &'a mut Run,
    log: Log,
    resumed: Option<Checkpoint>,
    step: u64,
    last_save: Instant,
}

impl<'a> Trainer<'a> {
    /// A trainer that begins at the checkpoint of `run` if the run is resumed, and at the start otherwise. The run's folder is made
    /// ready; all else that can fail before training should lie behind.
    ///
    /// # Errors
    /// If the checkpoint cannot be used or the folder cannot be made ready.
    pub fn new(config: &'a TrainConfig, split: &'a Split, run: &'a mut Run) -> Result<Self> {
        let found = if run.resumes() { Checkpoint::to_resume(run)? } else { None };
        run.prepare()?;
        if let Some(damage) = found.as_ref().and_then(|found| found.damage.as_ref()) {
            run.reporter().warn(damage);
        }
        let resumed = found.map(|found| found.taken_up(run.dir())).transpose()?;
        if resumed.is_some() {
            run.stop().saved_in(run.dir());
        }
        let step = resumed.as_ref().map(|checkpoint| checkpoint.position.step);
        if let Some(Position { stage, epoch, .. }) = resumed.as_ref().map(|checkpoint| &checkpoint.position) {
            let message = format!("resuming after epoch {epoch} of stage {}", stage + 1);
            run.reporter().say(&message);
        }
        Ok(Self {
            log: Log::new(run.dir(), step),
            config,
            split,
            run,
            resumed,
            step: step.unwrap_or(0),
            last_save: Instant::now(),
        })
    }

    /// The run that is trained in.
    pub fn run(&mut self) -> &mut Run {
        self.run
    }

    /// The stage to begin with: 0, or that of the checkpoint.
    #[must_use]
    pub fn first_stage(&self) -> usize {
        self.resumed.as_ref().map_or(0, |checkpoint| checkpoint.position.stage)
    }

    /// The module with which stage `index` begins: `module`, whose parameters are then kept in the run's folder; or, where the
    /// run is resumed in or at the end of that stage, `module` with the parameters that were kept.
    ///
    /// What a model estimates before a stage, it estimates from this module, so that a resumed run estimates the same.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn begin<M: Module>(&self, index: usize, module: M) -> Result<M> {
        if self.resumes_in(index) {
            return checkpoint::stage_start(self.run, index, module);
        }
        checkpoint::keep_stage_start(self.run, index, &module)?;
        Ok(module)
    }

    /// Whether the checkpoint lies in or at the end of stage `index`, so that what is changed before that stage is already part of
    /// the module.
    #[must_use]
    pub fn resumes_in(&self, index: usize) -> bool {
        self.resumed.is_some() && self.first_stage() == index
    }

    /// The checkpoint from which the run is resumed, if no stage is left after it.
    #[must_use]
    pub fn finished(&mut self) -> Option<Checkpoint> {
        self.resumed.take_if(|checkpoint| checkpoint.program_finished)
    }

    /// Records that no stage is left, and `module`, of which `stage` was the last one that counts, as the result.
    ///
    /// # Errors
    /// If the checkpoint cannot be read or written.
    pub fn finish<M: Module>(&mut self, module: &M, stage: usize) -> Result<()> {
        match Checkpoint::load(self.run)? {
            Some(last) if !last.program_finished => last.finished_with(self.run, module, stage)?.save(self.run.dir()),
            _ => Ok(()),
        }
    }

    /// The loss that early stopping compares, of `module` as it is: mean over the held-out cells of `data`, or over the training
    /// cells if none are held out; in nats per cell.
    ///
    /// # Errors
    /// If cells cannot be read.
    pub fn held_out_loss<M: Objective>(&self, module: &M, data: &dyn BatchSource) -> Result<f64> {
        let rows = if self.held_out().is_empty() { &self.split.train } else { self.held_out() };
        let fixed = module.valid();
        let mut meter = Meter::default();
        let batches = even_chunks(rows, LOOK);
        for (rows, batch) in batches.iter().zip(data.pass(&batches)) {
            meter.add(&fixed.held_out_loss(&batch?), rows.len(), is_last(rows, &batches));
        }
        Ok(meter.loss())
    }

    /// `module` with the parameters of the checkpoint; as it is if there is none.
    ///
    /// # Errors
    /// If the checkpoint is of another network.
    pub fn restore<M: Module>(&self, module: M) -> Result<M> {
        match &self.resumed {
            Some(checkpoint) => checkpoint.restore(self.run.dir(), module),
            None => Ok(module),
        }
    }

    /// As [`restore`](Self::restore) if the run is resumed in or at the end of stage `index`; `module` as it is otherwise.
    ///
    /// # Errors
    /// As `restore`.
    pub fn restore_if_in<M: Module>(&self, index: usize, module: M) -> Result<M> {
        if self.resumes_in(index) { self.restore(module) } else { Ok(module) }
    }

    /// Trains `module` through `stage` and returns it with the parameters of its best validation, or with the last ones
    /// where no cells are held out.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if a loss, of training or held-out cells, or a parameter is no longer finite, [`Error::Interrupted`] on
    /// Ctrl-C; in both cases the last good checkpoint is kept. Those of reading cells.
    pub fn train<M: Objective>(&mut self, module: M, stage: &Stage, data: &dyn BatchSource) -> Result<M> {
        // Batch norm keeps its latest statistics under the thread that saw them, until asked for a validation module. An epoch that
        // is a stage's last ends with such a question: nothing is left behind on either side.
        drop(module.valid());
        // Until the stage is over or left, who asks the run to end is given a checkpoint first.
        self.run.stop().training();
        let trained = pool::within(data.device(), || self.train_here(module, stage, data));
        let asked = self.run.stop().trained();
        match trained {
            Ok(_) if asked => Err(Error::Interrupted { run: Some(self.run.dir().to_path_buf()) }),
            trained => trained,
        }
    }

    fn train_here<M: Objective>(&mut self, mut module: M, stage: &Stage, data: &dyn BatchSource) -> Result<M> {
        let mut state = self.enter(&module, stage)?;
        if state.position.finished {
            return Ok(module);
        }
        self.run.reporter().begin(&stage.name, state.position.epoch as u64, stage.epochs as u64);
        while !state.position.finished {
            let (summary, gain);
            (module, summary, gain) = self.epoch(module, &mut state, stage, data)?;
            self.run.reporter().advance(state.position.epoch as u64, &summary);
            let interrupted = self.run.interrupted();
            if state.position.finished
                && let Some(best) = state.best.take()
            {
                module = module.load_record(best);
            }
            let due = self.last_save.elapsed().as_secs_f64() >= self.config.checkpoint_seconds;
            if state.position.finished || interrupted || due {
                self.save(&module, &state, stage, data)?;
            }
            if interrupted {
                return Err(Error::Interrupted { run: Some(self.run.dir().to_path_buf()) });
            }
            if state.position.finished {
                self.run.reporter().end(&format!("{}: {} epochs, {gain}", stage.name, state.position.epoch));
            }
        }
        Ok(module)
    }

    /// As [`train`](Self::train), on the cells of another split: a sample of them, which `data` holds.
    ///
    /// # Errors
    /// As `train`.
    pub fn train_on<M: Objective>(
        &mut self,
        module: M,
        stage: &Stage,
        data: &dyn BatchSource,
        split: &'a Split,
    ) -> Result<M> {
        let whole = std::mem::replace(&mut self.split, split);
        let trained = self.train(module, stage, data);
        self.split = whole;
        trained
    }

    fn enter<M: Objective>(&mut self, module: &M, stage: &Stage) -> Result<State> {
        let mut state = State::new(module, stage, self.step);
        if let Some(checkpoint) = self.resumed.take_if(|checkpoint| checkpoint.position.stage == stage.index) {
            state.optimizers = checkpoint.restore_optimizers(self.run.dir(), state.optimizers)?;
            state.best = checkpoint.best(self.run.dir())?;
            state.position = checkpoint.position;
        }
        Ok(state)
    }

    /// One pass over the training cells, followed by a validation every `check_every` epochs. Returns the loss in words, for the
    /// progress bar and for the end.
    fn epoch<M: Objective>(
        &mut self,
        mut module: M,
        state: &mut State,
        stage: &Stage,
        data: &dyn BatchSource,
    ) -> Result<(M, String, String)> {
        let started = Instant::now();
        let epoch = state.position.epoch;
        let stream = |what: &str| format!("{}/{what}", stage.index);
        let mut noise = self.run.rng(&stream("noise"), epoch as u64);
        let mut order = self.run.rng(&stream("shuffle"), epoch as u64);
        let mut meter = Meter::default();
        let batches = data.deal(&self.split.train, self.config.batch_size, &mut order);
        for (rows, batch) in batches.iter().zip(data.pass(&batches)) {
            let loss = module.loss(&batch?.autodiff(), epoch, &mut Draws::Sampled(&mut noise));
            if !meter.add(&loss, rows.len(), is_last(rows, &batches)) {
                return Err(self.diverged(&module, stage, epoch, Some(("loss", &loss)), (data, rows)));
            }
            module = state.descend(module, loss, stage);
            self.step += 1;
        }
        state.position.epoch += 1;
        state.position.step = self.step;

        let minimised = module.minimised();
        let mut scalars = meter.means("train", minimised.key());
        let throughput = self.split.train.len() as f64 / started.elapsed().as_secs_f64();
        scalars.push(("speed/cells_per_second".to_owned(), throughput));
        for group in &stage.groups {
            scalars.push((format!("learning_rate/{}", group.prefix), group.learning_rate));
        }
        let last = state.position.epoch >= stage.epochs;
        let mut stop = false;
        if last || state.position.epoch.is_multiple_of(self.config.check_every) {
            let (held_out, verdict) = self.look(&module, state, stage, data)?;
            scalars.extend(held_out);
            stop = verdict;
            let monitored = module.valid().monitored(&data.batch(self.watched())?);
            self.log.histograms(self.step, &monitored, self.run.reporter());
        }
        state.position.finished = last || stop;
        self.log.scalars((&stage.name, state.position.epoch, self.step), &scalars, self.run.reporter());
        let train = minimised.told(meter.loss());
        let best = state.position.stopper.best.map(|loss| format!(", held-out {}", minimised.told(loss)));
        let best = best.unwrap_or_default();
        Ok((module, format!("{train}{best}"), format!("{train} per cell{best}")))
    }

    /// The cells for validation.
    fn held_out(&self) -> &[usize] {
        match self.config.stop_on {
            StopOn::Validation => &self.split.validation,
            StopOn::Test => &self.split.test,
        }
    }

    /// Some of the cells for validation, or of the training cells if there are none.
    fn watched(&self) -> &[usize] {
        let watched = if self.held_out().is_empty() { &self.split.train } else { self.held_out() };
        &watched[..watched.len().min(LOOK)]
    }

    /// Validation: the loss of the held-out cells at the posterior means, and whether the stage should end.
    fn look<M: Objective>(
        &self,
        module: &M,
        state: &mut State,
        stage: &Stage,
        data: &dyn BatchSource,
    ) -> Result<(Vec<(String, f64)>, bool)> {
        let rows = self.held_out();
        if rows.is_empty() {
            return Ok((Vec::new(), false));
        }
        let epoch = state.position.epoch - 1;
        let fixed = module.valid();
        let mut meter = Meter::default();
        let batches = even_chunks(rows, LOOK);
        for (rows, batch) in batches.iter().zip(data.pass(&batches)) {
            let loss = fixed.held_out_loss(&batch?);
            if !meter.add(&loss, rows.len(), is_last(rows, &batches)) {
                return Err(self.diverged(module, stage, epoch, Some(("held-out loss", &loss)), (data, rows)));
            }
        }
        if !finite::all_finite(&fixed) {
            return Err(self.diverged(module, stage, epoch, None, (data, self.watched())));
        }
        let scalars = meter.means("validation", module.minimised().key());
        let min_gain = self.config.min_gain * data.n_vars() as f64;
        let verdict = state.position.stopper.look(meter.loss(), min_gain, self.config.patience);
        if verdict.is_best {
            state.best = Some(snapshot(module));
        }
        Ok((scalars, verdict.stop))
    }

    /// Writes a checkpoint, of finite parameters only.
    fn save<M: Objective>(&mut self, module: &M, state: &State, stage: &Stage, data: &dyn BatchSource) -> Result<()> {
        if !finite::all_finite(&module.valid()) {
            return Err(self.diverged(module, stage, state.position.epoch - 1, None, (data, self.watched())));
        }
        self.log.sync(self.run.reporter());
        let best = state.best.as_ref();
        let checkpoint = Checkpoint::new(state.position.clone(), self.run, module, best, &state.optimizers)?;
        checkpoint.save(self.run.dir())?;
        self.run.stop().saved_in(self.run.dir());
        self.last_save = Instant::now();
        Ok(())
    }

    /// The error that ends training when `loss`, or without one a parameter of `module`, is not finite. The genes behind it are looked for in
    /// these rows of the data.
    fn diverged<M: Objective>(
        &self,
        module: &M,
        stage: &Stage,
        epoch: usize,
        loss: Option<(&str, &Loss)>,
        (data, rows): (&dyn BatchSource, &[usize]),
    ) -> Error {
        let dir = self.run.dir();
        let saved = if checkpoint::exists(dir) {
            format!("the last good checkpoint is in {}", dir.display())
        } else {
            "there was no good checkpoint yet".to_owned()
        };
        let batch = match data.batch(rows) {
            Ok(batch) => batch,
            Err(error) => return error,
        };
        Error::NonFinite {
            stage: stage.name.clone(),
            epoch: epoch + 1,
            culprit: finite::culprit(&module.valid(), &batch, data.genes(), loss),
            hint: format!("lower model.train.learning_rate, or leave these genes out; {saved}"),
        }
    }
}

/// `module` after `steps` gradient steps, each down what `loss` returns of the module and the number of the step.
#[cfg(test)]
pub(crate) fn descend<M: Objective>(
    module: M,
    stage: &Stage,
    steps: usize,
    mut loss: impl FnMut(&M, usize) -> Loss,
) -> M {
    let mut state = State::new(&module, stage, 0);
    (0..steps).fold(module, |module, step| {
        let loss = loss(&module, step);
        state.descend(module, loss, stage)
    })
}

/// How far a module has come in a stage, and what drives it.
pub(super) struct State {
    best: Option<ModuleRecord>,
    optimizers: Vec<ModuleOptimizer>,
    members: Vec<Vec<ParamId>>,
    position: Position,
}

impl State {
    pub(super) fn new<M: Objective>(module: &M, stage: &Stage, step: u64) -> Self {
        Self {
            best: None,
            optimizers: stage.groups.iter().map(adam).collect(),
            members: stage.groups.iter().map(|group| members(module, group.prefix)).collect(),
            position: Position { stage: stage.index, epoch: 0, finished: false, step, stopper: Stopper::new() },
        }
    }

    /// `module` after one step down its loss. Both are consumed: a parameter that nothing else holds on to is updated
    /// in place.
    pub(super) fn descend<M: Objective>(&mut self, mut module: M, loss: Loss, stage: &Stage) -> M {
        let mut gradients = loss.total.backward();
        drop(loss);
        let mut gradients: Vec<GradientsParams> =
            self.members.iter().map(|members| GradientsParams::from_params(&mut gradients, &module, members)).collect();
        if stage.clip_norm > 0.0 {
            clip(&mut gradients, &module, stage.clip_norm);
        }
        for ((group, optimizer), gradients) in stage.groups.iter().zip(&mut self.optimizers).zip(gradients) {
            module = optimizer.step(group.learning_rate, module, gradients);
        }
        module
    }
}

fn adam(group: &Group) -> ModuleOptimizer {
    Adam::new(group.adam).into()
}

/// The trainable parameters under the field `prefix` of `module`.
fn members<M: Module>(module: &M, prefix: &str) -> Vec<ParamId> {
    struct Collector<'a> {
        prefix: &'a str,
        path: Vec<String>,
        found: Vec<ParamId>,
    }
    impl ModuleVisitor for Collector<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.path.first().is_some_and(|field| field == self.prefix) && param.is_require_grad() {
                self.found.push(param.id);
            }
        }
    }
    let mut collector = Collector { prefix, path: Vec::new(), found: Vec::new() };
    module.visit(&mut collector);
    collector.found
}

/// Whether no batch follows after `rows`.
fn is_last(rows: &[usize], batches: &[Vec<usize>]) -> bool {
    batches.last().is_some_and(|last| std::ptr::eq(last.as_slice(), rows))
}
