//! Capture times: groups of cells, each with a π of its own.

use ndarray::Array2;

use super::super::groups::CaptureGroups;
use crate::data::Dataset;
use crate::error::Result;
use crate::stats;

/// Cells by capture time.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    /// Group of each cell, `[n_obs]`.
    pub group: Vec<u32>,
    /// Each group's capture time, moved and stretched to `[0, t_max]`, and what a cell's time differs from it, as an s.d.
    pub groups: Vec<(f64, f64)>,
}

/// S.d. of the time of a group's cells, in mean distances to the neighbouring capture times (VeloVAE's program).
const SPREAD: f64 = 0.525;

impl Capture {
    /// Reads column `name` of `obs`.
    ///
    /// # Errors
    /// As [`CaptureGroups::read`].
    pub(super) fn read(data: &Dataset, name: &str, t_max: f64) -> Result<Self> {
        let CaptureGroups { of, times: known } = CaptureGroups::read(&data.obs, name)?;
        let (first, last) = (known[0], known[known.len() - 1]);
        let times: Vec<f64> = known.iter().map(|day| (day - first) / (last - first) * t_max).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let around = |at: usize| stats::mean(&gaps[at.saturating_sub(1)..gaps.len().min(at + 1)]);
        Ok(Self {
            group: of,
            groups: times.iter().enumerate().map(|(at, &time)| (time, SPREAD * around(at))).collect(),
        })
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
