//! What the neural models are made of: devices, random draws, layers, distributions, the splicing kinetics on tensors
//! and the likelihood that training maximises.

pub mod arrays;
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
