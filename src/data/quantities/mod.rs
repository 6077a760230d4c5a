//! Every quantity that a file can hold, once: where it lies, its type, its unit, who writes it, what it is.
//!
//! The list itself is in `table.rs`. Everything that handles results follows from it: what a model returns
//! ([`Fit`](crate::data::Fit)), what is written and under which name, what a new fit removes, what is read back, and `docs/keys.md`.
//!
//! ```
//! use nascent::data::Fit;
//! use nascent::data::quantities::FIT_BETA;
//! use ndarray::array;
//!
//! let mut fit = Fit::of("my_model");
//! fit.set(FIT_BETA, array![0.1, 0.2]);
//! assert_eq!(fit[FIT_BETA][1], 0.2);
//! ```

mod finite;
mod kinds;
mod table;
mod values;

use std::fmt;
use std::marker::PhantomData;

pub(crate) use finite::none_infinite;
pub use kinds::{Graph, Kind, Labels, Matrix, Numbers, Record, Truths, Value, Words};
pub use table::*;
pub use values::Values;

/// A place of an AnnData object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Columns of cells, `[n_obs]`.
    Obs,
    /// Columns of genes, `[n_vars]`.
    Var,
    /// Matrices of cells and genes, `[n_obs, n_vars]`.
    Layers,
    /// Several numbers per gene, `[n_vars, …]`.
    Varm,
    /// Coordinates of cells, `[n_obs, …]`.
    Obsm,
    /// Graphs of cells, `[n_obs, n_obs]`.
    Obsp,
    /// Everything else.
    Uns,
}

impl Slot {
    /// All places, in the order in which they are shown.
    pub const ALL: [Self; 7] = [Self::Layers, Self::Obs, Self::Var, Self::Varm, Self::Obsm, Self::Obsp, Self::Uns];

    /// The name in AnnData and in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Obs => "obs",
            Self::Var => "var",
            Self::Layers => "layers",
            Self::Varm => "varm",
            Self::Obsm => "obsm",
            Self::Obsp => "obsp",
            Self::Uns => "uns",
        }
    }
}

/// The step that writes a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// Nobody here: the file brings it.
    Input,
    /// `nascent simulate`.
    Simulate,
    /// `nascent train`, before the model; `nascent graph`, where the file lacks neighbours or an embedding. Under a name that others use
    /// too, it is the user's own unless a record says that it was written here.
    Preprocess,
    /// `nascent train`: the model.
    Fit,
    /// `nascent permute`.
    Permute,
    /// `nascent graph`.
    Graph,
}

impl Writer {
    /// The command as users type it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "the file brings it",
            Self::Simulate => "simulate",
            Self::Preprocess => "train, or graph where the file lacks it",
            Self::Fit => "train",
            Self::Permute => "permute",
            Self::Graph => "graph",
        }
    }
}

