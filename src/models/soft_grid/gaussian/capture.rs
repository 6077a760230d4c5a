//! Capture times: groups of cells, each with a π of its own.

use ndarray::Array2;

use crate::data::{CaptureColumn, CaptureTimes, Dataset};
use crate::error::Result;

/// Cells by capture time.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    /// Group of each cell, `[n_obs]`.
    pub group: Vec<u32>,
    /// Each group's capture time, moved and stretched to `[0, t_max]`, and what a cell's time differs from it, as an s.d.
    pub groups: Vec<(f64, f64)>,
}

impl Capture {
    /// Reads the column of `obs` that is `given`.
    ///
    /// # Errors
    /// As [`CaptureTimes::read`].
    pub(super) fn read(data: &Dataset, given: CaptureColumn<'_>, t_max: f64) -> Result<Self> {
        let times = CaptureTimes::read(&data.obs, given)?;
        Ok(Self { groups: times.on_axis(t_max), group: times.of })
    }

    /// Capture time of each cell on the grid's clock, `[n_obs]`.
    pub(super) fn times(&self) -> Vec<f64> {
        self.group.iter().map(|&group| self.groups[group as usize].0).collect()
    }

    /// `ln` of the normal densities of the groups' times over `grid`, up to constants, `[groups, states]`.
    pub(super) fn log_weights(&self, grid: &[f64]) -> Array2<f64> {
        Array2::from_shape_fn((self.groups.len(), grid.len()), |(group, j)| {
            let (mean, sd) = self.groups[group];
            -0.5 * ((grid[j] - mean) / sd).powi(2)
        })
    }
}
