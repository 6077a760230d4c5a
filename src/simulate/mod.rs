//! Counts with known kinetics, times and lineages, to test every model against the truth.
//!
//! Genes follow [`crate::kinetics`] with piecewise-constant transcription: at true time t in lineage l, the abundance
//! x(t) of unspliced or spliced molecules is that of the gene's curve in l. Every cell has a `size`, log-normal with
//! mean 1 and shared by both species. Counts come from one of two processes ([`Process`]), over the same genes and cells:
//!
//! - `ode` (the default): negative binomial with mean `m = capture · size · x(t)` and variance `m + dispersion · m²`; the
//!   two species are independent. `burst` is not used.
//! - `gillespie`: the exact law of single molecules, simulated from time 0 to t. They are born in bursts, at rate
//!   `α/burst` and of geometric size with mean `burst`; each is spliced at rate β, then degraded at rate γ; each that
//!   is there at t is counted with probability `min(1, capture · size)`. The number there has mean x(t), so the true
//!   layers are those of `ode`. Species vary together, for they share bursts. Because molecules do not act on
//!   each other, no events are stepped through: `molecules.rs` says how, and which variances follow. No other noise is
//!   added: `dispersion` is not used.
//!
//! With one lineage the distributions are those of the project's reference simulations: t uniform on
//! `[0, t_max]`; `α, β, γ` log-normal with medians 2, 0.8, 0.4 and s.d. of the logarithm 0.8, 0.4, 0.4; 40 % of the genes on from the start,
//! the others from a time uniform in the first 60 %; on for 20 to 70 % of `t_max`.
//!
//! With two or three lineages, all cells share a trunk until `trunk · t_max`. After it, every gene of the program
//! [`Program::Shared`] goes on as above, and the others follow their lineage ([`Program`]); β and γ are the
//! same everywhere.
//!
//! Samples, if there are several, are captured differently: of the molecules that a process has counted, each is kept with a probability of
//! the cell's sample and the molecule's species.
//!
//! Every draw comes from a stream named after what it is for and for whom (`"rates"` of gene 7), so that a new kind of
//! draw, more genes, or another number of threads leave all other draws as they were. More cells leave
//! the genes and the earlier cells as they were.

mod cells;
mod genes;
mod molecules;
mod settings;

use std::path::PathBuf;

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Binomial, Distribution, Gamma, Poisson};
use rayon::prelude::*;

use crate::data::Counts;
use crate::data::quantities::X_TRUE;
use crate::error::Result;
use crate::hash::fnv1a;
use crate::sparse::Csr;

use cells::Cell;
pub use genes::{Curve, Gene, Program};
pub use settings::{Process, SimulateConfig};

/// Simulated counts and the truth behind them. Axis 0 is cells (`n_obs`), axis 1 genes (`n_vars`).
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Counts as a file would hold them, with the truth in its tables. `X` is the spliced layer; without truth layers there
    /// is none.
    ///
    /// - `obs`: `true_t`, `true_branch` (`L0` is the trunk, or the only lineage), `clusters` (branch and part of its span,
    ///   `L1_0`), `true_size`, `capture_time` (`D0`, `D1`…: which part of the time axis, told with noise), and with `samples`
    ///   `sample` (`S1`, `S2`…)
    /// - `var`: `true_alpha`, `true_beta`, `true_gamma`, `true_t_on`, `true_t_off`; with branches also `true_program`
    ///   and, per lineage k from 1, `true_alpha_k` and `true_t_k`: the last change in that lineage (NaN: none)
    /// - `obsm["X_true"]`: the lineages drawn in the plane, time from left to right
    pub counts: Counts,
    /// The truth per cell and gene, if `truth_layers` asks for it.
    pub truth: Option<Truth>,
    /// The genes with their exact curves, `[n_vars]`.
    pub genes: Vec<Gene>,
}

/// The ODE's solution in every cell: what both processes have as means, before capture and noise. `[n_obs, n_vars]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// `ds/dt = β u − γ s`, in counts per time.
    pub velocity: Array2<f32>,
    /// Unspliced abundance, in counts.
    pub unspliced: Array2<f32>,
    /// Spliced abundance, in counts.
    pub spliced: Array2<f32>,
}

/// Draws cells, genes and counts.
///
/// The result depends on `config` alone: it is bit-identical for any number of threads.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for a setting outside its range.
pub fn simulate(config: &SimulateConfig) -> Result<Simulation> {
    config.validate()?;
    let genes: Vec<Gene> = (0..config.genes).map(|g| Gene::draw(config, g)).collect();
    let cells: Vec<Cell> = (0..config.cells).map(|c| Cell::draw(config, c)).collect();
    let empty = || Csr::empty(0, config.genes);
    let (mut unspliced, mut spliced) = (empty(), empty());
    let mut truth = config.truth_layers.then(|| Means::with_capacity(config.cells * config.genes));
    let mut at = 0;
    // Blocks, so that counts are held twice for few cells only.
    for block in cells.chunks((BLOCK / config.genes).max(FEWEST)) {
        let drawn: Vec<Drawn> =
            block.par_iter().enumerate().map(|(i, cell)| Drawn::new(config, at + i, cell, &genes)).collect();
        for cell in &drawn {
            let [u, s] = &cell.counts;
            append(&mut unspliced, u);
            append(&mut spliced, s);
            if let (Some(truth), Some(means)) = (&mut truth, &cell.means) {
                truth.append(means);
            }
        }
        at += block.len();
    }
    Ok(Simulation {
        counts: Counts {
            path: PathBuf::from("simulation"),
            obs: cells::table(config, &cells),
            var: genes::table(config, &genes),
            x: config.truth_layers.then(|| spliced.clone()),
            spliced,
            unspliced,
            moments: None,
            neighbors: None,
            obsm: vec![(X_TRUE.key().to_owned(), cells::layout(config, &cells))],
        },
        truth: truth.map(|means| means.into_truth(config)),
        genes,
    })
}

