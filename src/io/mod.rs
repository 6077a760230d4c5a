//! Files in and out: AnnData's `.h5ad`.
//!
//! [`read()`] gives what velocity needs, [`CellStream`] the counts of some cells at a time, [`write_fit`] and its like put results
//! into a copy of the input, [`FittedFile`] is how a fit is read back, [`write_new`] makes a file from nothing, [`write_extras`] adds counts from elsewhere, [`describe()`] says what
//! is in one; [`LayeredFile`], [`Molecules`] and [`FeatureMatrix`] are counts as other programs leave them. Only this module knows HDF5. Which keys there are, [`crate::data::quantities`] says.

mod atomic;
mod check;
mod chunks;
mod create;
mod deflate;
mod describe;
mod element;
mod evidence;
mod extras;
mod features;
mod filters;
mod fitted;
mod foreign;
mod frame;
mod gather;
mod h5;
mod layered;
mod lengths;
mod marks;
mod matrix;
mod molecules;
mod names;
mod neighbors;
mod numbers;
mod of_fit;
mod pieces;
mod place;
mod raw;
mod read;
mod record;
mod records;
mod screen;
mod sparse;
mod stamp;
mod store;
mod stream;
mod stuck;
mod subset;
mod system;
mod uns;
mod velocities;
mod write;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use create::{NewFile, write_new};
pub use describe::{ColumnDescription, Description, MatrixDescription, describe};
pub use extras::{Extras, Outline, outline, write_extras};
pub use features::FeatureMatrix;
pub use fitted::{FittedFile, read_layer};
pub use foreign::{Foreign, foreign};
pub use gather::{Gathered, gather};
pub use h5::is_hdf5;
#[doc(hidden)]
pub use h5::options as h5_options;
pub use layered::{FileKind, LayeredFile, file_kind};
pub use marks::{Marks, marks};
pub use molecules::{Feature, Library, MoleculeBlock, Molecules};
pub use names::known_pair;
pub use read::{Sizes, check_counts, read, read_without_neighbors, sizes};
pub use records::{Owner, STOCHASTIC};
pub use stamp::Stamp;
pub(crate) use stamp::number as file_number;
pub use store::{neighbors_record, write_fit, write_graph, write_permutation, write_streamed_fit};
pub use stream::CellStream;
pub(crate) use stuck::watch_for_stuck_calls;
pub(crate) use system::told_by_system;
pub use uns::Uns;
pub use write::Written;

use crate::data::quantities::{self, About, SPLICED, Slot, UNSPLICED, Writer};
use crate::error::{Result, require};

/// `[input]`: what in the file is what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputConfig {
    /// Name of the layer with spliced counts.
    pub spliced: String,
    /// Name of the layer with unspliced counts.
    pub unspliced: String,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self { spliced: SPLICED.key().to_owned(), unspliced: UNSPLICED.key().to_owned() }
    }
}

/// Which genes the output file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenesWritten {
    /// All, unless one matrix of all genes would be over 256 MiB; then those that were fitted.
    #[default]
    Auto,
    /// All genes of the input; results of genes that were not fitted are NaN.
    All,
    /// The genes that were fitted: `X`, `layers`, `var`, `varm` and `varp` are cut to them, `raw` is not.
    Fitted,
}

/// `[output]`: how the result is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// Genes in the output: `all` of the input (NaN where not fitted), `fitted`, or `auto`: all, unless one matrix of
    /// all genes would be over 256 MiB.
    pub genes: GenesWritten,
    /// Layers in the output: `needed` (those that the next commands and scVelo read), `all`, or names of others to
    /// add, separated by commas (`fit_u,fit_s`).
    pub layers: String,
    /// gzip level of what is added to the file, 0 (none) to 9.
    pub compression: u8,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self { genes: GenesWritten::Auto, layers: NEEDED.to_owned(), compression: 2 }
    }
}

/// [`OutputConfig::layers`]: the layers that the next commands and scVelo read.
const NEEDED: &str = "needed";
/// [`OutputConfig::layers`]: all layers that the model has.
const ALL: &str = "all";

impl InputConfig {
    /// Fails if one layer is named for both species, which would be fitted without a word.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting).
    pub fn validate(&self) -> Result<()> {
        let differ = self.spliced != self.unspliced;
        require(differ, "input.unspliced", format!("{:?}", self.unspliced), "must be another layer than input.spliced")
    }
}

impl OutputConfig {
    /// Fails unless every setting has a value that it can have.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting).
    pub fn validate(&self) -> Result<()> {
        let known = |name: &str| quantities::ALL.iter().any(|about| about.slot == Slot::Layers && about.key == name);
        let unknown = self.names().find(|name| ![NEEDED, ALL].contains(name) && !known(name));
        let names =
            quantities::ALL.iter().filter(|about| about.slot == Slot::Layers && about.writer >= Writer::Preprocess);
        let names: Vec<&str> = names.map(|about| about.key).collect();
        let wanted =
            format!("must be \"needed\", \"all\", or names of layers separated by commas: {}", names.join(", "));
        require(unknown.is_none(), "output.layers", format!("{:?}", self.layers), &wanted)?;
        require(self.compression <= 9, "output.compression", self.compression, "must be a gzip level, 0 to 9")
    }

    /// Whether a quantity is to be written. Only layers can be left out: the rest is small.
    #[must_use]
    pub fn wants(&self, quantity: &About) -> bool {
        quantity.slot != Slot::Layers || quantity.needed || self.names().any(|name| name == ALL || name == quantity.key)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.split(',').map(str::trim).filter(|name| !name.is_empty())
    }
}

/// Fails early where [`write_fit`] would fail late: if no file can be made at `output`.
///
/// # Errors
/// [`Error::File`](crate::Error::File) with the system's reason.
pub fn check_writable(output: &Path) -> Result<()> {
    atomic::AtomicFile::begin(output).map(drop)
}
