//! CPU time of one training step of a network of VeloVAE's shape, on Flex.
//!
//! `cargo bench --bench train_step -- [GENES] [CELLS] [STEPS] [WORDS…]` prints one JSON line:
//! milliseconds of CPU and of wall time per step, peak resident memory in MiB, last loss.
//! WORDS put burn's own operations in place of ours: `burn-likelihood`, `burn-adam`, `burn-layers`.
//! `scripts/bench_train` compares it with the same step in `PyTorch` (`scripts/bench_torch.py`).
//!
//! Encoder 2G → 500 → 250, heads for time and a state of 5, decoder 5 → 250 → 500 → G; batch
//! normalisation, leaky ReLU, dropout 0.2; kinetics from zero; Gaussian likelihood; Adam.

#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::time::Instant;

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor, activation};
use nascent::nn::draws::Draws;
use nascent::nn::fused::{Kinetics, Observed, composed_nll, dense, kinetic_nll};
use nascent::train::adam::{Adam, AdamConstants};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_LATENT: usize = 5;
const DROPOUT: f64 = 0.2;
const WARM_UP: usize = 5;

/// Whose operations the step is made of.
#[derive(Clone, Copy)]
struct Ours {
    likelihood: bool,
    adam: bool,
    layers: bool,
}

#[derive(Module, Debug)]
struct Block {
    linear: Linear,
    norm: BatchNorm,
    dropout: Dropout,
}

impl Block {
    fn new(from: usize, to: usize, device: &Device) -> Self {
        Self {
            linear: LinearConfig::new(from, to).init(device),
            norm: BatchNormConfig::new(to).init(device),
            dropout: DropoutConfig::new(DROPOUT).init(),
        }
    }

    fn forward(&self, x: Tensor<2>, rng: &mut ChaCha8Rng, ours: Ours) -> Tensor<2> {
        let x = self.norm.forward(affine(&self.linear, x, ours));
        if ours.layers {
            let x = dense::leaky_relu(x, 0.01);
            let mask = Draws::Sampled(rng).dropout_mask(x.dims(), DROPOUT, &x.device());
            x * mask.expect("draws are sampled and some are dropped")
        } else {
            self.dropout.forward(activation::leaky_relu(x, 0.01))
        }
    }
}

fn affine(linear: &Linear, x: Tensor<2>, ours: Ours) -> Tensor<2> {
    match &linear.bias {
        Some(bias) if ours.layers => dense::linear(x, linear.weight.val(), bias.val()),
        _ => linear.forward(x),
    }
}

#[derive(Module, Debug)]
struct Network {
    encoder: [Block; 2],
    time: [Linear; 2],
    state: [Linear; 2],
    decoder: [Block; 2],
    rho: Linear,
    log_alpha: Param<Tensor<2>>,
    log_beta: Param<Tensor<2>>,
    log_gamma: Param<Tensor<2>>,
}

impl Network {
    fn new(n_genes: usize, device: &Device) -> Self {
        let head = |to| [(); 2].map(|()| LinearConfig::new(250, to).init(device));
        let rate = |mean| Param::from_tensor(Tensor::random([1, n_genes], Distribution::Normal(mean, 0.2), device));
        Self {
            encoder: [Block::new(2 * n_genes, 500, device), Block::new(500, 250, device)],
            time: head(1),
            state: head(N_LATENT),
            decoder: [Block::new(N_LATENT, 250, device), Block::new(250, 500, device)],
            rho: LinearConfig::new(500, n_genes).init(device),
            log_alpha: rate(0.5),
            log_beta: rate(0.0),
            log_gamma: rate(-0.3),
        }
    }

