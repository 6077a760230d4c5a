use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::settings::SimulateConfig;
use super::stream;
use crate::data::quantities::{CAPTURE_TIME, CLUSTERS, SAMPLE, TRUE_BRANCH, TRUE_SIZE, TRUE_T};
use crate::data::{Column, Frame};

/// Clusters per stretch of the time axis: the only lineage, the trunk, each lineage after it.
const PARTS_ALONE: u32 = 4;
const PARTS_TRUNK: u32 = 2;
const PARTS_LINEAGE: u32 = 3;

/// S.d. of the cells around their lineage in the drawing, against a length of 10.
const SPREAD: f64 = 0.25;

/// What is drawn for a cell before its counts.
pub(super) struct Cell {
    /// True time.
    pub(super) t: f64,
    /// Number of the lineage, from 0; a trunk cell's has no effect.
    pub(super) lineage: usize,
    /// Size factor, mean 1.
    pub(super) size: f64,
    /// Number of the sample, from 0.
    pub(super) sample: usize,
    /// Number of the capture day, from 0.
    day: u32,
    /// Offset in the drawing.
    offset: [f64; 2],
}

impl Cell {
    /// Draws cell number `index`.
    pub(super) fn draw(config: &SimulateConfig, index: usize) -> Self {
        let mut rng = stream(config.seed, "times", index);
        let t = config.t_max * rng.random::<f64>();
        let lineage = rng.random_range(0..config.branches);

        let normal = |name: &str| -> [f64; 2] {
            let mut rng = stream(config.seed, name, index);
            [(); 2].map(|()| StandardNormal.sample(&mut rng))
        };
        let [z, _] = normal("sizes");
        let size = (config.depth_sd * (z - 0.5 * config.depth_sd)).exp();
        let [z, _] = normal("capture times");
        let days = u32::try_from(config.capture_days).expect("settings allow 1000 days");
        let told = t / config.t_max + config.capture_noise * z / f64::from(days);
        let offset = normal("drawing").map(|z| SPREAD * z);
        Self { t, lineage, size, sample: sample(config, index, t), day: part(told, days), offset }
    }

    /// 0 in the trunk or the only lineage, else the lineage's number from 1.
    fn branch(&self, config: &SimulateConfig) -> usize {
        if self.t < config.t_branch() { 0 } else { self.lineage + 1 }
    }

    /// Branch, and how far along it, in [0, 1].
    fn place(&self, config: &SimulateConfig) -> (usize, f64) {
        let t_branch = config.t_branch();
        match self.branch(config) {
            0 => (0, self.t / t_branch),
            branch => (branch, (self.t - t_branch) / (config.t_max - t_branch)),
        }
    }
}

/// The sample of cell number `index` at time `t`.
fn sample(config: &SimulateConfig, index: usize, t: f64) -> usize {
    let samples = config.samples.len().max(1);
    let dealt = || stream(config.seed, "samples", index).random::<f64>() < config.sample_overlap;
    if samples == 1 {
        0
    } else if dealt() {
        index % samples
    } else {
        ((t / config.t_max * samples as f64) as usize).min(samples - 1)
    }
}

/// Which of `parts` equal parts of [0, 1] holds `share`; what lies outside counts to the nearest.
fn part(share: f64, parts: u32) -> u32 {
    let last = f64::from(parts - 1);
    (share * f64::from(parts)).floor().clamp(0.0, last) as u32
}

/// `obs`: names and what is true of each cell.
pub(super) fn table(config: &SimulateConfig, cells: &[Cell]) -> Frame {
    let mut obs = Frame { index: (0..cells.len()).map(|c| format!("c{c}")).collect(), columns: Vec::new() };
    let numbers = |value: fn(&Cell) -> f64| Column::Float(cells.iter().map(value).collect());
    obs.set(TRUE_T.key(), numbers(|cell| cell.t));
    obs.set(TRUE_SIZE.key(), numbers(|cell| cell.size));
    let branch = |cell: &Cell| format!("L{}", cell.branch(config));
    obs.set(TRUE_BRANCH.key(), labels(cells, branch));
    let cluster = |cell: &Cell| {
        let (branch, share) = cell.place(config);
        let parts = match (config.branches, branch) {
            (1, _) => PARTS_ALONE,
            (_, 0) => PARTS_TRUNK,
            _ => PARTS_LINEAGE,
        };
        format!("L{branch}_{}", part(share, parts))
    };
    obs.set(CLUSTERS.key(), labels(cells, cluster));
    // By number, so that D10 follows D9.
    let days = (0..config.capture_days).map(|day| format!("D{day}"));
    obs.set(
        CAPTURE_TIME.key(),
        Column::Categorical {
            codes: cells.iter().map(|cell| Some(cell.day)).collect(),
            categories: days.collect(),
            ordered: true,
        },
    );
    if !config.samples.is_empty() {
        let codes = cells.iter().map(|cell| u32::try_from(cell.sample).ok()).collect();
        let categories = (1..=config.samples.len()).map(|number| format!("S{number}")).collect();
        obs.set(SAMPLE.key(), Column::Categorical { codes, categories, ordered: false });
    }
    obs
}

/// A categorical column of the labels that occur, in alphabetical order.
fn labels(cells: &[Cell], label: impl Fn(&Cell) -> String) -> Column {
    let labels: Vec<String> = cells.iter().map(label).collect();
    let mut categories = labels.clone();
    categories.sort();
    categories.dedup();
    let code = |label: &String| {
        let at = categories.binary_search(label).ok()?;
        u32::try_from(at).ok()
    };
    Column::Categorical { codes: labels.iter().map(code).collect(), categories, ordered: false }
}

/// The lineages in the plane, `[n_obs, 2]`: time runs from 0 to 10 on the first axis, lineages fan out on the second.
pub(super) fn layout(config: &SimulateConfig, cells: &[Cell]) -> Array2<f32> {
    let middle = (config.branches as f64 - 1.0) / 2.0;
    let mut layout = Array2::zeros((cells.len(), 2));
    for (mut row, cell) in layout.rows_mut().into_iter().zip(cells) {
        let height = match cell.place(config) {
            (0, _) => 0.0,
            (_, share) => 4.0 * (cell.lineage as f64 - middle) * share,
        };
        row[0] = (10.0 * cell.t / config.t_max + cell.offset[0]) as f32;
        row[1] = (height + cell.offset[1]) as f32;
    }
    layout
}
