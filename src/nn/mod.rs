//! What the neural models are made of: devices, layers, distributions and the kinetics on tensors.

pub mod arrays;
pub mod device;
pub mod distributions;
pub mod draws;
pub mod kinetics;
pub mod layers;
