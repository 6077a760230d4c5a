//! The words that users type.

mod after;
mod explain;
mod gather;
mod genes;
mod import;
mod merge;
mod settings;
mod shell;
mod signals;
mod tables;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use self::after::{Compare, Graph, Report};
use self::explain::Explain;
use self::gather::Gather;
use self::import::Import;
use self::merge::Merge;
use self::shell::{Completions, Man};
use crate::config::Config;
use crate::data::Stop;
use crate::error::{Error, Result};
use crate::exchange::{self, Shard};
use crate::import as sources;
use crate::io::OutputConfig;
use crate::permutation::Choice;
use crate::pipeline::{self, Job, PermuteJob};
use crate::progress::{Terminal, emphasised, plain};
use crate::report::put;
use crate::simulate::SimulateConfig;

/// RNA velocity: from spliced and unspliced counts to where each cell is heading.
///
/// Reads and writes AnnData .h5ad files under the names that scVelo, scanpy and CellRank use.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  nascent import Solo.out --output counts.h5ad
  nascent merge processed.h5ad counts.h5ad --output merged.h5ad
  nascent train --input pancreas.h5ad --output velocity.h5ad
  nascent train velovae_basic --input pancreas.h5ad --output velocity.h5ad --seed 1
  nascent inspect velocity.h5ad
  nascent explain velocity.h5ad --genes Gad1,Sox2
  nascent simulate --cells 1000 --genes 300 --branches 2 --output simulated.h5ad
  nascent evaluate velocity.h5ad --json";

#[derive(Debug, Subcommand)]
enum Command {
    /// Fit a velocity model to the counts in a file and write the velocities
    Train(Train),
    /// Simulate counts with known rates, times and velocities
    Simulate(Simulate),
    /// Measure how well the fit in a file explains the data, and how close it is to the truth of a simulation
    Evaluate(Evaluate),
    /// Test each gene of a trained run against permuted data: do the data support velocities at all?
    Permute(Permute),
    /// Compute the velocity graph of a fitted file (of nascent, scVelo or veloVI), and arrows, times and scores from it
    Graph(Graph),
    /// Write a report of a fitted file with a velocity graph: one page that opens offline, and all pictures
    Report(Report),
    /// Compare several fits of the same cells: where do their velocities agree?
    Compare(Compare),
    /// Get spliced and unspliced counts out of what a pipeline wrote: velocyto, STARsolo, Cell Ranger, kb, alevin-fry, nf-core, Parse
    Import(Import),
    /// Add spliced and unspliced counts to a file that already has its clusters and embedding
    Merge(Merge),
    /// Put a file that reaches into other files, by links or virtual datasets, into one
    Gather(Gather),
    /// Say what a file or folder is, whether it is ready for velocity, and which command gets it there
    Inspect(Inspect),
    /// Say of each gene whether it is kept, and which filter took it otherwise
    Explain(Explain),
    /// Print the settings of a model, each with what it does, as a file to begin from
    Settings(settings::Settings),
    /// List every key that a file can hold: what it is, its unit, which model or command writes it
    Keys,
    /// List the devices that this build can compute on, with the GPUs of this machine, and which `auto` is
    Devices,
    /// Measure the speed of VeloVAE's training steps on each device of this build and machine
    Bench(Bench),
    /// Print completions of commands and flags for a shell
    #[command(hide = true)]
    Completions(Completions),
    /// Print the manual page, or write those of all commands
    #[command(hide = true)]
    Man(Man),
}

