use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, require, within};

/// Three layers of this many f32 are 120 GB.
const MOST_ENTRIES: usize = 10_000_000_000;
/// Without the layers: counts of this many entries, one in five of them not zero, are 160 GB.
const MOST_ENTRIES_SPARSE: usize = 100_000_000_000;

/// Where the counts of a cell come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// Negative binomial counts, independent of each other, with the abundances of the splicing ODE as means.
    #[default]
    Ode,
    /// Single molecules: made in bursts of transcription, spliced and degraded at random times. Their means follow the ODE.
    Gillespie,
}

impl FromStr for Process {
    type Err = Error;

    /// The process called `word`, as in a settings file.
    fn from_str(word: &str) -> Result<Self> {
        match word {
            "ode" => Ok(Self::Ode),
            "gillespie" => Ok(Self::Gillespie),
            _ => Err(Error::Setting {
                key: "simulate.process".to_owned(),
                value: format!("{word:?}"),
                wanted: "must be ode or gillespie".to_owned(),
            }),
        }
    }
}

/// `[simulate]`: how much to draw, and how noisy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulateConfig {
    /// Number of cells, at least 1.
    pub cells: usize,
    /// Number of genes, at least 1.
    pub genes: usize,
    /// Number of lineages (branches of the trajectory): 1, or a common trunk that splits into 2 or 3.
    pub branches: usize,
    /// Seed of all random numbers.
    pub seed: u64,
    /// How counts are drawn: `ode`: negative binomial around the abundances of the splicing ODE; `gillespie`: as single molecules.
    pub process: Process,
    /// Whether the true abundances and velocities are kept: three dense layers, which limit `cells * genes` to 10^10.
    /// Without them memory is proportional to the number of nonzero counts (limit 10^11); the counts are the same.
    pub truth_layers: bool,
    /// The time axis is `[0, t_max]`, in units of 1/β.
    pub t_max: f64,
    /// Branch point, as a fraction of the time axis, in (0, 1); not used with one lineage.
    pub trunk: f64,
    /// Fraction of genes whose transcription depends on the lineage, in [0, 1]; not used with one lineage.
    pub lineage_genes: f64,
    /// Fraction of the genes that behave the same in all lineages (program `shared`) that are at their "on" steady state at time 0
    /// and are switched off in the first half of the time axis; in [0, 1].
    pub repressed: f64,
    /// `gillespie`: mean number of molecules per burst of transcription, from 1 (one at a time) to 10^6.
    pub burst: f64,
    /// `ode`: overdispersion d of the counts (mean m, variance m + d m²), in [0, 100]. Below 1e-9 the counts are Poisson.
    /// With `gillespie`, overdispersion comes from the bursts alone.
    pub dispersion: f64,
    /// Capture efficiency: fraction of molecules that are counted in a cell of size 1, in (0, 1]; with `gillespie` it is at most 1 in
    /// every cell.
    pub capture: f64,
    /// Share of the unspliced and of the spliced molecules that is kept in each sample, of those that `capture` has counted, in (0, 1];
    /// Empty: one sample, which keeps all. Cells, genes and what is counted before are the same.
    pub samples: Vec<[f64; 2]>,
    /// Share of the cells that are dealt to the samples in turn, in [0, 1]; of the others, the earliest are in the first sample, and so on.
    pub sample_overlap: f64,
    /// S.d. of the logarithm of the cells' size factors, in [0, 5].
    pub depth_sd: f64,
    /// Number of capture times (days at which cells are collected): equal parts of the time axis.
    pub capture_days: usize,
    /// S.d. of the difference between a cell's time and its capture time, in days.
    pub capture_noise: f64,
}

impl Default for SimulateConfig {
    fn default() -> Self {
        Self {
            cells: 1000,
            genes: 500,
            branches: 1,
            seed: 0,
            process: Process::Ode,
            truth_layers: true,
            t_max: 20.0,
            trunk: 0.4,
            lineage_genes: 0.5,
            repressed: 0.0,
            burst: 5.0,
            dispersion: 0.1,
            capture: 0.5,
            samples: Vec::new(),
            sample_overlap: 1.0,
            depth_sd: 0.3,
            capture_days: 5,
            capture_noise: 0.5,
        }
    }
}

impl SimulateConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first one outside its range.
    pub fn validate(&self) -> Result<()> {
        let in_32_bits = |n: usize| n >= 1 && u32::try_from(n).is_ok();
        let size = "must be at least 1 and below 2^32";
        require(in_32_bits(self.cells), "simulate.cells", self.cells, size)?;
        require(in_32_bits(self.genes), "simulate.genes", self.genes, size)?;
        let (most, wanted) = if self.truth_layers {
            (MOST_ENTRIES, "must be at most 10^10 / simulate.genes, for the true layers are dense")
        } else {
            (MOST_ENTRIES_SPARSE, "must be at most 10^11 / simulate.genes")
        };
        require(self.cells.saturating_mul(self.genes) <= most, "simulate.cells", self.cells, wanted)?;
        require((1..=3).contains(&self.branches), "simulate.branches", self.branches, "must be 1, 2 or 3")?;
        within("simulate.t_max", self.t_max, 1e-3..=1e6, "it is in units of 1 / beta")?;
        require(self.trunk > 0.0 && self.trunk < 1.0, "simulate.trunk", self.trunk, "must be between 0 and 1")?;
        require(
            (0.0..=1.0).contains(&self.lineage_genes),
            "simulate.lineage_genes",
            self.lineage_genes,
            "must be in [0, 1]",
        )?;
        require((1.0..=1e6).contains(&self.burst), "simulate.burst", self.burst, "must be from 1 to 10^6")?;
        require((0.0..=1.0).contains(&self.repressed), "simulate.repressed", self.repressed, "must be in [0, 1]")?;
        require(
            (0.0..=100.0).contains(&self.dispersion),
            "simulate.dispersion",
            self.dispersion,
            "must be in [0, 100]",
        )?;
        require(
            self.capture > 0.0 && self.capture <= 1.0,
            "simulate.capture",
            self.capture,
            "must be above 0 and at most 1",
        )?;
        let kept = |share: &f64| *share > 0.0 && *share <= 1.0;
        let wanted = "must hold shares above 0 and at most 1";
        let shown = format!("{:?}", self.samples);
        require(self.samples.iter().flatten().all(kept), "simulate.samples", shown, wanted)?;
        let (overlap, wanted) = (self.sample_overlap, "must be in [0, 1]");
        require((0.0..=1.0).contains(&overlap), "simulate.sample_overlap", overlap, wanted)?;
        require((0.0..=5.0).contains(&self.depth_sd), "simulate.depth_sd", self.depth_sd, "must be in [0, 5]")?;
        require(
            (1..=1000).contains(&self.capture_days),
            "simulate.capture_days",
            self.capture_days,
            "must be from 1 to 1000",
        )?;
        within("simulate.capture_noise", self.capture_noise, 0.0..=1e6, "it is a number of days")
    }

    /// When the lineages part; the end of the time axis if they never do.
    pub(super) fn t_branch(&self) -> f64 {
        if self.branches == 1 { self.t_max } else { self.trunk * self.t_max }
    }
}
