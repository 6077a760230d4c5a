//! Directional uncertainty of velocities (Gayoso, Weiler et al. 2024): of L samples of a cell's velocity, how well do they
//! agree on a direction?
//!
//! **Intrinsic**: statistics of the samples v_1 … v_L of a cell (`directional.rs`):
//!
//! ```text
//! c_l = corr(v_l, v̄),   v̄ = Σ_l v_l / L             similarity; plain cosine if not centred
//! θ_l = arccos c_l
//! variance and P95 − P5 of θ and of c, mean of c
//! ```
//!
//! **Extrinsic**: the same of what each sample predicts from the cells around. For each l, the velocity graph of sample l
//! and its transition matrix T_l, with self-transitions and negative similarities ([`graph`](crate::graph)), give for cell i
//!
//! ```text
//! state:          y_l = Σ_j T_l,ij x_j                   x = Ms
//! displacement:   y_l = Σ_j T_l,ij (x_j − x_i)
//! ```
//!
//! Negative similarities make rows of T sum to anything between −1 and 1 (in scVelo's runs on pancreas and dentate gyrus, to less than 0
//! in 19% and 50% of the cells). A state is then the sum times what all states have in common, plus the rest, and two samples
//! whose sums differ in sign lead to opposite "states", however alike they are otherwise. Displacements weight differences and
//! are free of it; `T x − x` would not be, for it holds `−(1 − Σ_j T_ij) x_i`. The default is veloVI's, to compare with it;
//! `displacement` measures what the name promises.
//!
//! The graph lives in the space of the first 30 principal components of Ms where there are more than 100 genes, else in that of
//! the genes. In the components, velocities are taken less their mean over cells, as the states are. (Correlations over
//! components depend on the components' signs: they are fixed as in [`pca`](crate::pca), which is scikit-learn's rule since 1.5.)
//!
//! # What is kept in memory
//!
//! `sample` is asked for one sample of one block of cells at a time. The samples of one block exist together, within about 64 MB;
//! of all cells, only their components: L × n_obs × 30 floats (with at most 100 genes, the samples).
//!
//! # A direction that is none
//!
//! A velocity that is zero (constant, if centred) has no direction; its similarity is 0. So a cell whose every sample is zero has
//! `cos_mean` 0, where identical samples have 1, and its variances are 0: NaN would have to be filtered by everything that
//! reads the columns, and 1 would claim perfect agreement. In the graph such a cell stays where it is.
//!
//! Source: Gayoso, Weiler et al. 2024, Methods (uncertainty); behaviour: scvi-tools 1.2 `VELOVI.get_directional_uncertainty`
//! and veloVI's tutorial for the extrinsic part. Departures from them: the plain cosine and the variance with L − 1 (the
//! paper's) as settings; displacements as a setting; both parts from the same samples; a cell that does not move in a
//! sample stays zero in the components (there, scVelo means this too, but asks after subtracting the mean).

mod directional;
mod extrinsic;
mod settings;

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

pub use self::directional::{SampleSimilarity, Spread, directional};
pub use self::settings::{Extrapolation, UncertaintyConfig};

use self::extrinsic::Space;
use crate::data::{Directional, Neighbors, Uncertainty};
use crate::error::{Error, Result};

/// Floats of the samples of one block of cells: 64 MB.
const BLOCK_FLOATS: usize = 16 << 20;

/// Directional uncertainty from samples of the velocity; `None` if `settings.n_samples` is 0.
///
/// - `ms`: smoothed spliced abundances, `[n_obs, n_vars]`
/// - `neighbors`: their distances say where a cell may move to
/// - `sample(cells, l)`: sample number l in `0..n_samples` of the velocity of these cells, `[cells.len(), n_vars]`; called
///   once for every block and l, cells rising. Which cells are in a block changes nothing if it changes no sample
///
/// # Errors
/// [`Error::Setting`] as [`UncertaintyConfig::validate`]; [`Error::Shape`] if a sample or the neighbours do not have the shape
/// of `ms`; [`Error::Data`] if a velocity or abundance is not finite or a cell has no neighbour; what `sample` returns.
pub fn uncertainty(
    ms: ArrayView2<'_, f32>,
    neighbors: &Neighbors,
    settings: &UncertaintyConfig,
    sample: &mut dyn FnMut(Range<usize>, usize) -> Result<Array2<f32>>,
) -> Result<Option<Uncertainty>> {
    let cells = (BLOCK_FLOATS / (settings.n_samples * ms.ncols()).max(1)).max(1);
    uncertainty_by_blocks(ms, neighbors, settings, cells, sample)
}