/// Entries of the block of cells drawn before they are joined to the others: tens of MB.
const BLOCK: usize = 1 << 22;
/// Cells in a block however many the genes, so that every thread has some.
const FEWEST: usize = 64;

/// Nonzero counts of one cell and species: gene and count.
type Entries = Vec<(u32, f32)>;

/// What is drawn for one cell.
struct Drawn {
    /// Unspliced and spliced.
    counts: [Entries; 2],
    /// The ODE's solution, if it is to be kept.
    means: Option<Means>,
}

impl Drawn {
    fn new(config: &SimulateConfig, at: usize, cell: &Cell, genes: &[Gene]) -> Self {
        let solved = || Means::of(cell, genes);
        let mut drawn = match config.process {
            Process::Ode => {
                let means = solved();
                let depth = config.capture * cell.size;
                let counts = [("unspliced", &means.unspliced), ("spliced", &means.spliced)]
                    .map(|(species, means)| observe(config, species, at, depth, means));
                Self { counts, means: config.truth_layers.then_some(means) }
            }
            Process::Gillespie => {
                Self { counts: molecules::observe(config, at, cell, genes), means: config.truth_layers.then(solved) }
            }
        };
        if let Some(shares) = config.samples.get(cell.sample) {
            let species = ["unspliced", "spliced"].iter().zip(shares).zip(&mut drawn.counts);
            species.for_each(|((species, &share), counts)| keep(config, species, at, share, counts));
        }
        drawn
    }
}

/// [`Truth`] while it grows, cell after cell.
struct Means {
    velocity: Vec<f32>,
    unspliced: Vec<f32>,
    spliced: Vec<f32>,
}

impl Means {
    fn with_capacity(n: usize) -> Self {
        let layer = || Vec::with_capacity(n);
        Self { velocity: layer(), unspliced: layer(), spliced: layer() }
    }

    fn of(cell: &Cell, genes: &[Gene]) -> Self {
        let mut means = Self::with_capacity(genes.len());
        for gene in genes {
            let (state, change) = gene.curve(cell.lineage).at(cell.t);
            means.velocity.push(change.s as f32);
            means.unspliced.push(state.u as f32);
            means.spliced.push(state.s as f32);
        }
        means
    }

    fn append(&mut self, cell: &Self) {
        self.velocity.extend_from_slice(&cell.velocity);
        self.unspliced.extend_from_slice(&cell.unspliced);
        self.spliced.extend_from_slice(&cell.spliced);
    }

    fn into_truth(self, config: &SimulateConfig) -> Truth {
        let dense = |values| {
            Array2::from_shape_vec((config.cells, config.genes), values).expect("one row per cell, one value per gene")
        };
        Truth { velocity: dense(self.velocity), unspliced: dense(self.unspliced), spliced: dense(self.spliced) }
    }
}

/// Draws the counts of one cell and species around `depth` times its abundances.
fn observe(config: &SimulateConfig, species: &str, cell: usize, depth: f64, abundances: &[f32]) -> Entries {
    let mut rng = stream(config.seed, species, cell);
    let dispersion = config.dispersion;
    // A Poisson with a gamma-distributed mean is negative binomial; without overdispersion the gamma is a point.
    let mixture = (dispersion > 1e-9)
        .then(|| Gamma::new(1.0 / dispersion, dispersion).expect("the dispersion is in (1e-9, 100]"));
    let mut count = |abundance: f32| {
        let mixed = mixture.map_or(1.0, |gamma| gamma.sample(&mut rng));
        let mean = depth * f64::from(abundance) * mixed;
        // A mean of zero has no distribution in this form, and needs no draw.
        Poisson::new(mean).map_or(0.0, |poisson: Poisson<f64>| poisson.sample(&mut rng))
    };
    let counts = abundances.iter().map(|&abundance| count(abundance));
    (0..).zip(counts).filter(|&(_, count)| count > 0.0).map(|(gene, count)| (gene, count as f32)).collect()
}

/// Keeps each of the molecules counted in a cell with probability `share`.
fn keep(config: &SimulateConfig, species: &str, cell: usize, share: f64, counts: &mut Entries) {
    if share >= 1.0 {
        return;
    }
    let mut rng = stream(config.seed, &format!("{species} kept"), cell);
    for (_, count) in counts.iter_mut() {
        let molecules = Binomial::new(*count as u64, share).expect("the share is in (0, 1]");
        *count = molecules.sample(&mut rng) as f32;
    }
    counts.retain(|&(_, count)| count > 0.0);
}

fn append(matrix: &mut Csr<f32>, row: &Entries) {
    matrix.indices.extend(row.iter().map(|&(gene, _)| gene));
    matrix.data.extend(row.iter().map(|&(_, count)| count));
    matrix.indptr.push(matrix.data.len());
    matrix.n_rows += 1;
}

/// The random stream called `name` for item `index`: seed, name and index are parts of the key, so streams of different names
/// or items are independent, and none depends on how much another was used.
fn stream(seed: u64, name: &str, index: usize) -> ChaCha12Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&fnv1a(name.bytes()).to_le_bytes());
    key[16..24].copy_from_slice(&(index as u64).to_le_bytes());
    ChaCha12Rng::from_seed(key)
}
