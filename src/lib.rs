pub mod error;

pub mod sparse;

pub mod data;

#[cfg(feature = "h5ad")]
pub mod io;

pub use error::{Error, Result};
