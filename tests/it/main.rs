//! One binary with all integration tests: one module per module of the library.

#[cfg(feature = "h5ad")]
mod io;
#[cfg(feature = "h5ad")]
mod io_bad_input;
#[cfg(feature = "h5ad")]
mod io_python;
#[cfg(feature = "h5ad")]
mod io_samples;
mod kinetics;
mod metrics;
#[cfg(feature = "flex")]
mod adam;
#[cfg(feature = "flex")]
mod nn;
mod simulate;
