//! What can be set.

use serde::{Deserialize, Serialize};

use super::{Kernel, Measure};
use crate::error::{Result, require, within_or_0};

/// Largest exponent of the exponential kernel: e^{80} is a number in single precision, also when many are added.
const STEEPEST: f64 = 80.0;

/// `[graph]`: the velocity graph and the transition matrix made from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphConfig {
    /// Similarity of the velocity `v_i` with the displacement vectors `x_j − x_i`: `correlation` (scVelo, CellRank),
    /// `cosine`, or `dot_product` (only with the softmax kernel).
    pub similarity: Measure,
    /// Whether square roots of the entries are compared: `on`, `off`, or `auto`: where the stochastic model made the
    /// velocities (scVelo).
    pub square_root: SquareRoot,
    /// Cells j that a cell may move to: `two_levels`: its nearest neighbours and their neighbours (scVelo);
    /// `nearest`: its nearest neighbours; `connectivities`: all that it is connected with (CellRank).
    pub neighbors: Reach,
    /// Number of nearest neighbours used, of those in the file; 0: all. A cell that has fewer uses those that it has.
    pub n_neighbors: usize,
    /// Maximum number of cells that a cell may move to, drawn at random; 0: no limit.
    pub max_candidates: usize,
    /// Number of principal components of `Ms` in which displacement vectors and velocities are compared; 0: in the
    /// genes.
    pub n_pcs: usize,
    /// `[graph.transitions]`: from similarities to probabilities.
    pub transitions: TransitionConfig,
}

/// Whether square roots of the entries are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SquareRoot {
    /// Where the stochastic model made the velocities.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Where a cell may move to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Its nearest neighbours and theirs (scVelo).
    #[default]
    TwoLevels,
    /// Its nearest neighbours.
    Nearest,
    /// All cells that it is connected with (CellRank).
    Connectivities,
}

/// `[graph.transitions]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransitionConfig {
    /// Kernel that turns similarities into weights: `exponential` (scVelo), or `softmax` over all candidate cells
    /// (CellRank).
    pub kernel: KernelKind,
    /// λ in `e^{λπ}`, π being the similarity; 0: 10 for `exponential`, 1 / median of |π| for `softmax`.
    pub scale: f64,
    /// σ in `e^{π/σ²}`, given instead of `scale`; 0: not given.
    pub kernel_sigma: f64,
    /// `exponential`: whether a cell may stay where it is, the more probably the lower its largest similarity.
    pub self_transitions: bool,
    /// `exponential`: whether cells with a negative similarity get negative weights; false: they get none.
    pub negative: bool,
    /// Weight of undirected diffusion on the embedding, in [0, 1); used only if `scale_diffusion` is above 0.
    pub weight_diffusion: f64,
    /// Width of the Gaussian kernel on the embedding that multiplies the transitions, in units of the mean distance
    /// of candidate cells; 0: none.
    pub scale_diffusion: f64,
    /// Whether the transition matrix is written to the file.
    pub write: bool,
}

/// Kernel that turns similarities into weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelKind {
    /// `e^{λπ}`, scVelo's.
    #[default]
    Exponential,
    /// CellRank's: the same over all candidate cells, also those with a similarity of 0. A cell without velocity moves to each of them
    /// with the same probability.
    Softmax,
}

impl Default for GraphConfig {
    /// scVelo's choices.
    fn default() -> Self {
        Self {
            similarity: Measure::Correlation,
            square_root: SquareRoot::Auto,
            neighbors: Reach::TwoLevels,
            n_neighbors: 0,
            max_candidates: 0,
            n_pcs: 0,
            transitions: TransitionConfig::default(),
        }
    }
}

impl Default for TransitionConfig {
    /// scVelo's choices.
    fn default() -> Self {
        Self {
            kernel: KernelKind::Exponential,
            scale: 0.0,
            kernel_sigma: 0.0,
            self_transitions: true,
            negative: false,
            weight_diffusion: 0.0,
            scale_diffusion: 0.0,
            write: true,
        }
    }
}

impl GraphConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the setting.
    pub fn validate(&self) -> Result<()> {
        let most = self.max_candidates;
        require(most != 1, "graph.max_candidates", most, "must be 0 (no limit) or at least 2")?;
        let components =
            "must be 0 (in the genes) or at least 2: in one component vectors have no direction to be compared";
        require(self.n_pcs != 1, "graph.n_pcs", self.n_pcs, components)?;
        self.transitions.validate()?;
        let bounded = self.similarity != Measure::DotProduct || self.transitions.kernel == KernelKind::Softmax;
        let problem = "has no bound: choose graph.transitions.kernel = \"softmax\", whose scale adapts";
        require(bounded, "graph.similarity", "dot_product", problem)
    }
}

impl TransitionConfig {
    fn validate(&self) -> Result<()> {
        let name = |key: &str| format!("graph.transitions.{key}");
        // Similarities are at most 1, and e^{88} is the largest number in single precision; softmax takes the largest out first.
        let (steepest, why) = match self.kernel {
            KernelKind::Exponential => (STEEPEST, "steeper weights are no numbers in single precision"),
            KernelKind::Softmax => (1e6, "steeper ones leave each cell one way to go"),
        };
        within_or_0(&name("scale"), self.scale, 1e-6..=steepest, ("as the kernel has it", why))?;
        let narrowest = steepest.sqrt().recip();
        within_or_0(&name("kernel_sigma"), self.kernel_sigma, narrowest..=1e3, ("scale is used", why))?;
        let why = "it is in units of the mean distance of candidate cells";
        within_or_0(&name("scale_diffusion"), self.scale_diffusion, 0.05..=1e3, ("none", why))?;
        let both = self.scale > 0.0 && self.kernel_sigma > 0.0;
        require(!both, &name("kernel_sigma"), self.kernel_sigma, "cannot be given beside scale")?;
        let weight = self.weight_diffusion;
        require((0.0..1.0).contains(&weight), &name("weight_diffusion"), weight, "must be in [0, 1)")
    }

    /// λ where it was given, either way.
    #[must_use]
    pub fn given_scale(&self) -> Option<f64> {
        if self.kernel_sigma > 0.0 {
            return Some(self.kernel_sigma.powi(-2));
        }
        (self.scale > 0.0).then_some(self.scale)
    }

    /// The exponential kernel of these settings.
    #[must_use]
    pub fn exponential(&self) -> Kernel {
        Kernel { scale: self.given_scale().unwrap_or(Kernel::default().scale), negative: self.negative }
    }
}
