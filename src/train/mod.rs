//! Training: the optimiser.

pub mod adam;
#[cfg(feature = "flex")]
mod adam_flex;
