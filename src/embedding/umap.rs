//! UMAP: an embedding in two dimensions for files that bring none.
//!
//! Cells attract each other along the fuzzy graph w ([`neighbors`](crate::neighbors)) and push random others away, so that
//! the similarity of places, `q = 1 / (1 + a d^{2b})`, comes to resemble w. a and b are fitted so that q is near 1 up to
//! `min_dist` and falls as `e^{−(d − min_dist) / spread}` beyond ([`curve`]). Each epoch n of N, with η falling from
//! `learning_rate` to 0 and r_ij = w_ij / max w, cell i meets cell j if ⌊(n + 1) r_ij⌋ > ⌊n r_ij⌋, and moves
//!
//! ```text
//! by  −η clip(2ab d^{2b − 2} / (1 + a d^{2b}) (y_i − y_j))             twice: as the end of w_ij, and of w_ji
//! by   η clip(2b / ((10⁻³ + d²)(1 + a d^{2b})) (y_i − y_k))           for some random cells k
//! ```
//!
//! with each component clipped to ±4. A cell sees its own moves at once and those of others at the end of the epoch, and
//! random numbers belong to an epoch and a fixed block of cells: the result is the same, to the last bit, for any number of
//! threads. (umap-learn moves both ends of an edge at once, which is repeatable on one thread only.)
//!
//! Why not a crate: umap-rs 0.4 seeds nothing and lets threads race for the same coordinates; annembed 0.1 brings 170 crates
//! with LAPACK and makes a graph of its own; fast-umap 1.6 trains a network on an older burn. What is needed besides the
//! graph, which [`neighbors`](crate::neighbors) has already, is this file.
//!
//! Source: `McInnes`, Healy & Melville 2018, arXiv:1802.03426, §4.2 and algorithms 4 and 5; constants: umap-learn 0.5.

use ndarray::{Array2, ArrayView2};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::settings::UmapSettings;
use super::{all_finite, has_shape, range};
use crate::data::stream;
use crate::error::{Error, Result};
use crate::sparse::Csr;

/// Extent of the wider axis before the first epoch.
const EXTENT: f64 = 10.0;
/// Cells in the same place are drawn apart by this.
const NOISE: f64 = 1e-4;
/// No component of a step is longer, before the learning rate.
const LONGEST_STEP: f32 = 4.0;
/// Keeps the push between cells in one place finite.
const SOFTENING: f32 = 1e-3;
/// Cells that share a stream of random numbers.
const BLOCK: usize = 128;

/// An embedding in two dimensions, `[n_obs, 2]`.
///
/// - `connectivities`: w, symmetric, `[n_obs, n_obs]`
/// - `initial`: where cells begin, up to scale: two columns or more, such as principal components, of which the first two count
///
/// # Errors
/// [`Error::Setting`] as [`UmapSettings::validate`]; [`Error::Shape`] if `initial` has less than two columns or the graph other
/// cells; [`Error::Data`] if a number is not finite or a weight is negative.
pub fn umap(
    connectivities: &Csr<f32>,
    initial: ArrayView2<'_, f32>,
    settings: &UmapSettings,
    seed: u64,
) -> Result<Array2<f32>> {
    settings.validate()?;
    let n_obs = initial.nrows();
    has_shape("initial places of UMAP", initial.dim(), (n_obs, initial.ncols().max(2)))?;
    has_shape("graph of UMAP", (connectivities.n_rows, connectivities.n_cols), (n_obs, n_obs))?;
    all_finite("UMAP: initial places are", initial, "")?;
    if let Some(weight) = connectivities.data.iter().find(|&&weight| !(weight.is_finite() && weight >= 0.0)) {
        let problem = format!("UMAP: the graph has a weight of {weight}");
        return Err(Error::Data { problem, hint: "compute the neighbours anew".to_owned() });
    }
    let (a, b) = curve(settings.min_dist, settings.spread);
    let most = connectivities.data.iter().copied().fold(0.0, f32::max);
    let layout = Layout {
        connectivities,
        most: f64::from(most),
        a: a as f32,
        b: b as f32,
        negative_samples: settings.negative_samples,
    };
    let mut places = begin(initial, &mut stream(seed, "umap initial", 0));
    let n_epochs = settings.epochs(n_obs);
    let n_blocks = n_obs.div_ceil(BLOCK);
    for epoch in 0..n_epochs {
        let rate = settings.learning_rate * (1.0 - epoch as f64 / n_epochs as f64);
        let block = |at: usize| {
            let mut rng = stream(seed, "umap", (epoch * n_blocks + at) as u64);
            layout.moved(at, &places, epoch, rate as f32, &mut rng)
        };
        places = (0..n_blocks).into_par_iter().map(block).collect::<Vec<_>>().concat();
    }
    Ok(Array2::from_shape_fn((n_obs, 2), |(cell, axis)| places[cell][axis]))
}

/// The first two columns, centred, at most [`EXTENT`] wide, and a little noise.
fn begin(initial: ArrayView2<'_, f32>, rng: &mut ChaCha8Rng) -> Vec<[f32; 2]> {
    let ranges = [0, 1].map(|axis| range(initial.column(axis).iter().map(|&x| f64::from(x))));
    let extent = ranges.iter().map(|(least, most)| most - least).fold(0.0, f64::max);
    let scale = if extent > 0.0 { EXTENT / extent } else { 0.0 };
    let mut place = |at: [f32; 2]| {
        [0, 1].map(|axis| {
            let noise: f64 = StandardNormal.sample(rng);
            let centre = f64::midpoint(ranges[axis].0, ranges[axis].1);
            ((f64::from(at[axis]) - centre) * scale + NOISE * noise) as f32
        })
    };
    initial.rows().into_iter().map(|row| place([row[0], row[1]])).collect()
}