    fn loss(&self, x: Tensor<2>, observed: Observed, rng: &mut ChaCha8Rng, ours: Ours) -> Tensor<1> {
        let [first, second] = &self.encoder;
        let hidden = second.forward(first.forward(x, rng, ours), rng, ours);
        let (time, kl_time) = draw(&self.time, hidden.clone());
        let (state, kl_state) = draw(&self.state, hidden);

        let [first, second] = &self.decoder;
        let hidden = second.forward(first.forward(state, rng, ours), rng, ours);
        let logits = affine(&self.rho, hidden, ours);
        let rho = if ours.layers { dense::sigmoid(logits) } else { activation::sigmoid(logits) };
        let kinetics = Kinetics {
            tau: activation::softplus(time, 1.0),
            alpha: self.log_alpha.val().exp() * rho,
            start: None,
            beta: self.log_beta.val().exp(),
            gamma: self.log_gamma.val().exp(),
        };
        let nll = if ours.likelihood { kinetic_nll } else { composed_nll };
        nll(kinetics, observed).total + kl_time + kl_state
    }
}

/// A sample of a diagonal Gaussian with the heads' mean and log variance, and its KL divergence
/// from the standard normal, mean over cells.
fn draw(heads: &[Linear; 2], hidden: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
    let [mean, log_var] = heads;
    let (mean, log_var) = (mean.forward(hidden.clone()), log_var.forward(hidden));
    let noise = mean.random_like(Distribution::Normal(0.0, 1.0)).without_autodiff();
    let sample = mean.clone() + (log_var.clone() * 0.5).exp() * noise;
    let kl = (mean.square() + log_var.clone().exp() - log_var - 1.0).sum_dim(1).mean() * 0.5;
    (sample, kl)
}

/// Batches of uniform moments.
fn batches(n: usize, shape: [usize; 2], device: &Device) -> Vec<(Tensor<2>, Observed)> {
    let constant = |value| Tensor::<1>::full([shape[1]], value, device);
    let moments = || Tensor::<2>::random(shape, Distribution::Uniform(0.0, 2.0), device);
    let batch = |_| {
        let (u, s) = (moments(), moments());
        let x = Tensor::cat(vec![u.clone(), s.clone()], 1);
        let (sigma_u, sigma_s) = (constant(0.37), constant(0.37));
        (x, Observed { u, s, scaling: constant(1.0), sigma_u, sigma_s })
    };
    (0..n).map(batch).collect()
}

/// User and system time of this process in seconds, to 10 ms.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..].split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    ticks / 100.0
}

/// Peak resident memory in MiB.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("Linux has VmHWM");
    let kib = line.split_whitespace().nth(1).expect("a value");
    kib.parse::<f64>().expect("a number") / 1024.0
}

fn main() {
    // Within a pool, as training runs (src/train/pool.rs).
    rayon::ThreadPoolBuilder::new().build().expect("the system has threads").install(run);
}

fn run() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |k: usize, default| words.get(k).map_or(default, |word| word.parse().expect("a number"));
    let (n_genes, n_cells, n_steps) = (number(0, 2000), number(1, 128), number(2, 100));
    let is_ours = |burns: &str| !words.iter().any(|word| word == burns);
    let ours =
        Ours { likelihood: is_ours("burn-likelihood"), adam: is_ours("burn-adam"), layers: is_ours("burn-layers") };

    let device = Device::flex().autodiff();
    device.seed(7);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut network = Network::new(n_genes, &device);
    let mut adam = if ours.adam {
        ModuleOptimizer::from(Adam::new(AdamConstants::default()))
    } else {
        AdamConfig::new().with_epsilon(1e-8).init()
    };
    let data = batches(8, [n_cells, n_genes], &device.clone().inner());

    let mut last = 0.0;
    let mut start = (cpu_time(), Instant::now());
    for step in 0..WARM_UP + n_steps {
        if step == WARM_UP {
            start = (cpu_time(), Instant::now());
        }
        let (x, observed) = data[step % data.len()].clone();
        let loss = network.loss(x, observed, &mut rng, ours);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = adam.step(1e-3, network, gradients);
        last = loss.into_scalar();
    }
    let per_step = 1e3 / n_steps as f64;
    println!(
        "{{\"cpu_ms\":{:.2},\"wall_ms\":{:.2},\"peak_mib\":{:.0},\"loss\":{last:.4}}}",
        (cpu_time() - start.0) * per_step,
        start.1.elapsed().as_secs_f64() * per_step,
        peak_memory(),
    );
}
