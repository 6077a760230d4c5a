//! Products of sparse matrices with vectors.

use rayon::prelude::*;

use crate::hash::split_mix;
use crate::sparse::Csr;

/// A matrix that can be multiplied with vectors: `D A D`, D the diagonal of `scale` (the identity without).
pub(super) struct Operator<'a> {
    pub(super) matrix: &'a Csr<f32>,
    pub(super) scale: Option<&'a [f64]>,
    pub(super) symmetric: bool,
}

impl Operator<'_> {
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let scaled: Vec<f64>;
        let x = match self.scale {
            Some(scale) => {
                scaled = x.iter().zip(scale).map(|(x, scale)| x * scale).collect();
                &scaled
            }
            None => x,
        };
        let of_row = |i: usize| {
            let (columns, values) = self.matrix.row(i);
            let sum: f64 = columns.iter().zip(values).map(|(&j, &value)| f64::from(value) * x[j as usize]).sum();
            self.scale.map_or(sum, |scale| sum * scale[i])
        };
        (0..self.matrix.n_rows).into_par_iter().with_min_len(64).map(of_row).collect()
    }
}

/// `n` numbers in (0, 1], the same in every run and others for every `seed`: positive, so that they are not orthogonal to a
/// leading vector without negative entries.
pub(super) fn drawn(n: usize, seed: u64) -> Vec<f64> {
    let number = |k: u64| (split_mix(seed.wrapping_add(k)) >> 11) as f64 / (1_u64 << 53) as f64;
    (0..n as u64).map(|k| 1.0 - number(k)).collect()
}