/// What an epoch needs besides places.
struct Layout<'a> {
    connectivities: &'a Csr<f32>,
    /// Largest weight.
    most: f64,
    a: f32,
    b: f32,
    negative_samples: usize,
}

impl Layout<'_> {
    /// The cells of block `at` after an epoch.
    fn moved(&self, at: usize, places: &[[f32; 2]], epoch: usize, rate: f32, rng: &mut ChaCha8Rng) -> Vec<[f32; 2]> {
        let cells = at * BLOCK..places.len().min((at + 1) * BLOCK);
        let mut moved = places[cells.clone()].to_vec();
        for (i, place) in cells.zip(&mut moved) {
            let (others, weights) = self.connectivities.row(i);
            for (&j, &weight) in others.iter().zip(weights) {
                if j as usize == i || !self.meet(weight, epoch) {
                    continue;
                }
                self.attract(place, places[j as usize], rate);
                self.attract(place, places[j as usize], rate);
                for _ in 0..self.negative_samples {
                    let k = rng.random_range(0..places.len());
                    if k != i {
                        self.repel(place, places[k], rate);
                    }
                }
            }
        }
        moved
    }

    /// Whether cells with this weight meet in this epoch: in all if it is the largest, in half of them if it is half that.
    fn meet(&self, weight: f32, epoch: usize) -> bool {
        let rate = f64::from(weight) / self.most;
        ((epoch + 1) as f64 * rate).floor() > (epoch as f64 * rate).floor()
    }

    fn attract(&self, place: &mut [f32; 2], other: [f32; 2], rate: f32) {
        let (way, squared) = apart(*place, other);
        if squared > 0.0 {
            let power = squared.powf(self.b);
            go(place, way, -2.0 * self.a * self.b * power / (squared * (1.0 + self.a * power)), rate);
        }
    }

    fn repel(&self, place: &mut [f32; 2], other: [f32; 2], rate: f32) {
        let (way, squared) = apart(*place, other);
        if squared > 0.0 {
            go(place, way, 2.0 * self.b / ((SOFTENING + squared) * (1.0 + self.a * squared.powf(self.b))), rate);
        }
    }
}

/// From `other` to `place`, and the square of its length.
fn apart(place: [f32; 2], other: [f32; 2]) -> ([f32; 2], f32) {
    let way = [place[0] - other[0], place[1] - other[1]];
    (way, way[0] * way[0] + way[1] * way[1])
}

fn go(place: &mut [f32; 2], way: [f32; 2], coefficient: f32, rate: f32) {
    for (coordinate, way) in place.iter_mut().zip(way) {
        *coordinate += rate * (coefficient * way).clamp(-LONGEST_STEP, LONGEST_STEP);
    }
}

/// a and b with which `1 / (1 + a d^{2b})` is nearest, in least squares over 300 distances from 0 to 3 `spread`, to 1 up to
/// `min_dist` and `e^{−(d − min_dist) / spread}` beyond.
///
/// By Levenberg's and Marquardt's method from a = b = 1, on ln a and ln b, which keeps both positive.
#[must_use]
pub fn curve(min_dist: f64, spread: f64) -> (f64, f64) {
    /// Distances compared.
    const N: usize = 300;
    /// Steps are quadratic near the minimum: some ten are enough.
    const STEPS: usize = 200;
    let distances: Vec<f64> = (0..N).map(|at| 3.0 * spread * at as f64 / (N - 1) as f64).collect();
    let wanted = |d: f64| if d < min_dist { 1.0 } else { (-(d - min_dist) / spread).exp() };
    // Residual, and its derivatives by ln a and ln b.
    let residual = |d: f64, [ln_a, ln_b]: [f64; 2]| {
        let power = if d > 0.0 { (ln_a + 2.0 * ln_b.exp() * d.ln()).exp() } else { 0.0 };
        let q = 1.0 / (1.0 + power);
        let slope = -q * q * power;
        (q - wanted(d), [slope, if d > 0.0 { slope * 2.0 * ln_b.exp() * d.ln() } else { 0.0 }])
    };
    let loss = |at: [f64; 2]| distances.iter().map(|&d| residual(d, at).0.powi(2)).sum::<f64>();
    let (mut at, mut damping) = ([0.0, 0.0], 1e-3);
    let mut least = loss(at);
    for _ in 0..STEPS {
        let (mut g, mut h) = ([0.0; 2], [0.0; 3]);
        for &d in &distances {
            let (r, [da, db]) = residual(d, at);
            g = [g[0] + r * da, g[1] + r * db];
            h = [h[0] + da * da, h[1] + da * db, h[2] + db * db];
        }
        let (haa, hbb) = (h[0] * (1.0 + damping), h[2] * (1.0 + damping));
        let determinant = haa * hbb - h[1] * h[1];
        let next = [at[0] - (hbb * g[0] - h[1] * g[1]) / determinant, at[1] - (haa * g[1] - h[1] * g[0]) / determinant];
        let loss = loss(next);
        if loss < least {
            (at, least, damping) = (next, loss, damping * 0.1);
        } else {
            damping *= 10.0;
        }
    }
    (at[0].exp(), at[1].exp())
}
