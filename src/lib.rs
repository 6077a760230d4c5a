pub mod error;

pub mod neighbors;
pub mod pca;
pub mod sparse;
pub mod stats;

pub mod data;

pub mod preprocess;

pub use error::{Error, Result};
