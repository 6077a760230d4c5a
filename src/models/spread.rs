//! Means and spread over posterior draws that are not kept.

use ndarray::{Array2, Zip, s};

/// Running mean and squared deviations (Welford) of draws of a matrix, which may come block of rows after block of rows.
pub(super) struct Moments {
    mean: Array2<f32>,
    deviation: Array2<f32>,
}

impl Moments {
    /// Of matrices of `shape`.
    pub(super) fn new(shape: (usize, usize)) -> Self {
        Self { mean: Array2::zeros(shape), deviation: Array2::zeros(shape) }
    }

    /// Takes in draw `number`, from 0, of the rows from `first` on. Draws of the same rows come in the order of their numbers.
    pub(super) fn add(&mut self, first: usize, number: usize, draw: &Array2<f32>) {
        let rows = s![first..first + draw.nrows(), ..];
        let count = (number + 1) as f32;
        Zip::from(self.mean.slice_mut(rows)).and(self.deviation.slice_mut(rows)).and(draw).for_each(
            |mean, deviation, &value| {
                let before = value - *mean;
                *mean += before / count;
                *deviation += before * (value - *mean);
            },
        );
    }

    /// S.d. over `count` draws.
    pub(super) fn std(self, count: usize) -> Array2<f32> {
        self.deviation.mapv_into(|deviation| (deviation / (count as f32 - 1.0)).sqrt())
    }

    /// S.d. over mean; where a gene is silent its mean is 0, and it does not vary.
    pub(super) fn variation(self, count: usize) -> Array2<f32> {
        let Self { mean, deviation } = self;
        let mut result = deviation;
        result.zip_mut_with(&mean, |value, &mean| {
            *value = if mean > 1e-6 { (*value / (count as f32 - 1.0)).sqrt() / mean } else { 0.0 };
        });
        result
    }
}
