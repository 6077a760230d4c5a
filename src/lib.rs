pub mod error;

pub mod kinetics;
pub mod sparse;

pub mod data;

pub use error::{Error, Result};
