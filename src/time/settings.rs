//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require, within};

/// `[time]`: roots, pseudotime and latent time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeConfig {
    /// `[time.terminal]`.
    pub terminal: TerminalConfig,
    /// `[time.pseudotime]`.
    pub pseudotime: PseudotimeConfig,
    /// `[time.latent]`.
    pub latent: LatentConfig,
}

/// `[time.terminal]`: where cells begin and end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TerminalConfig {
    /// Smallest terminal state, as a fraction of all cells, in [0, 1): smaller sets of cells that reach only each
    /// other are ignored; 0: none is ignored (scVelo).
    pub min_share: f64,
    /// Largest probability per step of leaving a terminal state for good, in [0, 1] (scVelo: 0.001, and it finds none
    /// where the probability is larger).
    pub max_leak: f64,
    /// Eigenvalues within this relative distance of the leading one mark further terminal states, in [0, 1).
    pub tolerance: f64,
    /// Maximum number of eigenvectors per terminal state.
    pub n_eigenvectors: usize,
}

/// `[time.pseudotime]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PseudotimeConfig {
    /// Number of diffusion components.
    pub n_components: usize,
    /// Whether components with an eigenvalue of at least 0.9994 get weight 1, as in scVelo; this loses the order of
    /// cells along long, thin data.
    pub flatten_slow: bool,
}

/// `[time.latent]`: one time per cell from the times of its genes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatentConfig {
    /// How the times of the genes are combined into one per cell: `scvelo`: the two of five low quantiles that spread
    /// cells most evenly; `likelihood_mean` or `median` over genes, each in units of its longest time.
    pub method: LatentMethod,
    /// Genes with a smaller likelihood are not used.
    pub min_likelihood: f64,
    /// Cells whose time agrees less than this with that of their neighbours, in [0, 1], are left out of the mean over
    /// neighbours.
    pub min_confidence: f64,
    /// Which times each of several roots starts from: `shipped`: those left by the root before it, as in scVelo (the
    /// order of roots matters); `fixed`: the fitted ones.
    pub rerooting: Rerooting,
    /// Whether the weights of neighbours are normalised to 1 again after cells were left out; scVelo does not.
    pub renormalise_rows: bool,
}

/// How the times of the genes are combined into one per cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LatentMethod {
    /// The sum of two of five low quantiles over genes: those two that spread the cells most evenly.
    Scvelo,
    /// Mean over genes, each in units of its longest time, weighted by likelihood.
    LikelihoodMean,
    /// Median over genes, each in units of its longest time.
    Median,
}

/// From which times each of several roots starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rerooting {
    /// From those left by the root before it, as in scVelo 0.3.4: the order of the roots matters.
    Shipped,
    /// From the fitted times.
    Fixed,
}

impl Default for TerminalConfig {
    /// States of 1 % of the cells or more.
    fn default() -> Self {
        Self { min_share: 0.01, max_leak: 1.0, tolerance: 1e-3, n_eigenvectors: 10 }
    }
}

impl TerminalConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the value out of its range.
    pub fn validate(&self) -> Result<()> {
        let below_1 = |name: &str, value: f64| {
            require((0.0..1.0).contains(&value), &format!("time.terminal.{name}"), value, "must be in [0, 1)")
        };
        below_1("min_share", self.min_share)?;
        below_1("tolerance", self.tolerance)?;
        require((0.0..=1.0).contains(&self.max_leak), "time.terminal.max_leak", self.max_leak, "must be in [0, 1]")?;
        let n = self.n_eigenvectors;
        within("time.terminal.n_eigenvectors", n, 1..=1000, "their number bounds that of terminal states within one")
    }
}

impl Default for PseudotimeConfig {
    /// Ten components, as scVelo, of which only the first is stationary.
    fn default() -> Self {
        Self { n_components: 10, flatten_slow: false }
    }
}

impl PseudotimeConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there are fewer than two components: the first alone orders nothing.
    pub fn validate(&self) -> Result<()> {
        let why = "the first alone orders nothing, and each is a dense vector over all cells";
        within("time.pseudotime.n_components", self.n_components, 2..=1000, why)
    }
}

impl Default for LatentConfig {
    /// As scVelo 0.3.4.
    fn default() -> Self {
        Self {
            method: LatentMethod::Scvelo,
            min_likelihood: 0.1,
            min_confidence: 0.75,
            rerooting: Rerooting::Shipped,
            renormalise_rows: false,
        }
    }
}

impl LatentConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the value out of its range.
    pub fn validate(&self) -> Result<()> {
        let (likelihood, confidence) = (self.min_likelihood, self.min_confidence);
        within("time.latent.min_likelihood", likelihood, 0.0..=1.0, "no gene's likelihood is above 1")?;
        require((0.0..=1.0).contains(&confidence), "time.latent.min_confidence", confidence, "must be in [0, 1]")
    }
}

impl TimeConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the value out of its range.
    pub fn validate(&self) -> Result<()> {
        self.terminal.validate()?;
        self.pseudotime.validate()?;
        self.latent.validate()
    }
}
