//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require, within, within_or_0};

/// Largest exponent of the kernel: e^{80} is a number in single precision.
pub(super) const STEEPEST: f64 = 80.0;

/// `[embedding]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// `[embedding.projection]`.
    pub projection: ProjectionSettings,
    /// `[embedding.field]`.
    pub field: FieldSettings,
    /// `[embedding.umap]`.
    pub umap: UmapSettings,
}

impl EmbeddingConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the value out of its range.
    pub fn validate(&self) -> Result<()> {
        self.projection.validate()?;
        self.field.validate()?;
        self.umap.validate()
    }
}

/// `[embedding.projection]`: from the velocity graph to arrows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionSettings {
    /// λ in `e^{λπ}`, which turns similarities π into transition probabilities.
    pub kernel_scale: f64,
    /// Whether cells may stay where they are; a cell with a low similarity to all its neighbours then gets a short
    /// arrow.
    pub self_transitions: bool,
    /// Whether cells with a negative similarity push the arrow away; false: they attract it a little.
    pub negative_cosines: bool,
    /// What is subtracted so that arrows do not point to where cells are dense: `row_mean` (scVelo), `one_over_k`
    /// (its paper) or `none`.
    pub density_correction: DensityCorrection,
    /// Additional weights of the displacement vectors: `plain`: none; `kernel`: Gaussian of their length on the
    /// embedding; `confidence`: none, but the arrow is multiplied by the cell's largest similarity.
    pub weighting: Weighting,
    /// Length of the displacement vectors on the embedding: `unit`: scaled to 1; `full`: as it is (scVelo's
    /// `retain_scale`).
    pub displacement: Displacement,
}

/// What is subtracted so that arrows do not point to where cells are dense; K is the number of cells with a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DensityCorrection {
    /// The row's mean transition, times the sum of the directions: what scVelo's program does.
    RowMean,
    /// 1/K, times the sum of the directions: the paper's formula. Equal to the former where a row sums to 1.
    OneOverK,
    /// Nothing.
    None,
}

/// Weights of the displacement vectors to other cells, beside their transition probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// None.
    Plain,
    /// A Gaussian of their length on the embedding, with the cell's median length as standard deviation: neighbours that the
    /// embedding has placed far away get little weight.
    Kernel,
    /// None, but the arrow is multiplied by the cell's confidence, its largest positive similarity.
    Confidence,
}

/// Length of the displacement vectors to other cells on the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Displacement {
    /// 1: only their directions are used.
    Unit,
    /// Their length on the embedding. The arrow is then multiplied by a factor in [0, 1]: how far the cell's velocity goes towards
    /// the mean state of the cells that it may move to (scVelo's `retain_scale`).
    Full,
}

impl Default for ProjectionSettings {
    /// scVelo's: λ = 10, self-transitions, negative cosines, the row's mean, directions only.
    fn default() -> Self {
        Self {
            kernel_scale: 10.0,
            self_transitions: true,
            negative_cosines: true,
            density_correction: DensityCorrection::RowMean,
            weighting: Weighting::Plain,
            displacement: Displacement::Unit,
        }
    }
}

impl ProjectionSettings {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the kernel is not steep, or so steep that its weights overflow.
    pub fn validate(&self) -> Result<()> {
        let why = "steeper weights are no numbers in single precision";
        within("embedding.projection.kernel_scale", self.kernel_scale, 1e-6..=STEEPEST, why)
    }
}

/// `[embedding.field]`: from arrows of cells to arrows on a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSettings {
    /// Rule by which arrows are left out: `stream`: for streamlines; `grid`: for arrows on a grid.
    pub kind: FieldKind,
    /// Density of the grid; 1: 50 points per axis.
    pub density: f64,
    /// S.d. of the Gaussian weights of cells, in units of the grid spacing.
    pub smooth: f64,
    /// Number of nearest cells averaged at each grid point; 0: one fiftieth of all cells.
    pub n_neighbors: usize,
    /// Threshold below which arrows are left out: stream: length 10^(`min_mass` − 6); grid: density of cells in % of
    /// its 99th percentile.
    pub min_mass: f64,
    /// `stream`: percentage of grid points left out because the velocities near them are the shortest.
    pub cutoff_percentile: f64,
}

