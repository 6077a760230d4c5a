//! What a training step costs, beside the matrix products in it.

use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use cpu_time::ProcessTime;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::meter::Meter;
use super::pool;
use super::trainer::State;
use super::{BatchSource, Objective, Stage, TrainingData};
use crate::data::stream;
use crate::error::Result;
use crate::nn::device::{Traffic, counted};
use crate::nn::draws::Draws;
use crate::nn::flex;
use crate::nn::fused::dense;

/// Steps after the first one that warm up: memory is asked for, and a GPU chooses among its kernels.
const WARM_UP: usize = 3;

/// Steps of an epoch between two looks at the clock.
const PASS: usize = 4;

/// How steps are timed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Cells per step.
    pub batch_size: usize,
    /// Stretches of steps.
    pub repeats: usize,
    /// Least wall time of a stretch, in seconds; it has at least four steps.
    pub seconds: f64,
}

impl Plan {
    /// Cells to train on: two batches of `n_vars` genes, unspliced and spliced abundances of which are what `draw` makes of a stream.
    #[must_use]
    pub fn cells(&self, n_vars: usize, device: &Device, draw: impl Fn(&mut ChaCha8Rng) -> f32) -> TrainingData {
        let mut rng = stream(0, "bench", 0);
        let mut abundance = || Array2::from_shape_fn((2 * self.batch_size, n_vars), |_| draw(&mut rng));
        let genes = (0..n_vars).map(|gene| format!("g{gene}")).collect();
        TrainingData::from_abundance(abundance().view(), abundance().view(), genes, device)
    }
}

/// What was timed.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Wall time of the first step, in seconds: on a GPU kernels are compiled in it.
    pub first_step: f64,
    /// Wall time per step of each stretch.
    pub wall_seconds: Vec<f64>,
    /// CPU time per step of each stretch, over all threads.
    pub cpu_seconds: Vec<f64>,
    /// Wall time of the matrix products of a step, forward and backward, alone; measured after each stretch.
    pub product_seconds: Vec<f64>,
    /// What a GPU is asked per step; none on the CPU.
    pub traffic: Option<TrafficPerStep>,
}

/// What a GPU is asked per step, in the mean over some steps of one epoch. Counted where wgpu opens it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrafficPerStep {
    /// Kernels launched.
    pub launches: f64,
    /// Writes to its memory: data, and the shapes and numbers that kernels are handed.
    pub uploads: f64,
    /// Reads of its memory.
    pub read_backs: f64,
}

/// Times gradient steps of `module` on `data`.
///
/// # Errors
/// If cells cannot be read.
///
/// # Panics
/// If the device fails.
pub fn time_steps<M: Objective>(module: M, data: &dyn BatchSource, stage: &Stage, plan: Plan) -> Result<Timed> {
    pool::within(data.device(), || time_here(module, data, stage, plan))
}

fn time_here<M: Objective>(module: M, data: &dyn BatchSource, stage: &Stage, plan: Plan) -> Result<Timed> {
    let products = Products::of(&module, stage, plan.batch_size, data.device());
    let state = State::new(&module, stage, 0);
    let mut steps = Steps { state, module: Some(module), data, stage, meter: Meter::default(), done: 0, plan };
    let begun = Instant::now();
    steps.pass(1)?;
    wait_for(data.device());
    let mut timed = Timed {
        first_step: begun.elapsed().as_secs_f64(),
        wall_seconds: Vec::new(),
        cpu_seconds: Vec::new(),
        product_seconds: Vec::new(),
        traffic: None,
    };
    for _ in 0..WARM_UP {
        steps.pass(1)?;
        products.multiply();
    }
    for _ in 0..plan.repeats {
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        let (mut count, mut done) = (0, false);
        while !done {
            // A GPU is given work faster than it does it: what is waited for counts.
            done = wall.elapsed().as_secs_f64() >= plan.seconds;
            steps.pass(PASS)?;
            if done {
                wait_for(data.device());
            }
            count += PASS;
        }
        timed.wall_seconds.push(wall.elapsed().as_secs_f64() / count as f64);
        timed.cpu_seconds.push(cpu.elapsed().as_secs_f64() / count as f64);
        let wall = Instant::now();
        let mut count = 0;
        while count < 2 || wall.elapsed().as_secs_f64() < 0.5 * plan.seconds {
            products.multiply();
            count += 1;
        }
        timed.product_seconds.push(wall.elapsed().as_secs_f64() / f64::from(count));
    }
    timed.traffic = steps.traffic()?;
    Ok(timed)
}