/// [`uncertainty`] with `block` cells at a time.
///
/// # Errors
/// As [`uncertainty`].
///
/// # Panics
/// If `block` is 0.
pub fn uncertainty_by_blocks(
    ms: ArrayView2<'_, f32>,
    neighbors: &Neighbors,
    settings: &UncertaintyConfig,
    block: usize,
    sample: &mut dyn FnMut(Range<usize>, usize) -> Result<Array2<f32>>,
) -> Result<Option<Uncertainty>> {
    assert!(block > 0, "a block has at least one cell");
    settings.validate()?;
    if settings.n_samples == 0 {
        return Ok(None);
    }
    let (n_obs, n_vars) = ms.dim();
    let spread = settings.spread();
    let space = if settings.extrinsic { Some(Space::new(ms, neighbors)?) } else { None };
    let n_dims = space.as_ref().map_or(0, Space::n_dims);
    let mut projected = Array3::<f32>::zeros((n_obs, if n_dims > 0 { settings.n_samples } else { 0 }, n_dims));
    let mut intrinsic = Vec::with_capacity(n_obs);
    for start in (0..n_obs).step_by(block) {
        let cells = start..n_obs.min(start + block);
        let samples = (0..settings.n_samples)
            .map(|l| checked(sample(cells.clone(), l)?, [cells.len(), n_vars], start))
            .collect::<Result<Vec<_>>>()?;
        let mut targets = projected.slice_mut(s![cells.clone(), .., ..]);
        let targets: Vec<ArrayViewMut2<'_, f32>> = targets.axis_iter_mut(Axis(0)).collect();
        let of_cell = |(i, target): (usize, ArrayViewMut2<'_, f32>)| {
            let of_cell = Array2::from_shape_fn((samples.len(), n_vars), |(l, g)| samples[l][[i, g]]);
            if let Some(space) = &space {
                space.project(of_cell.view(), target);
            }
            directional(of_cell.view(), spread)
        };
        intrinsic.par_extend(targets.into_par_iter().enumerate().map(of_cell));
    }
    let extrinsic = space.map(|space| extrinsic::extrinsic(ms, &space, projected, settings.extrapolation, spread));
    Ok(Some(Uncertainty { intrinsic: columns(&intrinsic), extrinsic }))
}

/// The sample, if it has the shape and only finite values; `start` is the number of its first cell.
fn checked(sample: Array2<f32>, wanted: [usize; 2], start: usize) -> Result<Array2<f32>> {
    if sample.shape() != wanted {
        let what = "sample of the velocity".to_owned();
        return Err(Error::Shape { what, wanted: wanted.to_vec(), found: sample.shape().to_vec() });
    }
    match sample.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(sample),
        Some(((cell, gene), _)) => Err(Error::Data {
            problem: format!(
                "uncertainty: the velocity of gene {gene} in cell {} (counted from 0) is not finite",
                start + cell
            ),
            hint: String::new(),
        }),
    }
}

/// Statistics of all cells, from those of each: variance, difference, cos_variance, cos_difference, cos_mean.
fn columns(cells: &[[f64; 5]]) -> Directional {
    let column = |k: usize| cells.iter().map(|cell| cell[k]).collect();
    Directional {
        variance: column(0),
        difference: column(1),
        cos_variance: column(2),
        cos_difference: column(3),
        cos_mean: column(4),
    }
}
