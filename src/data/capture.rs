//! Capture times: when cells were collected, as a column of obs tells it.

use super::time_labels::{self, Unclear};
use super::{Column, Frame};
use crate::error::{Error, Result, require};
use crate::stats;

/// The column of obs that a model is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureColumn<'a> {
    /// Its name; empty: none.
    pub column: &'a str,
    /// Its labels, first to last; empty: they are read as times.
    pub order: &'a [String],
}

/// Cells captured together, by rising capture time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureTimes {
    /// Group of each cell, `[n_obs]`; empty if there are no capture times.
    pub of: Vec<u32>,
    /// Capture time of each group, rising.
    pub times: Vec<f64>,
    /// How the labels were understood, in a line.
    told: String,
}

/// More distinct values than this are no capture times.
const MOST: usize = 100;
/// S.d. of the time of a group's cells, in mean distances to the neighbouring capture times (VeloVAE's program).
const SPREAD: f64 = 0.525;
/// Labels and cells that messages name.
const NAMED: usize = 12;
/// Words for a value that is not there.
const MISSING: [&str; 7] = ["", "nan", "na", "n/a", "none", "<na>", "null"];

impl CaptureColumn<'_> {
    /// Checks what can be checked without data.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is an order without a column, or an order with a label twice.
    pub fn validate(self) -> Result<()> {
        let key = "model.capture_order";
        let value = || format!("{:?}", self.order);
        require(
            self.order.is_empty() || !self.column.is_empty(),
            key,
            value(),
            "needs model.capture_time, a column of obs",
        )?;
        let twice = (1..self.order.len()).find(|&at| self.order[..at].contains(&self.order[at]));
        require(twice.is_none(), key, value(), "must have each label once")
    }

    fn unusable(self, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::Data {
            problem: format!("obs[{:?}], named by model.capture_time, {}", self.column, problem.into()),
            hint: hint.into(),
        }
    }

    /// Times of `labels`, and how they were understood.
    fn times(self, labels: &[String], are_numbers: bool) -> Result<(Vec<f64>, String)> {
        if !self.order.is_empty() {
            let place = |label: &String| self.order.iter().position(|known| known == label).map(|at| at as f64);
            let known: Option<Vec<f64>> = labels.iter().map(place).collect();
            let lacking = || labels.iter().filter(|label| place(label).is_none()).map(|label| format!("{label:?}"));
            return known
                .map(|times| (times, "evenly spaced in the order of model.capture_order".to_owned()))
                .ok_or_else(|| {
                    let problem = format!("holds labels that model.capture_order lacks: {}", listed(lacking()));
                    self.unusable(problem, "list every label, the first captured first")
                });
        }
        if are_numbers {
            let times: Option<Vec<f64>> = labels.iter().map(|label| label.parse().ok()).collect();
            return times
                .map(|times| (times, "numbers as they are".to_owned()))
                .ok_or_else(|| self.unusable("holds values without a number", PLAIN_HINT));
        }
        let read = time_labels::times(labels).map_err(|Unclear { problem, order }| {
            let order = order.map_or_else(
                || format!("say their order: model.capture_order = [{}, …], first to last", label_or_two(labels)),
                |order| format!("if this is their order, say so: model.capture_order = {order:?}"),
            );
            self.unusable(problem, format!("{order}; or name a column of numbers"))
        })?;
        Ok((read.times, read.unit.map_or_else(String::new, |unit| format!("in {unit}"))))
    }
}

const PLAIN_HINT: &str = "name a column of numbers, or of words like E8.5 or day3; or set model.capture_time to \"\"";

