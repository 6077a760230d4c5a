//! Tensors: the splicing kinetics and the likelihood that the neural models train on.

pub mod fused;
pub mod kinetics;