/// What a number is counted in.
///
/// What a unit of `Ms` is, is decided by the model and stands in the file's record (`uns["nascent_fit"]["moments"]`, see
/// [`MomentUnits`](crate::data::MomentUnits)): everything of one fit that is in units of `Ms` is in the units of the `Ms` beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// No number, or a number without a unit.
    None,
    /// Molecules, as counted.
    Counts,
    /// As `layers["Mu"]`.
    Mu,
    /// As `layers["Ms"]`.
    Ms,
    /// As `layers["Mu"]`, per unit of the fit's time.
    MuPerTime,
    /// As `layers["Ms"]`, per unit of the fit's time.
    MsPerTime,
    /// The square of `Ms`.
    MsSquared,
    /// The moments before they were scaled to \[0, 1\].
    Unscaled,
    /// The fit's time: `latent_time` where there is one time per cell, else the gene's own.
    Time,
    /// 1 / the fit's time.
    PerTime,
    /// Molecules in a simulated cell of size 1, before noise.
    TrueCounts,
    /// The same per unit of the simulation's time.
    TrueCountsPerTime,
    /// The time of a simulation.
    TrueTime,
    /// 1 / the time of a simulation.
    PerTrueTime,
    /// From 0 to 1.
    Share,
    /// A cosine or a correlation, from −1 to 1.
    Cosine,
    /// Radians.
    Radians,
    /// Squared radians.
    SquaredRadians,
    /// Natural logarithms of a likelihood.
    Nats,
    /// Natural logarithms of a likelihood, per cell.
    NatsPerCell,
    /// As the coordinates of the embedding.
    Embedding,
    /// Standard errors.
    StandardErrors,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "–",
            Self::Counts => "counts",
            Self::Mu => "units of `Mu`",
            Self::Ms => "units of `Ms`",
            Self::MuPerTime => "units of `Mu` / time",
            Self::MsPerTime => "units of `Ms` / time",
            Self::MsSquared => "units of `Ms`, squared",
            Self::Unscaled => "size-normalised counts",
            Self::Time => "time of the fit",
            Self::PerTime => "1 / time",
            Self::TrueCounts => "molecules in a cell of size 1",
            Self::TrueCountsPerTime => "molecules in a cell of size 1 / time of the simulation",
            Self::TrueTime => "time of the simulation",
            Self::PerTrueTime => "1 / time of the simulation",
            Self::Share => "0 to 1",
            Self::Cosine => "−1 to 1",
            Self::Radians => "radians",
            Self::SquaredRadians => "squared radians",
            Self::Nats => "nats",
            Self::NatsPerCell => "nats per cell",
            Self::Embedding => "units of the embedding",
            Self::StandardErrors => "standard errors",
        })
    }
}

/// What is known of a quantity, whatever its values.
#[derive(Debug)]
pub struct About {
    /// Its name in the file. A `*` at the end stands for what the writer puts there (`velocity_*`: an embedding's name).
    pub key: &'static str,
    /// Where it lies.
    pub slot: Slot,
    /// Its type in words.
    pub kind: &'static str,
    /// What its numbers are counted in.
    pub unit: Unit,
    /// The step that writes it.
    pub writer: Writer,
    /// Whether scVelo, scanpy, CellRank or veloVI know it under this name; if not, the name is ours.
    pub known: bool,
    /// Whether it is written without being asked for. Only layers can be left out.
    pub needed: bool,
    /// What it is.
    pub doc: &'static str,
}

impl About {
    /// Whether `key` is a name of this quantity.
    #[must_use]
    pub fn is(&self, key: &str) -> bool {
        match self.key.strip_suffix('*') {
            Some(start) => key.strip_prefix(start).is_some_and(|rest| !rest.is_empty()),
            None => key == self.key,
        }
    }

    /// Its name in the file's record: `layers/velocity`.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        path(self.slot, key)
    }
}

/// The same quantity: the same name at the same place.
impl PartialEq for About {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.key == other.key
    }
}

/// The name of what stands under `key` at `place`, as records spell it: `layers/velocity`.
#[must_use]
pub fn path(slot: Slot, key: &str) -> String {
    format!("{}/{key}", slot.name())
}

/// What the list says of `key` at `place`; `None` of what is no quantity of ours.
#[must_use]
pub fn about(slot: Slot, key: &str) -> Option<&'static About> {
    // Names in full before names with an open end: `velocity_params` is no arrow.
    let at = |open: bool| {
        ALL.iter().copied().find(|about| about.slot == slot && about.key.ends_with('*') == open && about.is(key))
    };
    at(false).or_else(|| at(true))
}

/// A quantity whose values are of type `T`.
pub struct Quantity<T> {
    about: &'static About,
    values: PhantomData<fn() -> T>,
}

impl<T> Quantity<T> {
    const fn new(about: &'static About) -> Self {
        Self { about, values: PhantomData }
    }

    /// What is known of it.
    #[must_use]
    pub const fn about(self) -> &'static About {
        self.about
    }

    /// Its name in the file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.about.key
    }

    /// Its name with `rest` in the place of the `*`.
    #[must_use]
    pub fn named(self, rest: &str) -> String {
        format!("{}{rest}", self.about.key.trim_end_matches('*'))
    }
}

impl<T> Clone for Quantity<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Quantity<T> {}

impl<T> fmt::Debug for Quantity<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{:?}]", self.about.slot.name(), self.about.key)
    }
}
