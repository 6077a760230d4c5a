//! Permutation score: does a model explain more than the abundances of each gene by themselves?
//!
//! Within each group of cells, the unspliced and the spliced abundances of every gene are shuffled between cells, each by
//! itself. What is left is what a gene looks like without dynamics. The trained model reconstructs both data sets; per gene and
//! group, the absolute errors `|u − û| + |s − ŝ|` of the shuffled data are compared with those of the real data by a
//! two-sample t statistic:
//!
//! ```text
//! t = (ē_shuffled − ē_real) / √(s² (1/n + 1/n)),   s² the mean of both variances, n cells of the group, at most 200
//! ```
//!
//! A gene's score is the largest of its groups. It is large where dynamics are real, and near that of the null where velocity
//! says nothing. The null compares two shuffled data sets with each other.
//!
//! Source: Gayoso, Weiler et al. 2024 (veloVI), Methods. Its program takes the first 200 cells of a group, which is the order
//! of the file; here they are drawn, unless [`Choice::First`] is asked for.

use ndarray::{Array1, Array2};
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::stats::{mean, variance};

/// Most cells of a group that are compared.
const MOST_CELLS: usize = 200;

/// Which cells of a large group are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Drawn at random.
    #[default]
    Random,
    /// The first of the file, as veloVI has it.
    First,
}

/// The scores of every gene.
#[derive(Clone, Debug)]
pub struct Scores {
    /// t of every gene in every group, `[n_vars, n_groups]`; NaN in groups of fewer than two cells.
    pub by_group: Array2<f64>,
    /// The largest of each gene, `[n_vars]`.
    pub largest: Array1<f64>,
    /// The group in which it is the largest, `[n_vars]`.
    pub group: Vec<usize>,
}

/// `values`, `[n_obs, n_vars]`, with every gene shuffled between the cells of each group.
#[must_use]
pub fn shuffled(values: &Array2<f32>, groups: &[Vec<usize>], rng: &mut ChaCha8Rng) -> Array2<f32> {
    let mut result = values.clone();
    for mut column in result.columns_mut() {
        for cells in groups {
            let mut of_group: Vec<f32> = cells.iter().map(|&cell| column[cell]).collect();
            of_group.shuffle(rng);
            cells.iter().zip(of_group).for_each(|(&cell, value)| column[cell] = value);
        }
    }
    result
}

/// The cells of each group that are compared, rising.
#[must_use]
pub fn compared(groups: &[Vec<usize>], choice: Choice, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let of_group = |cells: &Vec<usize>| {
        let n = cells.len().min(MOST_CELLS);
        let mut positions = match choice {
            Choice::First => (0..n).collect(),
            Choice::Random => index::sample(rng, cells.len(), n).into_vec(),
        };
        positions.sort_unstable();
        positions.into_iter().map(|at| cells[at]).collect()
    };
    groups.iter().map(of_group).collect()
}

/// `|u − û| + |s − ŝ|`, `[n_obs, n_vars]`, of moments `[Mu, Ms]` and their reconstruction.
#[must_use]
pub fn errors(observed: &[Array2<f32>; 2], fitted: &[Array2<f32>; 2]) -> Array2<f32> {
    (&observed[0] - &fitted[0]).mapv(f32::abs) + (&observed[1] - &fitted[1]).mapv(f32::abs)
}

/// Scores from the errors on shuffled and on real data, `[n_obs, n_vars]`, over the cells of each group.
///
/// ```
/// use nascent::permutation::scores;
/// use ndarray::array;
///
/// let (shuffled, real) = (array![[2.0], [4.0], [3.0]], array![[1.0], [2.0], [0.0]]);
/// let found = scores(&shuffled, &real, &[vec![0, 1, 2]]);
/// assert!((found.largest[0] - 2.0 / (2.0_f64 / 3.0).sqrt()).abs() < 1e-12);
/// ```
#[must_use]
pub fn scores(shuffled: &Array2<f32>, real: &Array2<f32>, cells: &[Vec<usize>]) -> Scores {
    let n_vars = real.ncols();
    let of_gene = |gene: usize| -> Vec<f64> {
        let of = |errors: &Array2<f32>, cells: &[usize]| -> Vec<f64> {
            cells.iter().map(|&cell| f64::from(errors[[cell, gene]])).collect()
        };
        cells.iter().map(|cells| statistic(&of(shuffled, cells), &of(real, cells))).collect()
    };
    let rows: Vec<Vec<f64>> = (0..n_vars).into_par_iter().map(of_gene).collect();
    let by_group = Array2::from_shape_fn((n_vars, cells.len()), |(gene, group)| rows[gene][group]);
    let best = |row: &Vec<f64>| {
        let known = row.iter().copied().enumerate().filter(|(_, t)| !t.is_nan());
        known.fold((0, f64::NAN), |best, (group, t)| if t > best.1 || best.1.is_nan() { (group, t) } else { best })
    };
    let (group, largest): (Vec<usize>, Vec<f64>) = rows.iter().map(best).unzip();
    Scores { by_group, largest: largest.into(), group }
}

/// The two-sample t statistic with pooled variance; 0 where nothing varies, NaN for fewer than two values.
fn statistic(first: &[f64], second: &[f64]) -> f64 {
    if first.len() < 2 {
        return f64::NAN;
    }
    let n = first.len() as f64;
    let pooled = f64::midpoint(variance(first, 1), variance(second, 1));
    let spread = (pooled * 2.0 / n).sqrt();
    if spread > 0.0 { (mean(first) - mean(second)) / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stream;

    fn numbers(n_obs: usize, n_vars: usize) -> Array2<f32> {
        Array2::from_shape_fn((n_obs, n_vars), |(i, j)| (i * 7 + j * 13) as f32)
    }

    #[test]
    fn shuffling_keeps_the_values_of_every_gene_in_every_group() {
        let values = numbers(30, 4);
        let groups = [(0..12).collect::<Vec<_>>(), (12..29).collect()];
        let result = shuffled(&values, &groups, &mut stream(0, "shuffle", 0));
        assert_ne!(result, values);
        assert_eq!(result.row(29), values.row(29));
        for (gene, cells) in (0..4).flat_map(|gene| groups.iter().map(move |cells| (gene, cells))) {
            let sorted = |of: &Array2<f32>| {
                let mut column: Vec<f32> = cells.iter().map(|&cell| of[[cell, gene]]).collect();
                column.sort_by(f32::total_cmp);
                column
            };
            assert_eq!(sorted(&result), sorted(&values));
        }
    }

    #[test]
    fn at_most_two_hundred_cells_of_a_group_are_compared() {
        let groups = [(0..500).collect::<Vec<_>>(), (500..620).collect()];
        let drawn = compared(&groups, Choice::Random, &mut stream(0, "cells", 0));
        assert_eq!([drawn[0].len(), drawn[1].len()], [200, 120]);
        assert!(drawn[0].is_sorted() && drawn[0].iter().all(|&cell| cell < 500));
        let first = compared(&groups, Choice::First, &mut stream(0, "cells", 0));
        assert_eq!(first[0], (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_group_of_one_cell_has_no_score_and_does_not_spoil_the_others() {
        let (a, b) = (numbers(5, 2), numbers(5, 2) * 0.5);
        let found = scores(&a, &b, &[vec![4], vec![0, 1, 2, 3]]);
        assert!(found.by_group[[0, 0]].is_nan() && found.by_group[[0, 1]].is_finite());
        assert_eq!(found.group, [1, 1]);
    }
}
