#![doc = include_str!("README.md")]

// The modules, lowest row first; a module uses those above it only.
pub mod error;
mod hash;
pub mod kinetics;
mod negative_binomial;
pub mod neighbors;
pub mod pca;
#[cfg_attr(not(feature = "neural"), allow(dead_code, reason = "the functions in single precision serve the networks"))]
mod simd;
pub mod sparse;
pub mod stats;

pub mod data;

pub mod embedding;
pub mod graph;
pub mod metrics;
pub mod models;
#[cfg(feature = "neural")]
pub mod nn;
pub mod permutation;
pub mod preprocess;
pub mod scores;
pub mod simulate;
pub mod time;
#[cfg(feature = "neural")]
pub mod train;
pub mod uncertainty;

#[cfg(feature = "h5ad")]
pub mod exchange;
#[cfg(feature = "h5ad")]
pub mod io;
#[cfg(feature = "h5ad")]
pub mod report;

#[cfg(feature = "h5ad")]
pub mod config;
#[cfg(feature = "h5ad")]
pub mod import;
#[cfg(feature = "h5ad")]
pub mod pipeline;

#[cfg(feature = "h5ad")]
pub mod cli;
#[cfg(feature = "h5ad")]
mod progress;

pub use error::{Error, Result};
