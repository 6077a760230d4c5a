//! What the neural models are made of: devices, random numbers (counter.rs) and draws, layers, distributions, the splicing kinetics on tensors
//! and the likelihood that training maximises.

pub mod arrays;
pub(crate) mod counter;
pub mod device;
pub mod dirichlet;
pub mod distributions;
pub mod draws;
pub(crate) mod flex;
pub mod fused;
pub mod kinetics;
pub mod layers;
pub mod special;
pub mod varying;
