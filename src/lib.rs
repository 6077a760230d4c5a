pub mod error;

pub mod sparse;

pub mod data;

pub use error::{Error, Result};

#[cfg(feature = "neural")]
pub mod nn;

#[cfg(feature = "neural")]
pub mod train;
