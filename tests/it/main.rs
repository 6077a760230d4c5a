//! One integration binary: a module per module of the library.

#[cfg(feature = "flex")]
mod adam;
#[cfg(feature = "flex")]
mod nn;