/// Which arrows of a field are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// For a grid of arrows: those where the density of cells is at most `min_mass` % of its 99th percentile.
    Grid,
    /// For streamlines: those shorter than 10^(`min_mass` − 6), and those where the velocities of the cells near them are short.
    Stream,
}

impl Default for FieldSettings {
    /// scVelo's streamlines: 50 points per axis, a width of half the spacing, a fiftieth of the cells.
    fn default() -> Self {
        Self {
            kind: FieldKind::Stream,
            density: 1.0,
            smooth: 0.5,
            n_neighbors: 0,
            min_mass: 1.0,
            cutoff_percentile: 5.0,
        }
    }
}

impl FieldSettings {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the grid has less than 2 or more than 2000 places per axis, or a number
    /// is out of its range.
    pub fn validate(&self) -> Result<()> {
        let density = (0.04..=40.0).contains(&self.density);
        require(density, "embedding.field.density", self.density, "must be between 0.04 and 40")?;
        within("embedding.field.smooth", self.smooth, 0.01..=100.0, "it is in units of the grid spacing")?;
        let mass = (0.0..=100.0).contains(&self.min_mass);
        require(mass, "embedding.field.min_mass", self.min_mass, "must be between 0 and 100")?;
        let cutoff = (0.0..=100.0).contains(&self.cutoff_percentile);
        let key = "embedding.field.cutoff_percentile";
        require(cutoff, key, self.cutoff_percentile, "must be between 0 and 100")
    }

    /// Places per axis.
    #[must_use]
    pub fn n_places(&self) -> usize {
        (50.0 * self.density) as usize
    }
}

/// `[embedding.umap]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UmapSettings {
    /// Distance on the embedding below which cells count as touching; at most `spread`.
    pub min_dist: f64,
    /// Scale of the embedding: distance over which similarity falls to 1/e beyond `min_dist`.
    pub spread: f64,
    /// Number of epochs (passes over the neighbour graph); 0: 500, or 200 above 10,000 cells.
    pub n_epochs: usize,
    /// Number of random cells that repel a cell for each neighbour that attracts it.
    pub negative_samples: usize,
    /// Initial learning rate; it falls to 0.
    pub learning_rate: f64,
}

impl Default for UmapSettings {
    /// scanpy's.
    fn default() -> Self {
        Self { min_dist: 0.5, spread: 1.0, n_epochs: 0, negative_samples: 5, learning_rate: 1.0 }
    }
}

impl UmapSettings {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming the value out of its range; `min_dist` is at most `spread`.
    pub fn validate(&self) -> Result<()> {
        within("embedding.umap.spread", self.spread, 1e-3..=1000.0, "the embedding is in single precision")?;
        let near = (0.0..=self.spread).contains(&self.min_dist);
        require(near, "embedding.umap.min_dist", self.min_dist, "must be between 0 and spread")?;
        within("embedding.umap.learning_rate", self.learning_rate, 1e-6..=10.0, "cells move by about as much a step")?;
        let why = "each is a pass over the neighbour graph";
        within_or_0("embedding.umap.n_epochs", self.n_epochs, 1..=10_000, ("by the number of cells", why))?;
        within(
            "embedding.umap.negative_samples",
            self.negative_samples,
            0..=1000,
            "so many cells repel a cell in each step",
        )
    }

    /// Passes over the graph of `n_obs` cells.
    #[must_use]
    pub fn epochs(&self, n_obs: usize) -> usize {
        match self.n_epochs {
            0 if n_obs > 10_000 => 200,
            0 => 500,
            n_epochs => n_epochs,
        }
    }
}
