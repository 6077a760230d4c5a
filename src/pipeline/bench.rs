//! `nascent bench`: training steps timed for each device, model, number of genes and of cells, in one run.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Result, require};
use crate::io::told_by_system;
use crate::models::{TIMED, TimeSteps};
use crate::nn::device;
use crate::stats;
use crate::train::{Events, Plan, Timed, TrafficPerStep};

/// Cells of the epoch whose time is told.
const EPOCH: f64 = 10_000.0;

/// What is timed: every combination.
#[derive(Clone, Debug)]
pub struct BenchJob {
    /// Names of devices; empty: all that are there.
    pub devices: Vec<String>,
    /// Names of models; empty: all.
    pub models: Vec<String>,
    /// Numbers of genes.
    pub genes: Vec<usize>,
    /// Numbers of cells per step.
    pub cells: Vec<usize>,
    /// Stretches of steps.
    pub repeats: usize,
    /// Least wall time of a stretch, in seconds.
    pub seconds: f64,
    /// Folder for TensorBoard.
    pub logs: Option<PathBuf>,
}

/// Median, least and largest of the repeats.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Least.
    pub least: f64,
    /// Largest.
    pub largest: f64,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct BenchRow {
    /// Name of the device.
    pub device: String,
    /// Name of the model.
    pub model: String,
    /// Genes.
    pub genes: usize,
    /// Cells per step.
    pub cells: usize,
    /// Gradient steps per second of wall time.
    pub steps_per_second: Spread,
    /// Cells per second: those steps times their cells.
    pub cells_per_second: f64,
    /// Seconds of wall time for one epoch of 10,000 cells.
    pub epoch_seconds: f64,
    /// Milliseconds of wall time per step.
    pub wall_ms: Spread,
    /// Milliseconds of CPU time per step, over all threads.
    pub cpu_ms: Spread,
    /// Wall time of a step in parts of that of its matrix products alone, measured on this device between the steps.
    pub over_products: Spread,
    /// Wall time of the first step, in seconds; GPUs compile their kernels in it.
    pub first_step_seconds: f64,
    /// What a GPU is asked per step; none on the CPU, and where it does not tell.
    pub traffic: Option<TrafficPerStep>,
    /// Largest memory of the process while this was timed, in MiB; none where the system does not tell. A GPU's own is not in it.
    pub peak_mib: Option<f64>,
}

/// All lines, and what they were measured with.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// Threads of the CPU.
    pub threads: usize,
    /// Stretches of steps of each line.
    pub repeats: usize,
    /// The lines.
    pub rows: Vec<BenchRow>,
}

/// Times training steps.
///
/// # Errors
/// If a device cannot be opened, a name or number cannot be used, or the folder for TensorBoard not be written.
pub fn bench(job: &BenchJob, mut said: impl FnMut(&str)) -> Result<Bench> {
    for (key, numbers) in [("--genes", &job.genes), ("--cells", &job.cells)] {
        for &number in numbers {
            require(number >= 2, key, number, "must be at least 2")?;
        }
    }
    require(job.repeats > 0, "--repeats", job.repeats, "must be at least 1")?;
    require(job.seconds > 0.0 && job.seconds < 3600.0, "--seconds", job.seconds, "must be above 0 and below 3600")?;
    let models = timed(&job.models)?;
    let devices = match job.devices.as_slice() {
        [] => device::names().into_iter().map(str::to_owned).collect(),
        asked => asked.to_vec(),
    };
    let sizes = || job.genes.iter().flat_map(|&genes| job.cells.iter().map(move |&cells| [genes, cells]));
    let mut rows = Vec::new();
    for name in &devices {
        let device = device::open(name)?;
        for ((model, time_steps), [genes, cells]) in
            models.iter().flat_map(|&model| sizes().map(move |size| (model, size)))
        {
            said(&format!("{model} on {name}: {genes} genes, {cells} cells"));
            forget_peak_memory();
            let plan = Plan { batch_size: cells, repeats: job.repeats, seconds: job.seconds };
            rows.push(BenchRow::new(name, model, [genes, cells], &time_steps(&device, genes, plan)?));
        }
    }
    let bench = Bench { threads: rayon::current_num_threads(), repeats: job.repeats, rows };
    if let Some(dir) = &job.logs {
        bench.log(dir)?;
    }
    Ok(bench)
}