impl CaptureTimes {
    /// Reads the column that `given` names; no groups if it names none.
    ///
    /// Labels that no cell has do not count. Without an order, labels are words, a number and perhaps a unit (`E8.5`, `day-3`, `24h`);
    /// with one, they are evenly spaced.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no such column, a cell has no value, labels cannot be read or compared, or all or too many values
    /// differ.
    pub fn read(obs: &Frame, given: CaptureColumn<'_>) -> Result<Self> {
        if given.column.is_empty() {
            return Ok(Self::default());
        }
        let column = obs.get(given.column).ok_or_else(|| {
            let names: Vec<&str> = obs.columns.iter().map(|(name, _)| name.as_str()).collect();
            given.unusable(format!("is not in the file; its columns are: {}", names.join(", ")), PLAIN_HINT)
        })?;
        let values = labels(column);
        let unknown: Vec<&String> =
            obs.index.iter().zip(&values).filter_map(|(cell, value)| value.is_none().then_some(cell)).collect();
        if !unknown.is_empty() {
            let cells = listed(unknown.iter().map(|cell| format!("{cell:?}")));
            let problem = format!("has no value in {} of {} cells: {cells}", unknown.len(), values.len());
            return Err(given.unusable(problem, "fill the column for these cells, or take them out of the file"));
        }
        let values: Vec<String> = values.into_iter().flatten().collect();
        let mut distinct = values.clone();
        distinct.sort();
        distinct.dedup();
        let are_numbers = matches!(column, Column::Float(_) | Column::Int(_) | Column::Bool(_));
        if distinct.len() > MOST && are_numbers {
            return Err(given.unusable(too_many(distinct.len()), PLAIN_HINT));
        }
        let (times, how) = given.times(&distinct, are_numbers)?;
        let mut rising = times.clone();
        rising.sort_by(f64::total_cmp);
        rising.dedup();
        if rising.len() < 2 {
            return Err(given.unusable("has the same value in all cells", PLAIN_HINT));
        }
        if rising.len() > MOST {
            return Err(given.unusable(too_many(rising.len()), PLAIN_HINT));
        }
        let group = |time: f64| rising.partition_point(|&known| known < time);
        let groups: Vec<usize> = times.iter().map(|&time| group(time)).collect();
        let of = values.iter().map(|value| distinct.binary_search(value).map_or(0, |at| groups[at]) as u32).collect();
        let told = tell(given.column, (&distinct, &groups), &rising, &how);
        Ok(Self { of, times: rising, told })
    }

    /// How each label was understood, first to last, in a line.
    #[must_use]
    pub fn told(&self) -> &str {
        &self.told
    }

    /// Capture time of each cell, `[n_obs]`.
    #[must_use]
    pub fn of_cells(&self) -> Vec<f64> {
        self.of.iter().map(|&group| self.times[group as usize]).collect()
    }

    /// The groups of the cells at the positions `chosen`, numbered as among all cells: a group may have no cell among these.
    #[must_use]
    pub fn select(&self, chosen: &[usize]) -> Self {
        let of = if self.of.is_empty() { Vec::new() } else { chosen.iter().map(|&i| self.of[i]).collect() };
        Self { of, times: self.times.clone(), told: self.told.clone() }
    }

    /// Number of groups; 1 without capture times.
    #[must_use]
    pub fn n_groups(&self) -> usize {
        self.times.len().max(1)
    }

    /// Each group's capture time, moved and stretched to `[0, t_max]`, and what a cell's time differs from it, as an s.d.
    #[must_use]
    pub fn on_axis(&self, t_max: f64) -> Vec<(f64, f64)> {
        let (Some(first), Some(last)) = (self.times.first(), self.times.last()) else { return Vec::new() };
        let times: Vec<f64> = self.times.iter().map(|time| (time - first) / (last - first) * t_max).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let around = |at: usize| stats::mean(&gaps[at.saturating_sub(1)..gaps.len().min(at + 1)]);
        times.iter().enumerate().map(|(at, &time)| (time, SPREAD * around(at))).collect()
    }
}

/// The labels of a column, none where a value is missing. Numbers are printed.
fn labels(column: &Column) -> Vec<Option<String>> {
    let known = |text: &String| !MISSING.contains(&text.trim().to_lowercase().as_str());
    match column {
        Column::Float(values) => {
            // -0 is 0.
            values.iter().map(|&value| value.is_finite().then(|| (value + 0.0).to_string())).collect()
        }
        Column::Bool(values) => values.iter().map(|&value| Some(u8::from(value).to_string())).collect(),
        Column::Int(values) => values.iter().map(|value| Some(value.to_string())).collect(),
        Column::Text(values) => values.iter().map(|value| Some(value.clone()).filter(known)).collect(),
        Column::Categorical { codes, categories, .. } => {
            codes.iter().map(|code| code.map(|at| categories[at as usize].clone()).filter(known)).collect()
        }
    }
}

fn too_many(n: usize) -> String {
    format!("has {n} different values: that is no capture time")
}

/// The first of `words`, and how many more there are.
fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    let more = words.len().saturating_sub(NAMED);
    let named = words[..words.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn label_or_two(labels: &[String]) -> String {
    labels.iter().take(2).map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ")
}

/// `capture times of obs["day"], first to last: day-0 = 0, day-1 = 1`.
fn tell(column: &str, (labels, groups): (&[String], &[usize]), times: &[f64], how: &str) -> String {
    let of_group = |(group, time): (usize, &f64)| {
        let names: Vec<&str> =
            labels.iter().zip(groups).filter(|label| *label.1 == group).map(|label| label.0.as_str()).collect();
        format!("{} = {time}", names.join(" and "))
    };
    let understood = listed(times.iter().enumerate().map(of_group));
    let how = if how.is_empty() { String::new() } else { format!(" ({how})") };
    format!("capture times of obs[{column:?}], first to last: {understood}{how}")
}
