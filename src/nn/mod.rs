//! Tensors: the splicing kinetics and the likelihood that the neural models train on.

#[cfg(feature = "flex")]
pub(crate) mod flex;
pub mod fused;
pub mod kinetics;
