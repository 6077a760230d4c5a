//! Files in and out: AnnData's `.h5ad`.
//!
//! [`read()`] gives what velocity needs, [`CellStream`] the counts of some cells at a time, [`write()`] adds results to a copy of the input, [`write_new`] makes a file
//! from nothing, [`describe()`] says what is in one. Only this module knows HDF5, and only [`keys`] spells AnnData's
//! keys.

mod atomic;
mod check;
mod chunks;
mod create;
mod describe;
mod element;
mod fitted;
mod frame;
mod h5;
pub mod keys;
mod matrix;
mod neighbors;
mod numbers;
mod place;
mod raw;
mod read;
mod record;
mod results;
mod sparse;
mod stream;
mod subset;
mod uns;
mod velocities;
mod write;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use create::{NewFile, write_new};
pub use describe::{ColumnDescription, Description, MatrixDescription, describe};
pub use fitted::{Fitted, read_fitted};
#[doc(hidden)]
pub use h5::options as h5_options;
pub use read::{has_layer, read, read_layer, read_obs, read_params, read_uns, read_var};
pub use results::{Layer, Results};
pub use stream::CellStream;
pub use uns::Uns;
pub use velocities::read_velocities;
pub use write::{Written, write, write_results};

use crate::error::{Result, require};

/// `[input]`: what in the file is what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputConfig {
    /// Layer with the spliced counts.
    pub spliced: String,
    /// Layer with the unspliced counts.
    pub unspliced: String,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self { spliced: keys::SPLICED.to_owned(), unspliced: keys::UNSPLICED.to_owned() }
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
    /// Which genes the file has: `auto`, `all` or `fitted`.
    pub genes: GenesWritten,
    /// gzip level of what is added, 0 (none) to 9.
    pub compression: u8,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self { genes: GenesWritten::Auto, compression: 4 }
    }
}

impl OutputConfig {
    /// Fails unless every setting has a value that it can have.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting).
    pub fn validate(&self) -> Result<()> {
        require(self.compression <= 9, "output.compression", self.compression, "must be a gzip level, 0 to 9")
    }
}

/// Fails early where [`write()`] would fail late: if no file can be made at `output`.
///
/// # Errors
/// [`Error::File`](crate::Error::File) with the system's reason.
pub fn check_writable(output: &Path) -> Result<()> {
    atomic::Draft::begin(output).map(drop)
}
