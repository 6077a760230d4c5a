pub mod error;

pub mod kinetics;
pub mod sparse;

pub mod data;

pub mod simulate;

pub use error::{Error, Result};
