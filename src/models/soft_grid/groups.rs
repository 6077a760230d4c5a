//! Capture times: cells captured together share a spread over the grid.

use crate::data::Frame;
use crate::error::{Error, Result};

/// Capture groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CaptureGroups {
    /// Group of each cell, by rising capture time; empty if there are no capture times.
    pub(super) of: Vec<u32>,
    /// Capture times, rising.
    pub(super) times: Vec<f64>,
}

/// More distinct values than this are no capture times.
const MOST: usize = 100;

impl CaptureGroups {
    /// Groups of equal numbers in the column `name` of obs; none if `name` is empty.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, a value of it has no number, or all or too many values differ.
    pub(super) fn read(obs: &Frame, name: &str) -> Result<Self> {
        if name.is_empty() {
            return Ok(Self::default());
        }
        let unusable = |problem: String| Error::Data {
            problem: format!("obs[{name:?}], named by model.capture_time, {problem}"),
            hint: "name a column of numbers, or of words like E8.5 or day3; or set model.capture_time to \"\""
                .to_owned(),
        };
        let column = obs.get(name).ok_or_else(|| {
            let names: Vec<&str> = obs.columns.iter().map(|(name, _)| name.as_str()).collect();
            unusable(format!("is not in the file; its columns are: {}", names.join(", ")))
        })?;
        let values = column.to_numbers().ok_or_else(|| unusable("holds values without a number".to_owned()))?;
        let missing = values.iter().filter(|value| !value.is_finite()).count();
        if missing > 0 {
            return Err(unusable(format!("has no value in {missing} cells")));
        }
        let mut times = values.clone();
        times.sort_by(f64::total_cmp);
        times.dedup();
        if times.len() < 2 {
            return Err(unusable("has the same value in all cells".to_owned()));
        }
        if times.len() > MOST {
            return Err(unusable(format!("has {} different values: that is no capture time", times.len())));
        }
        let of = values.iter().map(|value| times.partition_point(|time| time < value) as u32).collect();
        Ok(Self { of, times })
    }

    /// The groups of the cells at the positions `chosen`, numbered as among all cells: a group may have no cell among these.
    pub(super) fn select(&self, chosen: &[usize]) -> Self {
        let of = if self.of.is_empty() { Vec::new() } else { chosen.iter().map(|&i| self.of[i]).collect() };
        Self { of, times: self.times.clone() }
    }

    /// Number of groups; 1 without capture times.
    pub(super) fn len(&self) -> usize {
        self.times.len().max(1)
    }
}
