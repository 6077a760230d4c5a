//! Genes whose velocity is higher in one group of cells than in the others.
//!
//! ```text
//! t = (mean_in − mean_out) / √((var_in + var_out) / n_in)
//! ```
//!
//! Welch's t with the size of the group in place of that of the rest: an overestimate of the variance, to be conservative.
//!
//! Source: behaviour of scVelo 0.3.4 `tl.rank_velocity_genes`.

use ndarray::{Array2, ArrayView2};

use crate::stats::count;

/// t of each group and gene, `[n_groups, n_genes]`; 0 where neither the group nor the rest varies, or one of them is empty.
///
/// - `velocities`: `[n_obs, n_genes]`
/// - `groups`: the group of each cell, below `n_groups`, or none, `[n_obs]`
#[must_use]
pub fn rank(velocities: ArrayView2<'_, f32>, groups: &[Option<u32>], n_groups: usize) -> Array2<f64> {
    let n_genes = velocities.ncols();
    let mut sizes = vec![0; n_groups];
    // Row n_groups holds cells without a group: they belong to the rest of every group.
    let [mut sums, mut squares] = [(); 2].map(|()| Array2::<f64>::zeros((n_groups + 1, n_genes)));
    for (velocity, group) in velocities.rows().into_iter().zip(groups) {
        let group = group.map_or(n_groups, |group| group as usize);
        if group < n_groups {
            sizes[group] += 1;
        }
        for (gene, &v) in velocity.iter().enumerate() {
            let v = f64::from(v);
            sums[[group, gene]] += v;
            squares[[group, gene]] += v * v;
        }
    }
    let [total, total_squares] = [&sums, &squares].map(|all| all.sum_axis(ndarray::Axis(0)));
    Array2::from_shape_fn((n_groups, n_genes), |(group, gene)| {
        let (n_in, n_out) = (sizes[group], velocities.nrows() - sizes[group]);
        let (sum, square) = (sums[[group, gene]], squares[[group, gene]]);
        let (mean_in, var_in) = moments(sum, square, n_in);
        let (mean_out, var_out) = moments(total[gene] - sum, total_squares[gene] - square, n_out);
        let t = (mean_in - mean_out) / ((var_in + var_out) / count(n_in)).sqrt();
        if t.is_finite() { t } else { 0.0 }
    })
}

/// Mean and sample variance from a sum, a sum of squares and their number.
fn moments(sum: f64, squares: f64, n: usize) -> (f64, f64) {
    let mean = sum / count(n);
    (mean, (squares / count(n) - mean * mean).max(0.0) * count(n.max(2)) / count(n.max(2) - 1))
}
