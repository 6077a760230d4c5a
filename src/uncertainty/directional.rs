//! Spread of the directions of one cell's samples.

use ndarray::{ArrayView1, ArrayView2};

use crate::stats::{self, count, is_constant, percentile, variance};

/// How alike two vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleSimilarity {
    /// Cosine of the vectors, each less its mean: Pearson's correlation.
    Correlation,
    /// Cosine of the vectors.
    Cosine,
}

/// How the spread of samples is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Of a sample with the mean of the samples.
    pub similarity: SampleSimilarity,
    /// Variances are divided by the number of samples less this: 0 or 1.
    pub ddof: usize,
}

/// Spread of `samples`, `[n_samples, n_vars]`, of one cell around their mean: variance and P95 − P5 of the angles (radians), the same
/// of the similarities, mean of the similarities. Samples without a direction have similarity 0.
///
/// ```
/// use nascent::uncertainty::{SampleSimilarity, Spread, directional};
/// use ndarray::array;
/// let samples = array![[1.0, 0.0], [0.0, 1.0]]; // 45 degrees from their mean
/// let cosine = Spread { similarity: SampleSimilarity::Cosine, ddof: 0 };
/// let [variance, .., mean] = directional(samples.view(), cosine);
/// assert!(variance < 1e-15 && (mean - 0.5_f64.sqrt()).abs() < 1e-15);
/// ```
#[must_use]
pub fn directional(samples: ArrayView2<'_, f32>, spread: Spread) -> [f64; 5] {
    let (n_samples, n_vars) = samples.dim();
    let mut mean = vec![0.0; n_vars];
    for sample in samples.rows() {
        for (sum, &value) in mean.iter_mut().zip(sample) {
            *sum += f64::from(value);
        }
    }
    let mean = unit(mean.into_iter().map(|sum| sum / count(n_samples)).collect(), spread.similarity);
    let similarity = |sample: ArrayView1<'_, f32>| {
        let sample = unit(sample.iter().map(|&value| f64::from(value)).collect(), spread.similarity);
        let product: f64 = sample.iter().zip(&mean).map(|(a, b)| a * b).sum();
        product.clamp(-1.0, 1.0)
    };
    let cosines: Vec<f64> = samples.rows().into_iter().map(similarity).collect();
    let angles: Vec<f64> = cosines.iter().map(|c| c.acos()).collect();
    let width = |values: &[f64]| percentile(values, 95.0) - percentile(values, 5.0);
    [
        variance(&angles, spread.ddof),
        width(&angles),
        variance(&cosines, spread.ddof),
        width(&cosines),
        stats::mean(&cosines),
    ]
}

/// The vector in units of its length, less its mean first if that is asked for; zero if nothing is left.
fn unit(values: Vec<f64>, similarity: SampleSimilarity) -> Vec<f64> {
    let sum_of_squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let squares = sum_of_squares(&values);
    let (centred, left) = match similarity {
        SampleSimilarity::Cosine => (values, squares),
        SampleSimilarity::Correlation => {
            let mean = stats::mean(&values);
            let centred: Vec<f64> = values.into_iter().map(|value| value - mean).collect();
            let left = sum_of_squares(&centred);
            (centred, left)
        }
    };
    let factor = if is_constant(left, squares) { 0.0 } else { 1.0 / left.sqrt() };
    centred.into_iter().map(|value| value * factor).collect()
}
