//! One gene as the model sees it: its abundances in all cells, and which of them count.

use crate::data::Neighbors;
use crate::stats;

/// Abundances of one gene, `[n_obs]` each, and what follows from them alone.
pub(super) struct Gene<'a> {
    /// `Mu`.
    pub u: &'a [f64],
    /// `Ms`.
    pub s: &'a [f64],
    /// Cells that the objective counts: both species seen, neither above its 99th percentile.
    pub counted: Vec<u32>,
    /// Of those, the ones with more than a third of the largest u and s: what the likelihood is taken over.
    pub upper: Vec<u32>,
    /// S.d. of u over the counted cells.
    pub std_u: f64,
    /// S.d. of s over the counted cells.
    pub std_s: f64,
}

/// Cells above this percentile of u or s do not count.
const OUTLIERS: f64 = 99.0;
/// Cells below this part of the maximum say little about the curve.
const UPPER: f64 = 1.0 / 3.0;

impl<'a> Gene<'a> {
    /// The gene with these abundances; none if fewer than three cells have both species.
    ///
    /// Source: scVelo's weights of cells (its `initialize_weights`).
    pub(super) fn new(u: &'a [f64], s: &'a [f64]) -> Option<Self> {
        let mut counted: Vec<u32> =
            (0_u32..).zip(u.iter().zip(s)).filter(|(_, (u, s))| **u > 0.0 && **s > 0.0).map(|(cell, _)| cell).collect();
        if counted.len() < 3 || u.iter().chain(s).any(|value| !value.is_finite()) {
            return None;
        }
        let most = |values: &[f64]| stats::percentile(&pick(values, &counted), OUTLIERS);
        let (most_u, most_s) = (most(u), most(s));
        counted.retain(|&cell| u[cell as usize] <= most_u && s[cell as usize] <= most_s);
        Some(Self::over(u, s, counted))
    }

    /// The same gene, its outliers counted too.
    pub(super) fn with_outliers(&self) -> Self {
        let seen = |&cell: &u32| self.u[cell as usize] > 0.0 && self.s[cell as usize] > 0.0;
        Self::over(self.u, self.s, (0..self.n_obs() as u32).filter(seen).collect())
    }

    /// The gene with these cells counted.
    fn over(u: &'a [f64], s: &'a [f64], counted: Vec<u32>) -> Self {
        let (counted_u, counted_s) = (pick(u, &counted), pick(s, &counted));
        let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let (upper_u, upper_s) = (UPPER * largest(&counted_u), UPPER * largest(&counted_s));
        let in_upper = |&&cell: &&u32| u[cell as usize] > upper_u && s[cell as usize] > upper_s;
        let upper = counted.iter().filter(in_upper).copied().collect();
        let (mut std_u, mut std_s) = (stats::std_dev(&counted_u, 0), stats::std_dev(&counted_s, 0));
        if !(std_u > 0.0 && std_s > 0.0) {
            (std_u, std_s) = (1.0, 1.0);
        }
        Self { u, s, counted, upper, std_u, std_s }
    }

    /// Whether all counted cells have the same u or the same s: no curve can be told then.
    pub(super) fn is_flat(&self) -> bool {
        let same = |values: &[f64]| {
            let first = self.counted.first().map_or(0.0, |&cell| values[cell as usize]);
            self.counted.iter().all(|&cell| (values[cell as usize] - first).abs() <= 1e-9 * first.abs())
        };
        same(self.u) || same(self.s)
    }

    /// Number of cells.
    pub(super) fn n_obs(&self) -> usize {
        self.s.len()
    }
}

/// `values` at `cells`.
pub(super) fn pick(values: &[f64], cells: &[u32]) -> Vec<f64> {
    cells.iter().map(|&cell| values[cell as usize]).collect()
}

/// Which cells a cell's distances and times are averaged over: itself and its neighbours, with equal weights.
pub(super) struct Neighborhoods {
    starts: Vec<usize>,
    cells: Vec<u32>,
    shares: Vec<f64>,
}

impl Neighborhoods {
    /// The neighbourhoods of all cells, in ascending order each.
    pub(super) fn new(neighbors: &Neighbors) -> Self {
        let n_obs = neighbors.connectivities.n_rows;
        let (mut starts, mut cells, mut shares) = (vec![0], Vec::new(), Vec::with_capacity(n_obs));
        for cell in 0..n_obs {
            let begin = cells.len();
            cells.extend(neighbors.neighborhood(cell).map(|neighbor| neighbor as u32));
            cells[begin..].sort_unstable();
            starts.push(cells.len());
            // In single precision, as scVelo's weights are: whether a mean of equal times equals them hangs on it.
            shares.push(f64::from(1.0_f32 / (cells.len() - begin) as f32));
        }
        Self { starts, cells, shares }
    }

    /// Cells in the neighbourhood of `cell`.
    pub(super) fn of(&self, cell: usize) -> &[u32] {
        &self.cells[self.starts[cell]..self.starts[cell + 1]]
    }

    /// Means of `N` values over the neighbourhood of every cell.
    pub(super) fn averages<const N: usize>(&self, values: &[[f64; N]]) -> Vec<[f64; N]> {
        let means = |cell: usize| {
            let share = self.shares[cell];
            let mut sums = [0.0; N];
            for &neighbor in self.of(cell) {
                for (sum, value) in sums.iter_mut().zip(&values[neighbor as usize]) {
                    *sum += share * value;
                }
            }
            sums
        };
        (0..values.len()).map(means).collect()
    }

    /// Means of `N` values over the neighbourhood of `cell`.
    #[inline]
    pub(super) fn means<const N: usize>(&self, values: &[[f32; N]], cell: usize) -> [f32; N] {
        // Two sums, so that an addition need not wait for the one before it.
        let (mut even, mut odd) = ([0.0_f32; N], [0.0_f32; N]);
        let (pairs, last) = self.of(cell).as_chunks::<2>();
        let add = |sums: &mut [f32; N], cell: u32| {
            for (sum, value) in sums.iter_mut().zip(&values[cell as usize]) {
                *sum += value;
            }
        };
        for pair in pairs {
            add(&mut even, pair[0]);
            add(&mut odd, pair[1]);
        }
        for &cell in last {
            add(&mut even, cell);
        }
        let share = (self.of(cell).len() as f32).recip();
        std::array::from_fn(|k| (even[k] + odd[k]) * share)
    }
}