/// Steps, one after the other.
struct Steps<'a, M> {
    module: Option<M>,
    state: State,
    data: &'a dyn BatchSource,
    stage: &'a Stage,
    meter: Meter,
    done: usize,
    plan: Plan,
}

impl<M: Objective> Steps<'_, M> {
    /// Some steps of one epoch.
    fn pass(&mut self, count: usize) -> Result<()> {
        let (size, n_obs) = (self.plan.batch_size, self.data.n_obs());
        let rows = |step: usize| (0..size).map(|row| (step * size + row) % n_obs).collect();
        let batches: Vec<Vec<usize>> = (self.done..self.done + count).map(rows).collect();
        for batch in self.data.pass(&batches) {
            let module = self.module.take().expect("every step puts the module back");
            let mut draws = stream(0, "time", self.done as u64);
            let loss = module.loss(&batch?.autodiff(), 0, &mut Draws::Sampled(&mut draws));
            // Read as in training.
            self.meter.add(&loss, size, false);
            self.module = Some(self.state.descend(module, loss, self.stage));
            self.done += 1;
        }
        Ok(())
    }

    /// What the device is asked per step, if it is a GPU that can be listened to.
    fn traffic(&mut self) -> Result<Option<TrafficPerStep>> {
        let device = self.data.device().clone();
        wait_for(&device);
        let (done, traffic) = counted(&device, || {
            self.pass(PASS)?;
            wait_for(&device);
            Ok(())
        });
        done?;
        let per_step = |count: usize| count as f64 / PASS as f64;
        Ok(traffic.map(|Traffic { launches, uploads, read_backs }| TrafficPerStep {
            launches: per_step(launches),
            uploads: per_step(uploads),
            read_backs: per_step(read_backs),
        }))
    }
}

/// Waits until the device has done what it was told.
fn wait_for(device: &Device) {
    device.sync().expect("the device works");
}

/// The matrix products of one step: what it cannot be faster than on this device.
struct Products {
    /// Factors; nothing is tracked.
    factors: Vec<[Tensor<2>; 2]>,
    device: Device,
}

impl Products {
    /// Of each dense layer of `module` that `stage` trains: `x w`, `xᵀ dy` and, but for layers that read the data, `dy wᵀ`.
    fn of<M: Module>(module: &M, stage: &Stage, n_cells: usize, device: &Device) -> Self {
        let device = device.clone().inner();
        let mut layers = Layers { stage, path: Vec::new(), found: Vec::new() };
        module.visit(&mut layers);
        let layers = layers.found;
        let widest = layers.iter().map(|layer| layer[0]).max().unwrap_or(0);
        let filled = |[rows, columns]: [usize; 2]| Tensor::<2>::ones([rows, columns], &device) * 0.5;
        let mut factors = Vec::new();
        for [n_in, n_out] in layers {
            factors.push([filled([n_cells, n_in]), filled([n_in, n_out])]);
            factors.push([filled([n_in, n_cells]), filled([n_cells, n_out])]);
            if n_in < widest {
                factors.push([filled([n_cells, n_out]), filled([n_out, n_in])]);
            }
        }
        Self { factors, device }
    }

    fn multiply(&self) {
        for [left, right] in &self.factors {
            let product = dense::product(left.clone(), right.clone());
            // As that of gradients in a step: the memory is there.
            if flex::is_plain(&product) {
                flex::keep_memory(flex::constant(product));
            }
        }
        wait_for(&self.device);
    }
}

/// Finds the shapes `[n_in, n_out]` of dense layers.
struct Layers<'a> {
    stage: &'a Stage,
    path: Vec<String>,
    found: Vec<[usize; 2]>,
}

impl ModuleVisitor for Layers<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.val().dims();
        let trained =
            self.stage.groups.iter().any(|group| self.path.first().is_some_and(|field| field == group.prefix));
        if trained && D == 2 && shape.iter().all(|&length| length > 1) && param.is_require_grad() {
            self.found.push([shape[0], shape[1]]);
        }
    }
}