/// Settings are the defaults of the model, overridden by CONFIG, overridden by flags. The settings used are saved as
/// `config.toml` in the run's folder, beside checkpoints, `metrics.jsonl` and TensorBoard events.
#[derive(Args, Debug)]
struct Train {
    /// Settings in TOML, or the name of a model or variant: those that `nascent settings NAME` prints [default: soft_grid]
    config: Option<PathBuf>,
    /// The .h5ad file with spliced and unspliced counts
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The .h5ad file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Exactly these genes are fitted, whatever filters say: all, a true/false column of var, or a file with one gene per line (of one
    /// name, column:NAME and ./NAME) [default: those that preprocessing chooses]
    #[arg(long, value_name = "all|COLUMN|FILE")]
    genes: Option<String>,
    /// The run's folder [default: the output's name with .run instead of .h5ad]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Continue the run from its last checkpoint
    #[arg(long)]
    resume: bool,
    /// Afterwards, also do what `nascent graph` and `nascent report` do
    #[arg(long)]
    report: bool,
    /// Where to compute: auto, cpu, flex, ndarray, wgpu, vulkan, cuda, or one of several by its number, as wgpu:1 (see: nascent devices)
    #[arg(long, value_name = "D")]
    device: Option<String>,
    /// Memory for the whole run, as 4GB: cells that do not fit are read from the file while others are trained on [default: all
    /// cells are kept]
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Share the fit with other processes, of which this is the I-th of N: start all with the same command but for I, on machines that see the
    /// same files (soft grid on counts, dynamical model). Builds with MPI do so by themselves under mpirun
    #[arg(long, value_name = "I/N", conflicts_with = "resume")]
    shard: Option<Shard>,
    /// Seed of all random draws [default: 0]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Change one setting, as model.train.epochs=500; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Args, Debug)]
struct Simulate {
    /// Number of cells
    #[arg(long, value_name = "N", default_value_t = 1000)]
    cells: usize,
    /// Number of genes
    #[arg(long, value_name = "G", default_value_t = 300)]
    genes: usize,
    /// Number of lineages (branches of the trajectory) after a common trunk
    #[arg(long, value_name = "1|2|3", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    branches: u8,
    /// Seed of all random draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// How counts are drawn: ode (negative binomial around the splicing ODE) or gillespie (single molecules, made in bursts)
    #[arg(long, value_name = "ode|gillespie", default_value = "ode")]
    process: String,
    /// Fraction of genes that start at their "on" steady state and are switched off early
    #[arg(long, value_name = "SHARE", default_value_t = SimulateConfig::default().repressed)]
    repressed: f64,
    /// Mean number of molecules per burst of transcription, at least 1 (gillespie)
    #[arg(long, value_name = "B", default_value_t = SimulateConfig::default().burst)]
    burst: f64,
    /// Capture efficiency: fraction of molecules that are counted, above 0 and at most 1
    #[arg(long, value_name = "P", default_value_t = SimulateConfig::default().capture)]
    capture: f64,
    /// Samples, as U:S,U:S: shares of the unspliced and spliced molecules counted that each keeps (1:1,0.4:0.8)
    #[arg(long, value_name = "U:S", value_delimiter = ',', value_parser = shares)]
    samples: Vec<[f64; 2]>,
    /// Share of the cells that are dealt to the samples in turn; of the others, the earliest are in the first sample, and so on
    #[arg(long, value_name = "SHARE", default_value_t = SimulateConfig::default().sample_overlap)]
    sample_overlap: f64,
    /// Overdispersion D of the counts: mean m, variance m + D m² (ode)
    #[arg(long, value_name = "D", default_value_t = SimulateConfig::default().dispersion)]
    dispersion: f64,
    /// Do not write the dense layers with true abundances and velocities, nor X: for very many cells
    #[arg(long)]
    no_truth_layers: bool,
    /// gzip level of the file, 0 (none) to 9
    #[arg(long, value_name = "LEVEL", default_value_t = OutputConfig::default().compression)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=9))]
    compression: u8,
    /// The .h5ad file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
#[command(after_help = TRUTH)]
struct Evaluate {
    /// A file written by `nascent train`
    file: PathBuf,
    /// What is known of the data: a JSON file that names columns and layers with the truth, see below
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Which of the truth file's entries it is [default: that of FILE's name]
    #[arg(long, value_name = "NAME", requires = "truth")]
    truth_entry: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const TRUTH: &str = "\
The truth file is an object, or a list of objects each with the \"file\" it is about. All keys may be left out:
  time_key             column of obs with true times, days, or stages with numbers: their order is compared
  cyclic_key, period   column of obs with times on a circle, and its length
  cluster_key, edges   column of obs with groups, and known steps: [[\"stem\", \"early\"], [\"early\", \"late\"]]
  velocity_layer       layer with true velocities, in any unit
  mean_velocity_layer  the same without molecular noise: compared instead
  genes_key            column of var with True for the genes whose velocities are compared
  kind                 real, simulated or null (nothing has a direction)
Run `nascent graph` before, so that models without a time of their own are compared by their velocity pseudotime.";

/// Within each group of cells, the abundances of every gene are permuted. The trained model reconstructs the data and the
/// permuted data. A gene's score compares the two reconstruction errors; it is added to the fitted file as
/// `permutation_score`, together with the score of a null distribution.
#[derive(Args, Debug)]
struct Permute {
    /// The .h5ad file that the run was trained on
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The .h5ad file that the run wrote; the scores are added to it
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// The run's folder [default: the output's name with .run instead of .h5ad]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Column of obs with groups of cells, such as cell types
    #[arg(long, value_name = "COLUMN")]
    groups: String,
    /// Use the first 200 cells of each group, as veloVI does, instead of 200 at random
    #[arg(long)]
    first: bool,
    /// Write the scores of all genes in all groups to a tab-separated table
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Inspect {
    /// Any .h5ad file, or what a pipeline wrote: .loom, .h5, a folder
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Settings in TOML, as for train: of them, the table input is read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, as input.spliced=NAME; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Args, Debug)]
struct Bench {
    /// Devices (`nascent devices` lists them) [default: all of this build]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    device: Vec<String>,
    /// Models: velovae, velovae_counts, velovi [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    model: Vec<String>,
    /// Numbers of genes
    #[arg(long, value_name = "G", value_delimiter = ',', default_values_t = [500, 2000])]
    genes: Vec<usize>,
    /// Numbers of cells per step
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [128, 512, 4096])]
    cells: Vec<usize>,
    /// Stretches of steps; of each figure the median is told
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeats: usize,
    /// Least duration of a stretch
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Write the figures as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures for TensorBoard into this folder, too
    #[arg(long, value_name = "DIR")]
    logdir: Option<PathBuf>,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever stopped the command.
    pub fn run(self) -> Result<()> {
        let stop = signals::heeded();
        crate::io::watch_for_stuck_calls(|error| signals::end(error));
        match self.command {
            Command::Train(options) => options.run(stop),
            Command::Simulate(options) => options.run(),
            Command::Evaluate(options) => options.run(),
            Command::Permute(options) => options.run(),
            Command::Graph(options) => options.run(),
            Command::Report(options) => options.run(),
            Command::Compare(options) => options.run(),
            Command::Import(options) => options.run(),
            Command::Merge(options) => options.run(),
            Command::Gather(options) => options.run(),
            Command::Inspect(options) => options.run(),
            Command::Explain(options) => options.run(),
            Command::Settings(options) => options.run(),
            Command::Keys => print(pipeline::keys().trim_end()),
            Command::Devices => print(&pipeline::devices().join("\n")),
            Command::Bench(options) => options.run(),
            Command::Completions(options) => options.run(),
            Command::Man(options) => options.run(),
        }
    }
}

impl Train {
    fn run(self, stop: Stop) -> Result<()> {
        use_threads(self.threads)?;
        let mut overrides = self.set;
        overrides.extend(self.device.map(|device| format!("model.train.device={device:?}")));
        overrides.extend(self.memory.map(|memory| format!("model.train.memory={memory:?}")));
        overrides.extend(self.seed.map(|seed| format!("seed={seed}")));
        let mut config = Config::load(self.config.as_deref(), &overrides)?;
        if let Some(words) = &self.genes {
            genes::fit_only(words, &self.input, &mut config)?;
        }
        if self.report {
            pipeline::require_velocities(&config)?;
        }
        let job = Job {
            run: self.run.unwrap_or_else(|| self.output.with_extension("run")),
            input: self.input,
            output: self.output,
            resume: self.resume,
        };
        let team = exchange::team(self.shard, &job.output.with_extension("shards"), &stop)?;
        let is_alone = team.is_alone();
        let summary = match pipeline::train_shared(&config, &job, team, Box::<Terminal>::default(), stop) {
            Ok(Some(summary)) => summary,
            Ok(None) => return Ok(()),
            // MPI would wait for the others at the end of the program, and they for what this process was to say.
            Err(error) if !is_alone => signals::end(&error),
            Err(error) => return Err(error),
        };
        print(&summary.to_string())?;
        if !self.report {
            return Ok(());
        }
        Graph { file: job.output.clone(), seed: self.seed, ..Graph::default() }.run()?;
        Report { file: job.output, run: Some(job.run), ..Report::default() }.run()
    }
}

/// Two shares, as in `0.4:0.8`.
fn shares(words: &str) -> std::result::Result<[f64; 2], String> {
    let pair = words.split_once(':').and_then(|(u, s)| Some([u.parse().ok()?, s.parse().ok()?]));
    pair.ok_or_else(|| "wanted two numbers, as in 0.4:0.8".to_owned())
}

impl Simulate {
    fn run(self) -> Result<()> {
        let config = SimulateConfig {
            cells: self.cells,
            genes: self.genes,
            branches: self.branches.into(),
            seed: self.seed,
            process: self.process.parse()?,
            truth_layers: !self.no_truth_layers,
            repressed: self.repressed,
            burst: self.burst,
            capture: self.capture,
            dispersion: self.dispersion,
            samples: self.samples,
            sample_overlap: self.sample_overlap,
            ..SimulateConfig::default()
        };
        let written = OutputConfig { compression: self.compression, ..OutputConfig::default() };
        pipeline::simulate(&config, &self.output, &written)?;
        print(&format!("wrote {}: {} cells, {} genes, with the truth", self.output.display(), self.cells, self.genes))
    }
}

impl Evaluate {
    fn run(self) -> Result<()> {
        if let Some(truth) = &self.truth {
            let found = pipeline::against(&self.file, truth, self.truth_entry.as_deref())?;
            return if self.json { print_json(&found) } else { print(&tables::truth(&found)) };
        }
        let evaluation = pipeline::evaluate(&self.file)?;
        if self.json { print_json(&evaluation) } else { print(&tables::scores(&evaluation)) }
    }
}

impl Permute {
    fn run(self) -> Result<()> {
        let job = PermuteJob {
            run: self.run.unwrap_or_else(|| self.output.with_extension("run")),
            input: self.input,
            output: self.output,
            groups: self.groups,
            choice: if self.first { Choice::First } else { Choice::Random },
        };
        let found = pipeline::permute(&job, Box::<Terminal>::default())?;
        if let Some(path) = &self.table {
            put(path, found.table().as_bytes())?;
        }
        print(&found.to_string())
    }
}

impl Inspect {
    fn run(self) -> Result<()> {
        let config = Config::load(self.config.as_deref(), &self.set)?;
        let found = sources::inspect(&self.file, &config.input, &mut Terminal::default())?;
        if self.json { print_json(&found) } else { print(&tables::inspection(&found)) }
    }
}

impl Bench {
    #[cfg(feature = "neural")]
    fn run(self) -> Result<()> {
        use_threads(self.threads)?;
        let job = pipeline::BenchJob {
            devices: self.device,
            models: self.model,
            genes: self.genes,
            cells: self.cells,
            repeats: self.repeats,
            seconds: self.seconds,
            logs: self.logdir,
        };
        let found = pipeline::bench(&job, |line| {
            // If stderr is gone, the table is still to be made.
            let _ = writeln!(std::io::stderr(), "{}", plain(line));
        })?;
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&found).map_err(|reason| Error::file(path, "write", reason))?;
            put(path, text.as_bytes())?;
        }
        print(&found.to_string())
    }

    #[cfg(not(feature = "neural"))]
    fn run(self) -> Result<()> {
        print("this build has no neural models to time")
    }
}

/// Prints an error as the user sees it.
pub fn complain(error: &Error) {
    let hint =
        error.hint().map_or_else(String::new, |hint| format!("\n{} {}", emphasised("hint:", "36"), plain(&hint)));
    // If stderr is gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{} {}{hint}", emphasised("error:", "31"), plain(&error.to_string()));
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|reason| Error::file("stdout".as_ref(), "write JSON", reason))?;
    // Escaped by JSON's own rules; of the letters that a terminal obeys it leaves those behind ASCII as they are.
    let escaped = text.chars().map(|letter| match letter {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(letter)),
        letter => letter.to_string(),
    });
    write(format!("{}\n", escaped.collect::<String>()).as_bytes())
}

/// What comes from files cannot command the terminal.
fn print(text: &str) -> Result<()> {
    write(format!("{}\n", plain(text)).as_bytes())
}

/// stdout is data: a reader that closes the pipe early (`head`) ends the output without a complaint.
fn write(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().write_all(bytes) {
        Err(reason) if reason.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::file("stdout".as_ref(), "write", reason))
        }
        _ => Ok(()),
    }
}

fn use_threads(threads: Option<u16>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    pool.map_err(|reason| Error::Setting {
        key: "--threads".to_owned(),
        value: threads.to_string(),
        wanted: format!("could not be used: {reason}"),
    })
}
