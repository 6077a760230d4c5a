//! Counts with known kinetics, times and lineages, to test every model against the truth.
//!
//! Genes follow [`crate::kinetics`] with piecewise-constant transcription. A cell of true time t and lineage l has
//! the mean counts `m = capture · size · x(t)`, x the unspliced or spliced abundance of the gene's curve in l, and counts
//! drawn from the negative binomial with that mean and variance `m + dispersion · m²`; `size` is log-normal with mean 1 and
//! shared by both species.
//!
//! With one lineage the distributions are those of the project's reference simulations: t uniform on
//! `[0, t_max]`; `α, β, γ` log-normal with medians 2, 0.8, 0.4 and s.d. of the logarithm 0.8, 0.4, 0.4; 40 % of the genes on from the start,
//! the others from a time uniform in the first 60 %; on for 20 to 70 % of `t_max`.
//!
//! With two or three lineages, all cells share a trunk until `trunk · t_max`. After it, every gene of the program
//! [`Program::Shared`] goes on as above, and the others follow their lineage ([`Program`]); β and γ are the
//! same everywhere.
//!
//! Every draw comes from a stream named after what it is for and for whom (`"rates"` of gene 7), so that a new kind of
//! draw, more genes, or another number of threads leave all other draws as they were. More cells leave
//! the genes and the earlier cells as they were.

mod cells;
mod genes;
mod settings;

use std::path::PathBuf;

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, Gamma, Poisson};
use rayon::prelude::*;

use crate::data::Counts;
use crate::error::Result;
use crate::sparse::Csr;

use cells::Cell;
pub use genes::{Curve, Gene, Program};
pub use settings::SimulateConfig;

/// Simulated counts and the truth behind them. Axis 0 is cells (`n_obs`), axis 1 genes (`n_vars`).
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Counts as a file would hold them (`X` is the spliced layer), with the truth in its tables:
    ///
    /// - `obs`: `true_t`, `true_branch` (`L0` is the trunk, or the only lineage), `clusters` (branch and part of its span,
    ///   `L1_0`), `true_size`, `capture_time` (`D0`, `D1`…: which part of the time axis, told with noise)
    /// - `var`: `true_alpha`, `true_beta`, `true_gamma`, `true_t_on`, `true_t_off`; with branches also `true_program`
    ///   and, per lineage k from 1, `true_alpha_k` and `true_t_k`: the last change in that lineage (NaN: none)
    /// - `obsm["X_true"]`: the lineages drawn in the plane, time from left to right
    pub counts: Counts,
    /// `ds/dt` before capture and noise, `[n_obs, n_vars]`, in counts per time.
    pub true_velocity: Array2<f32>,
    /// Unspliced abundance before capture and noise, `[n_obs, n_vars]`.
    pub true_unspliced: Array2<f32>,
    /// Spliced abundance before capture and noise, `[n_obs, n_vars]`.
    pub true_spliced: Array2<f32>,
    /// The genes with their exact curves, `[n_vars]`.
    pub genes: Vec<Gene>,
}

/// Draws cells, genes and counts.
///
/// The result depends on `config` alone: it is bit-identical for any number of threads.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) for a setting outside its range.
#[allow(clippy::missing_panics_doc)] // the layers are made with the shape they are given
pub fn simulate(config: &SimulateConfig) -> Result<Simulation> {
    config.validate()?;
    let genes: Vec<Gene> = (0..config.genes).map(|g| Gene::draw(config, g)).collect();
    let cells: Vec<Cell> = (0..config.cells).map(|c| Cell::draw(config, c)).collect();
    let layer = || vec![0.0_f32; config.cells * config.genes];
    let (mut velocity, mut unspliced, mut spliced) = (layer(), layer(), layer());
    let observed: Vec<[Entries; 2]> = cells
        .par_iter()
        .zip(velocity.par_chunks_exact_mut(config.genes))
        .zip(unspliced.par_chunks_exact_mut(config.genes))
        .zip(spliced.par_chunks_exact_mut(config.genes))
        .enumerate()
        .map(|(at, (((cell, velocity), unspliced), spliced))| {
            for (g, gene) in genes.iter().enumerate() {
                let (state, change) = gene.curve(cell.lineage).at(cell.t);
                (velocity[g], unspliced[g], spliced[g]) = narrow(change.s, state.u, state.s);
            }
            let depth = config.capture * cell.size;
            [observe(config, "unspliced", at, depth, unspliced), observe(config, "spliced", at, depth, spliced)]
        })
        .collect();

    let dense = |values| {
        Array2::from_shape_vec((config.cells, config.genes), values).expect("one row per cell, one value per gene")
    };
    let [counts_u, counts_s] = [0, 1].map(|species| sparse(observed.iter().map(|pair| &pair[species]), config.genes));
    Ok(Simulation {
        true_velocity: dense(velocity),
        true_unspliced: dense(unspliced),
        true_spliced: dense(spliced),
        counts: Counts {
            path: PathBuf::from("simulation"),
            obs: cells::table(config, &cells),
            var: genes::table(config, &genes),
            x: Some(counts_s.clone()),
            spliced: counts_s,
            unspliced: counts_u,
            moments: None,
            neighbors: None,
            obsm: vec![("X_true".to_owned(), cells::layout(config, &cells))],
        },
        genes,
    })
}

/// Nonzero counts of one cell and species: gene and count.
type Entries = Vec<(u32, f32)>;

fn narrow(velocity: f64, unspliced: f64, spliced: f64) -> (f32, f32, f32) {
    (velocity as f32, unspliced as f32, spliced as f32)
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

fn sparse<'a>(rows: impl Iterator<Item = &'a Entries>, n_cols: usize) -> Csr<f32> {
    let mut matrix = Csr { n_cols, indptr: vec![0], ..Csr::default() };
    for row in rows {
        matrix.indices.extend(row.iter().map(|&(gene, _)| gene));
        matrix.data.extend(row.iter().map(|&(_, count)| count));
        matrix.indptr.push(matrix.data.len());
        matrix.n_rows += 1;
    }
    matrix
}

/// The random stream called `name` for item `index`: seed, name and index are parts of the key, so streams of different names
/// or items are independent, and none depends on how much another was used.
fn stream(seed: u64, name: &str, index: usize) -> ChaCha12Rng {
    // FNV-1a, spelled out because the standard hashers do not promise the same value in every release.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&hash.to_le_bytes());
    key[16..24].copy_from_slice(&(index as u64).to_le_bytes());
    ChaCha12Rng::from_seed(key)
}