/// The models of these names, or all if none is named.
fn timed(names: &[String]) -> Result<Vec<(&'static str, TimeSteps)>> {
    let one = |name: &String| {
        TIMED.into_iter().find(|(known, _)| known == name).ok_or_else(|| Error::Setting {
            key: "--model".to_owned(),
            value: name.clone(),
            wanted: format!("must be one of {}", TIMED.map(|(known, _)| known).join(", ")),
        })
    };
    if names.is_empty() { Ok(TIMED.to_vec()) } else { names.iter().map(one).collect() }
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { median: stats::median(values), least, largest }
    }
}

impl BenchRow {
    fn new(device: &str, model: &str, [genes, cells]: [usize; 2], timed: &Timed) -> Self {
        let scaled = |values: &[f64]| Spread::of(&values.iter().map(|seconds| seconds * 1e3).collect::<Vec<_>>());
        let inverse: Vec<f64> = timed.wall_seconds.iter().map(|seconds| 1.0 / seconds).collect();
        let ratios = timed.wall_seconds.iter().zip(&timed.product_seconds).map(|(step, products)| step / products);
        let steps_per_second = Spread::of(&inverse);
        let cells_per_second = steps_per_second.median * cells as f64;
        Self {
            device: device.to_owned(),
            model: model.to_owned(),
            genes,
            cells,
            steps_per_second,
            cells_per_second,
            epoch_seconds: EPOCH / cells_per_second,
            wall_ms: scaled(&timed.wall_seconds),
            cpu_ms: scaled(&timed.cpu_seconds),
            over_products: Spread::of(&ratios.collect::<Vec<_>>()),
            first_step_seconds: timed.first_step,
            traffic: timed.traffic,
            peak_mib: peak_memory(),
        }
    }
}

impl Bench {
    /// The scalars of each line under `bench/MODEL/DEVICE/GENES_genes/…`, at the number of cells.
    fn log(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|reason| Error::file(dir, "create", reason))?;
        let failed = |reason| Error::file(dir, "write events in", reason);
        let mut events = Events::create(dir, 0).map_err(failed)?;
        for row in &self.rows {
            let name = |what: &str| format!("bench/{}/{}/{}_genes/{what}", row.model, row.device, row.genes);
            let values = [
                ("steps_per_second", row.steps_per_second.median),
                ("cells_per_second", row.cells_per_second),
                ("wall_ms", row.wall_ms.median),
                ("over_products", row.over_products.median),
                ("first_step_seconds", row.first_step_seconds),
            ];
            events.scalars(row.cells as u64, &values.map(|(what, value)| (name(what), value))).map_err(failed)?;
        }
        Ok(())
    }
}

/// A table in Markdown.
impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} threads; medians of {} stretches, in brackets the range\n", self.threads, self.repeats)?;
        writeln!(
            f,
            "| device | model | genes | cells | steps/s | cells/s | s per epoch of 10,000 cells | wall ms / step | CPU ms / step \
             | step / its matrix products | launches, writes, reads / step | first step, s | peak MiB |"
        )?;
        write!(f, "|{}", " --- |".repeat(13))?;
        for row in &self.rows {
            let Spread { median, least, largest } = row.steps_per_second;
            let steps = format!("{} ({}–{})", short(median), short(least), short(largest));
            let traffic = row.traffic.map_or_else(
                || "–".to_owned(),
                |TrafficPerStep { launches, uploads, read_backs }| {
                    format!("{}, {}, {}", short(launches), short(uploads), short(read_backs))
                },
            );
            let peak = row.peak_mib.map_or_else(|| "not known".to_owned(), |mib| format!("{mib:.0}"));
            write!(
                f,
                "\n| {} | {} | {} | {} | {steps} | {:.0} | {} | {} | {} | {:.2} | {traffic} | {} | {peak} |",
                row.device,
                row.model,
                row.genes,
                row.cells,
                row.cells_per_second,
                short(row.epoch_seconds),
                short(row.wall_ms.median),
                short(row.cpu_ms.median),
                row.over_products.median,
                short(row.first_step_seconds),
            )?;
        }
        Ok(())
    }
}

/// Three digits.
fn short(value: f64) -> String {
    let decimals = if value >= 99.5 {
        0
    } else if value >= 9.95 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

/// Begins a new maximum of memory, where the system can.
fn forget_peak_memory() {
    // Where it cannot, the maximum is that of all lines so far.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_memory() -> Option<f64> {
    told_by_system("/proc/self/status", "VmHWM:")?
        .split_whitespace()
        .next()?
        .parse::<f64>()
        .ok()
        .map(|kib| kib / 1024.0)
}
