//! What can be set.

use serde::{Deserialize, Serialize};

use crate::error::{Result, require};

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
    /// λ, the steepness with which similarities become transition probabilities.
    pub kernel_scale: f64,
    /// Whether cells may stay where they are: the less a cell agrees with its best neighbour, the shorter its arrow.
    pub self_transitions: bool,
    /// Whether cells that a velocity points away from push its arrow; else they pull it a little.
    pub negative_cosines: bool,
    /// What is subtracted so that arrows do not point to where cells are many.
    pub density_correction: DensityCorrection,
    /// How the ways to other cells are weighted besides.
    pub weighting: Weighting,
    /// How long the ways to other cells count as.
    pub displacement: Displacement,
}

/// What is subtracted so that arrows do not point to where cells are many; K is the number of cells with a transition.
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

/// How the ways to other cells are weighted besides their transition probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// Not at all.
    Plain,
    /// By a Gaussian of their length in the embedding, of which the standard deviation is the cell's median length: cells that
    /// an embedding tore away count little.
    Kernel,
    /// Not at all, and the arrow is multiplied by the cell's confidence, its largest positive similarity.
    Confidence,
}

/// How long the ways to other cells count as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Displacement {
    /// 1: only directions count.
    Unit,
    /// As long as they are in the embedding; the arrow is then multiplied by how far the cell's velocity goes towards the state
    /// that its transitions expect, in [0, 1] (scVelo's `retain_scale`).
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
        let steep = self.kernel_scale > 0.0 && self.kernel_scale <= STEEPEST;
        require(steep, "embedding.projection.kernel_scale", self.kernel_scale, "must be above 0 and at most 80")
    }
}

/// `[embedding.field]`: from arrows of cells to arrows on a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSettings {
    /// Which arrows are left out.
    pub kind: FieldKind,
    /// Places per axis, in units of 50.
    pub density: f64,
    /// Standard deviation of the cells' weights, in units of the grid's spacing.
    pub smooth: f64,
    /// Cells that an arrow is a mean of; 0 for a fiftieth of all.
    pub n_neighbors: usize,
    /// How much is left out, as `kind` says.
    pub min_mass: f64,
    /// Of a field for streamlines, the percentage of the grid left out because velocities around are short.
    pub cutoff_percentile: f64,
}

/// Which arrows of a field are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// For a grid of arrows: those with a mass of cells of at most `min_mass` % of the 99th percentile.
    Grid,
    /// For streamlines: those shorter than 10^(`min_mass` − 6), and where velocities around are short.
    Stream,
}

impl Default for FieldSettings {
    /// scVelo's streamlines: 50 places per axis, half a spacing, a fiftieth of the cells.
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
        let smooth = self.smooth > 0.0 && self.smooth.is_finite();
        require(smooth, "embedding.field.smooth", self.smooth, "must be above 0")?;
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
    /// Distance up to which cells count as touching, in units of `spread`'s.
    pub min_dist: f64,
    /// Distance over which similarity falls to 1/e beyond that.
    pub spread: f64,
    /// Passes over the graph; 0 for 500, or 200 where there are more than 10,000 cells.
    pub n_epochs: usize,
    /// Random cells that push a cell away for each that pulls it.
    pub negative_samples: usize,
    /// Part of a gradient that the first steps go; it falls to 0.
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
    /// [`Error::Setting`](crate::Error::Setting) unless `0 <= min_dist <= spread`, `0 < spread <= 1000` and
    /// `0 < learning_rate <= 10`.
    pub fn validate(&self) -> Result<()> {
        let spread = self.spread > 0.0 && self.spread <= 1000.0;
        require(spread, "embedding.umap.spread", self.spread, "must be above 0 and at most 1000")?;
        let near = (0.0..=self.spread).contains(&self.min_dist);
        require(near, "embedding.umap.min_dist", self.min_dist, "must be between 0 and spread")?;
        let rate = self.learning_rate > 0.0 && self.learning_rate <= 10.0;
        require(rate, "embedding.umap.learning_rate", self.learning_rate, "must be above 0 and at most 10")
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
