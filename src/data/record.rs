//! What a file says of itself: which program made what in it, with which settings. Versioned, for programs to read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::quantities::{Slot, path};
use super::{CaptureColumn, CaptureTimes, Frame, GenesUsed};

/// Version of the records' form. A reader takes records of this version and ignores others.
pub const FORMAT: u32 = 1;

/// What one unit of the abundances of a fit is: of `Ms`, `Mu`, and all that is in units of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentUnits {
    /// A molecule in a cell of median total: each species was divided by its own totals.
    #[default]
    SizeNormalised,
    /// A molecule in a cell of size 1, sizes being those that the model has inferred (`obs["cell_size"]`). Cells with more
    /// molecules in all keep more.
    CellSize,
    /// The range of the gene over cells: `Ms` and `Mu` run from 0 to 1.
    Scaled,
}

/// Where something that a command used came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It was in the file.
    #[default]
    File,
    /// It was computed.
    Computed,
}

/// The neighbours that a command used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighborsRecord {
    /// Where they came from.
    pub source: Source,
    /// Where in `uns` they are described.
    pub key: String,
    /// How many a cell has, itself included.
    pub n_neighbors: usize,
    /// Key in obsm of the embedding of the file in which they were sought, if one was asked for (`preprocess.use_rep`); else empty.
    #[serde(default)]
    pub use_rep: String,
    /// Column of obs with the batches in each of which a cell has as many, if that was asked for (`preprocess.batch`); else empty.
    #[serde(default)]
    pub batch: String,
}

/// How well a fit reconstructs its data, measured when it was made. Over the cells of each part: mean squared and absolute error,
/// and log-likelihood per cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "said above")]
pub struct ReconstructionRecord {
    pub mse_train: Option<f64>,
    pub mse_test: Option<f64>,
    pub mae_train: Option<f64>,
    pub mae_test: Option<f64>,
    pub ll_train: Option<f64>,
    pub ll_test: Option<f64>,
}

/// `uns["nascent_fit"]`: whose fit the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FitRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Program and version.
    pub program: String,
    /// The model, as in `[model] kind`.
    pub model: String,
    /// What made the velocities, as `velocity_params` has it.
    pub mode: String,
    /// Seed of all random draws.
    pub seed: u64,
    /// All settings, as in the config file.
    pub settings: Value,
    /// Fingerprint of the counts.
    pub input: String,
    /// What one unit of `Ms`, and of all that is in units of it, is.
    pub moments: MomentUnits,
    /// Column of obs with capture times that the model was told of; empty if none.
    pub capture_time: String,
    /// Whether the file was cut to the fitted genes.
    pub only_fitted_genes: bool,
    /// The neighbours used.
    pub neighbors: NeighborsRecord,
    /// How well the fit reconstructs the moments.
    pub reconstruction: ReconstructionRecord,
    /// Single facts of the model.
    pub facts: Map<String, Value>,
    /// What was written, as `layers/velocity`.
    pub written: Vec<String>,
    /// What the model has that was not written (see `output.layers`).
    pub left_out: Vec<String>,
}

impl FitRecord {
    /// Capture time of each cell of `obs`, as the model understood them; none if it was told of none.
    #[must_use]
    pub fn capture_times(&self, obs: &Frame) -> Option<Vec<f64>> {
        let words = self.settings.pointer("/model/capture_order").and_then(Value::as_array);
        let order: Vec<String> =
            words.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect();
        let given = CaptureColumn { column: &self.capture_time, order: &order };
        let times = CaptureTimes::read(obs, given).ok()?.of_cells();
        (!times.is_empty()).then_some(times)
    }

    /// The fit in one line, by which what was computed from it knows it.
    #[must_use]
    pub fn stamp(&self) -> String {
        format!("{}, {}, seed {}, {}", self.program, self.mode, self.seed, self.input)
    }
}

/// The root that times start from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RootRecord {
    /// From the velocities: where the reversed chain of transitions is stationary.
    #[default]
    Inferred,
    /// A cell that the user named.
    Cell {
        /// Its name.
        cell: String,
    },
    /// The cells with a label.
    Group {
        /// Column of obs.
        column: String,
        /// The label.
        label: String,
    },
    /// The cells for which a column is true.
    Flag {
        /// Column of obs.
        column: String,
    },
    /// The cells with the least value of a column, such as capture times.
    Earliest {
        /// Column of obs.
        column: String,
        /// The least value.
        value: f64,
    },
}

impl RootRecord {
    /// Whether the user said where time starts.
    #[must_use]
    pub fn is_given(&self) -> bool {
        *self != Self::Inferred
    }

    /// In words, with the number of cells.
    #[must_use]
    pub fn in_words(&self, n_cells: usize) -> String {
        let cells = match self {
            Self::Inferred => return "inferred: the stationary states of the reversed Markov chain".to_owned(),
            Self::Cell { cell } => return format!("cell {cell}, as given"),
            Self::Group { column, label } => format!("cells with {column} = {label}"),
            Self::Flag { column } => format!("cells with obs[{column:?}]"),
            Self::Earliest { column, value } => format!("cells with the least obs[{column:?}], {value}"),
        };
        format!("{cells}, {n_cells} in all, as given")
    }
}

/// The shared time of the genes that a graph has added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatentTimeRecord {
    /// Column of obs.
    pub key: String,
    /// How it was made.
    pub method: String,
}

/// `uns["nascent_graph"]`: what the velocity graph, times and scores were made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GraphRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// The fit that it was computed from ([`FitRecord::stamp`], or the mode of another program's).
    pub of: String,
    /// Program and version.
    pub program: String,
    /// All settings, as in the config file.
    pub settings: Value,
    /// The genes whose velocity was used.
    pub genes: GenesUsed,
    /// How many they are.
    pub n_genes: usize,
    /// How many were asked for but have no velocity in some cell.
    pub n_genes_unusable: usize,
    /// Key in obsm of the embedding that arrows are drawn on, without `X_`.
    pub basis: String,
    /// Column of obs with groups of cells; empty if there are none.
    pub groups: String,
    /// Where time starts.
    pub root: RootRecord,
    /// Number of cells that this means.
    pub n_root_cells: usize,
    /// The neighbours used.
    pub neighbors: NeighborsRecord,
    /// Parts of the data without transitions between them.
    pub n_components: usize,
    /// The shared time of the genes, if there is one.
    pub latent_time: Option<LatentTimeRecord>,
    /// Spearman correlation of latent time and velocity pseudotime, if there are both.
    pub time_spearman: Option<f64>,
    /// What was written, as `obs/velocity_length`.
    pub written: Vec<String>,
}

/// `uns["nascent_permutation"]`: what the permutation score was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PermutationRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// The fit that it was computed from ([`FitRecord::stamp`], or the mode of another program's).
    pub of: String,
    /// Program and version.
    pub program: String,
    /// Column of obs with groups of cells.
    pub groups: String,
    /// What was written, as `var/permutation_score`.
    pub written: Vec<String>,
}

/// This program and its version, as records have it.
pub const PROGRAM: &str = concat!("nascent ", env!("CARGO_PKG_VERSION"));

/// Whether what stands under `key` at `place` is among what was `written`.
#[must_use]
pub fn is_written(written: &[String], slot: Slot, key: &str) -> bool {
    written.contains(&path(slot, key))
}
